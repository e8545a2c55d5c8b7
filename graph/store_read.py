"""A store's content as a `KnowledgeGraph`, read through a `GraphSchema`."""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from .bolt import Bolt, plain, seconds
from .builder import GraphBuilder
from .columns import ID, ITEM_ID, NAME, TEXT, TIMESTAMP, USER_ID, WEIGHT
from .errors import ConfigError, DataError, did_you_mean
from .knowledge_graph import KnowledgeGraph
from .progress import bar
from .relation_names import label_of, relation_of
from .schema import GraphSchema, LabelSchema

log = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def labels_in(bolt: Bolt) -> list[str]:
    """The labels of a store, as stored, sorted."""
    # ArcadeDB names the type of nodes with two labels "A~B"; the labels themselves are listed too.
    labels = [row[0] for row in bolt.run("CALL db.labels() YIELD label RETURN label")]
    return sorted(label for label in labels if not (bolt.arcadedb and "~" in label))


def types_in(bolt: Bolt) -> list[str]:
    """The relationship types of a store, as stored, sorted."""
    query = "CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType"
    return sorted(row[0] for row in bolt.run(query))


def _quoted(bolt: Bolt, stored: str) -> str:
    return bolt.quote(stored, "label or relationship type")


def read_graph(bolt: Bolt, schema: GraphSchema) -> KnowledgeGraph:
    """Everything of a store that a schema names.

    Raises
    ------
    ConfigError
        If the schema does not fit the store; the message says what the store has instead.
    """
    nodes = _read_nodes(bolt, schema)
    types = [
        name
        for name in types_in(bolt)
        if bolt.run(f"MATCH ()-[r:{_quoted(bolt, name)}]->() RETURN 1 LIMIT 1")
    ]
    if schema.interactions.query is not None:
        _read_interaction_query(bolt, schema, nodes)
    else:
        _read_interaction_type(bolt, schema, types, nodes)
    facts = [name for name in types if name != schema.interactions.type]
    if schema.fact_types is not None:
        _require(schema.fact_types, {relation_of(name) for name in types}, "relationship type")
        facts = [name for name in facts if relation_of(name) in schema.fact_types]
    for stored in bar(facts, desc="reading facts", unit="relation"):
        _read_facts(bolt, stored, nodes)
    return nodes.builder.build()


@dataclass
class _Nodes:
    """The nodes read so far, by the engine's own id."""

    builder: GraphBuilder
    rows: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def _read_nodes(bolt: Bolt, schema: GraphSchema) -> _Nodes:
    nodes = _Nodes(GraphBuilder(schema.user_label, schema.item_label))
    # An engine remembers the labels and types of what is gone.
    used = [name for name in labels_in(bolt) if bolt.run(f"MATCH (n:{_quoted(bolt, name)}) RETURN 1 LIMIT 1")]
    stored = {label_of(name): name for name in used}
    for label in bar(_labels_to_read(schema, stored), desc="reading nodes", unit="label"):
        rows = bolt.run(f"MATCH (n:{_quoted(bolt, stored[label])}) RETURN elementId(n), properties(n)")
        # A node with two labels belongs to the first that is read; users and items come first.
        rows = [row for row in rows if row[0] not in nodes.rows]
        if not rows:
            continue
        properties = [row[1] for row in rows]
        ids = _ids(label, schema.label(label).id, properties)
        names, texts, rest = _columns(label, schema, properties)
        nodes.builder.add_nodes(label, ids, names, texts, rest)
        start = len(nodes.ids)
        nodes.rows.update((row[0], start + i) for i, row in enumerate(rows))
        nodes.ids += ids
        nodes.labels += [label] * len(ids)
    return nodes


def _labels_to_read(schema: GraphSchema, stored: dict[str, str]) -> list[str]:
    ends = (schema.user_label, schema.item_label)
    default = GraphSchema()
    # What `write` stored may lack users or items, but a graph that has neither is somebody's own.
    written = ends == (default.user_label, default.item_label) and (
        not stored or any(e in stored for e in ends)
    )
    if not written:
        _require(ends, stored, "label")
    _require(schema.labels, stored, "label")
    if schema.entity_labels is not None:
        _require(schema.entity_labels, stored, "label")
        others = sorted(set(schema.entity_labels) - set(ends))
    else:
        others = sorted(set(stored) - set(ends))
    return [label for label in (*ends, *others) if label in stored]


def _require(wanted: Any, there: Any, kind: str) -> None:
    for name in wanted:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise ConfigError(
                f"the store has no {kind} {name!r} that the schema names; it has {known}"
                f"{did_you_mean(name, there)}"
            )


def _ids(label: str, key: str, properties: list[dict[str, Any]]) -> list[str]:
    ids = []
    for row in properties:
        value = row.get(key)
        if value is None:
            missing = sum(other.get(key) is None for other in properties)
            raise ConfigError(
                f"{missing} of {len(properties)} nodes of label {label!r} have no property {key!r} as id; "
                f"they have {', '.join(_keys(properties)) or 'none'}; set it in GraphSchema(labels=...)"
            )
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ConfigError(
                f"property {key!r} of label {label!r} holds {value!r}; an id is a string or whole number; "
                "name another property in GraphSchema(labels=...)"
            )
        ids.append(str(value))
    return ids


