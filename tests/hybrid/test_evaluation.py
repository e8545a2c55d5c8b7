"""Metrics against ir-measures, what lists are like, groups of users and items, comparisons and splits."""

import ir_measures
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError, UnknownIdError
from kgenre.hybrid import compare
from kgenre.hybrid.beyond import divergence, diversity, entity_shares, gini
from kgenre.hybrid.intervals import bootstrap, holm, permutation_test
from kgenre.hybrid.metrics import METRICS, auc, hits_of, top_k
from kgenre.hybrid.recommender import HybridRecommender

# -- accuracy ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_metrics_agree_with_ir_measures_ties_included(draw: st.DataObject):
    n = draw.draw(st.integers(2, 12))
    k = draw.draw(st.integers(1, n))
    n_users = draw.draw(st.integers(1, 4))
    # Few different scores, so that most are tied.
    levels = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
    scores = np.array(
        draw.draw(st.lists(st.lists(levels, min_size=n, max_size=n), min_size=n_users, max_size=n_users))
    )
    truths = [draw.draw(st.sets(st.integers(0, n + 2), min_size=1)) for _ in range(n_users)]

    # ir-measures gives a tie to the higher document id, we give it to the lower column.
    def document(column: int) -> str:
        return f"d{99 - column:02}"

    run = pd.DataFrame(
        [(f"u{user}", document(item), scores[user, item]) for user in range(n_users) for item in range(n)],
        columns=["query_id", "doc_id", "score"],
    )
    qrels = pd.DataFrame(
        [(f"u{user}", document(item), 1) for user, truth in enumerate(truths) for item in truth],
        columns=["query_id", "doc_id", "relevance"],
    )
    theirs = {
        "recall": R @ k,
        "precision": P @ k,
        "ndcg": nDCG @ k,
        "mrr": RR,
        "map": AP @ k,
        "hit": Success @ k,
    }
    expected = {
        (str(found.measure), found.query_id): found.value
        for found in ir_measures.iter_calc(list(theirs.values()), qrels, run)
    }
    liked = np.zeros((n_users, n))
    for user, truth in enumerate(truths):
        liked[user, [item for item in truth if item < n]] = 1
    hits = hits_of(top_k(scores, k), sparse.csr_matrix(liked))
    counts = np.array([len(truth) for truth in truths])
    assert set(theirs) == set(METRICS)
    for name, measure in theirs.items():
        found = METRICS[name](hits, counts)
        if name == "map":
            # Ours is over the hits that k places have room for, theirs over all.
            found = found * np.minimum(k, counts) / counts
        for user in range(n_users):
            value = expected[str(measure), f"u{user}"]
            if name == "mrr" and value < 1 / (k + 0.5):
                # With a cut ir-measures takes another library, which gives ties to the lower document id.
                value = 0.0
            assert found[user] == pytest.approx(value, abs=1e-9), name


@given(st.data())
def test_auc_is_the_share_of_pairs_in_the_right_order(draw: st.DataObject):
    n = draw.draw(st.integers(1, 8))
    levels = st.sampled_from([np.nan, -1.0, 0.0, 0.5])
    scores = np.array([draw.draw(st.lists(levels, min_size=n, max_size=n))])
    hidden = np.array([draw.draw(st.lists(st.booleans(), min_size=n, max_size=n))])
    liked = np.array([draw.draw(st.lists(st.booleans(), min_size=n, max_size=n))])
    unknown = draw.draw(st.integers(0, 2))
    value = np.nan_to_num(scores[0], nan=-9.0)
    good = [item for item in range(n) if liked[0, item] and not hidden[0, item]]
    other = [item for item in range(n) if not liked[0, item] and not hidden[0, item]]
    right = sum((value[a] > value[b]) + (value[a] == value[b]) / 2 for a in good for b in other)
    pairs = (len(good) + unknown) * len(other)
    expected = right / pairs if pairs else 0.5 * (len(good) + unknown > 0)
    found = auc(scores, hidden, sparse.csr_matrix(liked.astype(float)), np.array([liked.sum() + unknown]))
    assert found[0] == pytest.approx(expected, abs=1e-12)


