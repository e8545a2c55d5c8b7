"""Interaction events: what one is, when it happened, and which of two on the same pair counts.

A pair of user and item has one state, that of the event with the greatest (timestamp, event id): the last writer wins.
So an event that comes twice counts once, and the order in which events arrive does not matter.
"""

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import polars as pl

from kgenre.graph.columns import EVENT_ID, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from kgenre.graph.errors import DataError, did_you_mean
from kgenre.graph.tables import as_ids, as_numbers, as_seconds, at, check_columns, to_polars

TOLERANCE = 86_400.0
"""Seconds by which an event may be ahead of this machine's clock."""
_OPTIONAL = (WEIGHT, TIMESTAMP, EVENT_ID)
_WHAT = "interactions"


class Event(NamedTuple):
    """One interaction.

    Attributes
    ----------
    user, item
        External ids.
    weight
        Above 0 a like, below 0 a dislike, 0 takes back whatever was said of the item.
    timestamp
        Seconds since 1970; NaN until `stamped`.
    event_id
        Names the event; of two at the same time the greater id wins.
    """

    user: str
    item: str
    weight: float
    timestamp: float
    event_id: str

    @property
    def order(self) -> tuple[float, str]:
        """What decides which of two events on a pair counts: the greater one."""
        return self.timestamp, self.event_id


class Said(NamedTuple):
    """What a user said of an item, with the id of the event that brought it."""

    event_id: str
    text: str


class Clock:
    """Seconds since 1970 that never go back or stand still within a process, whatever the machine's clock does."""

    def __init__(self, read: Callable[[], float] = time.time) -> None:
        self._read = read
        self._last = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """The time; later than any before."""
        with self._lock:
            self._last = max(self._read(), math.nextafter(self._last, math.inf))
            return self._last


CLOCK = Clock()
_NUMBERS = itertools.count()
_PROCESS = os.urandom(5).hex()


def new_event_id() -> str:
    """An id that no other event has; within a process a later one is greater."""
    return f"{time.time_ns():016x}-{_PROCESS}-{next(_NUMBERS):012x}"


def read_events(frame: Any, items: Container[str], known: Iterable[str]) -> list[Event]:
    """The events of a table, or of a list of mappings, in its order.

    Parameters
    ----------
    frame
        user_id, item_id and optionally weight, timestamp and event_id: a pandas, polars or Arrow table, or a list of
        mappings with these keys, the cheapest way to bring a single event.
    items
        Whether an item is known.
    known
        The known ids, to propose the nearest.

    Raises
    ------
    DataError
        If a column is missing or a value is not of its kind, an item is unknown, or an event is from the future.
    """
    columns = _plain(frame)
    if columns is None:
        columns = _checked(_as_table(frame))
    latest = time.time() + TOLERANCE
    events = list(map(Event._make, zip(*columns, strict=True)))
    for row, event in enumerate(events):
        if event.item not in items:
            raise DataError(
                f"interaction with unknown item {event.item[:80]!r}{did_you_mean(event.item[:80], known)}; "
                "add it first with add_items"
            )
        if event.timestamp > latest:
            raise DataError(
                f"{at(_WHAT, row)}: the timestamp {event.timestamp:.0f} is {_ahead(event.timestamp)} ahead of this "
                "machine's clock; give seconds since 1970"
            )
    return events


def _ahead(timestamp: float) -> str:
    days = (timestamp - time.time()) / 86_400
    return f"{days:,.0f} days"


def _plain(frame: Any) -> Sequence[Sequence[Any]] | None:
    """The columns without a look at their types, where the values are all what they must be; else None."""
    if isinstance(frame, pd.DataFrame):
        if (
            not set(frame.columns) <= {USER_ID, ITEM_ID, *_OPTIONAL}
            or len(set(frame.columns)) < frame.shape[1]
        ):
            return None
        given: dict[str, list[Any]] = {str(name): frame[name].tolist() for name in frame.columns}
        n = len(frame)
    elif isinstance(frame, list) and frame and all(isinstance(row, Mapping) for row in frame):
        names = set(frame[0])
        if not names <= {USER_ID, ITEM_ID, *_OPTIONAL} or any(set(row) != names for row in frame):
            return None
        given = {str(name): [row[name] for row in frame] for name in names}
        n = len(frame)
    else:
        return None
    users, items = given.get(USER_ID), given.get(ITEM_ID)
    if users is None or items is None:
        return None
    for column in (users, items, *([given[EVENT_ID]] if EVENT_ID in given else ())):
        if not all(type(value) is str and value for value in column):
            return None
    numbers = []
    for name, default in ((WEIGHT, 1.0), (TIMESTAMP, math.nan)):
        if name not in given:
            numbers.append([default] * n)
        elif all(type(value) in (int, float) and math.isfinite(value) for value in given[name]):
            numbers.append([float(value) for value in given[name]])
        else:
            return None
    ids = given.get(EVENT_ID) or [new_event_id() for _ in range(n)]
    return users, items, *numbers, ids


def _as_table(frame: Any) -> pl.DataFrame:
    if isinstance(frame, list):
        if not all(isinstance(row, Mapping) for row in frame):
            raise DataError(f"{_WHAT} is a list of something else than mappings; pass a table or mappings")
        try:
            frame = (
                pl.from_dicts(frame)
                if frame
                else pl.DataFrame(schema=dict.fromkeys((USER_ID, ITEM_ID), pl.String))
            )
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"{_WHAT}: the mappings do not go together ({str(error).splitlines()[0]})"
            ) from None
    return to_polars(frame, _WHAT)


def _checked(table: pl.DataFrame) -> Sequence[Sequence[Any]]:
    check_columns(table, _WHAT, (USER_ID, ITEM_ID), _OPTIONAL, open_ended=False)
    n = len(table)
    weights, stamps, ids = [1.0] * n, [math.nan] * n, [None] * n
    if WEIGHT in table.columns:
        weights = as_numbers(table[WEIGHT], _WHAT, required=False).fill_null(1.0).to_list()
    if TIMESTAMP in table.columns:
        stamps = as_seconds(table[TIMESTAMP], _WHAT).fill_null(math.nan).to_list()
    if EVENT_ID in table.columns:
        ids = as_ids(table[EVENT_ID], _WHAT, required=False).to_list()
    given = [key or new_event_id() for key in ids]
    return (
        as_ids(table[USER_ID], _WHAT).to_list(),
        as_ids(table[ITEM_ID], _WHAT).to_list(),
        weights,
        stamps,
        given,
    )


def stamped(event: Event, standing: float, clock: Clock = CLOCK) -> Event:
    """The event with a time: one without happens now, and later than what its pair has so far.

    Parameters
    ----------
    event
        The event.
    standing
        Timestamp of what counts for its pair, -inf where there is nothing.
    clock
        Where the time is from.
    """
    if not math.isnan(event.timestamp):
        return event
    return event._replace(timestamp=max(clock.now(), math.nextafter(standing, math.inf)))
