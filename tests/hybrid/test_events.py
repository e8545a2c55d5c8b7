"""Which event of a pair counts, and what is taken for an event."""

import itertools
import time

import pandas as pd
import polars as pl
import pytest

from kgenre.graph.errors import DataError
from kgenre.hybrid.events import Clock, Event, new_event_id, read_events, stamped
from kgenre.hybrid.standing import Layers

ITEMS = ["alien", "babe"]


def test_events_of_tables_and_mappings_are_the_same() -> None:
    rows = [
        {"user_id": "ann", "item_id": "alien", "weight": 2, "timestamp": 5.0, "event_id": "e1"},
        {"user_id": "bob", "item_id": "babe", "weight": -1, "timestamp": 6.5, "event_id": "e2"},
    ]
    expected = [Event("ann", "alien", 2.0, 5.0, "e1"), Event("bob", "babe", -1.0, 6.5, "e2")]
    for frame in (rows, pd.DataFrame(rows), pl.DataFrame(rows), pl.DataFrame(rows).to_arrow()):
        assert read_events(frame, ITEMS, ITEMS) == expected


def test_ids_are_strings_and_what_is_missing_is_filled_in() -> None:
    frame = pd.DataFrame({"user_id": [7.0, 8.0], "item_id": ["alien", "babe"], "weight": [None, 3]})
    first, second = read_events(frame, ITEMS, ITEMS)
    assert (first.user, first.weight, second.weight) == ("7", 1.0, 3.0)
    assert first.timestamp != first.timestamp
    assert first.event_id < second.event_id, "of two in one frame the later row prevails"
    assert new_event_id() > second.event_id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"item_id": "alien"}, "no column 'user_id'"),
        ({"user_id": "", "item_id": "alien"}, "user_id is missing"),
        ({"user_id": "ann", "item_id": "alin"}, "unknown item 'alin'; nearest: alien; add it first"),
        ({"user_id": "ann", "item_id": "alien", "weight": float("inf")}, "weight is inf"),
        ({"user_id": "ann", "item_id": "alien", "weight": "much"}, "it takes numbers"),
        ({"user_id": "ann", "item_id": "alien", "wieght": 1}, "did you mean 'weight'"),
        ({"user_id": "ann", "item_id": "alien", "timestamp": 4e9}, "days ahead of this machine's clock"),
        ({"user_id": "ann", "item_id": "alien", "timestamp": 1.8e12}, "give seconds since 1970"),
    ],
)
def test_what_is_no_event_is_refused_by_name(row: dict[str, object], message: str) -> None:
    for frame in ([row], pd.DataFrame([row])):
        with pytest.raises(DataError, match=message):
            read_events(frame, ITEMS, ITEMS)


def test_event_of_a_clock_that_is_some_hours_ahead_is_taken() -> None:
    row = {"user_id": "ann", "item_id": "alien", "timestamp": time.time() + 3600}
    assert len(read_events([row], ITEMS, ITEMS)) == 1


def test_time_never_goes_back_though_the_clock_does() -> None:
    readings = iter([100.0, 90.0, 90.0, 101.0])
    clock = Clock(lambda: next(readings))
    times = [clock.now() for _ in range(4)]
    assert times == sorted(set(times))
    assert times[-1] == 101.0


def test_an_event_of_now_is_later_than_what_its_pair_has() -> None:
    event = Event("ann", "alien", 1.0, float("nan"), "e")
    assert stamped(event, 1e12, Clock(lambda: 5.0)).timestamp > 1e12
    assert stamped(event._replace(timestamp=3.0), 1e12).timestamp == 3.0


def test_layers_are_a_mapping_that_changes_without_touching_who_holds_it() -> None:
    layers: Layers[int] = Layers()
    held = layers
    expected: dict[str, int] = {}
    for number in range(700):
        expected[str(number % 400)] = number
        layers = layers.changed({str(number % 400): number})
    assert dict(layers) == expected
    assert len(held) == 0
    assert len(layers) == 400
    assert all(key in layers for key in itertools.islice(expected, 5))
    assert "401" not in layers
