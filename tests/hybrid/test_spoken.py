"""What users say of items moves the items' text vectors and the profiles made of them, with the real encoder."""

import copy
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kgenre import connect, load
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.spoken import Spoken

FOG = "Wonderful: a lonely keeper of a lighthouse, strange voices in the fog."
WEDDING = "I loved the wedding in Paris, two lovers, tears and kisses."


@pytest.fixture
def rec(genre: HybridRecommender) -> HybridRecommender:
    rec = copy.copy(genre)
    rec._changing = threading.RLock()
    return rec


def reviews(*rows: tuple[str, str, str], **columns: object) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "text"]).assign(rating=5, **columns)


def text(rec: HybridRecommender, item: str, **who: object) -> float:
    return float(rec.explain(item=item, **who).ledger.set_index("signal").raw["text"])  # type: ignore[arg-type]


def all_texts(rec: HybridRecommender) -> np.ndarray:
    state = rec.state
    return next(signal for signal in state.signals if signal.name == "text").score(state.histories)


def test_what_is_said_moves_the_item_towards_it(rec: HybridRecommender) -> None:
    before = {item: text(rec, item, history=["query"]) for item in ("s9", "s8", "blank")}
    assert np.isnan(before["blank"])
    rec.add_reviews(reviews(("ann", "s9", FOG), ("ann", "blank", FOG)))
    after = {item: text(rec, item, history=["query"]) for item in before}
    assert after["s9"] > before["s9"] + 0.005
    assert after["blank"] > after["s9"], "an item without a text is what is said of it"
    assert after["s8"] == pytest.approx(before["s8"], abs=1e-6)


def test_the_more_it_weighs_the_further_and_nothing_at_none(
    genre: HybridRecommender, world: KnowledgeGraph, encoder: TextEncoder
) -> None:
    found = []
    for weight in (0.0, 0.5, 3.0):
        config = HybridConfig.preset("genre").updated({"review_weight": weight})
        rec = HybridRecommender(config, text_encoder=encoder).fit(world, show=False)
        rec.add_reviews(reviews(("ann", "s9", FOG)))
        found.append(text(rec, "s9", history=["query"]))
    assert found[0] == pytest.approx(text(genre, "s9", history=["query"]), abs=1e-5)
    assert found[0] < found[1] < found[2]


def test_long_text_is_read_to_its_end(rec: HybridRecommender, genre: HybridRecommender) -> None:
    before = text(rec, "blank", history=["query"])
    assert np.isnan(before)
    rec.add_reviews(reviews(("ann", "blank", "We had soup and bread for dinner. " * 60 + FOG * 20)))
    other = copy.copy(genre)
    other.add_reviews(reviews(("ann", "blank", "We had soup and bread for dinner. " * 60)))
    assert text(rec, "blank", history=["query"]) > text(other, "blank", history=["query"]) + 0.05


def test_profile_of_who_likes_it_follows(rec: HybridRecommender) -> None:
    rec.add_interactions([{"user_id": "plain", "item_id": "s0"}])
    before = text(rec, "echo", user="plain")
    rec.add_reviews(reviews(("bob", "s0", FOG)))
    assert text(rec, "echo", user="bob") > before + 0.005
    assert text(rec, "echo", user="plain") == pytest.approx(text(rec, "echo", user="bob"))


def test_chat_lines_and_posts_come_in_by_the_same_door(rec: HybridRecommender) -> None:
    log = "<mia> have you seen it?\n<tom> yes!! loved it, the lighthouse and the fog were so beautiful :)"
    taken = rec.add_reviews(
        pd.DataFrame({"user_id": ["tom"], "item_id": ["s9"], "text": [log], "event_id": ["chat-17"]})
    )
    assert taken["weight"][0] > 0
    assert rec.state.drift.said["tom"]["s9"] == ("chat-17", log)