def test_sampled_metrics_are_refused_with_the_reason(genre: HybridRecommender):
    test = pd.DataFrame({"user_id": ["u00"], "item_id": ["s1"]})
    with pytest.raises(ConfigError, match=r"'sampled_ndcg' is refused: .*Krichene & Rendle 2020"):
        genre.evaluate(test, metrics=["sampled_ndcg"])
    with pytest.raises(ConfigError, match="is refused"):
        compare({"a": genre, "b": genre}, test, metrics=["sampled_recall"])


# -- beyond accuracy ---------------------------------------------------------------------------------


def test_gini_of_known_distributions():
    assert gini([3, 3, 3]) == pytest.approx(0)
    assert gini([0, 0, 0, 8]) == pytest.approx(3 / 4)
    assert gini([1, 3]) == pytest.approx(1 / 4)
    assert gini([0, 0]) == 0


def test_diversity_is_one_minus_the_mean_cosine_of_pairs():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8], [0, 0]])
    lists = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0], [1, 0, 1, 1, 1], [1, 0, 0, 0, 1]], dtype=np.float32))
    found = diversity(lists, vectors)
    # The item without a vector is in no pair.
    np.testing.assert_allclose(found[:2], [0, 1 - (0 + 0.6 + 0.8) / 3], atol=1e-7)
    assert np.isnan(found[2])
    np.testing.assert_allclose(diversity(lists, sparse.csr_matrix(vectors)), found, atol=1e-7)


