from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from kgenre.hybrid.data import SignalData

from .base import ItemSimilaritySignal, SignalConfig, keep_largest
from .features import text_neighbours


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
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"power": (1.0, 2.0, 4.0, 8.0)}

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        self.similarity = keep_largest(text_neighbours(data, self.config.power), self.config.neighbours)
        if data.item_text is None:
            self.blind = np.ones(data.n_items, dtype=bool)
        else:
            self.blind = np.isnan(data.item_text[:, 0])
        return self
