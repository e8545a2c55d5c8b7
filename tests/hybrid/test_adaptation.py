"""Weights that follow what a user has just liked: which way, how far, and back."""

import copy
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kgenre import load
from kgenre.encoders import TextEncoder
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.adaptation import Memory, factors_of
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.recommender import rank
from kgenre.hybrid.standing import Live


def always(fitted: HybridRecommender, **settings: object) -> HybridRecommender:
    """The fitted recommender, with weights that move though they were given."""
    config = fitted.state.config
    config = config.updated({"adaptation": {"when": "always", **settings}})
    rec = copy.copy(fitted)
    rec.config, rec._memory, rec._changing = config, Memory(), threading.RLock()
    live = fitted.now
    rec._live = type(live)(type(live.base)(**{**vars(fitted.state), "config": config}))
    return rec


@pytest.fixture
def rec(genre: HybridRecommender) -> HybridRecommender:
    return always(genre)


def like(user: str, *items: str, start: float = 2e9 - 1e9) -> list[dict[str, object]]:
    return [
        {"user_id": user, "item_id": item, "timestamp": start + day, "event_id": f"e{day}"}
        for day, item in enumerate(items)
    ]


def weights(rec: HybridRecommender, user: str, item: str = "s9") -> pd.Series:
    return rec.explain(user, item).ledger.set_index("signal")["weight"]


def test_weights_move_to_the_signal_that_was_right(rec: HybridRecommender) -> None:
    learned = pd.Series(rec.state.weights, index=list(rec.state.names))
    rec.add_interactions(like("ann", "query"))
    pd.testing.assert_series_equal(weights(rec, "ann"), learned, check_names=False)
    # Nobody has liked both, only their texts are alike.
    rec.add_interactions(like("ann", "echo", start=1.5e9))
    moved = weights(rec, "ann") / learned
    assert moved["text"] > 1.2
    assert moved["text"] > moved["popularity"]
    assert moved["popularity"] < 1
    # The same twenty users like both, and their texts have nothing in common.
    rec.add_interactions(like("bob", "query", "partner"))
    other = weights(rec, "bob") / learned
    assert other["multihop"] > other["text"]
    pd.testing.assert_series_equal(weights(rec, "u00"), learned, check_names=False)


def test_weights_stay_within_the_bound(genre: HybridRecommender) -> None:
    rec = always(genre, rate=50.0, bound=2.0)
    rec.add_interactions(like("ann", "query", "echo", "partner", "hit", "s0"))
    ratio = weights(rec, "ann") / pd.Series(rec.state.weights, index=list(rec.state.names))
    assert ratio.max() == pytest.approx(2.0)
    assert ratio.min() == pytest.approx(0.5)


def test_score_is_what_the_ledger_says_one_by_one_and_in_blocks(rec: HybridRecommender) -> None:
    rec.add_interactions(like("ann", "query", "echo", "s3"))
    known = rec.score("ann")
    listed = rec.recommend("ann", k=5)
    np.testing.assert_allclose(listed["score"], known[listed["item_id"]])
    assert rec.explain("ann", "cousin").score == pytest.approx(known["cousin"])
    assert rec.strongest_reason("ann", "cousin") is not None
    many = rec.recommend_many(["u00", "ann"], k=5)
    own = many[many["user_id"] == "ann"]
    assert own["item_id"].tolist() == listed["item_id"].tolist()
    np.testing.assert_allclose(own["score"], listed["score"], rtol=1e-6)
    factors = factors_of(rec.state, np.array([rec.graph.users.vocabulary.get("ann")]))
    assert factors is not None
    assert (factors != 1).any()


def test_switched_off_in_a_call_or_the_configuration_answers_are_the_very_same(
    rec: HybridRecommender, genre: HybridRecommender
) -> None:
    off = copy.copy(genre)
    for one in (rec, off):
        one.add_interactions(like("ann", "query", "echo", "s3"))
    assert not (rec.score("ann") == off.score("ann")).all()
    pd.testing.assert_series_equal(rec.score("ann", adapt=False), off.score("ann"), check_exact=True)
    pd.testing.assert_frame_equal(
        rec.recommend("ann", k=5, adapt=False), off.recommend("ann", k=5), check_exact=True
    )
    pd.testing.assert_frame_equal(
        rec.recommend_many(k=3, adapt=False), off.recommend_many(k=3), check_exact=True
    )
    state = off.state
    ranked = rank(state, state.histories, state.seen, 3)
    assert off.recommend_many(k=3)["score"].tolist() == ranked.scores.ravel().tolist()
    assert factors_of(state, np.arange(3)) is None


