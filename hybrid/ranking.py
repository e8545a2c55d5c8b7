from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph.progress import bar

from .adaptation import Factors, factors_of
from .metrics import mask, top_k
from .ruler import Ruler
from .scoring import strips
from .search import Search
from .state import ModelState, Ready

_CELLS = 8_000_000
"""Scores of a block: memory is bounded by a few times 32 MB, or by 64 users' scores where these are more."""


def block_of(n_items: int) -> int:
    """How many users are scored at once: many, so that tables of items are read for many, and memory is bounded."""
    return min(max(_CELLS // max(n_items, 1), 64), 2048)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Top lists of some users.

    Attributes
    ----------
    users
        int64 of shape (b,): rows of the histories that were ranked.
    items
        int32 of shape (b, k), best first; -1 where fewer than k items are left.
    scores
        float64 of shape (b, k); NaN where there is no item.
    """

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]


def rank(
    state: ModelState,
    histories: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    k: int,
    candidates: npt.NDArray[np.bool_] | None = None,
    include_seen: bool = False,
    ruler: Ruler | None = None,
    factors: Factors | None = None,
    ready: Ready | None = None,
    search: Search | None = None,
) -> Ranked:
    """The best `k` items of each history that are unseen and, where given, candidates (boolean of (n_items,)).

    With `include_seen` what was seen may be listed, but for what was disliked. With a `ruler` the lists obey its rules;
    their scores are still the model's. `factors` and `ready` are those of `ModelState.score`.
    With a `search` one history's list is searched for where there are no candidates, rules and factors.
    """
    if search is not None and histories.nnz and candidates is None and ruler is None and factors is None:
        hidden = histories.indices[histories.data < 0] if include_seen else seen.indices
        best = search.best(state, histories, seen.indices, k, np.sort(hidden))
        if best is not None:
            return Ranked(np.zeros(1, np.int64), best[0][None, :], best[1][None, :])
    scores = state.score(histories, seen, factors, ready)
    if ruler is None:
        items = _best(scores, histories, seen, k, candidates, include_seen)
    else:
        items = ruler.lists(listable(scores, histories, seen, candidates, include_seen), histories, k)
    listed = np.take_along_axis(scores, np.maximum(items, 0), axis=1)
    return Ranked(np.arange(len(items)), items, np.where(items >= 0, listed, np.nan))


def _best(
    scores: npt.NDArray[np.float64],
    histories: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    k: int,
    candidates: npt.NDArray[np.bool_] | None,
    include_seen: bool,
) -> npt.NDArray[np.int32]:
    """The best `k` of what may be listed, of some rows after the other."""
    parts = strips(*scores.shape)
    if len(parts) <= 1:
        return top_k(listable(scores, histories, seen, candidates, include_seen), k)
    found = [
        top_k(listable(scores[rows], histories[rows], seen[rows], candidates, include_seen), k)
        for rows in parts
    ]
    return np.concatenate(found)


def listable(
    scores: npt.NDArray[np.float64],
    histories: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    candidates: npt.NDArray[np.bool_] | None,
    include_seen: bool,
) -> npt.NDArray[np.float64]:
    """A copy of scores with -inf for what must not be listed; see `rank`."""
    masked = mask(scores.copy(), sparse.csr_matrix(histories < 0) if include_seen else seen)
    if candidates is not None:
        masked[:, ~candidates] = -np.inf
    return masked


def rank_blocks(
    state: ModelState,
    users: npt.NDArray[np.int64],
    k: int,
    candidates: npt.NDArray[np.bool_] | None = None,
    block: int | None = None,
    ruler: Ruler | None = None,
    adapt: bool = True,
) -> Iterator[Ranked]:
    """Rank known users block by block; see `rank`. Without `adapt` all have the learned weights."""
    block = block or block_of(state.kg.n_items)
    starts = range(0, len(users), block)
    for start in bar(starts, desc="recommend", unit="block") if len(starts) > 1 else starts:
        part = users[start : start + block]
        factors = factors_of(state, part) if adapt else None
        ranked = rank(
            state, state.histories[part], state.seen[part], k, candidates, ruler=ruler, factors=factors
        )
        yield Ranked(part, ranked.items, ranked.scores)
