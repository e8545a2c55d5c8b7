import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError, NotFittedError, UnknownIdError
from kgenre.hybrid import FusionConfig, HybridConfig, HybridRecommender, scoring
from kgenre.hybrid.config import CARD
from kgenre.hybrid.ranking import block_of, rank_blocks
from kgenre.hybrid.signals import SIGNALS
from kgenre.hybrid.state import single_history

Frames = dict[str, pd.DataFrame]
FAST = HybridConfig.preset("fast")
SPACE = {f"s{i}" for i in range(10)}
LOVE = {f"l{i}" for i in range(10)}


@pytest.fixture(scope="module", params=["hybrid", "genre", "every"])
def model(request: pytest.FixtureRequest) -> HybridRecommender:
    found: HybridRecommender = request.getfixturevalue(request.param)
    return found


# -- lists ------------------------------------------------------------------------------------------


def test_a_list_is_ranked_named_and_unseen(model: HybridRecommender):
    kg = model.graph
    frame = model.recommend("u00", k=8)
    assert frame.columns.tolist() == ["rank", "item_id", "name", "score"]
    assert frame["rank"].tolist() == list(range(1, 9))
    assert frame["score"].is_monotonic_decreasing
    assert frame["item_id"].is_unique
    assert frame["name"].tolist() == [kg.items.name(kg.items.vocabulary.get(i)) for i in frame["item_id"]]
    seen = kg.seen[kg.users.vocabulary.get("u00")].indices
    assert not {*frame["item_id"]} & {*kg.items.vocabulary.ids[seen]}


@pytest.mark.parametrize(("user", "taste"), [("u05", SPACE), ("u25", SPACE), ("u35", LOVE), ("u55", LOVE)])
def test_each_taste_gets_its_own(genre: HybridRecommender, user: str, taste: set[str]):
    assert {*genre.recommend(user, k=3)["item_id"]} <= taste


def test_the_list_is_ordered_by_the_scores(model: HybridRecommender):
    frame = model.recommend("u07", k=5).set_index("item_id")
    scores = model.score("u07")
    pd.testing.assert_series_equal(frame["score"], scores[frame.index], check_names=False)
    assert model.score("u07", ["s1", "hit"]).index.tolist() == ["s1", "hit"]
    unseen = scores.drop([i for i in scores.index if i in _seen(model, "u07")])
    assert unseen.nlargest(1).index[0] == frame.index[0]


def _seen(model: HybridRecommender, user: str) -> set[str]:
    kg = model.graph
    return {*kg.items.vocabulary.ids[kg.seen[kg.users.vocabulary.get(user)].indices]}


def test_many_lists_equal_single_ones_whatever_the_block(model: HybridRecommender):
    users = ["u31", "critic", "u02", "lurker", "u44"]
    many = model.recommend_many(users, k=4)
    assert many.columns.tolist() == ["user_id", "item_id", "rank", "score"]
    assert many["user_id"].tolist() == [user for user in users for _ in range(4)]
    for user in users:
        alone = model.recommend(user, k=4)
        mine = many[many["user_id"] == user]
        assert mine["item_id"].tolist() == alone["item_id"].tolist()
        np.testing.assert_allclose(mine["score"], alone["score"], rtol=1e-4, atol=1e-5)
    rows = np.arange(model.graph.n_users)
    whole = next(rank_blocks(model.state, rows, 4))
    parts = list(rank_blocks(model.state, rows, 4, block=7))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part.users for part in parts]), whole.users)
    np.testing.assert_array_equal(np.concatenate([part.items for part in parts]), whole.items)
    everybody = model.recommend_many(k=4)
    assert everybody["user_id"].unique().tolist() == model.graph.users.vocabulary.ids.tolist()


def test_lists_do_not_depend_on_how_many_rows_are_added_up_at_once(
    model: HybridRecommender, monkeypatch: pytest.MonkeyPatch
):
    rows = np.arange(model.graph.n_users)
    whole = next(rank_blocks(model.state, rows, 4))
    monkeypatch.setattr(scoring, "_STRIP", 3 * model.graph.n_items)
    assert len(scoring.strips(len(rows), model.graph.n_items)) > 3
    parts = next(rank_blocks(model.state, rows, 4))
    np.testing.assert_array_equal(parts.items, whole.items)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-6)


