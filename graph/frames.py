"""Tables in memory, in and out."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from .builder import GraphBuilder
from .columns import (
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
    TAIL_NAME,
    TEXT,
    TIMESTAMP,
    USER,
    USER_ID,
    WEIGHT,
)
from .errors import DataError
from .fact_ends import label_ends
from .rdf_terms import Note
from .tables import (
    NOTES,
    as_ids,
    as_numbers,
    as_property,
    as_seconds,
    as_strings,
    check_columns,
    notes_of,
    to_polars,
)
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
        head_id, relation, tail_id and optionally head_label, tail_label, tail_name, weight and timestamp. A head
        or tail without a label is the item with that id, else the node of `entities` or `users` with that id, else
        an Entity. A list of such tables is taken as one.
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
        known[item_label].append(add_interactions(builder, to_polars(interactions, INTERACTIONS)))
    if users is not None:
        table = to_polars(users, USERS)
        known[user_label] = [add_nodes(builder, user_label, table, USERS, USER_ID, notes=notes_of(users))]
    if items is not None:
        table = to_polars(items, ITEMS)
        check_columns(table, ITEMS, (ITEM_ID, *fact_columns), open_ended=True)
        table = _split(table, fact_columns, split)
        known[item_label].append(add_items(builder, table, text, notes=notes_of(items)))
        add_fact_columns(builder, table, fact_columns)
    elif text is not None or fact_columns or split is not None:
        raise DataError("text, fact_columns and split are about the items; pass items=")
    for label, nodes in entities.items():
        table = to_polars(nodes, label)
        known[label] = [add_nodes(builder, label, table, label, ID, notes=notes_of(nodes))]
    for part in facts if isinstance(facts, (list, tuple)) else [facts] if facts is not None else []:
        add_facts(builder, to_polars(part, FACTS), known)
    return builder.build()


def facts_from_columns(
    items: Any,
    columns: Sequence[str],
    *,
    split: str | None = None,
    head_label: str = ITEM,
) -> pd.DataFrame:
    """Facts out of columns of an item table, as `from_frames` takes them: ``director`` becomes ``DIRECTOR``.

    Parameters
    ----------
    items
        A pandas, polars or arrow table with item_id and the columns.
    columns
        Columns that hold entities, one or a list a row.
    split
        Separator within the columns' strings, such as ``"|"``.
    head_label
        The label of the items.

    Returns
    -------
    pandas.DataFrame
        head_id, relation, tail_id, head_label, tail_label and tail_name, a fact a row. The relation is the
        column's name in capitals, the tail's label its name in camel case, its id and name the value.

    Raises
    ------
    DataError
        If a column is missing, or holds what cannot be an id; the message names the row.
    """
    table = to_polars(items, ITEMS)
    check_columns(table, ITEMS, (ITEM_ID, *columns), open_ended=True)
    table = _split(table, columns, split)
    names = (HEAD_ID, RELATION, TAIL_ID, HEAD_LABEL, TAIL_LABEL, TAIL_NAME)
    parts = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
    for column in columns:
        parts.append(
            _facts_of(table, column, ITEMS).select(
                HEAD_ID,
                pl.lit(column.upper()).alias(RELATION),
                TAIL_ID,
                pl.lit(head_label).alias(HEAD_LABEL),
                pl.lit(_label_of(column)).alias(TAIL_LABEL),
                pl.col(TAIL_ID).alias(TAIL_NAME),
            )
        )
    return pl.concat(parts).to_pandas()


def to_frames(kg: "KnowledgeGraph") -> dict[str, pd.DataFrame]:
    """The graph as pandas frames.

    Returns
    -------
    dict of str to DataFrame
        ``interactions``, ``users``, ``items``, ``facts`` and one frame for each further label, by its name,
        with the columns that `from_frames` takes: ``from_frames(**to_frames(kg))`` is the same graph (for
        labels of users and items other than User and Item pass these too). What RDF noted on a property, such as
        its language, is in the frame's ``attrs["notes"]``.
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
        notes = {field.name: Note.of(field).metadata() for field in table.properties.schema}
        if any(notes.values()):
            frame.attrs[NOTES] = {key: note for key, note in notes.items() if note}
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


def add_interactions(builder: GraphBuilder, table: pl.DataFrame, what: str = INTERACTIONS) -> pl.Series:
    """Add a table of interactions, called `what` in messages; returns the ids of its items."""
    optional = (WEIGHT, TIMESTAMP, EVENT_ID)
    ignored = check_columns(table, what, (USER_ID, ITEM_ID), optional, open_ended=False)
    if ignored:
        log.info("%s: ignored the columns %s; what counts is called %s", what, ", ".join(ignored), WEIGHT)
    users, items = (as_ids(table[column], what) for column in (USER_ID, ITEM_ID))
    weight = as_numbers(table[WEIGHT], what, required=True) if WEIGHT in table.columns else None
    time = as_seconds(table[TIMESTAMP], what) if TIMESTAMP in table.columns else None
    builder.add_interactions(users, items, weight, time)
    return items.unique()


