"""A fact's end without a label is the same node wherever the fact comes from."""

from pathlib import Path

import pandas as pd
import pytest

from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.errors import DataError
from kgenre.graph.fact_ends import labelled

ITEMS = pd.DataFrame({"item_id": ["1", "2"]})
USERS = pd.DataFrame({"user_id": ["1", "3", "ann"]})
PERSONS = pd.DataFrame({"id": ["1", "3", "4"]})
AWARDS = pd.DataFrame({"id": ["4", "5"]})
FACTS = pd.DataFrame(
    {
        "head_id": ["1", "3", "4", "ann", "new", "1"],
        "relation": "R",
        "tail_id": ["2", "2", "5", "2", "2", "2"],
        "head_label": [None, "", None, None, None, "User"],
    }
)
HEADS = {("Item", "1"), ("Person", "3"), ("Award", "4"), ("User", "ann"), ("Entity", "new"), ("User", "1")}


def base() -> KnowledgeGraph:
    return KnowledgeGraph.from_frames(items=ITEMS, users=USERS, Person=PERSONS, Award=AWARDS)


def heads(kg: KnowledgeGraph) -> set[tuple[str, str]]:
    return {(kg.locate(node)[0].label, kg.node_id(node)) for node in kg.relation("R").head.tolist()}


def test_frames() -> None:
    tables = {"items": ITEMS, "users": USERS, "Person": PERSONS, "Award": AWARDS}
    assert heads(KnowledgeGraph.from_frames(**tables, facts=FACTS)) == HEADS


def test_folder(tmp_path: Path) -> None:
    tables = {"nodes_Item": ITEMS, "nodes_User": USERS, "nodes_Person": PERSONS, "nodes_Award": AWARDS}
    for name, table in {**tables, "facts_R": FACTS.drop(columns="relation")}.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    assert heads(KnowledgeGraph.from_folder(tmp_path)) == HEADS


def test_graph() -> None:
    table = labelled(base(), FACTS)
    assert set(zip(table["head_label"], table["head_id"], strict=True)) == HEADS
    with pytest.raises(DataError, match=r"facts: no column 'tail_id'; .*nearest: head_id"):
        labelled(base(), FACTS.drop(columns="tail_id"))


def test_store(store: GraphStore) -> None:
    store.write(base())
    store.add_facts(FACTS)
    assert heads(store.snapshot()) == HEADS
    assert store.remove_facts(FACTS) == len(HEADS)
