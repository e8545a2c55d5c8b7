"""Weights of the signals that move with what a user has just liked.

Each like that came after the signals learned is a judgement of them: the standardised score z that a signal gave to
the item before the like was known, less what the weighted signals gave together. A user's weights are the learned
ones times ``exp(rate * sum_k decay^k (z_k - mean_k))`` over the last few likes, the newest first, within a bound: an
exponentiated gradient (Kivinen & Warmuth 1997) of a linear gain, with a memory that fades.

It is a function of the likes and of the signals as they are now: there is nothing to keep beside the events, and the
order in which they come does not matter.
"""

import heapq
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .config import HybridConfig
from .data import FloatArray, rows_of
from .events import Event
from .fusion import Cells, standardise_in_place
from .search import Search
from .signals import Signal
from .signals.base import Near
from .standing import Felt, Live, Standing
from .state import ModelState, Ready

Factors = npt.NDArray[np.float64]
_REMEMBERED = 10_000
"""Users whose judgements are kept, so that an event costs one more and not all again."""
_ROWS = 64
"""Likes that are judged at once: memory is bounded by a block of (n_signals * _ROWS, n_items)."""

_Key = tuple[object, ...]
_Judged = Mapping[_Key, Mapping[str, tuple[Signal, float]]]
"""By like and by signal: the signal that judged, and its z."""


class _Taken(NamedTuple):
    """A like, with what the user thought before it."""

    key: _Key
    item: int
    before: Standing


