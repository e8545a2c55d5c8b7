"""A store's interactions and facts, by relationship type or by a schema's Cypher queries."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from .bolt import Bolt, seconds
from .builder import GraphBuilder
from .columns import EVENT_ID, HEAD_ID, INTERACTED, ITEM_ID, TAIL_ID, TIMESTAMP, USER_ID, WEIGHT
from .errors import ConfigError, CypherError, DataError, did_you_mean
from .relation_names import relation_of
from .schema import FactSchema, GraphSchema, InteractionSchema
from .store_catalogue import quoted, require

log = logging.getLogger(__name__)


@dataclass
class Nodes:
    """The nodes read so far, by the engine's own id."""

    builder: GraphBuilder
    rows: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def of(self, label: str) -> set[str]:
        """The ids of a label."""
        return {id for id, of in zip(self.ids, self.labels, strict=True) if of == label}


def read_interactions(bolt: Bolt, schema: GraphSchema, types: Sequence[str], nodes: Nodes) -> None:
    """Add every kind of interaction; the weights of different kinds for the same pair add up."""
    frames = []
    for kind in schema.interactions:
        frame = (
            _by_type(bolt, schema, kind, types, nodes) if kind.type else _by_query(bolt, schema, kind, nodes)
        )
        frames.append(_weighed(frame, kind))
    if len(frames) > 1:
        frames = [_summed(frames)]
    (frame,) = frames
    if len(frame):
        nodes.builder.add_interactions(frame["user"], frame["item"], frame[WEIGHT], frame[TIMESTAMP])


def _frame(users: list[str], items: list[str], weight: Any, timestamp: Any) -> pl.DataFrame:
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(users))
    return pl.DataFrame(
        {
            "user": pl.Series(users, dtype=pl.String),
            "item": pl.Series(items, dtype=pl.String),
            WEIGHT: nothing if weight is None else weight,
            TIMESTAMP: nothing if timestamp is None else timestamp,
        }
    )


def _weighed(frame: pl.DataFrame, kind: InteractionSchema) -> pl.DataFrame:
    weight = pl.col(WEIGHT)
    if kind.threshold is not None:
        # Without a rating there is no opinion.
        opinion = pl.when(weight >= kind.threshold).then(1.0).otherwise(-1.0)
        weight = pl.when(weight.is_null()).then(0.0).otherwise(opinion)
    return frame.with_columns((weight.fill_null(1.0) * kind.factor).alias(WEIGHT))


def _summed(frames: list[pl.DataFrame]) -> pl.DataFrame:
    # Within a kind the latest counts, as everywhere.
    latest = [
        frame.sort(TIMESTAMP, nulls_last=False, maintain_order=True).unique(
            ["user", "item"], keep="last", maintain_order=True
        )
        for frame in frames
    ]
    both = pl.concat(latest)
    return both.group_by("user", "item", maintain_order=True).agg(
        pl.col(WEIGHT).sum(), pl.col(TIMESTAMP).max()
    )


def _by_query(bolt: Bolt, schema: GraphSchema, kind: InteractionSchema, nodes: Nodes) -> pl.DataFrame:
    ends = ((USER_ID, schema.user_label), (ITEM_ID, schema.item_label))
    return _answer(bolt, kind.query or "", "interactions query", ends, nodes)


def read_fact_query(bolt: Bolt, facts: FactSchema, nodes: Nodes) -> None:
    """Add the facts that a query returns."""
    ends = ((HEAD_ID, facts.head_label), (TAIL_ID, facts.tail_label))
    frame = _answer(bolt, facts.query, f"query for the facts {facts.relation!r}", ends, nodes)
    if len(frame):
        nodes.builder.add_facts(
            facts.relation,
            frame["user"],
            frame["item"],
            facts.head_label,
            facts.tail_label,
            frame[WEIGHT],
            frame[TIMESTAMP],
        )


def _answer(
    bolt: Bolt, query: str, what: str, ends: tuple[tuple[str, str], tuple[str, str]], nodes: Nodes
) -> pl.DataFrame:
    """What a schema's query returns, its ids those of nodes that were read."""
    try:
        columns, rows = bolt.table(query, {}, read_only=True)
    except CypherError as error:
        raise ConfigError(f"the {what} of the schema fails: {error}") from None
    names = tuple(name for name, _ in ends)
    if not set(names) <= set(columns) <= {*names, WEIGHT, TIMESTAMP}:
        raise ConfigError(
            f"the {what} returns {', '.join(columns) or 'nothing'}; it must return {', '.join(names)} and may "
            "return weight, timestamp"
        )
    column = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    ids = []
    for name, label in ends:
        values = [str(value) for value in column[name]]
        known = nodes.of(label)
        unknown = [value for value in values if value not in known]
        if unknown:
            raise ConfigError(
                f"the {what} returns {name} {unknown[0]!r}, which is no id of label {label!r} "
                f"({len(unknown)} of {len(values)} rows){did_you_mean(unknown[0], known)}"
            )
        ids.append(values)
    weight = _numbers(column[WEIGHT], WEIGHT) if WEIGHT in column else None
    timestamp = _numbers(column[TIMESTAMP], TIMESTAMP) if TIMESTAMP in column else None
    return _frame(ids[0], ids[1], weight, timestamp)


