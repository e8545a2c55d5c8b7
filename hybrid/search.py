"""One list out of a very large catalogue, without scoring every item of it.

The score of an item is a sum over the signals. Of each signal mean and deviation over all items are computed exactly
(`kgenre.hybrid.forms`), so that the score of any one item is. What is left is which items to score: those that a
sparse table names, from the best down to where no other can reach the list any more (as in the threshold algorithm,
Fagin et al. 2001), and those that an index of the items' vectors finds for the user's (`kgenre.hybrid.nearest`).
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray
from .forms import Fixed, Form, Opinions, Places, Product, Table, form_of
from .nearest import FOUND, Nearest
from .signals import Signal
from .state import ModelState

log = logging.getLogger(__name__)

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Items = npt.NDArray[np.int64]
_Known = tuple[Sequence[Form], Bool | None]
_HISTORIES = 256
"""Users whose lists the index is made for, and tried on."""
_TABLE = 1_000
"""Of what tables name, how many are scored before it is known how good the others must be."""
_RENEWED = 0.02
"""Share of the items that may be other than the index has them: each answer scores all of these."""


class _Coordinates:
    """The vectors that are searched: their product with a query is the score, but for what tables name.

    A product's vectors stand there less their mean, so that a blind item, which counts as much as the mean, has 0.
    """

    def __init__(self, forms: Sequence[Form]) -> None:
        self.forms = tuple(forms)
        # A table that is blind for nothing has no coordinate.
        self._telling = [not isinstance(form, Table) or bool(form.blind.any()) for form in forms]
        self._means = [
            form.moments[1].astype(np.float32) if isinstance(form, Product) else np.empty(0, np.float32)
            for form in forms
        ]

    def rows(self, items: Items) -> FloatArray:
        parts = []
        for form, telling, mean in zip(self.forms, self._telling, self._means, strict=True):
            if isinstance(form, Product):
                own = form.rows(items)
                own[~form.blind[items]] -= mean
                parts.append(own)
            elif telling:
                column = form.values if isinstance(form, Fixed) else form.blind
                parts.append(column[items].astype(np.float32)[:, None])
        return np.concatenate(parts, axis=1)

    def query(self, opinions: Opinions, weights: Float) -> FloatArray:
        parts = []
        for signal, (form, own, (mean, scale)) in enumerate(
            zip(self.forms, opinions.queries, opinions.moments, strict=True)
        ):
            factor = weights[signal] * scale
            if isinstance(form, Product):
                parts.append(np.zeros(len(self._means[signal])) if own is None else factor * own)
            elif self._telling[signal]:
                # A blind item lacks what the others' 0 counts.
                parts.append(np.array([factor * (1.0 if isinstance(form, Fixed) else mean)]))
        return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Group:
    """Items of the same weights: where they are searched, and where each that the index knows is now.

    In `place` -1 is one that is gone; without, all are where they were.
    """

    nearest: Nearest
    place: Items | None = None

    def find(self, query: FloatArray, n: int) -> Items:
        found = self.nearest.find(query, n)
        if self.place is None:
            return found
        now = self.place[found]
        return now[now >= 0]


@dataclass(frozen=True, eq=False)
class Search:
    """What lists of a model are searched with.

    Attributes
    ----------
    state
        The model; its histories and the graph's interactions are not looked at.
    used
        Which of its signals have a weight.
    forms
        Their forms.
    groups
        Items with the weights of all and, where there are any, those with the weights of cold items.
    fresh
        Items that the index does not know as they are now: sorted, each answer scores all of them.
    built
        The vectors that the index was made of, and the items' ids.
    cold
        Which items were cold then.
    """

    state: ModelState
    used: Items
    forms: tuple[Form, ...]
    groups: tuple[_Group, ...]
    fresh: Items
    built: tuple[_Coordinates, npt.NDArray[np.object_]]
    cold: Bool | None

    @classmethod
    def of(cls, state: ModelState) -> "Search":
        """Build the index of a model whose lists can be searched."""
        start = time.perf_counter()
        used, n_items = used_signals(state), state.kg.n_items
        forms = _forms(state, used)
        coordinates = _Coordinates(forms)
        kinds = (False,) if state.cold is None else (False, True)
        queries: list[list[FloatArray]] = [[] for _ in kinds]
        for row in _sample(state):
            opinions = Opinions(forms, row, row.indices.astype(np.int64))
            for own_queries, cold in zip(queries, kinds, strict=True):
                own_queries.append(coordinates.query(opinions, _weights(state, used, cold)))
        groups = []
        for own_queries, cold in zip(queries, kinds, strict=True):
            own = _weights(state, used, cold)
            members = np.zeros(n_items, dtype=bool)
            for form, weight in zip(forms, own, strict=True):
                if weight > 0:
                    members |= ~form.blind
            if state.cold is not None:
                members &= state.cold == cold
            groups.append(_Group(Nearest(coordinates.rows, np.flatnonzero(members), np.stack(own_queries))))
        log.info("the index of %d items took %.1f s", n_items, time.perf_counter() - start)
        fresh = np.empty(0, dtype=np.int64)
        built = coordinates, state.kg.items.vocabulary.ids
        return cls(state, used, forms, tuple(groups), fresh, built, state.cold)

    def following(self, state: ModelState) -> "Search | None":
        """What the lists of a later state are searched with; None where that takes another index."""
        before, used = self.state, used_signals(state)
        if (
            state.names != before.names
            or not np.array_equal(used, self.used)
            or (state.cold is None) != (before.cold is None)
        ):
            return None
        vocabulary = state.kg.items.vocabulary
        if (
            vocabulary is before.kg.items.vocabulary
            and state.cold is before.cold
            and all(state.signals[index] is before.signals[index] for index in used)
        ):
            return self
        forms = _forms(state, used, self)
        coordinates, ids = self.built
        place = None if vocabulary.ids is ids else vocabulary.find(ids).astype(np.int64)
        changed = _changed((coordinates.forms, self.cold), (forms, state.cold), place, len(vocabulary))
        if changed.mean() > _RENEWED:
            return None
        groups = tuple(replace(group, place=place) for group in self.groups)
        return Search(state, used, forms, groups, np.flatnonzero(changed), self.built, self.cold)

    def opinions(
        self, history: sparse.csr_matrix, seen: npt.NDArray[np.integer], signals: Sequence[Signal] = ()
    ) -> Opinions:
        """What all its signals, or some of them, say of a history."""
        forms = self.forms
        if signals:
            by_signal = {
                id(self.state.signals[index]): form for index, form in zip(self.used, forms, strict=True)
            }
            forms = tuple(by_signal[id(signal)] for signal in signals)
        return Opinions(forms, history, seen.astype(np.int64))

    def best(
        self,
        state: ModelState,
        history: sparse.csr_matrix,
        seen: npt.NDArray[np.integer],
        k: int,
        hidden: npt.NDArray[np.integer],
    ) -> tuple[npt.NDArray[np.int32], Float] | None:
        """The best `k` items and their scores, float64; None where there are not so many among what is found.

        Parameters
        ----------
        state
            The model, perhaps with weights of somebody's own.
        history
            CSR of shape (1, n_items), with at least one entry.
        seen
            Items that means and deviations leave out.
        k
            Length of the list.
        hidden
            What must not be listed, sorted.
        """
        opinions = self.opinions(history, seen)
        weights = np.stack([_weights(state, self.used, cold) for cold in (False, True)], axis=1)
        cold = state.cold

        def own(items: Items) -> Float:
            return weights[:, :1] if cold is None else weights[:, cold[items].astype(np.int8)]

        touched = opinions.touched
        by_tables = opinions.of_tables(own(touched))
        finds = [
            group.find(self.built[0].query(opinions, weight), FOUND + len(seen))
            for group, weight in zip(self.groups, weights.T, strict=False)
        ]
        named = touched[_largest(by_tables, _TABLE)]
        items = _distinct(np.concatenate([*finds, named, self.fresh]))
        standard, of_items = opinions.standard(items), own(items)
        scores, beside = _total(standard, of_items), opinions.beside_tables(standard, of_items)
        # What was not found has less beside its tables than the best of what was.
        reach = np.array([_least(beside[np.searchsorted(items, found)]) for found in finds])
        scores[_among(items, hidden)] = np.nan
        hoped = by_tables + (reach[0] if cold is None else reach[cold[touched].astype(np.int8)])
        more = touched[hoped >= _least(scores, k)]
        more = more[~_among(more, items) & ~_among(more, hidden)]
        items = np.concatenate((items, more))
        scores = np.concatenate((scores, _total(opinions.standard(more), own(more))))
        order = np.lexsort((items, -scores))[:k]
        if len(order) < k or np.isnan(scores[order[-1]]):
            return None
        return items[order].astype(np.int32), scores[order]


def used_signals(state: ModelState) -> Items:
    """Which signals have a weight."""
    weights = state.weights if state.cold_weights is None else np.maximum(state.weights, state.cold_weights)
    return np.flatnonzero(weights > 0)


def _weights(state: ModelState, used: Items, cold: bool) -> Float:
    own = state.weights if not cold or state.cold_weights is None else state.cold_weights
    return own[used]


def _forms(state: ModelState, used: Items, before: "Search | None" = None) -> tuple[Form, ...]:
    """The signals' forms; of an earlier model's, which had the same names, what still holds is taken over."""
    signals = [state.signals[index] for index in used]
    if before is None:
        return tuple(map(form_of, signals))
    earlier = zip((before.state.signals[index] for index in used), before.forms, strict=True)
    return tuple(
        form if signal is one else form_of(signal, form)
        for signal, (one, form) in zip(signals, earlier, strict=True)
    )


def _sample(state: ModelState) -> list[sparse.csr_matrix]:
    """Some users' histories, one row each."""
    felt = np.flatnonzero(np.diff(state.histories.indptr))
    rows = np.random.default_rng(0).choice(felt, min(_HISTORIES, len(felt)), replace=False)
    return [state.histories[row] for row in np.sort(rows)]


