"""A store as files, and from one engine to the other."""

import datetime
from pathlib import Path

import pytest

from kgenre.graph import GraphBuilder, GraphStore, KnowledgeGraph
from kgenre.graph.errors import DataError
from kgenre.graph.source import read_source


@pytest.fixture
def both(request: pytest.FixtureRequest) -> list[GraphStore]:
    """An embedded store and a Neo4j."""
    stores = [request.getfixturevalue(f"_{engine}_store") for engine in ("embedded", "neo4j")]
    for store in stores:
        store.cypher("MATCH (n) DETACH DELETE n")
    return stores


def rich() -> KnowledgeGraph:
    builder = GraphBuilder()
    when = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    properties = {"tags": [["a", "b"], [], None], "seen": [when, None, None], "ok": [True, None, False]}
    builder.add_nodes(
        "Item", ["i1", "i`2", "\u202ei3"], ["Alien", None, "\U0001f47d"], ["x" * 5000, None, ""], properties
    )
    builder.add_nodes("Person", ["i1", "p2"], ["Ridley 'Rids' Scott", None], None, {"born": [1937, None]})
    builder.add_interactions(["ann", "bob"], ["i1", "i`2"], [1, -0.5], [10, None])
    builder.add_facts("Person", ["i1"], ["i1"], "Item", "Person").add_facts(
        "LIKE", ["i1"], ["i`2"], weight=[0.5]
    )
    return builder.build()


@pytest.mark.parametrize("direction", [1, -1], ids=["to Neo4j", "from Neo4j"])
def test_engines_exchange_a_graph_through_files(
    both: list[GraphStore], tmp_path: Path, direction: int
) -> None:
    source, target = both[::direction]
    kg = rich()
    source.write(kg)
    source.export(tmp_path / "files")
    target.import_(tmp_path / "files")
    assert kg.differences(source.snapshot()) == []
    assert source.snapshot().differences(target.snapshot()) == []
    assert read_source(str(tmp_path / "files")).graph.equals(target.snapshot())


def test_export_replaces_an_earlier_one_and_nothing_else(
    embedded_store: GraphStore, small: KnowledgeGraph, tmp_path: Path
) -> None:
    embedded_store.export(tmp_path / "files")
    embedded_store.write(small)
    embedded_store.export(tmp_path / "files")
    assert small.differences(KnowledgeGraph.load(tmp_path / "files")) == []
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match="is not a saved graph; choose another folder"):
        embedded_store.export(tmp_path)
    with pytest.raises(DataError, match="is no saved graph"):
        embedded_store.import_(tmp_path)
