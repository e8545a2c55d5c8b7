"""One contract for all signals, and for each a planted structure it must find."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy import sparse

from kgenre.encoders import GraphEncoderConfig
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.metrics import mask, top_k
from kgenre.hybrid.signals import SIGNALS, Popularity, ScaledSVD, Signal
from kgenre.hybrid.signals.base import Near, keep_largest, pack, unpack
from kgenre.hybrid.signals.cold_gnn import ColdEncoderConfig, ColdGNNConfig
from kgenre.hybrid.signals.gnn import GNNConfig
from kgenre.hybrid.signals.popularity import PopularityConfig
from kgenre.hybrid.signals.similarity import Similarity, SimilarityConfig
from kgenre.hybrid.signals.svd import ScaledSVDConfig
from kgenre.hybrid.signals.times import block_times, is_filled
from kgenre.hybrid.state import signed, single_history

Index = Callable[[str], int]

CONFIGS = {
    "gnn": GNNConfig(encoder=GraphEncoderConfig(embedding_size=16, epochs=40), seeds=2),
    "svd": ScaledSVDConfig(embedding_size=8),
    "cold_gnn": ColdGNNConfig(
        encoder=ColdEncoderConfig(embedding_size=16, learning_rate=5e-3, weight_decay=0.3)
    ),
}
CASES = {
    **{name: (name, CONFIGS.get(name)) for name in SIGNALS if name != "similarity"},
    **{
        f"similarity {method}": ("similarity", SimilarityConfig(method=method))
        for method in ("cosine", "jaccard", "tfidf")
    },
}
COMES_FIRST = {
    "multihop": "partner",
    "text": "echo",
    "popularity": "hit",
    "closed_form": "partner",
    "slim": "partner",
    "svd": "partner",
    "gnn": "partner",
    "facts": "cousin",
    "cold": "echo",
    "cold_gnn": "partner",
    "similarity cosine": "echo",
    "similarity jaccard": "cousin",
    "similarity tfidf": "echo",
}
"""What must come first for somebody who likes only ``query``."""
LIKES_ALONE = {
    "multihop": {"fact_share": 0.0},
    "closed_form": {"facts": 0.0, "text": 0.0},
    "slim": {"facts": 0.0, "text": 0.0},
    "svd": {"facts": 0.0, "text": 0.0},
}
REACHES_COUSIN = ("multihop", "closed_form", "slim", "svd", "gnn", "facts", "similarity jaccard")
"""Signals that a fact leads to ``cousin``, which nobody has liked."""


def unfitted(case: str) -> Signal:
    name, config = CASES[case]
    return SIGNALS[name](config)


@pytest.fixture(scope="module")
def fitted(data: SignalData) -> dict[str, Signal]:
    return {case: unfitted(case).fit(data) for case in CASES}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def signal(case: str, fitted: dict[str, Signal]) -> Signal:
    return fitted[case]


@pytest.fixture(scope="module")
def histories(world: KnowledgeGraph) -> sparse.csr_matrix:
    """Everybody's, with the dislikes of ``critic`` and the empty one of ``lurker``."""
    return signed(world.likes, world.dislikes)


def test_every_signal_is_in_this_suite():
    assert {name for name, _ in CASES.values()} == set(SIGNALS)
    assert set(COMES_FIRST) == set(CASES)


def test_scores_have_shape_and_type(signal: Signal, histories: sparse.csr_matrix):
    scores = signal.score(histories)
    assert scores.shape == histories.shape
    assert scores.dtype == np.float32
    assert not np.isinf(scores).any()
    assert signal.score(histories[:0]).shape == (0, histories.shape[1])


