"""Changes to a fitted recommender: the next answer knows them, nothing is trained.

Each function takes the immutable state and gives a new one. The graph is merged with the change and stays canonical;
histories and what is computed from the graph (popularity, walks, text, facts) follow exactly; what was learned (closed
forms, SVD, GNN, weights) is kept, and a new item enters it by its text and facts.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import (
    ENTITY,
    HEAD_ID,
    HEAD_LABEL,
    ITEM_ID,
    NAME,
    RELATION,
    TAIL_ID,
    TAIL_LABEL,
    TIMESTAMP,
)
from kgenre.graph.edit import without_facts
from kgenre.graph.errors import DataError, did_you_mean
from kgenre.graph.tables import to_polars

from .data import SignalData
from .fitting import encode_texts
from .signals.base import Moves
from .state import ModelState, signed, union


def interactions_delta(kg: KnowledgeGraph, frame: Any) -> KnowledgeGraph:
    """The change that new interactions are; every item must be known.

    Raises
    ------
    DataError
        If a column is missing or an item is unknown.
    """
    delta = KnowledgeGraph.from_frames(frame)
    for item in delta.items.vocabulary:
        if item not in kg.items.vocabulary:
            raise DataError(
                f"interaction with unknown item {item!r}{did_you_mean(item, kg.items.vocabulary.ids)}; add it first "
                "with add_items"
            )
    return delta


def stamped(kg: KnowledgeGraph, frame: Any) -> pl.DataFrame:
    """The frame, with the present time where the graph keeps times and a row has none."""
    table = to_polars(frame, "interactions")
    if kg.interactions.timestamp is None:
        return table
    now = pl.lit(time.time())
    if TIMESTAMP not in table.columns:
        return table.with_columns(now.alias(TIMESTAMP))
    return (
        table.with_columns(pl.col(TIMESTAMP).fill_null(now)) if table[TIMESTAMP].dtype.is_numeric() else table
    )


def without(kg: KnowledgeGraph, facts: pl.DataFrame) -> KnowledgeGraph:
    """The graph without some facts, given with the labels of their ends."""
    for (relation,), part in facts.group_by(RELATION):
        ends = []
        for end, label in ((HEAD_ID, HEAD_LABEL), (TAIL_ID, TAIL_LABEL)):
            nodes = np.full(len(part), -1, dtype=np.int64)
            for row, (key, name) in enumerate(part.select(end, label).rows()):
                if name in kg.labels:
                    found = int(kg.table(name).vocabulary.find([key])[0])
                    nodes[row] = found + kg.slice(name).start if found >= 0 else -1
            ends.append(nodes)
        there = (ends[0] >= 0) & (ends[1] >= 0)
        kg = without_facts(kg, str(relation), ends[0][there], ends[1][there])
    return kg


def items_delta(kg: KnowledgeGraph, frame: Any) -> KnowledgeGraph:
    """The change that new items are: a column called as a relation holds facts, any other a property.

    A fact's entity is the node of that id or name among the relation's tails, else a new node.
    """
    table = to_polars(frame, "items")
    if ITEM_ID not in table.columns:
        raise DataError(f"items have no column {ITEM_ID!r}{did_you_mean(ITEM_ID, table.columns)}")
    by_name = {name.casefold(): name for name in kg.relations}
    relations = {
        column: by_name[column.casefold()] for column in table.columns if column.casefold() in by_name
    }
    rows: list[dict[str, str]] = []
    named: dict[str, dict[str, str]] = {}
    for column, relation in relations.items():
        label, known = _tails(kg, relation)
        for item, value in zip(table[ITEM_ID].to_list(), table[column].to_list(), strict=True):
            for entity in value if isinstance(value, list) else [value]:
                if entity is None or entity == "":
                    continue
                tail = known.get(str(entity), str(entity))
                if tail == str(entity) and str(entity) not in known:
                    named.setdefault(label, {})[tail] = tail
                rows.append(
                    {
                        HEAD_ID: str(item),
                        HEAD_LABEL: kg.items.label,
                        RELATION: relation,
                        TAIL_ID: tail,
                        TAIL_LABEL: label,
                    }
                )
    entities = {
        label: pl.DataFrame({"id": list(names), NAME: list(names.values())})
        for label, names in named.items()
        if label != kg.items.label
    }
    return KnowledgeGraph.from_frames(
        items=table.drop(list(relations)), facts=pl.DataFrame(rows) if rows else None, **entities
    )


def facts_delta(kg: KnowledgeGraph, frame: Any) -> KnowledgeGraph:
    """The change that new facts are; an end without a label is the item of that id, else a node of the graph."""
    return KnowledgeGraph.from_frames(facts=labelled(kg, frame))


def labelled(kg: KnowledgeGraph, frame: Any) -> pl.DataFrame:
    """Facts with the labels of their heads and tails filled in from the graph."""
    table = to_polars(frame, "facts")
    for column in (HEAD_ID, RELATION, TAIL_ID):
        if column not in table.columns:
            raise DataError(f"facts have no column {column!r}{did_you_mean(column, table.columns)}")
    order = [kg.items, *kg.tables[2:], kg.users]
    for end, label in ((HEAD_ID, HEAD_LABEL), (TAIL_ID, TAIL_LABEL)):
        if label not in table.columns:
            ids = [str(key) for key in table[end].to_list()]
            found = [next((part.label for part in order if key in part.vocabulary), ENTITY) for key in ids]
            table = table.with_columns(pl.Series(end, ids), pl.Series(label, found))
    return table


def _tails(kg: KnowledgeGraph, relation: str) -> tuple[str, dict[str, str]]:
    """Label of a relation's tails, and ids of the label's nodes by id and by name."""
    table, _ = kg.locate(int(kg.relation(relation).tail[0]))
    ids = table.vocabulary.ids.tolist()
    by_name = {name: key for name, key in zip(table.names.to_pylist(), ids, strict=True) if name}
    return table.label, by_name | {key: key for key in ids}


def changed(state: ModelState, kg: KnowledgeGraph, encoder: TextEncoder) -> ModelState:
    """The state after the graph has become another one."""
    moves = _moves(state.kg, kg)
    data = SignalData.from_graph(kg, *encode_texts(kg, encoder))
    users = kg.users.vocabulary.find(state.kg.users.vocabulary.ids)
    seen = _moved(state.seen, users.astype(np.int64), moves.items, (kg.n_users, kg.n_items))
    return replace(
        state,
        kg=kg,
        signals=tuple(signal.extend(data, moves) for signal in state.signals),
        histories=signed(kg.likes, kg.dislikes),
        seen=union(seen, kg.seen),
        cold=None if state.cold is None else moves.rows_of(state.cold, fill=True),
    )


def _moves(before: KnowledgeGraph, after: KnowledgeGraph) -> Moves:
    nodes = np.full(before.n_nodes, -1, dtype=np.int64)
    for table in before.tables:
        if table.label not in after.labels:
            continue
        found = after.table(table.label).vocabulary.find(table.vocabulary.ids).astype(np.int64)
        nodes[before.slice(table.label)] = np.where(found >= 0, found + after.slice(table.label).start, -1)
    own = nodes[before.n_users : before.n_users + before.n_items]
    return Moves(np.where(own >= 0, own - after.n_users, -1), nodes, after.n_items)


def _moved(
    matrix: sparse.csr_matrix,
    users: np.ndarray[Any, np.dtype[np.int64]],
    items: np.ndarray[Any, np.dtype[np.int64]],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    before = matrix.nonzero()
    row, column = users[before[0]], items[before[1]]
    kept = (row >= 0) & (column >= 0)
    return sparse.csr_matrix((np.ones(int(kept.sum()), np.float32), (row[kept], column[kept])), shape=shape)
