from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from .errors import DataError, did_you_mean

TYPES = ("token", "token_seq", "float", "float_seq")
"""The types that a RecBole header knows."""


@dataclass(frozen=True)
class AtomicTable:
    """One RecBole atomic file.

    Attributes
    ----------
    path
        Where it came from, for messages.
    frame
        A row a line. Tokens and token sequences are strings as they stand in the file, floats Float64, float
        sequences lists of Float64; an empty field is null.
    types
        The type of each column as its header says.
    """

    path: Path
    frame: pl.DataFrame
    types: dict[str, str]

    def line(self, bad: pl.Series) -> int:
        """Line in the file (from 1) of the first row where a boolean column is true."""
        return int(bad.fill_null(False).arg_max() or 0) + 2


def read_table(path: Path, ids: Sequence[str] = (), floats: Sequence[str] = ()) -> AtomicTable:
    """Read one atomic file: tab separated, a header of ``name:type``, nothing quoted.

    Parameters
    ----------
    path
        The file.
    ids
        Columns that must be there, be tokens and have a value in every row.
    floats
        Columns that must be of type float where they are there.

    Raises
    ------
    DataError
        If the file cannot be read or a header, row or number is malformed; the message names file and line.
    """
    text = _text(path)
    header, _, body = text.partition("\n")
    types = _header(path, header)
    for column in ids:
        if column not in types:
            raise DataError(
                f"{path}: no column {column!r}; the header needs {column}:token{did_you_mean(column, types)}"
            )
        if types[column] != "token":
            raise DataError(f"{path}: column {column!r} is a {types[column]}; ids need {column}:token")
    for column in floats:
        if types.get(column, "float") != "float":
            raise DataError(f"{path}: column {column!r} is a {types[column]}; it needs {column}:float")
    frame = _rows(path, body, list(types))
    columns = [_typed(path, frame[name], kind) for name, kind in types.items()]
    table = AtomicTable(path, pl.DataFrame(columns), types)
    for column in ids:
        empty = table.frame[column].is_null()
        if empty.any():
            raise DataError(f"{path} line {table.line(empty)}: empty {column}; every row needs an id")
    return table


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"no such file: {path}; check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; convert the file to UTF-8"
        ) from None
    text = text.replace("\r\n", "\n").rstrip("\r\n")
    if not text.strip():
        raise DataError(f"{path} is empty; it needs a header such as user_id:token<tab>item_id:token")
    return text


def _header(path: Path, header: str) -> dict[str, str]:
    types: dict[str, str] = {}
    for field in header.split("\t"):
        name, colon, kind = field.rpartition(":")
        if not colon or not name:
            raise DataError(
                f"{path} line 1: header field {field[:60]!r} has no type; write name:type with a type of "
                f"{', '.join(TYPES)}"
            )
        if kind not in TYPES:
            raise DataError(
                f"{path} line 1: column {name!r} has the unknown type {kind[:60]!r}; use one of "
                f"{', '.join(TYPES)}"
            )
        if name in types:
            raise DataError(f"{path} line 1: column {name!r} stands twice; rename or remove one")
        types[name] = kind
    return types


def _rows(path: Path, body: str, names: list[str]) -> pl.DataFrame:
    if not body:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    raw = body.encode()
    # polars fills up short rows with nulls without a word, so the fields are counted first.
    buffer = np.frombuffer(raw, dtype=np.uint8)
    ends = np.append(np.flatnonzero(buffer == ord("\n")), len(buffer))
    tabs = np.diff(np.searchsorted(np.flatnonzero(buffer == ord("\t")), ends), prepend=0)
    wrong = np.flatnonzero(tabs != len(names) - 1)
    if len(wrong):
        found = int(tabs[wrong[0]]) + 1
        raise DataError(
            f"{path} line {int(wrong[0]) + 2}: {found} field{'s' * (found != 1)} where the header has "
            f"{len(names)}; separate fields by one tab and leave none out"
        )
    if len(names) == 1:
        # A csv reader would take an empty line for no row at all.
        return pl.DataFrame({names[0]: [field or None for field in body.split("\n")]})
    return pl.read_csv(
        raw,
        has_header=False,
        new_columns=names,
        separator="\t",
        quote_char=None,
        infer_schema=False,
    )


def _typed(path: Path, column: pl.Series, kind: str) -> pl.Series:
    if kind in ("token", "token_seq"):
        return column
    if kind == "float":
        numbers = column.cast(pl.Float64, strict=False)
        bad = numbers.is_null() & column.is_not_null()
    else:
        numbers = column.str.split(" ").list.eval(pl.element().cast(pl.Float64, strict=False))
        bad = numbers.list.eval(pl.element().is_null()).list.any() & column.is_not_null()
    if bad.any():
        row = int(bad.fill_null(False).arg_max() or 0)
        raise DataError(
            f"{path} line {row + 2}: {column[row][:60]!r} in column {column.name!r} is not a number; "
            f"correct it or type the column as token"
        )
    return numbers