def test_histories_that_are_nearly_the_same_have_the_scores_that_each_has_alone(
    signal: Signal, histories: sparse.csr_matrix
):
    liked = np.flatnonzero(np.diff(histories.indptr) > 3)[0]
    first = histories[[liked]]
    # One item less, two that turn, and one that is new; then nothing of it is left.
    few = first.toarray().repeat(3, axis=0)
    few[0, first.indices[0]] = 0.0
    few[1, first.indices[1:3]] *= -1.0
    few[2, np.flatnonzero(few[2] == 0)[0]] = 1.0
    for others in (few, np.zeros_like(few)):
        changes = sparse.csr_matrix(others - first.toarray())
        near = Near(first, changes, sparse.csr_matrix(np.concatenate((first.toarray(), others))))
        np.testing.assert_allclose(
            signal.score_near(near), signal.score(near.histories), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("share", [0.05, 1.0], ids=["sparse", "dense"])
def test_the_product_for_many_histories_is_the_product(share: float):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 300)).astype(np.float32) * (rng.random((300, 300)) < share)
    matrix = values if share == 1 else sparse.csr_matrix(values)
    likes = sparse.random(90, 300, 0.1, format="csr", random_state=1, dtype=np.float32)
    likes.data -= np.float32(0.5)
    likes = sparse.csr_matrix(sparse.vstack([likes, sparse.csr_matrix((2, 300), dtype=np.float32)], "csr"))
    for array in (likes.data, likes.indices, likes.indptr, values):
        array.flags.writeable = False
    assert is_filled(matrix)
    np.testing.assert_allclose(block_times(likes, matrix), likes.toarray() @ values, atol=1e-5)


def test_scores_leave_the_histories_as_they_are(signal: Signal, histories: sparse.csr_matrix):
    before = histories.copy()
    signal.score(histories)
    signal.rows(histories[[0]])
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(histories, name), getattr(before, name))


def test_two_fits_agree_bit_for_bit(
    case: str, signal: Signal, data: SignalData, histories: sparse.csr_matrix
):
    again = unfitted(case).fit(data)
    np.testing.assert_array_equal(again.score(histories), signal.score(histories))
    assert again.arrays().keys() == signal.arrays().keys()
    for name, array in signal.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)


def test_a_fit_does_not_change_the_data(case: str, data: SignalData):
    likes, facts = data.likes.copy(), {name: matrix.copy() for name, matrix in data.facts.items()}
    text = data.item_text.copy()
    unfitted(case).fit(replace(data))
    assert (likes != data.likes).nnz == 0
    assert all((facts[name] != matrix).nnz == 0 for name, matrix in data.facts.items())
    np.testing.assert_array_equal(text, data.item_text)


def test_an_empty_history_gives_nothing_but_popularity(case: str, signal: Signal, data: SignalData):
    scores = signal.score(single_history(data.n_items, []))
    if case == "popularity":
        assert np.isfinite(scores).all()
    else:
        assert np.isnan(scores).all()


def test_nothing_is_said_of_an_item_without_text_facts_and_likes(
    case: str, signal: Signal, histories: sparse.csr_matrix, index: Index
):
    scores = signal.score(histories)[:, index("blank")]
    if case == "popularity":
        assert (scores == 0).all()
    else:
        assert np.isnan(scores).all()


def test_text_and_facts_say_nothing_where_there_are_none(
    fitted: dict[str, Signal], world: KnowledgeGraph, index: Index
):
    history = single_history(world.n_items, [index("query")])
    for case in ("facts", "similarity jaccard"):
        assert np.isnan(fitted[case].score(history)[0, index("partner")]), case
        assert np.isfinite(fitted[case].score(history)[0, index("cousin")]), case


def test_without_texts_the_signals_of_text_cannot_say(data: SignalData, histories: sparse.csr_matrix):
    bare = replace(data, item_text=None, node_text=None, texts=(None,) * data.n_items)
    for case in ("text", "similarity cosine", "similarity tfidf"):
        signal = unfitted(case).fit(bare)
        assert np.isnan(signal.score(histories)).all(), case
        assert np.isnan(signal.rows(histories[[0]])).all(), case


def test_without_facts_every_signal_still_fits(case: str, data: SignalData, histories: sparse.csr_matrix):
    signal = unfitted(case).fit(replace(data, facts={}))
    scores = signal.score(histories)
    if case in ("facts", "similarity jaccard"):
        assert np.isnan(scores).all()
    else:
        assert np.isfinite(scores[0]).any()


