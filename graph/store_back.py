"""What a recommender found, back into the database: vectors and recommendations.

Nodes are found by the engine's own id, looked up once by the schema's id property, so that a graph with ids of
its own (whole numbers, without an index) takes them as well.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from .bolt import Bolt
from .columns import ITEM_ID, RANK, REASON, SCORE, USER_ID
from .errors import ConfigError, DataError, StoreError, UnknownIdError, did_you_mean
from .progress import bar
from .relation_names import RECOMMENDED, RECOMMENDED_STAGED
from .schema import GraphSchema
from .store_catalogue import types_in
from .store_index import create_index, drop_index, find_index
from .tables import as_ids, as_numbers, check_columns, to_polars

if TYPE_CHECKING:
    from .embedded import EmbeddedServer

log = logging.getLogger(__name__)

_VECTORS = 1_000
_RECOMMENDATIONS = 5_000


def elements(bolt: Bolt, schema: GraphSchema, label: str, stored: str) -> dict[str, str]:
    """The engine's id of each node of a label, by the schema's id."""
    key = schema.label(label).id
    query = f"MATCH (n:{bolt.quote(stored, 'label')}) RETURN n.{bolt.quote(key, 'property')}, elementId(n)"
    rows = bolt.run(query)
    found = {str(row[0]): row[1] for row in rows if row[0] is not None}
    if rows and not found:
        raise ConfigError(
            f"no node of label {label!r} has the property {key!r} that the schema takes as its id; "
            "set the store's schema (store.schema = GraphSchema(...))"
        )
    return found


def _check_known(ids: Iterable[str], known: dict[str, str], label: str) -> None:
    unknown = [key for key in ids if key not in known]
    if unknown:
        raise UnknownIdError(
            f"the store has no {label} with the id {unknown[0]!r} ({len(unknown)} unknown)"
            f"{did_you_mean(unknown[0], known)}"
        )


def write_vectors(
    bolt: Bolt,
    server: "EmbeddedServer | None",
    schema: GraphSchema,
    label: str,
    stored: str,
    ids: Sequence[str],
    vectors: npt.ArrayLike,
    property: str,
    similarity: str,
) -> str:
    """Vectors as a property with an index; see `GraphStore.write_vectors`."""
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != len(ids) or not array.size:
        raise DataError(f"{len(ids)} ids and vectors of shape {array.shape}; give one row for each id")
    if np.isinf(array).any():
        raise DataError("a vector holds an infinite number; only NaN (no vector) is left out")
    known = elements(bolt, schema, label, stored)
    keys = [str(key) for key in ids]
    _check_known(keys, known, label)
    usable = ~np.isnan(array).any(axis=1) & array.any(axis=1)
    if not usable.all():
        log.info("left out %d of %d %s without a vector", (~usable).sum(), len(keys), label)
    node, key = bolt.quote(stored, "label"), bolt.quote(property, "property")
    index = find_index(bolt, "vector", stored, [property], server)
    if index is not None and (index.dimensions, index.similarity) != (array.shape[1], similarity):
        if index.name != f"{stored}[{property}]":
            raise ConfigError(
                f"the vector index {index.name!r} has {index.dimensions} dimensions and similarity "
                f"{index.similarity}, not {array.shape[1]} and {similarity}; drop it or use another property"
            )
        # Vectors of another space would stand beside these.
        drop_index(bolt, server, index)
        # Not REMOVE: ArcadeDB 26.10 leaves a property whose name is quoted.
        bolt.run(f"MATCH (n:{node}) WHERE n.{key} IS NOT NULL SET n.{key} = null")
    # What a call before wrote is let be: to an index, setting the same vector is work.
    query = (
        f"UNWIND $rows AS row MATCH (n) WHERE elementId(n) = row[0] AND (n.{key} IS NULL OR n.{key} <> row[1]) "
        f"SET n.{key} = row[1] RETURN count(n)"
    )
    rows = np.flatnonzero(usable)
    written = 0
    with bar(total=len(rows), desc=f"writing {property}", unit="node") as progress:
        for start in range(0, len(rows), _VECTORS):
            part = rows[start : start + _VECTORS]
            found = bolt.update(query, [[known[keys[row]], array[row].tolist()] for row in part])
            written += int(found[0][0])
            progress.update(len(part))
    log.info("wrote %d vectors, %d were there", written, len(rows) - written)
    return create_index(bolt, server, "vector", stored, [property], array.shape[1], similarity)


def write_recommendations(
    bolt: Bolt,
    schema: GraphSchema,
    stored: tuple[str, str],
    lists: Any,
    model: str,
    version: str | None,
) -> int:
    """Recommendations in place of the model's earlier ones; see `GraphStore.write_recommendations`.

    Chunks are staged one by one under a relationship type of their own, each with the hash of its content and the
    version, so that a run after a kill finds what is there already; then one transaction puts all of them in place
    of the old ones.
    """
    if not model or not isinstance(model, str):
        raise ConfigError(f"model={model!r}; name the model that the recommendations are of")
    users = elements(bolt, schema, schema.user_label, stored[0])
    items = elements(bolt, schema, schema.item_label, stored[1])
    staged = _staged(bolt, model)
    # What was staged of this very version belongs to it, whether it comes again or not.
    kept = {} if version is None else _staged(bolt, model, version)
    wanted, total = set(kept), sum(kept.values())
    with bar(desc="writing recommendations", unit="edge") as progress:
        for rows in _chunks(lists):
            _check_known((row[0] for row in rows), users, schema.user_label)
            _check_known((row[1] for row in rows), items, schema.item_label)
            chunk = hashlib.sha256(json.dumps([version, rows]).encode()).hexdigest()[:32]
            if chunk not in wanted:
                total += len(rows)
                if staged.get(chunk) != len(rows):
                    _stage(bolt, (model, version, chunk), rows, users, items, chunk in staged)
            wanted.add(chunk)
            progress.update(len(rows))
    _swap(bolt, model, sorted(wanted), total)
    return total


def _chunks(lists: Any) -> Iterable[list[list[Any]]]:
    # A generator of frames is taken as it comes; a frame iterates over its columns.
    blocks = lists if isinstance(lists, list | tuple) or hasattr(lists, "__next__") else [lists]
    for block in blocks:
        table = to_polars(block, "recommendations")
        what = "recommendations"
        check_columns(table, what, (USER_ID, ITEM_ID, RANK, SCORE), (REASON,), open_ended=True)
        columns = [
            as_ids(table[USER_ID], what),
            as_ids(table[ITEM_ID], what),
            table[RANK].cast(pl.Int64),
            as_numbers(table[SCORE], what, required=True).cast(pl.Float64),
            table[REASON].cast(pl.String) if REASON in table.columns else pl.Series([None] * len(table)),
        ]
        rows = [list(row) for row in zip(*(column.to_list() for column in columns), strict=True)]
        odd = next((row for row in rows if not math.isfinite(row[3])), None)
        if odd is not None:
            raise DataError(
                f"the score of item {odd[1]!r} for user {odd[0]!r} is {odd[3]}; leave the row out"
            )
        start = 0
        while start < len(rows):
            end = min(start + _RECOMMENDATIONS, len(rows))
            # A list is staged whole.
            while end < len(rows) and rows[end][0] == rows[end - 1][0]:
                end += 1
            yield rows[start:end]
            start = end


def _staged(bolt: Bolt, model: str, version: str | None = None) -> dict[str, int]:
    if RECOMMENDED_STAGED not in types_in(bolt):
        return {}
    of_version = "" if version is None else " AND s.version = $version"
    query = (
        f"MATCH ()-[s:{RECOMMENDED_STAGED}]->() WHERE s.model = $model{of_version} RETURN s.chunk, count(s)"
    )
    return dict(bolt.run(query, model=model, version=version))


def staged_users(bolt: Bolt, schema: GraphSchema, stored: str, model: str, version: str) -> set[str]:
    """The users whose lists are staged; see `GraphStore.staged_users`."""
    if RECOMMENDED_STAGED not in types_in(bolt):
        return set()
    label, key = bolt.quote(stored, "label"), bolt.quote(schema.label(schema.user_label).id, "property")
    query = (
        f"MATCH (u:{label})-[s:{RECOMMENDED_STAGED}]->() WHERE s.model = $model AND s.version = $version "
        f"RETURN DISTINCT u.{key}"
    )
    return {str(row[0]) for row in bolt.run(query, model=model, version=version)}


def _stage(
    bolt: Bolt,
    of: tuple[str, str | None, str],
    rows: list[list[Any]],
    users: dict[str, str],
    items: dict[str, str],
    again: bool,
) -> None:
    create = (
        "UNWIND $rows AS row MATCH (u) WHERE elementId(u) = row[0] MATCH (i) WHERE elementId(i) = row[1] "
        f"CREATE (u)-[:{RECOMMENDED_STAGED} {{rank: row[2], score: row[3], reason: row[4], "
        "model: $model, version: $version, chunk: $chunk}]->(i)"
    )
    remove = f"MATCH ()-[s:{RECOMMENDED_STAGED}]->() WHERE s.model = $model AND s.chunk = $chunk DELETE s"
    statements: list[tuple[str, dict[str, Any]]] = [(remove, {})] if again else []
    found = [[users[row[0]], items[row[1]], *row[2:]] for row in rows]
    statements.append((create, {"rows": found}))
    model, version, chunk = of
    shared = {"model": model, "version": version, "chunk": chunk}
    bolt.transaction([(query, {**shared, **more}) for query, more in statements])


def _swap(bolt: Bolt, model: str, chunks: list[str], total: int) -> None:
    there = _staged(bolt, model)
    if sum(there.get(chunk, 0) for chunk in chunks) != total:
        raise StoreError(
            f"{bolt.place} does not hold all recommendations of model {model!r} that were written; the earlier "
            "ones stand, write them again"
        )
    put = (
        f"MATCH (u)-[s:{RECOMMENDED_STAGED}]->(i) WHERE s.model = $model AND s.chunk IN $chunks "
        f"CREATE (u)-[:{RECOMMENDED} {{rank: s.rank, score: s.score, reason: s.reason, model: s.model}}]->(i)"
    )
    old, staged = _removals(model)
    bolt.transaction([old, (put, {"model": model, "chunks": chunks}), staged])


def _removals(model: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"MATCH ()-[r:{type_}]->() WHERE r.model = $model DELETE r", {"model": model})
        for type_ in (RECOMMENDED, RECOMMENDED_STAGED)
    ]


def remove_recommendations(bolt: Bolt, model: str) -> int:
    """Remove a model's recommendations; see `GraphStore.remove_recommendations`."""
    types = types_in(bolt)
    count = f"MATCH ()-[r:{RECOMMENDED}]->() WHERE r.model = $model RETURN count(r)"
    found = bolt.run(count, model=model)[0][0] if RECOMMENDED in types else 0
    bolt.transaction(_removals(model))
    return int(found)
