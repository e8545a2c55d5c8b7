from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import SignalData

from .base import ItemSimilaritySignal, Signal, SignalConfig, keep_largest
from .features import fact_columns, fact_features, facts_cosine
from .split import Float, Split, dense_columns, split_row


class FactsConfig(SignalConfig):
    """Settings of `Facts`."""

    idf_power: float = Field(1.5, ge=0)
    neighbours: int = Field(200, ge=1)


class Facts(ItemSimilaritySignal):
    """Nearest neighbours by facts: cosine of the items' idf-weighted (relation, entity) rows, summed over the history.

    Sees an item that nobody has liked yet; cannot say anything of one without facts.
    """

    name = "facts"
    speaks_of = "facts"
    Config = FactsConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"idf_power": (0.5, 1.0, 1.5, 2.0, 3.0)}

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        self.similarity = keep_largest(facts_cosine(data, self.config.idf_power), self.config.neighbours)
        facts = sum((np.diff(matrix.indptr) for matrix in data.facts.values()), np.zeros(data.n_items))
        self.blind = np.asarray(facts == 0)
        return self

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """A cosine is a sum over the facts that both items have."""
        liked, power = history.indices, self.config.idf_power
        weighted = fact_columns(data, power)
        weight = history.data.astype(np.float64) * (liked != item)

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return np.asarray(weight[:, None] * dense_columns(weighted, columns)[liked] * values)

        return split_row(cells, fact_features(data), item, power, kept=self.kept(history, item))

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:  # noqa: D102
        return type(self)(self.config).fit(after)
