"""Tables from outside, pandas, polars or arrow, as polars frames whose columns are known to be right."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from .errors import DataError, did_you_mean
from .rdf_terms import Note

NOTES = "notes"
"""Where a pandas frame keeps what is noted on its columns (`kgenre.graph.rdf_terms.Note`): in ``attrs``."""


class FileName(str):
    """The name of a table that was read from a file and, of a text file, the line that each row stands on."""

    lines: Sequence[int] = ()


def at(what: str, row: int) -> str:
    """Where a row stands, for messages: a line of a file, or a row counted from 0."""
    if isinstance(what, FileName) and len(what.lines):
        return f"{what} line {what.lines[row]}"
    return f"{what} row {row} (counted from 0)"


def to_polars(table: Any, what: str) -> pl.DataFrame:
    """A table as a polars frame; `what` names it in messages."""
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pd.DataFrame):
        return _from_pandas(table, what)
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if isinstance(table, pa.Table):
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame
    raise DataError(f"{what} is a {type(table).__name__}; pass a pandas, polars or arrow table")


def _from_pandas(table: pd.DataFrame, what: str) -> pl.DataFrame:
    columns = [str(column) for column in table.columns]
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{what}: column {twice!r} stands twice; rename or remove one")
    # Column by column, so that the message can name the one that fits no type.
    series = []
    for position, column in enumerate(columns):
        try:
            series.append(pl.from_pandas(table.iloc[:, position], nan_to_null=True).alias(column))
        except (TypeError, ValueError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{what}: column {column!r} mixes types ({reason}); convert it to one") from None
    return pl.DataFrame(series)


def notes_of(table: Any) -> dict[str, dict[str, str]]:
    """What is noted on a table's columns: a frame's ``attrs["notes"]``, or the metadata of Arrow fields."""
    if isinstance(table, pd.DataFrame):
        return dict(table.attrs.get(NOTES, {}))
    if isinstance(table, pa.Table | pa.RecordBatch):
        return {field.name: Note.of(field).metadata() for field in table.schema}
    return {}


def check_columns(
    frame: pl.DataFrame, what: str, required: Sequence[str], optional: Sequence[str] = (), *, open_ended: bool
) -> list[str]:
    """That all required columns are there and no other is a misspelt one; returns the columns not known.

    Raises
    ------
    DataError
        If a required column is missing, or, unless the table is open ended (other columns are properties), if
        one that is not known is nearly one of the optional ones.
    """
    for column in required:
        if column not in frame.columns:
            raise DataError(
                f"{what}: no column {column!r}; there are {', '.join(map(repr, frame.columns)) or 'none'}"
                f"{did_you_mean(column, frame.columns)}"
            )
    unknown = [column for column in frame.columns if column not in (*required, *optional)]
    for column in unknown if not open_ended else []:
        close = get_close_matches(column.casefold(), [*required, *optional], n=1, cutoff=0.75)
        if close and close[0] not in frame.columns:
            raise DataError(
                f"{what}: unknown column {column!r}; did you mean {close[0]!r}? Rename or drop it"
            )
    return unknown


def as_ids(column: pl.Series, what: str, *, required: bool = True) -> pl.Series:
    """External ids as strings: 1 and 1.0 are both "1".

    Raises
    ------
    DataError
        If an id is missing (unless not required), empty, or neither a string nor a whole number.
    """
    name = column.name
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    if column.dtype.is_float():
        broken = ~column.fill_null(0).is_finite() | (column.fill_null(0) % 1 != 0)
        if broken.any():
            row = int(broken.arg_max() or 0)
            raise DataError(f"{at(what, row)}: {name} is {column[row]}; ids are strings or integers")
        column = column.cast(pl.Int64)
    if not (column.dtype.is_integer() or column.dtype in (pl.String, pl.Null)):
        raise DataError(f"{what}: column {name!r} is of type {column.dtype}; ids are strings or integers")
    column = column.cast(pl.String)
    missing = column.is_null() | (column == "")
    if required and missing.fill_null(True).any():
        row = int(missing.arg_max() or 0)
        raise DataError(f"{at(what, row)}: the {name} is missing; every row needs one")
    return column


def as_numbers(column: pl.Series, what: str, *, required: bool) -> pl.Series:
    """Finite numbers as Float64; null where a value that is not required is missing."""
    name = column.name
    if column.dtype == pl.Boolean or not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise DataError(f"{what}: column {name!r} is of type {column.dtype}; it takes numbers")
    column = column.cast(pl.Float64)
    if not required:
        column = column.fill_nan(None)
    bad = ~column.is_finite()
    bad = bad.fill_null(True) if required else bad.fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        value = "missing" if column[row] is None else column[row]
        raise DataError(f"{at(what, row)}: {name} is {value}; give a finite number")
    return column


def as_seconds(column: pl.Series, what: str) -> pl.Series:
    """Timestamps as seconds since 1970; null where unknown."""
    if isinstance(column.dtype, (pl.Date, pl.Datetime)):
        return (column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6).alias(column.name)
    return as_numbers(column, what, required=False)


def as_strings(column: pl.Series, what: str) -> pl.Series:
    """Names and texts as strings; null where there is none."""
    if isinstance(column.dtype, (pl.List, pl.Struct, pl.Array, pl.Object, pl.Binary)):
        raise DataError(f"{what}: column {column.name!r} is of type {column.dtype}; it takes strings")
    return column.cast(pl.String)


def as_property(column: pl.Series, what: str) -> pl.Series:
    """A property in one of the types every store and format knows.

    Strings, booleans, Int64, Float64 and lists of these; dates and times become ISO 8601 strings, categories
    strings, NaN null.

    Raises
    ------
    DataError
        If the column is of any other type.
    """
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array)):
        inner = _plain(dtype.inner)
        if inner is not None:
            return column.cast(pl.List(inner))
    elif isinstance(dtype, pl.Datetime):
        return column.dt.to_string("iso:strict").alias(column.name)
    else:
        plain = _plain(dtype)
        if plain is not None:
            column = column.cast(plain)
            return column.fill_nan(None) if plain == pl.Float64 else column
    raise DataError(
        f"{what}: property {column.name!r} is a {dtype}; use strings, numbers, booleans or lists of them"
    )


def _plain(dtype: Any) -> Any:
    if dtype in (pl.String, pl.Null) or isinstance(dtype, (pl.Categorical, pl.Enum, pl.Date, pl.Time)):
        return pl.String
    if dtype == pl.Boolean:
        return pl.Boolean
    if dtype.is_integer():
        return pl.Int64
    return pl.Float64 if dtype.is_float() or dtype.is_decimal() else None