def test_a_block_is_bounded_whatever_the_number_of_items():
    assert [block_of(n) for n in (0, 1, 3_000, 100_000, 10_000_000)] == [2048, 2048, 2048, 80, 64]


def test_short_lists_of_many_are_counted_in_the_log(genre: HybridRecommender, caplog):
    frame = genre.recommend_many(["u00", "critic"], k=25)
    assert len(frame) < 50
    assert "2 users have fewer than k=25 items left" in caplog.text


def test_candidates_alone_are_ranked(model: HybridRecommender):
    only = ["l1", "cousin", "s8", "l5"]
    assert {*model.recommend("critic", k=2, candidates=only)["item_id"]} <= {*only}
    assert {*model.recommend_many(k=2, candidates=only)["item_id"]} <= {*only}


def test_a_disliked_item_is_never_recommended(model: HybridRecommender):
    left = model.graph.n_items - 6 - 1
    frame = model.recommend("critic", k=left)
    assert not {*frame["item_id"]} & {"s8", "s9", "s0"}
    again = model.recommend("critic", k=left + 4, include_seen=True)
    assert not {*again["item_id"]} & {"s8", "s9"}
    assert {"s0", "s1", "s2", "s3"} <= {*again["item_id"]}
    anonymous = model.recommend(history=["s0"], dislikes=["s1"], k=20, include_seen=True)
    assert "s1" not in {*anonymous["item_id"]}
    assert "s1" not in {*model.recommend(history=["s0"], dislikes=["s1"], k=20)["item_id"]}


def test_a_history_is_served_as_the_user_who_has_it(model: HybridRecommender):
    known = model.recommend("critic", k=6)
    anonymous = model.recommend(history=["s0", "s1", "s2", "s3"], dislikes=["s8", "s9"], k=6)
    pd.testing.assert_frame_equal(known, anonymous)


def test_a_history_changes_the_answer_and_is_not_kept(genre: HybridRecommender):
    before = genre.recommend("u00", k=5)
    assert {*genre.recommend(history=["s0", "s1"], k=3)["item_id"]} <= SPACE
    assert {*genre.recommend(history=["l0", "l1"], k=3)["item_id"]} <= LOVE
    pd.testing.assert_frame_equal(genre.recommend("u00", k=5), before)


def test_a_dislike_pushes_down_what_is_like_it(genre: HybridRecommender):
    without = genre.score(history=["hit"])
    against = genre.score(history=["hit"], dislikes=["s0", "s1"])
    space = [f"s{i}" for i in range(2, 10)]
    assert against[space].mean() < without[space].mean() - 0.1


def test_facts_lead_to_an_item_that_nobody_has_liked(
    genre: HybridRecommender, frames: Frames, encoder: TextEncoder
):
    assert genre.recommend(history=["query"], k=1)["item_id"].iloc[0] == "cousin"
    facts = frames["facts"]
    bare = KnowledgeGraph.from_frames(**{**frames, "facts": facts[facts["head_id"] != "cousin"]})
    model = HybridRecommender("genre", text_encoder=encoder).fit(bare)
    assert "cousin" not in {*model.recommend(history=["query"], k=3)["item_id"]}


def test_similar_items_come_first(genre: HybridRecommender):
    frame = genre.similar("query", k=4)
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    assert {"cousin", "partner", "echo"} <= {*frame["item_id"]}
    assert "query" not in {*frame["item_id"]}
    pd.testing.assert_frame_equal(frame, genre.recommend(history=["query"], k=4))


def test_somebody_without_interactions_gets_what_is_popular_and_hears_so(model: HybridRecommender, caplog):
    frame = model.recommend("lurker", k=5)
    assert "user 'lurker' has no interactions: the list is by popularity" in caplog.text
    likes = np.asarray(model.graph.likes.sum(axis=0)).ravel()
    found = likes[model.graph.items.vocabulary.index(frame["item_id"].to_numpy(dtype=object))]
    assert found.tolist() == sorted(likes, reverse=True)[:5]
    caplog.clear()
    model.recommend(history=[], k=2)
    assert "an empty history has no interactions" in caplog.text
    caplog.clear()
    model.recommend_many(k=2)
    assert "1 users have no interactions: their lists are by popularity" in caplog.text


