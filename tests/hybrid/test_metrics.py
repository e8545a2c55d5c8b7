import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from kgenre.hybrid.metrics import (
    METRICS,
    average_precision,
    hit_rate,
    hits_of,
    mask,
    mrr,
    ndcg,
    precision,
    recall,
    top_k,
)
from kgenre.hybrid.output import write_lists
from kgenre.hybrid.recommender import HybridRecommender

SCORER = Path(__file__).parents[2].parent / "shared" / "bench" / "score.py"

# Ranks 1 and 3 of 4 hit, of 3 relevant items; no hit; rank 2 hits, of 6 relevant items; nothing is relevant.
HITS = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
RELEVANT = np.array([3, 2, 6, 0])
SECOND, THIRD, FOURTH = 1 / math.log2(3), 0.5, 1 / math.log2(5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (recall, [2 / 3, 0, 1 / 6, 0]),
        (precision, [2 / 4, 0, 1 / 4, 0]),
        (ndcg, [(1 + THIRD) / (1 + SECOND + THIRD), 0, SECOND / (1 + SECOND + THIRD + FOURTH), 0]),
        (mrr, [1, 0, 1 / 2, 0]),
        (average_precision, [(1 / 1 + 2 / 3) / 3, 0, (1 / 2) / 4, 0]),
        (hit_rate, [1, 0, 1, 0]),
    ],
)
def test_metrics_on_a_hand_worked_table(metric, expected):
    np.testing.assert_allclose(metric(HITS, RELEVANT), expected, rtol=0, atol=1e-12)


def test_every_metric_is_1_for_the_ideal_list():
    hits = np.array([[1, 1, 0], [1, 1, 1]], dtype=bool)
    for name, metric in METRICS.items():
        expected = [2 / 3, 1] if name == "precision" else [1, 1]
        np.testing.assert_allclose(metric(hits, np.array([2, 3])), expected, err_msg=name)


def brute_force(name: str, ranked: list[int], truth: set[int], k: int) -> float:
    """Each metric once more, from its definition and one item at a time."""
    ranks = [rank for rank, item in enumerate(ranked[:k], start=1) if item in truth]
    match name:
        case "recall":
            return len(ranks) / len(truth)
        case "precision":
            return len(ranks) / k
        case "hit":
            return float(bool(ranks))
        case "mrr":
            return 1 / ranks[0] if ranks else 0.0
        case "ndcg":
            ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(truth))))
            return sum(1 / math.log2(rank + 1) for rank in ranks) / ideal
        case _:
            found = sum((place + 1) / rank for place, rank in enumerate(ranks))
            return found / min(k, len(truth))


@given(st.data())
def test_metrics_agree_with_a_brute_force(draw):
    n = draw.draw(st.integers(1, 12))
    k = draw.draw(st.integers(1, n))
    ranked = draw.draw(st.permutations(range(n)))
    truth = draw.draw(st.sets(st.integers(0, n + 3), min_size=1))
    hits = np.array([[item in truth for item in ranked[:k]]])
    for name, metric in METRICS.items():
        found = metric(hits, np.array([len(truth)]))
        assert found[0] == pytest.approx(brute_force(name, ranked, truth, k), abs=1e-12), name


@given(
    npst.arrays(
        np.float64,
        npst.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 2.0, 3.0]),
    ),
    st.integers(1, 12),
)
def test_top_k_is_a_stable_sort_that_leaves_out_what_is_minus_infinity(scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.where(np.isfinite(np.take_along_axis(scores, order, axis=1)), order, -1)
    found = top_k(scores, k)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


def test_ties_go_to_the_lower_column():
    assert top_k(np.array([[1.0, 2.0, 2.0, 1.0, 2.0, 0.0, 1.0]]), 5).tolist() == [[1, 2, 4, 0, 3]]


def test_top_0_is_empty():
    assert top_k(np.ones((2, 3)), 0).shape == (2, 0)


def test_hits_ignore_places_without_an_item():
    relevant = sparse.csr_matrix(np.array([[0, 1, 1], [1, 0, 0]]))
    hits = hits_of(np.array([[2, 0, -1], [-1, -1, -1]], dtype=np.int32), relevant)
    assert hits.tolist() == [[True, False, False], [False, False, False]]


def test_mask_hides_seen_and_unknown():
    seen = sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 1]]))
    scores = mask(np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]), seen)
    assert scores.tolist() == [[-np.inf, -np.inf, 3.0], [4.0, 5.0, -np.inf]]


@pytest.mark.skipif(not SCORER.is_file(), reason="the benchmark's scorer is not at ../shared/bench/score.py")
@pytest.mark.parametrize("restricted", [False, True], ids=["all items", "candidates"])
def test_evaluate_agrees_with_the_benchmark_scorer(
    genre: HybridRecommender, tmp_path: Path, restricted: bool
):
    kg = genre.graph
    rng = np.random.default_rng(3)
    rows = [
        (user, item)
        for user in kg.users.vocabulary
        for item in rng.choice(kg.items.vocabulary.ids, size=rng.integers(1, 6), replace=False)
    ]
    # Somebody nobody knows, and an item that is not in the catalogue, count as misses in both.
    test = pd.DataFrame([*rows, ("stranger", "s1"), ("u00", "unknown")], columns=["user_id", "item_id"])
    test_file, seen_file = tmp_path / "test.inter", tmp_path / "seen.inter"
    test.to_csv(test_file, sep="\t", index=False)
    user, item = kg.seen.nonzero()
    seen = pd.DataFrame({"user_id": kg.users.vocabulary.ids[user], "item_id": kg.items.vocabulary.ids[item]})
    seen.to_csv(seen_file, sep="\t", index=False)
    only = [f"s{i}" for i in range(10)] + ["l1", "query", "cousin"] if restricted else None
    lists = tmp_path / "lists.tsv"
    write_lists(genre.recommend_blocks(k=10, candidates=only), str(lists))
    command = [sys.executable, str(SCORER), str(lists), "--test", str(test_file), "--seen", str(seen_file)]
    if only:
        (tmp_path / "only").write_text("\n".join(only))
        command += ["--items", str(tmp_path / "only")]
    done = subprocess.run([*command, "-k", "3", "-k", "10"], capture_output=True, text=True, check=True)
    figures = dict(part.split("=") for part in done.stdout.split())
    ours = genre.evaluate(test, [3, 10], candidates=only)
    assert int(figures["users"]) == ours["users"].iloc[0]
    for k in (3, 10):
        for metric in ("recall", "ndcg", "mrr"):
            assert ours.loc[k, metric] == pytest.approx(float(figures[f"{metric}@{k}"]), abs=5.1e-5)
    assert ours.loc[10, "recall"] > 0
