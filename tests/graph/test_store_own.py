"""Changes to a graph in somebody's own layout, through its schema; on both engines."""

from collections.abc import Iterator

import pandas as pd
import pytest

from kgenre.graph import GraphSchema, GraphStore
from kgenre.graph.errors import ConfigError, DataError

SHOP = """
CREATE (ann:Customer {nr: 7, fullName: 'Ann'}), (bob:Customer {nr: 8, fullName: 'Bob'}),
       (tea:Product {sku: 'T-1', title: 'Tea', about: 'Green', price: 3}),
       (pot:Product {sku: 'P-1', title: 'Pot', about: 'Iron', price: 40}),
       (asia:Region {id: 'asia', name: 'Asia'}),
       (ann)-[:VIEWED {stars: 4.0, at: datetime('1970-01-01T00:01:00Z')}]->(pot), (bob)-[:VIEWED]->(tea),
       (tea)-[:GROWN_IN]->(asia)
"""
SCHEMA = GraphSchema.model_validate(
    {
        "user_label": "Customer",
        "item_label": "Product",
        "labels": {
            "Customer": {"id": "nr", "name": "fullName", "text": None},
            "Product": {"id": "sku", "name": "title", "text": "{title}: {about}"},
        },
        "entity_labels": ["Region"],
        "interactions": {"type": "VIEWED", "weight": "stars", "timestamp": "at", "factor": 0.5},
    }
)
VIEWED = (
    "MATCH (c:Customer)-[v:VIEWED]->(p:Product) RETURN c.nr AS nr, p.sku AS sku, v.stars AS stars, v.at AS at"
)


@pytest.fixture
def shop(store: GraphStore) -> Iterator[GraphStore]:
    store.cypher(SHOP)
    before, store.schema = store.schema, SCHEMA
    yield store
    # Nothing of kgenre's own layout is left behind.
    assert store.cypher("MATCH (n) WHERE n:User OR n:Item RETURN n").empty
    assert store.cypher("MATCH ()-[r:INTERACTED]->() RETURN r").empty
    store.schema = before


def test_interactions_are_the_schema_s_relationships_with_its_properties(shop: GraphStore) -> None:
    frame = pd.DataFrame(
        {"user_id": ["7", "9"], "item_id": ["T-1", "P-1"], "weight": [1.0, -1.0], "timestamp": [86400, None]}
    )
    shop.add_interactions(frame)
    shop.add_interactions(frame)
    found = shop.cypher(VIEWED + " ORDER BY nr, sku")
    assert found[["nr", "sku"]].to_numpy().tolist() == [[7, "P-1"], [7, "T-1"], [8, "T-1"], [9, "P-1"]]
    assert found["stars"].tolist()[1::2] == [2.0, -2.0]
    assert found["at"][1].isoformat() == "1970-01-02T00:00:00+00:00"
    kg = shop.snapshot()
    assert kg.users.vocabulary.ids.tolist() == ["7", "8", "9"]
    assert kg.interactions.weight.tolist() == [2.0, 1.0, 0.5, -1.0]
    assert shop.remove_interactions(frame) == 2
    assert shop.remove_interactions(frame) == 0
    assert len(shop.cypher(VIEWED)) == 2


def test_nodes_have_the_schema_s_ids_names_and_properties(shop: GraphStore) -> None:
    shop.add_nodes(
        "Product", pd.DataFrame({"item_id": ["C-1"], "name": ["Cup"], "about": ["Clay"], "price": [5]})
    )
    shop.add_nodes("Product", pd.DataFrame({"id": ["T-1"], "price": [4]}))
    shop.add_nodes("Customer", pd.DataFrame({"user_id": [10], "name": ["Cy"]}))
    shop.add_nodes("Region", pd.DataFrame({"id": ["peru"], "name": ["Peru"]}))
    cup = shop.cypher("MATCH (p:Product {sku: 'C-1'}) RETURN properties(p) AS p")["p"][0]
    assert cup == {"sku": "C-1", "title": "Cup", "about": "Clay", "price": 5}
    kg = shop.snapshot()
    assert kg.items.names.to_pylist() == ["Cup", "Pot", "Tea"]
    assert kg.items.texts.to_pylist() == ["Cup: Clay", "Pot: Iron", "Tea: Green"]
    assert kg.items.properties["price"].to_pylist() == [5, 40, 4]
    assert shop.cypher("MATCH (c:Customer {nr: 10}) RETURN c.fullName AS name")["name"].tolist() == ["Cy"]
    assert kg.table("Region").vocabulary.ids.tolist() == ["asia", "peru"]
    assert shop.remove_nodes("Customer", ["10", "8"]) == 3
    assert shop.snapshot().users.vocabulary.ids.tolist() == ["7"]


