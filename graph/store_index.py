"""Unique, full text and vector indexes, and what they answer: text search and nearest neighbours.

Both engines answer by the same Cypher procedures, and each index is called ``Label[property,...]`` on both. Only the
making differs: Neo4j does it in Cypher, ArcadeDB 26.10 makes full text and vector indexes in its SQL alone.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .bolt import Bolt
from .columns import ID, NAME, RANK, SCORE
from .errors import ConfigError, DataError, StoreError, UnknownIdError, did_you_mean
from .schema import GraphSchema
from .store_catalogue import labels_in

if TYPE_CHECKING:
    from .embedded import EmbeddedServer

KINDS = ("unique", "fulltext", "vector")
SIMILARITIES = ("cosine", "euclidean")
_CANDIDATES = 100

# ArcadeDB 26.10 finds an index by taking its name Label[property,...] apart.
_ODD_LABEL = re.compile(r"\[")
_ODD_PROPERTY = re.compile(r"[\s\[\],]")
_LUCENE = re.compile(r'[-+&|!(){}\[\]^"~*?:\\/<>=]')


@dataclass(frozen=True)
class StoreIndex:
    """A full text or vector index; dimensions and similarity are a vector index's."""

    name: str
    kind: str
    label: str
    properties: tuple[str, ...]
    dimensions: int | None = None
    similarity: str | None = None


def indexes_in(bolt: Bolt, server: "EmbeddedServer | None" = None) -> list[StoreIndex]:
    """The full text and vector indexes over nodes; one over several labels stands once for each.

    ArcadeDB tells the dimensions and similarity of a vector index only where `server` is given.
    """
    rows = bolt.run("SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, options")
    details = {} if server is None else _details(server)
    found = []
    for name, kind, of, labels, properties, options in rows:
        if kind not in ("FULLTEXT", "VECTOR") or of != "NODE":
            continue
        config = (options or {}).get("indexConfig", {})
        size, similarity = details.get(
            name, (config.get("vector.dimensions"), config.get("vector.similarity_function"))
        )
        similarity = similarity.lower() if similarity else None
        found += [
            StoreIndex(name, kind.lower(), label, tuple(properties), size, similarity) for label in labels
        ]
    return found


def _details(server: "EmbeddedServer") -> dict[str, tuple[int, str]]:
    return {
        index["name"]: (index["dimensions"], index["scoring"].rpartition(":")[2])
        for row in server.sql("SELECT FROM schema:types")
        for index in row["indexes"]
        if "dimensions" in index
    }


def create_index(
    bolt: Bolt,
    server: "EmbeddedServer | None",
    kind: str,
    label: str,
    properties: Sequence[str],
    dimensions: int | None = None,
    similarity: str = "cosine",
) -> str:
    """Make an index over a stored label unless there is one; returns its name. See `GraphStore.create_index`."""
    if kind not in KINDS:
        raise ConfigError(
            f"unknown kind of index {kind!r}; use one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
        )
    if not properties or (kind == "vector" and len(properties) != 1):
        raise ConfigError(f"a {kind} index over {len(properties)} properties; name one")
    if kind == "vector" and (dimensions is None or similarity not in SIMILARITIES):
        raise ConfigError(
            f"a vector index needs dimensions and a similarity of {', '.join(SIMILARITIES)}; "
            f"got dimensions={dimensions}, similarity={similarity!r}"
        )
    node = bolt.quote(label, "label")
    keys = [bolt.quote(key, "property") for key in properties]
    name = f"{label}[{','.join(properties)}]"
    if kind == "unique":
        bolt.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{node}) REQUIRE ({_each(keys)}) IS UNIQUE")
        return name
    known = labels_in(bolt)
    if label not in known:
        raise UnknownIdError(
            f"the store has no label {label!r} to index; it has {', '.join(known) or 'none'}"
            f"{did_you_mean(label, known)}"
        )
    there = find_index(bolt, kind, label, properties, server)
    if there is not None:
        if kind == "vector" and there.dimensions not in (None, dimensions):
            raise ConfigError(
                f"the vector index {there.name!r} has {there.dimensions} dimensions, not {dimensions}; "
                "drop it or use another property"
            )
        return there.name
    if bolt.arcadedb:
        _create_in_sql(bolt, server, kind, label, properties, dimensions, similarity)
        return name
    # The name cannot be a parameter, the configuration can.
    create = f"CREATE {kind.upper()} INDEX {bolt.quote(name, 'index')} IF NOT EXISTS FOR (n:{node}) ON "
    if kind == "fulltext":
        bolt.run(f"{create} EACH [{_each(keys)}]")
    else:
        config = {"vector.dimensions": dimensions, "vector.similarity_function": similarity}
        bolt.run(f"{create} (n.{keys[0]}) OPTIONS {{indexConfig: $config}}", config=config)
    bolt.run("CALL db.awaitIndexes(600)")
    return name


def _each(keys: Sequence[str]) -> str:
    return ", ".join(f"n.{key}" for key in keys)


