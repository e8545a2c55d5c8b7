"""What a signal is: one opinion on every item, given what a user has liked.

A signal never sees a user's id. It scores a *history*, a row of signed weights over the items (a like above 0, a
dislike below 0), so that a new user, an anonymous session and a known user are the same thing, and an event changes
the next answer without training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from kgenre.hybrid.data import FloatArray, LikesChange, SignalData

from .split import Split
from .times import MANY, block_times, is_filled


@dataclass(frozen=True, eq=False)
class Since:
    """What a signal knew before a change of the graph: it need look only at what has changed.

    Attributes
    ----------
    data
        The graph as it was, with the likes that were learned from.
    items
        int64 of shape (items before,): the index now; -1 where it is gone. Unlike in `Moves` an item that came after
        the signal learned is where it is.
    same_likes
        Whether the learned likes are still the same.
    """

    data: SignalData
    items: npt.NDArray[np.int64]
    same_likes: bool

    def unmoved(self, n_items: int) -> bool:
        """Whether the learned likes are the same and every item is where it was, of so many now."""
        return self.same_likes and bool(np.array_equal(self.items, np.arange(n_items)))


@dataclass(frozen=True, eq=False)
class Moves:
    """Where things are after a change of the graph.

    Attributes
    ----------
    items, nodes
        int64 of shape (items before,) and (nodes before,): the index now; -1 where it is gone.
    n_items
        Number of items now.
    since
        What was before; None where everything is to be looked at.
    """

    items: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int64]
    n_items: int
    since: Since | None = None

    @property
    def same_items(self) -> bool:
        """Whether every item is where it was and none is new."""
        return len(self.items) == self.n_items and bool((self.items == np.arange(self.n_items)).all())

    @property
    def new_items(self) -> npt.NDArray[np.int64]:
        """Indices of the items that are new."""
        new = np.ones(self.n_items, dtype=bool)
        new[self.items[self.items >= 0]] = False
        return np.flatnonzero(new)

    def rows_of(self, table: npt.NDArray[Any], fill: float = 0.0) -> npt.NDArray[Any]:
        """A table of one row an item, moved; rows of new items hold `fill`."""
        moved = np.empty((self.n_items, *table.shape[1:]), dtype=table.dtype)
        moved[self.new_items] = fill
        for start, to, length in runs(self.items):
            moved[to : to + length] = table[start : start + length]
        return moved

    def square_of(self, table: FloatArray) -> FloatArray:
        """A table of one row and one column an item, moved; those of new items hold 0."""
        if self.same_items:
            return table.copy()
        moved = np.empty((self.n_items, self.n_items), dtype=table.dtype)
        new, together = self.new_items, runs(self.items)
        moved[new] = 0.0
        moved[:, new] = 0.0
        if len(together) > _BLOCKS:
            here = np.flatnonzero(self.items >= 0)
            place = self.items[here]
            moved[np.ix_(place, place)] = table[np.ix_(here, here)]
            return moved
        for row, to_row, height in together:
            for column, to_column, width in together:
                moved[to_row : to_row + height, to_column : to_column + width] = table[
                    row : row + height, column : column + width
                ]
        return moved


def runs(items: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Items that have moved together: where each run was, where it is, and its length; those that are gone (-1) not."""
    here = np.flatnonzero(items >= 0)
    place = items[here]
    breaks = np.flatnonzero((np.diff(here) != 1) | (np.diff(place) != 1)) + 1
    starts, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(here)]
    return [(int(here[a]), int(place[a]), b - a) for a, b in zip(starts, ends, strict=True) if b > a]


_FEW = 100
"""Items of a history up to which a sparse product is put together by hand."""
_BLOCKS = 64
"""Runs of items that have moved together, up to which a square table is moved run by run."""


@dataclass(frozen=True, eq=False)
class Near:
    """Histories that are nearly the same, CSR of n_items columns.

    Attributes
    ----------
    first
        The first of them, one row.
    changes
        By how much the others differ from it, b - 1 rows.
    histories
        All of them, b rows.
    """

    first: sparse.csr_matrix
    changes: sparse.csr_matrix
    histories: sparse.csr_matrix


