"""Lists that are searched for, against those of scoring every item."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid import nearest, search, searching
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.forms import Opinions, form_of
from kgenre.hybrid.fusion import standardise
from kgenre.hybrid.ranking import rank
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.search import Search
from kgenre.hybrid.signals import SIGNALS, Signal, closed_form, features, multihop
from kgenre.hybrid.standing import Live
from kgenre.hybrid.state import FitReport, ModelState, single_history

N_ITEMS, N_USERS, TOPICS = 3_000, 60, 25
NAMES = ("multihop", "closed_form", "popularity", "svd", "gnn", "facts", "cold_gnn", "similarity")


def _signal(name: str, topic: np.ndarray, rng: np.random.Generator) -> Signal:
    """A signal of random but plausible content: items of a topic are alike."""
    n = len(topic)
    blind = rng.random(n) < (0.3 if name != "gnn" else 0.0)

    def vectors(d: int) -> np.ndarray:
        found = rng.standard_normal((TOPICS, d))[topic] + 0.7 * rng.standard_normal((n, d))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    signal = SIGNALS[name]()
    if name == "popularity":
        return signal.restore({"counts": rng.pareto(1.2, n).round(), "times": np.array([np.nan, np.nan])})
    if name == "svd":
        return signal.restore({"inward": vectors(9), "outward": vectors(9), "blind": blind})
    if name == "similarity":
        return signal.restore({"vectors": vectors(6), "blind": blind})
    if name in ("gnn", "cold_gnn"):
        arrays = {"blind": blind} | ({"basis": np.zeros((n, 1), np.float32)} if name == "cold_gnn" else {})
        for seed in range(2 if name == "gnn" else 1):
            arrays |= {f"{seed}.item_vectors": vectors(8), f"{seed}.history_vectors": vectors(8)}
            arrays |= {f"{seed}.best_epoch": np.array(1), f"{seed}.validation_ndcg": np.array(np.nan)}
            if name == "cold_gnn":
                arrays[f"{seed}.item_vectors"][blind] = np.nan
                arrays[f"{seed}.item_bias"] = rng.standard_normal(n).astype(np.float32)
        return signal.restore(arrays)
    table = sparse.random(n, n, 0.01, format="coo", random_state=rng, dtype=np.float32)
    kept = (topic[table.row] == topic[table.col]) | (rng.random(table.nnz) < 0.1)
    table = sparse.coo_matrix((table.data[kept], (table.row[kept], table.col[kept])), shape=(n, n)).tocsr()
    signal.similarity, signal.blind = table, blind
    return signal


@pytest.fixture(scope="module")
def catalogue() -> ModelState:
    """A model of signals of every form, with cold items, blind items and dislikes."""
    rng = np.random.default_rng(3)
    topic = rng.integers(TOPICS, size=N_ITEMS)
    rows, columns, values = [], [], []
    for user in range(N_USERS):
        n = int(rng.integers(1, 40))
        own = np.flatnonzero(np.isin(topic, rng.choice(TOPICS, 3)))
        items = rng.choice(own, min(n, len(own)), replace=False)
        rows += [user] * len(items)
        columns += items.tolist()
        values += np.where(rng.random(len(items)) < 0.2, -1.0, 1.0).tolist()
    histories = sparse.csr_matrix((values, (rows, columns)), shape=(N_USERS, N_ITEMS), dtype=np.float32)
    ids = [f"i{item:05}" for item in range(N_ITEMS)]
    frame = pd.DataFrame(
        {"user_id": [f"u{row:03}" for row in rows], "item_id": [ids[c] for c in columns], "weight": values}
    )
    kg = KnowledgeGraph.from_frames(frame, items=pd.DataFrame({"item_id": ids}))
    config = HybridConfig(signals=NAMES, fusion={"method": "fixed", "weights": dict.fromkeys(NAMES, 1.0)})
    return ModelState(
        config=config,
        kg=kg,
        signals=tuple(_signal(name, topic, rng) for name in NAMES),
        weights=np.array([0.4, 0.6, 0.1, 0.3, 1.0, 0.2, 0.0, 0.3]),
        histories=histories,
        seen=kg.seen,
        report=FitReport(pd.DataFrame(), {}),
        cold_weights=np.array([0.0, 0.1, 0.0, 0.0, 0.2, 0.3, 0.9, 0.0]),
        cold=rng.random(N_ITEMS) < 0.4,
    )


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that of three thousand items most are left out of sight."""
    monkeypatch.setattr(nearest, "FOUND", 200)
    monkeypatch.setattr(search, "FOUND", 200)
    monkeypatch.setattr(search, "_TABLE", 20)
    monkeypatch.setattr(nearest, "_FAR", 20)


