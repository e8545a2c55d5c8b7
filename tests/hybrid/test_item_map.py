"""`HybridRecommender.map`: items on a plane."""

from html import unescape

import numpy as np
import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.item_map import ItemMap, item_map
from kgenre.hybrid.paths import relation_words

HOSTILE = "</title></svg><script>alert('owned')</script>"


@pytest.fixture(scope="module")
def two() -> tuple[KnowledgeGraph, np.ndarray]:
    """Thirty items in two groups whose vectors point into two directions; the last has none."""
    side = np.arange(30) % 2
    items = pd.DataFrame(
        {"item_id": [f"i{i:02}" for i in range(30)], "name": HOSTILE, "side": np.where(side, "right", "left")}
    )
    facts = pd.DataFrame({"head_id": items["item_id"], "relation": "ON_SIDE", "tail_id": items["side"]})
    likes = pd.DataFrame({"user_id": ["u"], "item_id": ["i00"]})
    kg = KnowledgeGraph.from_frames(likes, items=items, facts=facts)
    vectors = np.random.default_rng(0).normal(0, 0.05, (30, 8)).astype(np.float32)
    vectors[:, 0] += side
    vectors[:, 1] += 1 - side
    vectors[-1] = np.nan
    return kg, vectors


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_what_is_alike_is_near(two: tuple[KnowledgeGraph, np.ndarray], method: str) -> None:
    found = item_map(*two, "ON_SIDE", method).frame
    centres = found.groupby("group")[["x", "y"]].mean()
    inside = np.linalg.norm(found[["x", "y"]].to_numpy() - centres.loc[found["group"]].to_numpy(), axis=1)
    assert (
        np.linalg.norm(centres.loc["on side 2, without a name"] - centres.loc["on side 1, without a name"])
        > 2 * inside.mean()
    )
    assert found["likes"].sum() == 1


def test_map_is_the_same_every_time_and_says_what_it_keeps(two: tuple[KnowledgeGraph, np.ndarray]) -> None:
    kg, vectors = two
    first, again = item_map(kg, vectors), item_map(kg, vectors * 3)
    assert np.allclose(first.frame[["x", "y"]], again.frame[["x", "y"]], atol=1e-5)
    assert "variance" in first.notices[0]
    assert first.notices[1] == "1 items without a vector are left out."


def test_item_with_several_entities_is_coloured_by_the_commonest() -> None:
    facts = pd.DataFrame(
        [(i, "OF", e) for i, e in ["aa", "ab", "bb", "cb", "cd"]], columns=["head_id", "relation", "tail_id"]
    )
    kg = KnowledgeGraph.from_frames(
        items=pd.DataFrame({"item_id": list("abc")}), facts=facts.assign(tail_label="E")
    )
    found = item_map(kg, np.eye(3, dtype=np.float32), "OF").frame
    assert found["group"].tolist() == ["of 1, without a name"] * 3


def test_properties_colour_too_and_unknown_ones_are_named(two: tuple[KnowledgeGraph, np.ndarray]) -> None:
    assert set(item_map(*two, "side").frame["group"]) == {"left", "right"}
    with pytest.raises(UnknownIdError, match=r"'ON_SIDES'; they have ON_SIDE, side; nearest: ON_SIDE"):
        item_map(*two, "ON_SIDES")
    with pytest.raises(ConfigError, match="unknown method 'umap'; use one of pca, tsne"):
        item_map(*two, method="umap")
    with pytest.raises(ConfigError, match="2 items have vectors"):
        item_map(two[0], np.where(np.arange(30)[:, None] < 2, two[1], np.nan))


def test_picture_names_every_item_and_escapes(two: tuple[KnowledgeGraph, np.ndarray], tmp_path) -> None:
    found = item_map(*two, "ON_SIDE")
    found.save(tmp_path / "map.html")
    html = (tmp_path / "map.html").read_text("utf-8")
    assert html.count("<circle") == 29 + 2
    assert "<script" not in html
    assert unescape(html).count(f"<title>{HOSTILE}: on side 1, without a name\nnear {HOSTILE}</title>") == 15
    assert "http" not in html


def test_recommender_maps_its_vectors(genre: HybridRecommender) -> None:
    found = genre.map("DIRECTED_BY")
    assert isinstance(found, ItemMap)
    assert found.color == relation_words("DIRECTED_BY")
    place = found.frame.set_index("item_id")[["x", "y"]]
    assert set(found.frame["group"].dropna()) >= {"Ada Stone", "Ben Reed"}
    # The two films in the fog are nearer to each other than to space.
    assert np.linalg.norm(place.loc["query"] - place.loc["echo"]) < np.linalg.norm(
        place.loc["query"] - place.loc["s0"]
    )


def test_item_says_whom_it_is_near_and_the_rarest_fact_that_both_have() -> None:
    items = pd.DataFrame({"item_id": list("abcdef"), "name": [f"Film {name}" for name in "ABCDEF"]})
    entities = pd.DataFrame({"id": ["x", "y", "z"], "name": ["Ada", "Ben", None]})
    facts = [("a", "DIRECTED_BY", "x"), ("b", "DIRECTED_BY", "x"), ("c", "DIRECTED_BY", "y")]
    facts += [(item, "HAS_GENRE", "y") for item in "abcde"] + [
        ("d", "DIRECTED_BY", "z"),
        ("e", "DIRECTED_BY", "z"),
    ]
    kg = KnowledgeGraph.from_frames(
        items=items,
        E=entities,
        facts=pd.DataFrame(facts, columns=["head_id", "relation", "tail_id"]).assign(tail_label="E"),
    )
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.2, 1], [1, 1]], dtype=np.float32)
    reasons = dict(
        zip(*(item_map(kg, vectors).frame[column] for column in ("item_id", "reason")), strict=True)
    )
    assert reasons["a"] == "near Film B: both directed by Ada"
    # Two that share an entity without a name: the fact that can be said is told.
    assert reasons["d"] == "near Film E: both of the genre Ben"
    assert reasons["f"] in {f"near Film {name}" for name in "ABCDE"}
    likes = pd.DataFrame([("u", "f"), ("u", "a"), ("u", "e"), ("u", "b")], columns=["user_id", "item_id"])
    assert (
        "1 person likes both"
        in item_map(kg.merge(KnowledgeGraph.from_frames(likes)), vectors).frame["reason"][5]
    )
    assert item_map(kg, vectors, language="zh").frame["reason"][0] == "靠近Film B：两者都由Ada执导"


def test_a_user_s_likes_and_list_are_marked_with_the_reasons_of_the_list(genre: HybridRecommender) -> None:
    user = genre.graph.users.vocabulary[0]
    found = genre.map(user=user, k=3)
    marked = found.frame.set_index("item_id")
    listed = genre.recommend(user, k=3)["item_id"]
    assert set(marked.index[marked["mark"] == "listed"]) == set(listed)
    liked = genre.graph.items.vocabulary.ids[genre.graph.likes[0].indices]
    assert set(marked.index[marked["mark"] == "liked"]) == set(liked)
    for item in listed:
        reason = genre.strongest_reason(user, item)
        assert reason is not None
        assert marked.loc[item, "reason"] == reason.text
    html = found.to_html()
    assert html.count("stroke-width='4'") == 3
    with pytest.raises(UnknownIdError, match="nobody"):
        genre.map(user="nobody")