# -- what cannot be answered -------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -3, 2.5, "3", True, None])
def test_k_is_a_whole_number_of_at_least_1(genre: HybridRecommender, k: object):
    for ask in (
        lambda: genre.recommend("u00", k),
        lambda: genre.recommend_many(["u00"], k),
        lambda: genre.similar("s0", k),
        lambda: genre.evaluate(pd.DataFrame({"user_id": ["u00"], "item_id": ["s1"]}), [k]),
    ):
        with pytest.raises(ConfigError, match=f"k={k!r} is not a whole number of at least 1"):
            ask()


def test_too_large_a_k_names_what_is_left(genre: HybridRecommender):
    left = genre.graph.n_items - len(_seen(genre, "u00"))
    with pytest.raises(
        ConfigError, match=rf"k={left + 1} but only {left} items are left .*ask for at most {left}"
    ):
        genre.recommend("u00", left + 1)
    assert len(genre.recommend("u00", left)) == left
    with pytest.raises(
        ConfigError, match="k=3 but only 2 items are left after what was seen and the candidates"
    ):
        genre.recommend("lurker", 3, candidates=["s0", "s1"])
    with pytest.raises(ConfigError, match="k=26 but only 25 other items can be compared with 's0'"):
        genre.similar("s0", 26)
    with pytest.raises(ConfigError, match="ask for at most"):
        genre.recommend("u00", 10**12)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.recommend("u0"), r"unknown user 'u0' \(of 62 known\); nearest: u\d0"),
        (lambda model: model.recommend_many(["u00", "Lurker"]), r"unknown user 'Lurker'.*nearest: lurker"),
        (lambda model: model.explain("u00", "Hit"), r"unknown item 'Hit' \(of 26 known\); nearest: hit"),
        (lambda model: model.similar("quary"), r"unknown item 'quary'.*; nearest: query"),
        (lambda model: model.recommend(history=["s0", "parner"]), r"unknown item 'parner'.*nearest: partner"),
        (lambda model: model.recommend(history=["s0"], dislikes=["s77"]), r"unknown item 's77'"),
        (lambda model: model.recommend("u00", candidates=["s0", "sO"]), r"unknown item 'sO'"),
        (lambda model: model.score("u00", ["blnk"]), r"unknown item 'blnk'.*nearest: blank"),
    ],
)
def test_unknown_ids_name_the_nearest(
    genre: HybridRecommender, ask: Callable[[HybridRecommender], object], message: str
):
    with pytest.raises(UnknownIdError, match=message):
        ask(genre)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.recommend(), "give either a user or a history"),
        (lambda model: model.recommend("u00", history=["s0"]), "give either a user or a history"),
        (lambda model: model.recommend("u00", dislikes=["s0"]), "dislikes go with a history"),
        (lambda model: model.recommend(history=["s0"], dislikes=["s0"]), "'s0' is both liked and disliked"),
        (lambda model: model.recommend(history="s0"), "history='s0' is one string"),
        (lambda model: model.recommend(history=["s0"], dislikes="s1"), "dislikes='s1' is one string"),
        (lambda model: model.recommend("u00", candidates="s1"), "candidates='s1' is one string"),
        (lambda model: model.recommend("u00", candidates=[]), "candidates is empty"),
        (lambda model: model.recommend_many("u00"), "users='u00' is one string"),
        (lambda model: model.recommend_many([]), "users is empty"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    genre: HybridRecommender, ask: Callable[[HybridRecommender], object], message: str
):
    with pytest.raises(ConfigError, match=message):
        ask(genre)


def test_before_the_fit_every_question_says_what_to_do():
    model = HybridRecommender()
    for ask in (lambda: model.recommend("u00"), lambda: model.honesty, lambda: model.save("x")):
        with pytest.raises(NotFittedError, match=r"not fitted; call fit\(graph\) or kgenre\.load"):
            ask()
    assert "not fitted" in repr(model)


