"""What RDF knows of literals and graphs survives a store, frames and files; on both engines."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from kgenre.graph import GraphBuilder, GraphSchema, GraphStore, KnowledgeGraph

TRIG = """
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix x: <http://example.org/> .
x:one { x:a a x:Film ; rdfs:label "Alien"@en, "Das unheimliche Wesen"@de ; x:only "ja"@de ; x:by x:s .
        x:b a x:Film ; x:only "nein"@de ; x:alt "Babe", "Schweinchen"@de ; x:price 2.50 . }
x:two { x:a x:by x:s, x:t ; x:released "1979-05-25"^^xsd:date ; x:seen "1979"^^xsd:gYear .
        x:b x:released "1995"^^xsd:gYear ; x:seen "1996"^^xsd:gYear . }
"""
LITERALS = ('"ja"@de', '"Alien"@en', '"Schweinchen"@de', '"1979"^^<http://www.w3.org/2001/XMLSchema#gYear>')


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraph:
    path = tmp_path_factory.mktemp("rdf") / "graph.trig"
    path.write_text(TRIG)
    return KnowledgeGraph.from_rdf(path)


def quads(kg: KnowledgeGraph, folder: Path) -> list[str]:
    kg.write_rdf(folder / "graph.nq")
    lines = sorted((folder / "graph.nq").read_text().splitlines())
    assert all(any(literal in line for line in lines) for literal in LITERALS)
    return lines


def noted(kg: KnowledgeGraph) -> dict[tuple[str, str], dict[bytes, bytes]]:
    return {
        (table.label, field.name): field.metadata
        for table in kg.tables
        for field in table.properties.schema
        if field.metadata
    }


def test_languages_datatypes_and_graphs_come_back_from_a_store(
    store: GraphStore, told: KnowledgeGraph, tmp_path: Path
) -> None:
    store.write(told)
    store.write(told)
    assert store.cypher("MATCH (n:_KgenreNote) RETURN count(n) AS n")["n"][0] == len(noted(told)) >= 4
    snapshot = store.snapshot()
    assert told.differences(snapshot) == []
    assert noted(snapshot) == noted(told)
    assert quads(snapshot, tmp_path) == quads(told, tmp_path)
    assert "_KgenreNote" not in snapshot.labels


def test_property_whose_values_are_not_all_in_one_language_has_none(
    store: GraphStore, told: KnowledgeGraph
) -> None:
    store.write(told)
    plain = GraphBuilder().add_nodes("Film", ["c"], properties={"only": ["oui"]}).build()
    store.write(plain)
    assert ("Film", "only") not in noted(store.snapshot())
    assert ("Film", "seen") in noted(store.snapshot())
    # Nor does it get one from values that come later.
    store.write(told)
    assert ("Film", "only") not in noted(store.snapshot())
    assert noted(store.snapshot()) == noted(told.merge(plain))


def test_notes_are_nothing_that_users_could_be(store: GraphStore, told: KnowledgeGraph) -> None:
    store.write(told)
    store.cypher("""
        MATCH (f:Film) WITH collect(f) AS films CREATE (a:Reader {id: 'ann'}), (b:Reader {id: 'bob'})
        FOREACH (f IN films | CREATE (a)-[:READ]->(f) CREATE (b)-[:READ]->(f))
    """)
    schema = GraphSchema.infer(store)
    assert schema.user_label == "Reader"
    assert "_KgenreNote" not in schema.to_yaml()


def test_frames_and_arrow_tables_carry_the_notes(told: KnowledgeGraph, tmp_path: Path) -> None:
    frames = told.to_frames()
    assert frames["Film"].attrs["notes"]["only"] == {"language": "de"}
    again = KnowledgeGraph.from_frames(**frames)
    assert noted(again) == noted(told)
    assert quads(again, tmp_path) == quads(told, tmp_path)
    # As pandas keeps them in Parquet.
    frames["Film"].to_parquet(tmp_path / "film.parquet")
    read = KnowledgeGraph.from_frames(**frames | {"Film": pd.read_parquet(tmp_path / "film.parquet")})
    assert noted(read) == noted(told)
    field = pa.field("motto", pa.string(), metadata={"language": "la"})
    motto = pa.table([["i"], ["carpe diem"]], schema=pa.schema([pa.field("item_id", pa.string()), field]))
    assert noted(KnowledgeGraph.from_frames(items=motto)) == {("Item", "motto"): {b"language": b"la"}}
