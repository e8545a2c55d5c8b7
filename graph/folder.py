"""A folder of CSV or Parquet files, read into a graph; `docs/making_graphs.md` describes the convention."""

import csv
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import polars as pl

from .builder import GraphBuilder
from .columns import (
    HEAD_ID,
    HEAD_LABEL,
    ID,
    ITEM,
    ITEM_ID,
    NAME,
    RELATION,
    TAIL_ID,
    TAIL_LABEL,
    TAIL_NAME,
    TEXT,
    TIMESTAMP,
    USER,
    USER_ID,
    WEIGHT,
)
from .errors import DataError, did_you_mean
from .frames import add_fact_columns, add_facts, add_interactions, add_items, add_nodes
from .knowledge_graph import KnowledgeGraph
from .tables import FileName, at, check_columns

TYPES = ("string", "int", "float", "bool", "list", "fact")
"""What may stand behind a column's name in a header, after a colon."""

_SUFFIXES = (".csv", ".tsv", ".parquet")
_KINDS = ("interactions", "nodes_", "facts_")
_SEPARATOR = "|"
_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"
_PADDED = r"^-?0[0-9]"
_STRINGS = (ID, USER_ID, ITEM_ID, HEAD_ID, TAIL_ID, HEAD_LABEL, TAIL_LABEL, TAIL_NAME, NAME, TEXT)
_CHUNK = 200_000
_MOST = 1 << 27
"""Characters in one field at most; the csv module's own limit is too small for texts."""


def is_table_folder(path: Path) -> bool:
    """Whether a folder holds tables by our convention (and no atomic files)."""
    if not path.is_dir() or any(path.glob("*.inter")):
        return False
    return any(_kind(file) is not None for file in path.iterdir())


def read_folder(path: str | Path, *, text: str | Sequence[str] | None = None) -> KnowledgeGraph:
    """Read a folder of CSV or Parquet files into a graph.

    ``interactions.csv`` holds user_id, item_id and optionally weight and timestamp; ``nodes_LABEL.csv`` the
    nodes of a label: id (user_id makes it the users' table, item_id the items'), name, text and properties;
    ``facts_RELATION.csv`` head_id, tail_id and optionally head_label, tail_label, tail_name, weight and
    timestamp. All are optional, but one must be there. In a CSV file a column's type is seen from its values
    unless the header says it (``year:int``, ``tags:list``, ``director:fact``).

    Parameters
    ----------
    path
        The folder.
    text
        What an item's text is made of; see `kgenre.graph.frames.from_frames`.

    Raises
    ------
    DataError
        If the folder or a file cannot be used; the message names the file and the row or line.
    """
    folder = Path(path)
    files = _files(folder)
    tables = {file: _Table.read(file) for file in files}
    labels = {file: file.stem.removeprefix("nodes_") for file in files if _kind(file) == "nodes_"}
    users = _label_by(USER_ID, tables, labels, USER)
    items = _label_by(ITEM_ID, tables, labels, ITEM)
    builder = GraphBuilder(user_label=users, item_label=items)
    known: dict[str, list[pl.Series]] = {items: []}
    for file, table in tables.items():
        if _kind(file) == "interactions":
            known[items].append(add_interactions(builder, table.frame, table.what))
    for file, label in labels.items():
        table = tables[file]
        if label == items:
            frame = table.keyed_by(ITEM_ID)
            known[items].append(add_items(builder, frame, text, table.what))
            add_fact_columns(builder, frame, table.facts, table.what)
            continue
        if table.facts:
            raise DataError(
                f"{table.what}: column {table.facts[0]!r} is typed fact, which only the items' table can have; "
                "write a facts_RELATION file"
            )
        key = USER_ID if label == users else ID
        ids = add_nodes(builder, label, table.keyed_by(key), table.what, key)
        known.setdefault(label, []).append(ids)
    if text is not None and items not in labels.values():
        raise DataError(f"{folder} has no nodes_{items} file to make a text of; add one or leave text out")
    for file, table in tables.items():
        if _kind(file) == "facts_":
            relation = pl.lit(file.stem.removeprefix("facts_")).alias(RELATION)
            add_facts(builder, table.frame.with_columns(relation), known, table.what)
    return builder.build()


def _kind(file: Path) -> str | None:
    """What a file holds by its name: "interactions", "nodes_", "facts_" or nothing of ours."""
    if file.suffix.lower() not in _SUFFIXES:
        return None
    if file.stem == "interactions":
        return file.stem
    return next((kind for kind in _KINDS[1:] if file.stem.startswith(kind) and file.stem != kind), None)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(
            f"{folder} {what}; give a folder with nodes_LABEL.csv, facts_RELATION.csv, interactions.csv"
        )
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}; check its permissions") from None
    files = [path for path in paths if _kind(path) is not None]
    if not files:
        others = [path.name for path in paths if path.suffix.lower() in _SUFFIXES]
        names = [f"{kind.rstrip('_')}{suffix}" for kind in _KINDS for suffix in _SUFFIXES]
        hint = f"; it has {', '.join(others[:5])}{did_you_mean(others[0], names)}" if others else ""
        raise DataError(
            f"{folder} has no nodes_LABEL.csv, facts_RELATION.csv or interactions.csv (or .parquet){hint}"
        )
    twice = {path.stem for path in files if [p.stem for p in files].count(path.stem) > 1}
    if twice:
        raise DataError(f"{folder} has {min(twice)} in two formats; remove one")
    return files


def _label_by(key: str, tables: "dict[Path, _Table]", labels: dict[Path, str], default: str) -> str:
    """The label of the table whose id column is called `key`."""
    found = [file for file in labels if key in tables[file].frame.columns]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise DataError(f"{names} both have a column {key!r}; call it {ID!r} in all but one")
    return labels[found[0]] if found else default