# -- reasons -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["u00", "u09", "u42", "critic", "lurker"])
def test_ledger_and_reasons_each_sum_to_the_score(model: HybridRecommender, user: str):
    scores = model.score(user)
    for item in model.graph.items.vocabulary:
        explanation = model.explain(user, item)
        expected = 0.0 if np.isnan(scores[item]) else scores[item]
        assert explanation.item_id == item
        assert explanation.score == pytest.approx(expected, abs=1e-6), item
        assert explanation.ledger["contribution"].sum() == pytest.approx(explanation.score, abs=1e-6)
        products = (explanation.ledger["weight"] * explanation.ledger["value"]).fillna(0)
        np.testing.assert_allclose(explanation.ledger["contribution"], products, atol=1e-9)
        total = sum(reason.contribution for reason in explanation.reasons)
        assert total == pytest.approx(explanation.score, abs=1e-6), item
        strengths = [reason.contribution for reason in explanation.reasons]
        assert strengths == sorted(strengths, reverse=True)


def test_the_cards_three_always_stand_in_the_ledger(model: HybridRecommender):
    ledger = model.explain("u00", "s1").ledger
    assert {*CARD} <= {*ledger["signal"]}
    assert ledger["signal"].tolist() == list(model.state.names)
    np.testing.assert_allclose(ledger["weight"], model.state.weights)


def test_the_cards_three_stand_in_the_ledger_even_when_not_asked_for(
    world: KnowledgeGraph, encoder: TextEncoder
):
    config = HybridConfig(signals=("closed_form",), baselines=False)
    model = HybridRecommender(config, text_encoder=encoder).fit(world)
    assert {*CARD} <= {*model.explain("u00", "s1").ledger["signal"]}


def test_the_strongest_reason_names_the_film_and_the_director(genre: HybridRecommender):
    explanation = genre.explain(None, "cousin", history=["query", "l0"])
    best = explanation.best(1)[0]
    assert best.kind == "path"
    assert best.text == "directed by Ada Stone, like The Query Film, which you liked"
    assert best.evidence.start == "query"
    assert best.evidence.end == "cousin"
    assert best.evidence.relation == "DIRECTED_BY"
    assert best.evidence.entity == "ada"
    assert best.text in explanation.text
    assert explanation.name == "The Cousin Film"


def test_each_kind_of_reason_has_its_evidence(genre: HybridRecommender):
    by_kind = {
        kind: [r for r in genre.explain(None, item, history=["query"]).reasons if r.kind == kind]
        for kind, item in (("history", "partner"), ("text", "echo"), ("popularity", "hit"))
    }
    assert by_kind["history"][0].evidence == "query"
    assert by_kind["text"][0].evidence == "query"
    assert by_kind["text"][0].text == (
        "described like The Query Film, which you liked: both speak of fog, hears, keeper"
    )
    assert by_kind["popularity"][0].evidence == "hit"
    share = genre.graph.likes[:, genre.graph.items.vocabulary.get("hit")].nnz / genre.graph.n_users
    assert by_kind["popularity"][0].text == f"liked by {share:.0%} of all users"


def test_a_fact_between_two_items_is_a_reason(genre: HybridRecommender):
    explanation = genre.explain(None, "s1", history=["s0"])
    path = next(reason for reason in explanation.reasons if reason.kind == "path")
    assert path.evidence.entity is None
    assert path.text == "you liked The S0 Film; The S1 Film is the sequel of The S0 Film"


def test_an_item_is_not_connected_to_itself(genre: HybridRecommender):
    reasons = genre.explain(None, "query", history=["query", "cousin"]).reasons
    own = [reason for reason in reasons if reason.evidence == "query" and reason.kind == "history"]
    assert [reason.text for reason in own] == ["you liked it already"]
    assert [r.evidence.start for r in reasons if r.kind == "path"] == ["cousin"]


def test_a_dislike_is_called_one(genre: HybridRecommender):
    texts = [reason.text for reason in genre.explain("critic", "s7").reasons]
    assert any("The S8 Film, which you disliked" in text for text in texts)
    assert any("The S0 Film, which you liked" in text for text in texts)


