"""An item-item matrix of nearest neighbours after a change: most rows are the old ones, moved."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray

from .base import keep_largest, runs

Places = npt.NDArray[np.int64]
_TIE = np.float32(1e-5)
"""Relative difference up to which two values may change places: products of other blocks round otherwise."""


def moved_rows(table: FloatArray, items: Places, n: int) -> FloatArray:
    """A table of one row an item after a change; rows of new items are not filled in."""
    moved = np.empty((n, table.shape[1]), dtype=table.dtype)
    for start, to, length in runs(items):
        moved[to : to + length] = table[start : start + length]
    return moved


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
    n, before = fresh.shape[1], len(items)
    if not len(rows) and np.array_equal(items, np.arange(n)):
        return matrix
    own = np.full(n, -1, dtype=np.int64)
    here = np.flatnonzero(items >= 0)
    own[items[here]] = here
    own[rows] = before + np.arange(len(rows))
    lengths = np.concatenate((np.diff(matrix.indptr), np.diff(fresh.indptr)))
    # Rows that follow each other, before and after, are copied in one piece.
    breaks = np.flatnonzero((np.diff(own) != 1) | (own[1:] == before)) + 1
    columns = moved_places(matrix.indices, items)
    data, indices = [], []
    for start, end in zip(own[[0, *breaks]].tolist(), own[[*(breaks - 1), n - 1]].tolist(), strict=True):
        if start < before:
            piece = slice(matrix.indptr[start], matrix.indptr[end + 1])
            data.append(matrix.data[piece])
            indices.append(columns[piece])
        else:
            piece = slice(fresh.indptr[start - before], fresh.indptr[end - before + 1])
            data.append(fresh.data[piece])
            indices.append(fresh.indices[piece])
    ends = np.concatenate(([0], np.cumsum(lengths[own])))
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(indices), ends), shape=(n, n))


def moved_places(indices: npt.NDArray[Any], items: Places) -> npt.NDArray[Any]:
    """``items[indices]``, in the type of the indices."""
    shift = np.diff(items - np.arange(len(items)), prepend=0)
    at = np.flatnonzero(shift)
    if not len(at):
        return indices
    if len(at) == 1:
        # One new item, which is the rule: far cheaper than a look-up of each.
        step: npt.NDArray[Any] = (indices >= at[0]) * indices.dtype.type(shift[at[0]])
        return np.asarray(indices + step)
    places: npt.NDArray[Any] = items.astype(indices.dtype)[indices]
    return places


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
    here = np.flatnonzero(items >= 0)
    before = np.full(n, -1, dtype=np.int64)
    before[items[here]] = here
    fresh = np.zeros(n, dtype=bool)
    fresh[changed] = True
    lost = np.ones(len(items), dtype=bool)
    lost[here] = fresh[items[here]]
    # Of each row that was: how much of it is lost, and, where it was full, the most that what it did not hold can be.
    n_lost, least = np.zeros(len(items), dtype=np.int64), np.zeros(len(items), dtype=np.float32)
    if lost.any():
        held = np.flatnonzero(lost[matrix.indices])
        n_lost = np.bincount(np.searchsorted(matrix.indptr, held, side="right") - 1, minlength=len(items))
    if matrix.nnz:
        least[lengths > 0] = np.minimum.reduceat(matrix.data, matrix.indptr[:-1][lengths > 0])
        least[lengths < k] = 0.0
    bar, was_lost = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.int64)
    bar[items[here]], was_lost[items[here]] = least[here], n_lost[here]
    row = np.repeat(np.arange(n), np.diff(columns.indptr))
    above = columns.data > bar[row] * (1 + _TIE)
    tied = ~above & (columns.data >= bar[row] * (1 - _TIE)) & (bar[row] > 0)
    n_above = np.bincount(row[above], minlength=n)
    anew = fresh | ((bar > 0) & (n_above < was_lost))
    anew[row[tied]] = True
    merged = ~anew & ((was_lost > 0) | (n_above > 0))
    # What stays of these rows, and what comes into them.
    there = np.flatnonzero(merged)
    place = np.cumsum(merged) - 1
    old = matrix[before[there]]
    stays = ~lost[old.indices]
    comes = above & merged[row]
    both = sparse.csr_matrix(
        (
            np.concatenate((old.data[stays], columns.data[comes])),
            (
                np.concatenate(
                    (np.repeat(np.arange(len(there)), np.diff(old.indptr))[stays], place[row[comes]])
                ),
                np.concatenate((items[old.indices[stays]], changed[columns.indices[comes]])),
            ),
        ),
        shape=(len(there), n),
    )
    remade = np.flatnonzero(anew)
    parts = [keep_largest(both, k), rows_of(remade)]
    rows = np.concatenate((there, remade))
    order = np.argsort(rows)
    found = sparse.csr_matrix(sparse.vstack(parts, format="csr"))[order]
    return with_rows(matrix, items, rows[order], found)
