"""Vectors of a graph's texts, kept with its node tables: where one text changes, one is encoded and none looked up."""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.knowledge_graph import NodeTable

from .data import FloatArray
from .signals import Signal

_KEPT: WeakKeyDictionary[NodeTable, tuple[TextEncoder, FloatArray | None]] = WeakKeyDictionary()
"""Of a table that some graph still has, the vectors (None where it has no text) and who made them."""


def text_vectors(
    kg: KnowledgeGraph, encoder: TextEncoder, signals: Iterable[Signal], before: KnowledgeGraph | None = None
) -> tuple[FloatArray | None, FloatArray | None]:
    """Vectors of the items' texts (else names) and of every node's, as far as some signal reads them; else None.

    Parameters
    ----------
    kg
        The graph.
    encoder
        Encodes what is new.
    signals
        Who reads them; see `Signal.reads`.
    before
        The graph that it was before a change: vectors of texts that both have are taken over.
    """
    reads = {signal.reads for signal in signals}
    if reads <= {"nothing"}:
        return None, None
    parts = []
    for table in kg.tables[1:] if "nodes" in reads else (kg.items,):
        older = before.table(table.label) if before is not None and table.label in before.labels else None
        parts.append(_of_table(table, encoder, older))
    known = [part for part in parts if part is not None]
    if not known:
        return None, None
    if "nodes" not in reads:
        return parts[0], None
    vectors = np.full((kg.n_nodes, known[0].shape[1]), np.nan, dtype=np.float32)
    for table, part in zip(kg.tables[1:], parts, strict=True):
        if part is not None:
            vectors[kg.slice(table.label)] = part
    return parts[0], vectors


def item_vectors(kg: KnowledgeGraph, encoder: TextEncoder) -> FloatArray | None:
    """Vectors of the items' texts (else names)."""
    return _of_table(kg.items, encoder, None)


def _of_table(table: NodeTable, encoder: TextEncoder, before: NodeTable | None) -> FloatArray | None:
    kept = _KEPT.get(table)
    if kept is not None and kept[0] is encoder:
        return kept[1]
    texts = _texts(table)
    found: FloatArray | None = None
    if texts.null_count < len(texts):
        older = None if before is None else _of_table(before, encoder, None)
        if before is None or older is None:
            found = encoder.encode(texts.to_pylist())
        else:
            place = before.vocabulary.find(table.vocabulary.ids)
            earlier = _texts(before).take(pa.array(place, mask=place < 0))
            same = pc.fill_null(pc.equal(texts, earlier), False).to_numpy(zero_copy_only=False)
            found = np.full((len(table), older.shape[1]), np.nan, dtype=np.float32)
            found[same] = older[place[same]]
            new: npt.NDArray[np.int64] = np.flatnonzero(
                ~same & texts.is_valid().to_numpy(zero_copy_only=False)
            )
            if len(new):
                found[new] = encoder.encode(texts.take(pa.array(new)).to_pylist())
    _KEPT[table] = encoder, found
    return found


def _texts(table: NodeTable) -> pa.StringArray:
    return pc.coalesce(table.texts, table.names)
