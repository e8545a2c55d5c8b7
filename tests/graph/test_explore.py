"""Walking a graph and drawing it, in a store of either engine and in a snapshot."""

import json
import re
import time
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgenre.graph import GraphSchema, GraphStore, KnowledgeGraph
from kgenre.graph.errors import ConfigError, CypherError, DataError, MissingDependencyError, UnknownIdError
from kgenre.graph.explore import Exploration, shares
from kgenre.graph.picture import GraphPicture, PictureEdge, PictureNode

HOSTILE = "</script><script>document.title='owned'</script>"
ODD = [HOSTILE, "<img src=x onerror=alert(1)>", "'\"><b>", "مرحبا بالعالم", "🎬" * 30, "x" * 5_000, "&amp;"]


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    facts = [
        ("i1", "DIRECTED_BY", "p1"),
        ("i2", "DIRECTED_BY", "p1"),
        ("i3", "DIRECTED_BY", "p2"),
        ("i1", "SEQUEL", "i2"),
    ]
    return KnowledgeGraph.from_frames(
        pd.DataFrame({"user_id": ["ann", "bob"], "item_id": ["i1", "i1"], "weight": [1.0, -1.0]}),
        items=pd.DataFrame(
            {"item_id": ["i1", "i2", "i3"], "name": ["Alien", "Aliens", "Babe"], "year": [1979, 1986, 1995]}
        ),
        Person=pd.DataFrame({"id": ["p1", "p2"], "name": ["Ridley Scott", "Babe"]}),
        facts=pd.DataFrame(facts, columns=["head_id", "relation", "tail_id"]),
    )


@pytest.fixture(params=["snapshot", "embedded", "neo4j"])
def place(request: pytest.FixtureRequest, films: KnowledgeGraph) -> Any:
    """Something with ``explore``: a snapshot, or a store of either engine that holds it."""
    if request.param == "snapshot":
        return films
    store = request.getfixturevalue(f"_{request.param}_store")
    store.cypher("MATCH (n) DETACH DELETE n")
    store.write(films)
    return store


def edges(picture: GraphPicture) -> set[tuple[str, str, str]]:
    return set(picture.frame[["head", "relation", "tail"]].itertuples(index=False, name=None))


# -- walking -------------------------------------------------------------------------------------------


def test_a_node_is_found_by_id_name_or_label_with_what_it_is_linked_to(place: Any) -> None:
    wanted = {
        ("Alien", "DIRECTED_BY", "Ridley Scott"),
        ("Alien", "SEQUEL", "Aliens"),
        ("User ann", "INTERACTED", "Alien"),
        ("User bob", "INTERACTED", "Alien"),
    }
    for start in ("i1", "Alien", ("Item", "i1")):
        assert edges(place.explore(start)) == wanted
    assert place.explore("Alien").notices == ()


def test_a_name_that_two_nodes_share_draws_both(place: Any) -> None:
    assert edges(place.explore("Babe")) == {("Babe", "DIRECTED_BY", "Babe")}
    assert {node.label for node in place.explore("Babe").nodes} == {"Item", "Person"}


def test_expanding_adds_what_a_drawn_node_is_linked_to(place: Any) -> None:
    shown = place.explore("Babe").expand(("Item", "i3"))
    assert edges(shown) == edges(place.explore("Babe"))
    near = place.explore("Alien")
    far = near.expand("Ridley Scott")
    assert edges(far) - edges(near) == {("Aliens", "DIRECTED_BY", "Ridley Scott")}
    assert len({node.key for node in far.nodes}) == len(far.nodes)


def test_expanding_what_is_not_drawn_says_what_is_near(place: Any) -> None:
    with pytest.raises(
        UnknownIdError, match=r"no node that is drawn is 'Ridly Scott'; nearest: Ridley Scott"
    ):
        place.explore("Alien").expand("Ridly Scott")


def test_unknown_start_is_named(place: Any) -> None:
    with pytest.raises(UnknownIdError, match="the id or name 'Alienn'"):
        place.explore("Alienn")
    with pytest.raises(UnknownIdError, match="Film"):
        place.explore(("Film", "i1"))
    with pytest.raises(UnknownIdError, match="i9"):
        place.explore(("Item", "i9"))


def test_limit_below_one_is_refused(place: Any) -> None:
    with pytest.raises(ConfigError, match="limit=0"):
        place.explore("Alien", limit=0)


def test_frames_say_what_is_drawn(place: Any) -> None:
    found = place.explore("Alien")
    row = found.frame.set_index("relation").loc["DIRECTED_BY"]
    assert row[["head_label", "head_id", "tail_label", "tail_id"]].tolist() == ["Item", "i1", "Person", "p1"]
    nodes = found.node_frame.set_index("id")
    assert nodes.loc["i1", "year"] == 1979
    assert nodes.loc["p1", "name"] == "Ridley Scott"


