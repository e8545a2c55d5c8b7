"""Items that nobody has liked: judged by what can see them."""

import numpy as np
import pytest
from scipy import sparse

from kgenre.hybrid.data import SignalData
from kgenre.hybrid.signals.cold import Cold, ColdConfig
from kgenre.hybrid.state import single_history

GENRES = ("war", "love", "space")


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
