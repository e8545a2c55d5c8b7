"""What can go wrong with a living recommender; `docs/live.md` has a line for each."""

import copy
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kgenre import connect
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import StoreError
from kgenre.hybrid import HybridRecommender

MANY = int(os.environ.get("KGENRE_EVENTS", "20000"))
"""Events for one user; the full run is KGENRE_EVENTS=1000000."""


@pytest.fixture
def rec(genre: HybridRecommender) -> HybridRecommender:
    rec = copy.copy(genre)
    rec._changing = threading.RLock()
    return rec


def test_storm_of_events_from_eight_threads_with_readers_ends_as_all_events_at_once(
    rec: HybridRecommender, genre: HybridRecommender
) -> None:
    items = list(genre.graph.items.vocabulary)
    rows = [
        {
            "user_id": f"u{number % 11:02}" if number % 2 else f"new{number % 7}",
            "item_id": items[number * 7 % len(items)],
            "weight": (1.0, -1.0, 0.0)[number % 3],
            "timestamp": 1e9 + number % 50,
            "event_id": f"e{number:04}",
        }
        for number in range(800)
    ]
    done, wrong = threading.Event(), []

    def write(part: list[dict[str, object]]) -> None:
        for row in part:
            rec.add_interactions([row])

    def read() -> None:
        while not done.is_set():
            now = rec.now
            for user in ("u01", "new0"):
                if user not in now:
                    continue
                history, seen = now.row(user)
                listed = set(rec.recommend(user, k=3)["item_id"])
                disliked = {items[place] for place in history.indices[history.data < 0]}
                # The row of a state is of that state; a list may be of a later one, which has all that it must.
                if (
                    not set(history.indices) <= set(seen.indices)
                    or len(listed) != 3
                    or not len(disliked | listed)
                ):
                    wrong.append((user, listed))

    writers = [threading.Thread(target=write, args=(rows[start::8],)) for start in range(8)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join(timeout=120)
        assert not thread.is_alive(), "deadlock"
    done.set()
    for thread in readers:
        thread.join(timeout=60)
    assert not wrong
    at_once = copy.copy(genre)
    at_once.add_interactions(rows)
    assert rec.graph.equals(at_once.graph)
    assert rec.state.drift.events == at_once.state.drift.events
    mine, theirs = rec.state, at_once.state
    np.testing.assert_allclose(
        mine.score(mine.histories, mine.seen),
        theirs.score(theirs.histories, theirs.seen),
        rtol=1e-5,
        atol=1e-5,
    )


def test_very_many_events_of_one_user_cost_no_more_than_a_row(rec: HybridRecommender) -> None:
    items = list(rec.graph.items.vocabulary)
    start = time.process_time()
    for first in range(0, MANY, 1000):
        rec.add_interactions(
            [
                {"user_id": "fan", "item_id": items[number % 20], "timestamp": 1e9 + number, "event_id": "e"}
                for number in range(first, first + 1000)
            ]
        )
    assert (time.process_time() - start) / MANY < 1e-3
    user = rec.graph.users.vocabulary.get("fan")
    assert rec.graph.likes[user].nnz == 20
    assert len(rec.state.drift.events["fan"]) == 20
    assert len(rec.recommend("fan", k=5)) == 5


def test_store_that_may_only_be_read_refuses_and_memory_stays(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    with connect(tmp_path / "store") as store:
        store.write(world)
        with connect(tmp_path / "store", read_only=True) as reading:
            rec = HybridRecommender("genre", text_encoder=encoder).fit(reading, show=False)
            now = rec.now
            with pytest.raises(StoreError, match="reading only"):
                rec.add_interactions([{"user_id": "new", "item_id": "s0"}])
            assert rec.now is now
        assert store.snapshot().equals(world)
