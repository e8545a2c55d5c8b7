"""Item-item products that are too large to hold whole: computed block by block, the largest of each row kept."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray

from .base import keep_largest

DENSE_ITEMS = 8_000
"""Up to this many items an item-item matrix is held whole."""
MOST_TERMS = 2e9
"""Terms that a product adds up at most: about a minute."""
SEARCHED_ITEMS = 50_000
"""Beyond so many items nearest vectors are looked for in the nearest cells alone."""
_CELLS_SEARCHED = 64
"""How many: of 15,000 short descriptions of software, no easy case, 94 % of the 100 nearest are found."""
_TERMS = 20_000_000
"""Products of a sparse block are added up in this many terms at once: some 300 MB."""
_CELLS = 20_000_000
"""Cells of a dense block."""


def largest_products(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    k: int,
    change: Callable[[sparse.csr_matrix, slice], sparse.csr_matrix] | None = None,
    rows: npt.NDArray[np.int64] | None = None,
) -> sparse.csr_matrix:
    """The `k` largest entries off the diagonal of each row of ``left @ right``: CSR of shape (n_rows, n_items).

    Where that is more than `MOST_TERMS` terms, the longest rows of `right`, of hubs, are stood for by a sample of them.

    Parameters
    ----------
    left, right
        CSR of shapes (n_rows, n_features) and (n_features, n_items).
    k
        Entries kept in each row.
    change
        Applied to each block of rows (with its place among them) before the largest are chosen.
    rows
        Which items the rows are, int64 of shape (n_rows,); all of them by default.
    """
    left, right = sparse.csr_matrix(left), sparse.csr_matrix(right)
    right = thinned(right, np.bincount(left.indices, minlength=left.shape[1]), MOST_TERMS)
    own = np.arange(left.shape[0]) if rows is None else rows
    kept = []
    for start, stop in _blocks(left, right):
        place = slice(start, stop)
        block = without_diagonal(sparse.csr_matrix(left[place] @ right), own[place])
        kept.append(keep_largest(block if change is None else change(block, place), k))
    return _stacked(kept, left.shape[0], right.shape[1])


def nearest_vectors(vectors: FloatArray, k: int, power: float) -> sparse.csr_matrix:
    """The `k` largest positive inner products of each row with the others, to `power`: CSR (n, n), zero diagonal.

    A row of zeros has no neighbours and is nobody's. Above `SEARCHED_ITEMS` rows, of length 1, they are looked for
    in the nearest cells alone (the inverted file of faiss; Sivic & Zisserman 2003), and a few may be missed.
    """
    n = len(vectors)
    if n > SEARCHED_ITEMS:
        return _near_in_cells(vectors, k, power)
    kept = []
    step = max(_CELLS // max(n, 1), 1)
    for start in range(0, n, step):
        block = vectors[start : start + step] @ vectors.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = 0.0
        if k < n:
            columns = np.argpartition(-block, k - 1, axis=1)[:, :k]
            values = np.take_along_axis(block, columns, axis=1)
        else:
            columns, values = np.tile(np.arange(n), (len(block), 1)), block
        near = values > 0
        rows = np.repeat(np.arange(len(block)), near.sum(axis=1))
        data = (values[near] ** power).astype(np.float32)
        kept.append(sparse.csr_matrix((data, (rows, columns[near])), shape=(len(block), n)))
    return _stacked(kept, n, n)


def _near_in_cells(vectors: FloatArray, k: int, power: float) -> sparse.csr_matrix:
    import faiss

    known = np.flatnonzero(vectors.any(axis=1))
    if not len(known):
        return sparse.csr_matrix((len(vectors), len(vectors))).astype(np.float32)
    own = np.ascontiguousarray(vectors[known])
    cells = max(int(2 * np.sqrt(len(own))), 1)
    size = own.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 64
    index.nprobe = _CELLS_SEARCHED
    index.train(own)
    index.add(own)
    values, found = index.search(own, k + 1)
    near = (found >= 0) & (found != np.arange(len(own))[:, None]) & (values > 0)
    # Of equal texts an item may not be its own nearest.
    near &= np.cumsum(near, axis=1) <= k
    rows = np.repeat(known, near.sum(axis=1))
    data = (values[near] ** power).astype(np.float32)
    return sparse.csr_matrix((data, (rows, known[found[near]])), shape=(len(vectors), len(vectors)))


def thinned(matrix: sparse.csr_matrix, uses: npt.NDArray[np.integer[Any]], terms: float) -> sparse.csr_matrix:
    """The rows of a matrix, the longest stood for by a sample, so that using each as often adds up `terms` terms.

    Parameters
    ----------
    matrix
        CSR.
    uses
        How often each row is used, of shape (n_rows,).
    terms
        How many entries may be used in all.

    Returns
    -------
    CSR of the shape of `matrix`. A row of length f of which c entries are left has them times f / c: what is expected
    of its products is what they were.
    """
    length = np.diff(matrix.indptr)
    if float(uses @ length) <= terms:
        return matrix
    low, high = 1, int(length.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if uses @ np.minimum(length, middle) <= terms else (low, middle - 1)
    rng = np.random.default_rng(0)
    kept = np.ones(matrix.nnz, dtype=bool)
    data = matrix.data.copy()
    for row in np.flatnonzero(length > low):
        own = slice(matrix.indptr[row], matrix.indptr[row + 1])
        kept[own] = False
        kept[matrix.indptr[row] + rng.choice(length[row], low, replace=False)] = True
        data[own] *= length[row] / low
    upto = np.concatenate(([0], np.cumsum(kept)))
    return sparse.csr_matrix((data[kept], matrix.indices[kept], upto[matrix.indptr]), shape=matrix.shape)


def affordable(matrix: sparse.csr_matrix, terms: float) -> sparse.csr_matrix:
    """The columns of a feature matrix but for its hubs, so that ``matrix @ matrix.T`` adds up at most `terms` terms.

    A column of frequency f costs f^2 terms; the most frequent, which tell items apart the least, go first.
    """
    frequency = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    order = np.argsort(frequency, kind="stable")
    last = int(np.searchsorted(np.cumsum(frequency[order] ** 2), terms, side="right"))
    if last == len(order):
        return matrix
    return sparse.csr_matrix(matrix[:, np.sort(order[:last])])


def without_diagonal(
    matrix: sparse.csr_matrix, own: npt.NDArray[np.int64] | None = None
) -> sparse.csr_matrix:
    """A square matrix, or some rows of one, without its diagonal; `own` says which rows they are."""
    matrix = sparse.csr_matrix(matrix, dtype=np.float32)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    off = (rows if own is None else own[rows]) != matrix.indices
    ends = np.concatenate(([0], np.cumsum(off)))[matrix.indptr]
    left = sparse.csr_matrix((matrix.data[off], matrix.indices[off], ends), shape=matrix.shape)
    left.sort_indices()
    return left


def _blocks(left: sparse.csr_matrix, right: sparse.csr_matrix) -> Iterator[tuple[int, int]]:
    terms = np.concatenate(([0], np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.float64)))
    upto = terms[left.indptr]
    start = 0
    while start < left.shape[0]:
        stop = int(np.searchsorted(upto, upto[start] + _TERMS, side="right")) - 1
        stop = min(max(stop, start + 1), left.shape[0])
        yield start, stop
        start = stop


def _stacked(blocks: list[sparse.csr_matrix], rows: int, columns: int) -> sparse.csr_matrix:
    if not blocks:
        return sparse.csr_matrix((rows, columns)).astype(np.float32)
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"), dtype=np.float32)