@pytest.mark.parametrize("way", ["undo", "forget", "other", "remove"])
def test_what_was_taken_back_or_forgotten_is_gone_from_the_vectors(rec: HybridRecommender, way: str) -> None:
    rec.add_reviews(reviews(("bob", "s9", WEDDING), timestamp=[1e9]))
    wanted = all_texts(rec)
    rec.add_reviews(reviews(("guest-4711", "s9", FOG), timestamp=[1e9]))
    assert not np.allclose(wanted, all_texts(rec)[: len(wanted)], equal_nan=True)
    if way == "undo":
        rec.undo("guest-4711", "s9")
    elif way == "other":
        rec.add_interactions([{"user_id": "guest-4711", "item_id": "s9", "weight": 1.0}])
    elif way == "forget":
        rec.forget_user("guest-4711")
    else:
        rec.remove_items(["s9"])
        rec.add_items(pd.DataFrame({"item_id": ["s9"], "text": ["A starship."]}))
    assert "guest-4711" not in rec.state.drift.said
    if way == "forget":
        np.testing.assert_allclose(all_texts(rec), wanted, rtol=1e-5, atol=1e-6)
    if way == "remove":
        assert not isinstance(rec.state.signals[1], Spoken)


def test_order_and_changes_of_the_graph_do_not_matter(
    rec: HybridRecommender, genre: HybridRecommender
) -> None:
    rows = [("bob", "s9", WEDDING), ("ann", "s9", FOG), ("ann", "l1", FOG), ("eve", "hit", FOG)]
    stamps: dict[str, list[object]] = {"timestamp": [1e9] * 4, "event_id": [*"abcd"]}
    item = pd.DataFrame({"item_id": ["a-new"], "text": ["Voices in the fog."]})
    rec.add_reviews(reviews(*rows, **stamps))
    rec.add_items(item)
    other = copy.copy(genre)
    other.add_items(item)
    for place in (3, 0, 2, 1, 1):
        other.add_reviews(reviews(rows[place], timestamp=[1e9], event_id=[stamps["event_id"][place]]))
    np.testing.assert_allclose(all_texts(rec), all_texts(other), rtol=1e-5, atol=1e-6)
    rec.remove_items(["a-new"])
    rec.absorb()
    other.remove_items(["a-new"])
    np.testing.assert_allclose(all_texts(rec), all_texts(other), rtol=1e-5, atol=1e-6)


def test_saved_with_the_model(rec: HybridRecommender, tmp_path: Path) -> None:
    rec.add_reviews(reviews(("bob", "s9", WEDDING), ("guest-4711", "s8", FOG)))
    rec.save(tmp_path / "model")
    again = load(tmp_path / "model")
    again._encoder = rec.text_encoder
    np.testing.assert_array_equal(all_texts(again), all_texts(rec))
    again.forget_user("guest-4711")
    rec.forget_user("guest-4711")
    np.testing.assert_allclose(all_texts(again), all_texts(rec), rtol=1e-5, atol=1e-6)
    again.save(tmp_path / "model")
    files = [file.read_bytes() for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert not any(b"guest-4711" in content or b"lighthouse, strange" in content for content in files)


def test_others_on_the_store_hear_it_too(world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path) -> None:
    with connect(tmp_path / "store") as store:
        store.write(world)
        one, two = (HybridRecommender("genre", text_encoder=encoder).fit(store, show=False) for _ in "ab")
        one.add_reviews(reviews(("ann", "s9", FOG)))
        assert two.refresh() == (1, "")
        np.testing.assert_allclose(all_texts(one), all_texts(two), rtol=1e-5, atol=1e-6)
        late = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
        assert text(late, "s9", history=["query"]) == pytest.approx(
            text(one, "s9", history=["query"]), abs=0.01
        )
        one.undo("ann", "s9")
        two.refresh()
        late.refresh()
        for rec in (one, two, late):
            assert not rec.state.drift.said
            assert not isinstance(rec.state.signals[1], Spoken)
