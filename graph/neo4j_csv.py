"""A graph as the CSV files that ``neo4j-admin database import`` takes."""

import logging
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .columns import ID, INTERACTED, NAME, TEXT, TIMESTAMP, WEIGHT
from .errors import DataError
from .knowledge_graph import KnowledgeGraph, NodeTable
from .relation_names import stored_labels, stored_relations
from .store_notes import NOTE_KEYS, NOTE_LABEL, notes_on

log = logging.getLogger(__name__)

SCRIPT = "import.sh"
_DELIMITERS = ";|§¦\x1f\x1e\x1d\x1c"
"""Tried in this order as what parts the members of a list; it must be in none of them."""
_TYPES: dict[Any, str] = {pl.String: "string", pl.Int64: "long", pl.Float64: "double", pl.Boolean: "boolean"}


def write_neo4j_csv(kg: KnowledgeGraph, folder: str | Path) -> None:
    """Write a graph in the CSV format of ``neo4j-admin database import full``.

    Each label has a ``nodes-N.csv``, each relation between two labels a ``relationships-N.csv``, each with a header
    file beside it; ``import.sh`` holds the command, to be run on the server's machine with the name of a database
    that does not exist yet. Labels, relationship types and properties are those that `GraphStore.write` stores, so
    that a snapshot of that database is the graph again. An empty list, or an empty string in a list, cannot be told
    from nothing; how many there are is logged.

    Parameters
    ----------
    kg
        The graph.
    folder
        Where to write; it is made if need be, and must hold nothing else.

    Raises
    ------
    DataError
        If the folder is not empty or cannot be written.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{folder} exists and is not empty; choose another folder")
    delimiter = _delimiter(kg)
    arguments = ["--id-type=string", "--multiline-fields=true", f"--array-delimiter={_shown(delimiter)}"]
    labels, relations = stored_labels(kg.labels, ()), stored_relations(kg.relations, ())
    try:
        target.mkdir(parents=True, exist_ok=True)
        for index, table in enumerate(kg.tables):
            arguments.append(
                _write(target, "nodes", index, _nodes(table, index, labels[table.label], delimiter))
            )
        notes = _notes(kg, labels)
        if len(notes):
            arguments.append(_write(target, "nodes", len(kg.tables), notes))
        for index, frame in enumerate(_relationships(kg, relations)):
            arguments.append(_write(target, "relationships", index, frame))
        lines = ["#!/bin/sh", "# sh import.sh [DATABASE]", 'cd "$(dirname "$0")"']
        # The database first: an option that takes several files would take its name for one.
        command = 'neo4j-admin database import full "${1:-neo4j}"'
        lines.append(" \\\n  ".join([command, *map(shlex.quote, arguments)]))
        (target / SCRIPT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot write {folder}: {error.strerror}; free space or choose another folder"
        ) from None


def _write(target: Path, kind: str, index: int, frame: pl.DataFrame) -> str:
    """Write header and rows; returns the argument that names them."""
    stem = f"{kind}-{index}"
    pl.DataFrame(schema=dict.fromkeys(frame.columns, pl.String)).write_csv(
        target / f"{stem}-header.csv", quote_style="necessary"
    )
    # Strings are quoted, so that an empty one is not taken for none.
    frame.write_csv(target / f"{stem}.csv", include_header=False, quote_style="non_numeric")
    return f"--{kind}={stem}-header.csv,{stem}.csv"


def _delimiter(kg: KnowledgeGraph) -> str:
    taken = "".join(kg.labels)
    for table in kg.tables:
        for column in table.properties.columns:
            values = pl.Series(column)
            if values.dtype == pl.List(pl.String):
                taken += "".join(set("".join(values.explode(empty_as_null=False).drop_nulls().to_list())))
    for mark in _DELIMITERS:
        if mark not in taken:
            return mark
    raise DataError(f"lists and labels hold all of the separators {_DELIMITERS!r}; remove one from the texts")


def _shown(delimiter: str) -> str:
    return delimiter if delimiter.isprintable() else f"U+{ord(delimiter):04X}"


def _nodes(table: NodeTable, index: int, label: str, delimiter: str) -> pl.DataFrame:
    columns = [
        pl.Series(f"{ID}:ID(nodes-{index})", table.vocabulary.ids.tolist(), dtype=pl.String),
        pl.Series(":LABEL", [label], dtype=pl.String).new_from_index(0, len(table)),
        pl.Series(f"{NAME}:string", table.names, dtype=pl.String),
        pl.Series(f"{TEXT}:string", table.texts, dtype=pl.String),
    ]
    for name in table.properties.column_names:
        column = pl.Series(name, table.properties.column(name))
        if not isinstance(column.dtype, pl.List):
            columns.append(_plain(column).alias(f"{name}:{_TYPES[column.dtype]}"))
            continue
        inner = _TYPES[column.dtype.inner]
        members = column.explode(empty_as_null=False)
        lost = int((column.list.len() == 0).sum()) + int((members.cast(pl.String) == "").sum())
        if lost:
            log.warning(
                "%d empty lists or members of %s.%s are not told from nothing", lost, table.label, name
            )
        words = pl.Series(
            name, [None if row is None else [_word(v) for v in row] for row in column.to_list()]
        )
        joined = words.cast(pl.List(pl.String)).list.join(delimiter)
        columns.append(pl.select(pl.when(joined != "").then(joined)).to_series().alias(f"{name}:{inner}[]"))
    return pl.DataFrame(columns)


def _notes(kg: KnowledgeGraph, labels: Mapping[str, str]) -> pl.DataFrame:
    """What is noted on properties, as `kgenre.graph.store_notes` keeps it."""
    rows = [
        {"label": labels[table.label], "property": key, **note}
        for table in kg.tables
        for key, note in notes_on(table).items()
    ]
    columns = {key: [row.get(key) for row in rows] for key in NOTE_KEYS}
    return pl.DataFrame(
        {
            ":ID(notes)": [str(row) for row in range(len(rows))],
            ":LABEL": [NOTE_LABEL] * len(rows),
            **{f"{key}:string": pl.Series(values, dtype=pl.String) for key, values in columns.items()},
        }
    )


def _plain(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Float64:
        # As Java spells infinity.
        return pl.Series([_word(value) if value is not None else None for value in column], dtype=pl.String)
    return column.cast(pl.String) if column.dtype == pl.Boolean else column


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).replace("inf", "Infinity")
    return None if value is None else str(value)


def _relationships(kg: KnowledgeGraph, relations: dict[str, str]) -> Iterator[pl.DataFrame]:
    inter = kg.interactions
    edges: list[tuple[str, Any, Any, Any, Any]] = [
        (INTERACTED, inter.user, inter.item + kg.n_users, inter.weight, inter.timestamp)
    ]
    edges += [(relations[f.relation], f.head, f.tail, f.weight, f.timestamp) for f in kg.facts]
    for kind, head, tail, weight, timestamp in edges:
        starts, ends = (np.searchsorted(kg.offsets, nodes, side="right") - 1 for nodes in (head, tail))
        for start, end in np.unique(np.stack((starts, ends)), axis=1).T:
            mine = (starts == start) & (ends == end)
            columns = []
            for nodes, place, role in ((head, start, "START"), (tail, end, "END")):
                ids = kg.tables[place].vocabulary.ids[nodes[mine] - kg.offsets[place]]
                columns.append(pl.Series(f":{role}_ID(nodes-{place})", ids.tolist(), dtype=pl.String))
            columns.append(pl.Series(":TYPE", [kind], dtype=pl.String).new_from_index(0, int(mine.sum())))
            for name, values in ((WEIGHT, weight), (TIMESTAMP, timestamp)):
                if values is not None:
                    numbers = pl.Series(name, values[mine]).cast(pl.Float64).fill_nan(None)
                    columns.append(_plain(numbers).alias(f"{name}:double"))
            yield pl.DataFrame(columns)
