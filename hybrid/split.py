"""Holding out likes."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray


def hold_out(
    likes: sparse.csr_matrix, share: float, ages: FloatArray | None = None, rng: int = 0
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Split likes per user into training and held-out.

    Parameters
    ----------
    likes
        CSR of shape (n_users, n_items).
    share
        Share of a user's likes to hold out, rounded, at least one and never all; a user with fewer than three gives
        none.
    ages
        float32 of shape (likes.nnz,): the youngest are held out (ties at random); None draws at random.
    rng
        Seed.

    Returns
    -------
    training, held_out
        CSR matrices of the shape of `likes`.
    """
    generator = np.random.default_rng(rng)
    rows = np.repeat(np.arange(likes.shape[0]), np.diff(likes.indptr))
    key = generator.random(likes.nnz)
    order = np.lexsort((key, rows)) if ages is None else np.lexsort((key, ages, rows))
    rank = np.empty(likes.nnz, dtype=np.int64)
    rank[order] = np.arange(likes.nnz) - likes.indptr[rows[order]]
    counts = np.diff(likes.indptr)
    quota = np.clip(np.rint(counts * share), 1, np.maximum(counts - 1, 1))
    quota = np.where(counts >= 3, quota, 0).astype(np.int64)
    held = rank < quota[rows]
    return _rows(likes, rows, ~held), _rows(likes, rows, held)


def _rows(
    likes: sparse.csr_matrix, rows: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]
) -> sparse.csr_matrix:
    part = sparse.csr_matrix((likes.data[keep], (rows[keep], likes.indices[keep])), shape=likes.shape)
    part.sort_indices()
    return part
