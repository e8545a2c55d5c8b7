"""A graph with labels of its own, read through a schema; on both engines."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from kgenre.graph import GraphSchema, GraphStore
from kgenre.graph.errors import ConfigError, DataError

SHOP = """
CREATE (ann:Customer {nr: 7, fullName: 'Ann'}), (bob:Customer {nr: 8, fullName: 'Bob'}),
       (tea:Product {sku: 'T-1', title: 'Tea', about: 'Green', price: 3, kind: 'ware'}),
       (pot:Product {sku: 'P-1', title: 'Pot', about: 'Iron', price: 40.5, kind: 'ware'}),
       (asia:Region {id: 'asia', name: 'Asia', text: 'A continent'}),
       (one:Order {id: 'o1', at: datetime('2020-01-02T00:00:00Z')}), (two:Order {id: 'o2'}),
       (ann)-[:PLACED]->(one), (bob)-[:PLACED]->(two),
       (one)-[:HOLDS {n: 2}]->(tea), (one)-[:HOLDS {n: 1}]->(pot), (two)-[:HOLDS {n: 3}]->(tea),
       (ann)-[:VIEWED {stars: 4, at: datetime('1970-01-01T00:01:00Z')}]->(pot),
       (tea)-[:GROWN_IN]->(asia), (pot)-[:BEST_WITH]->(tea)