class SignalConfig(BaseModel):
    """Base of the settings of a signal: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Signal:
    """Base of all signals.

    A subclass sets `name`, `Config` and `search` (values worth trying on validation, per setting), and implements
    `fit`, `rows`, `arrays` and `restore`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[SignalConfig]] = SignalConfig
    starts: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Settings to begin the search with where validation likes them better than the usual ones."""
    search: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Values to try on validation, one setting after the other in this order; see `kgenre.hybrid.tuning`."""
    judges_unseen: ClassVar[bool] = True
    """Whether it is tried on items that nobody has liked; not where a fit costs much and tells little of them."""
    for_unseen: ClassVar[bool] = False
    """Whether it is for these items above all: its settings are chosen on them."""
    learns: ClassVar[Literal["nothing", "table", "weights"]] = "nothing"
    """What it keeps of the likes it was fitted on: nothing that an event does not change at once; a table that a
    computation brings up to date; weights that only training does."""
    speaks_of: Literal["likes", "text", "facts"] = "likes"
    """What a history item's part is about, when what `split` takes out of it is gone."""

    def __init__(self, config: SignalConfig | None = None) -> None:
        self.config: Any = config if config is not None else self.Config()

    def fit(self, data: SignalData) -> Self:
        """Learn from the data; returns self."""
        raise NotImplementedError

    def tune(self, data: SignalData, validation: sparse.csr_matrix) -> Self:
        """Fit with a validation matrix at hand (n_users, n_items) for early stopping; by default `fit`."""
        return self.fit(data)

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:
        """Whose text vectors it reads: nobody's, the items', or those of other nodes too."""
        return "items"

    def prepared(self, data: SignalData, validation: sparse.csr_matrix) -> Self:
        """The signal to tune, where settings are better found by less than whole fits; by default itself."""
        return self

    def refit(self, data: SignalData) -> Self:
        """A new signal of the same settings (and what early stopping found), fitted on other data."""
        return type(self)(self.config).fit(data)

    def extend(self, data: SignalData, moves: Moves) -> "Signal":
        """The same signal after the graph has changed, without training.

        What was learned is kept, by items that are new included, which is to say: this is a function of what was
        learned, of the likes it was learned from (`SignalData.as_learned`) and of the graph as it is now, whatever
        happened in between. What is only computed from the graph is computed again (by default all of it).

        Parameters
        ----------
        data
            The graph as it is now.
        moves
            Where the items and nodes that the signal knows are now.
        """
        return type(self)(self.config).fit(data)

    def follow(self, change: LikesChange) -> "Signal":
        """The same signal after likes have come and gone; by default itself: it knows what it has learned."""
        return self

    def reindexed(self, nodes: npt.NDArray[np.int64]) -> "Signal":
        """The same signal where node i of the node space is now ``nodes[i]`` and the items are as they were."""
        return self

    def rows(self, history: sparse.csr_matrix) -> FloatArray:
        """Each history item's part in every item's score.

        Parameters
        ----------
        history
            One row of signed weights, CSR of shape (1, n_items).

        Returns
        -------
        float32 of shape (history.nnz, n_items) that sums over axis 0 to ``score(history)[0]``, NaN columns
        included. A signal that does not look at the history has no rows: shape (0, n_items).
        """
        raise NotImplementedError

    def score(self, histories: sparse.csr_matrix) -> FloatArray:
        """Scores of every item for each history, float32 of shape (b, n_items).

        Higher is better; NaN where the signal cannot say.
        """
        raise NotImplementedError

    def score_near(self, near: Near) -> FloatArray:
        """`score` of histories that are nearly the same, float32 of shape (b, n_items)."""
        return self.score(near.histories)

    def contributions(self, history: sparse.csr_matrix, item: int) -> FloatArray:
        """Each history item's part in one item's score, float32 of shape (history.nnz,)."""
        return self.rows(history)[:, item]

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """What facts and text bring to one item's score; the rest is what the history brings by itself.

        Parameters
        ----------
        history
            One row of signed weights, CSR of shape (1, n_items).
        item
            The item, by index.
        data
            The graph's facts, likes and text vectors. Without text vectors the text's part stays in the rest.
        """
        return Split.nothing(history.nnz)

    def with_facts(self, before: SignalData, after: SignalData) -> "Signal":
        """The same signal had the graph other facts; what was learned from likes and texts stays as it is.

        Parameters
        ----------
        before, after
            The same users, items and likes, with the facts as they are and as they would be.
        """
        return self

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learned, by name, for saving."""
        raise NotImplementedError

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Take back what `arrays` gave; returns self."""
        raise NotImplementedError


