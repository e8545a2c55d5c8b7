"""Tables in memory, in and out."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from .builder import GraphBuilder
from .columns import (
    ENTITY,
    EVENT_ID,
    HEAD_ID,
    HEAD_LABEL,
    ID,
    ITEM,
    ITEM_ID,
    NAME,
    RELATION,
    TAIL_ID,
    TAIL_LABEL,
    TEXT,
    TIMESTAMP,
    USER,
    USER_ID,
    WEIGHT,
)
from .errors import DataError
from .tables import as_ids, as_numbers, as_property, as_seconds, as_strings, check_columns, to_polars
from .texts import compose_texts, is_description, name_column

if TYPE_CHECKING:
    from .knowledge_graph import KnowledgeGraph

log = logging.getLogger(__name__)

INTERACTIONS, ITEMS, USERS, FACTS = "interactions", "items", "users", "facts"


def from_frames(
    interactions: Any = None,
    *,
    items: Any = None,
    users: Any = None,
    facts: Any = None,
    fact_columns: Sequence[str] = (),
    split: str | None = None,
    text: str | Sequence[str] | None = None,
    user_label: str = USER,
    item_label: str = ITEM,
    **entities: Any,
) -> "KnowledgeGraph":
    """Build a graph from pandas, polars or arrow tables.

    Ids are strings; whole numbers are taken as such (1 and 1.0 as "1").

    Parameters
    ----------
    interactions
        user_id, item_id and optionally weight (below 0 a dislike, 1 where there is no such column) and
        timestamp (seconds since 1970, or dates). Other columns are ignored.
    items
        item_id and optionally name and text; every other column is a property. Items that stand only here are
        part of the catalogue. Without a column text, an item's text is its name, then prose (description,
        plot, ...), then all other columns of strings.
    users
        user_id and optionally name; every other column is a property.
    facts
        head_id, relation, tail_id and optionally head_label, tail_label, weight and timestamp. A head or tail
        without a label is the item or the node of `entities` with that id, else an Entity.
    fact_columns
        Columns of `items` that hold entities, one or a list a row: ``director`` becomes facts ``DIRECTOR``
        from the items to nodes of label ``Director``, whose id and name is the value.
    split
        Separator within a fact column's strings, such as ``"|"``.
    text
        What an item's text is made of, instead of a column text: a template such as ``"{name} ({year})"`` or
        a list of columns.
    user_label, item_label
        The labels of users and items.
    **entities
        A table for each further label, by its name: id and optionally name and text; every other column is a
        property.

    Raises
    ------
    DataError
        If a column is missing, misspelt or of a type it cannot have, or a value is missing; the message names
        the row.
    """
    builder = GraphBuilder(user_label=user_label, item_label=item_label)
    if all(table is None for table in (interactions, items, users, facts)) and not entities:
        raise DataError(
            "no table was passed; give interactions (user_id, item_id) or items (item_id, name, ...)"
        )
    _check_labels(entities, builder)
    known: dict[str, list[pl.Series]] = {item_label: []}
    if interactions is not None:
        known[item_label].append(_add_interactions(builder, to_polars(interactions, INTERACTIONS)))
    if users is not None:
        _add_nodes(builder, user_label, to_polars(users, USERS), USERS, USER_ID)
    if items is not None:
        table = to_polars(items, ITEMS)
        check_columns(table, ITEMS, (ITEM_ID, *fact_columns), open_ended=True)
        if split is not None:
            strings = [c for c in fact_columns if table.schema[c] == pl.String]
            parts = pl.element().str.strip_chars()
            table = table.with_columns(pl.col(strings).str.split(split).list.eval(parts.filter(parts != "")))
        known[item_label].append(_add_items(builder, table, text))
        _add_fact_columns(builder, table, fact_columns)
    elif text is not None or fact_columns or split is not None:
        raise DataError("text, fact_columns and split are about the items; pass items=")
    for label, nodes in entities.items():
        known[label] = [_add_nodes(builder, label, to_polars(nodes, label), label, ID)]
    if facts is not None:
        _add_facts(builder, to_polars(facts, FACTS), known)
    return builder.build()


def to_frames(kg: "KnowledgeGraph") -> dict[str, pd.DataFrame]:
    """The graph as pandas frames.

    Returns
    -------
    dict of str to DataFrame
        ``interactions``, ``users``, ``items``, ``facts`` and one frame for each further label, by its name,
        with the columns that `from_frames` takes: ``from_frames(**to_frames(kg))`` is the same graph (for
        labels of users and items other than User and Item pass these too).
    """
    inter = kg.interactions
    frames = {
        INTERACTIONS: pd.DataFrame(
            {
                USER_ID: kg.users.vocabulary.ids[inter.user],
                ITEM_ID: kg.items.vocabulary.ids[inter.item],
                WEIGHT: inter.weight,
                **({} if inter.timestamp is None else {TIMESTAMP: inter.timestamp}),
            }
        )
    }
    keys = {kg.users.label: (USERS, USER_ID), kg.items.label: (ITEMS, ITEM_ID)}
    # Plain pandas would turn integers and booleans with gaps into floats and objects.
    gaps = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    for table in kg.tables:
        name, key = keys.get(table.label, (table.label, ID))
        frame = table.properties.to_pandas(types_mapper=gaps.get)
        frame.insert(0, key, table.vocabulary.ids)
        frame.insert(1, NAME, table.names.to_pandas())
        frame.insert(2, TEXT, table.texts.to_pandas())
        frames[name] = frame
    ids = np.concatenate([table.vocabulary.ids for table in kg.tables])
    labels = np.repeat(np.array(kg.labels, dtype=object), np.diff(kg.offsets))
    columns: dict[str, list[Any]] = {
        column: [] for column in (HEAD_ID, RELATION, TAIL_ID, HEAD_LABEL, TAIL_LABEL)
    }
    columns |= {
        column: [] for column in (WEIGHT, TIMESTAMP) if any(getattr(f, column) is not None for f in kg.facts)
    }
    for facts in kg.facts:
        columns[HEAD_ID].append(ids[facts.head])
        columns[RELATION].append(np.repeat(np.array([facts.relation], dtype=object), len(facts)))
        columns[TAIL_ID].append(ids[facts.tail])
        columns[HEAD_LABEL].append(labels[facts.head])
        columns[TAIL_LABEL].append(labels[facts.tail])
        for column in (WEIGHT, TIMESTAMP):
            if column in columns:
                values = getattr(facts, column)
                columns[column].append(np.full(len(facts), np.nan) if values is None else values)
    frames[FACTS] = pd.DataFrame(
        {name: np.concatenate(parts) if parts else [] for name, parts in columns.items()}
    )
    return frames


def _check_labels(entities: dict[str, Any], builder: GraphBuilder) -> None:
    known = [INTERACTIONS, ITEMS, USERS, FACTS, "fact_columns", "split", "text", "user_label", "item_label"]
    for label in entities:
        if label in (builder.user_label, builder.item_label):
            raise DataError(f"nodes of label {label!r} are the users or items; pass them as users= or items=")
        # A label starts with a capital, by custom; a name like ours that does not is a slip.
        close = get_close_matches(label, known, n=1, cutoff=0.75) if label[:1].islower() else []
        if close:
            raise DataError(f"unknown table {label!r}; did you mean {close[0]}?")


def _add_interactions(builder: GraphBuilder, table: pl.DataFrame) -> pl.Series:
    optional = (WEIGHT, TIMESTAMP, EVENT_ID)
    ignored = check_columns(table, INTERACTIONS, (USER_ID, ITEM_ID), optional, open_ended=False)
    if ignored:
        log.info("interactions: ignored the columns %s; what counts is called %s", ", ".join(ignored), WEIGHT)
    users, items = (as_ids(table[column], INTERACTIONS) for column in (USER_ID, ITEM_ID))
    weight = as_numbers(table[WEIGHT], INTERACTIONS, required=True) if WEIGHT in table.columns else None
    time = as_seconds(table[TIMESTAMP], INTERACTIONS) if TIMESTAMP in table.columns else None
    builder.add_interactions(users, items, weight, time)
    return items.unique()


def _add_nodes(
    builder: GraphBuilder,
    label: str,
    table: pl.DataFrame,
    what: str,
    key: str,
    texts: pl.Series | None = None,
    names: pl.Series | None = None,
) -> pl.Series:
    check_columns(table, what, (key,), open_ended=True)
    if key != ID and ID in table.columns:
        raise DataError(f"{what}: a property cannot be called {ID!r}; rename the column")
    if names is None and NAME in table.columns:
        names = as_strings(table[NAME], what)
    if texts is None and TEXT in table.columns:
        texts = as_strings(table[TEXT], what)
    ids = as_ids(table[key], what)
    properties = [as_property(table[c], what) for c in table.columns if c not in (key, NAME, TEXT)]
    builder.add_nodes(label, ids, names, texts, pl.DataFrame(properties) if properties else None)
    return ids.unique()


def _add_items(builder: GraphBuilder, table: pl.DataFrame, text: str | Sequence[str] | None) -> pl.Series:
    known = [c for c in table.columns if c not in (ITEM_ID, ID)]
    frame = pl.DataFrame(
        [
            as_ids(table[ITEM_ID], ITEMS),
            *(as_strings(table[c], ITEMS) if c == NAME else as_property(table[c], ITEMS) for c in known),
        ]
    )
    words = [c for c in known if frame.schema[c] in (pl.String, pl.List(pl.String))]
    strings = [c for c in words if frame.schema[c] == pl.String]
    name = name_column(strings)
    texts = None
    if text is not None:
        texts = compose_texts(frame, text)
    elif TEXT not in table.columns:
        prose = [c for c in strings if c != name and is_description(frame[c])]
        rest = [c for c in words if c != name and c not in prose]
        texts = compose_texts(frame, [*([name] if name else []), *prose, *rest])
    return _add_nodes(
        builder, builder.item_label, table, ITEMS, ITEM_ID, texts, frame[name] if name else None
    )


def _add_fact_columns(builder: GraphBuilder, table: pl.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        values = table[column]
        frame = pl.DataFrame({"head": as_ids(table[ITEM_ID], ITEMS), "tail": values})
        if isinstance(values.dtype, (pl.List, pl.Array)):
            frame = frame.explode("tail")
        frame = frame.with_columns(as_ids(frame["tail"].alias(column), ITEMS, required=False).alias("tail"))
        frame = frame.filter(pl.col("tail") != "")
        label = "".join(part[:1].upper() + part[1:] for part in column.split("_"))
        tails = frame["tail"].unique(maintain_order=True)
        builder.add_nodes(label, tails, tails)
        builder.add_facts(column.upper(), frame["head"], frame["tail"], builder.item_label, label)


def _add_facts(builder: GraphBuilder, table: pl.DataFrame, known: dict[str, list[pl.Series]]) -> None:
    optional = (HEAD_LABEL, TAIL_LABEL, WEIGHT, TIMESTAMP)
    ignored = check_columns(table, FACTS, (HEAD_ID, RELATION, TAIL_ID), optional, open_ended=False)
    if ignored:
        log.info("facts: ignored the columns %s", ", ".join(ignored))
    ends = {}
    for end, label in ((HEAD_ID, HEAD_LABEL), (TAIL_ID, TAIL_LABEL)):
        ids = as_ids(table[end], FACTS)
        ends[end] = ids
        found = _labels_of(ids, known, builder.item_label)
        if label in table.columns:
            given = as_strings(table[label], FACTS)
            found = pl.select(pl.coalesce(pl.when(given != "").then(given), found)).to_series()
        ends[label] = found
    builder.add_facts(
        as_ids(table[RELATION], FACTS),
        ends[HEAD_ID],
        ends[TAIL_ID],
        ends[HEAD_LABEL],
        ends[TAIL_LABEL],
        as_numbers(table[WEIGHT], FACTS, required=False) if WEIGHT in table.columns else None,
        as_seconds(table[TIMESTAMP], FACTS) if TIMESTAMP in table.columns else None,
    )


def _labels_of(ids: pl.Series, known: dict[str, list[pl.Series]], item_label: str) -> pl.Series:
    """The label of each id that a fact names without one."""
    choice = pl.lit(ENTITY)
    # Items last, so that they come first: the outermost condition decides.
    for label in sorted(known, key=lambda label: (label == item_label, label)):
        nodes = pl.concat(known[label]) if known[label] else pl.Series([], dtype=pl.String)
        choice = pl.when(pl.lit(ids).is_in(nodes.implode())).then(pl.lit(label)).otherwise(choice)
    return pl.select(choice.alias("label")).to_series()
