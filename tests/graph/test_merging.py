"""A small change put into a graph makes the graph that the builder makes of both."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.merging import merged

IDS = st.sampled_from(["a", "b", "c", "d", "é", "0"])
VALUE = st.one_of(st.none(), st.sampled_from(["x", "y", ""]))
LABELS = st.sampled_from(["Item", "Person", "Alien", "Zoo"])
NODES = st.dictionaries(IDS, st.tuples(VALUE, VALUE, st.one_of(st.none(), st.integers(0, 3))), max_size=4)
FACTS = st.lists(
    st.tuples(IDS, st.sampled_from(["MADE", "LIKE"]), IDS, LABELS, st.sampled_from([1.0, 2.0])), max_size=6
)


@st.composite
def graphs(draw: st.DrawFn, with_users: bool) -> KnowledgeGraph:
    builder = GraphBuilder()
    for label in ("Item", "Person", "Zoo"):
        nodes = draw(NODES)
        if nodes:
            names, texts, years = zip(*nodes.values(), strict=True)
            given_years = {"year": list(years)} if any(year is not None for year in years) else None
            builder.add_nodes(label, list(nodes), list(names), list(texts), given_years)
    if with_users:
        pairs = draw(st.lists(st.tuples(IDS, IDS), max_size=6))
        if pairs:
            builder.add_interactions(*(list(column) for column in zip(*pairs, strict=True)))
    weighted, timed = draw(st.booleans()), draw(st.booleans())
    for head, relation, tail, label, weight in draw(FACTS):
        stamp = [weight] if timed else None
        builder.add_facts(relation, [head], [tail], "Item", label, [weight] if weighted else None, stamp)
    return builder.build()


def rebuilt(kg: KnowledgeGraph, other: KnowledgeGraph) -> KnowledgeGraph:
    return GraphBuilder().add_graph(other).add_graph(kg).build()


@given(kg=graphs(True), delta=graphs(False))
@settings(max_examples=150, deadline=None)
def test_merged_graph_is_the_one_built_of_both(kg: KnowledgeGraph, delta: KnowledgeGraph) -> None:
    before = [matrix.copy() for matrix in (kg.likes, kg.seen, kg.dislikes)]
    found, wanted = merged(kg, delta), rebuilt(kg, delta)
    assert found is not None
    assert found.equals(wanted), found.differences(wanted)
    for name, kept in zip(("likes", "seen", "dislikes"), before, strict=True):
        np.testing.assert_array_equal(getattr(found, name).toarray(), getattr(wanted, name).toarray())
        np.testing.assert_array_equal(getattr(kg, name).toarray(), kept.toarray())
    for name, matrix in wanted.item_facts().items():
        np.testing.assert_array_equal(found.item_facts()[name].toarray(), matrix.toarray())


@pytest.mark.parametrize(
    "delta",
    [
        GraphBuilder().add_interactions(["u"], ["a"]),
        GraphBuilder().add_nodes("User", ["new"]),
        GraphBuilder().add_nodes("Item", ["a"], properties={"year": ["a word"]}),
        GraphBuilder("Reader", "Book").add_nodes("Book", ["a"]),
    ],
)
def test_what_takes_the_builder_goes_to_the_builder(delta: GraphBuilder) -> None:
    items = pd.DataFrame({"item_id": ["a"], "year": [1999.5]})
    kg = KnowledgeGraph.from_frames(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}), items=items)
    assert merged(kg, delta.build()) is None
