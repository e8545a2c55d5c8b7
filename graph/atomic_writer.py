"""A graph as RecBole atomic files."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from .atomic import RELATION_ID
from .columns import ENTITY, ENTITY_ID, HEAD_ID, ITEM_ID, NAME, TAIL_ID, TEXT, TIMESTAMP, USER_ID, WEIGHT
from .errors import DataError
from .knowledge_graph import KnowledgeGraph, NodeTable
from .texts import is_description, name_column

log = logging.getLogger(__name__)

_BREAKS = r"[\t\r\n]"
_EXACT = 2**53
"""Whole numbers below this are the same as floats."""


def write_atomic(kg: KnowledgeGraph, folder: str | Path) -> None:
    """Write a graph as RecBole atomic files, named after the folder, as RecBole wants them.

    ``.inter``, ``.item`` and ``.user`` hold what the graph has, ``.kg`` its facts and ``.link`` the entity that
    an item is in them: its ``entity_id``, or else its own id. `kgenre.graph.atomic.read_atomic` makes the same
    graph of the files (its texts with ``text=["text"]``) as far as the format can hold it. What it cannot hold
    is logged: labels (entities of other labels read back as Entity, with the label before an id that is not
    unique), what is said about entities and users beyond the format, facts about users, whole numbers and
    booleans as such, empty strings and lists, and blanks within a list's members.

    Parameters
    ----------
    kg
        The graph; it must have interactions.
    folder
        Where to write; it is made if need be, and files of the same names are replaced.

    Raises
    ------
    DataError
        If the graph has no interactions, an id or relation holds a tab or line break, or the folder cannot be
        written.
    """
    if not kg.n_interactions:
        raise DataError("the graph has no interactions; atomic files need at least one")
    target = Path(folder)
    name = target.resolve().name
    lost: list[str] = []
    for table in kg.tables:
        _check(pl.Series(table.vocabulary.ids.tolist(), dtype=pl.String), f"id of a {table.label}")
    _check(pl.Series(kg.relations, dtype=pl.String), "relation")
    tokens, linked = _tokens(kg, lost)
    files = {
        "inter": _interactions(kg),
        "user": _nodes(kg.users, USER_ID, lost),
        "item": _nodes(kg.items, ITEM_ID, lost),
        "kg": _facts(kg, tokens, lost),
        "link": linked,
    }
    if kg.users.texts.null_count < len(kg.users):
        lost.append("the users' texts")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for kind, frame in files.items():
            temporary = target / f".{name}.{kind}.part"
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                stream.write("\t".join(frame.columns) + "\n")
                frame.write_csv(stream, separator="\t", quote_style="never", include_header=False)
            os.replace(temporary, target / f"{name}.{kind}")
    except OSError as error:
        raise DataError(
            f"cannot write {folder}: {error.strerror}; free space or choose another folder"
        ) from None
    if lost:
        log.warning("%s: atomic files do not hold %s", folder, "; ".join(lost))


def _check(values: pl.Series, what: str) -> None:
    bad = values.str.contains(_BREAKS)
    if bad.any():
        value = values[int(bad.arg_max() or 0)]
        raise DataError(
            f"the {what} {value[:60]!r} holds a tab or line break, which no atomic file can; rename it"
        )


def _interactions(kg: KnowledgeGraph) -> pl.DataFrame:
    inter = kg.interactions
    columns = [
        pl.Series(f"{USER_ID}:token", kg.users.vocabulary.ids[inter.user].tolist(), dtype=pl.String),
        pl.Series(f"{ITEM_ID}:token", kg.items.vocabulary.ids[inter.item].tolist(), dtype=pl.String),
    ]
    if (inter.weight != 1).any():
        columns.append(pl.Series(f"{WEIGHT}:float", inter.weight))
    if inter.timestamp is not None:
        columns.append(pl.Series(f"{TIMESTAMP}:float", inter.timestamp).fill_nan(None))
    return pl.DataFrame(columns)


def _nodes(table: NodeTable, key: str, lost: list[str]) -> pl.DataFrame:
    columns = [pl.Series(f"{key}:token", table.vocabulary.ids.tolist(), dtype=pl.String)]
    # Even where nobody has a name, if a property such as movie_title would be read as one.
    if table.names.null_count < len(table) or name_column(table.properties.column_names):
        columns.append(_plain(pl.Series(f"{NAME}:token_seq", table.names), lost))
    if key == ITEM_ID and table.texts.null_count < len(table):
        columns.append(_plain(pl.Series(f"{TEXT}:token_seq", table.texts), lost))
    for name in table.properties.column_names:
        if name == ENTITY_ID and key == ITEM_ID:
            continue
        if name == key or any(mark in name for mark in "\t\r\n"):
            lost.append(f"the {table.label}s' property {name!r}, which no column can be called")
            continue
        columns.append(_property(pl.Series(name, table.properties.column(name)), lost))
    return pl.DataFrame(columns)


def _property(column: pl.Series, lost: list[str]) -> pl.Series:
    name, dtype = column.name, column.dtype
    if dtype == pl.String:
        return _plain(column.alias(f"{name}:token"), lost)
    if dtype == pl.Boolean:
        lost.append(f"booleans ({name!r} reads back as strings)")
        return column.cast(pl.String).alias(f"{name}:token")
    if dtype == pl.Int64:
        exact = bool((column.abs() < _EXACT).all())
        lost.append(f"whole numbers ({name!r} reads back as {'floats' if exact else 'strings'})")
        return column.alias(f"{name}:{'float' if exact else 'token'}")
    if isinstance(dtype, pl.List):
        return _sequence(column, lost)
    return column.alias(f"{name}:float")


def _sequence(column: pl.Series, lost: list[str]) -> pl.Series:
    assert isinstance(column.dtype, pl.List)
    name, numeric = column.name, column.dtype.inner in (pl.Int64, pl.Float64)
    words = column.cast(pl.List(pl.String))
    members = words.explode(empty_as_null=False).drop_nulls()
    if (column.list.len() == 0).any() or (words.list.len() != words.list.drop_nulls().list.len()).any():
        lost.append(f"empty lists and missing members (of {name!r})")
    if column.dtype.inner in (pl.Int64, pl.Boolean):
        lost.append(
            f"lists of {column.dtype.inner} ({name!r} reads back as {'floats' if numeric else 'strings'})"
        )
    if members.str.contains(r"\s").any() or (members == "").any():
        lost.append(f"blanks in lists (of {name!r}; they become underscores)")
    clean = words.list.eval(pl.element().drop_nulls().str.replace_all(r"\s", "_"))
    clean = clean.list.eval(pl.element().filter(pl.element() != ""))
    joined = clean.list.join(" ").alias(name)
    if not numeric and is_description(joined):
        lost.append(f"long lists of words ({name!r} reads back as one string)")
    return (
        pl.select(pl.when(joined != "").then(joined))
        .to_series()
        .alias(f"{name}:{'float_seq' if numeric else 'token_seq'}")
    )


def _plain(column: pl.Series, lost: list[str]) -> pl.Series:
    if column.str.contains(_BREAKS).any():
        lost.append(f"tabs and line breaks (in {column.name.rpartition(':')[0]!r}; they become blanks)")
        column = column.str.replace_all(_BREAKS, " ")
    if (column == "").any():
        lost.append(f"empty strings (in {column.name.rpartition(':')[0]!r})")
    return column


def _tokens(kg: KnowledgeGraph, lost: list[str]) -> tuple[npt.NDArray[np.object_], pl.DataFrame]:
    """The token of each node in ``.kg``, shape (n_nodes,), and the links."""
    tokens = np.empty(kg.n_nodes, dtype=object)
    taken: set[str] = set()
    used = np.zeros(kg.n_nodes, dtype=bool)
    for facts in kg.facts:
        used[facts.head] = used[facts.tail] = True
    items = kg.slice(kg.items.label)
    shared = 0
    for row, node in enumerate(range(items.start, items.stop)):
        entity = kg.entity_id(row)
        if entity and entity not in taken:
            tokens[node], used[node] = entity, True
            taken.add(entity)
        elif entity:
            shared += 1
            used[node] = True
    if shared:
        lost.append(
            f"an entity that several items share ({shared} items get one of their own; RecBole takes no other)"
        )
    own = 0
    for label in sorted(kg.labels, key=lambda label: (label != ENTITY, label != kg.items.label)):
        table, nodes = kg.table(label), kg.slice(label)
        for key, node in zip(table.vocabulary, range(nodes.start, nodes.stop), strict=True):
            if used[node] and tokens[node] is None:
                token = key
                while token in taken:
                    token = f"{label}:{token}"
                tokens[node] = token
                taken.add(token)
                own += label == kg.items.label
        if label not in (ENTITY, kg.items.label) and used[nodes].any():
            lost.append(f"the label {label}")
        if label not in (kg.users.label, kg.items.label):
            _said(table, used[nodes], lost)
    if own:
        lost.append(f"that {own} items had no {ENTITY_ID} (they are linked to one)")
    _check(pl.Series(tokens[items].tolist(), dtype=pl.String).drop_nulls(), ENTITY_ID)
    named = np.flatnonzero(used[items])
    links = {
        f"{ITEM_ID}:token": kg.items.vocabulary.ids[named].tolist(),
        f"{ENTITY_ID}:token": tokens[items][named].tolist(),
    }
    return tokens, pl.DataFrame(links, schema=dict.fromkeys(links, pl.String))


def _said(table: NodeTable, used: npt.NDArray[np.bool_], lost: list[str]) -> None:
    columns = [table.names, table.texts, *table.properties.columns]
    if any(column.null_count < len(column) for column in columns):
        lost.append(f"names, texts and properties of {table.label}")
    if not used.all():
        lost.append(f"{int((~used).sum())} nodes of {table.label} without facts")


def _facts(kg: KnowledgeGraph, tokens: npt.NDArray[np.object_], lost: list[str]) -> pl.DataFrame:
    weighted = any(facts.weight is not None for facts in kg.facts)
    timed = any(facts.timestamp is not None for facts in kg.facts)
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(
        [f"{HEAD_ID}:token", f"{RELATION_ID}:token", f"{TAIL_ID}:token"], pl.String
    )
    schema |= {f"{WEIGHT}:float": pl.Float32} if weighted else {}
    schema |= {f"{TIMESTAMP}:float": pl.Float64} if timed else {}

    def parts() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=schema)
        for facts in kg.facts:
            columns = [
                tokens[facts.head].tolist(),
                [facts.relation] * len(facts),
                tokens[facts.tail].tolist(),
            ]
            columns += [facts.weight] if weighted else []
            columns += [facts.timestamp] if timed else []
            yield pl.DataFrame(
                [
                    pl.Series(name, [None] * len(facts) if values is None else values, dtype=dtype)
                    for (name, dtype), values in zip(schema.items(), columns, strict=True)
                ]
            )

    return pl.concat(list(parts())).with_columns(pl.selectors.float().fill_nan(None))