def _compare(state: ModelState, found: Search, row: sparse.csr_matrix, k: int = 20) -> float:
    """Share of the places that are those of the exact list; scores must be those of scoring every item."""
    seen = row.indices.astype(np.int64)
    exact = rank(state, row, abs(row), k)
    best = found.best(state, row, seen, k, seen)
    assert best is not None
    items, scores = best
    np.testing.assert_allclose(scores, state.score(row, abs(row))[0, items], rtol=1e-5, atol=1e-5)
    assert not np.isin(items, seen).any()
    assert (np.diff(scores) <= 0).all()
    return float(np.isin(items, exact.items[0]).mean())


def test_means_and_deviations_are_those_over_all_items(catalogue: ModelState):
    forms = [form_of(signal) for signal in catalogue.signals]
    for row in (catalogue.histories[user] for user in range(10)):
        opinions = Opinions(forms, row, row.indices.astype(np.int64))
        found = opinions.standard(np.arange(N_ITEMS))
        for signal, values, (mean, scale) in zip(catalogue.signals, found, opinions.moments, strict=True):
            exact = standardise(signal.score(row), abs(row))
            np.testing.assert_allclose(mean, exact.mean[0], rtol=1e-5, atol=1e-6, err_msg=signal.name)
            np.testing.assert_allclose(1 / scale, exact.deviation[0], rtol=1e-5, err_msg=signal.name)
            np.testing.assert_allclose(values, exact.values[0], rtol=1e-5, atol=1e-5, err_msg=signal.name)


def test_a_searched_list_is_the_exact_one(catalogue: ModelState):
    found = Search.of(catalogue)
    shares = [_compare(catalogue, found, catalogue.histories[user]) for user in range(N_USERS)]
    assert np.mean(shares) >= 0.99


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_weights_and_history_nearly_all_is_found(catalogue: ModelState, data: st.DataObject):
    weight = st.sampled_from([0.0, 0.01, 0.2, 1.0, 3.0])
    weights = np.array(data.draw(st.lists(weight, min_size=len(NAMES), max_size=len(NAMES))))
    cold_weights = np.array(data.draw(st.lists(weight, min_size=len(NAMES), max_size=len(NAMES))))
    likes = data.draw(st.lists(st.integers(0, N_ITEMS - 1), unique=True, min_size=1, max_size=30))
    dislikes = data.draw(st.lists(st.sampled_from(likes), unique=True, max_size=len(likes)))
    row = single_history(N_ITEMS, sorted({*likes} - {*dislikes}), dislikes)
    if not weights.any():
        return
    state = replace(catalogue, weights=weights, cold_weights=cold_weights)
    exact = rank(state, row, abs(row), 20)
    searched = rank(state, row, abs(row), 20, search=Search.of(state))
    # Of equal scores either may be listed. Nothing in the sample that the index is made for is like these histories.
    assert (searched.scores >= exact.scores[0, -1] - 1e-5).mean() >= 0.75
    whole = state.score(row, abs(row))[0, searched.items[0]]
    np.testing.assert_allclose(searched.scores[0], whole, rtol=1e-5, atol=1e-5)


