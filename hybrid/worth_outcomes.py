"""Variants of a graph, and what each user's list is worth with them: the rows of `kgenre.hybrid.worth.KgWorth`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .intervals import bootstrap

PerUser = npt.NDArray[np.float64]
"""A number for each user of the graph, NaN for one who has nothing to rank."""

AS_IS, NO_FACTS, RANDOM_LINKS, NO_TEXT = "as it is", "no facts", "random links", "no text"
LIKES_ALONE, RANDOM_LINKS_NO_TEXT = "likes alone", "random links, no text"
WITHOUT, ONLY = "without ", "only "

ALL, SPARSE_USERS, COLD_ITEMS = "all", "sparse users", "cold items"
SPARSE_SHARE = 1 / 3
"""The users with the shortest histories are so many of all."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A variant, and what of the graph it lacks or has.

    Attributes
    ----------
    variant
        Name.
    ndcg
        Its ndcg.
    difference
        What the facts, links, texts or relation that it is about are worth: the ndcg with them minus that without.
    with_, without
        The two models subtracted, for people.
    """

    variant: str
    ndcg: PerUser
    difference: PerUser
    with_: str = ""
    without: str = ""


def removed(variant: str, ndcg: Mapping[str, PerUser], reference: str = AS_IS) -> Comparison:
    """A variant that lacks something that a reference has."""
    return Comparison(variant, ndcg[variant], ndcg[reference] - ndcg[variant], reference, variant)


def sparse_users(lengths: npt.NDArray[np.int64], users: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The third of `users` with the shortest histories (`lengths`), boolean of shape (n_users,)."""
    rows = np.flatnonzero(users)
    shortest = rows[np.argsort(lengths[rows], kind="stable")][: max(round(len(rows) * SPARSE_SHARE), 1)]
    found = np.zeros(len(users), dtype=bool)
    found[shortest] = True
    return found


def rows_of(
    comparisons: Sequence[Comparison],
    groups: Mapping[str, npt.NDArray[np.bool_] | None],
    rng: int,
    samples: int = 4000,
) -> pd.DataFrame:
    """A row for each comparison and group of users: variant, group, ndcg, difference, low, high, sure, users, compared.

    `sure` says whether the interval still excludes 0 when it is widened for the number of relations compared.
    """
    n_relations = sum(one.variant.startswith(ONLY) for one in comparisons)
    rows = []
    for group, mask in groups.items():
        known = ~np.isnan(comparisons[0].ndcg)
        users = known if mask is None else known & mask
        if not users.any():
            continue
        stacked = np.stack([one.difference[users] for one in comparisons], axis=1)
        low, high = bootstrap(stacked, samples=samples, rng=rng)
        strict = 1 - 0.05 / max(n_relations, 1)
        low_strict, high_strict = bootstrap(stacked, samples=samples, level=strict, rng=rng)
        for place, one in enumerate(comparisons):
            of_relation = one.variant.startswith((ONLY, WITHOUT))
            bottom, top = (low_strict, high_strict) if of_relation else (low, high)
            rows.append(
                {
                    "variant": one.variant,
                    "group": group,
                    "ndcg": float(one.ndcg[users].mean()),
                    "difference": float(stacked[:, place].mean()),
                    "low": float(low[place]),
                    "high": float(high[place]),
                    "sure": bool(bottom[place] > 0 or top[place] < 0),
                    "users": int(users.sum()),
                    "compared": f"{one.with_} - {one.without}" if one.without else "",
                }
            )
    return pd.DataFrame(rows)
