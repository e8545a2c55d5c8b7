"""Item-item products that are too large to hold whole: computed block by block, the largest of each row kept."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray

from .base import keep_largest

DENSE_ITEMS = 8_000
"""Up to this many items an item-item matrix is held whole."""
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
    own = np.arange(left.shape[0]) if rows is None else rows
    kept = []
    for start, stop in _blocks(left, right):
        place = slice(start, stop)
        block = without_diagonal(sparse.csr_matrix(left[place] @ right), own[place])
        kept.append(keep_largest(block if change is None else change(block, place), k))
    return _stacked(kept, left.shape[0], right.shape[1])


def nearest_vectors(vectors: FloatArray, k: int, power: float) -> sparse.csr_matrix:
    """The `k` largest positive inner products of each row with the others, to `power`: CSR (n, n), zero diagonal.

    A row of zeros has no neighbours and is nobody's.
    """
    n = len(vectors)
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
    return sparse.csr_matrix((matrix.data[off], (rows[off], matrix.indices[off])), shape=matrix.shape)


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
