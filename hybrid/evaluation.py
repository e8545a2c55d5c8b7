"""Evaluation of a fitted model on held-out interactions: full ranking, binary relevance."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, USER_ID, WEIGHT
from kgenre.graph.errors import ConfigError, DataError, did_you_mean

from .metrics import METRICS, hits_of
from .ranking import rank_blocks
from .state import ModelState

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out likes by index.

    Attributes
    ----------
    likes
        CSR of shape (n_users, n_items), pairs of known users and items only.
    n_relevant
        int64 of shape (n_users,): likes of each user, those of unknown items included: they are missed.
    strangers
        Number of users that the graph does not know.
    """

    likes: sparse.csr_matrix
    n_relevant: npt.NDArray[np.int64]
    strangers: int


def held_out_likes(kg: KnowledgeGraph, frame: pd.DataFrame, what: str) -> HeldOut:
    """Pairs of external ids by index; dislikes are no targets, unknown ids are counted and said.

    Raises
    ------
    DataError
        If a column is missing or no pair is of a known user.
    """
    for column in (USER_ID, ITEM_ID):
        if column not in frame.columns:
            raise DataError(
                f"the {what} set has no column {column!r}{did_you_mean(column, map(str, frame.columns))}"
            )
    liked = frame[frame[WEIGHT] > 0] if WEIGHT in frame.columns else frame
    pairs = liked[[USER_ID, ITEM_ID]].astype(str).drop_duplicates()
    user = kg.users.vocabulary.find(pairs[USER_ID].to_numpy(dtype=object))
    item = kg.items.vocabulary.find(pairs[ITEM_ID].to_numpy(dtype=object))
    if not (user >= 0).any():
        raise DataError(f"none of the {len(pairs)} pairs of the {what} set is of a known user; check the ids")
    strangers = int(pairs[USER_ID][user < 0].nunique())
    if strangers:
        log.warning("%d users of the %s set are unknown and count as 0", strangers, what)
    missed = int(((user >= 0) & (item < 0)).sum())
    if missed:
        log.warning("%d pairs of the %s set are on unknown items and cannot be hit", missed, what)
    known = (user >= 0) & (item >= 0)
    likes = sparse.csr_matrix(
        (np.ones(int(known.sum()), dtype=np.float32), (user[known], item[known])),
        shape=(kg.n_users, kg.n_items),
    )
    likes.sort_indices()
    counts = np.bincount(user[user >= 0], minlength=kg.n_users).astype(np.int64)
    return HeldOut(likes, counts, strangers)


def evaluate(
    state: ModelState,
    test: pd.DataFrame,
    ks: Sequence[int],
    metrics: Sequence[str],
    candidates: npt.NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Metrics at each cut, averaged over the users that have a test item. A cut beyond the catalogue is at its end.

    Returns
    -------
    pandas.DataFrame
        Index k; a column per metric, then ``coverage`` (share of the catalogue in somebody's list), ``novelty`` (mean
        -log2 of a listed item's share of users, in bits) and ``users``.

    Raises
    ------
    ConfigError
        For an unknown metric, or without a cut.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise ConfigError(f"unknown metric {metric!r}{did_you_mean(metric, METRICS)}")
    if not ks:
        raise ConfigError("no cut given; name at least one k")
    held_out = held_out_likes(state.kg, test, "test")
    users = np.flatnonzero(held_out.n_relevant > 0)
    n_users = len(users) + held_out.strangers
    totals = {k: dict.fromkeys(metrics, 0.0) for k in ks}
    listed = {k: np.zeros(state.kg.n_items, dtype=np.int64) for k in ks}
    for ranked in rank_blocks(state, users, max(ks), candidates):
        hits = hits_of(ranked.items, held_out.likes[ranked.users])
        for k in ks:
            for metric in metrics:
                values = METRICS[metric](hits[:, :k], held_out.n_relevant[ranked.users])
                totals[k][metric] += float(values.sum())
            shown = ranked.items[:, :k]
            listed[k] += np.bincount(shown[shown >= 0], minlength=state.kg.n_items)
    share = (np.asarray(state.kg.likes.sum(axis=0)).ravel() + 1) / (state.kg.n_users + 1)
    rows = []
    for k in ks:
        counts = listed[k]
        row = {metric: total / n_users for metric, total in totals[k].items()}
        row["coverage"] = float((counts > 0).mean())
        row["novelty"] = float(counts @ -np.log2(share) / max(int(counts.sum()), 1))
        rows.append({**row, "users": n_users})
    return pd.DataFrame(rows, index=pd.Index(ks, name="k"))
