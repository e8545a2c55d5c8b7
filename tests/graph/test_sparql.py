import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError


@pytest.fixture(scope="module")
def kg(small) -> KnowledgeGraph:
    items = pd.DataFrame(
        {"item_id": ["i1", "i2"], "year": [1979, None], "score": [8.5, 7.0], "seen": [True, False]}
    )
    return small.merge(KnowledgeGraph.from_frames(items=items.astype({"year": "Int64"})))


def test_select_gives_a_column_for_each_variable_in_python_values(kg):
    found = kg.sparql(
        """SELECT ?id ?year ?score ?seen ?text WHERE {
            ?film a label:Item ; kgenre:id ?id ; property:score ?score ; property:seen ?seen .
            OPTIONAL { ?film property:year ?year } OPTIONAL { ?film schema:description ?text } } ORDER BY ?id"""
    )
    assert found.columns.tolist() == ["id", "year", "score", "seen", "text"]
    assert found["id"].tolist() == ["i1", "i2"]
    assert (found["year"].dtype, found["year"].tolist()) == (pd.Int64Dtype(), [1979, pd.NA])
    assert (found["score"].dtype, found["seen"].dtype) == ("float64", "bool")
    assert found["text"].tolist() == ["In space.", None]


def test_property_paths_go_through_facts(kg):
    found = kg.sparql(
        """SELECT ?name WHERE { ?u kgenre:id "bob" ; kgenre:interacted/relation:DIRECTED_BY/rdfs:label ?name }"""
    )
    assert found["name"].tolist() == ["Ridley Scott"]
    reached = kg.sparql(
        """SELECT ?id WHERE { ?i kgenre:id "i1" ; (relation:SEQUEL|^relation:SEQUEL)+/kgenre:id ?id }"""
    )
    assert set(reached["id"]) == {"i1", "i3"}


def test_weights_and_aggregates_can_be_asked_for(kg):
    found = kg.sparql(
        """SELECT (COUNT(*) AS ?n) (SUM(?w) AS ?sum) WHERE { ?s rdf:predicate kgenre:interacted ; kgenre:weight ?w }"""
    )
    assert found.to_dict("records") == [{"n": 3, "sum": 2.0}]


def test_ask_gives_one_boolean_and_construct_triples(kg):
    assert kg.sparql('ASK { ?s rdfs:label "Alien" }').to_dict("records") == [{"ask": True}]
    assert kg.sparql('ASK { ?s rdfs:label "Aliens" }').to_dict("records") == [{"ask": False}]
    made = kg.sparql("CONSTRUCT { ?i <urn:by> ?n } WHERE { ?i relation:DIRECTED_BY/rdfs:label ?n }")
    assert made.columns.tolist() == ["s", "p", "o"]
    assert sorted(made.values.tolist()) == [
        ["urn:kgenre:node:Item:i1", "urn:by", "Ridley Scott"],
        ["urn:kgenre:node:Item:i2", "urn:by", "Chris Noonan"],
    ]


def test_no_answer_is_an_empty_frame_with_its_columns(kg):
    assert kg.sparql('SELECT ?a ?b WHERE { ?a rdfs:label "nobody" ; rdfs:label ?b }').columns.tolist() == [
        "a",
        "b",
    ]
    assert kg.sparql("CONSTRUCT WHERE { ?a <urn:none> ?b }").columns.tolist() == ["s", "p", "o"]


@pytest.mark.parametrize(
    ("update", "word"),
    [
        ("INSERT DATA { <urn:a> <urn:b> 1 }", "INSERT"),
        ("# a\nPREFIX x: <urn:x#>\nBASE <urn:b>\n delete where { ?s ?p ?o }", "DELETE"),
        ("CLEAR ALL", "CLEAR"),
        ("LOAD <file:///etc/passwd>", "LOAD"),
        ("WITH <urn:g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", "WITH"),
        ("DROP ALL", "DROP"),
    ],
)
def test_updates_are_refused_and_change_nothing(kg, update, word):
    before = kg.sparql("SELECT * WHERE { ?s ?p ?o }")
    with pytest.raises(DataError, match=f"{word} is an update, and a snapshot is read-only"):
        kg.sparql(update)
    assert len(kg.sparql("SELECT * WHERE { ?s ?p ?o }")) == len(before) > 30


def test_a_syntax_error_has_the_engines_message_and_position(kg):
    with pytest.raises(DataError, match="SPARQL error at 2:14: expected") as refused:
        kg.sparql("SELECT ?s\nWHERE { ?s ?p")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 120
    with pytest.raises(DataError, match=r"SPARQL .*[Pp]refix"):
        kg.sparql("SELECT ?s WHERE { ?s unknown:p ?o }")


def test_the_graph_is_loaded_once(kg, monkeypatch):
    kg.sparql("ASK {}")
    monkeypatch.setattr("kgenre.graph.sparql.ntriples", None)
    assert kg.sparql("ASK {}")["ask"].tolist() == [True]
