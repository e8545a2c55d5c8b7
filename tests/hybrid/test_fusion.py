import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from kgenre.hybrid.fusion import FusionConfig, learn_weights, standardise
from kgenre.hybrid.metrics import hits_of, mask, ndcg, top_k

Floats = npt.NDArray[np.float32]

SHAPE = (6, 9)
scores_with_gaps = npst.arrays(
    np.float32,
    SHAPE,
    elements=st.one_of(
        st.just(float("nan")), st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
    ),
)
seen_items = npst.arrays(np.bool_, SHAPE)


@given(scores_with_gaps, seen_items)
def test_unseen_and_known_scores_get_mean_0_and_deviation_1(scores: Floats, seen: npt.NDArray[np.bool_]):
    found = standardise(scores.copy(), sparse.csr_matrix(seen.astype(np.float32)))
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found.values), np.isnan(scores))
    for row in range(len(scores)):
        counted = ~np.isnan(scores[row]) & ~seen[row]
        values = found.values[row, counted].astype(np.float64)
        spread = scores[row, counted].astype(np.float64).std() if counted.any() else 0.0
        size = np.abs(scores[row, counted]).max(initial=1.0)
        if spread > 1e-4 * size:
            assert values.mean() == pytest.approx(0, abs=1e-3)
            assert values.std() == pytest.approx(1, abs=1e-3)
        elif spread == 0:
            assert found.deviation[row] == 1
            assert not np.nan_to_num(found.values[row]).any()


@given(scores_with_gaps, seen_items)
def test_standardising_keeps_the_order_and_can_be_undone(scores: Floats, seen: npt.NDArray[np.bool_]):
    found = standardise(scores, sparse.csr_matrix(seen.astype(np.float32)))
    undone = found.values * found.deviation[:, None] + found.mean[:, None]
    rows = np.nan_to_num(found.values).any(axis=1)
    scale = np.nanmax(np.abs(scores), initial=1.0)
    np.testing.assert_allclose(undone[rows], scores[rows], atol=1e-5 * scale)


def test_what_was_seen_does_not_move_the_mean():
    scores = np.array([[1.0, 2.0, 3.0, 1000.0]], dtype=np.float32)
    found = standardise(scores, sparse.csr_matrix(np.array([[0, 0, 0, 1.0]])))
    assert found.mean[0] == 2
    np.testing.assert_allclose(found.values[0, :3], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)


@pytest.mark.parametrize("fill", [np.nan, 3.0], ids=["nothing to say", "the same for all"])
def test_a_row_without_spread_is_zero_or_unknown(fill: float):
    found = standardise(np.full((1, 4), fill, dtype=np.float32), sparse.csr_matrix((1, 4)))
    assert found.deviation.tolist() == [1.0]
    np.testing.assert_array_equal(found.values[0], np.full(4, np.nan if np.isnan(fill) else 0.0))


class Planted:
    """Likes that one signal knows, half of them each that two others know, and noise."""

    def __init__(self, n_users: int = 120, n_items: int = 40) -> None:
        rng = np.random.default_rng(5)
        self.seen = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.1).astype(np.float32))
        relevant = (rng.random((n_users, n_items)) < 0.1) & (self.seen.toarray() == 0)
        self.relevant = sparse.csr_matrix(relevant.astype(np.float32))
        even = np.arange(n_items) % 2 == 0
        noise = [rng.normal(size=relevant.shape) for _ in range(5)]
        self.good = self._as_signal(4.0 * relevant + noise[0])
        self.half = self._as_signal(4.0 * (relevant & even) + noise[1])
        self.other_half = self._as_signal(4.0 * (relevant & ~even) + noise[2])
        self.useless = self._as_signal(noise[3])
        self.harmful = self._as_signal(-4.0 * relevant + noise[4])

    def _as_signal(self, scores: npt.NDArray[np.float64]) -> Floats:
        return standardise(scores.astype(np.float32), self.seen).values

    def ndcg(self, scores: Floats) -> float:
        ranked = top_k(mask(scores.copy(), self.seen), 20)
        users = np.diff(self.relevant.indptr) > 0
        values = ndcg(hits_of(ranked, self.relevant), np.diff(self.relevant.indptr).astype(np.int64))
        return float(values[users].mean())


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


