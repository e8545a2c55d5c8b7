"""People who do not exist, for the notebooks: their likes follow a stated rule, so one knows what is to be found."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def likes(
    items: Sequence[str],
    tags: Sequence[Sequence[str]],
    *,
    people: int,
    each: int,
    seed: int,
    strength: float = 2.5,
    chance: float = 0.2,
) -> pd.DataFrame:
    """Likes of simulated people.

    The rule: everybody has a taste of two tags, drawn as often as items have them. Of `each` likes a share of
    `chance` falls anywhere; else an item is chosen with a probability that grows by the factor exp(`strength`) with
    each of the two tags that it has, and with its popularity, which falls as one over the square root of its rank in
    an order that was drawn once. Nobody likes an item twice; a like is a day later than the one before it.

    Parameters
    ----------
    items
        Their ids.
    tags
        The tags of each item.
    people, each
        How many people, and how many likes of each.
    seed
        The same seed gives the same people.
    strength, chance
        See the rule.

    Returns
    -------
    pandas.DataFrame
        user_id, item_id, timestamp (seconds since 1970, from 2024-01-01 on), taste (the two tags).
    """
    rng = np.random.default_rng(seed)
    known = sorted({tag for of in tags for tag in of})
    has = np.array([[tag in of for tag in known] for of in tags], dtype=float)
    popularity = 1 / np.sqrt(1 + rng.permutation(len(items)))
    rows = []
    for person in range(people):
        taste = rng.choice(len(known), 2, replace=False, p=has.sum(0) / has.sum())
        weight = popularity * np.exp(strength * has[:, taste].sum(1))
        weight = (1 - chance) * weight / weight.sum() + chance / len(items)
        for day, item in enumerate(rng.choice(len(items), each, replace=False, p=weight)):
            moment = 1_704_067_200 + 86_400 * day + person
            rows.append(
                (f"p{person:03}", items[item], moment, " and ".join(known[tag] for tag in sorted(taste)))
            )
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "taste"])
