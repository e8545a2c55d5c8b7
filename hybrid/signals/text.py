from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import SignalData

from .base import ItemSimilaritySignal, SignalConfig, keep_largest
from .features import text_cosine


class TextConfig(SignalConfig):
    """Settings of `TextCosine`; `power` 1 sums plain cosines, a higher one trusts the nearest texts more."""

    power: float = Field(2.0, gt=0)
    neighbours: int = Field(200, ge=1)


class TextCosine(ItemSimilaritySignal):
    """Text cosine between the items of the history and every item, by the encoder's vectors.

    Cannot say anything of an item without text.
    """

    name = "text"
    speaks_of = "text"
    Config = TextConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"power": (2.0, 1.0, 4.0)}

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        cosine = sparse.csr_matrix(text_cosine(data, self.config.power))
        self.similarity = keep_largest(cosine, self.config.neighbours)
        if data.item_text is None:
            self.blind = np.ones(data.n_items, dtype=bool)
        else:
            self.blind = np.isnan(data.item_text[:, 0])
        return self
