"""What is done where an item-item matrix cannot be held whole, against what is done where it can."""

import numpy as np
import pytest
from scipy import sparse

from kgenre.hybrid.data import SignalData
from kgenre.hybrid.honesty import ItemKNN
from kgenre.hybrid.signals import (
    SIGNALS,
    ClosedForm,
    Facts,
    MultiHop,
    Signal,
    TextCosine,
    closed_form,
    features,
    multihop,
    products,
)
from kgenre.hybrid.signals.base import Moves, dense, keep_largest
from kgenre.hybrid.signals.neighbourhood import neighbourhood_form
from kgenre.hybrid.signals.products import affordable, largest_products, nearest_vectors, thinned


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every catalogue counts as large, with neighbourhoods of all items: nothing may change then."""
    for module in (closed_form, features, multihop):
        monkeypatch.setattr(module, "DENSE_ITEMS", 1)
    for module in (closed_form, features):
        monkeypatch.setattr(module, "NEIGHBOURS", 10_000)


def fresh(data: SignalData) -> SignalData:
    """The same data with nothing computed yet."""
    return SignalData(
        data.likes, data.facts, data.n_users, data.n_nodes, data.item_text, data.node_text, texts=data.texts
    )


@pytest.mark.parametrize("signal", [MultiHop, TextCosine, Facts], ids=lambda signal: signal.name)
def test_with_all_items_as_neighbours_a_large_catalogue_is_scored_like_a_small_one(
    signal: type[Signal], data: SignalData, request: pytest.FixtureRequest
):
    small = signal().fit(fresh(data)).score(data.likes)
    request.getfixturevalue("large")
    np.testing.assert_allclose(signal().fit(fresh(data)).score(data.likes), small, rtol=2e-3, atol=2e-4)


@pytest.mark.usefixtures("large")
def test_a_new_item_enters_as_a_fit_has_one_that_nobody_has_liked(data: SignalData):
    new = int(data.likes.indices[0])
    likes = data.likes.tolil()
    likes[:, new] = 0
    without = fresh(data.with_likes(sparse.csr_matrix(likes.tocsr())))
    without.likes.eliminate_zeros()
    expected = ClosedForm().fit(without)
    # The signal as it was before it knew of the item.
    others = np.delete(np.arange(data.n_items), new)
    before = ClosedForm()
    before.similarity = sparse.csr_matrix(dense(expected.similarity)[np.ix_(others, others)])
    before.blind = expected.blind[others]
    found = before.extend(without, Moves(others, np.arange(data.n_nodes), data.n_items))
    np.testing.assert_allclose(dense(found.similarity), dense(expected.similarity), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found.blind, expected.blind)


def test_a_column_over_few_neighbours_is_the_least_squares_over_these(data: SignalData):
    rng = np.random.default_rng(0)
    prior = sparse.csr_matrix(np.where(rng.random((data.n_items,) * 2) < 0.1, 0.3, 0.0).astype(np.float32))
    prior.setdiag(0)
    penalty = rng.uniform(5, 20, data.n_items).astype(np.float32)
    found = dense(neighbourhood_form(data.likes, penalty, prior, 4))
    likes = data.likes.toarray()
    for item in range(data.n_items):
        near = np.flatnonzero(found[:, item])
        assert item not in near
        assert len(near) <= 4
        gram = likes[:, near].T @ likes[:, near] + np.diag(penalty[near])
        target = likes[:, near].T @ likes[:, item] + penalty[near] * prior.toarray()[near, item]
        np.testing.assert_allclose(found[near, item], np.linalg.solve(gram, target), rtol=1e-3, atol=1e-5)


def test_the_largest_products_are_those_of_the_whole_product():
    matrix = sparse.random(300, 90, 0.1, format="csr", random_state=0, dtype=np.float32)
    whole = (matrix @ matrix.T).toarray()
    np.fill_diagonal(whole, 0)
    found = largest_products(matrix, sparse.csr_matrix(matrix.T), 7)
    expected = keep_largest(sparse.csr_matrix(whole), 7)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-5)
    some = np.array([4, 100, 299])
    part = largest_products(sparse.csr_matrix(matrix[some]), sparse.csr_matrix(matrix.T), 7, rows=some)
    np.testing.assert_allclose(part.toarray(), expected.toarray()[some], rtol=1e-5)


def test_the_nearest_vectors_are_those_of_the_whole_product():
    vectors = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)
    whole = np.maximum(vectors @ vectors.T, 0)
    np.fill_diagonal(whole, 0)
    expected = keep_largest(sparse.csr_matrix(whole**2), 9)
    np.testing.assert_allclose(nearest_vectors(vectors, 9, 2.0).toarray(), expected.toarray(), rtol=1e-5)


def test_nearest_vectors_of_many_are_found_in_the_nearest_cells(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 16))
    vectors = centres[rng.integers(40, size=3_000)] + 0.4 * rng.standard_normal((3_000, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    vectors[[5, 2_000]] = 0.0
    exact = nearest_vectors(vectors, 10, 2.0)
    monkeypatch.setattr(products, "SEARCHED_ITEMS", 1_000)
    found = nearest_vectors(vectors, 10, 2.0)
    assert (found.diagonal() == 0).all()
    assert np.diff(found.indptr).max() <= 10
    assert found[[5, 2_000]].nnz == found[:, [5, 2_000]].nnz == 0
    same = found.multiply(exact > 0)
    np.testing.assert_allclose(same.data, exact.multiply(found > 0).data, rtol=1e-4)
    assert same.nnz > 0.97 * exact.nnz


def test_hubs_are_stood_for_by_a_sample_with_the_same_expectation():
    rng = np.random.default_rng(0)
    likes = sparse.random(60, 400, 0.01, format="lil", random_state=0, dtype=np.float32)
    likes[:3] = 1.0
    likes = sparse.csr_matrix(likes)
    uses = rng.integers(1, 5, 60)
    assert thinned(likes, uses, float(uses @ np.diff(likes.indptr))) is likes
    few = thinned(likes, uses, 1_000.0)
    length = np.diff(few.indptr)
    assert uses @ length <= 1_000
    np.testing.assert_array_equal(length[3:], np.diff(likes.indptr)[3:])
    assert length[0] == length[1] == length[2] > 10
    np.testing.assert_allclose(few.sum(axis=1), likes.sum(axis=1), rtol=1e-5)
    assert (few[:3] > 0).multiply(likes[:3] > 0).nnz == few[:3].nnz


def test_of_equal_entries_the_lower_columns_are_kept():
    rows = sparse.csr_matrix(np.array([[1, 3, 1, 2, 1], [0, 1, 0, 0, 1]], dtype=np.float32))
    np.testing.assert_array_equal(keep_largest(rows, 3).toarray(), [[1, 3, 0, 2, 0], [0, 1, 0, 0, 1]])


def test_hubs_go_first_where_a_product_would_cost_too_much():
    matrix = sparse.csr_matrix(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32))
    assert affordable(matrix, 24).shape[1] == 3
    np.testing.assert_array_equal(affordable(matrix, 23).toarray(), matrix.toarray()[:, 1:])


def test_a_catalogue_too_large_for_a_matrix_is_fitted_and_answers():
    rng = np.random.default_rng(0)
    n_users, n_items = 60, closed_form.DENSE_ITEMS + 500
    likes = sparse.random(n_users, n_items, 0.002, format="csr", random_state=rng, dtype=np.float32)
    likes.data[:] = 1
    links = sparse.random(n_items, 40, 0.03, format="csr", random_state=rng, dtype=np.float32)
    links.data[:] = 1
    empty = sparse.csr_matrix((n_items, n_users + n_items), dtype=np.float32)
    facts = {"genre": sparse.csr_matrix(sparse.hstack([empty, links]))}
    data = SignalData(likes=likes, facts=facts, n_users=n_users, n_nodes=n_users + n_items + 40)
    for signal in (MultiHop(), ClosedForm(), SIGNALS["svd"](), Facts(), ItemKNN()):
        scores = signal.fit(data).score(likes[:3])
        assert scores.shape == (3, n_items)
        assert np.isfinite(scores).any(axis=1).all()
