"""The wire is cut during a write: the batch is whole or absent, and the error says so."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgenre.graph import GraphBuilder, GraphStore, KnowledgeGraph, bolt, connect
from kgenre.graph.errors import StoreUnavailableError

COMMIT = b"\x00\x02\xb0\x12\x00\x00"
"""Bolt's message, in a chunk of its own."""


class Wire:
    """A relay before the store's server, and when to cut it."""

    def __init__(self, store: GraphStore, auth: tuple[str, str], port: int) -> None:
        # By path: with import mode importlib the tests are no package.
        spec = importlib.util.spec_from_file_location(
            "kgenre_tests_proxy", Path(__file__).parent / "proxy.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.plan: tuple[bytes, int, str] | None = None
        self.proxy: Any = module.Proxy(port, self._cut)
        self.store = connect(f"bolt://127.0.0.1:{self.proxy.port}", auth=auth, database=store._bolt.database)

    def cut(self, at: bytes, number: int, how: str, *, stay_down: bool = False) -> None:
        """Cut at the `number`-th piece from now on that holds some bytes."""
        self.plan = (at, number, how)
        self._stay_down = stay_down

    def _cut(self, piece: bytes) -> str | None:
        if self.plan is None or self.plan[0] not in piece:
            return None
        at, number, how = self.plan
        if number > 1:
            self.plan = (at, number - 1, how)
            return None
        self.plan = None
        self.proxy.refusing = self._stay_down
        return how


@pytest.fixture
def wire(
    store: GraphStore, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Wire]:
    monkeypatch.setattr(bolt, "_RETRY", 1.0)
    if store._server is not None:
        wire = Wire(store, ("root", store._server.password), store._server.port)
    else:
        uri, auth = request.getfixturevalue("neo4j_address")
        wire = Wire(store, auth, int(uri.rsplit(":", 1)[1]))
    yield wire
    wire.store.close()
    wire.proxy.close()


def graph() -> KnowledgeGraph:
    """Three batches: 200 users, one item, 200 interactions."""
    return GraphBuilder().add_interactions([f"u{i}" for i in range(200)], ["i"] * 200).build()


def counts(store: GraphStore) -> tuple[int, int, int]:
    query = "MATCH (n:{}) RETURN count(n) AS n"
    users, items = (int(store.cypher(query.format(label)).n[0]) for label in ("User", "Item"))
    return users, items, int(store.cypher("MATCH ()-[r:INTERACTED]->() RETURN count(r) AS n").n[0])


@pytest.mark.parametrize(("how", "edges"), [("before", 0), ("after", 200)])
def test_wire_cut_at_the_commit_says_whole_or_absent(
    store: GraphStore, wire: Wire, how: str, edges: int
) -> None:
    wire.cut(COMMIT, 3, how)
    with pytest.raises(StoreUnavailableError, match=r"broke while a batch .* whole or not at all, and those"):
        wire.store.write(graph())
    assert counts(store) == (200, 1, edges)
    # As the error says: the same call again adds what is missing.
    wire.store.write(graph())
    assert counts(store) == (200, 1, 200)
    assert graph().differences(store.snapshot()) == []


def test_wire_cut_within_a_batch_is_tried_again(store: GraphStore, wire: Wire) -> None:
    wire.cut(b"u199", 2, "before")
    wire.store.write(graph())
    assert graph().differences(store.snapshot()) == []


def test_wire_that_stays_cut_says_that_the_batch_is_absent(store: GraphStore, wire: Wire) -> None:
    wire.cut(b"u199", 2, "after", stay_down=True)
    with pytest.raises(
        StoreUnavailableError, match=r"the batch under way is not stored, those before it are"
    ):
        wire.store.write(graph())
    assert counts(store) == (200, 1, 0)


@pytest.mark.parametrize(("how", "users"), [("before", 0), ("after", 200)])
def test_wire_cut_during_a_query_says_that_only_the_store_can_tell(
    store: GraphStore, wire: Wire, how: str, users: int
) -> None:
    ids = [f"u{i}" for i in range(200)]
    # So that the engine makes the label before, and the wire is known to work.
    wire.store.cypher("UNWIND $ids AS id CREATE (:User {id: id})", ids=["first"])
    wire.cut(b"u199", 1, how)
    with pytest.raises(
        StoreUnavailableError, match=r"broke while a query .* whole or not at all .* look in the store"
    ):
        wire.store.cypher("UNWIND $ids AS id CREATE (:User {id: id})", ids=ids)
    # A server may have stored it, or have noticed the cut and given it up.
    assert counts(store)[0] in {1, 1 + users}


def test_query_that_was_never_sent_says_so(store: GraphStore, wire: Wire) -> None:
    wire.cut(b"RETURN 7", 1, "before", stay_down=True)
    with pytest.raises(StoreUnavailableError, match="broke while a query"):
        wire.store.cypher("RETURN 7")
    wire.proxy.close()
    with pytest.raises(StoreUnavailableError, match=r"does not answer; start it or check the address$"):
        wire.store.cypher("CREATE (:User {id: 'x'})")
