"""What was acknowledged survives kill -9 of anything at any moment; a batch is whole or absent."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgenre.graph import GraphStore, connect

KILLS = int(os.environ.get("KGENRE_KILLS", "4"))
"""The full run is KGENRE_KILLS=50."""
SIZE = 300
"""Users, and as many interactions, of a batch."""

WRITER = f"""
import sys
import polars as pl
from kgenre.graph import bolt, connect

bolt._RETRY = 0.5
store = connect(sys.argv[1])
for batch in range(10_000):
    name = f"{{sys.argv[2]}}.{{batch}}"
    users = [f"{{name}}.{{i}}" for i in range({SIZE})]
    store.add_interactions(pl.DataFrame({{"user_id": users, "item_id": [name] * {SIZE}}}))
    print("added", name, flush=True)
    if batch % 3 == 1:
        print("removing", name, flush=True)
        store.remove_interactions(pl.DataFrame({{"user_id": users, "item_id": [name] * {SIZE}}}))
        print("removed", name, flush=True)
"""


def server_of(supervisor: int) -> int:
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    (server,) = [pid for pid, parent in pairs if parent == supervisor]
    return server


def check(store: GraphStore, said: list[str], rounds: int) -> int:
    """Compare the store with all that writers said; returns how many batches are whole."""
    query = (
        "MATCH (u:User) WITH split(u.id, '.') AS part, u OPTIONAL MATCH (u)-[r:INTERACTED]->(i) "
        "RETURN part[0] + '.' + part[1] AS batch, count(u) AS users, count(r) AS out ORDER BY batch"
    )
    there = store.cypher(query).set_index("batch")
    query = "MATCH (i:Item)<-[r:INTERACTED]-(:User) RETURN i.id AS batch, count(r) AS n ORDER BY batch"
    incoming = dict(store.cypher(query).itertuples(index=False))
    last = {line.split()[1]: line.split()[0] for line in said}
    for batch, users, out in there.itertuples():
        assert users == SIZE, f"{users} of {SIZE} users of batch {batch}"
        assert out in (0, SIZE), f"{out} of {SIZE} interactions of batch {batch}"
        assert incoming.get(batch, 0) == out, f"batch {batch} from the items' side"
    for batch, word in last.items():
        assert batch in there.index, f"the users of batch {batch} are lost"
        if word != "removing":
            assert there.out[batch] == (SIZE if word == "added" else 0), f"batch {batch} was {word}"
    # No more than one batch of a round is beyond what was said.
    assert len(there) <= len(last) + rounds
    assert store.snapshot().n_interactions == there.out.sum()
    return int((there.out == SIZE).sum())


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(tmp_path: Path) -> None:
    moments = random.Random(0)
    folder = tmp_path / "store"
    said: list[str] = []
    store = connect(folder)
    for number in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), f"r{number}"], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert writer.stdout is not None
        said.append(writer.stdout.readline())
        time.sleep(moments.uniform(0, 1))
        victim = ("python", "server", "both")[number % 3]
        assert store._server is not None
        supervisor = store._server.pid
        assert supervisor is not None
        if victim != "server":
            writer.kill()
        if victim == "server":
            os.kill(server_of(supervisor), signal.SIGKILL)
        if victim == "both":
            os.killpg(supervisor, signal.SIGKILL)
        said += writer.communicate(timeout=60)[0].splitlines()
        assert writer.returncode != 0
        if victim != "python":
            store.close()
            store = connect(folder)
        check(store, said, number + 1)
    assert check(store, said, KILLS) >= KILLS
    store.close()
