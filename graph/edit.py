"""A snapshot with something taken out: again a snapshot, in the canonical order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .knowledge_graph import Facts, Interactions, KnowledgeGraph, NodeTable
from .merging import carry_matrices
from .vocabulary import Vocabulary

BoolArray = npt.NDArray[np.bool_]


def without_nodes(kg: KnowledgeGraph, label: str, ids: Sequence[str]) -> KnowledgeGraph:
    """The graph without some nodes of a label, their interactions and their facts.

    Raises
    ------
    UnknownIdError
        If the label or an id is not there.
    """
    table = kg.table(label)
    keep = np.ones(kg.n_nodes, dtype=bool)
    keep[kg.slice(label).start + table.vocabulary.index(list(ids))] = False
    tables = []
    for part in kg.tables:
        own = keep[kg.slice(part.label)]
        tables.append(part if own.all() else _rows(part, own))
    place = np.cumsum(keep) - 1
    items = slice(kg.n_users, kg.n_users + kg.n_items)
    inter = kg.interactions
    kept = keep[inter.user] & keep[items][inter.item]
    interactions = _interactions(inter, kept)
    user_place, item_place = np.cumsum(keep[: kg.n_users]) - 1, np.cumsum(keep[items]) - 1
    interactions = replace(
        interactions,
        user=_frozen(user_place[interactions.user], np.int32),
        item=_frozen(item_place[interactions.item], np.int32),
    )
    facts = []
    for triples in kg.facts:
        left = _facts(triples, keep[triples.head] & keep[triples.tail])
        head, tail = _frozen(place[left.head], np.int32), _frozen(place[left.tail], np.int32)
        facts.append(replace(left, head=head, tail=tail))
    # A label without nodes is none, but for those of users and items.
    tables = [part for index, part in enumerate(tables) if index < 2 or len(part)]
    return KnowledgeGraph(tuple(tables), interactions, tuple(part for part in facts if len(part)))


def with_user_rows(
    kg: KnowledgeGraph,
    users: Sequence[str],
    counts: npt.NDArray[np.int64],
    items: npt.NDArray[Any],
    weight: npt.NDArray[Any],
    timestamp: npt.NDArray[Any],
) -> KnowledgeGraph:
    """The graph with all interactions of some users replaced; an unknown user becomes a node without a name.

    Parameters
    ----------
    kg
        The graph.
    users
        External ids, each once.
    counts
        How many interactions each of them has now.
    items, weight, timestamp
        These interactions, the first user's first: item by index, signed weight, seconds since 1970 or NaN.
    """
    known = kg.users.vocabulary
    new = sorted(user for user in users if user not in known)
    if new:
        kg = _with_users(kg, new)
    index = kg.users.vocabulary.index(list(users)).astype(np.int64)
    inter = kg.interactions
    mine = np.zeros(kg.n_users, dtype=bool)
    mine[index] = True
    kept = ~mine[inter.user]
    before = np.full(len(inter), np.nan) if inter.timestamp is None else inter.timestamp
    user = np.concatenate((inter.user[kept], np.repeat(index, counts)))
    item = np.concatenate((inter.item[kept], items))
    order = np.argsort(user * kg.n_items + item, kind="stable")
    stamps = np.concatenate((before[kept], timestamp))[order]
    interactions = Interactions(
        user=_frozen(user[order], np.int32),
        item=_frozen(item[order], np.int32),
        weight=_frozen(np.concatenate((inter.weight[kept], weight))[order], np.float32),
        timestamp=None if np.isnan(stamps).all() else _frozen(stamps, np.float64),
    )
    changed = replace(kg, interactions=interactions)
    if "item_facts" in kg._cache:
        changed._cache["item_facts"] = kg._cache["item_facts"]
    return changed


def _with_users(kg: KnowledgeGraph, new: list[str]) -> KnowledgeGraph:
    table = kg.users
    ids = np.concatenate((table.vocabulary.ids, np.array(new, dtype=object)))
    order = np.argsort(ids, kind="stable")
    rows = pa.array([None if row >= len(table) else row for row in order.tolist()], type=pa.int64())
    users = NodeTable(
        label=table.label,
        vocabulary=Vocabulary(ids[order].tolist(), table.vocabulary.kind),
        names=table.names.take(rows),
        texts=table.texts.take(rows),
        properties=table.properties.take(rows).combine_chunks()
        if table.properties.num_columns
        else table.properties,
    )
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    place = np.concatenate((place[: len(table)], np.arange(kg.n_users, kg.n_nodes) + len(new)))
    inter = replace(kg.interactions, user=_frozen(place[kg.interactions.user], np.int32))
    # The new users stand between the old ones, whose order and so that of the facts stays.
    facts = (
        replace(part, head=_frozen(place[part.head], np.int32), tail=_frozen(place[part.tail], np.int32))
        for part in kg.facts
    )
    return KnowledgeGraph((users, *kg.tables[1:]), inter, tuple(facts))


def without_interactions(kg: KnowledgeGraph, users: Sequence[str], items: Sequence[str]) -> KnowledgeGraph:
    """The graph without the interactions of some (user, item) pairs; a pair that is not there is passed over.

    Raises
    ------
    UnknownIdError
        If a user or an item is not there.
    """
    user, item = kg.users.vocabulary.index(list(users)), kg.items.vocabulary.index(list(items))
    gone = user.astype(np.int64) * kg.n_items + item
    inter = kg.interactions
    kept = ~np.isin(inter.user.astype(np.int64) * kg.n_items + inter.item, gone)
    return replace(kg, interactions=_interactions(inter, kept))


def without_facts(
    kg: KnowledgeGraph, relation: str, heads: npt.NDArray[np.int64], tails: npt.NDArray[np.int64]
) -> KnowledgeGraph:
    """The graph without some triples of a relation, given as nodes of the node space; missing ones are passed over.

    Raises
    ------
    UnknownIdError
        If there is no such relation.
    """
    wanted = kg.relation(relation)
    pairs = wanted.head.astype(np.int64) * kg.n_nodes + wanted.tail
    left = _facts(wanted, ~np.isin(pairs, heads * kg.n_nodes + tails))
    facts = (left if part.relation == relation else part for part in kg.facts)
    changed = replace(kg, facts=tuple(part for part in facts if len(part)))
    carry_matrices(kg, changed)
    return changed


def _rows(table: NodeTable, keep: BoolArray) -> NodeTable:
    mask = pa.array(keep)
    return NodeTable(
        label=table.label,
        vocabulary=Vocabulary(table.vocabulary.ids[keep].tolist(), table.vocabulary.kind),
        names=table.names.filter(mask),
        texts=table.texts.filter(mask),
        properties=_combined(table.properties.filter(mask))
        if table.properties.num_columns
        else table.properties,
    )


def _combined(table: pa.Table) -> pa.Table:
    """Without columns that hold nothing any more: a property that no node has is none."""
    used = [name for name in table.column_names if table[name].null_count < len(table)]
    return table.select(used).combine_chunks()


def _interactions(inter: Interactions, keep: BoolArray) -> Interactions:
    stamps = None if inter.timestamp is None else inter.timestamp[keep]
    return Interactions(
        user=_frozen(inter.user[keep], np.int32),
        item=_frozen(inter.item[keep], np.int32),
        weight=_frozen(inter.weight[keep], np.float32),
        timestamp=None if stamps is None or np.isnan(stamps).all() else _frozen(stamps, np.float64),
    )


def _facts(facts: Facts, keep: BoolArray) -> Facts:
    weight, stamps = facts.weight, facts.timestamp
    return Facts(
        relation=facts.relation,
        head=_frozen(facts.head[keep], np.int32),
        tail=_frozen(facts.tail[keep], np.int32),
        weight=None if weight is None else _frozen(weight[keep], np.float32),
        timestamp=None
        if stamps is None or np.isnan(stamps[keep]).all()
        else _frozen(stamps[keep], np.float64),
    )


def _frozen(array: npt.NDArray[Any], dtype: Any) -> Any:
    array = np.ascontiguousarray(array, dtype=dtype)
    array.flags.writeable = False
    return array
