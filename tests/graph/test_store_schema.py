"""A graph with labels of its own, read through a schema; on both engines."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from kgenre.graph import GraphSchema, GraphStore
from kgenre.graph.errors import ConfigError, DataError

SHOP = """
CREATE (ann:Customer {nr: 7, fullName: 'Ann'}), (bob:Customer {nr: 8, fullName: 'Bob'}),
       (tea:Product {sku: 'T-1', title: 'Tea', about: 'Green', price: 3}),
       (pot:Product {sku: 'P-1', title: 'Pot', about: 'Iron', price: 40.5}),
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_lable: X", r"user_lable in the graph schema: Extra inputs"),
        (
            "interactions: {type: A, query: B}",
            r"interactions.0 in the graph schema: .*either a relationship type or",
        ),
        ("user_label: Item", r"users and items cannot share the label 'Item'"),
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