def test_an_explanation_draws_itself_and_turns_into_json(model: HybridRecommender):
    explanation = model.explain("u00", "blank")
    plain = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert plain["item_id"] == "blank"
    assert plain["score"] == explanation.score
    assert [row["signal"] for row in plain["ledger"]] == list(model.state.names)
    html = explanation._repr_html_()
    assert "Item blank" in html
    assert str(explanation) == explanation.text


def test_names_are_escaped_in_html(frames: Frames, encoder: TextEncoder):
    items = frames["items"].assign(name=frames["items"]["name"].replace("The S0 Film", "<b>S & 0</b>"))
    kg = KnowledgeGraph.from_frames(**{**frames, "items": items})
    model = HybridRecommender("genre", text_encoder=encoder).fit(kg)
    html = model.explain(None, "s0", history=["s1"])._repr_html_()
    assert "&lt;b&gt;S &amp; 0&lt;/b&gt;" in html
    assert "<b>S" not in html


def test_who_has_seen_everything_still_gets_an_explanation(genre: HybridRecommender):
    items = list(genre.graph.items.vocabulary)
    explanation = genre.explain(None, "s1", history=items)
    total = sum(reason.contribution for reason in explanation.reasons)
    assert total == pytest.approx(explanation.score, abs=1e-6)
    with pytest.raises(
        ConfigError, match="k=1 but only 0 items are left after what was seen; use include_seen"
    ):
        genre.recommend(history=items, k=1)


# -- fit ---------------------------------------------------------------------------------------------


def test_two_runs_with_one_seed_agree_bit_for_bit(
    world: KnowledgeGraph, encoder: TextEncoder, hybrid: HybridRecommender
):
    again = HybridRecommender(hybrid.config, text_encoder=encoder).fit(world)
    np.testing.assert_array_equal(again.state.weights, hybrid.state.weights)
    pd.testing.assert_frame_equal(again.honesty, hybrid.honesty, check_exact=True)
    pd.testing.assert_frame_equal(again.recommend_many(k=9), hybrid.recommend_many(k=9), check_exact=True)
    for one, two in zip(again.state.signals, hybrid.state.signals, strict=True):
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(array, two.arrays()[name], err_msg=f"{one.name} {name}")


def test_the_honesty_table_is_complete(hybrid: HybridRecommender):
    table = hybrid.honesty
    assert table.columns.tolist() == ["name", "kind", "ndcg@20", "recall@20", "weight", "verdict"]
    names = table.groupby("kind")["name"].agg(set).to_dict()
    assert names == {
        "signal": {name for name in HybridConfig().signals if not SIGNALS[name].for_unseen},
        "peer": {"Pop", "ItemKNN", "P3a", "EASE"},
        "fusion": {"fusion"},
    }
    assert table["ndcg@20"].between(0, 1).all()
    assert table["recall@20"].between(0, 1).all()
    signals = table[table["kind"] == "signal"].set_index("name")
    for name, row in signals.iterrows():
        if row["weight"] > 0:
            assert row["verdict"] == "earns its weight"
        else:
            kept = "stays in the ledger" if name in CARD else "dropped"
            assert row["verdict"] == f"no weight; {kept}"
    kept = [name for name in signals.index if signals.loc[name, "weight"] > 0 or name in CARD]
    assert list(hybrid.state.names) == kept
    assert "gnn" in hybrid.state.report.seconds
    text = hybrid.state.report.text()
    assert all(name in text for name in table["name"])
    assert "cross-fitted" in text


def test_given_weights_are_not_called_earned(genre: HybridRecommender):
    table = genre.honesty
    assert {*table[table["kind"] == "signal"]["verdict"]} == {"fixed weight"}
    assert "the fusion's weights were given" in genre.state.report.text()


