"""Users with few likes: what somebody would get of whom only 1, 3 or 5 likes were known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray
from .fusion import standardise, weighted_sum
from .signals import Signal
from .tuning import Validation

EVENTS = (1, 3, 5)
MOST_USERS = 500


def shortened(histories: sparse.csr_matrix, events: int, rng: int) -> sparse.csr_matrix:
    """Histories of `events` likes each, drawn at random; dislikes leave too."""
    rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    liked = np.flatnonzero(histories.data > 0)
    order = liked[np.lexsort((np.random.default_rng(rng).random(len(liked)), rows[liked]))]
    place = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    kept = np.sort(order[place < events])
    return sparse.csr_matrix(
        (histories.data[kept], (rows[kept], histories.indices[kept])), shape=histories.shape
    )


def cold_users(
    signals: Sequence[Signal],
    weights: npt.NDArray[np.float64],
    validation: Validation,
    rng: int,
    blend: bool = False,
) -> list[tuple[int, float, float, float]]:
    """How well fused signals rank for validation users of whom only some likes are known; nothing is fitted.

    What they really like and is not to be found is neither ranked. The signals have learned from these users' likes
    too, as a part of everybody's.

    Returns
    -------
    list of (events, ndcg, recall, ndcg of the most liked items), a row for each number of events that all of the users
    looked at have more likes than; at most 500 users.
    """
    counts = np.bincount(
        np.repeat(np.arange(validation.histories.shape[0]), np.diff(validation.histories.indptr)),
        validation.histories.data > 0,
        validation.histories.shape[0],
    )
    users = np.flatnonzero(counts > max(EVENTS))
    if not len(users):
        return []
    if len(users) > MOST_USERS:
        users = np.sort(np.random.default_rng(rng).choice(users, MOST_USERS, replace=False))
    part = replace(
        validation,
        users=validation.users[users],
        histories=validation.histories[users],
        relevant=validation.relevant[users],
        seen=validation.seen[users],
    )
    likes = np.bincount(part.histories.indices, minlength=part.histories.shape[1])
    popular: FloatArray = np.tile(likes.astype(np.float32), (len(users), 1))
    used = [(signal, weight) for signal, weight in zip(signals, weights, strict=True) if weight > 0]
    rows = []
    for events in EVENTS:
        histories = shortened(part.histories, events, rng)
        scores = [signal.score(histories) for signal, _ in used]
        parts = [np.nan_to_num(one) if blend else standardise(one, part.seen).values for one in scores]
        fused = weighted_sum(np.array([weight for _, weight in used]), parts)
        rows.append((events, part.ndcg(fused), part.recall(fused), part.ndcg(popular)))
    return rows


def sentence(rows: Sequence[tuple[int, float, float, float]], k: int) -> str:
    """What `cold_users` found, for the report."""
    told = ", ".join(f"{ndcg:.4f} with {events}" for events, ndcg, _, _ in rows)
    return f"users of whom few likes are known get ndcg@{k} {told} (the most liked items: {rows[0][3]:.4f})"
