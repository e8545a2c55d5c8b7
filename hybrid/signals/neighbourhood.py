"""The closed form where a dense item-item matrix is too large: each item's column over its nearest items alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from kgenre.graph.errors import ConfigError
from kgenre.graph.progress import bar
from kgenre.hybrid.data import FloatArray, diagonal

from .products import largest_products


def neighbourhood_form(
    root: sparse.csr_matrix,
    penalty: FloatArray,
    prior: sparse.csr_matrix,
    k: int,
    items: npt.NDArray[np.int64] | None = None,
) -> sparse.csr_matrix:
    """Columns of the closed form, each solved over the `k` items nearest to it.

    The problem of `ClosedForm` falls apart by columns: ``B_j = argmin |X B_j - X_j|^2 + sum_i L_i (B_ij - M0_ij)^2``
    with ``B_jj = 0``. Here B_j may be other than zero only where likes (by cosine) and prior together are largest, as
    in SLIM with feature selection (Ning & Karypis 2011): ``B_Nj = (G_NN + diag L_N)^-1 (G_Nj + L_N M0_Nj)``. What
    shares neither a user nor the prior with an item is never its neighbour.

    Parameters
    ----------
    root
        float32 CSR of shape (n_users, n_items) with ``root' root = G``, the Gram matrix.
    penalty
        L, float32 of shape (n_items,).
    prior
        M0, CSR of shape (n_items, n_items).
    k
        Neighbours of each item.
    items
        Which columns to solve; all by default.

    Returns
    -------
    float32 CSR of shape (n_items, n_columns), at most `k` entries a column.
    """
    n = root.shape[1]
    items = np.arange(n) if items is None else items
    columns = sparse.csc_matrix(root)
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0), dtype=np.float64).ravel())
    unit = sparse.csr_matrix(
        root @ diagonal(np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0))
    )
    prior_of = sparse.csr_matrix(prior.T)[items]

    def with_prior(block: sparse.csr_matrix, place: slice) -> sparse.csr_matrix:
        return sparse.csr_matrix(block + prior_of[place])

    near = largest_products(sparse.csr_matrix(unit.T)[items], unit, k, with_prior, items)
    values = np.zeros(near.nnz, dtype=np.float32)
    place = np.full(n, -1, dtype=np.int64)
    mark = np.zeros(root.shape[0], dtype=np.int64)
    for row, item in enumerate(bar(items, desc="closed form", unit="item")):
        own = slice(near.indptr[row], near.indptr[row + 1])
        neighbours = near.indices[own]
        if not len(neighbours):
            continue
        likes = columns[:, np.append(neighbours, item)]
        # A user is named by the place of one of their likes: no step is as long as there are users.
        mark[likes.indices] = np.arange(likes.nnz)
        named = (likes.data, mark[likes.indices], likes.indptr)
        likes = sparse.csc_matrix(named, shape=(likes.nnz, likes.shape[1]))
        gram: FloatArray = (likes.T @ likes).toarray()
        system, target = gram[:-1, :-1], gram[:-1, -1].copy()
        known = slice(prior_of.indptr[row], prior_of.indptr[row + 1])
        place[neighbours] = np.arange(len(neighbours))
        at = place[prior_of.indices[known]]
        place[neighbours] = -1
        inside = at >= 0
        target[at[inside]] += penalty[neighbours[at[inside]]] * prior_of.data[known][inside]
        system[np.diag_indices_from(system)] += penalty[neighbours]
        values[own] = _solved(system, target)
    by_item = sparse.csr_matrix((values, near.indices, near.indptr), shape=near.shape)
    return sparse.csr_matrix(by_item.T)


def _solved(system: FloatArray, target: FloatArray) -> FloatArray:
    lapack: Any = linalg.lapack
    # Symmetric, so that the transposed view is the same matrix in the order that LAPACK works on in place.
    _, solution, info = lapack.sposv(np.ascontiguousarray(system).T, target, overwrite_a=1)
    if info != 0:
        raise ConfigError("the regularised Gram matrix is not positive definite; raise the regularization")
    found: FloatArray = solution.ravel()
    return found