def test_the_honesty_gate_says_when_a_peer_is_not_beaten(world: KnowledgeGraph, encoder: TextEncoder, caplog):
    """Popularity alone, against peers that know what each taste is."""
    weights = {"multihop": 0, "text": 0, "popularity": 1}
    config = HybridConfig(signals=CARD, fusion=FusionConfig(method="fixed", weights=weights), tune=False)
    model = HybridRecommender(config, text_encoder=encoder).fit(world)
    peers = model.honesty.set_index("name")
    fusion = peers.loc["fusion", "ndcg@20"]
    for name in ("Pop", "ItemKNN", "P3a", "EASE"):
        beaten = peers.loc[name, "ndcg@20"] < fusion
        assert peers.loc[name, "verdict"] == ("beaten" if beaten else "not beaten")
    assert peers.loc["ItemKNN", "verdict"] == "not beaten"
    notes = [note for note in model.state.report.notes if note.startswith("ItemKNN alone reaches")]
    assert len(notes) == 1
    assert notes[0].endswith("the simpler model is as good here")
    assert notes[0] in caplog.text


def test_the_fusion_beats_each_peer_on_the_planted_world(hybrid: HybridRecommender):
    table = hybrid.honesty.set_index("name")
    assert {*table.loc[table["kind"] == "peer", "verdict"]} == {"beaten"}


def test_a_given_validation_set_is_seen_but_not_trained_on(frames: Frames, encoder: TextEncoder, caplog):
    rows = frames["interactions"]
    held = rows[(rows["user_id"].str.startswith("u")) & (rows["item_id"].isin(["partner", "s3", "l3"]))]
    training = rows.drop(held.index)
    kg = KnowledgeGraph.from_frames(**{**frames, "interactions": training})
    model = HybridRecommender(FAST, text_encoder=encoder).fit(kg, held[["user_id", "item_id"]])
    assert model.state.report.n_pairs == len(held)
    assert model.state.report.n_users == held["user_id"].nunique()
    pair = held.iloc[0]
    user, item = kg.users.vocabulary.get(pair["user_id"]), kg.items.vocabulary.get(pair["item_id"])
    assert model.state.seen[user, item] == 1
    assert model.state.histories[user, item] == 0
    lists = model.recommend_many(k=20)
    assert not {*zip(lists["user_id"], lists["item_id"], strict=True)} & {
        *zip(held["user_id"], held["item_id"], strict=True)
    }
    popularity = next(signal for signal in model.state.signals if signal.name == "popularity")
    assert popularity.share[kg.items.vocabulary.get("partner")] == 0


def test_validation_pairs_that_were_trained_on_do_not_count(frames: Frames, encoder: TextEncoder, caplog):
    kg = KnowledgeGraph.from_frames(**frames)
    pairs = pd.DataFrame({"user_id": ["u00", "u00", "u01"], "item_id": ["hit", "blank", "cousin"]})
    model = HybridRecommender("genre", text_encoder=encoder).fit(kg, pairs)
    assert model.state.report.n_pairs == 2
    assert "1 validation pairs are also in the training data" in caplog.text


def test_an_empty_validation_set_is_said(frames: Frames, encoder: TextEncoder, caplog):
    kg = KnowledgeGraph.from_frames(**frames)
    pairs = pd.DataFrame({"user_id": ["u00"], "item_id": ["hit"]})
    model = HybridRecommender("genre", text_encoder=encoder).fit(kg, pairs)
    assert "the validation set is empty: nothing was validated" in caplog.text
    assert model.honesty.empty
    assert "nothing was validated" in model.state.report.text()
    assert len(model.recommend("u00", k=3)) == 3


def test_a_half_life_counts_when_validation_is_given(frames: Frames, encoder: TextEncoder):
    """Everybody liked the old film, half as many the new one: a short half-life turns them around."""
    users = [f"u{i}" for i in range(20)]
    old = pd.DataFrame({"user_id": users, "item_id": "old", "timestamp": 0.0})
    new = pd.DataFrame({"user_id": users[:10], "item_id": "new", "timestamp": 86400.0 * 100})
    kg = KnowledgeGraph.from_frames(pd.concat([old, new]))
    held = pd.DataFrame({"user_id": users[10:], "item_id": "new"})
    config = HybridConfig(signals=CARD, baselines=False).with_settings(["popularity.half_life_days=10"])
    model = HybridRecommender(config, text_encoder=encoder).fit(kg, held)
    popularity = next(signal for signal in model.state.signals if signal.name == "popularity")
    np.testing.assert_allclose(popularity.share[kg.items.vocabulary.index(["old", "new"])], [2**-9, 1])