class _Block:
    """Likes that are judged at once: `likes`, and where all are of one user, what that user thinks `now`."""

    def __init__(self, likes: Sequence[_Taken], now: Standing | None) -> None:
        self._items = np.array([like.item for like in likes])
        before = [like.before.felt for like in likes]
        self._seen = [like.before.seen_items for like in likes]
        n_items = likes[0].before.n_items
        self._near = None
        if now is None:
            self._histories = rows_of(before, n_items)
        else:
            changes = rows_of([_change(now.felt, felt) for felt in before], n_items)
            self._near = Near(now.history, changes, rows_of([now.felt, *before], n_items))

    def scores(self, signal: Signal, ready: dict[Signal, FloatArray]) -> FloatArray:
        """Of what the users thought before; into `ready` goes that of what the one user thinks now."""
        if self._near is None:
            return signal.score(self._histories)
        both = signal.score_near(self._near)
        ready[signal] = both[:1]
        return both[1:]

    def judged(self, scores: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
        """Each signal's z of what was liked, of shape (n_signals, n_likes); 0 where it cannot say."""
        values = np.concatenate(scores)
        ends = np.cumsum([0, *[len(seen) for seen in self._seen] * len(scores)])
        cells = Cells.of(ends, np.concatenate(self._seen * len(scores)), values.shape[1])
        found = standardise_in_place(values, cells)
        at_items = values[np.arange(len(values)), np.tile(self._items, len(scores))]
        return np.asarray((at_items * found.scale).reshape(len(scores), -1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Known:
    standing: Standing
    signals: tuple[Signal, ...]
    settled: Mapping[str, Event]
    judged: _Judged
    factors: Factors | None


def adapts(config: HybridConfig) -> bool:
    """Whether weights move: by default where they were learned, and stay where they were given."""
    when = config.adaptation.when
    return when == "always" or (when == "auto" and config.fusion.method == "learned")


def weighted(state: ModelState, factors: Factors | None) -> ModelState:
    """The model with its weights times some factors, float64 of shape (n_signals,); None leaves it."""
    if factors is None:
        return state
    cold = None if state.cold_weights is None else state.cold_weights * factors
    return replace(state, weights=state.weights * factors, cold_weights=cold)


def factors_of(state: ModelState, rows: npt.NDArray[np.int64]) -> Factors | None:
    """What the weights of some users, by index, are multiplied with: shape (b, n_signals); None where nothing is."""
    events = state.drift.events
    if not events or not adapts(state.config):
        return None
    live, users = Live(state), state.kg.users.vocabulary.ids[rows].tolist()
    taken = {
        place: _taken(state, user, live.standing(user)) for place, user in enumerate(users) if user in events
    }
    judged, _ = _judged(state, [like for likes in taken.values() for like in likes], {})
    found = np.ones((len(rows), len(state.signals)))
    for place, likes in taken.items():
        if (own := _factors(state, likes, judged)) is not None:
            found[place] = own
    return found


class Memory:
    """What was judged before, by user. It holds no state: only what rests on the very same things is used again."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, _Known] = OrderedDict()
        self._changing = threading.Lock()

    def factors(
        self, state: ModelState, user: str, standing: Standing, search: Search | None = None
    ) -> tuple[Factors | None, Ready]:
        """What a user's weights are multiplied with, of shape (n_signals,), None where nothing is; and scores.

        A judgement scores what the user thought before, which is nearly what they think now: the answer has that
        scored with it.

        Parameters
        ----------
        state
            The model; its histories are not looked at.
        user, standing
            The user, and what they think now.
        search
            What judges without scoring every item, where lists are searched for; nothing is scored with it then.
        """
        settled = state.drift.settled.get(user, {})
        used = tuple(signal for signal, use in zip(state.signals, _used(state), strict=True) if use)
        known = self._users.get(user)
        if (
            known is not None
            and known.standing is standing
            and known.settled is settled
            and all(one is other for one, other in zip(known.signals, used, strict=True))
        ):
            return known.factors, {}
        taken = _taken(state, user, standing)
        judged, ready = _judged(state, taken, {} if known is None else known.judged, standing, search)
        found = _factors(state, taken, judged)
        with self._changing:
            self._users[user] = _Known(standing, used, settled, judged, found)
            self._users.move_to_end(user)
            while len(self._users) > _REMEMBERED:
                self._users.popitem(last=False)
        return found, ready


def _used(state: ModelState) -> npt.NDArray[np.bool_]:
    used = state.weights > 0
    return used if state.cold_weights is None else used | (state.cold_weights > 0)


def _taken(state: ModelState, user: str, standing: Standing) -> list[_Taken]:
    """The last likes that the signals had not learned from, the newest first."""
    settled, items = state.drift.settled.get(user, {}), state.kg.items.vocabulary
    likes = (
        event for item, event in standing.events.items() if event.weight > 0 and settled.get(item) != event
    )
    found = []
    for event in heapq.nlargest(state.config.adaptation.events, likes, key=lambda event: event.order):
        before = _before(standing, event, items.ids)
        # Somebody without a history is served by popularity: nothing else was asked.
        if len(before.felt[0]):
            item = items.get(event.item)
            key = (event.order, item, before.items.tobytes(), before.felt[1].tobytes())
            found.append(_Taken(key, item, before))
    return found


def _before(standing: Standing, event: Event, ids: npt.NDArray[np.object_]) -> Standing:
    """What a user thought before an event, as far as what they think now tells."""
    # What is of unknown time was there before any event.
    earlier = ~(standing.timestamp >= event.timestamp)
    for place in np.flatnonzero(standing.timestamp == event.timestamp):
        other = standing.events.get(ids[standing.items[place]])
        earlier[place] = other is None or other.order < event.order
    return replace(
        standing,
        items=standing.items[earlier],
        weight=standing.weight[earlier],
        timestamp=standing.timestamp[earlier],
        events={},
    )


def _change(now: Felt, before: Felt) -> Felt:
    """What is to be added to what a user feels now to have what they felt before, of nothing else."""
    items, values = now[0], -now[1]
    values[np.searchsorted(items, before[0])] += before[1]
    other = values != 0
    return items[other], values[other]


def _judged(
    state: ModelState,
    taken: Sequence[_Taken],
    known: _Judged,
    now: Standing | None = None,
    search: Search | None = None,
) -> tuple[_Judged, Ready]:
    """Every signal's judgement of some likes; where all are of one user, who thinks `now`, also what it says of that.

    The two are scored together, as most of their history is the same.
    """
    found = {like.key: dict(known.get(like.key, {})) for like in taken}
    # Nearly always the signals have the same likes to judge: these are standardised together.
    judges: dict[tuple[int, ...], list[Signal]] = {}
    for signal, use in zip(state.signals, _used(state), strict=True):
        mine = (found[like.key].get(signal.name, (None,))[0] is signal for like in taken)
        new = tuple(place for place, judged in enumerate(mine) if not judged)
        if use and new:
            judges.setdefault(new, []).append(signal)
    ready: dict[Signal, FloatArray] = {}
    for places, signals in judges.items():
        for start in range(0, len(places), _ROWS):
            part = [taken[place] for place in places[start : start + _ROWS]]
            if search is None:
                block = _Block(part, now)
                values = block.judged([block.scores(signal, ready) for signal in signals])
            else:
                values = np.stack([_searched(search, signals, like) for like in part], axis=1)
            for signal, row in zip(signals, values.tolist(), strict=True):
                for like, z in zip(part, row, strict=True):
                    found[like.key][signal.name] = signal, z
    return found, ready


def _searched(search: Search, signals: Sequence[Signal], like: _Taken) -> Factors:
    """Each signal's z of what was liked, of shape (n_signals,); 0 where it cannot say."""
    before = like.before
    opinions = search.opinions(before.history, before.seen_items, signals)
    judged: Factors = np.nan_to_num(opinions.standard(np.array([like.item]))[:, 0])
    return judged


def _factors(state: ModelState, taken: Sequence[_Taken], judged: _Judged) -> Factors | None:
    """The factors of one user's likes, the newest first."""
    if not taken:
        return None
    settings, used = state.config.adaptation, _used(state)
    total = np.zeros(len(state.signals))
    for place, like in enumerate(taken):
        own = state.cold_weights if state.is_cold(like.item) else state.weights
        assert own is not None, "cold items come with weights of their own"
        z = np.array(
            [
                judged[like.key][signal.name][1] if use else 0.0
                for signal, use in zip(state.signals, used, strict=True)
            ]
        )
        total += settings.decay**place * (z - own @ z / max(own.sum(), 1e-12))
    limit = np.log(settings.bound)
    return np.asarray(np.exp(np.clip(settings.rate * total, -limit, limit)))