def test_the_parts_of_the_history_sum_to_the_score(signal: Signal, histories: sparse.csr_matrix):
    for user in range(histories.shape[0]):
        history = histories[[user]]
        rows = signal.rows(history)
        assert rows.dtype == np.float32
        if not isinstance(signal, Popularity):
            assert rows.shape == (history.nnz, histories.shape[1])
        if not len(rows):
            continue
        score = signal.score(history)[0]
        np.testing.assert_array_equal(np.isnan(rows), np.tile(np.isnan(score), (len(rows), 1)))
        scale = np.nanmax(np.abs(rows))
        np.testing.assert_allclose(rows.sum(axis=0), score, rtol=1e-4, atol=1e-5 * scale)


def test_contributions_are_the_rows_of_one_item(signal: Signal, histories: sparse.csr_matrix, index: Index):
    history = histories[[0]]
    item = index("s1")
    np.testing.assert_array_equal(signal.contributions(history, item), signal.rows(history)[:, item])


def test_popularity_does_not_look_at_the_history(fitted: dict[str, Signal], histories: sparse.csr_matrix):
    assert fitted["popularity"].rows(histories[[0]]).shape == (0, histories.shape[1])


def test_a_batch_scores_as_its_users_do_alone(signal: Signal, histories: sparse.csr_matrix):
    together = signal.score(histories)
    alone = np.concatenate([signal.score(histories[[user]]) for user in range(histories.shape[0])])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_what_is_saved_scores_the_same(
    case: str, signal: Signal, histories: sparse.csr_matrix, tmp_path: Path
):
    arrays = {
        name: np.array(array, dtype=np.uint8 if array.dtype == bool else array.dtype, order="C")
        for name, array in signal.arrays().items()
    }
    save_file(arrays, tmp_path / "signal.safetensors")
    restored = type(signal)(signal.config).restore(load_file(tmp_path / "signal.safetensors"))
    np.testing.assert_array_equal(restored.score(histories), signal.score(histories))
    np.testing.assert_array_equal(restored.rows(histories[[0]]), signal.rows(histories[[0]]))


def test_the_planted_item_comes_first(case: str, signal: Signal, data: SignalData, index: Index):
    history = single_history(data.n_items, [index("query")])
    if case in LIKES_ALONE:
        # What is known by facts is so rare here that it would come before what is known by likes.
        signal = type(signal)(signal.config.model_copy(update=LIKES_ALONE[case])).fit(data)
    assert top_k(mask(signal.score(history), history), 1)[0, 0] == index(COMES_FIRST[case])


@pytest.mark.parametrize(
    "case", ["multihop", "text", "closed_form", "slim", "svd", "gnn", "cold", "cold_gnn"]
)
def test_one_taste_comes_before_the_other(case: str, fitted: dict[str, Signal], index: Index):
    """Films of space that somebody of that taste has not seen stand before all films of love."""
    space, love = [index(f"s{i}") for i in range(10)], [index(f"l{i}") for i in range(10)]
    scores = fitted[case].score(single_history(len(fitted["popularity"].share), space[:6]))[0]
    assert scores[space[6:]].min() > scores[love].max()


@pytest.mark.parametrize("case", REACHES_COUSIN)
def test_facts_lead_to_an_item_that_nobody_has_liked(
    case: str, fitted: dict[str, Signal], data: SignalData, index: Index
):
    """``cousin`` gains over a love film with no fact; without the shared director it does not."""
    history = single_history(data.n_items, [index("query")])
    cousin, stranger = index("cousin"), index("l7")
    score = fitted[case].score(history)[0]
    assert score[cousin] > np.nan_to_num(score[stranger]) + 1e-4
    assert fitted[case].rows(history)[0, cousin] > 0


@pytest.mark.parametrize("case", sorted({*CASES} - {"popularity", "similarity jaccard"}))
def test_a_dislike_pulls_down_what_is_like_it(case: str, signal: Signal, data: SignalData, index: Index):
    twin = index(COMES_FIRST[case])
    liked = single_history(data.n_items, [index("s0")])
    both = single_history(data.n_items, [index("s0")], [index("query")])
    assert signal.score(both)[0, twin] < np.nan_to_num(signal.score(liked)[0, twin])