def test_an_earlier_index_serves_other_weights(catalogue: ModelState):
    """As adaptation has them."""
    found = Search.of(catalogue)
    rng = np.random.default_rng(0)
    shares = []
    for user in range(N_USERS):
        factors = np.exp(rng.uniform(-2, 2, len(NAMES)))
        state = replace(
            catalogue, weights=catalogue.weights * factors, cold_weights=catalogue.cold_weights * factors
        )
        assert found.following(state) is found
        shares.append(_compare(state, found, catalogue.histories[user]))
    assert np.mean(shares) >= 0.99


def test_an_item_that_changes_between_cold_and_warm_has_the_other_weights(catalogue: ModelState):
    found = Search.of(catalogue)
    cold = catalogue.cold.copy()
    cold[:40] = ~cold[:40]
    state = replace(catalogue, cold=cold)
    later = found.following(state)
    np.testing.assert_array_equal(later.fresh, np.arange(40))
    shares = [_compare(state, later, catalogue.histories[user]) for user in range(N_USERS)]
    assert np.mean(shares) >= 0.99
    assert found.following(replace(catalogue, cold=~catalogue.cold)) is None, "all are others"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Callable[[], HybridRecommender]:
    """A fitted catalogue of tables and vectors, with two hundred users of eight tastes; a copy each time."""
    for module in (closed_form, features, multihop):
        monkeypatch.setattr(module, "DENSE_ITEMS", 1)
    if not _FITTED:
        rng = np.random.default_rng(1)
        taste = rng.integers(8, size=1_500)
        rows = [
            (f"u{user:03}", f"i{item:04}", 1.0 if rng.random() < 0.9 else -1.0)
            for user in range(200)
            for item in rng.choice(np.flatnonzero(taste == user % 8), 25, replace=False)
        ]
        likes = pd.DataFrame(rows, columns=["user_id", "item_id", "weight"])
        facts = pd.DataFrame(
            {
                "head_id": [f"i{item:04}" for item in range(1_500)],
                "relation": "MADE_BY",
                "tail_id": [f"maker{4 * own + int(rng.integers(4))}" for own in taste],
            }
        )
        items = pd.DataFrame({"item_id": facts.head_id})
        weights = {"multihop": 0.3, "closed_form": 0.5, "svd": 0.2, "facts": 0.2, "gnn": 1.0}
        config = HybridConfig(
            signals=(*weights, "popularity"),
            fusion={"method": "fixed", "weights": weights | {"popularity": 0.05}},
            gnn={"encoder": {"embedding_size": 16, "epochs": 2}, "seeds": 1},
            adaptation={"when": "always"},
            tune=False,
            baselines=False,
            search="approximate",
        )
        graph = KnowledgeGraph.from_frames(likes, items=items, facts=facts)
        _FITTED.append(HybridRecommender(config).fit(graph, show=False).state)

    def copy() -> HybridRecommender:
        recommender = HybridRecommender(_FITTED[0].config)
        recommender._live = Live(_FITTED[0])
        return recommender

    return copy


_FITTED: list[ModelState] = []


def _agreement(recommender: HybridRecommender, **asked: Any) -> float:
    """Share of a searched list that is in the exact one of the same recommender, whose scores it has."""
    searched = recommender.recommend(k=20, **asked)
    found = recommender._searches._search
    assert found is not None
    everything = {"candidates": recommender.graph.items.vocabulary.ids.tolist()}
    exact = recommender.recommend(k=20, **asked, **everything)
    both = searched.merge(exact, on="item_id")
    np.testing.assert_allclose(both.score_x, both.score_y, rtol=1e-5, atol=1e-5)
    return len(both) / 20


