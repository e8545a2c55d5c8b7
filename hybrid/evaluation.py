"""Evaluation of a fitted model on held-out interactions: full ranking, binary relevance."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, USER_ID, WEIGHT
from kgenre.graph.errors import ConfigError, DataError, did_you_mean
from kgenre.graph.progress import bar

from .adaptation import factors_of
from .beyond import BEYOND, Beyond, beyond_accuracy
from .data import FloatArray
from .metrics import AUC, METRICS, auc, hits_of, mask, top_k
from .ranking import block_of
from .state import ModelState

log = logging.getLogger(__name__)

Grouping = Literal["user", "item"]


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
    pairs = liked_pairs(frame, what)
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


def liked_pairs(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """The likes of a frame as unique pairs of strings; raises `DataError` without the columns."""
    for column in (USER_ID, ITEM_ID):
        if column not in frame.columns:
            raise DataError(
                f"the {what} set has no column {column!r}{did_you_mean(column, map(str, frame.columns))}"
            )
    liked = frame[frame[WEIGHT] > 0] if WEIGHT in frame.columns else frame
    return liked[[USER_ID, ITEM_ID]].astype(str).drop_duplicates()


def check_metrics(metrics: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a metric that is not there, and sampled ones with the reason; raises `ConfigError`."""
    for metric in metrics:
        if "sampled" in metric:
            raise ConfigError(
                f"{metric!r} is refused: metrics on sampled items rank models otherwise than metrics on all items do "
                "(Krichene & Rendle 2020), and all items are ranked here in any case; take the metric itself"
            )
        if metric not in allowed:
            raise ConfigError(f"unknown metric {metric!r}{did_you_mean(metric, allowed)}")


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What some users' lists are worth.

    Attributes
    ----------
    users
        int64 of shape (b,).
    items
        int32 of shape (b, k): the lists; -1 where there is no item.
    hits
        Boolean of the shape of `items`.
    auc
        float64 of shape (b,), NaN where it was not asked for.
    """

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    hits: npt.NDArray[np.bool_]
    auc: npt.NDArray[np.float64]


def ranked_blocks(
    state: ModelState,
    held_out: HeldOut,
    users: npt.NDArray[np.int64],
    k: int,
    candidates: npt.NDArray[np.bool_] | None,
    with_auc: bool,
) -> Iterator[Evaluated]:
    """Rank all unseen items (or candidates) for known users, block by block."""
    block = block_of(state.kg.n_items)
    starts = range(0, len(users), block)
    for start in bar(starts, desc="evaluate", unit="block") if len(starts) > 1 else starts:
        part = users[start : start + block]
        relevant, seen = held_out.likes[part], state.seen[part]
        scores = state.score(state.histories[part], seen, factors_of(state, part))
        masked = mask(scores.copy(), seen)
        if candidates is not None:
            masked[:, ~candidates] = -np.inf
        area = np.full(len(part), np.nan)
        if with_auc:
            hidden = seen.toarray() > 0
            if candidates is not None:
                hidden |= ~candidates
            area = auc(scores, hidden, relevant, held_out.n_relevant[part])
        items = top_k(masked, k)
        yield Evaluated(part, items, hits_of(items, relevant), area)


def evaluate(
    state: ModelState,
    test: pd.DataFrame,
    ks: Sequence[int],
    metrics: Sequence[str],
    candidates: npt.NDArray[np.bool_] | None = None,
    *,
    by: Grouping | None = None,
    relation: str | None = None,
    item_text: Callable[[], FloatArray | None] = lambda: None,
) -> pd.DataFrame:
    """Metrics at each cut, averaged over the users that have a test item. A cut beyond the catalogue is at its end.

    Parameters
    ----------
    state, test, ks
        The model; frame of user_id and item_id; cuts of the list.
    metrics
        Of accuracy those of `metrics.METRICS` and ``auc`` (of all unseen items, the same at each cut); of the lists
        those of `beyond.BEYOND`.
    candidates
        Rank only these items, boolean of shape (n_items,).
    by
        ``user``: accuracy by how many likes a user has. ``item``: by how many likes an item has; a test item counts in
        its own group only.
    relation
        Whose entities ``calibration`` and ``diversity_facts`` look at; all relations' by default.
    item_text
        Gives the items' text vectors for ``diversity_text``.

    Returns
    -------
    pandas.DataFrame
        Index k; a column per metric, then ``coverage`` (share of the catalogue in somebody's list), ``novelty`` (mean
        -log2 of a listed item's share of users, in bits) and ``users``. With `by`, index group and k, and accuracy
        alone.

    Raises
    ------
    ConfigError
        For an unknown or a sampled metric, an unknown group, or without a cut.
    """
    check_metrics(metrics, [*METRICS, AUC, *BEYOND])
    if not ks:
        raise ConfigError("no cut given; name at least one k")
    if by not in (None, "user", "item"):
        raise ConfigError(f"by={by!r} is neither 'user' nor 'item'")
    held_out = held_out_likes(state.kg, test, "test")
    users = np.flatnonzero(held_out.n_relevant > 0)
    blocks = list(ranked_blocks(state, held_out, users, max(ks), candidates, AUC in metrics))
    accuracy = [metric for metric in metrics if metric not in BEYOND]
    if by is not None:
        return _by_group(state, held_out, users, blocks, ks, accuracy, by)
    wanted = [metric for metric in metrics if metric in BEYOND]
    lists = beyond_accuracy(state.kg, wanted, relation, item_text)
    n_users = len(users) + held_out.strangers
    rows = []
    for k in ks:
        values = _accuracy(blocks, held_out.n_relevant, k, accuracy)
        row = {metric: float(values[metric].sum()) / n_users for metric in accuracy}
        row |= _lists(lists, state, blocks, k, wanted)
        ordered = {metric: row[metric] for metric in metrics}
        rows.append({**ordered, "coverage": row["coverage"], "novelty": row["novelty"], "users": n_users})
    return pd.DataFrame(rows, index=pd.Index(ks, name="k"))


def _accuracy(
    blocks: Sequence[Evaluated], n_relevant: npt.NDArray[np.int64], k: int, metrics: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    found = {}
    for metric in metrics:
        parts = [
            block.auc if metric == AUC else METRICS[metric](block.hits[:, :k], n_relevant[block.users])
            for block in blocks
        ]
        found[metric] = np.concatenate(parts) if parts else np.empty(0)
    return found


def _lists(
    lists: Beyond, state: ModelState, blocks: Sequence[Evaluated], k: int, wanted: Sequence[str]
) -> Mapping[str, float]:
    shown = [block.items[:, :k] for block in blocks]
    users = np.concatenate([block.users for block in blocks])
    return lists.of(np.concatenate(shown), state.kg.likes[users], wanted)


def _by_group(
    state: ModelState,
    held_out: HeldOut,
    users: npt.NDArray[np.int64],
    blocks: Sequence[Evaluated],
    ks: Sequence[int],
    metrics: Sequence[str],
    by: Grouping,
) -> pd.DataFrame:
    if by == "item" and AUC in metrics:
        raise ConfigError("auc is of all of a user's test items; leave it out of metrics, or group by='user'")
    rows: list[dict[str, Any]] = []
    places: list[tuple[str, int]] = []
    if by == "user":
        lengths = np.diff(state.kg.likes[users].indptr)
        for label, members in _thirds(lengths, lengths, "users"):
            for k in ks:
                values = _accuracy(blocks, held_out.n_relevant, k, metrics)
                rows.append(
                    {name: float(of_users[members].mean()) for name, of_users in values.items()}
                    | {"users": int(members.sum())}
                )
                places.append((label, k))
    else:
        warmth = np.bincount(state.kg.likes.indices, minlength=state.kg.n_items)
        for label, members in _thirds(warmth, warmth[held_out.likes.indices], "items"):
            own = sparse.csr_matrix(held_out.likes @ sparse.diags_array(members.astype(np.float32)))
            own.eliminate_zeros()
            relevant = np.diff(own.indptr).astype(np.int64)
            has = relevant[users] > 0
            grouped = [
                Evaluated(
                    block.users, block.items, block.hits & members[np.maximum(block.items, 0)], block.auc
                )
                for block in blocks
            ]
            for k in ks:
                values = _accuracy(grouped, relevant, k, metrics)
                rows.append(
                    {
                        name: float(of_users[has].mean()) if has.any() else np.nan
                        for name, of_users in values.items()
                    }
                    | {"users": int(has.sum())}
                )
                places.append((label, k))
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(places, names=["group", "k"]))


def _thirds(
    likes: npt.NDArray[Any], weights: npt.NDArray[Any], what: str
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Those without likes, and three groups of the others with about as many of `weights` each, by their likes."""
    if (likes == 0).any():
        yield f"{what} without likes", likes == 0
    liked = weights[weights > 0]
    if not len(liked):
        return
    edges = np.unique(np.quantile(liked, [1 / 3, 2 / 3, 1], method="inverted_cdf").astype(np.int64))
    edges[-1] = max(int(likes.max()), int(edges[-1]))
    low = 1
    for edge in edges:
        members = (likes >= low) & (likes <= edge)
        if members.any():
            yield (f"{what} with {low}-{edge} likes" if low < edge else f"{what} with {low} likes"), members
        low = int(edge) + 1
