"""A store as files, and from one engine to the other."""

import datetime
from pathlib import Path

import pytest

from kgenre.graph import GraphBuilder, GraphSchema, GraphStore, KnowledgeGraph
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


EVERYTHING = """
CREATE (a:User {id: 'ann', age: 31}), (i:Item {id: 'i1', name: 'Alien'}),
       (j:Item {id: 'i2', name: 'Babe'}), (x:Nameless {born: date('2024-02-29')}),
       (a)-[:INTERACTED {weight: 1.0, timestamp: 10.0, device: 'phone', tags: ['a', 'b']}]->(i),
       (a)-[:RECOMMENDED {rank: 1, score: 0.5, reason: 'one', model: 'm'}]->(j),
       (a)-[:RECOMMENDED {rank: 2, score: 0.25, reason: 'two', model: 'n'}]->(j),
       (i)-[:LOG {at: localdatetime('2024-05-01T12:00:00'), n: 1}]->(x), (i)-[:LOG {n: 2}]->(x),
       (i)-[:MADE_IN {since: 1979}]->(:Place:Country {id: 'uk'})
"""
ALL_NODES = "MATCH (n) RETURN labels(n) AS labels, properties(n) AS p"
ALL_EDGES = (
    "MATCH (h)-[r]->(t) RETURN properties(h) AS h, type(r) AS type, properties(r) AS p, properties(t) AS t"
)


def content(store: GraphStore) -> list[str]:
    rows = [row for query in (ALL_NODES, ALL_EDGES) for row in store.cypher(query).to_dict("records")]
    return sorted(
        str(
            {
                key: sorted(value.items()) if isinstance(value, dict) else sorted(value)
                for key, value in row.items()
            }
        )
        for row in rows
    )


@pytest.mark.parametrize("direction", [1, -1], ids=["to Neo4j", "from Neo4j"])
def test_everything_in_a_store_is_in_the_other_engine(
    both: list[GraphStore], tmp_path: Path, direction: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = both[::direction]
    monkeypatch.setattr(source, "schema", GraphSchema(entity_labels=["Place"], fact_types=["MADE_IN"]))
    monkeypatch.setattr(target, "schema", source.schema)
    source.cypher(EVERYTHING)
    index = source.write_vectors("Item", ["i1", "i2"], [[1.0, 0.25], [0.1, 1.0]], property="taste")
    source.create_index("fulltext", "Item", ["name"])
    source.export(tmp_path / "files")
    target.import_(tmp_path / "files")
    assert content(target) == content(source)
    assert len(content(target)) == 11
    assert target.nearest("Item", [1.0, 0.2], 1, property="taste")["id"].tolist() == ["i1"]
    assert target.search("alien", label="Item")["id"].tolist() == ["i1"]
    assert index == "Item[taste]"
    assert source.snapshot().differences(target.snapshot()) == []
    # Again: only what has no id comes twice.
    target.import_(tmp_path / "files")
    assert len(target.cypher("MATCH ()-[r:RECOMMENDED]->() RETURN r")) == 2
    assert len(target.cypher(ALL_NODES)) == 6
    assert len(target.cypher("MATCH ()-[r:INTERACTED]->() RETURN r")) == 1


def test_what_the_embedded_engine_lacks_becomes_lists(both: list[GraphStore], tmp_path: Path) -> None:
    embedded, server = both
    server.cypher(
        "CREATE (:User {id: 'ann', home: point({latitude: 1.5, longitude: 2.5}), took: duration('PT90M'), "
        "ratio: 1.0, never: toFloat('Infinity')})"
    )
    server.export(tmp_path / "files")
    embedded.import_(tmp_path / "files")
    found = embedded.cypher("MATCH (u:User) RETURN u.home AS home, u.took AS took, u.never AS never").iloc[0]
    assert found.to_list() == [[2.5, 1.5], [0, 0, 5400, 0], float("inf")]
    server.cypher("MATCH (n) DETACH DELETE n")
    server.import_(tmp_path / "files")
    query = "MATCH (u:User) RETURN u.home.latitude AS y, u.took.minutes AS minutes"
    assert server.cypher(query).iloc[0].to_list() == [1.5, 90]
