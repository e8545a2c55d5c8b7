"""Full-ranking metrics with binary relevance, for arrays of ranked items.

Every function takes `hits`, a boolean array of shape (n_users, k): whether the item at each rank is relevant, and
`n_relevant`, int of shape (n_users,): how many relevant items each user has. All return float64 of shape (n_users,).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

Scores = TypeVar("Scores", bound=npt.NDArray[Any])
Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Metric = Callable[[BoolArray, Counts], Values]


def recall(hits: BoolArray, n_relevant: Counts) -> Values:
    """Hits over the number of relevant items."""
    return np.asarray(hits.sum(axis=1) / np.maximum(n_relevant, 1), dtype=np.float64)


def precision(hits: BoolArray, n_relevant: Counts) -> Values:
    """Hits over k."""
    return np.asarray(hits.mean(axis=1), dtype=np.float64)


def ndcg(hits: BoolArray, n_relevant: Counts) -> Values:
    """Discounted gain 1 / log2(rank + 1) over that of the ideal list, cut at min(k, n_relevant)."""
    k = hits.shape[1]
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([1.0], np.cumsum(discount)))[np.minimum(k, n_relevant)]
    return np.asarray((hits * discount).sum(axis=1) / ideal)


def mrr(hits: BoolArray, n_relevant: Counts) -> Values:
    """One over the rank of the first hit, 0 without a hit."""
    first = hits.argmax(axis=1)
    return np.asarray(np.where(hits.any(axis=1), 1.0 / (first + 1), 0.0))


def average_precision(hits: BoolArray, n_relevant: Counts) -> Values:
    """Mean precision at the ranks of the hits, over min(k, n_relevant)."""
    ranks = np.arange(1, hits.shape[1] + 1)
    at_hit = np.where(hits, np.cumsum(hits, axis=1) / ranks, 0.0)
    return np.asarray(at_hit.sum(axis=1) / np.maximum(np.minimum(hits.shape[1], n_relevant), 1))


def hit_rate(hits: BoolArray, n_relevant: Counts) -> Values:
    """1 where there is a hit, else 0."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


METRICS: dict[str, Metric] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "mrr": mrr,
    "map": average_precision,
    "hit": hit_rate,
}


AUC = "auc"


def auc(
    scores: npt.NDArray[Any], hidden: BoolArray, relevant: sparse.csr_matrix, n_relevant: Counts
) -> Values:
    """Share of pairs of a relevant and another item that are in the right order, ties half.

    Parameters
    ----------
    scores
        float of shape (b, n); NaN (cannot say) is below every score.
    hidden
        Boolean of shape (b, n): items that are not ranked, as what was seen; a relevant one among them is in no pair.
    relevant
        CSR of shape (b, n).
    n_relevant
        Relevant items of each user, those included that `relevant` does not have: they are last.

    Returns
    -------
    float64 of shape (b,); 0 where there is no relevant item, 1/2 where there is no other.
    """
    known = np.nan_to_num(scores, nan=-np.finfo(np.float64).max)
    liked = (relevant.toarray() > 0) & ~hidden
    # What is hidden goes below all others and shifts their ranks by as many.
    ranks = rankdata(np.where(hidden, -np.inf, known), axis=1) - hidden.sum(axis=1, keepdims=True)
    n = liked.sum(axis=1)
    others = (~hidden).sum(axis=1) - n
    above = np.where(liked, ranks, 0.0).sum(axis=1) - n * (n + 1) / 2
    missing = n_relevant - np.diff(relevant.indptr)
    pairs = (n + missing) * others
    share = np.divide(above, pairs, out=np.full(len(n), 0.5), where=pairs > 0)
    return np.asarray(np.where(n + missing > 0, share, 0.0))


def top_k(scores: npt.NDArray[Any], k: int) -> npt.NDArray[np.int32]:
    """Columns of the `k` highest scores of each row, best first; ties by lower column.

    Parameters
    ----------
    scores
        float of shape (b, n); -inf where a column must not be listed.
    k
        Columns to return.

    Returns
    -------
    int32 of shape (b, min(k, n)); -1 where fewer than k columns are finite.
    """
    b, n = scores.shape
    k = min(k, n)
    if k == 0:
        return np.empty((b, 0), dtype=np.int32)
    # Of the best of each of some parts of a row at least k are no worse than the k-th of these, and few others are.
    size = max(n // (8 * k), 1)
    parts = n // size
    best = scores[:, : size * parts].reshape(b, size, parts).max(axis=1)
    edge = np.partition(best, parts - k, axis=1)[:, parts - k, None]
    row, column = np.divmod(np.flatnonzero((scores >= edge) & (scores > -np.inf)), n)
    # A stable sort leaves equal ones in the order of their columns.
    order = np.lexsort((-scores[row, column], row))
    place = np.arange(len(row)) - np.searchsorted(row, row)
    listed = place < k
    ranked = np.full((b, k), -1, dtype=np.int32)
    ranked[row[listed], place[listed]] = column[order][listed]
    return ranked


def hits_of(ranked: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> BoolArray:
    """Which ranked items are relevant: boolean of the shape of `ranked`; row u of both is the same user."""
    dense = np.zeros((relevant.shape[0], relevant.shape[1] + 1), dtype=bool)
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    dense[rows, relevant.indices] = True
    hits: BoolArray = dense[np.arange(len(ranked))[:, None], ranked]
    return hits


def mask(scores: Scores, seen: sparse.csr_matrix) -> Scores:
    """Set the scores of seen items, and NaN ones, to -inf (in place) and return them."""
    rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    scores[rows, seen.indices] = -np.inf
    scores[np.isnan(scores)] = -np.inf
    return scores