def test_a_session_is_searched_for_with_dislikes_and_with_what_it_has_seen(shop):
    rec = shop()
    history, dislikes = [f"i{item:04}" for item in range(0, 60, 7)], ["i0003", "i0011"]
    assert _agreement(rec, history=history, dislikes=dislikes) >= 0.95
    assert _agreement(rec, history=history, dislikes=dislikes, include_seen=True) >= 0.95
    listed = rec.recommend(history=history, dislikes=dislikes, k=50, include_seen=True).item_id
    assert not set(dislikes) & set(listed)


def test_weights_adapt_as_they_do_where_every_item_is_scored(shop):
    rec = shop()
    liked = pd.DataFrame({"user_id": "u003", "item_id": ["i0007", "i0019"], "timestamp": [10.0, 11.0]})
    rec.add_interactions(liked)
    plain = rec.recommend("u003", k=20, adapt=False)
    adapted = rec.recommend("u003", k=20)
    exact = rec.score("u003").loc[adapted.item_id]
    np.testing.assert_allclose(adapted.score, exact, rtol=1e-5, atol=1e-5)
    assert not np.allclose(adapted.score, plain.score)


def test_somebody_without_a_history_has_the_most_popular(shop):
    rec = shop()
    popular = rec.recommend(history=[], k=5)
    counts = np.bincount(rec.graph.likes.indices, minlength=rec.graph.n_items)
    assert (
        np.sort(counts)[::-1][:5] == counts[rec.graph.items.vocabulary.index(list(popular.item_id))]
    ).all()


def test_after_changes_the_lists_are_those_of_the_new_state(shop):
    rec = shop()
    assert _agreement(rec, user="u001") >= 0.95
    index = rec._searches._search.groups[0].nearest
    first = rec.recommend("u001", k=3).item_id.tolist()
    rec.add_interactions(pd.DataFrame({"user_id": "u001", "item_id": first, "timestamp": [1.0, 2.0, 3.0]}))
    assert not set(first) & set(rec.recommend("u001", k=50).item_id)
    assert np.mean([_agreement(rec, user=f"u{user:03}") for user in range(20)]) >= 0.99
    # Sorted before all others, so that every item has moved.
    maker = "maker1"
    rec.add_items(pd.DataFrame({"item_id": ["a1", "a2", "a3"], "made_by": maker}))
    assert np.mean([_agreement(rec, user=f"u{user:03}") for user in range(20)]) >= 0.99
    rec.remove_items(["i0000", *rec.recommend("u002", k=2).item_id])
    assert np.mean([_agreement(rec, user=f"u{user:03}") for user in range(20)]) >= 0.99
    assert rec._searches._search.groups[0].nearest is index, "few items are others: the index is the same"
    rec.add_items(pd.DataFrame({"item_id": [f"b{item}" for item in range(60)], "made_by": maker}))
    assert np.mean([_agreement(rec, user=f"u{user:03}") for user in range(20)]) >= 0.99
    assert rec._searches._search.groups[0].nearest is not index


def test_a_small_catalogue_is_not_searched_unless_one_asks(shop):
    rec = shop()
    rec._live = Live(replace(rec.state, config=rec.state.config.updated({"search": "auto"})))
    rec.recommend("u001")
    assert rec._searches._search is None


def test_a_large_one_is_scored_whole_until_the_index_is_there(shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "MANY_ITEMS", 1_000)
    rec = shop()
    rec._live = Live(replace(rec.state, config=rec.state.config.updated({"search": "auto"})))
    assert len(rec.recommend("u001")) == 10
    assert rec._searches._builder is None, "who asks once does not wait for an index"
    rec.recommend("u001")
    rec._searches._builder.join()
    assert _agreement(rec, user="u001") >= 0.95


def test_what_has_a_dense_table_is_scored_whole(every: HybridRecommender):
    config = every.state.config.updated({"search": "approximate"})
    rec = HybridRecommender(config)
    rec._live = Live(replace(every.state, config=config))
    pd.testing.assert_frame_equal(rec.recommend("u01", k=5), every.recommend("u01", k=5))
