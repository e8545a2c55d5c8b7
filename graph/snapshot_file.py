"""A snapshot as files: node tables as Parquet, edges as safetensors, a JSON index."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from .columns import ID, NAME, TEXT
from .knowledge_graph import Facts, Interactions, KnowledgeGraph, NodeTable
from .mapped_arrays import map_arrays
from .vocabulary import Vocabulary

_INTERACTION = ("user", "item", "weight", "timestamp")
_FACT = ("head", "tail", "weight", "timestamp")


def write_snapshot(kg: KnowledgeGraph, folder: Path) -> None:
    """Write a graph into an existing, empty folder."""
    for index, table in enumerate(kg.tables):
        ids = pa.array(table.vocabulary.ids.tolist(), type=pa.string())
        columns = [ids, table.names, table.texts, *table.properties.columns]
        fields = [pa.field(name, pa.string()) for name in (ID, NAME, TEXT)]
        # With their metadata: what a source noted on a property.
        fields += [field.with_name(f"property:{field.name}") for field in table.properties.schema]
        pq.write_table(pa.table(columns, schema=pa.schema(fields)), folder / f"nodes-{index}.parquet")
    arrays: dict[str, Any] = {}
    for column in _INTERACTION:
        _keep(arrays, f"interactions.{column}", getattr(kg.interactions, column))
    for index, facts in enumerate(kg.facts):
        for column in _FACT:
            _keep(arrays, f"facts.{index}.{column}", getattr(facts, column))
    save_file(arrays, folder / "edges.safetensors")
    index_json = {"labels": list(kg.labels), "relations": list(kg.relations)}
    (folder / "graph.json").write_text(json.dumps(index_json), encoding="utf-8")


def read_snapshot(folder: Path) -> KnowledgeGraph:
    """Read what `write_snapshot` wrote."""
    index_json = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
    arrays: dict[str, Any] = map_arrays(folder / "edges.safetensors")
    tables = []
    for index, label in enumerate(index_json["labels"]):
        table = pq.read_table(folder / f"nodes-{index}.parquet")
        # From the columns: a table without any would otherwise keep its number of rows.
        kept = [field for field in table.schema if field.name.startswith("property:")]
        properties = pa.table(
            [table[field.name] for field in kept],
            schema=pa.schema([field.with_name(field.name.removeprefix("property:")) for field in kept]),
        )
        tables.append(
            NodeTable(
                label=label,
                vocabulary=Vocabulary(pl.Series(table[ID]).to_list(), kind=label.lower()),
                names=_whole(table[NAME]),
                texts=_whole(table[TEXT]),
                properties=properties,
            )
        )
    return KnowledgeGraph(
        tables=tuple(tables),
        interactions=Interactions(**_columns(arrays, "interactions", _INTERACTION)),
        facts=tuple(
            Facts(relation, **_columns(arrays, f"facts.{index}", _FACT))
            for index, relation in enumerate(index_json["relations"])
        ),
    )


def _columns(arrays: dict[str, Any], prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: arrays.get(f"{prefix}.{name}") for name in names}


def _keep(arrays: dict[str, Any], name: str, array: Any) -> None:
    if array is not None:
        arrays[name] = np.ascontiguousarray(array)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