def _by_type(
    bolt: Bolt, schema: GraphSchema, kind: InteractionSchema, types: Sequence[str], nodes: Nodes
) -> pl.DataFrame:
    name = kind.type or ""
    if name not in types:
        # What `write` stored may hold no interactions.
        if schema.interactions != GraphSchema().interactions:
            require([name], types, "relationship type")
        return _frame([], [], None, None)
    edges = _read_edges(bolt, name, kind.weight, kind.timestamp, nodes)
    for setting, values in (("weight", edges.weight), ("timestamp", edges.timestamp)):
        if values is None and edges.heads and setting in kind.model_fields_set:
            _refuse_property(bolt, name, getattr(kind, setting))
    if kind.threshold is not None and edges.weight is None and edges.heads:
        _refuse_property(bolt, name, kind.weight)
    is_pair = [
        nodes.labels[head] == schema.user_label and nodes.labels[tail] == schema.item_label
        for head, tail in zip(edges.heads, edges.tails, strict=True)
    ]
    if not all(is_pair):
        odd = is_pair.index(False)
        raise ConfigError(
            f"{is_pair.count(False)} of {len(is_pair)} interactions are not "
            f"(:{schema.user_label})-[:{name}]->(:{schema.item_label}) but, for one, "
            f"(:{nodes.labels[edges.heads[odd]]})-[:{name}]->(:{nodes.labels[edges.tails[odd]]}); "
            "set user_label, item_label or an interactions query in the schema"
        )
    users, items = ([nodes.ids[end] for end in ends] for ends in (edges.heads, edges.tails))
    return _frame(users, items, edges.weight, edges.timestamp)


def _refuse_property(bolt: Bolt, type_: str, key: str) -> None:
    query = f"MATCH ()-[r:{quoted(bolt, type_)}]->() UNWIND keys(r) AS key RETURN DISTINCT key"
    keys = sorted(row[0] for row in bolt.run(query))
    raise ConfigError(
        f"no relationship of type {type_!r} has the property {key!r} that the schema names; they have "
        f"{', '.join(keys) or 'none'}{did_you_mean(key, keys)}"
    )


def read_facts(bolt: Bolt, stored: str, nodes: Nodes) -> None:
    """Add the facts of one relationship type."""
    edges = _read_edges(bolt, stored, WEIGHT, TIMESTAMP, nodes)
    if edges.heads:
        nodes.builder.add_facts(
            relation_of(stored),
            [nodes.ids[head] for head in edges.heads],
            [nodes.ids[tail] for tail in edges.tails],
            [nodes.labels[head] for head in edges.heads],
            [nodes.labels[tail] for tail in edges.tails],
            edges.weight,
            edges.timestamp,
        )


@dataclass
class _Edges:
    heads: list[int]
    tails: list[int]
    weight: pl.Series | None
    timestamp: pl.Series | None


def _read_edges(bolt: Bolt, stored: str, weight: str, timestamp: str, nodes: Nodes) -> _Edges:
    type_ = quoted(bolt, stored)
    of_weight, of_time = bolt.quote(weight, "property"), bolt.quote(timestamp, "property")
    # An event that took back what was said stays as a relationship, so that an older one does not revive it.
    standing = f"WHERE r.{EVENT_ID} IS NULL OR r.{WEIGHT} <> 0 " if stored == INTERACTED else ""
    # Collected by head, since the driver spends most of its time on rows; collect() would drop nulls.
    rows = bolt.table(
        f"MATCH (h)-[r:{type_}]->(t) {standing}RETURN elementId(h), collect(elementId(t)), "
        f"collect(coalesce(r.{of_weight}, $nan)), collect(coalesce(r.{of_time}, $nan))",
        {"nan": math.nan},
    )[1]
    heads: list[int] = []
    tails: list[int] = []
    weights: list[Any] = []
    times: list[Any] = []
    outside = 0
    for head, tail, weight_of, time_of in rows:
        source = nodes.rows.get(head)
        targets = [nodes.rows.get(end) for end in tail]
        if source is None or None in targets:
            kept = [i for i, target in enumerate(targets) if source is not None and target is not None]
            outside += len(tail) - len(kept)
            targets = [targets[i] for i in kept]
            weight_of, time_of = [weight_of[i] for i in kept], [time_of[i] for i in kept]
        heads += [source or 0] * len(targets)
        tails += [target for target in targets if target is not None]
        weights += weight_of
        times += time_of
    if outside:
        log.info("left out %d relationships of type %s to nodes outside the schema", outside, stored)
    return _Edges(
        heads, tails, _numbers(weights, f"{stored}.{weight}"), _numbers(times, f"{stored}.{timestamp}")
    )


def _numbers(values: Sequence[Any], what: str) -> pl.Series | None:
    """Numbers or points in time as floats, null where unknown; None where all are."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        try:
            array = np.array([seconds(value) for value in values], dtype=np.float64)
        except (TypeError, ValueError):
            odd = next(value for value in values if isinstance(value, str | list | dict))
            raise DataError(
                f"{what} holds {str(odd)[:40]!r}, no number or time; name another property in the schema"
            ) from None
    series = pl.Series(array).fill_nan(None)
    return None if series.null_count() == len(series) else series
