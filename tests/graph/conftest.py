from pathlib import Path

import polars as pl
import pytest
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
KEY = TEXT.filter(bool)
TAKEN = ("id", "name", "text", "user_id", "item_id")
COLUMNS = [
    (pl.String, TEXT),
    (pl.Int64, st.integers(-(2**63) + 1, 2**63 - 1)),
    (pl.Float64, st.floats(allow_nan=False)),
    (pl.Boolean, st.booleans()),
    (pl.List(pl.String), st.lists(TEXT, max_size=3)),
    (pl.List(pl.Int64), st.lists(st.integers(-9, 9), min_size=1, max_size=3)),
]


@st.composite
def _graphs(draw: st.DrawFn) -> KnowledgeGraph:
    builder = GraphBuilder()
    nodes: list[tuple[str, str]] = []
    labels = ["User", "Item", *draw(st.lists(KEY.map("L{}".format), max_size=2, unique=True))]
    for label in labels:
        ids = draw(st.lists(KEY, unique=True, max_size=4))
        columns = {}
        for key in draw(
            st.lists(KEY.filter(lambda key: key not in TAKEN and "\0" not in key), max_size=2, unique=True)
        ):
            dtype, values = draw(st.sampled_from(COLUMNS))
            values = st.lists(st.none() | values, min_size=len(ids), max_size=len(ids))
            columns[key] = pl.Series(draw(values), dtype=dtype)
        words = st.lists(st.none() | TEXT, min_size=len(ids), max_size=len(ids))
        builder.add_nodes(label, ids, draw(words), draw(words), columns)
        nodes += [(label, key) for key in ids]
    number = st.floats(-1e6, 1e6, width=32)
    for user, item in draw(st.lists(st.tuples(KEY, KEY), max_size=4)):
        time = draw(st.none() | st.floats(-1e12, 1e12))
        builder.add_interactions([user], [item], [draw(number)], [time])
    if nodes:
        node = st.sampled_from(nodes)
        for relation, head, tail in draw(st.lists(st.tuples(KEY, node, node), max_size=5)):
            notes = [draw(st.none() | number)], [draw(st.none() | number)]
            builder.add_facts(relation, [head[1]], [tail[1]], head[0], tail[0], *notes)
    return builder.build()


@pytest.fixture(scope="session")
def graphs() -> st.SearchStrategy[KnowledgeGraph]:
    """Small graphs with everything a graph can hold."""
    return _graphs()


@pytest.fixture
def atomic(tmp_path: Path):
    """Write a folder of atomic files; keyword ``train_inter`` is the file ``films.train.inter``."""

    def write(**files: str | bytes) -> Path:
        for kind, content in files.items():
            path = tmp_path / f"films.{kind.replace('_', '.')}"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


@pytest.fixture(scope="session")
def small() -> KnowledgeGraph:
    """Two users, three items, two directors; ann likes Alien and dislikes Babe, bob likes Alien."""
    builder = GraphBuilder()
    builder.add_nodes("Item", ["i1", "i2", "i3"], ["Alien", "Babe", None], ["In space.", None, None])
    builder.add_nodes("Person", ["p1", "p2"], ["Ridley Scott", "Chris Noonan"], None, {"born": [1937, None]})
    builder.add_interactions(["ann", "ann", "bob"], ["i1", "i2", "i1"], [1, -1, 2], [10, 20, None])
    builder.add_facts("DIRECTED_BY", ["i1", "i2"], ["p1", "p2"], "Item", "Person")
    builder.add_facts("SEQUEL", ["i1"], ["i3"], "Item", "Item", [0.5])
    return builder.build()
