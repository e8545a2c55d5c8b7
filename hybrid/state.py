from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.store_log import Cursor

from .config import HybridConfig
from .data import FloatArray, rows_of
from .events import Event, Said
from .fusion import Standardised, standardise
from .scoring import BlockSum, one_sum
from .signals import Signal

Ready = Mapping[Signal, FloatArray]
"""What signals say of one history, where it is known already: float32 of shape (1, n_items)."""


@dataclass(frozen=True, eq=False)
class FitReport:
    """What a fit found out.

    Attributes
    ----------
    honesty
        One row a signal, a peer and the fusion: name, kind, ndcg and recall on the same validation set, weight,
        verdict.
    seconds
        Wall seconds by stage.
    notes
        What a user should know, a sentence each.
    k
        Cut of the metrics.
    n_users, n_pairs
        Size of the validation set.
    cross_fitted
        Whether the fusion's figure judges each user by weights learned without them; else its weights were given.
    """

    honesty: pd.DataFrame
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()
    k: int = 20
    n_users: int = 0
    n_pairs: int = 0
    cross_fitted: bool = False

    def text(self) -> str:
        """The honesty table, the notes and where the time went, for a terminal."""
        lines = [
            self.honesty.to_string(index=False, float_format="{:.4f}".format, na_rep="-")
            if len(self.honesty)
            else "(nothing was validated)"
        ]
        if len(self.honesty):
            weights = (
                "the fusion's ndcg is cross-fitted"
                if self.cross_fitted
                else "the fusion's weights were given"
            )
            lines.append(
                f"{self.n_pairs:,} held-out likes of {self.n_users:,} users; {weights}, the signals' and peers' "
                "settings were chosen on these same likes"
            )
        lines += [f"note: {note}" for note in self.notes]
        spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items())
        return "\n".join([*lines, f"fit: {spent}"])


@dataclass(frozen=True, eq=False)
class Likes:
    """Likes that something was learned from.

    Attributes
    ----------
    users
        External id of each row's user.
    source
        The likes, float32 CSR of ones of shape (len(users), n_items), items as in the graph of the state that holds
        it; or the graph whose they are.
    """

    users: npt.NDArray[np.object_]
    source: sparse.csr_matrix | KnowledgeGraph = field(repr=False)

    @classmethod
    def of(cls, kg: KnowledgeGraph) -> "Likes":
        """All likes of a graph."""
        return cls(kg.users.vocabulary.ids, kg)

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The likes, a row a user."""
        return self.source.likes if isinstance(self.source, KnowledgeGraph) else self.source

    @cached_property
    def gram_norm(self) -> float:
        """``||X'X||`` (Frobenius) of the likes X."""
        return float(np.sqrt(squared_norm(self.matrix.T, self.matrix.T)))


@dataclass(frozen=True, eq=False)
class Drift:
    """What has happened since the signals learned.

    Attributes
    ----------
    tables, weights
        The likes that tables stand on, and those that weights were trained on; see `Signal.learns`.
    n_events
        Events that counted since the fit.
    absorbed
        How many of these the tables know.
    forgotten
        Users that were forgotten since the fit, and since the last `absorb`, whose trace is in weights and in tables.
    new_to_tables, new_to_weights
        Which items came after these learned, boolean of shape (n_items,); None for none.
    events
        Of each pair that an event told of, the event that counts, by user and by item; one that took back included.
    settled
        Those of the events that move no weights any more: the signals have learned from them, or somebody reset it.
    said
        What users say of items, by user and by item: id of the event that brought it, and text.
    cursor
        How far the model knows the store's log of changes; None where it follows no store.
    """

    tables: Likes
    weights: Likes
    n_events: int = 0
    absorbed: int = 0
    forgotten: tuple[int, int] = (0, 0)
    new_to_tables: npt.NDArray[np.bool_] | None = None
    new_to_weights: npt.NDArray[np.bool_] | None = None
    events: Mapping[str, Mapping[str, Event]] = field(default_factory=dict, repr=False)
    settled: Mapping[str, Mapping[str, Event]] = field(default_factory=dict, repr=False)
    said: Mapping[str, Mapping[str, Said]] = field(default_factory=dict, repr=False)
    cursor: Cursor | None = None


