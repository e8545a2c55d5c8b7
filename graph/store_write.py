"""A `KnowledgeGraph` into a store: batches of rows as parameters, nodes and relationships never twice."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from .bolt import Bolt
from .columns import EVENT_ID, ID, INTERACTED, NAME, TEXT, TIMESTAMP, WEIGHT
from .errors import DataError
from .knowledge_graph import KnowledgeGraph, NodeTable
from .progress import bar
from .relation_names import stored_labels, stored_relations
from .store_catalogue import labels_in, types_in
from .store_notes import read_notes, write_notes

_NODES = 5_000
_RELATIONSHIPS = 10_000
_MERGE_AT_MOST = 2_000
"""More than these are compared with what ArcadeDB holds first: its MERGE of a relationship takes 0.4 ms."""

_ENDS = ["head", "tail"]


def write_graph(bolt: Bolt, kg: KnowledgeGraph) -> None:
    """Store everything a graph holds; what is there already is found by label and id and updated."""
    for table in kg.tables:
        _check_properties(bolt, table)
    types = types_in(bolt)
    labels = stored_labels(kg.labels, {*types, INTERACTED} if bolt.arcadedb else ())
    taken = {*labels_in(bolt), *labels.values()} if bolt.arcadedb else set()
    relations = stored_relations(kg.relations, taken)
    for relation in kg.relations:
        bolt.quote(relations[relation], "relation")
    quoted = [bolt.quote(labels[label], "label") for label in kg.labels]

    for label in quoted:
        bolt.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{label}) REQUIRE n.{ID} IS UNIQUE")
    notes = read_notes(bolt)
    for table in kg.tables:
        write_notes(bolt, table, labels[table.label], notes)
    with bar(total=kg.n_nodes, desc="writing nodes", unit="node") as progress:
        for table, label in zip(kg.tables, quoted, strict=True):
            query = f"UNWIND $rows AS row MERGE (n:{label} {{{ID}: row[0]}}) SET n += row[1]"
            for rows in _chunks(node_rows(table), _NODES):
                bolt.change(query, rows)
                progress.update(len(rows))
    with bar(total=kg.n_interactions + kg.n_facts, desc="writing relationships", unit="edge") as progress:
        for stored, frame in _relationships(kg, relations):
            for (head_label, tail_label), group in frame.group_by("head_label", "tail_label"):
                pattern = (quoted[int(head_label)], bolt.quote(stored, "relation"), quoted[int(tail_label)])
                _write_relationships(bolt, pattern, group, stored in types, progress)


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def _check_properties(bolt: Bolt, table: NodeTable) -> None:
    for column in table.properties.schema:
        inner = column.type.value_type if pa.types.is_list(column.type) else column.type
        if pa.types.is_nested(inner) or pa.types.is_decimal(inner) or pa.types.is_duration(inner):
            raise DataError(
                f"property {column.name!r} of {table.label} has values of type {column.type}, which a store "
                "cannot hold; make it a string, number, boolean, time or a list of these"
            )
        if inner is not column.type and table.properties[column.name].combine_chunks().flatten().null_count:
            raise DataError(
                f"property {column.name!r} of {table.label} has a list with a null in it; drop the null"
            )
        if not column.name or (bolt.arcadedb and column.name.startswith("@")):
            raise DataError(
                f"property {column.name!r} of {table.label} has a name the store keeps for itself; rename it"
            )


def node_rows(table: NodeTable) -> Iterator[list[Any]]:
    """Id, and name, text and properties by name, of each node."""
    keys = [NAME, TEXT, *table.properties.column_names]
    columns = [table.names.to_pylist(), table.texts.to_pylist()]
    for column in table.properties.columns:
        if pa.types.is_timestamp(column.type) and column.type.tz:
            # ArcadeDB 26.10 reads the hour of another zone back as one of UTC.
            column = column.cast(pa.timestamp("us", "UTC"))
        columns.append(column.to_pylist())
    for id_, *values in zip(table.vocabulary.ids, *columns, strict=True):
        yield [id_, {key: value for key, value in zip(keys, values, strict=True) if value is not None}]


def _relationships(kg: KnowledgeGraph, relations: dict[str, str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Relationship type, and its rows with the labels as numbers of tables and the ends as external ids."""
    if kg.n_interactions:
        inter = kg.interactions
        yield INTERACTED, _frame(kg, inter.user, inter.item + kg.n_users, inter.weight, inter.timestamp)
    for facts in kg.facts:
        yield relations[facts.relation], _frame(kg, facts.head, facts.tail, facts.weight, facts.timestamp)