def test_popularity_is_the_share_of_the_most_liked(
    fitted: dict[str, Signal], world: KnowledgeGraph, index: Index
):
    share = fitted["popularity"].score(sparse.csr_matrix((1, world.n_items)))[0]
    likes = np.asarray(world.likes.sum(axis=0)).ravel()
    np.testing.assert_allclose(share, likes / likes.max(), rtol=1e-6)
    assert share.max() == 1
    assert share[index("blank")] == 0


@given(st.lists(st.lists(st.integers(0, 5), unique=True), min_size=1, max_size=8))
def test_popularity_stays_within_0_and_1(rows: list[list[int]]):
    dense = np.zeros((len(rows), 6), dtype=np.float32)
    for user, items in enumerate(rows):
        dense[user, items] = 1
    data = SignalData(likes=sparse.csr_matrix(dense), facts={}, n_users=len(rows), n_nodes=len(rows) + 6)
    share = Popularity().fit(data).share
    assert ((share >= 0) & (share <= 1)).all()
    assert share.max() == (1 if dense.any() else 0)


def test_a_half_life_halves_old_likes():
    likes = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))
    ages = np.array([20, 0, 20, 10], dtype=np.float32)
    data = SignalData(likes=likes, facts={}, n_users=2, n_nodes=5, ages=ages, newest=1e9)
    signal = Popularity(PopularityConfig(half_life_days=10)).fit(data)
    np.testing.assert_allclose(signal.share, [0.5, 1.0, 0.5])


def test_a_part_of_the_likes_keeps_its_ages():
    likes = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))
    ages = np.array([4, 3, 2, 1], dtype=np.float32)
    data = SignalData(likes=likes, facts={}, n_users=2, n_nodes=5, ages=ages)
    part = data.with_likes(sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 0]], dtype=np.float32)))
    assert part.ages is not None
    assert part.ages.tolist() == [3, 2]


def test_a_like_of_unknown_time_is_as_old_as_the_oldest(frames):
    rows = frames["interactions"].head(3).assign(timestamp=[86400.0 * 3, None, 86400.0 * 5])
    data = SignalData.from_graph(KnowledgeGraph.from_frames(rows))
    assert data.ages is not None
    assert sorted(data.ages.tolist()) == [0, 2, 2]


def test_jaccard_is_the_share_of_common_facts():
    facts = np.zeros((4, 9), dtype=np.float32)
    facts[0, [6, 7]] = facts[1, [7, 8]] = facts[2, [6, 7, 8]] = 1
    data = SignalData(
        likes=sparse.csr_matrix(np.ones((2, 4), dtype=np.float32)),
        facts={"R": sparse.csr_matrix(facts)},
        n_users=2,
        n_nodes=9,
    )
    signal = Similarity(SimilarityConfig(method="jaccard")).fit(data)
    scores = signal.score(single_history(4, [0]))[0]
    np.testing.assert_allclose(scores[:3], [1, 1 / 3, 2 / 3], rtol=1e-6)
    assert np.isnan(scores[3])


def test_the_svd_of_full_rank_keeps_what_is_blind_blind(
    data: SignalData, histories: sparse.csr_matrix, index: Index
):
    signal = ScaledSVD(ScaledSVDConfig(embedding_size=data.n_items)).fit(data)
    assert np.isnan(signal.score(histories)[:, index("blank")]).all()


def test_keep_largest_keeps_the_largest_of_each_row():
    matrix = sparse.csr_matrix(np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 0.0]]))
    assert keep_largest(matrix, 2).toarray().tolist() == [[3, 0, 2], [0, 5, 0]]


@given(st.booleans(), st.integers(0, 3), st.integers(1, 3))
def test_pack_and_unpack_are_inverse(sparsely: bool, rows: int, columns: int):
    dense = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    matrix = sparse.csr_matrix(dense) if sparsely else dense
    back = unpack("m", pack("m", matrix))
    assert sparse.issparse(back) == sparsely
    np.testing.assert_array_equal(back.toarray() if sparsely else back, dense)
