"""What users think now: the fitted state, and over it the users that events have changed since.

An event replaces the rows of the users it concerns and nothing else; the graph with all of it is made when somebody
asks for it. Everything here is immutable: a reader keeps what it has, whatever comes.
"""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph.edit import with_user_rows
from kgenre.graph.store_log import Cursor

from .data import FloatArray, LikesChange, rows_of
from .events import CLOCK, Clock, Event, stamped
from .state import ModelState, faded, histories_of, union

Value = TypeVar("Value")
Felt = tuple[npt.NDArray[np.int32], FloatArray]
_RECENT = 256
"""Changed entries that a `Layers` copies at a change; beyond, they join the rest."""


class Layers(Mapping[str, Value]):
    """An immutable mapping that is cheap to change a little: a few recent entries over all the others."""

    def __init__(self, older: Mapping[str, Value] | None = None, recent: Mapping[str, Value] | None = None):
        self._older = older or {}
        self._recent = recent or {}

    def changed(self, values: Mapping[str, Value]) -> "Layers[Value]":
        """The mapping with some values set."""
        recent = {**self._recent, **values}
        if len(recent) > _RECENT:
            return Layers({**self._older, **recent})
        return Layers(self._older, recent)

    def __getitem__(self, key: str) -> Value:
        return self._recent[key] if key in self._recent else self._older[key]

    def __contains__(self, key: object) -> bool:
        return key in self._recent or key in self._older

    def __iter__(self) -> Iterator[str]:
        yield from self._older
        yield from (key for key in self._recent if key not in self._older)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, eq=False)
class Standing:
    """What one user thinks now.

    Attributes
    ----------
    items
        int32 of shape (n,), sorted: what the user has interacted with, by index.
    weight, timestamp
        float32 and float64 of shape (n,); seconds since 1970 or NaN.
    extra
        int32: what is not to be recommended beside it (a validation set's items).
    events
        Of each item that an event told of, the event that counts, one that took back included.
    n_items
        Number of items.
    half_life_days
        How fast a like or dislike fades; None never.
    """

    items: npt.NDArray[np.int32]
    weight: FloatArray
    timestamp: npt.NDArray[np.float64]
    extra: npt.NDArray[np.int32]
    events: Mapping[str, Event]
    n_items: int
    half_life_days: float | None = None

    def order(self, item: str, index: int) -> tuple[float, str]:
        """What an event on an item must exceed to count."""
        if item in self.events:
            return self.events[item].order
        place = int(np.searchsorted(self.items, index))
        if place == len(self.items) or self.items[place] != index or math.isnan(self.timestamp[place]):
            return -math.inf, ""
        return float(self.timestamp[place]), ""

    def told(self, events: Mapping[int, Event]) -> "Standing":
        """The standing after some events, by item index, which all count."""
        index = np.array(sorted(events), dtype=np.int32)
        kept = ~_among(self.items, index)
        new = [place for place in index.tolist() if events[place].weight]
        items = np.concatenate((self.items[kept], np.array(new, dtype=np.int32)))
        order = np.argsort(items, kind="stable")
        weight = np.concatenate(
            (self.weight[kept], np.array([events[place].weight for place in new], np.float32))
        )
        stamps = np.concatenate((self.timestamp[kept], np.array([events[place].timestamp for place in new])))
        extra = self.extra[~_among(self.extra, index)] if len(self.extra) else self.extra
        told = {event.item: event for event in events.values()}
        return Standing(
            items[order],
            weight[order],
            stamps[order],
            extra,
            {**self.events, **told},
            self.n_items,
            self.half_life_days,
        )

    @cached_property
    def felt(self) -> Felt:
        """What is liked and disliked, and how much: a history's items and values."""
        felt = self.weight != 0
        values = np.sign(self.weight[felt])
        if self.half_life_days is not None:
            values *= faded(self.timestamp[felt], np.zeros(len(values), np.int64), 1, self.half_life_days)
        return self.items[felt], values.astype(np.float32, copy=False)

    @cached_property
    def history(self) -> sparse.csr_matrix:
        """Signed likes and dislikes, float32 CSR of shape (1, n_items)."""
        return rows_of([self.felt], self.n_items)

    @property
    def seen_items(self) -> npt.NDArray[np.int32]:
        """What is not recommended again, int32, sorted."""
        return np.union1d(self.items, self.extra) if len(self.extra) else self.items

    @cached_property
    def seen(self) -> sparse.csr_matrix:
        """What is not recommended again, float32 CSR of ones of shape (1, n_items)."""
        items = self.seen_items
        return rows_of([(items, np.ones(len(items), dtype=np.float32))], self.n_items)