@dataclass(frozen=True)
class _Table:
    """A file's columns in their types.

    Attributes
    ----------
    what
        The file, for messages.
    frame
        Its columns; ids, labels, names and texts are strings.
    facts
        The columns that are typed as facts.
    """

    what: str
    frame: pl.DataFrame
    facts: list[str]

    @classmethod
    def read(cls, file: Path) -> "_Table":
        what = FileName(file)
        if file.suffix.lower() == ".parquet":
            try:
                frame = pl.read_parquet(file)
            except (OSError, pl.exceptions.PolarsError) as error:
                raise DataError(f"cannot read {file}: {str(error).splitlines()[0]}; is it Parquet?") from None
            columns = frame.get_columns()
        else:
            columns, what.lines = _read_csv(file)
        types = _types(file, [column.name for column in columns])
        named = [column.alias(name) for column, name in zip(columns, types, strict=True)]
        frame = pl.DataFrame([_typed(column, types[column.name], what) for column in named])
        return cls(what, frame, [name for name, kind in types.items() if kind == "fact"])

    def keyed_by(self, key: str) -> pl.DataFrame:
        """The frame with its column of ids called `key`."""
        frame = self.frame
        if key in frame.columns:
            return frame
        check_columns(frame, self.what, (ID,), open_ended=True)
        return frame.rename({ID: key})


def _types(file: Path, header: Sequence[str]) -> dict[str, str | None]:
    """The type that the header gives each column, or None."""
    types: dict[str, str | None] = {}
    for field in header:
        name, colon, kind = field.strip().rpartition(":")
        name, kind = (name, kind) if colon else (kind, "")
        if colon and kind not in TYPES:
            raise DataError(
                f"{file}: column {field[:60]!r} has the unknown type {kind[:60]!r}; use one of {', '.join(TYPES)}"
                f"{did_you_mean(kind, TYPES)}"
            )
        if not name or name in types:
            raise DataError(f"{file}: column {name!r} {'stands twice' if name else 'has no name'}; rename it")
        types[name] = kind or None
    return types


def _typed(column: pl.Series, kind: str | None, what: str) -> pl.Series:
    if column.dtype != pl.String or column.name in _STRINGS:
        return column
    if column.name == TIMESTAMP:
        return _numbers(column, what) if _all(column, _NUMBER) else _dates(column, what)
    if column.name == WEIGHT or kind == "float":
        return _numbers(column, what)
    if kind in ("list", "fact"):
        parts = pl.element().str.strip_chars()
        return column.str.split(_SEPARATOR).list.eval(parts.filter(parts != ""))
    if kind == "int" or (kind is None and _all(column, _INTEGER)):
        return _converted(column, column.cast(pl.Int64, strict=False), "a whole number", what)
    if kind is None and _all(column, _NUMBER):
        # 007 is a key and no number.
        return column if _any(column, _PADDED) else _numbers(column, what)
    if kind == "bool" or (kind is None and _all(column, "^(true|false)$")):
        values = pl.when(column == "true").then(True).when(column == "false").then(False)
        return _converted(column, pl.select(values).to_series(), "true or false", what)
    return column


def _all(column: pl.Series, pattern: str) -> bool:
    return column.null_count() < len(column) and bool(column.str.contains(pattern).all())


def _any(column: pl.Series, pattern: str) -> bool:
    return bool(column.str.contains(pattern).any())


def _numbers(column: pl.Series, what: str) -> pl.Series:
    return _converted(column, column.cast(pl.Float64, strict=False), "a number", what)


def _dates(column: pl.Series, what: str) -> pl.Series:
    """Dates and times of day by ISO 8601; without an offset they are UTC."""
    dates = column.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(
        None
    )
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
        dates = dates.fill_null(column.str.to_datetime(pattern, strict=False, time_unit="us"))
    dates = dates.fill_null(column.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
    return _converted(column, dates, "seconds since 1970 or a date (2024-05-31, 2024-05-31 20:15:00)", what)


def _converted(column: pl.Series, values: pl.Series, kind: str, what: str) -> pl.Series:
    bad = values.is_null() & column.is_not_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"{at(what, row)}: {column.name} is {column[row][:60]!r}; it takes {kind}")
    return values.alias(column.name)


def _read_csv(file: Path) -> tuple[list[pl.Series], Sequence[int]]:
    """The columns of a CSV file as strings, null where a field is empty, and the line of each row."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _rows(file, stream)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}; check its permissions") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte 0x{error.object[error.start]:02x} is not UTF-8; convert the file"
        ) from None


def _rows(file: Path, stream: TextIO) -> tuple[list[pl.Series], Sequence[int]]:
    first = stream.readline()
    if not first.strip():
        raise DataError(f"{file} is empty; it needs a header such as {ID},{NAME}")
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(_MOST)
    reader = csv.reader(chain([first], stream), delimiter=delimiter, strict=True)
    lines = array("q")
    chunks: list[pl.DataFrame] = []
    try:
        header = next(reader)
        schema = {str(i): pl.String for i in range(len(header))}
        rows: list[list[str]] = []
        line = reader.line_num + 1
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
                lines.append(line)
            elif row:
                raise DataError(
                    f"{file} line {line}: {len(row)} fields where the header has {len(header)}; quote a field that "
                    f"holds {delimiter!r}"
                )
            line = reader.line_num + 1
            if len(rows) == _CHUNK:
                chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
                rows = []
    except csv.Error as error:
        raise DataError(f"{file} line {reader.line_num}: {error}; correct the quotes") from None
    frame = pl.concat([*chunks, pl.DataFrame(rows, schema=schema, orient="row")])
    frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return [frame[str(i)].alias(name) for i, name in enumerate(header)], lines
