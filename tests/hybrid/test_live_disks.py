"""A store whose disk is full or may only be read, and one whose server is killed: real ones, each in a small tmpfs."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgenre import connect, load
from kgenre.encoders import TextEncoder
from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.errors import ModelError, StoreError
from kgenre.hybrid import HybridRecommender

EVENT = {"user_id": "late", "item_id": "s0", "timestamp": 1e9, "event_id": "z"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own to fill: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left of a disk."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as stream:
        block = bytes(1 << 16)
        try:
            while True:
                stream.write(block)
        except OSError:
            return ballast


def told_until_refused(rec: HybridRecommender) -> tuple[int, str]:
    """Batches of events until the store takes no more: how many it took, and what it said."""
    for number in range(400):
        now = rec.now
        rows = [
            {"user_id": f"u{number}-{row}", "item_id": "s0", "timestamp": 1e9, "event_id": f"{number}-{row}"}
            for row in range(200)
        ]
        try:
            rec.add_interactions(rows)
        except StoreError as error:
            assert rec.now is now, "what the store refuses is not in memory"
            return number, str(error)
    raise AssertionError("the disk never filled")


def test_full_disk_of_the_store_refuses_and_with_room_again_the_same_call_counts_once(
    world: KnowledgeGraph, encoder: TextEncoder, disk: Path
) -> None:
    with connect(disk / "store") as store:
        store.write(world)
        rec = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
        rec.add_interactions([{**EVENT, "user_id": "early"}])
        ballast = fill(disk)
        told, said = told_until_refused(rec)
        assert said
        assert "early" in rec.graph.users.vocabulary
        assert len(rec.recommend("early", k=3)) == 3, "answers go on"
        known = set(rec.graph.users.vocabulary)
        ballast.unlink()
    # With room, and the store opened anew.
    with connect(disk / "store") as store:
        rec._store = store
        rec.refresh()
        assert known <= set(rec.graph.users.vocabulary), f"lost after {told} batches"
        rec.add_interactions([EVENT])
        rec.add_interactions([EVENT])
        assert store.snapshot().equals(rec.graph), store.snapshot().differences(rec.graph)


def test_read_only_disk_refuses_events_and_saves_with_a_reason(
    genre: HybridRecommender, encoder: TextEncoder, disk: Path, world: KnowledgeGraph
) -> None:
    genre.save(disk / "model")
    with connect(disk / "store") as store:
        store.write(world)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    again = load(disk / "model")
    again.add_interactions([EVENT])
    with pytest.raises(ModelError, match=r"Read-only file system"):
        again.save(disk / "model")
    assert "late" not in load(disk / "model").graph.users.vocabulary, "the older model is as it was"
    with pytest.raises(StoreError):
        connect(disk / "store")


def test_killed_store_changes_nothing_in_memory_and_comes_back_with_all_that_it_said(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    store: GraphStore
    with connect(tmp_path / "store") as store:
        store.write(world)
        rec = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
        rec.add_interactions([{**EVENT, "user_id": "early"}])
        assert store._server is not None
        assert store._server.pid is not None
        os.killpg(store._server.pid, signal.SIGKILL)
        now = rec.now
        with pytest.raises(StoreError):
            rec.add_interactions([EVENT])
        assert rec.now is now
    with connect(tmp_path / "store") as store:
        rec._store = store
        rec.add_interactions([EVENT])
        rec.add_interactions([EVENT])
        rec.refresh()
        assert {"early", "late"} <= set(rec.graph.users.vocabulary)
        assert store.snapshot().equals(rec.graph), store.snapshot().differences(rec.graph)