class ItemSimilaritySignal(Signal):
    """A signal that sums an item-item similarity over the history: ``score = h S``.

    Subclasses set `similarity` in `fit`: float32 of shape (n_items, n_items), dense or CSR, row = history item,
    and `blind`, a boolean array of shape (n_items,): items of which the signal knows nothing.
    """

    similarity: FloatArray | sparse.csr_matrix
    blind: npt.NDArray[np.bool_]

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        return silence(self._product(histories), self.blind, histories)

    def score_near(self, near: Near) -> FloatArray:
        """Linear in the history: what differs is scored alone and added, where that is less."""
        if near.changes.nnz >= near.histories.nnz - near.first.nnz:
            return self.score(near.histories)
        first = self._product(near.first)
        both = np.concatenate((first, first + self._product(near.changes)))
        return silence(both, self.blind, near.histories)

    def _product(self, histories: sparse.csr_matrix) -> FloatArray:
        if histories.shape[0] == 1 and 0 < histories.nnz <= _FEW and sparse.issparse(self.similarity):
            return _row_times(histories, self.similarity)
        if histories.shape[0] >= MANY and is_filled(self.similarity):
            return block_times(histories, self.similarity)
        return dense(histories @ self.similarity)

    def rows(self, history: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        parts = dense(self.similarity[history.indices]) * history.data[:, None].astype(np.float32)
        parts[:, self.blind] = np.nan
        return parts

    def kept(self, history: sparse.csr_matrix, item: int) -> npt.NDArray[np.bool_]:
        """Which history items have a similarity to the item: boolean of shape (history.nnz,)."""
        return np.asarray(dense(self.similarity[history.indices][:, [item]]).ravel() != 0)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return {"blind": self.blind, **pack("similarity", self.similarity)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.blind = arrays["blind"].astype(bool)
        self.similarity = unpack("similarity", arrays)
        return self


def silence(scores: FloatArray, blind: npt.NDArray[np.bool_], histories: sparse.csr_matrix) -> FloatArray:
    """Scores, float32 (b, n_items), with NaN, in place, for blind items and for empty histories."""
    if blind.any():
        scores[:, blind] = np.nan
    empty = histories.indptr[1:] == histories.indptr[:-1]
    if empty.any():
        scores[empty] = np.nan
    return scores


def _row_times(row: sparse.csr_matrix, matrix: sparse.csr_matrix) -> FloatArray:
    """``row @ matrix`` as an array: of a short row that is faster than a sparse product and its bookkeeping."""
    ends = matrix.indptr[np.stack((row.indices, row.indices + 1))].T.tolist()
    columns = np.concatenate([matrix.indices[start:end] for start, end in ends])
    values = np.concatenate([matrix.data[start:end] for start, end in ends])
    values *= np.repeat(row.data, [end - start for start, end in ends])
    return np.bincount(columns, values, matrix.shape[1]).astype(np.float32)[None, :]


def dense(matrix: Any) -> FloatArray:
    """A matrix, sparse or not, as a float32 array."""
    array: Any = matrix.toarray() if isinstance(matrix, sparse.csr_matrix) else matrix
    return np.asarray(array, dtype=np.float32)


def pack(name: str, matrix: FloatArray | sparse.csr_matrix) -> dict[str, npt.NDArray[Any]]:
    """A dense or sparse matrix as named arrays."""
    if not sparse.issparse(matrix):
        return {name: np.asarray(matrix)}
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def unpack(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """The matrix that `pack` took apart."""
    if name in arrays:
        return arrays[name]
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    rows, columns = (int(n) for n in arrays[f"{name}.shape"])
    return sparse.csr_matrix(parts, shape=(rows, columns))


def keep_largest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The `k` largest entries of each row; of equal ones those of the lower columns."""
    matrix = sparse.csr_matrix(matrix)
    long = np.flatnonzero(np.diff(matrix.indptr) > k)
    if not len(long):
        return matrix
    matrix.sort_indices()
    kept = np.ones(matrix.nnz, dtype=bool)
    for row in long:
        own = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values = matrix.data[own]
        least = np.partition(values, -k)[-k]
        chosen = values > least
        ties = np.flatnonzero(values == least)
        chosen[ties[: k - int(np.count_nonzero(chosen))]] = True
        kept[own] = chosen
    ends = np.concatenate(([0], np.cumsum(kept)))[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)
