"""Holding out likes: within matrices for tuning, and whole graphs for experiments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, USER_ID
from kgenre.graph.errors import ConfigError, DataError

from .data import FloatArray


@dataclass(frozen=True, eq=False)
class Split:
    """A graph to fit on and likes to find.

    Attributes
    ----------
    training
        The graph without the held-out likes; every user, item and fact is still there.
    test
        Frame of user_id and item_id: the held-out likes.
    candidates
        Item ids to rank where not all are, as in `cold_items`.
    """

    training: KnowledgeGraph
    test: pd.DataFrame
    candidates: Sequence[str] | None = None


def random_split(kg: KnowledgeGraph, share: float = 0.1, *, rng: int = 0) -> Split:
    """Hold out a random share of each user's likes; see `hold_out`."""
    _check_share(share)
    return _split(kg, hold_out(kg.likes, share, None, rng)[1])


def temporal_split(kg: KnowledgeGraph, share: float = 0.1) -> Split:
    """Hold out the latest likes of all: what comes after one global point in time, before which a model could be made.

    Everything after it, dislikes too, leaves the training graph; an interaction of unknown time stays.

    Raises
    ------
    DataError
        If no like has a timestamp, or all have the same.
    """
    _check_share(share)
    inter = kg.interactions
    liked = inter.weight > 0
    known = np.empty(0) if inter.timestamp is None else inter.timestamp[liked & ~np.isnan(inter.timestamp)]
    if inter.timestamp is None or not len(known):
        raise DataError("no like has a timestamp; split at random, or leave one out")
    point = np.quantile(known, 1 - share, method="lower")
    late = np.nan_to_num(inter.timestamp, nan=-np.inf) > point
    if not (late & liked).any():
        raise DataError(f"no like is later than {point:.0f} s, of which all are; split at random")
    return _of_rows(kg, late)


def leave_one_out(kg: KnowledgeGraph, *, rng: int = 0) -> Split:
    """Hold out one like of each user who has two: the latest where there are timestamps, ties and others at random."""
    inter = kg.interactions
    key = np.random.default_rng(rng).random(len(inter))
    stamps = np.zeros(len(inter)) if inter.timestamp is None else np.nan_to_num(inter.timestamp, nan=-np.inf)
    liked = np.flatnonzero(inter.weight > 0)
    order = liked[np.lexsort((key[liked], stamps[liked], inter.user[liked]))]
    last = np.append(np.diff(inter.user[order]) > 0, True) if len(order) else np.empty(0, dtype=bool)
    counts = np.diff(kg.likes.indptr)
    held = np.zeros(len(inter), dtype=bool)
    held[order[last & (counts[inter.user[order]] > 1)]] = True
    return _of_rows(kg, held)


def cold_item_split(kg: KnowledgeGraph, share: float = 0.1, *, rng: int = 0) -> Split:
    """Hold out a random share of the liked items with all their interactions; they are the candidates."""
    _check_share(share)
    inter = kg.interactions
    liked = np.unique(inter.item[inter.weight > 0])
    if len(liked) < 2:
        raise DataError(f"{len(liked)} items have likes; it takes two to hold one out")
    count = min(max(round(len(liked) * share), 1), len(liked) - 1)
    items = np.sort(np.random.default_rng(rng).choice(liked, count, replace=False))
    return replace(
        _of_rows(kg, np.isin(inter.item, items)), candidates=kg.items.vocabulary.ids[items].tolist()
    )


def cold_user_split(kg: KnowledgeGraph, events: int = 3, share: float = 0.1, *, rng: int = 0) -> Split:
    """Leave a random share of the users with more likes than `events` so many of them; the others are the test.

    Their first likes stay where there are timestamps, else random ones. Their dislikes leave too.

    Raises
    ------
    DataError
        If nobody has more likes than `events`.
    """
    _check_share(share)
    if events < 0:
        raise ConfigError(f"events={events} is below 0; take 1, 3 or 5")
    inter = kg.interactions
    able = np.flatnonzero(np.diff(kg.likes.indptr) > events)
    if not len(able):
        raise DataError(f"nobody has more than {events} likes; lower events")
    generator = np.random.default_rng(rng)
    users = generator.choice(able, max(round(len(able) * share), 1), replace=False)
    rows = np.flatnonzero(np.isin(inter.user, users))
    stamps = np.zeros(len(rows)) if inter.timestamp is None else inter.timestamp[rows]
    # Likes before dislikes, old before new.
    order = np.lexsort((generator.random(len(rows)), stamps, inter.weight[rows] <= 0, inter.user[rows]))
    user = inter.user[rows[order]]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    held = np.zeros(len(inter), dtype=bool)
    held[rows[order[place >= events]]] = True
    return _of_rows(kg, held)


def without(kg: KnowledgeGraph, held: npt.NDArray[np.bool_]) -> KnowledgeGraph:
    """The graph without some interactions, boolean of shape (n_interactions,)."""
    inter, stamps = kg.interactions, kg.interactions.timestamp
    kept = replace(
        inter,
        user=inter.user[~held],
        item=inter.item[~held],
        weight=inter.weight[~held],
        timestamp=None if stamps is None else stamps[~held],
    )
    return replace(kg, interactions=kept)


def without_likes(kg: KnowledgeGraph, likes: sparse.csr_matrix) -> KnowledgeGraph:
    """The graph without the likes where a matrix has entries, CSR of shape (n_users, n_items)."""
    inter = kg.interactions
    held = np.asarray(likes[inter.user, inter.item]).ravel() != 0
    return without(kg, held & (inter.weight > 0))


def _split(kg: KnowledgeGraph, held_out: sparse.csr_matrix) -> Split:
    inter = kg.interactions
    return _of_rows(kg, (np.asarray(held_out[inter.user, inter.item]).ravel() > 0) & (inter.weight > 0))


def _of_rows(kg: KnowledgeGraph, held: npt.NDArray[np.bool_]) -> Split:
    inter = kg.interactions
    tested = held & (inter.weight > 0)
    if not tested.any():
        raise DataError("no like can be held out: too few users have enough of them")
    test = pd.DataFrame(
        {
            USER_ID: kg.users.vocabulary.ids[inter.user[tested]],
            ITEM_ID: kg.items.vocabulary.ids[inter.item[tested]],
        }
    )
    return Split(without(kg, held), test)


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ConfigError(f"share={share} is not between 0 and 1")


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
