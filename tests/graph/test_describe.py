from html import unescape

import pandas as pd

from kgenre.graph import GraphBuilder, KnowledgeGraph

HOSTILE = "<script>alert('owned')</script>"


def test_labels_are_counted_with_their_degrees(small: KnowledgeGraph) -> None:
    labels = small.describe().labels.set_index("label")
    assert labels["nodes"].to_dict() == {"User": 2, "Item": 3, "Person": 2}
    assert labels["named"].to_dict() == {"User": 0.0, "Item": 0.667, "Person": 1.0}
    # Alien: two users, a director, a sequel; Babe: a user and a director; the third: the sequel.
    assert (labels.loc["Item", "highest"], labels.loc["Item", "largest"], labels.loc["Item", "degree"]) == (
        4,
        "Alien",
        2,
    )


def test_relations_are_counted_between_labels_with_an_example_in_words(small: KnowledgeGraph) -> None:
    relations = small.describe().relations.set_index("relation")
    assert list(relations.index) == ["INTERACTED", "DIRECTED_BY", "SEQUEL"]
    assert relations.loc["DIRECTED_BY", ["head", "tail", "facts", "heads", "tails"]].tolist() == [
        "Item",
        "Person",
        2,
        2,
        2,
    ]
    assert relations.loc["DIRECTED_BY", "example"] == "Alien: directed by Ridley Scott"
    assert relations.loc["INTERACTED", "example"] == "User ann: interacted Alien"


def test_relation_between_several_labels_has_a_row_for_each() -> None:
    facts = pd.DataFrame(
        [
            ("i1", "OF", "a", "Item", "City"),
            ("i1", "OF", "b", "Item", "Land"),
            ("b", "OF", "i1", "Land", "Item"),
        ],
        columns=["head_id", "relation", "tail_id", "head_label", "tail_label"],
    )
    kg = KnowledgeGraph.from_frames(items=pd.DataFrame({"item_id": ["i1"]}), facts=facts)
    assert kg.describe().relations[["head", "tail"]].to_numpy().tolist() == [
        ["Item", "City"],
        ["Item", "Land"],
        ["Land", "Item"],
    ]


def test_empty_graph_is_described() -> None:
    found = GraphBuilder().build().describe()
    assert found.labels["nodes"].tolist() == [0, 0]
    assert len(found.relations) == 0
    assert "Nodes" in found._repr_html_()
    assert str(found)


def test_hostile_names_are_text() -> None:
    builder = GraphBuilder()
    builder.add_nodes("Item", ["i"], [HOSTILE])
    builder.add_nodes(HOSTILE, ["e"], [HOSTILE])
    builder.add_facts(HOSTILE, ["i"], ["e"], "Item", HOSTILE)
    html = builder.build().describe()._repr_html_()
    assert "<script" not in html
    assert HOSTILE in unescape(html)


def test_schema_is_a_picture_of_labels_and_relations(small: KnowledgeGraph) -> None:
    found = small.schema_graph()
    assert {node.name for node in found.nodes} == {"User (2)", "Item (3)", "Person (2)"}
    assert set(found.frame["relation"]) == {"INTERACTED", "DIRECTED_BY", "SEQUEL"}
    assert found.graph(size="nodes").relationships[0].properties["facts"] == 3
