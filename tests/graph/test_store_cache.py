"""Snapshots from the cache: as good as fresh ones, and never of a state that is gone."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from kgenre.graph import GraphBuilder, GraphSchema, GraphStore, KnowledgeGraph, connect, snapshot_cache, store
from kgenre.graph.store_read import read_graph

Again = Callable[..., GraphStore]


@pytest.fixture(autouse=True)
def _every_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshot_cache, "AT_LEAST", 1)
    monkeypatch.setenv("KGENRE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[GraphSchema]:
    """One entry for each snapshot that was read from the engine."""
    seen: list[GraphSchema] = []

    def read(bolt: object, schema: GraphSchema) -> KnowledgeGraph:
        seen.append(schema)
        return read_graph(bolt, schema)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "read_graph", read)
    return seen


def graph() -> KnowledgeGraph:
    builder = GraphBuilder().add_nodes("Item", ["i1", "i2"], ["Alien", None], None, {"year": [1979, None]})
    builder.add_interactions(["ann", "bob"], ["i1", "i2"], [1, -1], [10, None])
    return builder.add_facts("DIRECTED_BY", ["i1"], ["p1"], "Item", "Person").build()


def test_second_snapshot_is_the_first_without_reading(store: GraphStore, reads: list[GraphSchema]) -> None:
    kg = graph()
    store.write(kg)
    assert kg.differences(store.snapshot()) == []
    assert kg.differences(store.snapshot()) == []
    assert len(reads) == 1
    # Reading changes nothing; another schema is another snapshot.
    store.cypher("MATCH (n) RETURN n")
    store.snapshot(GraphSchema(fact_types=()))
    assert store.snapshot().n_facts == 1
    assert store.snapshot(GraphSchema(fact_types=())).n_facts == 0
    assert len(reads) == 2


def test_every_way_of_writing_ends_the_cached_snapshot(store: GraphStore) -> None:
    store.write(graph())
    seen = [store.snapshot()]
    pair = pl.DataFrame({"user_id": ["ann"], "item_id": ["i3"]})
    writes: list[Callable[[], object]] = [
        lambda: store.add_nodes("Item", pl.DataFrame({"item_id": ["i3"]})),
        lambda: store.add_interactions(pair),
        lambda: store.remove_interactions(pair),
        lambda: store.cypher("MATCH (i:Item {id: 'i1'}) SET i.name = 'Aliens'"),
        lambda: store.cypher("MATCH (i:Item {id: 'i1'}) SET i.name = 'Alien'"),
        lambda: store.cypher("MATCH ()-[r:DIRECTED_BY]->() SET r.weight = 2.0"),
        lambda: store.remove_nodes("Item", ["i3"]),
    ]
    for write in writes:
        write()
        seen.append(store.snapshot())
        assert read_graph(store._bolt, GraphSchema()).differences(seen[-1]) == []
        assert not seen[-1].equals(seen[-2])


def test_vector_index_takes_its_property_out_of_the_snapshot_and_gives_it_back(store: GraphStore) -> None:
    nodes = pl.DataFrame({"item_id": ["i1", "i2"], "direction": [[1.0, 0.5], [0.0, 2.0]]})
    store.add_nodes("Item", nodes)
    assert store.snapshot().items.properties.column_names == ["direction"]
    name = store.create_index("vector", "Item", "direction", dimensions=2)
    assert store.snapshot().items.properties.column_names == []
    if store._server is None:
        store.cypher(f"DROP INDEX `{name}`")
    else:
        store._server.sql(f"DROP INDEX `{name}`")
    assert store.snapshot().items.properties.column_names == ["direction"]


def test_what_another_client_writes_is_seen_at_once(store: GraphStore, again: Again) -> None:
    store.write(graph())
    with again() as other:
        for number in range(30):
            other.cypher("MERGE (i:Item {id: 'i1'}) SET i.year = $number", number=number)
            year = store.snapshot().items.properties["year"].to_pylist()[0]
            assert year == number


def test_snapshot_during_which_somebody_wrote_is_not_kept(
    store: GraphStore, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(graph())
    with again() as other:

        def read(bolt: object, schema: GraphSchema) -> KnowledgeGraph:
            kg = read_graph(bolt, schema)  # type: ignore[arg-type]
            other.cypher("MATCH (i:Item {id: 'i1'}) SET i.name = 'late'")
            return kg

        with monkeypatch.context() as patch:
            patch.setattr("kgenre.graph.store.read_graph", read)
            assert store.snapshot().items.names.to_pylist()[0] == "Alien"
        assert store.snapshot().items.names.to_pylist()[0] == "late"


def test_query_of_the_time_of_day_is_asked_each_time(store: GraphStore, reads: list[GraphSchema]) -> None:
    store.write(graph())
    query = (
        "MATCH (u:User)-[:INTERACTED]->(i:Item) WHERE timestamp() > 0 RETURN u.id AS user_id, i.id AS item_id"
    )
    schema = GraphSchema.model_validate({"interactions": {"query": query}})
    assert store.snapshot(schema).n_interactions == 2
    store.snapshot(schema)
    assert len(reads) == 2


def test_damaged_cache_is_read_anew(embedded_store: GraphStore, reads: list[GraphSchema]) -> None:
    embedded_store.write(graph())
    kg = embedded_store.snapshot()
    assert embedded_store._server is not None
    files = list(embedded_store._server.folder.glob("cache/*/*/edges.safetensors"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert kg.equals(embedded_store.snapshot())
    assert len(reads) == 2


def test_cache_outlives_an_orderly_end_but_no_other(tmp_path: Path, reads: list[GraphSchema]) -> None:
    folder = tmp_path / "store"
    with connect(folder) as first:
        first.write(graph())
        first.snapshot()
    assert len(reads) == 1
    with connect(folder) as second:
        assert graph().differences(second.snapshot()) == []
        assert len(reads) == 1
        second.cypher("MATCH (i:Item {id: 'i1'}) SET i.name = 'one'")
        second.snapshot()
        # One more transaction that is never seen, and an end that leaves the engine's number behind.
        second.cypher("MATCH (i:Item {id: 'i1'}) SET i.name = 'two'")
        assert second._server is not None
        assert second._server.pid is not None
        os.killpg(second._server.pid, signal.SIGKILL)
    assert "ended" not in json.loads((folder / "run.json").read_text())
    with connect(folder) as third:
        assert not (folder / "cache").exists()
        assert third.snapshot().items.names.to_pylist()[0] == "two"
