from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from kgenre.hybrid.data import SignalData

from .base import ItemSimilaritySignal, SignalConfig, keep_largest
from .features import facts_cosine


class FactsConfig(SignalConfig):
    """Settings of `Facts`."""

    idf_power: float = Field(1.5, ge=0)
    neighbours: int = Field(200, ge=1)


class Facts(ItemSimilaritySignal):
    """Nearest neighbours by facts: cosine of the items' idf-weighted (relation, entity) rows, summed over the history.

    Sees an item that nobody has liked yet; cannot say anything of one without facts.
    """

    name = "facts"
    Config = FactsConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"idf_power": (1.5, 1.0, 2.0)}

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        self.similarity = keep_largest(facts_cosine(data, self.config.idf_power), self.config.neighbours)
        facts = sum((np.diff(matrix.indptr) for matrix in data.facts.values()), np.zeros(data.n_items))
        self.blind = np.asarray(facts == 0)
        return self
