import logging

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder
from kgenre.graph.errors import DataError


def test_order_of_addition_does_not_matter():
    one, two = GraphBuilder(), GraphBuilder()
    one.add_interactions(["b", "a"], ["y", "x"]).add_facts("r", ["x"], ["e"], "Item").add_nodes("User", ["c"])
    two.add_nodes("User", ["c"]).add_facts("r", ["x"], ["e"], "Item")
    two.add_interactions(["a"], ["x"]).add_interactions(["b"], ["y"])
    assert one.build().differences(two.build()) == []


def test_duplicate_interactions_are_merged_latest_first_and_counted(caplog):
    builder = GraphBuilder()
    builder.add_interactions(["u", "u", "u"], ["i", "i", "j"], [1, -1, 1], [200, 100, None])
    with caplog.at_level(logging.INFO):
        kg = builder.build()
    assert kg.interactions.weight.tolist() == [1, 1]
    assert kg.interactions.timestamp[0] == 200
    assert "merged 1 duplicate interactions" in caplog.text


def test_duplicate_facts_are_merged_and_counted(caplog):
    builder = GraphBuilder().add_facts("r", ["a", "a", "a"], ["b", "b", "c"])
    with caplog.at_level(logging.INFO):
        assert builder.build().n_facts == 2
    assert "merged 1 duplicate facts" in caplog.text


def test_first_value_that_is_not_null_wins_property_by_property():
    builder = GraphBuilder()
    builder.add_nodes("Item", ["i"], [None], None, {"year": [None], "genre": ["old"]})
    builder.add_nodes("Item", ["i"], ["Alien"], None, {"year": [1979], "genre": ["new"]})
    items = builder.build().items
    assert items.name(0) == "Alien"
    assert items.properties.to_pylist() == [{"genre": "old", "year": 1979}]


def test_ids_that_only_a_fact_or_an_interaction_names_become_nodes():
    kg = GraphBuilder().add_interactions(["u"], ["i"]).add_facts("r", ["j"], ["e"], "Item").build()
    assert list(kg.items.vocabulary) == ["i", "j"]
    assert list(kg.table("Entity").vocabulary) == ["e"]


def test_a_property_that_no_node_has_is_none():
    kg = GraphBuilder().add_nodes("Item", ["i"], [""], ["  "], {"year": pa.nulls(1).to_pylist()}).build()
    assert kg.items.properties.column_names == []
    assert kg.items.names.to_pylist() == [None]


def test_a_label_that_no_node_has_is_none():
    kg = GraphBuilder().add_nodes("Person", []).add_nodes("Item", ["i"]).build()
    assert kg.labels == ("User", "Item")


def test_labels_of_users_and_items_are_free_but_two():
    kg = GraphBuilder(user_label="Customer", item_label="Film").add_interactions(["u"], ["i"]).build()
    assert kg.labels == ("Customer", "Film")
    with pytest.raises(DataError, match="cannot share the label 'X'"):
        GraphBuilder(user_label="X", item_label="X")


def test_add_graph_takes_over_users_and_items_under_this_builders_labels():
    films = GraphBuilder(item_label="Film").add_nodes("Film", ["f"], ["Alien"])
    films.add_facts("r", ["f"], ["e"], "Film")
    kg = GraphBuilder().add_graph(films.build()).build()
    assert kg.labels == ("User", "Item", "Entity")
    assert kg.relation("r").head.tolist() == [0]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(weight):
    with pytest.raises(DataError, match="weight of user 'u' on item 'i' is"):
        GraphBuilder().add_interactions(["u"], ["i"], [weight])
    with pytest.raises(DataError, match="weight is NaN or infinite"):
        GraphBuilder().add_facts("r", ["a"], ["b"], weight=[weight])


def test_missing_ids_and_ragged_columns_are_refused():
    with pytest.raises(DataError, match="a User id is missing or empty"):
        GraphBuilder().add_interactions(["", "u"], ["i", "j"])
    with pytest.raises(DataError, match="a Item id is missing"):
        GraphBuilder().add_nodes("Item", ["i", None])
    with pytest.raises(DataError, match="columns of different lengths"):
        GraphBuilder().add_interactions(["u", "v"], ["i"])
    with pytest.raises(DataError, match="1 values of 'year' for 2 nodes"):
        GraphBuilder().add_nodes("Item", ["i", "j"], properties={"year": [1979]})
    with pytest.raises(DataError, match="cannot be called 'name'"):
        GraphBuilder().add_nodes("Item", ["i"], properties={"name": ["Alien"]})
    with pytest.raises(DataError, match="rename it"):
        GraphBuilder().add_nodes("Item", ["i"], properties={"a\0b": [1]})


def test_an_empty_graph_is_a_graph():
    kg = GraphBuilder().build()
    assert (kg.n_nodes, kg.n_interactions, kg.n_facts, kg.likes.shape) == (0, 0, 0, (0, 0))
    assert kg.item_facts() == {}


@given(data=st.data())
def test_adding_a_graph_twice_changes_nothing(graphs, data):
    kg = data.draw(graphs)
    assert GraphBuilder().add_graph(kg).add_graph(kg).build().differences(kg) == []


@given(data=st.data())
def test_nodes_are_sorted_and_every_fact_and_interaction_keeps_its_ends(graphs, data):
    kg = data.draw(graphs)
    for table in kg.tables:
        assert list(table.vocabulary) == sorted(table.vocabulary)
    for facts in kg.facts:
        assert ((facts.head >= 0) & (facts.head < kg.n_nodes)).all()
        order = list(zip(facts.head.tolist(), facts.tail.tolist(), strict=True))
        assert order == sorted(set(order))


@pytest.mark.parametrize("key", ["*", "^.*$", "^name$"])
def test_properties_may_be_called_anything(key):
    kg = GraphBuilder().add_nodes("Item", ["i", "j"], ["Alien", None], None, {key: [1, 2]}).build()
    assert kg.items.properties.to_pylist() == [{key: 1}, {key: 2}]
    assert kg.items.names.to_pylist() == ["Alien", None]
