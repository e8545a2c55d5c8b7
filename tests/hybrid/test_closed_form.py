import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.honesty import EASE, EASEConfig
from kgenre.hybrid.signals.closed_form import (
    ClosedForm,
    ClosedFormConfig,
    Slim,
    SlimConfig,
    inverted,
    knowledge_prior,
)
from kgenre.hybrid.signals.products import DENSE_ITEMS

PLAIN = {"dropout": 0.0, "facts": 0.0, "text": 0.0, "user_power": 0.0}


def ease(likes: npt.NDArray[np.float64], regularization: float) -> npt.NDArray[np.float64]:
    """Steck 2019, equation 8, as it is printed: B = I - P diagMat(1 / diag(P))."""
    precision = np.linalg.inv(likes.T @ likes + regularization * np.eye(likes.shape[1]))
    weights = np.eye(likes.shape[1]) - precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights


def minimiser(
    likes: npt.NDArray[np.float64],
    user_weights: npt.NDArray[np.float64],
    penalty: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Each column's least squares over all other items, solved on its own."""
    n_items = likes.shape[1]
    weights = np.zeros((n_items, n_items))
    for item in range(n_items):
        rest = np.arange(n_items) != item
        design = likes[:, rest] * np.sqrt(user_weights)[:, None]
        target = likes[:, item] * np.sqrt(user_weights)
        left = design.T @ design + np.diag(penalty[rest])
        weights[rest, item] = np.linalg.solve(left, design.T @ target + penalty[rest] * prior[rest, item])
    return weights


@pytest.mark.parametrize("regularization", [1.0, 50.0, 400.0])
def test_without_prior_it_is_ease(data: SignalData, regularization: float):
    config = ClosedFormConfig(regularization=regularization, **PLAIN)
    expected = ease(data.likes.toarray().astype(np.float64), regularization)
    np.testing.assert_allclose(ClosedForm(config).fit(data).similarity, expected, atol=2e-5)
    peer = EASE(EASEConfig(regularization=regularization)).fit(data)
    np.testing.assert_allclose(peer.similarity, expected, atol=2e-5)


def test_the_peer_ease_has_no_prior_by_default(data: SignalData):
    expected = ease(data.likes.toarray().astype(np.float64), EASEConfig().regularization)
    np.testing.assert_allclose(EASE().fit(data).similarity, expected, atol=2e-5)


def test_with_everything_it_minimises_its_objective(data: SignalData):
    config = ClosedFormConfig(regularization=20.0, dropout=0.4, facts=0.3, text=0.2, user_power=0.5)
    likes = data.likes.toarray().astype(np.float64)
    users = np.maximum(likes.sum(axis=1), 1) ** -0.5
    users /= users.mean()
    gram = likes.T @ (likes * users[:, None])
    penalty = 20.0 + 0.4 / 0.6 * np.diag(gram)
    prior = knowledge_prior(data, config).astype(np.float64)
    assert prior.any()
    found = ClosedForm(config).fit(data).similarity
    np.testing.assert_allclose(found, minimiser(likes, users, penalty, prior), atol=5e-5)


@pytest.mark.parametrize("signal", [ClosedForm(), Slim(), EASE()], ids=lambda signal: signal.name)
def test_no_item_predicts_itself(signal: ClosedForm, data: SignalData):
    assert (np.diag(signal.fit(data).similarity) == 0).all()


def test_far_from_the_data_it_is_the_prior(data: SignalData):
    config = ClosedFormConfig(regularization=1e6, dropout=0.0)
    np.testing.assert_allclose(
        ClosedForm(config).fit(data).similarity, knowledge_prior(data, config), atol=1e-3
    )


def test_slim_has_no_negative_weight_and_a_lasso_thins_it_out(data: SignalData):
    weak = Slim(SlimConfig(lasso=0.0, **PLAIN)).fit(data).similarity
    strong = Slim(SlimConfig(lasso=5.0, **PLAIN)).fit(data).similarity
    assert (weak >= 0).all()
    assert (strong >= 0).all()
    assert 0 < np.count_nonzero(strong) < np.count_nonzero(weak)


def test_slim_comes_near_its_minimum(data: SignalData):
    """ADMM against projected gradient steps on the same objective, column by column."""
    config = SlimConfig(regularization=30.0, lasso=1.0, steps=2000, **PLAIN)
    gram = data.likes.T.toarray().astype(np.float64) @ data.likes.toarray()
    weights = np.zeros_like(gram)
    step = 1 / (np.linalg.eigvalsh(gram).max() + 30.0)
    for _ in range(20_000):
        weights -= step * (gram @ weights - gram + 30.0 * weights + 1.0)
        weights = np.maximum(weights, 0)
        np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(Slim(config).fit(data).similarity, weights, atol=2e-3)


def test_the_inverse_is_an_inverse():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 7)).astype(np.float32)
    matrix = (root @ root.T + 5 * np.eye(7)).astype(np.float32)
    np.testing.assert_allclose(inverted(matrix.copy()) @ matrix, np.eye(7), atol=1e-4)


def test_a_matrix_that_has_no_inverse_asks_for_more_regularization():
    with pytest.raises(ConfigError, match="raise the regularization"):
        inverted(np.zeros((2, 2), dtype=np.float32))


def test_too_many_items_are_refused_before_the_memory_is_gone():
    likes = sparse.csr_matrix((2, DENSE_ITEMS + 1), dtype=np.float32)
    many = SignalData(likes=likes, facts={}, n_users=2, n_nodes=DENSE_ITEMS + 3)
    with pytest.raises(ConfigError, match=r"8001 x 8001.*8000 items.*leave it out"):
        Slim().fit(many)
