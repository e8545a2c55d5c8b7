"""How one item's score in a signal splits further: what facts and text bring to it, beside each history item.

Deleting a fact is not the same as taking its part out of the sum: the item's other facts count for more when there is
one less of them, as their row is scaled to length 1. So a split knows, beside the parts, what the score would lose
without some facts and gain by another.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph.features import FactFeatures

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

EXACT = "exact"
LARGEST = 8_000
"""Items up to which a learned table is taken apart: it takes an inverse of (n_items, n_items)."""


@dataclass(frozen=True, eq=False)
class Split:
    """What facts and text bring to one item's score for one history, in the signal's own unit.

    Attributes
    ----------
    how
        What the parts rest on: ``exact``, or what is held fixed ("given the norm of the item's vector").
    relation
        Of each of the item's facts; ``^-1`` behind it where it is walked backwards.
    node
        int64 of shape (n_facts,): their nodes in the node space.
    facts
        float64 of shape (history.nnz, n_facts): each fact's part, by history item.
    text
        float64 of shape (history.nnz,): the part of the item's text, by history item.
    """

    how: str = EXACT
    relation: tuple[str, ...] = ()
    node: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    facts: Float = field(default_factory=lambda: np.empty((0, 0)))
    text: Float = field(default_factory=lambda: np.empty(0))

    @classmethod
    def nothing(cls, n: int, how: str = EXACT) -> "Split":
        """Of a signal in which facts and text have no part, for `n` history items."""
        return cls(how, facts=np.zeros((n, 0)), text=np.zeros(n))

    def loss(self, gone: Bool) -> float:
        """What the score loses if the item does not have some of its facts, boolean of shape (n_facts,)."""
        return float(self.facts[:, gone].sum())

    def gain(self, relation: str, node: int) -> float:
        """What the score gains if the item has one fact more; 0 where the signal does not know the fact."""
        return 0.0


Cells = Callable[[npt.NDArray[np.int64], Float], Float]
"""Parts (history.nnz, n) of columns of the fact features, given the values an item has in them."""


@dataclass(frozen=True, eq=False)
class RowSplit(Split):
    """Of a score that is linear in the item's row of fact features, whose length is 1 (or not scaled).

    Attributes
    ----------
    row
        float64 of shape (n_facts,): the item's values.
    cells
        The parts of columns, given values.
    features
        What the columns are.
    raw
        float64 of shape (n_features,): values before scaling, by column; None where rows are not scaled.
    length
        The item's row before scaling.
    """

    row: Float = field(default_factory=lambda: np.empty(0))
    cells: Cells | None = None
    features: FactFeatures | None = None
    raw: Float | None = None
    length: float = 1.0

    def loss(self, gone: Bool) -> float:  # noqa: D102
        total, kept = float(self.facts.sum()), float(self.facts[:, ~gone].sum())
        if self.raw is None:
            return total - kept
        left = 1.0 - float(np.square(self.row[gone]).sum())
        return total - (kept / np.sqrt(left) if left > 1e-9 else 0.0)

    def gain(self, relation: str, node: int) -> float:  # noqa: D102
        assert self.features is not None
        assert self.cells is not None
        column = column_of(self.features, relation, node)
        if column is None:
            return 0.0
        where = np.array([column])
        if self.raw is None:
            return float(self.cells(where, np.ones(1)).sum())
        more = float(self.raw[column])
        length = self.length or 1.0
        scale = 1.0 / np.sqrt(1.0 + (more / length) ** 2) if self.length else 1.0 / more
        added = float(self.cells(where, np.array([more / length])).sum())
        return (float(self.facts.sum()) + added) * scale - float(self.facts.sum())


def split_row(
    cells: Cells,
    features: FactFeatures,
    item: int,
    power: float | None,
    how: str = EXACT,
    *,
    kept: Bool | None = None,
    text: Float | None = None,
    of: int | None = None,
) -> RowSplit:
    """The split of a score that is linear in the item's row of `features`.

    Parameters
    ----------
    cells
        Parts of columns, given the item's values in them.
    features
        The fact features.
    item
        The item, by index.
    power
        The row holds inverse document frequencies to this power and is scaled to length 1; None for ones.
    how, text
        See `Split`.
    kept
        Boolean of shape (history.nnz,): history items whose likeness to the item the signal kept; all if None.
    of
        See `FactFeatures.idf`.
    """
    matrix = features.matrix
    columns = matrix.indices[matrix.indptr[item] : matrix.indptr[item + 1]].astype(np.int64)
    raw, length = None, 1.0
    row = np.ones(len(columns))
    if power is not None:
        raw = features.idf(power, of)
        row = raw[columns]
        length = float(np.sqrt(np.square(row).sum()))
        row = row / length if length else row
    facts = cells(columns, row)
    if kept is not None:
        facts = facts * kept[:, None]
    return RowSplit(
        how,
        tuple(features.relations[int(index)] for index in features.relation[columns]),
        features.node[columns].astype(np.int64),
        facts,
        np.zeros(len(facts)) if text is None else text,
        row=row,
        cells=cells,
        features=features,
        raw=raw,
        length=length,
    )


def column_of(features: FactFeatures, relation: str, node: int) -> int | None:
    """The column of a (relation, node) pair, or None."""
    if relation not in features.relations:
        return None
    # Columns are sorted by relation, then by node.
    ends = np.searchsorted(features.relation, features.relations.index(relation) + np.array([0, 1]))
    place = int(ends[0] + np.searchsorted(features.node[ends[0] : ends[1]], node))
    return place if place < ends[1] and features.node[place] == node else None


def dense_columns(matrix: sparse.csc_matrix, columns: npt.NDArray[np.int64]) -> Float:
    """Some columns of a sparse matrix as float64 of shape (rows, len(columns))."""
    return np.asarray(matrix[:, columns].toarray(), dtype=np.float64)