def test_hub_is_sampled_and_says_so(place: Any) -> None:
    crowd = pd.DataFrame({"user_id": [f"u{i}" for i in range(200)], "item_id": "i3"})
    kg = KnowledgeGraph.from_frames(
        crowd, facts=pd.DataFrame({"head_id": ["i3"], "relation": ["OF"], "tail_id": ["e"]})
    )
    if isinstance(place, GraphStore):
        place.write(kg)
    found = (place if isinstance(place, GraphStore) else kg).explore(("Item", "i3"), limit=10)
    drawn = found.frame["relation"].value_counts()
    # Rare relations come whole.
    assert drawn["OF"] == 1
    assert drawn["INTERACTED"] == 10 - drawn.drop("INTERACTED").sum()
    assert [
        notice
        for notice in found.notices
        if f"{drawn['INTERACTED']} of its 200 INTERACTED are drawn" in notice
    ]


@pytest.mark.parametrize(
    ("sizes", "limit", "wanted"),
    [([1, 100, 100], 11, [1, 5, 5]), ([3, 2], 10, [3, 2]), ([50, 50, 50], 2, [1, 1, 1]), ([], 5, [])],
)
def test_shares_give_small_groups_whole_and_every_group_something(
    sizes: list[int], limit: int, wanted: list[int]
) -> None:
    assert shares(sizes, limit) == wanted


def test_sample_of_a_snapshot_is_the_same_every_time() -> None:
    likes = pd.DataFrame({"user_id": [f"u{i}" for i in range(300)], "item_id": "hub"})
    kg = KnowledgeGraph.from_frames(likes)
    first, again = (kg.explore("hub", limit=20).frame for _ in range(2))
    assert first.equals(again)
    # From everywhere, not the first twenty.
    assert len(set(first["head_id"]) - {f"u{i}" for i in range(20)}) > 10


# -- what a query finds --------------------------------------------------------------------------------


@pytest.fixture
def filled(store: GraphStore, films: KnowledgeGraph) -> GraphStore:
    store.write(films)
    return store


@pytest.mark.parametrize(
    ("query", "nodes", "relations"),
    [
        ("MATCH p = (:Item {id: $id})-[:DIRECTED_BY]->() RETURN p", 2, 1),
        ("MATCH (:Item {id: $id})-[r:DIRECTED_BY]->() RETURN r", 2, 1),
        ("MATCH (i:Item) WHERE i.id <> $id RETURN collect(i) AS films, {a: 1} AS b", 2, 0),
        ("// who\nMATCH (i:Item {id: $id})<-[r]-(u) RETURN u, r, i", 3, 2),
    ],
)
def test_result_of_a_query_is_drawn(filled: GraphStore, query: str, nodes: int, relations: int) -> None:
    found = filled.explore(query, id="i1")
    assert (len(found.nodes), len(found.edges)) == (nodes, relations)
    assert all(node.name and node.id for node in found.nodes)


def test_query_without_a_graph_in_its_result_is_refused(filled: GraphStore) -> None:
    with pytest.raises(ConfigError, match="returns no node, relationship or path"):
        filled.explore("MATCH (i:Item) RETURN i.name")


def test_broken_query_and_stray_parameter_are_refused(filled: GraphStore) -> None:
    with pytest.raises(CypherError):
        filled.explore("MATCH (i:Item RETURN i")
    with pytest.raises(ConfigError, match="x is a parameter, and 'Alien' is no query"):
        filled.explore("Alien", x=1)


def test_nodes_that_no_schema_tells_of_are_called_by_what_looks_like_a_name(
    embedded_store: GraphStore,
) -> None:
    embedded_store.cypher(
        "CREATE (:Album {slug: 'a', title: 'Low'}), (:Artist {fullName: 'David Bowie'}), (:Shelf {row: 3})"
    )
    drawn = embedded_store.explore("MATCH (n) WHERE NOT n:User AND NOT n:Item RETURN n")
    assert {"Low", "David Bowie", "Shelf"} <= {node.name for node in drawn.nodes}


def test_own_schema_gives_ids_and_names(store: GraphStore) -> None:
    store.cypher("CREATE (:Product {sku: 7, title: 'Sencha'})-[:IN]->(:Shelf {nr: 3})")
    before = store.schema
    store.schema = GraphSchema.from_yaml(
        "{user_label: Customer, item_label: Product, "
        "labels: {Product: {id: sku, name: title}, Shelf: {id: nr, name: null}}}"
    )
    try:
        for start in ("7", "Sencha", ("Product", "7")):
            assert edges(store.explore(start)) == {("Sencha", "IN", "Shelf 3")}
    finally:
        store.schema = before


# -- pictures ------------------------------------------------------------------------------------------


