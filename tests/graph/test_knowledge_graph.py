import numpy as np
import pytest

from kgenre.graph import GraphBuilder
from kgenre.graph.errors import UnknownIdError


def test_users_come_first_then_items_then_entities_and_each_label_is_a_slice(small):
    assert small.labels == ("User", "Item", "Person")
    assert [small.slice(label) for label in small.labels] == [slice(0, 2), slice(2, 5), slice(5, 7)]
    assert [small.node_id(node) for node in range(small.n_nodes)] == [
        "ann",
        "bob",
        "i1",
        "i2",
        "i3",
        "p1",
        "p2",
    ]


def test_counts(small):
    assert (small.n_users, small.n_items, small.n_nodes, small.n_interactions, small.n_facts) == (
        2,
        3,
        7,
        3,
        3,
    )
    assert repr(small).startswith(
        "KnowledgeGraph(2 users, 3 items, 7 nodes, 3 interactions, 3 facts of 2 rel"
    )


def test_likes_dislikes_and_seen_are_told_apart_by_the_sign_of_the_weight(small):
    assert small.likes.toarray().tolist() == [[1, 0, 0], [1, 0, 0]]
    assert small.dislikes.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]
    assert small.seen.toarray().tolist() == [[1, 1, 0], [1, 0, 0]]


def test_item_facts_stand_in_both_directions_with_their_weight(small):
    found = small.item_facts()
    assert sorted(found) == ["DIRECTED_BY", "SEQUEL", "SEQUEL^-1"]
    assert found["DIRECTED_BY"][0].indices.tolist() == [5]
    assert found["SEQUEL"][0, 4] == 0.5
    assert found["SEQUEL^-1"][2, 2] == 0.5


def test_a_stored_inverse_relation_counts_once():
    builder = GraphBuilder()
    builder.add_facts("directed_by", ["i1"], ["p1"], "Item", "Person")
    builder.add_facts("director_of", ["p1"], ["i1"], "Person", "Item")
    assert list(builder.build().item_facts()) == ["directed_by"]


def test_a_node_without_a_name_is_called_by_label_and_id(small):
    assert small.node_name(2) == "Alien"
    assert small.node_name(4) == "Item i3"


def test_arrays_are_read_only(small):
    arrays = [small.interactions.user, small.interactions.weight, small.interactions.timestamp, small.offsets]
    arrays += [small.facts[0].head, small.facts[1].weight, small.users.vocabulary.ids]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_unknown_names_raise_with_the_nearest(small):
    with pytest.raises(UnknownIdError, match=r"unknown label 'Persn'.*nearest: Person"):
        small.table("Persn")
    with pytest.raises(UnknownIdError, match=r"unknown relation 'DIRECTED'.*nearest: DIRECTED_BY"):
        small.relation("DIRECTED")
    with pytest.raises(UnknownIdError, match=r"unknown item 'i4'.*nearest: i3"):
        small.items.vocabulary.get("i4")
    with pytest.raises(UnknownIdError, match=r"node 7 is outside 0\.\.6"):
        small.locate(7)


def test_vocabulary_maps_both_ways_and_marks_unknown_ids(small):
    items = small.items.vocabulary
    assert items.index(["i3", "i1"]).tolist() == [2, 0]
    assert items.find(["i2", "nobody"]).tolist() == [1, -1]
    assert items.index(["i1"]).dtype == np.int32
    assert "i1" in items
    assert "i9" not in items


def test_every_difference_between_two_graphs_is_told(small):
    def changed(**kind):
        builder = GraphBuilder().add_graph(small)
        getattr(builder, kind.pop("call"))(**kind)
        return small.differences(builder.build())

    assert changed(call="add_nodes", label="Person", ids=["p3"]) == [
        "nodes of label Person differ (2 against 3)"
    ]
    more = changed(call="add_interactions", users=["bob"], items=["i3"])
    assert more == ["interactions differ (3 against 4)"]
    fact = {
        "relation": "SEQUEL",
        "heads": ["i3"],
        "tails": ["i2"],
        "head_label": "Item",
        "tail_label": "Item",
    }
    assert changed(call="add_facts", **fact) == ["facts of relation SEQUEL differ (1 against 2)"]
    assert changed(call="add_facts", **{**fact, "relation": "X"})[0].startswith("relations (")
    assert changed(call="add_nodes", label="Prize", ids=["x"])[0].startswith("labels (")
    assert small.equals(GraphBuilder().add_graph(small).build())


def test_merge_joins_nodes_by_label_and_id_and_the_other_prevails(small):
    other = GraphBuilder()
    other.add_nodes("Item", ["i1", "i3"], ["Alien (1979)", "Aliens"])
    other.add_interactions(["cat"], ["i3"])
    other.add_facts("DIRECTED_BY", ["i3"], ["p3"], "Item", "Person")
    merged = small.merge(other.build())
    assert merged.items.names.to_pylist() == ["Alien (1979)", "Babe", "Aliens"]
    assert merged.items.texts.to_pylist() == ["In space.", None, None]
    assert (merged.n_users, merged.n_interactions, len(merged.relation("DIRECTED_BY"))) == (3, 4, 3)


def test_entity_id_of_a_linked_item():
    builder = GraphBuilder().add_nodes("Item", ["i1", "i2"], properties={"entity_id": ["m.1", None]})
    kg = builder.build()
    assert [kg.entity_id(0), kg.entity_id(1)] == ["m.1", None]
