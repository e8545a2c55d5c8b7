"""An item-item matrix of nearest neighbours after a change: most rows are the old ones, moved."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray

from .base import keep_largest

Places = npt.NDArray[np.int64]
_TIE = np.float32(1e-5)
"""Relative difference up to which two values may change places: products of other blocks round otherwise."""


def empty_rows(n_rows: int, n_items: int) -> sparse.csr_matrix:
    """Rows that hold nothing: float32 CSR of shape (n_rows, n_items)."""
    nothing = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int32), np.zeros(n_rows + 1, dtype=np.int32)
    return sparse.csr_matrix(nothing, shape=(n_rows, n_items))


def with_rows(
    matrix: sparse.csr_matrix,
    items: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    fresh: sparse.csr_matrix,
) -> sparse.csr_matrix:
    """An item-item matrix after a change: old rows where their items are now, and some rows that were made anew.

    Parameters
    ----------
    matrix
        CSR of shape (items before, items before).
    items
        int64 of shape (items before,): the index now, in the order of before; -1 where it is gone. What the old rows
        have of an item that is gone is in none of the rows that stay.
    rows
        Which items' rows were made anew, sorted; those of all new items among them.
    fresh
        These rows, CSR of shape (len(rows), items now).
    """
    n = fresh.shape[1]
    own = np.full(n, -1, dtype=np.int64)
    here = np.flatnonzero(items >= 0)
    own[items[here]] = here
    own[rows] = len(matrix.indptr) - 1 + np.arange(len(rows))
    lengths = np.concatenate((np.diff(matrix.indptr), np.diff(fresh.indptr)))
    first = np.concatenate((matrix.indptr[:-1], matrix.indptr[-1] + fresh.indptr[:-1]))
    # Rows that follow each other before and after are copied in one piece.
    breaks = np.flatnonzero(np.diff(own) != 1) + 1
    starts, ends = np.concatenate(([0], breaks)), np.concatenate((breaks, [n]))
    data, indices = [], []
    columns = np.concatenate((items.astype(np.int32)[matrix.indices], fresh.indices.astype(np.int32)))
    values = np.concatenate((matrix.data, fresh.data))
    for start, end in zip(own[starts].tolist(), own[ends - 1].tolist(), strict=True):
        piece = slice(first[start], first[end] + lengths[end])
        data.append(values[piece])
        indices.append(columns[piece])
    ends_of = np.concatenate(([0], np.cumsum(lengths[own])))
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(indices), ends_of), shape=(n, n))


def largest(block: FloatArray, k: int) -> sparse.csr_matrix:
    """`keep_largest` of a dense block without a value below 0."""
    n = block.shape[1]
    if k < n:
        least = np.partition(block, n - k, axis=1)[:, n - k]
        block[block < least[:, None]] = 0.0
    return keep_largest(sparse.csr_matrix(block), k)


def nearest_after(
    matrix: sparse.csr_matrix,
    items: Places,
    changed: Places,
    columns: sparse.csr_matrix,
    k: int,
    rows_of: Callable[[Places], sparse.csr_matrix],
) -> sparse.csr_matrix:
    """The `k` largest of each row of a symmetric likeness, of which some items' rows and columns have changed.

    A row that was not full held all there was; of a full one only that it held nothing larger is known beside, so that
    it can be told without making it anew unless something that it held has become less than what it did not hold.

    Parameters
    ----------
    matrix
        What was kept: CSR of positive values, shape (items before, items before).
    items
        int64 of shape (items before,): the index now, in the order of before; -1 where it is gone.
    changed
        Sorted indices of the items whose likenesses are others now; all new items are among them.
    columns
        These items' likenesses now: CSR of shape (items now, len(changed)), 0 on the diagonal.
    k
        How many were kept of each row, and are now.
    rows_of
        The k largest of some items' rows, made anew: CSR of shape (n, items now).
    """
    n, lengths = columns.shape[0], np.diff(matrix.indptr)
    here = items >= 0
    fresh = np.zeros(n, dtype=bool)
    fresh[changed] = True
    lost = np.ones(len(items), dtype=bool)
    lost[here] = fresh[items[here]]
    start = np.repeat(np.arange(len(items)), lengths)
    held = lost[matrix.indices]
    # By row of before: what a full row did not hold is at most the least that it held.
    n_lost = np.bincount(start[held], minlength=len(items))
    least = np.zeros(len(items), dtype=np.float32)
    if matrix.nnz:
        least[lengths > 0] = np.minimum.reduceat(matrix.data, matrix.indptr[:-1][lengths > 0])
        least[lengths < k] = 0.0
    bar, was_lost = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.int64)
    bar[items[here]], was_lost[items[here]] = least[here], n_lost[here]
    row = np.repeat(np.arange(n), np.diff(columns.indptr))
    above = columns.data > bar[row] * (1 + _TIE)
    n_above = np.bincount(row[above], minlength=n)
    tied = ~above & (columns.data >= bar[row] * (1 - _TIE)) & (bar[row] > 0)
    anew = fresh | ((bar > 0) & (n_above < was_lost))
    anew[row[tied]] = True
    merged = ~anew & ((was_lost > 0) | (n_above > 0))
    # What stays of these rows, and what comes into them.
    ends = items[start]
    old = merged[ends] & (ends >= 0) & ~held
    new = merged[row] & above
    both = sparse.csr_matrix(
        (
            np.concatenate((matrix.data[old], columns.data[new])),
            (
                np.concatenate((ends[old], row[new])),
                np.concatenate((items[matrix.indices[old]], changed[columns.indices[new]])),
            ),
        ),
        shape=(n, n),
    )
    rows = np.flatnonzero(merged | anew)
    remade = np.flatnonzero(anew)
    place = np.empty(len(rows), dtype=np.int64)
    place[merged[rows]] = np.arange(int(merged.sum()))
    place[anew[rows]] = int(merged.sum()) + np.arange(len(remade))
    parts = [keep_largest(sparse.csr_matrix(both[np.flatnonzero(merged)]), k), rows_of(remade)]
    return with_rows(matrix, items, rows, sparse.csr_matrix(sparse.vstack(parts, format="csr"))[place])
