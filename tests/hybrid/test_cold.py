"""Items that nobody has liked: judged by what can see them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import kgenre
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.cold import ColdTask, hold_out_items, matched_scale
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.signals.cold import Cold, ColdConfig
from kgenre.hybrid.signals.cold_gnn import ColdEncoderConfig, ColdGNN, ColdGNNConfig
from kgenre.hybrid.state import single_history
from kgenre.hybrid.tuning import Validation

GENRES = ("war", "love", "space")
SIGNALS = ("multihop", "text", "popularity", "closed_form", "cold")


def planted(n_per_genre: int = 20, n_users: int = 240, seed: int = 3) -> SignalData:
    """Items of three genres, told apart by one word; users like one genre, and ``famous`` items more than others.

    The last item of each genre is famous and the one before it is not; nobody has liked either.
    """
    rng = np.random.default_rng(seed)
    genre = np.repeat(np.arange(3), n_per_genre)
    place = np.tile(np.arange(n_per_genre), 3)
    famous = place % 2 == 1
    texts = tuple(
        f"a {GENRES[g]} story {'famous' if f else 'obscure'} number {p}"
        for g, f, p in zip(genre, famous, place, strict=True)
    )
    chance = np.where(genre[None, :] == rng.integers(0, 3, n_users)[:, None], 0.25, 0.02) * (1 + 2 * famous)
    likes = (rng.random(chance.shape) < chance) & (place < n_per_genre - 2)
    likes[:, 0] |= ~likes.any(axis=1)
    return SignalData(
        likes=sparse.csr_matrix(likes.astype(np.float32)),
        facts={},
        n_users=n_users,
        n_nodes=n_users + len(genre),
        texts=texts,
    )


@pytest.fixture(scope="module")
def data() -> SignalData:
    return planted()


def test_an_unseen_item_of_the_liked_genre_comes_first_and_the_famous_one_before_the_other(data: SignalData):
    unseen = np.flatnonzero(data.item_degree == 0)
    signal = Cold().fit(data)
    for genre in range(3):
        history = single_history(data.n_items, 20 * genre + np.arange(4))
        order = unseen[np.argsort(-signal.score(history)[0, unseen], kind="stable")]
        assert order[:2].tolist() == [20 * genre + 19, 20 * genre + 18]


def test_a_liked_items_own_likes_do_not_move_its_score(data: SignalData):
    """Its column is what the regression says without it: changing only that target changes nothing."""

    class Shifted(Cold):
        def _targets(self, data: SignalData) -> np.ndarray:
            targets = super()._targets(data).copy()
            targets[:, 7] += np.linspace(0, 1, len(targets), dtype=np.float32)
            return targets

    one, two = Cold().fit(data), Shifted().fit(data)
    np.testing.assert_allclose(two.similarity[:, 7], one.similarity[:, 7], atol=2e-5)
    assert np.abs(two.similarity[:, 8] - one.similarity[:, 8]).max() > 1e-3


def test_nothing_is_said_where_no_item_has_words_text_or_facts(data: SignalData):
    bare = SignalData(likes=data.likes, facts={}, n_users=data.n_users, n_nodes=data.n_nodes)
    assert np.isnan(Cold().fit(bare).score(data.likes[:5])).all()


def test_a_stronger_ridge_tells_unseen_items_less_apart(data: SignalData):
    unseen = np.flatnonzero(data.item_degree == 0)
    spreads = [
        float(Cold(ColdConfig(ridge=ridge)).fit(data).similarity[:, unseen].std(axis=1).mean())
        for ridge in (0.5, 5.0, 50.0)
    ]
    assert spreads == sorted(spreads, reverse=True)


# -- validation on items, and weights of their own -----------------------------------------------------


def graph_of(data: SignalData) -> KnowledgeGraph:
    user, item = data.likes.nonzero()
    ids = [f"i{place:02}" for place in range(data.n_items)]
    return KnowledgeGraph.from_frames(
        pd.DataFrame(
            {"user_id": [f"u{row:03}" for row in user], "item_id": [ids[column] for column in item]}
        ),
        items=pd.DataFrame({"item_id": ids, "text": data.texts}),
    )


def fitted(graph: KnowledgeGraph, encoder: TextEncoder, cold_items: str) -> HybridRecommender:
    config = HybridConfig.from_dict(
        {"signals": SIGNALS, "validation": {"cold_items": cold_items}, "baselines": False}
    )
    return HybridRecommender(config, text_encoder=encoder).fit(graph)


@pytest.fixture(scope="module")
def graph(data: SignalData) -> KnowledgeGraph:
    return graph_of(data)


@pytest.fixture(scope="module")
def model(graph: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    return fitted(graph, encoder, "auto")


@pytest.fixture(scope="module")
def without(graph: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    return fitted(graph, encoder, "never")


def test_items_are_held_out_whole(data: SignalData):
    training, held_out, items = hold_out_items(data.likes, 0.1, rng=4)
    assert len(items) == round(0.1 * (data.item_degree > 0).sum())
    assert np.unique(held_out.indices).tolist() == items.tolist()
    assert not np.isin(training.indices, items).any()
    assert ((training + held_out) != data.likes).nnz == 0


def test_an_unseen_item_has_weights_of_its_own_and_the_ledger_shows_them(model: HybridRecommender):
    state = model.state
    assert state.cold is not None
    assert state.cold_weights is not None
    assert state.cold_weights[state.names.index("cold")] > 0
    assert np.flatnonzero(state.cold).tolist() == [18, 19, 38, 39, 58, 59]
    for user in ("u000", "u007", "u100"):
        scores = model.score(user)
        for item, weights in (
            ("i19", state.cold_weights),
            ("i38", state.cold_weights),
            ("i05", state.weights),
        ):
            found = model.explain(user, item)
            np.testing.assert_array_equal(found.ledger["weight"], weights)
            assert found.ledger["contribution"].sum() == pytest.approx(scores[item], abs=1e-6)
            assert sum(reason.contribution for reason in found.reasons) == pytest.approx(
                scores[item], abs=1e-6
            )


def test_among_unseen_items_those_of_the_liked_genre_come_first(model: HybridRecommender):
    unseen = [f"i{place}" for place in (18, 19, 38, 39, 58, 59)]
    for genre in range(3):
        history = [f"i{20 * genre + place:02}" for place in range(5)]
        found = model.recommend(history=history, candidates=unseen, k=2)
        assert set(found["item_id"]) == {f"i{20 * genre + 18}", f"i{20 * genre + 19}"}


def test_weights_of_unseen_items_leave_liked_ones_as_they_are(model: HybridRecommender):
    state = model.state
    one_for_all = replace(state, cold=None, cold_weights=None)
    rows = (state.histories[:20], state.seen[:20])
    own, common = state.score(*rows), one_for_all.score(*rows)
    np.testing.assert_array_equal(own[:, ~state.cold], common[:, ~state.cold])
    assert np.abs(own - common)[:, state.cold].max() > 0.01


def test_without_unseen_items_or_on_demand_nothing_is_held_out(without: HybridRecommender):
    assert without.state.cold is None
    assert without.state.cold_weights is None
    assert "cold" not in without.state.names
    assert "unseen" not in set(without.honesty["kind"])


def test_the_honesty_table_says_what_ranks_unseen_items(model: HybridRecommender):
    table = model.honesty[model.honesty["kind"] == "unseen"].set_index("name")
    assert {"cold", "closed_form", "fusion"} <= set(table.index)
    assert table.loc["fusion", "ndcg@20"] > 0
    assert table.loc["cold", "weight"] > 0


def test_a_saved_model_keeps_the_weights_of_unseen_items(model: HybridRecommender, tmp_path: Path):
    model.save(tmp_path / "model")
    again = kgenre.load(tmp_path / "model")
    np.testing.assert_array_equal(again.state.cold_weights, model.state.cold_weights)
    np.testing.assert_array_equal(again.state.cold, model.state.cold)
    pd.testing.assert_series_equal(again.score("u001"), model.score("u001"))


def test_an_item_that_is_added_has_the_weights_of_unseen_ones(graph: KnowledgeGraph, encoder: TextEncoder):
    model = fitted(graph, encoder, "auto")
    model.add_items(pd.DataFrame({"item_id": ["new"], "text": ["a famous war story number 99"]}))
    assert model.state.is_cold(model.graph.items.vocabulary.get("new"))
    assert not model.state.is_cold(model.graph.items.vocabulary.get("i05"))
    war, love = (model.score(items=["new"], history=[f"i{20 * g + p:02}" for p in range(5)]) for g in (0, 1))
    assert war["new"] > love["new"]


def test_few_unseen_items_cost_no_validation_of_their_own(data: SignalData):
    """Two of 56 items are less than the share from which on it is done unasked."""
    kept = np.setdiff1d(np.arange(data.n_items), [38, 39, 58, 59])
    fewer = SignalData(
        likes=data.likes[:, kept], facts={}, n_users=data.n_users, n_nodes=data.n_users + len(kept)
    )
    dislikes = sparse.csr_matrix(fewer.likes.shape, dtype=np.float32)
    assert ColdTask.of(fewer, dislikes, HybridConfig()) is None
    always = HybridConfig.from_dict({"validation": {"cold_items": "always"}})
    assert ColdTask.of(fewer, dislikes, always) is not None


def test_scores_of_unseen_items_are_scaled_to_where_as_many_are_liked():
    """Held-out items' likes stand as high among scores ten times as large: the scale is a tenth."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(200, 100)).astype(np.float32)
    liked = sparse.csr_matrix((rng.random(scores.shape) < 0.05 * np.exp(scores)).astype(np.float32))
    nothing = sparse.csr_matrix(scores.shape, dtype=np.float32)
    everybody = np.arange(200)
    task = Validation(everybody, nothing, liked, nothing, liked, 20)
    among = Validation(everybody, nothing, liked, nothing, liked, 20, candidates=np.arange(50, 100))
    assert matched_scale(scores, task, 10 * scores, among) == pytest.approx(0.1, rel=0.25)


def test_the_graph_encoder_for_unseen_items_does_without_words(data: SignalData):
    linked = np.zeros((data.n_items, data.n_nodes + 1), dtype=np.float32)
    linked[:30, -1] = 1
    facts = {"ABOUT": sparse.csr_matrix(linked)}
    bare = replace(data, texts=(None,) * data.n_items, facts=facts, n_nodes=data.n_nodes + 1)
    config = ColdGNNConfig(encoder=ColdEncoderConfig(embedding_size=8), epochs=1, seeds=1)
    scores = ColdGNN(config).fit(bare).score(single_history(bare.n_items, [0]))[0]
    assert np.isfinite(scores[:30]).all()
    assert np.isnan(scores[bare.item_degree == 0][-1])
