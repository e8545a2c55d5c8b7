import logging
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.errors import DataError

KEY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), min_size=1, max_size=5)
NAME = KEY.filter(lambda key: key.strip() == key)
WORD = st.text("abcxyzäß-.", min_size=1, max_size=5)
FINITE = st.floats(-1e6, 1e6, width=32)


def back(kg: KnowledgeGraph, folder: Path) -> KnowledgeGraph:
    kg.to_atomic(folder)
    return KnowledgeGraph.from_atomic(
        folder, text=["text"] if kg.items.texts.null_count < kg.n_items else None
    )


@st.composite
def _holdable(draw: st.DrawFn) -> KnowledgeGraph:
    """Graphs that the format can hold: entities of one label, each in a fact, every item of a fact linked."""
    builder = GraphBuilder()
    items = draw(st.lists(KEY, min_size=1, max_size=4, unique=True))
    column = lambda values: draw(st.lists(st.none() | values, min_size=len(items), max_size=len(items)))  # noqa: E731
    linked = {item: f"m.{row}" for row, item in enumerate(items) if draw(st.booleans())}
    properties = {
        "kind": pl.Series(column(KEY), dtype=pl.String),
        "year": pl.Series(column(st.floats(allow_nan=False)), dtype=pl.Float64),
        "tags": pl.Series(column(st.lists(WORD, min_size=1, max_size=3)), dtype=pl.List(pl.String)),
        "points": pl.Series(column(st.lists(FINITE, min_size=1, max_size=3)), dtype=pl.List(pl.Float64)),
        "entity_id": pl.Series([linked.get(item) for item in items], dtype=pl.String),
    }
    texts = ["Some text", *column(NAME)[1:]]
    builder.add_nodes("Item", items, column(NAME), texts, properties)
    users = draw(st.lists(KEY, max_size=3, unique=True))
    builder.add_nodes("User", users, properties={"age": pl.Series([None] * len(users), dtype=pl.String)})
    for item in items:
        builder.add_interactions([draw(KEY)], [item], [draw(FINITE)], [draw(st.none() | FINITE)])
    if linked:
        for relation, head in draw(st.lists(st.tuples(KEY, st.sampled_from(sorted(linked))), max_size=4)):
            tail = draw(st.sampled_from(["m.x", "m.y", "z z"]))
            notes = [draw(st.none() | FINITE)], [draw(st.none() | FINITE)]
            builder.add_facts(relation, [head], [tail], "Item", "Entity", *notes)
        builder.add_facts("next to", [min(linked)], [max(linked)], "Item", "Item")
    return builder.build()


@given(kg=_holdable())
@settings(max_examples=60)
def test_what_the_format_can_hold_comes_back_as_it_was(tmp_path_factory, kg):
    assert back(kg, tmp_path_factory.mktemp("atomic")).differences(kg) == []


def test_files_have_typed_headers_tabs_and_as_many_fields_as_columns(small, tmp_path):
    small.to_atomic(tmp_path / "films")
    names = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert names == ["films.inter", "films.item", "films.kg", "films.link", "films.user"]
    for path in (tmp_path / "films").iterdir():
        header, *rows = path.read_text().rstrip("\n").split("\n")
        fields = header.split("\t")
        assert all(re.fullmatch(r".+:(token|token_seq|float|float_seq)", field) for field in fields)
        assert all(row.count("\t") == len(fields) - 1 for row in rows)
    inter = (tmp_path / "films" / "films.inter").read_text().splitlines()
    assert inter == [
        "user_id:token\titem_id:token\tweight:float\ttimestamp:float",
        "ann\ti1\t1.0\t10.0",
        "ann\ti2\t-1.0\t20.0",
        "bob\ti1\t2.0\t",
    ]


def test_what_the_format_cannot_hold_is_logged(small, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        kg = back(small, tmp_path)
    assert (
        "the label Person; names, texts and properties of Person; that 3 items had no entity_id"
        in caplog.text
    )
    assert list(kg.table("Entity").vocabulary) == ["p1", "p2"]
    assert kg.relations == small.relations
    assert kg.items.properties.to_pylist() == [{"entity_id": key} for key in ("i1", "i2", "i3")]


def test_entities_of_several_labels_stay_apart(tmp_path):
    builder = GraphBuilder().add_interactions(["u"], ["1"])
    for label in ("Entity", "Person", "Place"):
        builder.add_facts("r", ["1"], ["1"], "Item", label)
    kg = back(builder.build(), tmp_path)
    assert list(kg.table("Entity").vocabulary) == ["1", "Person:1", "Place:1"]
    assert kg.entity_id(0) == "Item:1"
    assert kg.n_facts == 3


def test_two_items_never_share_an_entity_in_the_files(tmp_path, caplog):
    builder = GraphBuilder().add_interactions(["u", "u"], ["1", "2"])
    builder.add_nodes("Item", ["1", "2"], properties={"entity_id": ["m.1", "m.1"]})
    builder.add_facts("by", ["1", "2"], ["x", "x"], "Item", "Entity")
    kg = back(builder.build(), tmp_path)
    assert [kg.entity_id(item) for item in range(2)] == ["m.1", "2"]
    assert len(kg.relation("by")) == 2
    assert "an entity that several items share" in caplog.text


def test_lossy_values_are_logged_one_by_one(tmp_path, caplog):
    builder = GraphBuilder().add_interactions(["u"], ["1"])
    columns = {
        "whole": [1],
        "huge": [2**60],
        "yes": [True],
        "none": pl.Series([[]], dtype=pl.List(pl.String)),
        "words": [["a b", "c"]],
        "item_id": ["x"],
        "note": ["a\tb"],
    }
    kg = back(builder.add_nodes("Item", ["1"], ["N"], None, columns).build(), tmp_path)
    assert kg.items.properties.to_pylist() == [
        {"huge": str(2**60), "note": "a b", "whole": 1.0, "words": ["a_b", "c"], "yes": "true"}
    ]
    for part in ("'whole' reads back as floats", "'huge' reads back as strings", "booleans", "empty lists"):
        assert part in caplog.text
    for part in (
        "blanks in lists",
        "property 'item_id', which no column can be called",
        "tabs and line breaks",
    ):
        assert part in caplog.text


def test_what_makes_no_files_is_refused(small, tmp_path):
    with pytest.raises(DataError, match="no interactions; atomic files need at least one"):
        GraphBuilder().add_nodes("Item", ["1"]).build().to_atomic(tmp_path)
    with pytest.raises(DataError, match=r"the id of a User 'a\\tb' holds a tab"):
        GraphBuilder().add_interactions(["a\tb"], ["1"]).build().to_atomic(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        small.to_atomic(tmp_path / "file")
