"""Which of several models is better? Differences over users with their intervals and corrected p values."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kgenre.graph.columns import ITEM_ID, RANK, USER_ID
from kgenre.graph.errors import ConfigError, DataError, did_you_mean

from .evaluation import check_metrics, liked_pairs
from .intervals import bootstrap, holm, permutation_test
from .metrics import METRICS

if TYPE_CHECKING:
    from .recommender import HybridRecommender


def compare(
    models: "Mapping[str, HybridRecommender | pd.DataFrame]",
    test: pd.DataFrame,
    k: int = 20,
    *,
    metrics: Sequence[str] = ("ndcg", "recall"),
    candidates: Sequence[str] | None = None,
    samples: int = 5000,
    rng: int = 0,
) -> pd.DataFrame:
    """Compare models on the same held-out likes, each pair of them for each metric.

    Parameters
    ----------
    models
        By name: a fitted recommender, or a frame of lists (user_id, item_id, rank) of whatever made them. The lists are
        of all items that the user has not seen, at least `k` long where so many are left; metrics on sampled items are
        not computed.
    test
        Frame of user_id and item_id; a user without a list counts 0.
    k
        Cut of the lists.
    metrics
        Of `metrics.METRICS`.
    candidates
        Recommenders rank only these item ids.
    samples
        Of the bootstrap and of the permutation test.
    rng
        Seed.

    Returns
    -------
    pandas.DataFrame
        first, second, metric, k, their means (first_mean, second_mean), difference (first minus second) with its
        paired 95 % bootstrap interval (low, high), p of a paired permutation test, p_holm corrected for all rows
        (Holm 1979), and users.

    Raises
    ------
    ConfigError
        For fewer than two models, or an unknown or sampled metric.
    DataError
        If a frame has not the columns, lists an item twice for a user, or the test set is empty.
    """
    if len(models) < 2:
        raise ConfigError(f"{len(models)} models to compare; give at least two by name")
    if isinstance(metrics, str):
        metrics = [metrics]
    check_metrics(metrics, list(METRICS))
    if k < 1:
        raise ConfigError(f"k={k} is below 1")
    pairs = liked_pairs(test, "test")
    users = pd.Index(pairs[USER_ID].unique())
    if not len(users):
        raise DataError("the test set has no like; there is nothing to compare on")
    counts = np.bincount(users.get_indexer(pd.Index(pairs[USER_ID]))).astype(np.int64)
    hits = {name: _hits(name, model, pairs, users, k, candidates) for name, model in models.items()}
    rows = []
    for metric in metrics:
        values = {name: METRICS[metric](found, counts) for name, found in hits.items()}
        for first, second in combinations(models, 2):
            differences = values[first] - values[second]
            low, high = bootstrap(differences, samples=samples, rng=rng)
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "metric": metric,
                    "k": k,
                    "first_mean": float(values[first].mean()),
                    "second_mean": float(values[second].mean()),
                    "difference": float(differences.mean()),
                    "low": float(low),
                    "high": float(high),
                    "p": permutation_test(differences, samples=samples, rng=rng),
                    "p_holm": 1.0,
                    "users": len(users),
                }
            )
    frame = pd.DataFrame(rows)
    frame["p_holm"] = holm(frame["p"].to_numpy())
    return frame


def _hits(
    name: str,
    model: "HybridRecommender | pd.DataFrame",
    pairs: pd.DataFrame,
    users: pd.Index,
    k: int,
    candidates: Sequence[str] | None,
) -> npt.NDArray[np.bool_]:
    """Whether the item at each rank is liked, boolean of shape (n_users, k)."""
    if isinstance(model, pd.DataFrame):
        lists = _lists(name, model)
    else:
        known = [user for user in users if user in model.graph.users.vocabulary]
        if not known:
            raise DataError(
                f"model {name!r} knows none of the {len(users)} users of the test set; check the ids"
            )
        lists = model.recommend_many(known, k, candidates=candidates)
    lists = lists[lists[RANK] <= k]
    row = users.get_indexer(pd.Index(lists[USER_ID]))
    liked = pd.MultiIndex.from_frame(pairs[[USER_ID, ITEM_ID]])
    hit = pd.MultiIndex.from_arrays([lists[USER_ID], lists[ITEM_ID]]).isin(liked) & (row >= 0)
    hits = np.zeros((len(users), k), dtype=bool)
    hits[row[hit], lists[RANK].to_numpy()[hit] - 1] = True
    return hits


def _lists(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    for column in (USER_ID, ITEM_ID, RANK):
        if column not in frame.columns:
            raise DataError(
                f"the lists of {name!r} have no column {column!r}{did_you_mean(column, map(str, frame.columns))}"
            )
    lists = frame[[USER_ID, ITEM_ID, RANK]].astype({USER_ID: str, ITEM_ID: str, RANK: np.int64})
    if (lists[RANK] < 1).any():
        raise DataError(f"the lists of {name!r} have a rank below 1; the best item has rank 1")
    for columns, what in (([USER_ID, ITEM_ID], "item"), ([USER_ID, RANK], "rank")):
        twice = lists.duplicated(columns)
        if twice.any():
            user, value = lists.loc[twice, columns].iloc[0]
            raise DataError(f"the lists of {name!r} have {what} {value} twice for user {user}")
    return lists
