import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph import KnowledgeGraph

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LikesChange:
    """Likes that have come or gone.

    Attributes
    ----------
    items
        int32 of shape (n,): by index.
    count
        float32 of shape (n,): 1 for a like that has come, -1 for one that has gone.
    timestamp
        float64 of shape (n,): when it was liked, seconds since 1970 or NaN.
    """

    items: npt.NDArray[np.int32]
    count: FloatArray
    timestamp: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SignalData:
    """What a signal is fitted on: likes, facts and text by item index.

    Attributes
    ----------
    likes
        float32 CSR of ones, shape (n_users, n_items).
    facts
        Per relation a float32 CSR of shape (n_items, n_nodes); see `KnowledgeGraph.item_facts`.
    n_users, n_nodes
        Sizes of the user slice and of the whole node space (columns of `facts`; users come first, then items).
    item_text
        float32 of shape (n_items, d) of unit rows, NaN rows where an item has no text; or None.
    node_text
        The same for every node of the node space, shape (n_nodes, d), or None.
    ages
        float32 of shape (n_likes,) in CSR order: days between a like and the newest one (one of unknown time is taken
        to be as old as the oldest); or None.
    newest
        When the newest like was, seconds since 1970; or None with `ages`.
    texts
        The items' texts themselves, None where an item has none; for similarities by words.
    learned
        The same facts and texts with the likes that the signals have learned from, where these are others.
    """

    likes: sparse.csr_matrix
    facts: dict[str, sparse.csr_matrix]
    n_users: int
    n_nodes: int
    item_text: FloatArray | None = None
    node_text: FloatArray | None = None
    ages: FloatArray | None = None
    newest: float | None = None
    texts: tuple[str | None, ...] = ()
    learned: "SignalData | None" = None
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What was computed from the likes."""
    _knowledge: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What was computed from facts and texts alone; data with other likes share it."""

    @classmethod
    def from_graph(
        cls,
        kg: KnowledgeGraph,
        item_text: FloatArray | None = None,
        node_text: FloatArray | None = None,
    ) -> "SignalData":
        """The fitting data of a whole graph."""
        ages, newest = _ages(kg)
        return cls(
            likes=kg.likes,
            facts=kg.item_facts(),
            n_users=kg.n_users,
            n_nodes=kg.n_nodes,
            item_text=item_text,
            node_text=node_text,
            ages=ages,
            newest=newest,
            texts=tuple(kg.items.texts.to_pylist()),
        )

    def having_learned(self, likes: sparse.csr_matrix) -> "SignalData":
        """The same with the likes, rows of whatever users, that the signals have learned from."""
        other = replace(self, likes=likes, ages=None, newest=None)
        object.__setattr__(other, "_knowledge", self._knowledge)
        both = replace(self, learned=other)
        object.__setattr__(both, "_knowledge", self._knowledge)
        return both

    @property
    def as_learned(self) -> "SignalData":
        """The data with the likes that the signals have learned from."""
        return self if self.learned is None else self.learned

    def with_likes(self, likes: sparse.csr_matrix) -> "SignalData":
        """The same facts and texts with some of the likes, which keep their ages."""
        ages = None
        if self.ages is not None:
            order = np.arange(1, self.likes.nnz + 1, dtype=np.float64)
            places = sparse.csr_matrix((order, self.likes.indices, self.likes.indptr), shape=self.likes.shape)
            kept = sparse.csr_matrix(places.multiply(likes))
            kept.sort_indices()
            ages = self.ages[kept.data.astype(np.int64) - 1]
        other = replace(self, likes=likes, ages=ages)
        object.__setattr__(other, "_knowledge", self._knowledge)
        return other

    def with_facts(self, facts: dict[str, sparse.csr_matrix]) -> "SignalData":
        """The same likes and texts with other facts about the same nodes."""
        learned = None if self.learned is None else self.learned.with_facts(facts)
        other = replace(self, facts=facts, learned=learned)
        object.__setattr__(other, "_cache", self._cache)
        object.__setattr__(other, "_knowledge", self._of_texts())
        return other

    def take_over(self, before: "SignalData") -> None:
        """Keep what was computed of data with the same texts, as far as its facts and learned likes are these too."""
        same = same_facts(before.facts, self.facts) and before.n_users == self.n_users
        knowledge = before._knowledge if same else before._of_texts()
        for one in (self, self.as_learned):
            object.__setattr__(one, "_knowledge", knowledge)
        if same and before.as_learned.likes is self.as_learned.likes:
            object.__setattr__(self.as_learned, "_cache", before.as_learned._cache)

    def _of_texts(self) -> dict[str, Any]:
        return {
            key: value for key, value in self._knowledge.items() if key.startswith(("text", "unit", "word"))
        }

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self.likes.shape[1])

    @cached_property
    def item_degree(self) -> FloatArray:
        """Likes per item, float32 of shape (n_items,)."""
        return np.bincount(self.likes.indices, minlength=self.n_items).astype(np.float32)

    @cached_property
    def user_degree(self) -> FloatArray:
        """Likes per user, float32 of shape (n_users,)."""
        return np.diff(self.likes.indptr).astype(np.float32)


def same_facts(one: Mapping[str, sparse.csr_matrix], other: Mapping[str, sparse.csr_matrix]) -> bool:
    """Whether two sets of facts are the same matrices."""
    return one.keys() == other.keys() and all(matrix is other[name] for name, matrix in one.items())


def _ages(kg: KnowledgeGraph) -> tuple[FloatArray | None, float | None]:
    stamps = kg.interactions.timestamp
    if stamps is None:
        return None, None
    # Interactions are sorted by user, then item, as the rows of `likes` are.
    stamps = stamps[kg.interactions.weight > 0]
    known = stamps[~np.isnan(stamps)]
    if not len(known):
        return None, None
    days = (known.max() - np.where(np.isnan(stamps), known.min(), stamps)) / 86400.0
    return np.asarray(days, dtype=np.float32), float(known.max())


def rows_of(rows: Sequence[tuple[npt.NDArray[np.int32], FloatArray]], n_items: int) -> sparse.csr_matrix:
    """Rows, each given by its items and their values, as a float32 CSR matrix of shape (len(rows), n_items)."""
    items, values = rows[0] if len(rows) == 1 else map(np.concatenate, zip(*rows, strict=True))
    ends = np.zeros(len(rows) + 1, dtype=items.dtype)
    np.cumsum([len(own) for own, _ in rows], out=ends[1:])
    # The constructor looks through what it is given: of an answer that would be a noticeable part.
    matrix = copy.copy(_nothing(len(rows), n_items))
    matrix.data, matrix.indices, matrix.indptr = values, items, ends
    return matrix


@lru_cache(maxsize=64)
def _nothing(n_rows: int, n_items: int) -> sparse.csr_matrix:
    nothing = np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(n_rows + 1, np.int32)
    return sparse.csr_matrix(nothing, shape=(n_rows, n_items))


def diagonal(values: npt.ArrayLike) -> sparse.csr_matrix:
    """A float32 sparse diagonal matrix."""
    values = np.asarray(values, dtype=np.float32)
    return sparse.csr_matrix(sparse.diags_array(values, dtype=np.float32))
