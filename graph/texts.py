"""Which columns of an item table are its name and what its text is made of."""

from collections.abc import Iterable, Sequence
from string import Formatter

import polars as pl

from .errors import DataError, did_you_mean

NAME_ENDINGS = ("name", "title")
DESCRIPTION_ENDINGS = ("description", "text", "overview", "plot", "summary", "abstract")
DESCRIPTION_WORDS = 8
"""A column of words is prose, not a set of tags, where it has more words than this on average."""


def _ending(column: str) -> str:
    return column.casefold().rpartition("_")[2]


def name_column(columns: Iterable[str]) -> str | None:
    """The first column called name or title or ending in ``_name`` or ``_title``."""
    return next((column for column in columns if _ending(column) in NAME_ENDINGS), None)


def is_description(column: pl.Series) -> bool:
    """Whether a string column is prose, by its name or by its mean number of words."""
    if _ending(column.name) in DESCRIPTION_ENDINGS:
        return True
    words = column.str.count_matches(r"\S+").mean()
    return isinstance(words, float) and words > DESCRIPTION_WORDS


def compose_texts(frame: pl.DataFrame, text: str | Sequence[str] | None = None) -> pl.Series:
    """One text a row out of string columns and lists of strings.

    Parameters
    ----------
    frame
        The columns to take from.
    text
        A template such as ``"{title} ({year})"``, a list of columns, or None for all columns in their order.

    Returns
    -------
    polars.Series
        Strings; the parts are joined as sentences, what is null is left out, and where nothing is left the
        text is null.

    Raises
    ------
    DataError
        If the template or the list names a column that is not there.
    """
    if isinstance(text, str):
        return _fill(frame, text)
    # A column of our own to add to; no table of words has one of this name.
    joined = pl.col("\0")
    frame = frame.with_columns(pl.lit("").alias("\0"))
    for column in frame.columns[:-1] if text is None else text:
        part = _words(frame, column).fill_null("").str.strip_chars()
        separator = (
            pl.when((joined == "") | (part == ""))
            .then(pl.lit(""))
            .when(joined.str.contains(r"[.!?…]$"))
            .then(pl.lit(" "))
            .otherwise(pl.lit(". "))
        )
        frame = frame.with_columns((joined + separator + part).alias("\0"))
    return frame.select(pl.when(joined != "").then(joined).alias("text"))["text"]


def _fill(frame: pl.DataFrame, template: str) -> pl.Series:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise DataError(f"text template {template!r}: {error}; write columns as {{column}}") from None
    pieces: list[pl.Expr] = []
    fields: list[pl.Expr] = []
    for literal, field, _, _ in parts:
        pieces.append(pl.lit(literal))
        if field is not None:
            fields.append(_words(frame, field))
            pieces.append(fields[-1].fill_null(""))
    if not fields:
        raise DataError(f"text template {template!r} names no column; write columns as {{column}}")
    known = pl.any_horizontal(field.is_not_null() for field in fields)
    return frame.select(pl.when(known).then(pl.concat_str(pieces)).alias("text"))["text"]


def _words(frame: pl.DataFrame, column: str) -> pl.Expr:
    if column not in frame.columns:
        raise DataError(
            f"no column {column!r} to make a text of; there are {', '.join(frame.columns)}"
            f"{did_you_mean(column, frame.columns)}"
        )
    # By series: to polars a column called * or ^...$ is a pattern.
    values = frame[column]
    if isinstance(values.dtype, pl.List):
        values = values.cast(pl.List(pl.String)).list.join(", ")
    return pl.lit(values.cast(pl.String))