def _frame(kg: KnowledgeGraph, head: Any, tail: Any, weight: Any, timestamp: Any) -> pl.DataFrame:
    columns = {}
    for end, nodes in (("head", head), ("tail", tail)):
        label = np.searchsorted(kg.offsets, nodes, side="right") - 1
        ids = np.empty(len(nodes), dtype=object)
        for index in np.unique(label):
            of = label == index
            ids[of] = kg.tables[index].vocabulary.ids[nodes[of] - kg.offsets[index]]
        columns[end + "_label"] = pl.Series(label)
        columns[end] = pl.Series(ids.tolist(), dtype=pl.String)
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(head))
    for name, values in ((WEIGHT, weight), (TIMESTAMP, timestamp)):
        columns[name] = nothing if values is None else pl.Series(values).cast(pl.Float64).fill_nan(None)
    return pl.DataFrame(columns)


def _write_relationships(
    bolt: Bolt, pattern: tuple[str, str, str], frame: pl.DataFrame, exists: bool, progress: Any
) -> None:
    head, type_, tail = pattern
    # WHERE, since ArcadeDB 26.10 takes the value "$rows" in MATCH (h {id: row[0]}) for the parameter.
    find = (
        f"UNWIND $rows AS row MATCH (h:{head}) WHERE h.{ID} = row[0] MATCH (t:{tail}) WHERE t.{ID} = row[1]"
    )
    used = [
        (name, i) for i, name in enumerate((WEIGHT, TIMESTAMP), 2) if frame[name].null_count() < len(frame)
    ]
    create = f"{find} CREATE (h)-[:{type_} {{{', '.join(f'{name}: row[{i}]' for name, i in used)}}}]->(t)"
    merge = f"{find} MERGE (h)-[r:{type_}]->(t) SET r.{WEIGHT} = row[2], r.{TIMESTAMP} = row[3], r.{EVENT_ID} = null"
    frame = frame.select(*_ENDS, WEIGHT, TIMESTAMP)
    if not exists:
        parts = [(create, frame)]
    elif len(frame) <= _MERGE_AT_MOST or not bolt.arcadedb:
        parts = [(merge, frame)]
    else:
        there = _existing(bolt, pattern)
        new = frame.join(there, on=_ENDS, how="anti")
        changed = frame.join(there, on=frame.columns, how="anti", nulls_equal=True)
        changed = changed.join(there, on=_ENDS, how="semi")
        progress.update(len(frame) - len(new) - len(changed))
        parts = [(create, new), (merge, changed)]
    for query, rows in parts:
        for chunk in _chunks(rows.iter_rows(), _RELATIONSHIPS):
            bolt.change(query, [list(row) for row in chunk])
            progress.update(len(chunk))


def _existing(bolt: Bolt, pattern: tuple[str, str, str]) -> pl.DataFrame:
    head, type_, tail = pattern
    rows = bolt.run(
        f"MATCH (h:{head})-[r:{type_}]->(t:{tail}) "
        f"RETURN h.{ID}, collect([t.{ID}, r.{WEIGHT}, r.{TIMESTAMP}])"
    )
    schema = {"head": pl.String, "tail": pl.String, WEIGHT: pl.Float64, TIMESTAMP: pl.Float64}
    return pl.DataFrame(
        [(head_id, *edge) for head_id, edges in rows for edge in edges], schema=schema, orient="row"
    )
