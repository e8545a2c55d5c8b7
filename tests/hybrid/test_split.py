import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.demo import split_for_test, to_pairs
from kgenre.hybrid.split import hold_out


@st.composite
def likes(draw: st.DrawFn) -> sparse.csr_matrix:
    rows = draw(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=6))
    dense = np.zeros((len(rows), 12), dtype=np.float32)
    for user, items in enumerate(rows):
        dense[user, sorted(items)] = 1
    return sparse.csr_matrix(dense)


shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 100)


@given(likes(), shares, seeds)
def test_the_parts_are_disjoint_and_together_the_whole(matrix: sparse.csr_matrix, share: float, seed: int):
    training, held_out = hold_out(matrix, share, rng=seed)
    assert training.multiply(held_out).nnz == 0
    assert (training + held_out != matrix).nnz == 0
    assert training.has_sorted_indices
    assert held_out.has_sorted_indices


@given(likes(), shares, seeds)
def test_each_user_gives_a_share_but_at_least_one_and_never_all(
    matrix: sparse.csr_matrix, share: float, seed: int
):
    _, held_out = hold_out(matrix, share, rng=seed)
    for before, given_up in zip(np.diff(matrix.indptr), np.diff(held_out.indptr), strict=True):
        if before < 3:
            assert given_up == 0
        else:
            assert given_up == min(max(round(before * share), 1), before - 1)


@given(likes(), shares, seeds, st.data())
def test_the_youngest_are_held_out(matrix: sparse.csr_matrix, share: float, seed: int, data: st.DataObject):
    days = st.lists(st.integers(0, 4), min_size=matrix.nnz, max_size=matrix.nnz)
    ages = np.array(data.draw(days), dtype=np.float32)
    _, held_out = hold_out(matrix, share, ages, rng=seed)
    for user in range(matrix.shape[0]):
        part = slice(matrix.indptr[user], matrix.indptr[user + 1])
        held = np.isin(matrix.indices[part], held_out[[user]].indices)
        if held.any():
            assert ages[part][held].max() <= ages[part][~held].min()


@pytest.mark.parametrize("timed", [False, True])
def test_the_seed_alone_decides_what_is_drawn(timed: bool):
    matrix = sparse.csr_matrix(np.ones((20, 30), dtype=np.float32))
    ages = np.zeros(matrix.nnz, dtype=np.float32) if timed else None
    one, same, other = (hold_out(matrix, 0.2, ages, rng=seed)[1] for seed in (1, 1, 2))
    assert (one != same).nnz == 0
    assert (one != other).nnz > 0


def test_the_demo_holds_out_likes_of_a_graph_and_nothing_else(world: KnowledgeGraph):
    training, test = split_for_test(world)
    assert (training.likes + test != world.likes).nnz == 0
    assert (training.dislikes != world.dislikes).nnz == 0
    assert training.n_interactions == world.n_interactions - test.nnz
    assert training.interactions.timestamp is not None
    assert len(training.interactions.timestamp) == training.n_interactions
    pairs = to_pairs(world, test)
    assert len(pairs) == test.nnz
    assert pairs["user_id"].nunique() == int((np.diff(test.indptr) > 0).sum())
