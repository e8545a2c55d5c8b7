"""Changes of items, facts and users of a fitted recommender: the next answer knows them, nothing is trained.

The graph is merged with the change and stays canonical; what is computed from it (walks through facts, text, facts)
follows exactly; what was learned from likes (walks through users, closed forms, SVD, GNN, weights) is kept, and a new
item enters it by its text and facts. Interactions come by a shorter way, see `kgenre.hybrid.standing`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import (
    HEAD_ID,
    HEAD_LABEL,
    ITEM_ID,
    NAME,
    RELATION,
    TAIL_ID,
    TAIL_LABEL,
)
from kgenre.graph.edit import without_facts
from kgenre.graph.errors import DataError, did_you_mean
from kgenre.graph.fact_ends import labelled as labelled
from kgenre.graph.knowledge_graph import NodeTable
from kgenre.graph.merging import moved_columns
from kgenre.graph.tables import to_polars

from .data import SignalData
from .events import Event
from .signals.base import Moves, Since
from .signals.words import carry_words
from .spoken import spoken
from .state import Likes, ModelState, histories_of, union
from .texts import text_vectors


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


def _tails(kg: KnowledgeGraph, relation: str) -> tuple[str, dict[str, str]]:
    """Label of a relation's tails, and ids of the label's nodes by id and by name."""
    table, _ = kg.locate(int(kg.relation(relation).tail[0]))
    ids = table.vocabulary.ids.tolist()
    by_name = {name: key for name, key in zip(table.names.to_pylist(), ids, strict=True) if name}
    return table.label, by_name | {key: key for key in ids}


def changed(state: ModelState, kg: KnowledgeGraph, encoder: TextEncoder, whole: bool = False) -> ModelState:
    """The state after the graph has become another one.

    A function of what the signals have learned and of the new graph: however the graph came to be, in one step or in
    many, the state is the same. An item that was removed is one that was never learned when it comes back.

    Parameters
    ----------
    state
        The state before.
    kg
        The graph of now.
    encoder
        Encodes texts that are new.
    whole
        Whether to look at all of the graph, and not only at what has changed; the state is the same.
    """
    before, drift = state.kg, state.drift
    moves = _moves(before, kg)
    # Whoever interacted with whatever still does, and nobody has come or gone.
    same = not whole and kg.users is before.users and _same_interactions(before, kg)
    users = np.arange(kg.n_users) if kg.users is before.users else _places(before.users, kg)
    gone = int((users < 0).sum())
    same_likes = gone == 0 and _nobody_learned(drift.tables, moves.items)
    if not whole:
        data_before = _data(state, encoder)
        moves = replace(moves, since=Since(data_before, moves.items, same_likes))
    # An item that came after the signals learned is a new one at every change: it has no learned rows.
    new = {"table": drift.new_to_tables, "weights": drift.new_to_weights}
    unlearned = {
        learns: moves if fresh is None else replace(moves, items=np.where(fresh, -1, moves.items))
        for learns, fresh in new.items()
    } | {"nothing": moves}
    carried = {id(before.likes): kg.likes, id(before.seen): kg.seen} if same else {}
    tables = _moved_likes(drift.tables, kg, moves.items, carried)
    weights = (
        tables if drift.weights is drift.tables else _moved_likes(drift.weights, kg, moves.items, carried)
    )
    texts = text_vectors(kg, encoder, state.signals, None if whole else before)
    data = SignalData.from_graph(kg, *texts).having_learned(tables.matrix)
    if moves.since is not None:
        carry_words(moves.since.data, data, moves.items)
    if moves.since is not None and same_likes:
        assert data.learned is not None
        data.learned.__dict__["item_degree"] = moves.rows_of(moves.since.data.as_learned.item_degree)
    # What was not to be recommended though nobody interacted with it; what was interacted with is in the graph.
    if same:
        seen, histories = (
            carried[id(matrix)] if id(matrix) in carried else moved_columns(matrix, moves.items, kg.n_items)
            for matrix in (state.seen, state.histories)
        )
    else:
        extra = sparse.csr_matrix(state.seen - state.seen.multiply(before.seen))
        extra.eliminate_zeros()
        seen = union(_moved(extra, users, moves.items, (kg.n_users, kg.n_items)), kg.seen)
        histories = histories_of(kg, state.config.history_half_life_days)
    events = {
        user: {item: event for item, event in own.items() if item in kg.items.vocabulary}
        for user, own in drift.events.items()
        if user in kg.users.vocabulary
    }
    moved = replace(
        state,
        kg=kg,
        signals=tuple(signal.extend(data, unlearned[signal.learns]) for signal in state.signals),
        histories=histories,
        seen=seen,
        cold=None if state.cold is None else moves.rows_of(state.cold, fill=True),
        drift=replace(
            drift,
            tables=tables,
            weights=weights,
            new_to_tables=_still_new(drift.new_to_tables, moves),
            new_to_weights=_still_new(drift.new_to_weights, moves),
            events={user: own for user, own in events.items() if own},
            settled={user: own for user, own in drift.settled.items() if user in kg.users.vocabulary},
            forgotten=(drift.forgotten[0] + gone, drift.forgotten[1] + gone),
        ),
    )
    _keep(moved, data, encoder)
    return spoken(moved, encoder)


_DATA = "data of the signals"
_SMALL = ("fact_features", "unit_texts", "words")
"""What is worth keeping of what was computed of the data."""


def _data(state: ModelState, encoder: TextEncoder) -> SignalData:
    """What the signals of a state stand on, kept with its graph."""
    kept = state.kg._cache.get(_DATA)
    if kept is None or kept[0] != _made_of(state, encoder) or kept[1] is not state.drift.tables.matrix:
        data = SignalData.from_graph(state.kg, *text_vectors(state.kg, encoder, state.signals))
        kept = _keep(state, data.having_learned(state.drift.tables.matrix), encoder)
    found: SignalData = kept[2]
    return found


def _keep(state: ModelState, data: SignalData, encoder: TextEncoder) -> tuple[Any, ...]:
    likes = state.drift.tables.matrix
    light = replace(data, learned=None).having_learned(likes)
    # One dictionary, which the data with the learned likes shares.
    light._knowledge.update((key, data._knowledge[key]) for key in _SMALL if key in data._knowledge)
    state.kg._cache[_DATA] = kept = _made_of(state, encoder), likes, light
    return kept


def _made_of(state: ModelState, encoder: TextEncoder) -> tuple[Any, ...]:
    """What data of one graph can differ by: whose vectors they hold, and of which texts."""
    return encoder, {signal.reads for signal in state.signals}


def _same_interactions(before: KnowledgeGraph, after: KnowledgeGraph) -> bool:
    one, two = before.interactions, after.interactions
    return one.user is two.user and one.weight is two.weight and one.timestamp is two.timestamp


def _nobody_learned(likes: Likes, items: np.ndarray[Any, np.dtype[np.int64]]) -> bool:
    """Whether nobody of whom something was learned liked an item that is gone."""
    return bool((items >= 0).all()) or not bool((items[likes.matrix.indices] < 0).any())


def still_standing(state: ModelState, kg: KnowledgeGraph) -> ModelState:
    """The state without the events that a graph, which others wrote, no longer agrees with."""
    users, items, inter = kg.users.vocabulary, kg.items.vocabulary, kg.interactions
    stamps = np.full(len(inter), np.nan) if inter.timestamp is None else inter.timestamp
    keys = inter.user.astype(np.int64) * max(kg.n_items, 1) + inter.item

    def stands(event: Event) -> bool:
        if event.user not in users or event.item not in items:
            return False
        key = users.get(event.user) * kg.n_items + items.get(event.item)
        place = int(np.searchsorted(keys, key))
        if place == len(keys) or keys[place] != key:
            return event.weight == 0
        return float(stamps[place]) == event.timestamp and np.float32(event.weight) == inter.weight[place]

    events = {
        user: {item: event for item, event in own.items() if stands(event)}
        for user, own in state.drift.events.items()
    }
    kept = {user: own for user, own in events.items() if own}
    return replace(state, drift=replace(state.drift, events=kept))


def _still_new(
    fresh: np.ndarray[Any, np.dtype[np.bool_]] | None, moves: Moves
) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    new = moves.rows_of(np.zeros(len(moves.items), dtype=bool) if fresh is None else fresh, fill=True)
    return new if new.any() else None


def _moved_likes(
    likes: Likes,
    kg: KnowledgeGraph,
    items: np.ndarray[Any, np.dtype[np.int64]],
    carried: Mapping[int, sparse.csr_matrix],
) -> Likes:
    """Learned likes without those of users and items that are gone; `carried` are matrices that have moved already."""
    if (moved := carried.get(id(likes.matrix))) is not None:
        return Likes(likes.users, moved)
    here = kg.users.vocabulary.find(likes.users) >= 0
    if here.all() and (items >= 0).all():
        return Likes(likes.users, moved_columns(likes.matrix, items, kg.n_items))
    kept = np.flatnonzero(here)
    rows = np.full(len(likes.users), -1, dtype=np.int64)
    rows[kept] = np.arange(len(kept))
    return Likes(likes.users[kept], _moved(likes.matrix, rows, items, (len(kept), kg.n_items)))


def _moves(before: KnowledgeGraph, after: KnowledgeGraph) -> Moves:
    nodes = np.full(before.n_nodes, -1, dtype=np.int64)
    for table in before.tables:
        if table.label not in after.labels:
            continue
        found = _places(table, after)
        nodes[before.slice(table.label)] = np.where(found >= 0, found + after.slice(table.label).start, -1)
    own = nodes[before.n_users : before.n_users + before.n_items]
    return Moves(np.where(own >= 0, own - after.n_users, -1), nodes, after.n_items)


def _places(table: NodeTable, after: KnowledgeGraph) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each node of a table is in the table of that label now; -1 where it is gone."""
    vocabulary = after.table(table.label).vocabulary
    if vocabulary is table.vocabulary:
        return np.arange(len(table), dtype=np.int64)
    return vocabulary.find(table.vocabulary.ids).astype(np.int64)


def _moved(
    matrix: sparse.csr_matrix,
    users: np.ndarray[Any, np.dtype[np.int64]],
    items: np.ndarray[Any, np.dtype[np.int64]],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    before = matrix.tocoo()
    row, column = users[before.row], items[before.col]
    kept = (row >= 0) & (column >= 0)
    moved = sparse.csr_matrix((np.ones(int(kept.sum()), np.float32), (row[kept], column[kept])), shape=shape)
    moved.sort_indices()
    return moved
