"""What a text says of an item, as a number: reviews, chat lines and posts become likes and dislikes.

The lexicon is VADER (Hutto & Gilbert 2014). Of three that pip installs it agreed most with the people who labelled its
authors' public sets, which its source package ships (snippets with a mean opinion of at least .5 either way; right of
all, and right of those it had an opinion on):

- 10,072 film reviews: .575 / .664 (TextBlob .569 / .660, AFINN .524 / .677);
- 2,985 product reviews: .624 / .808 (.552 / .747, .547 / .789);
- 3,432 tweets: .961 / .985 (.754 / .915, .822 / .953).

A review of a film is thus read rightly two times in three. Where there is a rating, the rating counts.
"""

import math
import unicodedata
from functools import cache
from typing import Any, NamedTuple

import polars as pl

from kgenre.graph.columns import EVENT_ID, ITEM_ID, TEXT, TIMESTAMP, USER_ID
from kgenre.graph.errors import ConfigError, DataError, MissingDependencyError
from kgenre.graph.tables import as_numbers, as_strings, at, check_columns, to_polars

LONGEST = 10_000
"""Characters of a text that are read and kept."""
NEUTRAL = 0.05
"""Below this size a polarity is no opinion; VADER's own limit."""
RATING = "rating"
_WHAT = "reviews"


class Review(NamedTuple):
    """A review as it was understood: `weight` is the opinion in [-1, 1], 0 where it has none."""

    user: str
    item: str
    text: str
    weight: float


def cleaned(text: str) -> str:
    """The beginning of a text without control characters."""
    kept = (c if c in "\n\t" or unicodedata.category(c)[0] != "C" else " " for c in text[:LONGEST])
    return "".join(kept).strip()


def polarity(text: str) -> float:
    """What a text says, from -1, all bad, to 1, all good; 0 where it says neither or nothing."""
    if not (words := cleaned(text)):
        return 0.0
    found = float(_analyser().polarity_scores(words)["compound"])
    return found if abs(found) >= NEUTRAL else 0.0


@cache
def _analyser() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise MissingDependencyError(
            "reading opinions out of texts needs vaderSentiment; install kgenre[reviews]"
        ) from None
    return SentimentIntensityAnalyzer()


def read_reviews(frame: Any, scale: tuple[float, float]) -> tuple[list[Review], pl.DataFrame]:
    """The reviews of a table, and the interactions of those with an opinion.

    Raises
    ------
    DataError
        If a column is missing or a value is not of its kind, or a rating lies outside the scale.
    ConfigError
        If the scale has no room.
    """
    worst, best = scale
    if not worst < best:
        raise ConfigError(f"scale={scale} does not go from the worst rating to the best")
    table = to_polars(frame, _WHAT)
    check_columns(table, _WHAT, (USER_ID, ITEM_ID, TEXT), (RATING, TIMESTAMP, EVENT_ID), open_ended=False)
    texts = as_strings(table[TEXT], _WHAT).fill_null("").to_list()
    ratings: list[float | None] = [None] * len(table)
    if RATING in table.columns:
        ratings = as_numbers(table[RATING], _WHAT, required=False).to_list()
    weights = []
    for row, (text, rating) in enumerate(zip(texts, ratings, strict=True)):
        if rating is None or math.isnan(rating):
            weights.append(polarity(text))
            continue
        if not worst <= rating <= best:
            raise DataError(
                f"{at(_WHAT, row)}: rating is {rating:g}; the scale goes from {worst:g} to {best:g}"
            )
        weights.append((2 * rating - worst - best) / (best - worst))
    kept = [name for name in (USER_ID, ITEM_ID, TIMESTAMP, EVENT_ID) if name in table.columns]
    told = table.select(kept).with_columns(pl.Series("weight", weights, dtype=pl.Float64))
    pairs = zip(table[USER_ID].to_list(), table[ITEM_ID].to_list(), texts, weights, strict=True)
    reviews = [Review(str(user), str(item), cleaned(text), weight) for user, item, text, weight in pairs]
    return reviews, told
