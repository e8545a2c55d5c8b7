"""Hyper-parameters of the graph encoder."""

from pydantic import BaseModel, ConfigDict, Field


class GraphEncoderConfig(BaseModel):
    """Hyper-parameters of `GraphEncoder`; the defaults were found on MovieLens-100k's validation set.

    Attributes
    ----------
    embedding_size
        Length of a vector.
    learning_rate, weight_decay
        Of AdamW (Loshchilov and Hutter 2019); without weight decay it is Adam.
    batch_size
        Users of a step; None takes a sixteenth of them, at least 512 and at most 4,096, or 1,024 above 20,000
        items.
    epochs
        The most passes over the users, or over 65,536 of them where they are more; without validation exactly as
        many.
    work
        The most multiply-adds of a training, as they are estimated from the sizes: of large data there are fewer
        epochs. The usual value is that of 120 epochs of MovieLens-1M, ten minutes of two cores.
    patience
        Epochs without a better validation figure before training stops. With half of it, training often stops
        too early.
    temperature
        Divides the cosine; the more likes a user has, the lower.
    text_dropout, node_dropout, row_dropout
        Rate at which text inputs and node vectors lose components, and items their whole learned row.
    knowledge_weight
        Of the loss that has items shown near what their facts resemble.
    item_rows
        Whether items have learned rows on the scored side. Without them the encoder learns to rank items that
        nobody has met; stop it on held-out items (`candidates` of `fit`). On MovieLens-1M it then wants a
        learning rate of 5e-4, a weight decay of 30, dropout of .5, a text bias and `min_items` 1.
    text_bias
        Whether an item's score has a bias, linear in its text.
    min_items
        Items that must be linked to a node for it to count, if it has no text. A node of a single item says
        nothing to other items now, but something to those to come.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=150, ge=1)
    work: float = Field(default=5e12, gt=0, allow_inf_nan=False)
    patience: int = Field(default=24, ge=1)
    temperature: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    text_dropout: float = Field(default=0.3, ge=0, lt=1)
    node_dropout: float = Field(default=0.3, ge=0, lt=1)
    row_dropout: float = Field(default=0.0, ge=0, lt=1)
    knowledge_weight: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    item_rows: bool = True
    text_bias: bool = False
    min_items: int = Field(default=2, ge=1)