@dataclass(frozen=True, eq=False)
class ModelState:
    """Everything an answer is computed from: immutable, replaced whole by an update.

    Attributes
    ----------
    config
        The configuration as it was fitted, tuned values included.
    kg
        The graph.
    signals
        The fitted signals.
    weights
        float64 of shape (n_signals,).
    histories
        float32 CSR of shape (n_users, n_items): signed, a like 1, a dislike -1.
    seen
        CSR of shape (n_users, n_items): what is not recommended again; validation pairs included.
    report
        What the fit found out.
    cold_weights
        Weights of items that had no likes when the signals learned, float64 of shape (n_signals,); None where they
        are those of all.
    cold
        Which these are, boolean of shape (n_items,); None with `cold_weights`.
    drift
        What has happened since the signals learned; by default nothing has.
    """

    config: HybridConfig
    kg: KnowledgeGraph
    signals: tuple[Signal, ...]
    weights: npt.NDArray[np.float64]
    histories: sparse.csr_matrix
    seen: sparse.csr_matrix
    report: FitReport = field(repr=False)
    cold_weights: npt.NDArray[np.float64] | None = None
    cold: npt.NDArray[np.bool_] | None = None
    drift: Drift = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.drift is None:
            likes = Likes.of(self.kg)
            object.__setattr__(self, "drift", Drift(likes, likes))

    @property
    def names(self) -> tuple[str, ...]:
        """The signals' names, in the order of the ledger."""
        return tuple(signal.name for signal in self.signals)

    def is_cold(self, item: int) -> bool:
        """Whether an item has the weights of those without likes."""
        return self.cold is not None and bool(self.cold[item])

    def weights_for(self, histories: sparse.csr_matrix, cold: bool = False) -> npt.NDArray[np.float64]:
        """Weight of each signal for each history, float64 of shape (b, n_signals); with `cold` for cold items.

        Somebody without a history is served by popularity: nothing else can say anything.
        """
        own = self.weights if not cold or self.cold_weights is None else self.cold_weights
        weights = np.tile(own, (histories.shape[0], 1))
        empty = np.diff(histories.indptr) == 0
        if empty.any() and "popularity" in self.names:
            weights[empty] = [float(name == "popularity") for name in self.names]
        return weights

    def values(self, signal: Signal, histories: sparse.csr_matrix, seen: sparse.csr_matrix) -> Standardised:
        """What a signal brings into the sum: standardised per user, or as it is for the method ``blend``."""
        scores = signal.score(histories)
        if self.config.fusion.method == "blend":
            rows = len(scores)
            return Standardised(scores, np.zeros(rows, np.float32), np.ones(rows, np.float32))
        return standardise(scores, seen)

    def score(
        self,
        histories: sparse.csr_matrix,
        seen: sparse.csr_matrix,
        factors: npt.NDArray[np.float64] | None = None,
        ready: Ready | None = None,
    ) -> npt.NDArray[np.float64]:
        """Score of every item for each history, float64 of shape (b, n_items); NaN where no signal can say.

        With `factors`, of shape (b, n_signals), each history's weights are multiplied with its own. Of a single
        history what is `ready` need not be scored.
        """
        weights = self.weights_for(histories)
        if factors is not None:
            weights = weights * factors
        used = weights.any(axis=0)
        own = {index: weights[:, [index]] for index in np.flatnonzero(used).tolist()}
        if self.cold is not None:
            cold = self.weights_for(histories, cold=True) * (1.0 if factors is None else factors)
            own = {
                index: np.where(self.cold, cold[:, [index]], weights[:, [index]])
                for index in np.flatnonzero(used | cold.any(axis=0)).tolist()
            }
        if self.config.fusion.method == "blend" or not own:
            return self._blended(histories, own)
        if histories.shape[0] == 1:
            known, used_signals = ready or {}, [self.signals[index] for index in own]
            parts = [known[signal] if signal in known else signal.score(histories) for signal in used_signals]
            return one_sum(parts, np.concatenate(list(own.values())), seen.indices)
        block = BlockSum(seen)
        for index, weight in own.items():
            block.add(self.signals[index].score(histories), weight)
        return block.total()

    def _blended(
        self, histories: sparse.csr_matrix, weights: Mapping[int, npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """The signals as they are, without standardising."""
        total = np.zeros(histories.shape, dtype=np.float64)
        silent = np.ones(histories.shape, dtype=bool)
        for index, weight in weights.items():
            values = self.signals[index].score(histories)
            unknown = np.isnan(values)
            silent &= unknown | (weight == 0)
            total += weight * np.where(unknown, 0.0, values)
        total[silent] = np.nan
        return total


def squared_norm(one: Any, two: Any, block: int = 2048) -> float:
    """``||A B'||^2`` (Frobenius) of two sparse matrices, a block of rows of A at a time."""
    one, other = sparse.csr_matrix(one), sparse.csr_matrix(two.T)
    total = 0.0
    for start in range(0, one.shape[0], block):
        product = sparse.csr_matrix(one[start : start + block] @ other)
        total += float((product.data.astype(np.float64) ** 2).sum())
    return total


def signed(likes: sparse.csr_matrix, dislikes: sparse.csr_matrix) -> sparse.csr_matrix:
    """Likes as 1 and dislikes as -1: float32 CSR of the shape of both."""
    pushed = sparse.csr_matrix(dislikes, copy=True)
    pushed.data[:] = -1.0
    histories = sparse.csr_matrix(likes + pushed, dtype=np.float32)
    histories.sort_indices()
    return histories


def histories_of(
    kg: KnowledgeGraph, half_life_days: float | None = None, likes: sparse.csr_matrix | None = None
) -> sparse.csr_matrix:
    """Everybody's history, float32 CSR of shape (n_users, n_items): a like 1, a dislike -1, less where it has faded.

    Parameters
    ----------
    kg
        The graph.
    half_life_days
        How fast they fade; None never.
    likes
        Some of the graph's likes; None takes all.
    """
    histories = signed(kg.likes if likes is None else likes, kg.dislikes)
    inter = kg.interactions
    if half_life_days is None or inter.timestamp is None:
        return histories
    felt = inter.weight != 0
    left = faded(inter.timestamp[felt], inter.user[felt], kg.n_users, half_life_days)
    factors = sparse.csr_matrix((left, (inter.user[felt], inter.item[felt])), shape=histories.shape)
    histories = sparse.csr_matrix(histories.multiply(factors), dtype=np.float32)
    histories.sort_indices()
    return histories


def faded(
    timestamp: npt.NDArray[np.float64], user: npt.NDArray[Any], n_users: int, half_life_days: float
) -> FloatArray:
    """What is left of each like, float32 of the shape of `timestamp`: 1 for a user's newest, half a half-life before.

    One of unknown time is as old as the user's oldest.
    """
    known = ~np.isnan(timestamp)
    newest, oldest = np.full(n_users, -np.inf), np.full(n_users, np.inf)
    np.maximum.at(newest, user[known], timestamp[known])
    np.minimum.at(oldest, user[known], timestamp[known])
    of_known = np.where(known, timestamp, oldest[user])
    days = np.where(np.isfinite(of_known), newest[user] - of_known, 0.0) / 86_400.0
    # Never quite nothing: a history of which nothing is left would be none.
    return np.maximum(0.5 ** (days / half_life_days), 1e-6).astype(np.float32)


def union(one: sparse.csr_matrix, two: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where either of two matrices of one shape has an entry: float32 CSR of ones."""
    both = sparse.csr_matrix(abs(one) + abs(two), dtype=np.float32)
    both.data[:] = 1.0
    both.sort_indices()
    return both


def single_history(n_items: int, likes: npt.ArrayLike, dislikes: npt.ArrayLike = ()) -> sparse.csr_matrix:
    """A history of one row from item indices."""
    liked, disliked = np.asarray(likes, dtype=np.int32), np.asarray(dislikes, dtype=np.int32)
    items = np.concatenate((liked, disliked))
    values = np.ones(len(items), dtype=np.float32)
    values[len(liked) :] = -1.0
    order = np.argsort(items, kind="stable")
    return rows_of([(items[order], values[order])], n_items)