def test_divergence_is_0_for_the_same_and_kullback_leibler_for_another():
    target = np.array([[2.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    listed = np.array([[5.0, 5.0], [0.0, 3.0], [1.0, 0.0]])
    found = divergence(target, listed)
    np.testing.assert_allclose(found[:2], [0, np.log(1 / 0.01)], atol=1e-12)
    assert np.isnan(found[2])


def test_entity_shares_of_an_item_sum_to_1(world: KnowledgeGraph):
    shares = entity_shares(world, "DIRECTED_BY")
    total = np.asarray(shares.sum(axis=1)).ravel()
    directed = [world.items.vocabulary.get(item) for item in ("query", "cousin", "s0", "hit")]
    np.testing.assert_allclose(total[directed], 1)
    assert total[world.items.vocabulary.get("blank")] == 0
    with pytest.raises(UnknownIdError, match="no relation 'DIRECTED'; nearest: DIRECTED_BY"):
        entity_shares(world, "DIRECTED")


def test_lists_of_one_item_are_as_that_item_is(genre: HybridRecommender):
    test = pd.DataFrame({"user_id": ["u00", "u31"], "item_id": ["cousin", "echo"]})
    metrics = ["ndcg", "auc", "gini", "popularity_lift", "diversity_text", "diversity_facts", "calibration"]
    one = genre.evaluate(test, [1, 5], metrics=metrics)
    assert one.columns.tolist() == [*metrics, "coverage", "novelty", "users"]
    # Two users, one item each of 26.
    assert one.loc[1, "gini"] >= 1 - 2 / genre.graph.n_items
    assert np.isnan(one.loc[1, "diversity_text"])
    assert 0 < one.loc[5, "diversity_text"] < 1
    assert one.loc[1, "auc"] == one.loc[5, "auc"]
    popular = np.asarray(genre.graph.likes.sum(axis=0)).ravel()
    expected = []
    for user in ("u00", "u31"):
        listed = genre.graph.items.vocabulary.get(genre.recommend(user, k=1)["item_id"][0])
        liked = genre.graph.likes[genre.graph.users.vocabulary.get(user)].indices
        expected.append(popular[listed] / popular[liked].mean() - 1)
    assert one.loc[1, "popularity_lift"] == pytest.approx(np.mean(expected))


def test_auc_of_a_recommender_is_that_of_its_scores(genre: HybridRecommender):
    test = pd.DataFrame({"user_id": ["u00"], "item_id": ["cousin"]})
    scores = genre.score("u00")
    seen = genre.graph.seen[genre.graph.users.vocabulary.get("u00")].indices
    others = scores.drop(genre.graph.items.vocabulary.ids[seen]).fillna(-np.inf)
    rest = others.drop("cousin")
    expected = ((rest < others["cousin"]).sum() + (rest == others["cousin"]).sum() / 2) / len(rest)
    assert genre.evaluate(test, 1, metrics="auc").loc[1, "auc"] == pytest.approx(expected)


# -- groups ------------------------------------------------------------------------------------------


def test_groups_of_users_make_up_the_whole(genre: HybridRecommender):
    users = genre.graph.users.vocabulary.ids.tolist()
    test = pd.DataFrame({"user_id": users, "item_id": ["cousin"] * len(users)})
    whole = genre.evaluate(test, [5], metrics=["ndcg", "auc"])
    groups = genre.evaluate(test, [5], metrics=["ndcg", "auc"], by="user").xs(5, level="k")
    assert groups.index[0] == "users without likes"
    assert groups.loc["users without likes", "users"] == 1
    assert groups["users"].sum() == whole.loc[5, "users"]
    for metric in ("ndcg", "auc"):
        assert np.average(groups[metric], weights=groups["users"]) == pytest.approx(whole.loc[5, metric])


def test_an_item_counts_in_its_own_group(genre: HybridRecommender):
    test = pd.DataFrame([("u31", "cousin"), ("u31", "hit"), ("u32", "hit")], columns=["user_id", "item_id"])
    groups = genre.evaluate(test, [26], metrics=["recall"], by="item").xs(26, level="k")
    assert groups.loc["items without likes", "users"] == 1
    assert groups.loc["items without likes", "recall"] == 1
    assert groups["users"].max() == 2
    with pytest.raises(ConfigError, match="by='items' is neither"):
        genre.evaluate(test, [5], by="items")  # type: ignore[arg-type]


# -- comparisons -------------------------------------------------------------------------------------


def test_the_better_lists_are_found_and_equal_ones_are_not():
    rng = np.random.default_rng(0)
    users = [f"u{i}" for i in range(80)]
    test = pd.DataFrame({"user_id": users, "item_id": "right"})

    def lists(rate: float) -> pd.DataFrame:
        right = rng.random(80) < rate
        first = pd.DataFrame({"user_id": users, "item_id": np.where(right, "right", "wrong"), "rank": 1})
        return pd.concat([first, first.assign(item_id="other", rank=2)])

    good, bad = lists(0.8), lists(0.2)
    found = compare({"good": good, "bad": bad, "twin": good.copy()}, test, k=2, metrics=["recall"])
    assert found[["first", "second"]].to_numpy().tolist() == [
        ["good", "bad"],
        ["good", "twin"],
        ["bad", "twin"],
    ]
    row = found.iloc[0]
    assert row["difference"] == pytest.approx(row["first_mean"] - row["second_mean"])
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["p_holm"] < 0.01
    assert found.iloc[1][["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert found.iloc[1]["p"] == 1
    assert (found["p_holm"] >= found["p"]).all()


def test_a_recommender_is_judged_as_evaluate_does(genre: HybridRecommender):
    test = pd.DataFrame(
        [("u00", "cousin"), ("u31", "echo"), ("stranger", "s1")], columns=["user_id", "item_id"]
    )
    lists = genre.recommend_many(k=5)
    found = compare({"model": genre, "its lists": lists}, test, k=5, metrics=["ndcg", "map"])
    expected = genre.evaluate(test, 5)
    for row in found.itertuples():
        assert row.first_mean == row.second_mean == pytest.approx(expected.loc[5, row.metric])
        assert row.users == 3


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ([("u", "a", 1), ("u", "a", 2)], DataError, "item a twice for user u"),
        ([("u", "a", 1), ("u", "b", 1)], DataError, "rank 1 twice for user u"),
        ([("u", "a", 0)], DataError, "a rank below 1"),
    ],
)
def test_lists_that_are_none_are_refused(
    lists: list[tuple[str, str, int]], error: type[Exception], message: str
):
    frame = pd.DataFrame(lists, columns=["user_id", "item_id", "rank"])
    test = pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    with pytest.raises(error, match=message):
        compare({"one": frame, "two": frame}, test)
    with pytest.raises(ConfigError, match="1 models to compare"):
        compare({"one": frame}, test)


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = bootstrap(rng.exponential(size=60) - 1, samples=400, rng=int(rng.integers(1000)))
        inside += bool(low <= 0 <= high)
    assert 0.88 <= inside / 200 <= 0.99


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(2)
    p = [permutation_test(rng.normal(size=40), samples=400, rng=seed) for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.1
    assert 0.4 <= np.mean(p) <= 0.6


def test_holm_on_a_hand_worked_case():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
