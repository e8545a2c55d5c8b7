"""Texts as feedback: what is taken out of them, and what becomes of those that say nothing."""

import copy
import time
from pathlib import Path

import pandas as pd
import pytest

from kgenre import connect
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError, UnknownIdError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.reviews import LONGEST, cleaned, polarity

# Made for this test.
LABELLED = [
    ("A wonderful film, I loved every minute of it.", 1),
    ("Terrible. A boring, stupid mess.", -1),
    ("Not bad at all, quite charming in fact.", 1),
    ("I hated the ending and the acting was awful.", -1),
    ("The best thing I have seen this year!", 1),
    ("What a waste of time, so dull.", -1),
    ("Great cast, but the story is horrible, horrible, horrible.", -1),
    ("Funny, warm and beautiful :)", 1),
]


@pytest.fixture
def rec(genre: HybridRecommender) -> HybridRecommender:
    return copy.copy(genre)


def reviews(*rows: tuple[str, str, object], **columns: object) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "text"]).assign(**columns)


def test_plain_opinions_are_read_rightly() -> None:
    right = sum(polarity(text) * label > 0 for text, label in LABELLED)
    assert right >= 7, [(text, polarity(text)) for text, _ in LABELLED]


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07", "It is a film of 1994.", "Ein sehr langer Zug."])
def test_what_says_nothing_is_no_opinion(text: str) -> None:
    assert polarity(text) == 0.0


def test_sarcasm_is_taken_at_its_word() -> None:
    assert polarity("Oh great, another brilliant masterpiece about toasters.") > 0


def test_opinions_become_likes_and_dislikes(rec: HybridRecommender) -> None:
    taken = rec.add_reviews(
        reviews(
            ("ann", "s0", LABELLED[0][0]),
            ("ann", "l0", LABELLED[1][0]),
            ("ann", "l1", None),
            ("ann", "l2", "So."),
        )
    )
    assert (taken["weight"] > 0).tolist() == [True, False, False, False]
    assert taken["weight"].tolist()[2:] == [0.0, 0.0]
    user = rec.graph.users.vocabulary.get("ann")
    assert rec.graph.likes[user].nnz == rec.graph.dislikes[user].nnz == 1
    assert "l0" not in set(rec.recommend("ann", k=10, include_seen=True)["item_id"])


def test_rating_counts_where_there_is_one(rec: HybridRecommender) -> None:
    frame = reviews(("ann", "s0", "awful"), ("ann", "s1", "lovely"), ("ann", "s2", "awful"), rating=[5, 1, 3])
    assert rec.add_reviews(frame)["weight"].tolist() == [1.0, -1.0, 0.0]
    with pytest.raises(DataError, match="rating is 7; the scale goes from 1 to 5"):
        rec.add_reviews(reviews(("ann", "s0", "fine"), rating=[7]))
    with pytest.raises(ConfigError, match="scale"):
        rec.add_reviews(reviews(("ann", "s0", "fine")), scale=(5, 1))


def test_poisoned_text_is_cut_and_cleaned_in_no_time(rec: HybridRecommender) -> None:
    poison = "good \x00\x1b[2J" * 1_000_000
    start = time.process_time()
    taken = rec.add_reviews(reviews(("ann", "s0", poison)))
    assert time.process_time() - start < 5
    assert len(taken["text"][0]) <= LONGEST
    assert "\x00" not in taken["text"][0]
    assert cleaned("a\x07b\nc") == "a b\nc"


def test_same_review_twice_is_once_and_its_text_is_in_the_store(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    with connect(tmp_path / "store") as store:
        store.write(world)
        rec = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
        frame = reviews(("ann", "s0", LABELLED[0][0]), timestamp=[1e9], event_id=["r1"])
        rec.add_reviews(frame)
        now = rec.state
        rec.add_reviews(frame)
        assert rec.graph.equals(now.kg)
        assert store.snapshot().equals(rec.graph)
        query = "MATCH (:User {id: 'ann'})-[r:INTERACTED]->() RETURN r.text AS text, r.event_id AS id"
        assert store.cypher(query).values.tolist() == [[LABELLED[0][0], "r1"]]


def test_changed_item_keeps_what_was_not_named(rec: HybridRecommender) -> None:
    before = rec.explain(item="partner", history=["query"]).ledger.set_index("signal").raw["text"]
    rec.update_item("partner", text="A keeper of a lonely lighthouse hears voices in the fog.")
    assert rec.graph.items.name(rec.graph.items.vocabulary.get("partner")) == "The Partner Film"
    assert rec.explain(item="partner", history=["query"]).ledger.set_index("signal").raw["text"] > before
    rec.update_item("partner", name="Jazz", directed_by=["ada"])
    item = rec.graph.items.vocabulary.get("partner")
    assert rec.graph.items.texts[item].as_py().startswith("A keeper")
    assert rec.graph.items.name(item) == "Jazz"
    assert rec.graph.n_facts == 18
    with pytest.raises(UnknownIdError, match="partnr"):
        rec.update_item("partnr", name="x")