def test_too_little_to_hold_out_is_said_and_still_recommends(encoder: TextEncoder, caplog):
    rows = pd.DataFrame([("a", "x"), ("a", "y"), ("b", "y"), ("b", "z")], columns=["user_id", "item_id"])
    model = HybridRecommender(text_encoder=encoder).fit(KnowledgeGraph.from_frames(rows))
    assert "nobody has the three likes it takes to hold one out" in caplog.text
    assert "gnn is left out" in caplog.text
    assert model.recommend("a", k=1)["item_id"].tolist() == ["z"]
    assert {*CARD} <= {*model.state.names}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x", 1.0), ("b", "x", 1.0)], "the graph has only 1 item; .* at least 2, so add some"),
        ([("a", "x", 1.0), ("a", "y", 1.0)], "the graph has only 1 user; .* at least 2, so add some"),
        (
            [("a", "x", -1.0), ("b", "y", 0.0)],
            r"the graph has no likes \(interactions with a weight above 0\)",
        ),
    ],
)
def test_too_little_to_learn_from_is_refused(rows: list[tuple[str, str, float]], message: str):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "weight"])
    with pytest.raises(DataError, match=message):
        HybridRecommender("genre").fit(KnowledgeGraph.from_frames(frame))


def test_without_texts_and_facts_it_still_fits(frames: Frames, encoder: TextEncoder, caplog):
    kg = KnowledgeGraph.from_frames(frames["interactions"])
    config = HybridConfig().with_settings(["gnn.encoder.epochs=5", "gnn.encoder.embedding_size=8"])
    model = HybridRecommender(config, text_encoder=encoder).fit(kg)
    assert "signal facts is left out: no fact touches an item" in caplog.text
    assert {*model.recommend("u05", k=3)["item_id"]} <= SPACE | {"echo"}
    explanation = model.explain("u05", "s1")
    assert explanation.ledger.set_index("signal").loc["text", "contribution"] == 0


def test_timestamps_decide_what_is_held_out(world: KnowledgeGraph, hybrid: HybridRecommender):
    """The latest like of each user: a fit on everything must not have lost it."""
    assert hybrid.state.report.n_pairs == hybrid.state.report.n_users == 61
    assert (hybrid.state.histories > 0).nnz == world.likes.nnz


def test_only_one_signal_and_no_baselines(world: KnowledgeGraph, encoder: TextEncoder):
    weights = {"popularity": 2.0}
    config = HybridConfig(
        signals=("popularity",), fusion=FusionConfig(method="fixed", weights=weights), baselines=False
    )
    model = HybridRecommender(config, text_encoder=encoder).fit(world)
    assert model.honesty["name"].tolist() == ["popularity", "fusion"]
    assert model.recommend("critic", k=1)["item_id"].tolist() == ["hit"]


# -- evaluation --------------------------------------------------------------------------------------


def test_evaluation_on_a_hand_worked_case(genre: HybridRecommender):
    first, second = genre.recommend("u00", k=2)["item_id"]
    test = pd.DataFrame([("u00", second), ("u00", "blank"), ("u01", "blank")], columns=["user_id", "item_id"])
    found = genre.evaluate(test, [1, 2], metrics=["recall", "mrr", "hit"])
    assert found.index.tolist() == [1, 2]
    assert found.loc[1, ["recall", "mrr", "hit"]].tolist() == [0, 0, 0]
    assert found.loc[2, ["recall", "mrr", "hit"]].tolist() == [0.25, 0.25, 0.5]
    assert found["users"].tolist() == [2, 2]
    listed = {*genre.recommend_many(["u00", "u01"], k=2)["item_id"]}
    assert found.loc[2, "coverage"] == pytest.approx(len(listed) / genre.graph.n_items)
    assert first in listed
    pd.testing.assert_frame_equal(
        genre.evaluate(test, 2, metrics="hit"), found.loc[[2]].drop(columns=["recall", "mrr"])
    )


def test_a_cut_beyond_the_catalogue_is_at_its_end(genre: HybridRecommender):
    test = pd.DataFrame({"user_id": ["lurker", "u00"], "item_id": ["blank", "s1"]})
    found = genre.evaluate(test, [26, 10**15])
    assert found.loc[26].tolist() == found.loc[10**15].tolist()
    assert found.loc[26, "recall"] == 1