def _total(standard: Float, weights: Float) -> Float:
    """The sum over the signals; NaN where none with a weight can say."""
    unknown = np.isnan(standard)
    total = (weights * np.where(unknown, 0.0, standard)).sum(axis=0)
    total[(unknown | (weights == 0)).all(axis=0)] = np.nan
    return np.asarray(total)


def _changed(before: _Known, after: _Known, place: Items | None, n_items: int) -> Bool:
    """Which items are new, or otherwise than they were, given where each is now; see `_Group`."""
    changed = np.full(n_items, place is not None)
    old: Places = slice(None) if place is None else np.flatnonzero(place >= 0)
    now: Places = slice(None) if place is None else place[old]
    changed[now] = False
    for one, other in zip(before[0], after[0], strict=True):
        if one is not other:
            changed[now] |= one.differs(other, old, now)
    cold, still = before[1], after[1]
    if cold is not None and still is not None and cold is not still:
        changed[now] |= cold[old] != still[now]
    return changed


def _distinct(items: Items) -> Items:
    """Each item once, sorted: `numpy.unique` in a third of its time."""
    items = np.sort(items)
    return items[np.concatenate(([True], items[1:] != items[:-1]))] if len(items) else items


def _largest(values: Float, n: int) -> Items:
    """Places of the `n` largest values."""
    return np.argpartition(-values, n)[:n] if n < len(values) else np.arange(len(values))


def _least(values: Float, k: int | None = None) -> float:
    """The `k`-th largest value, by default that of a quarter of them; -inf where there are not so many."""
    known = values[~np.isnan(values)]
    k = max(len(values) // 4, 1) if k is None else k
    return float(-np.partition(-known, k - 1)[k - 1]) if k <= len(known) else -np.inf


def _among(items: Items, some: npt.NDArray[np.integer]) -> Bool:
    """Which items are among some, which are sorted."""
    if not len(some):
        return np.zeros(len(items), dtype=bool)
    place = np.minimum(np.searchsorted(some, items), len(some) - 1)
    return np.asarray(some[place] == items)
