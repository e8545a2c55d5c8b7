"""A store's content as a `KnowledgeGraph`, read through a `GraphSchema`."""

import logging
from collections import Counter
from typing import Any

import polars as pl

from .bolt import Bolt, plain
from .builder import GraphBuilder
from .columns import ID, NAME, TEXT
from .errors import ConfigError, did_you_mean
from .knowledge_graph import KnowledgeGraph
from .progress import bar
from .relation_names import WRITTEN_BACK, label_of, relation_of
from .schema import PLACEHOLDER, GraphSchema, LabelSchema
from .store_catalogue import labels_used, quoted, require, types_used
from .store_edges import Nodes, read_fact_query, read_facts, read_interactions
from .store_index import vector_properties
from .store_notes import read_notes

log = logging.getLogger(__name__)


def read_graph(bolt: Bolt, schema: GraphSchema) -> KnowledgeGraph:
    """Everything of a store that a schema names.

    Raises
    ------
    ConfigError
        If the schema does not fit the store; the message says what the store has instead.
    """
    nodes = _read_nodes(bolt, schema)
    types = types_used(bolt)
    read_interactions(bolt, schema, types, nodes)
    interactions = {kind.type for kind in schema.interactions}
    facts = [name for name in types if name not in interactions]
    if schema.fact_types is not None:
        require(schema.fact_types, {relation_of(name) for name in types}, "relationship type")
        facts = [name for name in facts if relation_of(name) in schema.fact_types]
    else:
        back = [name for name in facts if name in WRITTEN_BACK]
        if back:
            log.info("left out %s, which was written back; name it in fact_types to take it", ", ".join(back))
        facts = [name for name in facts if name not in back]
    for stored in bar(facts, desc="reading facts", unit="relation"):
        read_facts(bolt, stored, nodes)
    for wanted in schema.facts:
        require((wanted.head_label, wanted.tail_label), nodes.labels, "label")
        read_fact_query(bolt, wanted, nodes)
    return nodes.builder.build()


def _read_nodes(bolt: Bolt, schema: GraphSchema) -> Nodes:
    nodes = Nodes(GraphBuilder(schema.user_label, schema.item_label))
    stored = {label_of(name): name for name in labels_used(bolt)}
    vectors, notes = vector_properties(bolt), read_notes(bolt)
    for label in bar(_labels_to_read(bolt, schema, stored), desc="reading nodes", unit="label"):
        of = schema.label(label)
        values = _wanted(bolt, of, vectors.get(stored[label], set()))
        rows = bolt.run(f"MATCH (n:{quoted(bolt, stored[label])}) RETURN elementId(n), {values}")
        # A node with two labels belongs to the first that is read; users and items come first.
        rows = [row for row in rows if row[0] not in nodes.rows]
        if not rows:
            continue
        properties = [{key: value for key, value in row[1].items() if value is not None} for row in rows]
        ids = _ids(label, of.id, properties)
        keys = _keys(properties)
        if of.properties is not None:
            # Only what the schema names was read; a message tells what there is.
            query = f"MATCH (n:{quoted(bolt, stored[label])}) UNWIND keys(n) AS key RETURN DISTINCT key"
            keys = sorted(row[0] for row in bolt.run(query))
        _require_properties(label, schema.labels.get(label), keys)
        names, texts, rest = _columns(of, properties)
        nodes.builder.add_nodes(label, ids, names, texts, rest, notes.get(stored[label]))
        start = len(nodes.ids)
        nodes.rows.update((row[0], start + i) for i, row in enumerate(rows))
        nodes.ids += ids
        nodes.labels += [label] * len(ids)
    return nodes


def _wanted(bolt: Bolt, of: LabelSchema, vectors: set[str]) -> str:
    """What to return of a node ``n``: all properties but vectors, or those that the schema names."""
    if of.properties is not None:
        keys = {of.id, *([of.name] if of.name else ()), *of.text_properties(), *of.properties}
        return f"n {{{', '.join('.' + bolt.quote(key, 'property') for key in sorted(keys))}}}"
    hidden = sorted(vectors - {of.id, of.name, *of.text_properties()})
    if not hidden:
        return "properties(n)"
    return f"n {{.*, {', '.join(bolt.quote(key, 'property') + ': null' for key in hidden)}}}"


def _labels_to_read(bolt: Bolt, schema: GraphSchema, stored: dict[str, str]) -> list[str]:
    ends = (schema.user_label, schema.item_label)
    default = GraphSchema()
    # What `write` stored may lack users or items, but a graph that has neither is somebody's own if its ids are.
    written = ends == (default.user_label, default.item_label) and (
        any(end in stored for end in ends) or _has_our_ids(bolt, stored)
    )
    if not written:
        require(ends, stored, "label")
    require(schema.labels, stored, "label")
    if schema.entity_labels is not None:
        require(schema.entity_labels, stored, "label")
        others = sorted(set(schema.entity_labels) - set(ends))
    else:
        others = sorted(set(stored) - set(ends))
    return [label for label in (*ends, *others) if label in stored]


def _has_our_ids(bolt: Bolt, stored: dict[str, str]) -> bool:
    """Whether all labels have the constraint that `write` makes."""
    rows = bolt.run("SHOW CONSTRAINTS YIELD labelsOrTypes, properties")
    keyed = {row[0][0] for row in rows if row[0] and row[1] == [ID]}
    return all(name in keyed for name in stored.values())


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
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_, times in Counter(ids).items() if times > 1)
        raise ConfigError(
            f"property {key!r} of label {label!r} holds {twice!r} on {ids.count(twice)} nodes; an id is unique; "
            "name another property in GraphSchema(labels=...)"
        )
    return ids


def _keys(properties: list[dict[str, Any]]) -> list[str]:
    return sorted({key for row in properties for key in row})


def _columns(
    of: LabelSchema, properties: list[dict[str, Any]]
) -> tuple[pl.Series, pl.Series, dict[str, pl.Series]]:
    names = [_string(row.get(of.name)) if of.name else None for row in properties]
    texts = [_text(of, row) for row in properties]
    used = {of.id, of.name, of.text if isinstance(of.text, str) and "{" not in of.text else None}
    rest = {}
    for key in _keys(properties):
        if key not in used:
            # A property that is called like a column it does not fill.
            name = key + "_" if key in (ID, NAME, TEXT) else key
            rest[name] = _series(name, [row.get(key) for row in properties])
    return pl.Series(NAME, names, dtype=pl.String), pl.Series(TEXT, texts, dtype=pl.String), rest


def _require_properties(label: str, of: LabelSchema | None, keys: list[str]) -> None:
    if of is None:
        return
    wanted = [of.name] if "name" in of.model_fields_set and of.name else []
    if "text" in of.model_fields_set:
        wanted += of.text_properties()
    wanted += of.properties or ()
    for key in wanted:
        if key not in keys:
            raise ConfigError(
                f"no node of label {label!r} has the property {key!r} that the schema names; they have "
                f"{', '.join(keys)}{did_you_mean(key, keys)}"
            )


def _text(of: LabelSchema, row: dict[str, Any]) -> str | None:
    if of.text is None:
        return None
    values = {key: _string(row.get(key)) for key in of.text_properties()}
    if isinstance(of.text, tuple):
        return ". ".join(value for value in values.values() if value) or None
    if "{" not in of.text:
        return values[of.text]
    if not all(values.values()):
        return None
    return PLACEHOLDER.sub(lambda match: values[match.group(1)] or "", of.text)


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