def test_facts_are_relationships_between_the_schema_s_nodes(shop: GraphStore) -> None:
    facts = pd.DataFrame(
        {"head_id": ["P-1", "T-1"], "relation": ["GROWN_IN", "BEST_WITH"], "tail_id": ["asia", "P-1"]}
    )
    shop.add_facts(facts.assign(weight=[0.5, 1.0]))
    kg = shop.snapshot()
    assert kg.relations == ("BEST_WITH", "GROWN_IN")
    assert [len(facts) for facts in kg.facts] == [1, 2]
    assert kg.n_nodes == 5
    assert shop.remove_facts(facts) == 2
    assert shop.snapshot().relations == ("GROWN_IN",)


def test_a_snapshot_written_back_changes_nothing(shop: GraphStore) -> None:
    before, kg = shop.cypher(VIEWED + " ORDER BY nr"), shop.snapshot()
    shop.write(kg)
    assert kg.differences(shop.snapshot()) == []
    pd.testing.assert_frame_equal(
        shop.cypher(VIEWED + " ORDER BY nr")[["nr", "sku", "at"]], before[["nr", "sku", "at"]]
    )
    assert shop.cypher("MATCH (n) RETURN count(n) AS n")["n"][0] == 5


def test_of_two_events_on_a_pair_the_later_counts(shop: GraphStore) -> None:
    assert shop.add_events([("7", "P-1", -1.0, 30.0, "a")]) == ([], None)
    new = ("7", "P-1", -1.0, 90.0, "b")
    assert shop.add_events([("7", "P-1", 1.0, 80.0, "c"), new]) == ([new], None)
    assert shop.add_events([("11", "T-1", 1.0, 5.0, "d")])[0] != []
    kg = shop.snapshot()
    assert kg.dislikes.nnz == 1
    assert kg.users.vocabulary.ids.tolist() == ["11", "7", "8"]
    back = ("7", "P-1", 0.0, 90.0, "c")
    assert shop.add_events([back])[0] == [back]
    assert shop.snapshot().n_interactions == 2


def settings(**changes: object) -> GraphSchema:
    return GraphSchema.model_validate(SCHEMA.model_dump() | changes)


LIKE = pd.DataFrame({"user_id": ["7"], "item_id": ["T-1"]})
ORDERS = "MATCH (c:Customer)-[:VIEWED]->(p:Product) RETURN c.nr AS user_id, p.sku AS item_id"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (settings(interactions={"query": ORDERS}), r"they are what a Cypher query of the schema finds"),
        (
            settings(interactions={"type": "VIEWED", "threshold": 3}),
            r"VIEWED.weight is a rating, a like from 3 on",
        ),
        (settings(interactions=["VIEWED", {"query": ORDERS}]), r"several kinds \(VIEWED, query\)"),
        (settings(interactions={"type": "VIEWED", "factor": 0}), r"counts for nothing"),
    ],
)
def test_interactions_that_the_schema_cannot_turn_round_are_refused(
    shop: GraphStore, schema: GraphSchema, message: str
) -> None:
    shop.schema = schema
    for change in (shop.add_interactions, shop.remove_interactions):
        with pytest.raises(
            ConfigError, match=f"interactions cannot be written to .*{message}.*change it in Cypher"
        ):
            change(LIKE)
    with pytest.raises(ConfigError, match=message):
        shop.add_events([("7", "T-1", 1.0, 5.0, "d")])
    # What is no interaction is taken still.
    shop.add_nodes("Region", pd.DataFrame({"id": ["peru"]}))
    assert len(shop.cypher(VIEWED)) == 2


def test_what_the_schema_would_not_read_is_refused_and_nothing_written(shop: GraphStore) -> None:
    shop.schema = settings(
        fact_types=["GROWN_IN"],
        labels=SCHEMA.model_dump()["labels"]
        | {"Product": {"id": "sku", "name": None, "properties": ["about"]}},
    )
    fact = pd.DataFrame({"head_id": ["T-1"], "relation": ["BEST_WITH"], "tail_id": ["P-1"]})
    region = {"relation": "GROWN_IN", "tail_label": "Country"}
    for change, message in (
        (lambda: shop.add_facts(fact), r"takes no facts 'BEST_WITH' \(it has GROWN_IN\)"),
        (lambda: shop.add_facts(fact.assign(**region)), r"takes no label 'Country' \(it has Region beside"),
        (lambda: shop.add_facts(fact.assign(relation="VIEWED")), r"'VIEWED' are no facts"),
        (lambda: shop.add_nodes("Shelf", pd.DataFrame({"id": ["s"]})), r"takes no label 'Shelf'"),
        (
            lambda: shop.add_nodes("Product", pd.DataFrame({"id": ["x"], "name": ["X"]})),
            r"no name for Product",
        ),
        (
            lambda: shop.add_nodes("Product", pd.DataFrame({"id": ["x"], "price": [1]})),
            r"no property 'price'",
        ),
        (
            lambda: shop.add_nodes("Customer", pd.DataFrame({"id": ["7"], "text": ["x"]})),
            r"text of Customer is 'none'",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            change()
    with pytest.raises(DataError, match=r"ids of Customer in the store are whole numbers, and 'x' is none"):
        shop.add_nodes("Customer", pd.DataFrame({"id": ["x"]}))
    assert shop.cypher("MATCH (n) RETURN count(n) AS n")["n"][0] == 5