def _create_in_sql(
    bolt: Bolt,
    server: "EmbeddedServer | None",
    kind: str,
    label: str,
    properties: Sequence[str],
    dimensions: int | None,
    similarity: str,
) -> None:
    for name, odd in ((label, _ODD_LABEL), *((key, _ODD_PROPERTY) for key in properties)):
        bad = odd.search(name)
        if bad:
            raise DataError(
                f"the embedded store cannot index {name!r}, which contains {bad.group()!r}; rename it"
            )
    node, *keys = (_in_sql(name) for name in (label, *properties))
    type_, clause = "STRING", "FULL_TEXT"
    if kind == "vector":
        type_ = "ARRAY_OF_FLOATS"
        # From a closed set and an int, as is all that is not quoted.
        clause = f"LSM_VECTOR METADATA {{dimensions: {dimensions:d}, similarity: '{similarity.upper()}'}}"
    commands = [f"CREATE PROPERTY {node}.{key} IF NOT EXISTS {type_}" for key in keys]
    commands.append(f"CREATE INDEX IF NOT EXISTS ON {node} ({', '.join(keys)}) {clause}")
    if server is None:
        raise StoreError(
            f"{bolt.place} makes such an index only in its SQL, which Bolt does not carry; run there: "
            f"{'; '.join(commands)}"
        )
    for command in commands:
        server.sql(command)


def _in_sql(name: str) -> str:
    return "`" + name.replace("`", "\\`") + "`"


def drop_index(bolt: Bolt, server: "EmbeddedServer | None", index: StoreIndex) -> None:
    """Drop an index; what it was over stays."""
    if not bolt.arcadedb:
        bolt.run(f"DROP INDEX {bolt.quote(index.name, 'index')} IF EXISTS")
    elif server is not None:
        server.sql(f"DROP INDEX {_in_sql(index.name)}")


def find_index(
    bolt: Bolt,
    kind: str,
    label: str,
    properties: Sequence[str] | None = None,
    server: "EmbeddedServer | None" = None,
) -> StoreIndex | None:
    """The first index of a kind over a stored label and, where given, over these properties."""
    for index in indexes_in(bolt, server):
        if (index.kind, index.label) == (kind, label) and properties in (None, list(index.properties)):
            return index
    return None


def vector_properties(bolt: Bolt) -> dict[str, set[str]]:
    """By stored label the properties with a vector index; empty where the user may not ask."""
    try:
        found = indexes_in(bolt)
    except StoreError:
        return {}
    by_label: dict[str, set[str]] = {}
    for index in found:
        if index.kind == "vector":
            by_label.setdefault(index.label, set()).update(index.properties)
    return by_label


def search(bolt: Bolt, schema: GraphSchema, text: str, label: str, stored: str, k: int) -> pd.DataFrame:
    """Nodes by full text; see `GraphStore.search`."""
    _check_k(k)
    index = find_index(bolt, "fulltext", stored)
    if index is None:
        raise ConfigError(
            f"label {label!r} has no full text index; make one with "
            f"store.create_index('fulltext', {label!r}, ['{schema.label(label).name or NAME}'])"
        )
    # Words, not Lucene's query language: in lower case, since AND, OR and NOT are part of that.
    words = _LUCENE.sub(" ", text).lower().split()
    if not words:
        return _frame([])
    query = "CALL db.index.fulltext.queryNodes($index, $text, {limit: $k}) YIELD node, score "
    return _answer(bolt, schema, label, query, index.name, k, text=" ".join(words))


def nearest(
    bolt: Bolt,
    schema: GraphSchema,
    label: str,
    stored: str,
    vector: npt.ArrayLike,
    k: int,
    property: str | None,
) -> pd.DataFrame:
    """Nodes by vector; see `GraphStore.nearest`."""
    _check_k(k)
    index = find_index(bolt, "vector", stored, None if property is None else [property])
    if index is None:
        raise ConfigError(
            f"label {label!r} has no vector index{f' over {property!r}' if property else ''}; "
            "write vectors first (store.write_vectors)"
        )
    values = np.asarray(vector, dtype=np.float64).ravel()
    if not np.isfinite(values).all() or not values.any():
        raise DataError("the vector to look near is zero or not finite; nothing is near it")
    query = "CALL db.index.vector.queryNodes($index, $k, $vector) YIELD node, score "
    # The walk through the index keeps as many candidates as it is asked for: few would often miss the nearest.
    return _answer(bolt, schema, label, query, index.name, max(k, _CANDIDATES), vector=values.tolist()).head(
        k
    )


def _check_k(k: int) -> None:
    if k < 1:
        raise ConfigError(f"k={k}; ask for at least 1")


def _answer(
    bolt: Bolt, schema: GraphSchema, label: str, query: str, index: str, k: int, **parameters: Any
) -> pd.DataFrame:
    of = schema.label(label)
    id_, name = bolt.quote(of.id, "property"), bolt.quote(of.name or of.id, "property")
    rows = bolt.run(f"{query} RETURN node.{id_}, node.{name}, score", index=index, k=k, **parameters)
    return _frame(sorted(rows, key=lambda row: (-row[2], str(row[0]))))


def _frame(rows: list[list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            RANK: range(1, len(rows) + 1),
            ID: pd.Series([str(row[0]) for row in rows], dtype=object),
            NAME: pd.Series([row[1] for row in rows], dtype=object),
            SCORE: pd.Series([math.nan if row[2] is None else row[2] for row in rows], dtype=float),
        }
    )