CONFIG = FusionConfig(k=20)


def test_the_good_signal_gets_the_weight_and_the_others_none(planted: Planted):
    signals = [planted.useless, planted.good, planted.harmful]
    found = learn_weights(signals, planted.relevant, planted.seen, CONFIG)
    assert found.weights[1] == 1
    assert found.weights[2] == 0
    assert found.weights[0] < 0.1


def test_a_perfect_signal_leaves_the_useless_ones_exactly_nothing(planted: Planted):
    perfect = standardise(planted.relevant.toarray().astype(np.float32), planted.seen).values
    found = learn_weights([planted.useless, planted.harmful, perfect], planted.relevant, planted.seen, CONFIG)
    assert found.weights.tolist() == [0, 0, 1]
    assert found.ndcg == pytest.approx(1)


def test_two_halves_share_the_weight_and_beat_each_alone(planted: Planted):
    signals = [planted.half, planted.other_half, planted.useless]
    found = learn_weights(signals, planted.relevant, planted.seen, CONFIG)
    assert found.weights[:2].min() > 0.3
    fused = sum(np.float32(weight) * signal for weight, signal in zip(found.weights, signals, strict=True))
    best = max(planted.ndcg(planted.half), planted.ndcg(planted.other_half))
    assert planted.ndcg(fused) > best + 0.1
    assert found.ndcg > best + 0.1


def test_the_crossfitted_figure_of_one_signal_is_its_own(planted: Planted):
    found = learn_weights([planted.good], planted.relevant, planted.seen, CONFIG)
    assert found.weights.tolist() == [1]
    assert found.ndcg == pytest.approx(planted.ndcg(planted.good), abs=1e-9)


def test_a_signal_that_cannot_say_is_no_help_and_no_harm(planted: Planted):
    silent = np.full_like(planted.good, np.nan)
    found = learn_weights([silent, planted.good], planted.relevant, planted.seen, CONFIG)
    alone = learn_weights([planted.good], planted.relevant, planted.seen, CONFIG)
    assert found.weights.tolist() == [0, 1]
    assert found.ndcg == pytest.approx(alone.ndcg)


def test_a_signal_that_cannot_say_gets_nothing_even_if_the_order_of_ties_favours_it():
    """The relevant item has the lowest index, so that any tie is won by what says nothing."""
    relevant = np.zeros((10, 8), dtype=np.float32)
    relevant[:, 0] = 1
    weak = np.tile(np.array([-1, 1, 1, 1, 1, 1, -2, -2], dtype=np.float32), (10, 1))
    silent = np.full_like(weak, np.nan)
    found = learn_weights([silent, weak], sparse.csr_matrix(relevant), sparse.csr_matrix(weak.shape), CONFIG)
    assert found.weights.tolist() == [0, 1]


def test_the_same_seed_gives_the_same_weights(planted: Planted):
    signals = [planted.half, planted.other_half, planted.useless, planted.harmful]
    one, two = (learn_weights(signals, planted.relevant, planted.seen, CONFIG, rng=11) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    assert one.ndcg == two.ndcg


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6), st.integers(2, 12))
def test_weights_are_never_negative_and_the_largest_is_1(
    seed: int, n_signals: int, n_users: int, n_items: int
):
    rng = np.random.default_rng(seed)
    relevant = np.zeros((n_users, n_items), dtype=np.float32)
    relevant[np.arange(n_users), rng.integers(0, n_items, n_users)] = 1
    seen = sparse.csr_matrix(((rng.random(relevant.shape) < 0.3) & (relevant == 0)).astype(np.float32))
    signals = [
        np.where(rng.random(relevant.shape) < 0.2, np.nan, rng.normal(size=relevant.shape)).astype(np.float32)
        for _ in range(n_signals)
    ]
    found = learn_weights(signals, sparse.csr_matrix(relevant), seen, CONFIG)
    assert (found.weights >= 0).all()
    assert found.weights.max() == 1
    assert 0 <= found.ndcg <= 1


def test_without_a_held_out_like_there_is_nothing_to_learn(planted: Planted):
    with pytest.raises(ValueError, match="no user has a held-out like"):
        learn_weights([planted.good], sparse.csr_matrix(planted.relevant.shape), planted.seen, CONFIG)
