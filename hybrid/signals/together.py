"""What is liked together: the Gram matrix of likes, which walks through users and closed forms stand on."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import Since, dense

Together = FloatArray | sparse.csr_matrix


def liked_together(data: SignalData, alpha: float) -> Together:
    """How often two items were liked by the same user, each counting ``|history|^-alpha``, with a zero diagonal.

    Float32 of shape (n_liked, n_liked), over the items that somebody likes; CSR where most of it is 0. A walk through
    users from i to j has the probability ``degree_i^-alpha`` times this.
    """
    key = f"liked together {alpha}"
    if key not in data._cache:
        liked = np.flatnonzero(data.item_degree)
        together = some_together(data, alpha, liked, liked)
        filled = together.nnz > 0.5 * len(liked) ** 2
        data._cache[key] = dense(together) if filled else together
    found: Together = data._cache[key]
    return found


def some_together(
    data: SignalData, alpha: float, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> sparse.csr_matrix:
    """Some rows and columns of `liked_together`, by item."""
    weights = diagonal(np.maximum(data.user_degree, 1.0) ** -alpha)
    one, other = (
        data.likes if len(items) == data.n_items else data.likes[:, items] for items in (rows, columns)
    )
    together = sparse.csr_matrix(sparse.csr_matrix(one.T) @ sparse.csr_matrix(weights @ other))
    together.data[np.repeat(rows, np.diff(together.indptr)) == columns[together.indices]] = 0.0
    return together


def together_now(together: Together, alpha: float, data: SignalData, since: Since) -> Together | None:
    """`liked_together` after a change, from what it was; None where it takes all likes.

    Of a user who has gone, what they liked; of an item that has gone, everything: each like of those who liked it
    counts otherwise.
    """
    if since.same_likes:
        return together
    before = since.data.as_learned.item_degree
    was = np.flatnonzero(before)
    place = since.items[was]
    if sparse.issparse(together) or (place < 0).any():
        return None
    stays = data.item_degree[place] > 0
    fewer = np.flatnonzero((data.item_degree[place] < before[was])[stays])
    items = place[stays][fewer]
    now = together.copy() if stays.all() else together[np.ix_(stays, stays)]
    now[np.ix_(fewer, fewer)] = dense(some_together(data, alpha, items, items))
    return now