def _among(items: npt.NDArray[np.int32], some: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which of the items, sorted, are among some, sorted too: `numpy.isin` in a tenth of its time."""
    found = np.zeros(len(items), dtype=bool)
    if len(items):
        place = np.minimum(np.searchsorted(items, some), len(items) - 1)
        found[place[items[place] == some]] = True
    return found


def _row(matrix: sparse.csr_matrix, row: int) -> sparse.csr_matrix:
    """``matrix[row]``, in a third of its time."""
    place = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return rows_of([(matrix.indices[place], matrix.data[place])], matrix.shape[1])


@dataclass(frozen=True, eq=False)
class Live:
    """A model state and the users that have changed since it was made.

    Attributes
    ----------
    base
        The state.
    users
        Whom events have changed or brought since, by external id.
    current
        What answers are computed with: the state of now, but for the users' rows and the graph's interactions.
    """

    base: ModelState
    users: Layers[Standing] = field(default_factory=Layers)
    current: ModelState = field(default=None, repr=False)  # type: ignore[assignment]
    _made: list[ModelState] = field(default_factory=list, init=False, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.current is None:
            object.__setattr__(self, "current", self.base)

    def __contains__(self, user: str) -> bool:
        return user in self.users or user in self.base.kg.users.vocabulary

    def row(self, user: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """History and what was seen of a user, one row each.

        Raises
        ------
        UnknownIdError
            If the user is unknown.
        """
        if user in self.users:
            standing = self.users[user]
            return standing.history, standing.seen
        index = self.base.kg.users.vocabulary.get(user)
        history, seen = (_row(matrix, index) for matrix in (self.base.histories, self.base.seen))
        return history, seen

    def standing(self, user: str) -> Standing:
        """What a user thinks now; of an unknown one, nothing."""
        if user in self.users:
            return self.users[user]
        kg, half_life = self.base.kg, self.base.config.history_half_life_days
        empty = np.empty(0, dtype=np.int32)
        if user not in kg.users.vocabulary:
            nothing = np.empty(0, dtype=np.float32)
            return Standing(empty, nothing, np.empty(0), empty, {}, kg.n_items, half_life)
        index = kg.users.vocabulary.get(user)
        inter = kg.interactions
        # Of the same type, or all users would be converted.
        rows = slice(*np.searchsorted(inter.user, np.array([index, index + 1], dtype=inter.user.dtype)))
        items = inter.item[rows]
        stamps = np.full(len(items), np.nan) if inter.timestamp is None else inter.timestamp[rows]
        seen = self.base.seen
        extra = seen.indices[seen.indptr[index] : seen.indptr[index + 1]]
        extra = np.setdiff1d(extra, items) if len(extra) > len(items) else empty
        events = self.base.drift.events.get(user, {})
        return Standing(items, inter.weight[rows], stamps, extra, events, kg.n_items, half_life)

    def stamped(self, events: Sequence[Event], clock: Clock = CLOCK) -> list[Event]:
        """The events, each with a time; see `events.stamped`."""
        if not any(math.isnan(event.timestamp) for event in events):
            return list(events)
        index = self.base.kg.items.vocabulary.get
        return [
            stamped(event, self.standing(event.user).order(event.item, index(event.item))[0], clock)
            if math.isnan(event.timestamp)
            else event
            for event in events
        ]

    def told(self, events: Iterable[Event]) -> "Live":
        """The state after some events of known items, in whatever order; itself where none of them counts."""
        # From the whole state where it has been made: its graph has all rows, and nothing is carried along.
        start = Live(self._made[0]) if self._made else self
        told = start._told(events)
        return self if told is start else told

    def _told(self, events: Iterable[Event]) -> "Live":
        by_user: dict[str, dict[str, Event]] = {}
        for event in events:
            own = by_user.setdefault(event.user, {})
            if event.item not in own or own[event.item].order < event.order:
                own[event.item] = event
        index = self.base.kg.items.vocabulary.get
        changed: dict[str, Standing] = {}
        items: list[npt.NDArray[np.int32]] = []
        change: list[tuple[FloatArray, npt.NDArray[np.float64]]] = []
        n_events = 0
        for user, own in by_user.items():
            before = self.standing(user)
            by_place = ((index(item), event) for item, event in own.items())
            counting = {
                place: event for place, event in by_place if before.order(event.item, place) < event.order
            }
            if not counting:
                continue
            n_events += len(counting)
            changed[user] = after = before.told(counting)
            places = np.array(sorted(counting), dtype=np.int32)
            for standing, sign in ((before, -1.0), (after, 1.0)):
                touched = _among(standing.items, places) & (standing.weight > 0)
                items.append(standing.items[touched])
                change.append((np.full(int(touched.sum()), sign, np.float32), standing.timestamp[touched]))
        if not changed:
            return self
        likes = LikesChange(
            np.concatenate(items),
            np.concatenate([count for count, _ in change]),
            np.concatenate([stamps for _, stamps in change]),
        )
        current = replace(
            self.current,
            signals=tuple(signal.follow(likes) for signal in self.current.signals),
            drift=replace(self.current.drift, n_events=self.current.drift.n_events + n_events),
        )
        return Live(self.base, self.users.changed(changed), current)

    def knowing(self, cursor: Cursor | None) -> "Live":
        """The same, with another place in the store's log."""
        drift = replace(self.current.drift, cursor=cursor)
        return Live(self.base, self.users, replace(self.current, drift=drift))

    def whole(self) -> ModelState:
        """The state of now with everything in it, the graph included; made once."""
        if not self.users:
            return self.current
        with self._making:
            if not self._made:
                self._made.append(self._whole())
        return self._made[0]

    def _whole(self) -> ModelState:
        before, users = self.base.kg, dict(self.users)
        rows = list(users.values())
        kg = with_user_rows(
            before,
            list(users),
            np.array([len(row.items) for row in rows], dtype=np.int64),
            np.concatenate([row.items for row in rows]),
            np.concatenate([row.weight for row in rows]),
            np.concatenate([row.timestamp for row in rows]),
        )
        place = kg.users.vocabulary.find(before.users.vocabulary.ids).astype(np.int64)
        # What must not be recommended though nobody interacted with it: that of the others stays.
        changed = kg.users.vocabulary.index(list(users))
        extra = self.base.seen.tocoo()
        row = place[extra.row]
        kept = ~np.isin(row, changed)
        row = np.concatenate((row[kept], np.repeat(changed, [len(one.extra) for one in rows])))
        column = np.concatenate((extra.col[kept], *(one.extra for one in rows)))
        ones = np.ones(len(row), dtype=np.float32)
        seen = sparse.csr_matrix((ones, (row, column)), shape=kg.likes.shape)
        signals = self.current.signals
        if kg.n_users != before.n_users:
            nodes = np.concatenate(
                (place, np.arange(before.n_users, before.n_nodes) + kg.n_users - before.n_users)
            )
            signals = tuple(signal.reindexed(nodes) for signal in signals)
        events = {**self.base.drift.events, **{user: row.events for user, row in users.items()}}
        return replace(
            self.current,
            kg=kg,
            signals=signals,
            histories=histories_of(kg, self.base.config.history_half_life_days),
            seen=union(seen, kg.seen),
            drift=replace(self.current.drift, events=events),
        )
