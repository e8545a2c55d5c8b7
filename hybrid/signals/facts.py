from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import SignalData

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, keep_largest
from .changed_rows import nearest_after
from .features import fact_columns, fact_features, facts_changed, facts_cosine
from .products import DENSE_ITEMS, without_diagonal
from .split import Float, Split, dense_columns, split_row


class FactsConfig(SignalConfig):
    """Settings of `Facts`."""

    idf_power: float = Field(1.5, ge=0)
    neighbours: int = Field(200, ge=1)


class Facts(ItemSimilaritySignal):
    """Nearest neighbours by facts: cosine of the items' idf-weighted (relation, entity) rows, summed over the history.

    Sees an item that nobody has liked yet; cannot say anything of one without facts. A fact's inverse document
    frequency follows the graph, but for the number of items that it is taken of: that is the fit's, and stays it.
    """

    name = "facts"
    speaks_of = "facts"
    Config = FactsConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"idf_power": (0.5, 1.0, 1.5, 2.0, 3.0)}

    of: int | None = None
    """Number of items at the fit; None in a model that was saved without."""

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        self.of = data.n_items
        return self._computed(data)

    def extend(self, data: SignalData, moves: Moves) -> Signal:
        """Exact; only what is near an item whose facts are others, or count otherwise, is looked at."""
        since = moves.since
        moved = type(self)(self.config)
        moved.of = self.of or (data if since is None else since.data).n_items
        if since is None or max(data.n_items, since.data.n_items) > DENSE_ITEMS:
            return moved._computed(data)
        changed = facts_changed(data, moves)
        if len(changed) > data.n_items // 4:
            return moved._computed(data)
        weighted = fact_features(data).weighted(self.config.idf_power, moved.of)
        columns = without_diagonal(weighted[changed] @ weighted.T, changed).T
        k = self.config.neighbours

        def rows(items: npt.NDArray[np.int64]) -> sparse.csr_matrix:
            return keep_largest(without_diagonal(weighted[items] @ weighted.T, items), k)

        old = sparse.csr_matrix(self.similarity)
        moved.similarity = nearest_after(old, since.items, changed, sparse.csr_matrix(columns), k, rows)
        return moved._blind(data)

    def _computed(self, data: SignalData) -> Self:
        cosine = facts_cosine(data, self.config.idf_power, self.of)
        self.similarity = keep_largest(cosine, self.config.neighbours)
        return self._blind(data)

    def _blind(self, data: SignalData) -> Self:
        facts = sum((np.diff(matrix.indptr) for matrix in data.facts.values()), np.zeros(data.n_items))
        self.blind = np.asarray(facts == 0)
        return self

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """A cosine is a sum over the facts that both items have."""
        liked, power = history.indices, self.config.idf_power
        weighted = fact_columns(data, power, self.of)
        weight = history.data.astype(np.float64) * (liked != item)

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return np.asarray(weight[:, None] * dense_columns(weighted, columns)[liked] * values)

        kept = self.kept(history, item)
        return split_row(cells, fact_features(data), item, power, kept=kept, of=self.of)

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:  # noqa: D102
        moved = type(self)(self.config)
        moved.of = self.of or before.n_items
        return moved._computed(after)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return super().arrays() | ({} if self.of is None else {"of": np.array([self.of], dtype=np.int64)})

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.of = int(arrays["of"][0]) if "of" in arrays else None
        return super().restore(arrays)