"""
ORDERS = """
MATCH (c:Customer)-[:PLACED]->(o:Order)-[h:HOLDS]->(p:Product)
RETURN c.nr AS user_id, p.sku AS item_id, h.n AS weight, o.at AS timestamp
"""
FACT = {
    "relation": "FROM",
    "query": "MATCH (p:Product)-[:GROWN_IN]->(r:Region) RETURN p.sku AS head_id, r.id AS tail_id, 0.5 AS weight",
    "head_label": "Product",
    "tail_label": "Region",
}
LABELS = {
    "Customer": {"id": "nr", "name": "fullName", "text": None},
    "Product": {"id": "sku", "name": "title", "text": "{title}: {about}"},
}


def shop_schema(**changes: object) -> GraphSchema:
    settings = {"user_label": "Customer", "item_label": "Product", "labels": LABELS, "interactions": "VIEWED"}
    return GraphSchema.model_validate(settings | changes)


@pytest.fixture
def shop(store: GraphStore) -> GraphStore:
    store.cypher(SHOP)
    return store


def test_own_labels_ids_names_and_texts(shop: GraphStore) -> None:
    stars = {"type": "VIEWED", "weight": "stars", "timestamp": "at"}
    kg = shop.snapshot(shop_schema(interactions=stars, entity_labels=["Region"]))
    assert kg.labels == ("Customer", "Product", "Region")
    assert kg.users.vocabulary.ids.tolist() == ["7", "8"]
    assert kg.items.names.to_pylist() == ["Pot", "Tea"]
    assert kg.items.texts.to_pylist() == ["Pot: Iron", "Tea: Green"]
    assert kg.items.properties["price"].to_pylist() == [40.5, 3.0]
    assert kg.interactions.weight.tolist() == [4.0]
    assert kg.interactions.timestamp is not None
    assert kg.interactions.timestamp.tolist() == [60.0]
    assert kg.relations == ("BEST_WITH", "GROWN_IN")


def test_interactions_by_a_query_two_hops_away(shop: GraphStore) -> None:
    kg = shop.snapshot(shop_schema(interactions={"query": ORDERS}, fact_types=["GROWN_IN"]))
    pairs = {
        (kg.users.vocabulary[u], kg.items.vocabulary[i]): w
        for u, i, w in zip(kg.interactions.user, kg.interactions.item, kg.interactions.weight, strict=True)
    }
    assert pairs == {("7", "T-1"): 2.0, ("7", "P-1"): 1.0, ("8", "T-1"): 3.0}
    assert kg.interactions.timestamp is not None
    assert kg.interactions.timestamp[0] == 1577923200.0
    assert kg.relations == ("GROWN_IN",)


def test_text_from_a_list_of_properties(shop: GraphStore) -> None:
    labels = LABELS | {"Product": {"id": "sku", "name": "title", "text": ["title", "about"]}}
    assert shop.snapshot(shop_schema(labels=labels)).items.texts.to_pylist() == ["Pot. Iron", "Tea. Green"]


def test_facts_by_a_query(shop: GraphStore) -> None:
    kg = shop.snapshot(shop_schema(fact_types=[], facts=[FACT]))
    assert kg.relations == ("FROM",)
    facts = kg.relation("FROM")
    assert [(kg.node_id(facts.head[0]), kg.node_id(facts.tail[0]))] == [("T-1", "asia")]
    assert facts.weight is not None
    assert facts.weight.tolist() == [0.5]


def test_only_the_properties_that_the_schema_names(shop: GraphStore) -> None:
    labels = LABELS | {"Product": {"id": "sku", "name": "title", "text": None, "properties": ["kind"]}}
    assert shop.snapshot(shop_schema(labels=labels)).items.properties.column_names == ["kind"]


def test_a_schema_s_query_cannot_write(shop: GraphStore) -> None:
    query = "CREATE (x:Sneaked) WITH x MATCH (c:Customer) RETURN c.nr AS user_id, 'T-1' AS item_id"
    if "embedded" not in repr(shop):
        with pytest.raises(ConfigError, match="the interactions query of the schema fails"):
            shop.snapshot(shop_schema(interactions={"query": query}))
        assert shop.cypher("MATCH (n:Sneaked) RETURN n").empty


# -- proposals -------------------------------------------------------------------------------------


def test_proposal_knows_who_acted_from_who_reviewed(store: GraphStore) -> None:
    store.cypher("""
        CREATE (a:Person {name: 'Ann'}), (b:Person {name: 'Bob'}), (k:Person {name: 'Keanu'}),
               (m:Movie {title: 'Speed', tagline: 'Get ready for rush hour, everybody, right here and right now'}),
               (n:Movie {title: 'Chain'}), (:Log {line: 1}), (:Log {line: 1}),
               (k)-[:ACTED_IN {roles: ['Jack']}]->(m), (k)-[:ACTED_IN]->(n), (b)-[:ACTED_IN]->(n),
               (a)-[:REVIEWED {rating: 90}]->(m), (b)-[:REVIEWED {rating: 10}]->(m),
               (a)-[:REVIEWED {rating: 60}]->(n), (a)-[:FOLLOWS]->(b)
    """)
    schema = GraphSchema.infer(store)
    assert (schema.user_label, schema.item_label) == ("Person", "Movie")
    (kind,) = schema.interactions
    assert (kind.type, kind.weight, kind.threshold) == ("REVIEWED", "rating", 50)
    assert schema.label("Movie").text == "tagline"
    assert set(schema.fact_types or ()) == {"ACTED_IN", "FOLLOWS"}
    text = schema.to_yaml()
    assert "# left out Log (2 nodes): no property is there once on every node" in text
    kg = store.snapshot(GraphSchema.from_yaml(text))
    assert kg.relations == ("ACTED_IN", "FOLLOWS")
    assert (kg.likes.nnz, kg.dislikes.nnz) == (2, 1)


def test_uniqueness_constraint_makes_an_id(store: GraphStore) -> None:
    store.create_index("unique", "Gadget", "serial")
    store.cypher("""
        CREATE (u:User {id: 'u'}), (v:User {id: 'v'}), (g:Gadget {id: 'x', serial: 's1'}),
               (u)-[:BOUGHT]->(g), (v)-[:BOUGHT]->(g)
    """)
    schema = GraphSchema.infer(store)
    assert schema.label("Gadget").id == "serial"
    assert "id 'serial' has a uniqueness constraint" in schema.to_yaml()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("RETURN 1", "the store is empty"),
        (
            "CREATE (:A {id: 1})-[:R]->(:A {id: 2})",
            r"nothing in the store looks like users and items: .*\(:A\)",
        ),
    ],
)
def test_nothing_to_propose_says_what_there_is(store: GraphStore, query: str, message: str) -> None:
    store.cypher(query)
    with pytest.raises(ConfigError, match=message):
        GraphSchema.infer(store)


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item_label": "Produkt"}, r"no label 'Produkt'.*it has .*Customer.*nearest: Product"),
        ({"entity_labels": ["Land"]}, r"no label 'Land'"),
        ({"interactions": "BOUGHT"}, r"no relationship type 'BOUGHT'.*PLACED"),
        ({"fact_types": ["GROWN"]}, r"no relationship type 'GROWN'.*nearest: GROWN_IN"),
        (
            {"interactions": "GROWN_IN"},
            r"not \(:Customer\)-\[:GROWN_IN\]->\(:Product\) but.*\(:Product\).*\(:Region\)",
        ),
        (
            {"labels": {}},
            r"2 of 2 nodes of label 'Customer' have no property 'id' as id; they have fullName, nr",
        ),
        (
            {"labels": LABELS | {"Product": {"id": "sku", "name": "titel"}}},
            r"no node of label 'Product' has the property 'titel'.*nearest: title",
        ),
        (
            {"labels": LABELS | {"Product": {"id": "price"}}},
            r"property 'price' of label 'Product' holds 40.5; an id is a string or whole number",
        ),
        (
            {"interactions": {"type": "VIEWED", "weight": "starz"}},
            r"no relationship of type 'VIEWED' has the property 'starz'.*they have at, stars; nearest: stars",
        ),
        (
            {"interactions": {"type": "VIEWED", "threshold": 3}},
            r"no relationship of type 'VIEWED' has the property 'weight'",
        ),
        ({"interactions": ["VIEWED", "RATED"]}, r"no relationship type 'RATED'"),
        ({"interactions": {"query": "MATCH (c RETURN c"}}, r"the interactions query of the schema fails: .*"),
        (
            {"labels": LABELS | {"Product": {"id": "sku", "name": "title", "properties": ["prize"]}}},
            r"no node of label 'Product' has the property 'prize'.*nearest: price",
        ),
        (
            {"labels": LABELS | {"Product": {"id": "kind"}}},
            r"property 'kind' of label 'Product' holds 'ware' on 2 nodes; an id is unique",
        ),
        (
            {"facts": [FACT | {"query": "MATCH (p:Product) RETURN p.sku AS head_id, 'x' AS tail_id"}]},
            r"query for the facts 'FROM' returns tail_id 'x', which is no id of label 'Region' \(2 of 2 rows\)",
        ),
        ({"facts": [FACT | {"tail_label": "Land"}]}, r"no label 'Land'"),
        (
            {"interactions": {"query": "MATCH (c:Customer) RETURN c.nr AS user"}},
            r"the interactions query returns user; it must",
        ),
        (
            {"interactions": {"query": ORDERS.replace("p.sku", "p.title")}},
            r"returns item_id '\w+', which is no id of label 'Product' \(3 of 3 rows\)",
        ),
    ],
)
def test_schema_that_does_not_fit_says_what_is_there(
    shop: GraphStore, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        shop.snapshot(shop_schema(**changes))


def test_default_schema_on_somebody_s_own_graph_names_its_labels(shop: GraphStore) -> None:
    with pytest.raises(ConfigError, match=r"no label 'User' that the schema names; it has .*Customer"):
        shop.snapshot()


def test_weight_that_is_no_number_is_an_error(shop: GraphStore) -> None:
    shop.cypher("MATCH ()-[r:VIEWED]->() SET r.stars = 'many'")
    with pytest.raises(DataError, match=r"VIEWED.stars holds 'many'"):
        shop.snapshot(shop_schema(interactions={"type": "VIEWED", "weight": "stars"}))


# -- the schema alone ------------------------------------------------------------------------------


def test_yaml_round_trip(tmp_path: Path) -> None:
    schema = shop_schema(interactions={"query": ORDERS}, fact_types=["GROWN_IN"], entity_labels=["Region"])
    assert GraphSchema.from_yaml(schema.to_yaml()) == schema
    (tmp_path / "schema.yaml").write_text(schema.to_yaml())
    assert GraphSchema.from_yaml(tmp_path / "schema.yaml") == schema
    assert GraphSchema.from_yaml(GraphSchema().to_yaml()) == GraphSchema()
    several = shop_schema(interactions=["VIEWED", {"query": ORDERS, "factor": -0.5}], facts=[FACT])
    assert GraphSchema.from_yaml(several.to_yaml()) == several


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_lable: X", r"user_lable in the graph schema: Extra inputs"),
        (
            "interactions: {type: A, query: B}",
            r"interactions.0 in the graph schema: .*either a relationship type or",
        ),
        ("user_label: Item", r"users and items cannot share the label 'Item'"),
        ("interactions: [A, A]", r"the interaction type 'A' stands twice"),
        ("interactions: []", r"give at least one kind of interaction"),
        ("interactions: {type: A, factor: .nan}", r"interactions.0.factor in the graph schema"),
        ("a: [", "the schema is not YAML"),
    ],
)
def test_bad_yaml_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        GraphSchema.from_yaml(text)
    assert "\n" not in str(caught.value)


def test_schema_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GraphSchema().user_label = "X"  # type: ignore[misc]


def test_a_description_that_is_unique_is_the_text_and_not_the_id(store: GraphStore) -> None:
    store.cypher(
        "UNWIND range(0, 9) AS i CREATE (:Album {slug: 'a' + toString(i), title: 'Album ' + toString(i), "
        "notes: 'Songs about a long journey through the night by train, recorded at once, number ' + toString(i)}), "
        "(:Listener {login: 'l' + toString(i)})"
    )
    store.cypher("MATCH (l:Listener), (a:Album) CREATE (l)-[:PLAYED]->(a)")
    album = GraphSchema.infer(store).label("Album")
    assert (album.id, album.name, album.text) == ("slug", "title", "notes")