def _keys(properties: list[dict[str, Any]]) -> list[str]:
    return sorted({key for row in properties for key in row})


def _columns(
    label: str, schema: GraphSchema, properties: list[dict[str, Any]]
) -> tuple[pl.Series, pl.Series, dict[str, pl.Series]]:
    of = schema.label(label)
    keys = _keys(properties)
    _require_properties(label, schema.labels.get(label), keys)
    names = [_string(row.get(of.name)) if of.name else None for row in properties]
    texts = [_text(of.text, row) for row in properties]
    used = {of.id, of.name, of.text if isinstance(of.text, str) and "{" not in of.text else None}
    rest = {}
    for key in keys:
        if key not in used:
            # A property that is called like a column it does not fill.
            name = key + "_" if key in (ID, NAME, TEXT) else key
            rest[name] = _series(name, [row.get(key) for row in properties])
    return pl.Series(NAME, names, dtype=pl.String), pl.Series(TEXT, texts, dtype=pl.String), rest


def _require_properties(label: str, of: LabelSchema | None, keys: list[str]) -> None:
    if of is None:
        return
    wanted = [of.name] if "name" in of.model_fields_set and of.name else []
    if "text" in of.model_fields_set and of.text:
        wanted += _text_keys(of.text)
    for key in wanted:
        if key not in keys:
            raise ConfigError(
                f"no node of label {label!r} has the property {key!r} that the schema names; they have "
                f"{', '.join(keys)}{did_you_mean(key, keys)}"
            )


def _text_keys(text: str | tuple[str, ...]) -> list[str]:
    if isinstance(text, tuple):
        return list(text)
    return _PLACEHOLDER.findall(text) if "{" in text else [text]


def _text(text: str | tuple[str, ...] | None, row: dict[str, Any]) -> str | None:
    if text is None:
        return None
    values = {key: _string(row.get(key)) for key in _text_keys(text)}
    if isinstance(text, tuple):
        return ". ".join(value for value in values.values() if value) or None
    if "{" not in text:
        return values[text]
    if not all(values.values()):
        return None
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)] or "", text)


def _string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(str(plain(item)) for item in value)
    return str(plain(value))


def _series(name: str, values: list[Any]) -> pl.Series:
    first = next((value for value in values if value is not None), None)
    if not isinstance(first, str | int | float):
        values = [plain(value) for value in values]
    try:
        series = pl.Series(name, values, strict=True)
        # Nothing but empty lists, which say nothing of their type.
        return series.cast(pl.List(pl.String)) if series.dtype == pl.List(pl.Null) else series
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        pass
    # A store has no types for columns: numbers of both kinds become floats, anything else strings.
    if all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in values
        if value is not None
    ):
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    return pl.Series(name, [_string(value) for value in values], dtype=pl.String)


def _read_interaction_query(bolt: Bolt, schema: GraphSchema, nodes: _Nodes) -> None:
    columns, rows = bolt.table(schema.interactions.query or "", {})
    allowed = (USER_ID, ITEM_ID, WEIGHT, TIMESTAMP)
    if not {USER_ID, ITEM_ID} <= set(columns) <= set(allowed):
        raise ConfigError(
            f"the interactions query returns {', '.join(columns) or 'nothing'}; it must return user_id, "
            "item_id and may return weight, timestamp"
        )
    column = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    users: list[str] = []
    items: list[str] = []
    ends = ((USER_ID, schema.user_label, users), (ITEM_ID, schema.item_label, items))
    for name, label, values in ends:
        values += [str(value) for value in column[name]]
        known = {id for id, of in zip(nodes.ids, nodes.labels, strict=True) if of == label}
        unknown = [value for value in values if value not in known]
        if unknown:
            raise ConfigError(
                f"the interactions query returns {name} {unknown[0]!r}, which is no id of label {label!r} "
                f"({len(unknown)} of {len(values)} rows){did_you_mean(unknown[0], known)}"
            )
    weight = _numbers(column[WEIGHT], "weight") if WEIGHT in column else None
    timestamp = _numbers(column[TIMESTAMP], "timestamp") if TIMESTAMP in column else None
    nodes.builder.add_interactions(users, items, weight, timestamp)


def _read_interaction_type(bolt: Bolt, schema: GraphSchema, types: list[str], nodes: _Nodes) -> None:
    wanted = schema.interactions
    name = wanted.type or ""
    if name not in types:
        if wanted != GraphSchema().interactions:
            _require([name], types, "relationship type")
        return
    edges = _read_edges(bolt, name, wanted.weight, wanted.timestamp, nodes)
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
    if edges.heads:
        nodes.builder.add_interactions(
            [nodes.ids[head] for head in edges.heads],
            [nodes.ids[tail] for tail in edges.tails],
            edges.weight,
            edges.timestamp,
        )


def _read_facts(bolt: Bolt, stored: str, nodes: _Nodes) -> None:
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


def _read_edges(bolt: Bolt, stored: str, weight: str, timestamp: str, nodes: _Nodes) -> _Edges:
    type_ = _quoted(bolt, stored)
    of_weight, of_time = bolt.quote(weight, "property"), bolt.quote(timestamp, "property")
    # Collected by head, since the driver spends most of its time on rows; collect() would drop nulls.
    rows = bolt.table(
        f"MATCH (h)-[r:{type_}]->(t) RETURN elementId(h), collect(elementId(t)), "
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
