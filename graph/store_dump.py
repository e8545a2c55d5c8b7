"""All of a store as files and back, on either engine: what a snapshot leaves out as well.

Beside the saved graph of an export stand ``store-nodes.parquet`` (labels and properties of every node),
``store-relationships.parquet`` (ends by the nodes' rows, type, properties) and ``store.json`` (id properties, unique
constraints, full text and vector indexes). Properties are JSON; what JSON lacks stands as ``{"~": [type, text]}``.
ArcadeDB has neither durations nor points: there they become lists, of months, days, seconds and nanoseconds, and of
coordinates.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neo4j.spatial
import neo4j.time
import pyarrow as pa
import pyarrow.parquet as pq

from .bolt import Bolt
from .columns import INTERACTED
from .errors import DataError
from .progress import bar
from .relation_names import RECOMMENDED, RECOMMENDED_STAGED, stored_labels, stored_names
from .schema import GraphSchema
from .store_catalogue import labels_in, quoted, types_in
from .store_index import create_index, indexes_in
from .store_log import HIDDEN
from .store_notes import NOTE_LABEL

if TYPE_CHECKING:
    from .embedded import EmbeddedServer

log = logging.getLogger(__name__)

_INDEX = "store.json"
_NODES, _RELATIONSHIPS = "store-nodes.parquet", "store-relationships.parquet"
_ROWS = 5_000
_TIMES: dict[str, Callable[[str], Any]] = {
    "DateTime": neo4j.time.DateTime.from_iso_format,
    "Date": neo4j.time.Date.from_iso_format,
    "Time": neo4j.time.Time.from_iso_format,
    "Duration": neo4j.time.Duration.from_iso_format,
}


def is_dump(folder: Path) -> bool:
    """Whether all of a store is in a folder."""
    return (folder / _INDEX).is_file()


def dump_store(bolt: Bolt, server: "EmbeddedServer | None", schema: GraphSchema, folder: Path) -> None:
    """Write all of a store into an existing folder."""
    places: dict[str, int] = {}
    labels: list[list[str]] = []
    properties: list[str] = []
    for place, of, values in bolt.run("MATCH (n) RETURN elementId(n), labels(n), properties(n)"):
        if not set(of).intersection(HIDDEN):
            places[place] = len(labels)
            labels.append(sorted(of))
            properties.append(_encoded(values))
    nodes = {
        "labels": pa.array(labels, pa.list_(pa.string())),
        "properties": pa.array(properties, pa.string()),
    }
    pq.write_table(pa.table(nodes), folder / _NODES)
    types = [name for name in types_in(bolt) if name != RECOMMENDED_STAGED]
    columns: dict[str, list[Any]] = {"head": [], "tail": [], "type": [], "properties": []}
    for name in bar(types, desc="exporting relationships", unit="type"):
        query = f"MATCH (h)-[r:{quoted(bolt, name)}]->(t) RETURN elementId(h), elementId(t), properties(r)"
        for head, tail, values in bolt.run(query):
            row = (places[head], places[tail], name, _encoded(values))
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    kinds = {"head": pa.int64(), "tail": pa.int64(), "type": pa.string(), "properties": pa.string()}
    edges = pa.table({key: pa.array(column, kinds[key]) for key, column in columns.items()})
    pq.write_table(edges, folder / _RELATIONSHIPS)
    used = sorted({label for of in labels for label in of})
    unique = bolt.run("SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties")
    described = {
        "keys": {label: schema.label(label).id for label in used if label != NOTE_LABEL},
        "unique": sorted([row[1][0], row[2][0]] for row in unique if "UNIQUE" in row[0] and len(row[2]) == 1),
        "indexes": [
            {
                "kind": index.kind,
                "label": index.label,
                "properties": list(index.properties),
                "dimensions": index.dimensions,
                "similarity": index.similarity or "cosine",
            }
            for index in indexes_in(bolt, server)
        ],
    }
    (folder / _INDEX).write_text(json.dumps(described, indent=1), encoding="utf-8")


def restore_store(bolt: Bolt, server: "EmbeddedServer | None", folder: Path) -> None:
    """Write what `dump_store` wrote beside what is in a store; what is there already is found again.

    A node is found by its labels and the id property of one of them, one without is made anew. A relationship is found
    by its type and ends, and where a pair has several of one type by its properties as well.
    """
    described = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    nodes, edges = (pq.read_table(folder / name) for name in (_NODES, _RELATIONSHIPS))
    names = sorted({label for of in nodes["labels"].to_pylist() for label in of})
    kept = {INTERACTED, RECOMMENDED}
    types = sorted(set(edges["type"].to_pylist()))
    labels = (
        stored_labels(names, {*types_in(bolt), *kept} - set(names))
        if bolt.arcadedb
        else {n: n for n in names}
    )
    taken = {*labels_in(bolt), *labels.values()} if bolt.arcadedb else set()
    of_types = {n: n for n in types} | stored_names([n for n in types if n in taken], taken, "#relation")
    for label, key in described["unique"]:
        if label in labels:
            node, name = bolt.quote(labels[label], "label"), bolt.quote(key, "property")
            bolt.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{node}) REQUIRE n.{name} IS UNIQUE")
    places = _put_nodes(bolt, nodes, labels, described["keys"])
    groups: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for head, tail, name, values in zip(*(edges[key].to_pylist() for key in edges.column_names), strict=True):
        groups[name].append((head, tail, values))
    there = set(types_in(bolt))
    for name, rows in bar(groups.items(), desc="importing relationships", unit="type"):
        _put_relationships(bolt, of_types[name], of_types[name] in there, rows, places)
    for index in described["indexes"]:
        if index["label"] in labels and (index["kind"] != "vector" or index["dimensions"]):
            create_index(
                bolt,
                server,
                index["kind"],
                labels[index["label"]],
                index["properties"],
                index["dimensions"],
                index["similarity"],
            )


def _put_nodes(bolt: Bolt, nodes: pa.Table, labels: dict[str, str], keys: dict[str, str]) -> list[str]:
    """Write the nodes; returns their ids of the engine."""
    places = [""] * len(nodes)
    groups: dict[tuple[str, ...], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for row, (of, values) in enumerate(
        zip(*(nodes[k].to_pylist() for k in ("labels", "properties")), strict=True)
    ):
        groups[tuple(of)].append((row, _decoded(values, bolt.arcadedb)))
    anew = 0
    with bar(total=len(nodes), desc="importing nodes", unit="node") as progress:
        for of, rows in groups.items():
            pattern = "".join(f":{bolt.quote(labels[label], 'label')}" for label in of)
            key = next((keys[label] for label in of if label in keys and keys[label] in rows[0][1]), None)
            known = _known(bolt, labels[of[0]], key, rows) if key and of else {}
            new = [(row, values) for row, values in rows if values.get(key or "") not in known]
            anew += sum(key is None or key not in values for _, values in new)
            create = f"UNWIND $rows AS row CREATE (n{pattern}) SET n = row[1] RETURN row[0], elementId(n)"
            for part in _parts([[row, values] for row, values in new]):
                for row, place in bolt.update(create, part):
                    places[row] = place
                progress.update(len(part))
            update = "UNWIND $rows AS row MATCH (n) WHERE elementId(n) = row[0] SET n += row[1]"
            old = [(row, values) for row, values in rows if values.get(key or "") in known]
            for row, values in old:
                places[row] = known[values[key or ""]]
            for part in _parts([[places[row], values] for row, values in old]):
                bolt.change(update, part)
                progress.update(len(part))
    if anew:
        log.info("made %d nodes without an id; importing them again makes them again", anew)
    return places


def _known(bolt: Bolt, label: str, key: str, rows: list[tuple[int, dict[str, Any]]]) -> dict[Any, str]:
    if label not in labels_in(bolt):
        return {}
    node, name = bolt.quote(label, "label"), bolt.quote(key, "property")
    query = f"MATCH (n:{node}) WHERE n.{name} IN $values RETURN n.{name}, elementId(n)"
    found: dict[Any, str] = {}
    for part in _parts(values[key] for _, values in rows if isinstance(values.get(key), str | int)):
        found.update((row[0], row[1]) for row in bolt.run(query, values=part))
    return found


def _put_relationships(
    bolt: Bolt, stored: str, exists: bool, rows: list[tuple[int, int, str]], places: list[str]
) -> None:
    type_ = bolt.quote(stored, "relation")
    find = "UNWIND $rows AS row MATCH (h) WHERE elementId(h) = row[0] MATCH (t) WHERE elementId(t) = row[1]"
    several = stored == RECOMMENDED or len({row[:2] for row in rows}) < len(rows)
    query = f"{find} CREATE (h)-[r:{type_}]->(t) SET r = row[2]"
    if exists and several:
        there: dict[tuple[str, str, str], int] = defaultdict(int)
        for head, tail, values in bolt.run(
            f"MATCH (h)-[r:{type_}]->(t) RETURN elementId(h), elementId(t), properties(r)"
        ):
            there[head, tail, _encoded(values)] += 1
        left = []
        for head, tail, values in rows:
            key = places[head], places[tail], values
            if there[key] > 0:
                there[key] -= 1
            else:
                left.append((head, tail, values))
        rows = left
    elif exists:
        query = f"{find} MERGE (h)-[r:{type_}]->(t) SET r = row[2]"
    for part in _parts(
        [places[head], places[tail], _decoded(values, bolt.arcadedb)] for head, tail, values in rows
    ):
        bolt.change(query, part)


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(rows)
    while part := list(islice(rows, _ROWS)):
        yield part


def _encoded(values: dict[str, Any]) -> str:
    return json.dumps(
        {key: _beyond(value) for key, value in values.items()}, ensure_ascii=False, sort_keys=True
    )


def _beyond(value: Any) -> Any:
    """A value with what JSON lacks spelt out; points and durations are tuples, which JSON would take for lists."""
    if isinstance(value, list):
        return [_beyond(member) for member in value]
    if isinstance(value, neo4j.spatial.Point):
        return {"~": ["Point", json.dumps([value.srid, list(value)])]}
    if type(value).__name__ in _TIMES:
        return {"~": [type(value).__name__, value.iso_format()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise DataError(f"a property of type {type(value).__name__} cannot be exported; change it in Cypher")


def _decoded(text: str, plain: bool) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, object_hook=partial(_back, plain))
    return found


def _back(plain: bool, found: dict[str, Any]) -> Any:
    if list(found) != ["~"] or not isinstance(found["~"], list):
        return found
    kind, text = found["~"]
    if kind == "Point":
        srid, coordinates = json.loads(text)
        if plain:
            return coordinates
        made: type[neo4j.spatial.Point] = (
            neo4j.spatial.WGS84Point if srid in (4326, 4979) else neo4j.spatial.CartesianPoint
        )
        return made(coordinates)
    value = _TIMES[kind](text)
    return list(value) if plain and kind == "Duration" else value