def add_nodes(
    builder: GraphBuilder,
    label: str,
    table: pl.DataFrame,
    what: str,
    key: str,
    texts: pl.Series | None = None,
    names: pl.Series | None = None,
    notes: Mapping[str, Mapping[str, str]] | None = None,
) -> pl.Series:
    """Add a table of nodes whose ids are the column `key`; returns the ids."""
    check_columns(table, what, (key,), open_ended=True)
    if key != ID and ID in table.columns:
        raise DataError(f"{what}: a property cannot be called {ID!r}; rename the column")
    if names is None and NAME in table.columns:
        names = as_strings(table[NAME], what)
    if texts is None and TEXT in table.columns:
        texts = as_strings(table[TEXT], what)
    ids = as_ids(table[key], what)
    properties = [as_property(table[c], what) for c in table.columns if c not in (key, NAME, TEXT)]
    builder.add_nodes(label, ids, names, texts, pl.DataFrame(properties) if properties else None, notes)
    return ids.unique()


def add_items(
    builder: GraphBuilder,
    table: pl.DataFrame,
    text: str | Sequence[str] | None = None,
    what: str = ITEMS,
    notes: Mapping[str, Mapping[str, str]] | None = None,
) -> pl.Series:
    """Add a table of items, whose texts are given or composed; returns their ids."""
    check_columns(table, what, (ITEM_ID,), open_ended=True)
    known = [c for c in table.columns if c not in (ITEM_ID, ID)]
    frame = pl.DataFrame(
        [
            as_ids(table[ITEM_ID], what),
            *(as_strings(table[c], what) if c == NAME else as_property(table[c], what) for c in known),
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
    names = frame[name] if name else None
    return add_nodes(builder, builder.item_label, table, what, ITEM_ID, texts, names, notes)


def add_fact_columns(
    builder: GraphBuilder, table: pl.DataFrame, columns: Sequence[str], what: str = ITEMS
) -> None:
    """Add the facts that columns of the item table hold, and the entities they name."""
    for column in columns:
        frame = _facts_of(table, column, what)
        label, tails = _label_of(column), frame[TAIL_ID].unique(maintain_order=True)
        builder.add_nodes(label, tails, tails)
        builder.add_facts(column.upper(), frame[HEAD_ID], frame[TAIL_ID], builder.item_label, label)


def _facts_of(table: pl.DataFrame, column: str, what: str) -> pl.DataFrame:
    """head_id, tail_id of the facts in one column, a value or a list a row."""
    frame = pl.DataFrame({HEAD_ID: as_ids(table[ITEM_ID], what), TAIL_ID: table[column]})
    if isinstance(frame.schema[TAIL_ID], (pl.List, pl.Array)):
        frame = frame.explode(TAIL_ID)
    tails = as_ids(frame[TAIL_ID].alias(column), what, required=False)
    return frame.with_columns(tails.alias(TAIL_ID)).filter(pl.col(TAIL_ID) != "")


def _label_of(column: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in column.split("_"))


def _split(table: pl.DataFrame, columns: Sequence[str], split: str | None) -> pl.DataFrame:
    if split is None:
        return table
    strings = [c for c in columns if table.schema[c] == pl.String]
    parts = pl.element().str.strip_chars()
    return table.with_columns(pl.col(strings).str.split(split).list.eval(parts.filter(parts != "")))


def add_facts(
    builder: GraphBuilder, table: pl.DataFrame, known: Mapping[str, list[pl.Series]], what: str = FACTS
) -> None:
    """Add a table of facts; `known` has the ids of each label, for ends without one."""
    optional = (HEAD_LABEL, TAIL_LABEL, TAIL_NAME, WEIGHT, TIMESTAMP)
    ignored = check_columns(table, what, (HEAD_ID, RELATION, TAIL_ID), optional, open_ended=False)
    if ignored:
        log.info("%s: ignored the columns %s", what, ", ".join(ignored))
    nodes = {label: set().union(*parts) for label, parts in known.items()}
    ends = label_ends(
        table,
        what,
        nodes,
        lambda label, ids: nodes[label],
        user_label=builder.user_label,
        item_label=builder.item_label,
    )
    if TAIL_NAME in table.columns:
        named = pl.DataFrame(
            [ends[TAIL_LABEL].alias("label"), ends[TAIL_ID], as_strings(table[TAIL_NAME], what)]
        )
        for (label,), group in named.drop_nulls(TAIL_NAME).group_by("label", maintain_order=True):
            builder.add_nodes(str(label), group[TAIL_ID], group[TAIL_NAME])
    builder.add_facts(
        as_ids(table[RELATION], what),
        ends[HEAD_ID],
        ends[TAIL_ID],
        ends[HEAD_LABEL],
        ends[TAIL_LABEL],
        as_numbers(table[WEIGHT], what, required=False) if WEIGHT in table.columns else None,
        as_seconds(table[TIMESTAMP], what) if TIMESTAMP in table.columns else None,
    )
