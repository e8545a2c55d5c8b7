"""Rows of nearest neighbours after a change are those that one makes anew."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from kgenre.hybrid.signals.base import keep_largest
from kgenre.hybrid.signals.changed_rows import nearest_after


def kept(likeness: np.ndarray, k: int) -> sparse.csr_matrix:
    return keep_largest(sparse.csr_matrix(likeness.astype(np.float32)), k)


@given(
    seed=st.integers(0, 10_000),
    k=st.sampled_from([1, 2, 3, 5, 12]),
    few=st.booleans(),
    gone=st.integers(0, 3),
)
def test_rows_after_a_change_are_those_made_anew(seed: int, k: int, few: bool, gone: int) -> None:
    rng = np.random.default_rng(seed)
    before, n = 9, 12
    # Few values, so that many are equal, and about as many rows that are full as not.
    draw = rng.integers(0, 4 if few else 1000, (n, n)) * (rng.random((n, n)) < 0.5)
    now = np.triu(draw, 1) + np.triu(draw, 1).T
    items = np.sort(rng.choice(n, before, replace=False))
    items[rng.choice(before, gone, replace=False)] = -1
    new = np.setdiff1d(np.arange(n), items)
    changed = np.union1d(new, rng.choice(n, rng.integers(0, 3), replace=False))
    # Before, what has changed was otherwise, and what stays was as it is.
    then = rng.integers(0, 4 if few else 1000, (before, before))
    then = np.triu(then, 1) + np.triu(then, 1).T
    stays = (items >= 0) & ~np.isin(items, changed)
    then[np.ix_(stays, stays)] = now[np.ix_(items[stays], items[stays])]
    asked = []

    def rows(places: np.ndarray) -> sparse.csr_matrix:
        asked.extend(places)
        return kept(now[places], k)

    columns = sparse.csr_matrix(now[:, changed].astype(np.float32))
    found = nearest_after(kept(then, k), items, changed, columns, k, rows)
    np.testing.assert_array_equal(found.toarray(), kept(now, k).toarray())
    assert set(changed) <= set(asked)
    if k == n:
        assert set(changed) == set(asked), "what was not full held everything"