def test_weights_do_not_depend_on_how_events_came(rec: HybridRecommender, genre: HybridRecommender) -> None:
    rows = [*like("ann", "query", "echo", "s3", "l2", "hit"), *like("bob", "hit", "s1")]
    rec.add_interactions(rows)
    singly, backwards = always(genre), always(genre)
    for row in rows:
        singly.add_interactions([row])
        singly.recommend("ann", k=3)
    for row in reversed(rows):
        backwards.add_interactions([row])
        backwards.recommend(str(row["user_id"]), k=3)
    for other in (singly, backwards):
        np.testing.assert_allclose(rec.score("ann"), other.score("ann"), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights(rec, "bob"), weights(other, "bob"), rtol=1e-5)
    # What is taken back moves nothing, as if it had never been.
    rec.undo("ann", "echo")
    never = always(genre)
    never.add_interactions([row for row in rows if (row["user_id"], row["item_id"]) != ("ann", "echo")])
    np.testing.assert_allclose(weights(rec, "ann"), weights(never, "ann"), rtol=1e-5)


@pytest.mark.parametrize("half_life", [None, 30.0])
def test_what_is_scored_with_the_judgements_is_what_scoring_alone_gives(
    genre: HybridRecommender, half_life: float | None
) -> None:
    rec = always(genre, rate=0.1)
    rec._live = Live(
        replace(rec.state, config=rec.state.config.updated({"history_half_life_days": half_life}))
    )
    day = 86_400.0
    for place, item in enumerate(("query", "hit", "s3", "l2", "echo", "s1")):
        rec.add_interactions(like("ann", item, start=1e9 + place * 10 * day))
    rec.add_interactions([{"user_id": "ann", "item_id": "l1", "weight": -1, "timestamp": 1e9 + 15 * day}])
    standing = rec.now.standing("ann")
    factors, ready = Memory().factors(rec.now.current, "ann", standing)
    alone = factors_of(rec.state, np.array([rec.graph.users.vocabulary.get("ann")]))
    assert factors is not None
    assert alone is not None
    assert (factors != 1).any()
    np.testing.assert_allclose(factors, alone[0], rtol=1e-5)
    assert len(ready) == len(rec.state.signals)
    for signal, scores in ready.items():
        np.testing.assert_allclose(scores, signal.score(standing.history), rtol=1e-5, atol=1e-6)


def test_reset_gives_the_learned_weights_until_the_next_like(rec: HybridRecommender, tmp_path: Path) -> None:
    rec.add_interactions([*like("ann", "query", "echo"), *like("bob", "query", "partner")])
    learned, moved = rec.state.weights.tolist(), weights(rec, "bob").tolist()
    assert moved != learned
    rec.reset_adaptation("ann")
    assert weights(rec, "ann").tolist() == learned
    assert weights(rec, "bob").tolist() == moved
    rec.save(tmp_path / "model")
    again = load(tmp_path / "model")
    again._encoder = rec.text_encoder
    assert weights(again, "ann").tolist() == learned
    np.testing.assert_allclose(weights(again, "bob"), moved)
    again.add_interactions(like("ann", "s3", start=1.6e9))
    assert weights(again, "ann").tolist() != learned
    again.reset_adaptation()
    assert weights(again, "ann").tolist() == weights(again, "bob").tolist() == learned
    with pytest.raises(UnknownIdError, match="nobody"):
        rec.reset_adaptation("nobody")


def test_what_was_learned_from_moves_no_weights_and_who_is_forgotten_leaves_nothing(
    rec: HybridRecommender, tmp_path: Path
) -> None:
    rec.add_interactions([*like("guest-4711", "query", "echo"), *like("bob", "query", "partner")])
    learned = rec.state.weights.tolist()
    rec.absorb()
    assert weights(rec, "bob").tolist() == learned
    rec.add_interactions(like("bob", "s1", start=1.6e9))
    assert weights(rec, "bob").tolist() != learned
    rec.forget_user("guest-4711")
    assert "guest-4711" not in rec.state.drift.settled
    rec.add_items(pd.DataFrame({"item_id": ["a-new"], "text": ["Fog."]}))
    assert weights(rec, "bob").tolist() != learned, "a change of the graph is no reason to forget"


def test_weights_that_were_given_stay_unless_one_says_always(
    genre: HybridRecommender, encoder: TextEncoder
) -> None:
    rec = copy.copy(genre)
    rec.add_interactions(like("ann", "query", "echo"))
    assert weights(rec, "ann").tolist() == rec.state.weights.tolist()
    with pytest.raises(ConfigError, match="blend"):
        HybridConfig.blend().updated({"adaptation": {"when": "always"}})


def test_an_event_costs_one_more_judgement_and_not_all(rec: HybridRecommender) -> None:
    rec.add_interactions(like("ann", "query", "echo", "s3"))
    rec.recommend("ann", k=3)
    before = rec._memory._users["ann"].judged
    rec.add_interactions(like("ann", "l1", start=1.6e9))
    rec.recommend("ann", k=3)
    after = rec._memory._users["ann"].judged
    assert len(after) == len(before) + 1
    for key, judged in before.items():
        assert after[key]["text"] == judged["text"]
        assert after[key]["text"][0] is rec.now.current.signals[1]
