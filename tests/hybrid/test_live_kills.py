"""Kill -9 at a random moment of an event, a batch, a save or a refresh: nothing acknowledged is lost, nothing half."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kgenre import connect, load
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid import HybridRecommender

KILLS = int(os.environ.get("KGENRE_KILLS", "2"))
"""The full run is KGENRE_KILLS=100."""
VICTIM = Path(__file__).with_name("live_victim.py")


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing_it_said_and_answers_as_if_undisturbed(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    moments = random.Random(1)
    said: set[str] = set()
    with connect(tmp_path / "store") as store:
        store.write(world)
        fitted = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
        fitted.save(tmp_path / "model")
        for life in range(KILLS):
            victim = subprocess.Popen(
                [
                    sys.executable,
                    str(VICTIM),
                    str(tmp_path / "store"),
                    str(tmp_path / "model"),
                    f"life{life}",
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert victim.stdout is not None
            assert victim.stdout.readline() == "ready\n"
            time.sleep(moments.uniform(0.0, 1.5))
            victim.kill()
            lines = victim.communicate()[0].splitlines(keepends=True)
            # What was being committed is committed, or rolled back.
            time.sleep(0.3)
            told = [line.split()[1:] for line in lines if line.endswith("\n")]
            said |= {event for events in told for event in events}
            rec = load(tmp_path / "model", store=store)
            rec._encoder = encoder
            rec.refresh()
            there = store.cypher(
                "MATCH ()-[r:INTERACTED]->() WHERE r.event_id IS NOT NULL RETURN r.event_id AS id"
            )
            events = {event.event_id for own in rec.state.drift.events.values() for event in own.values()}
            assert set(there["id"]) == events
            assert said <= events, f"lost: {sorted(said - events)[:5]}"
            assert store.snapshot().equals(rec.graph), store.snapshot().differences(rec.graph)
        rows = [
            {
                "user_id": e.user,
                "item_id": e.item,
                "weight": e.weight,
                "timestamp": e.timestamp,
                "event_id": e.event_id,
            }
            for own in rec.state.drift.events.values()
            for e in own.values()
        ]
        fitted._store = None
        fitted.add_interactions(rows)
        mine, theirs = rec.state, fitted.state
        assert theirs.kg.equals(mine.kg)
        np.testing.assert_allclose(
            mine.score(mine.histories, mine.seen),
            theirs.score(theirs.histories, theirs.seen),
            rtol=1e-5,
            atol=1e-5,
        )
    assert said
