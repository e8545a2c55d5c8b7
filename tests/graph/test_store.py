"""What every graph store does, on the embedded engine and on a real Neo4j."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, GraphStore, KnowledgeGraph
from kgenre.graph.errors import CypherError, DataError


def films() -> KnowledgeGraph:
    builder = GraphBuilder()
    builder.add_nodes("User", ["ann", "bob"], properties={"age": [31, None]})
    builder.add_nodes(
        "Item",
        ["1", "2", "3", "4"],
        ["Alien", None, "Solaris", "Unseen"],
        ["A crew meets a stranger.", "Text without a name", None, None],
        {
            "year": [1979, None, 1972, 2001],
            "score": [8.5, 7.0, None, -0.0],
            "genres": [["horror", "sci-fi"], ["drama"], None, []],
            "votes": [[1, 2], None, [3], None],
            "empty": pl.Series([[], None, [], None], dtype=pl.List(pl.String)),
            "classic": [True, False, None, True],
            "released": pl.Series([datetime.date(1979, 5, 25), None, None, None]),
            "strange `key`.x": ["a", None, None, "b"],
        },
    )
    builder.add_nodes("Person", ["p1", "p2"], ["Ridley Scott", "Andrei Tarkovsky"])
    builder.add_interactions(
        ["ann", "ann", "bob", "eve"],
        ["1", "3", "1", "2"],
        [5.0, -0.1, 0.0, 1.0],
        [978300760.5, None, 978302109.0, None],
    )
    builder.add_facts("film.film.directed_by", ["1", "3"], ["p1", "p2"], "Item", "Person")
    builder.add_facts("LIKE", ["1", "3"], ["3", "1"], "Item", "Item", [0.1, None], [None, 12.5])
    builder.add_facts("film.actor.film", ["m.01"], ["1"], "Entity", "Item", timestamp=[1.5])
    return builder.build()


def counts(store: GraphStore) -> tuple[int, int]:
    nodes = store.cypher("MATCH (n) RETURN count(n) AS n")["n"][0]
    return int(nodes), int(store.cypher("MATCH ()-[r]->() RETURN count(r) AS n")["n"][0])


# -- write and snapshot ----------------------------------------------------------------------------


def test_snapshot_equals_what_was_written(store: GraphStore) -> None:
    kg = films()
    store.write(kg)
    assert kg.differences(store.snapshot()) == []
    assert counts(store) == (kg.n_nodes, kg.n_interactions + kg.n_facts)


def test_second_write_changes_nothing(store: GraphStore) -> None:
    kg = films()
    store.write(kg)
    before = counts(store)
    store.write(kg)
    assert counts(store) == before
    assert kg.differences(store.snapshot()) == []


def test_many_relationships_are_written_once_and_updated(store: GraphStore) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.choice(200 * 40, size=3000, replace=False)
    users, items = [f"u{p // 40}" for p in pairs], [f"i{p % 40}" for p in pairs]
    first = GraphBuilder().add_interactions(users[:2500], items[:2500], [1.0] * 2500).build()
    store.write(first)
    weights = [1.0] * 2400 + [2.0] * 600
    second = GraphBuilder().add_interactions(users, items, weights, np.arange(3000.0)).build()
    store.write(second)
    assert second.differences(store.snapshot()) == []
    assert counts(store)[1] == 3000


def test_write_adds_to_what_is_there_and_prevails(store: GraphStore) -> None:
    store.write(films())
    more = GraphBuilder()
    more.add_nodes("Item", ["2", "9"], ["Brazil", "Dune"], properties={"year": [1985, 2021]})
    more.add_interactions(["ann"], ["1"], [3.0]).add_facts("LIKE", ["1"], ["3"], "Item", "Item", [0.9])
    store.write(more.build())
    kg = store.snapshot()
    items = dict(zip(kg.items.vocabulary, kg.items.names.to_pylist(), strict=True))
    assert items == {"1": "Alien", "2": "Brazil", "3": "Solaris", "4": "Unseen", "9": "Dune"}
    assert kg.items.texts.to_pylist()[1] == "Text without a name"
    assert kg.items.properties["year"].to_pylist() == [1979, 1985, 1972, 2001, 2021]
    assert kg.interactions.weight[0] == 3.0
    assert kg.relation("LIKE").weight is not None
    assert kg.relation("LIKE").weight[0] == np.float32(0.9)
    assert kg.n_interactions == 4


def test_graph_without_users_or_facts_comes_back(store: GraphStore) -> None:
    kg = GraphBuilder().add_nodes("Item", ["a", "b"], ["A", "B"]).build()
    store.write(kg)
    assert kg.equals(store.snapshot())


def test_snapshot_of_an_empty_store_is_empty(store: GraphStore) -> None:
    kg = store.snapshot()
    assert (kg.n_nodes, kg.n_interactions, kg.n_facts) == (0, 0, 0)


def test_relation_named_like_a_label_or_the_interactions_comes_back(store: GraphStore) -> None:
    builder = GraphBuilder().add_interactions(["u"], ["i"])
    builder.add_facts("Genre", ["i"], ["g"], "Item", "Genre").add_facts("User", ["i"], ["g"], "Item", "Genre")
    builder.add_facts("INTERACTED", ["u"], ["i"], "User", "Item", [0.5])
    builder.add_facts("odd#relation", ["i"], ["g"], "Item", "Genre")
    kg = builder.build()
    for _ in range(2):
        store.write(kg)
        assert kg.differences(store.snapshot()) == []


def test_label_named_like_an_earlier_relation_comes_back(store: GraphStore) -> None:
    store.write(GraphBuilder().add_facts("Colour", ["i"], ["j"], "Item", "Item").build())
    kg = (
        GraphBuilder()
        .add_nodes("Colour", ["red"])
        .add_facts("Colour", ["i"], ["red"], "Item", "Colour")
        .build()
    )
    store.write(kg)
    found = store.snapshot()
    assert found.table("Colour").vocabulary.ids.tolist() == ["red"]
    assert len(found.relation("Colour")) == 2


@pytest.mark.parametrize(
    "name", ["film.film.actor", "has space", "back`tick", "``", 'it\'s "q"', "日本語", "a/b:c#d%e", "🎬"]
)
def test_names_that_need_quoting_come_back(store: GraphStore, name: str) -> None:
    kg = GraphBuilder().add_nodes("L" + name, ["x"]).add_facts(name, ["i"], ["x"], "Item", "L" + name).build()
    store.write(kg)
    assert kg.differences(store.snapshot()) == []


@pytest.mark.parametrize("name", ["back\\u0060slash", "new\nline", "nul\x00", " "])
def test_name_that_no_query_may_hold_is_refused_before_anything_is_written(
    store: GraphStore, name: str
) -> None:
    kg = GraphBuilder().add_facts(name, ["i"], ["x"], "Item", "Entity").build()
    with pytest.raises(DataError, match=r"the relation .* which the store cannot hold; rename it"):
        store.write(kg)
    assert counts(store) == (0, 0)


def test_property_that_no_store_holds_is_refused_before_anything_is_written(store: GraphStore) -> None:
    kg = GraphBuilder().add_nodes("Item", ["i"], properties={"nested": [{"a": 1}]}).build()
    with pytest.raises(DataError, match="property 'nested' of Item"):
        store.write(kg)
    kg = GraphBuilder().add_nodes("Item", ["i"], properties={"holes": [["a", None]]}).build()
    with pytest.raises(DataError, match="property 'holes' of Item has a list with a null"):
        store.write(kg)
    assert counts(store) == (0, 0)


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "x'}) DETACH DELETE n //",
            '"}) MATCH (n) DETACH DELETE n RETURN "',
            "`) DELETE n //",
            "$rows",
            "\\u0027",
            "null",
            "🎬👩‍🚀",
            "שלום עולם",
            "\u202eright-to-left",
            "e\u0301 é",
            " leading and trailing ",
            "line\nbreak\ttab",
            "Robert'); DROP TABLE--",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ids=st.lists(HOSTILE, min_size=2, max_size=12, unique=True), data=st.data())
def test_hostile_ids_names_and_values_come_back(
    store: GraphStore, ids: list[str], data: st.DataObject
) -> None:
    store.cypher("MATCH (n) DETACH DELETE n")
    names = [data.draw(HOSTILE) for _ in ids]
    builder = GraphBuilder()
    builder.add_nodes("User", ids, names, names).add_nodes(
        "Item", ids, names, properties={"tags": [[n] for n in names]}
    )
    builder.add_interactions(ids, ids[::-1]).add_facts("R", ids, ids, "Item", "Entity")
    kg = builder.build()
    store.write(kg)
    assert kg.differences(store.snapshot()) == []
    found = store.cypher("MATCH (n:Item {id: $id}) RETURN n.name AS name", id=ids[0])
    assert found["name"].tolist() == [names[0]]


# -- Cypher ----------------------------------------------------------------------------------------


def test_cypher_returns_a_frame_with_the_query_s_columns(store: GraphStore) -> None:
    store.write(films())
    frame = store.cypher(
        "MATCH (i:Item)-->(p:Person) WHERE i.year < $y RETURN i.name AS film, p.name AS person ORDER BY film",
        y=1980,
    )
    expected = pd.DataFrame({"film": ["Alien", "Solaris"], "person": ["Ridley Scott", "Andrei Tarkovsky"]})
    pd.testing.assert_frame_equal(frame, expected)


def test_cypher_without_rows_keeps_its_columns(store: GraphStore) -> None:
    query = """
        CALL { MATCH (n:User {id: $id}) RETURN n, 1 AS one } // RETURN nothing
        RETURN DISTINCT n.id AS id, coalesce(n.name, 'no, RETURN ) x') as `a, ``b`, n.age ORDER BY id LIMIT 3
    """
    frame = store.cypher(query, id="nobody")
    assert frame.columns.tolist() == ["id", "a, `b", "n.age"]
    assert len(frame) == 0


def test_cypher_makes_nodes_relationships_and_paths_plain(store: GraphStore) -> None:
    store.write(films())
    row = store.cypher("MATCH p = (u:User {id: 'ann'})-[r]->(i:Item {id: '1'}) RETURN u, r, p").iloc[0]
    ann = {"_labels": ["User"], "id": "ann", "age": 31}
    interacted = {"_type": "INTERACTED", "weight": 5.0, "timestamp": 978300760.5}
    assert row["u"] == ann
    assert row["r"] == interacted
    assert row["p"][:2] == [ann, interacted]
    assert row["p"][2]["released"] == datetime.date(1979, 5, 25)


def test_cypher_takes_any_parameter_name_and_numpy_values(store: GraphStore) -> None:
    frame = store.cypher(
        "RETURN $query AS a, $self AS b, $list AS c", query=np.int64(3), self="s", list=np.array([1, 2])
    )
    assert frame.iloc[0].tolist() == [3, "s", [1, 2]]


def test_cypher_can_write(store: GraphStore) -> None:
    store.cypher("CREATE (:Item {id: $id})", id="new")
    assert store.snapshot().items.vocabulary.ids.tolist() == ["new"]


def test_syntax_error_is_the_engine_s_message_with_its_position_on_one_line(store: GraphStore) -> None:
    with pytest.raises(CypherError, match=r"(?i)line 1.*(:9|column 10)") as caught:
        store.cypher("MATCH (n RETURN n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("MATCH (n) RETURN nofunction(n)", "(?i)unknown function"),
        ("MATCH (n) RETURN m", "(?i)variable .m. not defined"),
        ("MATCH (n) WHERE n.id = $missing RETURN n", "(?i)expected parameter.*missing"),
    ],
)
def test_refused_query_says_why(store: GraphStore, query: str, message: str) -> None:
    with pytest.raises(CypherError, match=message):
        store.cypher(query)


def test_parameter_that_cannot_be_sent_is_an_error(store: GraphStore) -> None:
    with pytest.raises(CypherError, match="a parameter cannot be sent"):
        store.cypher("RETURN $x", x=object())


# -- small changes ---------------------------------------------------------------------------------


def test_added_interactions_nodes_and_facts_are_in_the_snapshot(store: GraphStore) -> None:
    store.write(films())
    store.add_nodes("Item", pd.DataFrame({"item_id": ["5"], "name": ["Stalker"]}))
    store.add_nodes("Person", pd.DataFrame({"id": ["p3"], "name": ["Arkady Strugatsky"]}))
    store.add_interactions(pd.DataFrame({"user_id": ["bob"], "item_id": ["5"], "weight": [4.0]}))
    triples = {"head_id": ["5", "5"], "relation": ["WRITTEN_BY", "ABOUT"], "tail_id": ["p3", "zone"]}
    store.add_facts(pd.DataFrame(triples))
    kg = store.snapshot()
    assert kg.likes[kg.users.vocabulary.get("bob"), kg.items.vocabulary.get("5")] == 1
    for relation, tail in (("WRITTEN_BY", ("Person", "p3")), ("ABOUT", ("Entity", "zone"))):
        facts = kg.relation(relation)
        assert (kg.locate(facts.head[0])[0].label, kg.node_id(facts.head[0])) == ("Item", "5")
        assert (kg.locate(facts.tail[0])[0].label, kg.node_id(facts.tail[0])) == tail


def test_removed_interactions_facts_and_nodes_are_gone(store: GraphStore) -> None:
    store.write(films())
    assert store.remove_interactions(pd.DataFrame({"user_id": ["ann", "ann"], "item_id": ["1", "4"]})) == 1
    triple = {"head_id": ["1"], "relation": ["film.film.directed_by"], "tail_id": ["p1"]}
    assert store.remove_facts(pd.DataFrame(triple)) == 1
    assert store.remove_facts(pd.DataFrame(triple)) == 0
    assert store.remove_nodes("User", ["bob", "nobody"]) == 2
    kg = store.snapshot()
    assert kg.users.vocabulary.ids.tolist() == ["ann", "eve"]
    assert kg.n_interactions == 2
    assert len(kg.relation("film.film.directed_by")) == 1
    assert kg.table("Person").vocabulary.ids.tolist() == ["p1", "p2"]