def test_novelty_is_the_mean_surprise_of_what_is_listed(genre: HybridRecommender):
    test = pd.DataFrame({"user_id": ["lurker"], "item_id": ["hit"]})
    found = genre.evaluate(test, [1])
    likes = genre.graph.likes[:, genre.graph.items.vocabulary.get("hit")].nnz
    assert found.loc[1, "novelty"] == pytest.approx(-np.log2((likes + 1) / (genre.graph.n_users + 1)))
    assert found.loc[1, "hit"] == 1


def test_dislikes_and_strangers_in_a_test_set(genre: HybridRecommender, caplog):
    rows = [("u00", "s1", 1.0), ("u00", "s2", -1.0), ("nobody", "s1", 1.0), ("u00", "new", 1.0)]
    test = pd.DataFrame(rows, columns=["user_id", "item_id", "weight"])
    found = genre.evaluate(test, [10])
    assert found.loc[10, "users"] == 2
    assert found.loc[10, "recall"] == 0.25
    assert "1 users of the test set are unknown and count as 0" in caplog.text
    assert "1 pairs of the test set are on unknown items" in caplog.text


@pytest.mark.parametrize(
    ("columns", "metrics", "cuts", "error", "message"),
    [
        (["user_id", "item_id"], ["ndgc"], [5], ConfigError, "unknown metric 'ndgc'; nearest: ndcg"),
        (["user_id", "item_id"], ["ndcg"], [], ConfigError, "no cut given"),
        (["user", "item_id"], ["ndcg"], [5], DataError, "no column 'user_id'; nearest: user"),
        (
            ["item_id", "user_id"],
            ["ndcg"],
            [5],
            DataError,
            "none of the 1 pairs of the test set is of a known user",
        ),
    ],
)
def test_an_evaluation_that_makes_no_sense_is_refused(
    genre: HybridRecommender, columns, metrics, cuts, error, message
):
    with pytest.raises(error, match=message):
        genre.evaluate(pd.DataFrame([("u00", "s1")], columns=columns), cuts, metrics=metrics)


# -- description -------------------------------------------------------------------------------------


def test_a_recommender_describes_itself(genre: HybridRecommender):
    assert repr(genre) == ("HybridRecommender(62 users, 26 items; multihop 0.50, text 0.30, popularity 0.20)")
    assert "ItemKNN" in genre._repr_html_()


def test_the_library_itself_writes_nothing(genre: HybridRecommender, capfd, caplog):
    caplog.set_level(logging.CRITICAL)
    genre.recommend_many(k=3)
    genre.explain("u00", "s1")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_single_history_holds_likes_and_dislikes():
    row = single_history(5, [3, 1], [0])
    assert row.toarray().tolist() == [[-1, 1, 0, 1, 0]]


class Counting(TextEncoder):
    """Keeps what it was asked to encode."""

    asked: list[str]

    def encode(self, texts: Any, *args: Any, **kwargs: Any) -> Any:
        texts = list(texts)
        self.asked = [text for text in texts if text]
        return super().encode(texts, *args, **kwargs)


ALONE = ["closed_form.text=0", "fusion.method=fixed", "fusion.weights={closed_form: 1}"]


@pytest.mark.parametrize(
    ("settings", "items", "people"),
    [
        (["signals=[closed_form]", *ALONE], False, False),
        (["signals=[closed_form]"], True, False),
        (["signals=[closed_form, gnn]", "gnn.epochs=1", "gnn.seeds=1"], True, True),
    ],
)
def test_only_texts_that_a_signal_reads_are_encoded(
    world: KnowledgeGraph, encoder: TextEncoder, settings: list[str], items: bool, people: bool
):
    counting = Counting(encoder.config)
    counting.asked = []
    config = HybridConfig().with_settings([*settings, "tune=false", "baselines=false"])
    rec = HybridRecommender(config, text_encoder=counting).fit(world, show=False)
    assert any("lighthouse" in text for text in counting.asked) == items
    assert ("Ada Stone" in counting.asked) == people
    assert len(rec.recommend("u00", k=3)) == 3