def drawn(html: str) -> dict[str, Any]:
    """What a picture hands to neo4j-viz, unpacked as the browser does."""
    import base64
    import gzip

    packed = re.search(r"srcdoc=\"(.*?)\"", html, re.DOTALL)
    assert packed is not None
    data = re.search(r"atob\('([^']*)'\)", unescape(packed[1]))
    assert data is not None
    document = gzip.decompress(base64.b64decode(data[1])).decode()
    found = re.search(
        r'<script type="application/json" id="neo4j-viz-data">(.*?)</script>', document, re.DOTALL
    )
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.fixture(scope="module")
def odd() -> GraphPicture:
    nodes = [
        PictureNode(str(i), name, name, name, {"text": name, "vector": [0.5] * 384})
        for i, name in enumerate(ODD)
    ]
    return GraphPicture(
        tuple(nodes),
        tuple(PictureEdge("0", str(i), ODD[i], {"note": HOSTILE}) for i in range(1, len(ODD))),
        (HOSTILE,),
    )


def test_hostile_names_are_text(odd: GraphPicture) -> None:
    html = odd.to_html()
    assert HOSTILE not in html
    assert "<img" not in html
    assert "<b>" not in html
    given = drawn(html)
    assert [node["caption"] for node in given["nodes"]] == ODD
    assert given["nodes"][0]["properties"]["text"] == HOSTILE
    # Only the picture's own unpacking.
    assert html.count("<script") == 0
    assert unescape(html).count("<script>") == 1 + html.count("&lt;script&gt;document")


def test_long_names_are_cut_in_the_table_and_vectors_are_not_shown(odd: GraphPicture) -> None:
    html = odd._repr_html_()
    assert "x" * 201 not in html
    assert drawn(html)["nodes"][0]["properties"]["vector"] == "384 values"


def test_captions_colours_and_sizes_follow_neo4j_viz(films: KnowledgeGraph) -> None:
    found = films.explore("Alien")
    graph = found.graph()
    by_name = {node.properties["name"]: node for node in graph.nodes}
    assert by_name["Alien"].caption == "Alien"
    assert by_name["Alien"].color == by_name["Aliens"].color != by_name["Ridley Scott"].color
    assert by_name["Alien"].size > by_name["Ridley Scott"].size
    by_year = {node.properties["name"]: node for node in found.graph(caption="year", size="year").nodes}
    assert by_year["Aliens"].caption == "1986"
    assert by_year["Aliens"].size > by_year["Alien"].size > by_year["Ridley Scott"].size
    with pytest.raises(ConfigError, match="'height'"):
        found.graph(size="height")


def test_more_labels_than_colours_share_them_in_silence() -> None:
    nodes = tuple(PictureNode(str(i), f"L{i}", str(i), str(i)) for i in range(30))
    assert len({str(node.color) for node in GraphPicture(nodes, ()).graph().nodes}) == 12


def test_double_click_on_the_live_widget_expands(films: KnowledgeGraph) -> None:
    from neo4j_viz.options import InteractionEvent

    shown = films.explore("Alien")
    widget = shown.widget()
    scott = next(node for node in widget.nodes if node.caption == "Ridley Scott")
    assert len(widget.relationships) == 4
    widget.last_event = InteractionEvent(type="node_double_click", id=str(scott.id))
    assert len(widget.relationships) == 5
    assert len({node.id for node in widget.nodes}) == len(widget.nodes) == len(shown.nodes)
    widget.last_event = InteractionEvent(type="node_click", id=str(scott.id))
    assert len(widget.relationships) == 5


def test_nothing_to_draw_says_so() -> None:
    assert "Nothing to draw" in GraphPicture((), ())._repr_html_()


def test_saving_where_one_cannot_write_is_one_line(odd: GraphPicture, tmp_path: Any) -> None:
    odd.save(tmp_path / "picture.html")
    assert (tmp_path / "picture.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(DataError, match="cannot write"):
        odd.save(tmp_path / "no" / "picture.html")


def test_without_neo4j_viz_the_extra_is_named(films: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "neo4j_viz", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'kgenre\[notebook\]'"):
        films.explore("Alien").graph()


def test_explorations_are_described_in_a_line(films: KnowledgeGraph) -> None:
    assert repr(films.explore("Babe")) == "<Exploration: 2 nodes, 1 relationships>"
    assert isinstance(films.explore("Babe"), Exploration)


def test_a_hub_of_a_hundred_thousand_is_drawn_in_two_seconds_and_cut_with_a_notice() -> None:
    items = np.arange(100_000).astype(str)
    facts = pd.DataFrame({"head_id": items, "relation": "HAS", "tail_id": "hub", "tail_label": "Theme"})
    kg = KnowledgeGraph.from_frames(items=pd.DataFrame({"item_id": items}), facts=facts)
    begun = time.process_time()
    few = kg.explore(("Theme", "hub"))
    assert "30 of its 100,000 HAS are drawn" in few.to_html()
    assert time.process_time() - begun < 2
    # Who asks for all of them gets the picture of a part, and is told.
    every = kg.explore(("Theme", "hub"), limit=100_000)
    assert len(every.frame) == 100_000
    begun = time.process_time()
    html = every.to_html()
    assert (
        "Drawn are 1,000 of 100,001 nodes, those with most relationships, and 999 of 100,000 relationships."
        in html
    )
    assert time.process_time() - begun < 2
    assert len(html) < 4_000_000
