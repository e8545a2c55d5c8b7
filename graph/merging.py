"""A small change put into a large graph: what `GraphBuilder` makes of both, in time that the change decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from .knowledge_graph import Facts, KnowledgeGraph, NodeTable
from .vocabulary import Vocabulary

Places = npt.NDArray[np.int64]
_MATRICES = ("likes", "seen", "dislikes")


def merged(kg: KnowledgeGraph, other: KnowledgeGraph) -> KnowledgeGraph | None:
    """The union of a graph with items, entities and facts, as `KnowledgeGraph.merge` has it.

    None where it takes the builder: for interactions, new users or values of users, other labels of users and items,
    and properties of another type.
    """
    if len(other.interactions) or other.labels[:2] != kg.labels[:2]:
        return None
    others = list(kg.labels[2:])
    if others != sorted(others):
        return None
    tables: list[NodeTable] = []
    place = np.empty(kg.n_nodes, dtype=np.int64)
    given = np.empty(other.n_nodes, dtype=np.int64)
    start = 0
    for label in [*kg.labels[:2], *sorted({*others, *other.labels[2:]})]:
        mine = kg.table(label) if label in kg.labels else None
        theirs = other.table(label) if label in other.labels else None
        found = _union(mine, theirs)
        if found is None or (label == kg.users.label and found[0] is not mine):
            return None
        table, own, added = found
        if mine is not None:
            place[kg.slice(label)] = own + start
        if theirs is not None:
            given[other.slice(label)] = added + start
        tables.append(table)
        start += len(table)
    facts = []
    for relation in sorted({*kg.relations, *other.relations}):
        one, two = (
            _placed(graph.relation(relation), where) if relation in graph.relations else None
            for graph, where in ((kg, place), (other, given))
        )
        facts.append(_both(one, two, start))
    result = KnowledgeGraph(tuple(tables), kg.interactions, tuple(facts))
    if tables[1] is not kg.items:
        item = place[kg.n_users : kg.n_users + kg.n_items] - kg.n_users
        result = replace(
            result, interactions=replace(kg.interactions, item=_frozen(item[kg.interactions.item], np.int32))
        )
        carry_matrices(kg, result, item)
    else:
        carry_matrices(kg, result)
    return result


def carry_matrices(before: KnowledgeGraph, after: KnowledgeGraph, items: Places | None = None) -> None:
    """Give a graph of the same interactions the matrices that were made of them.

    Parameters
    ----------
    before, after
        The graphs.
    items
        Where each item is now, in the order of before; where it was if None.
    """
    for name in _MATRICES:
        # Where `cached_property` keeps them.
        if name in before.__dict__:
            after.__dict__[name] = moved_columns(before.__dict__[name], items, after.n_items)


def moved_columns(matrix: sparse.csr_matrix, items: Places | None, n_items: int) -> sparse.csr_matrix:
    """A CSR matrix whose column i is now ``items[i]``, in the order of before."""
    if items is None:
        return matrix
    moved = np.flatnonzero(items != np.arange(len(items)))
    if not len(moved):
        indices = matrix.indices
    elif (items[moved[0] :] - np.arange(moved[0], len(items)) == 1).all():
        # One new item, which is the rule: far cheaper than a look-up of each.
        indices = matrix.indices + (matrix.indices >= moved[0])
    else:
        indices = items.astype(matrix.indices.dtype)[matrix.indices]
    indices = indices.astype(matrix.indices.dtype, copy=False)
    found = sparse.csr_matrix((matrix.data, indices, matrix.indptr), shape=(matrix.shape[0], n_items))
    found.has_sorted_indices = matrix.has_sorted_indices
    return found


def _union(mine: NodeTable | None, theirs: NodeTable | None) -> tuple[NodeTable, Places, Places] | None:
    """Both tables in one, and where the rows of each are there."""
    nothing = np.empty(0, dtype=np.int64)
    if mine is None:
        assert theirs is not None
        return theirs, nothing, np.arange(len(theirs))
    n = len(mine)
    if theirs is None:
        return mine, np.arange(n), nothing
    found = mine.vocabulary.find(theirs.vocabulary.ids).astype(np.int64)
    new = np.flatnonzero(found < 0)
    silent = [array.null_count == len(array) for array in (theirs.names, theirs.texts)]
    if not len(new) and all(silent) and not theirs.properties.num_columns:
        return mine, np.arange(n), found
    at = np.searchsorted(mine.vocabulary.ids, theirs.vocabulary.ids[new])
    order = np.insert(np.arange(n), at, n + new)
    own = np.flatnonzero(order < n)
    added = np.empty(len(theirs), dtype=np.int64)
    added[new] = np.flatnonzero(order >= n)
    added[found >= 0] = own[found[found >= 0]]

    def column(one: Any, two: Any) -> Any:
        """Theirs where it is not null, else mine; one that lacks the column has nulls."""
        kind = one.type if one is not None else two.type
        one = pa.nulls(n, kind) if one is None else one
        two = pa.nulls(len(theirs), kind) if two is None else two
        rows = order.copy()
        said = two.is_valid().to_numpy(zero_copy_only=False) & (found >= 0)
        rows[added[said]] = n + np.flatnonzero(said)
        return pa.concat_arrays([one, two]).take(pa.array(rows))

    fields, columns = [], []
    for name in sorted({*mine.properties.column_names, *theirs.properties.column_names}):
        known = [
            table.properties.schema.field(name) if name in table.properties.column_names else None
            for table in (mine, theirs)
        ]
        held = [field for field in known if field is not None]
        if held[0].type != held[-1].type or held[0].metadata != held[-1].metadata:
            return None
        fields.append(held[0])
        columns.append(
            column(
                *(
                    None if field is None else table.properties[name].combine_chunks()
                    for field, table in zip(known, (mine, theirs), strict=True)
                )
            )
        )
    table = NodeTable(
        label=mine.label,
        vocabulary=mine.vocabulary
        if not len(new)
        else Vocabulary(np.insert(mine.vocabulary.ids, at, theirs.vocabulary.ids[new]), mine.vocabulary.kind),
        names=column(mine.names, theirs.names),
        texts=column(mine.texts, theirs.texts),
        properties=pa.table(columns, schema=pa.schema(fields)),
    )
    return table, own, added


def _placed(facts: Facts, place: Places) -> Facts:
    return replace(
        facts, head=_frozen(place[facts.head], np.int32), tail=_frozen(place[facts.tail], np.int32)
    )


def _both(mine: Facts | None, theirs: Facts | None, n_nodes: int) -> Facts:
    """The facts of a relation in two graphs; of the same triple in both, theirs."""
    if mine is None or theirs is None:
        only = mine or theirs
        assert only is not None
        return only
    one, two = (part.head.astype(np.int64) * n_nodes + part.tail for part in (mine, theirs))
    kept = np.ones(len(one), dtype=bool)
    at = np.searchsorted(one, two)
    inside = at < len(one)
    again = at[inside][one[at[inside]] == two[inside]]
    kept[again] = False
    order = np.argsort(np.concatenate((one[kept], two)), kind="stable")

    def column(name: str, missing: float, dtype: Any) -> Any:
        values = [getattr(part, name) for part in (mine, theirs)]
        if (values[0] is None or not kept.any()) and values[1] is None:
            return None
        first, second = (
            np.full(len(part), missing) if value is None else value
            for value, part in zip(values, (mine, theirs), strict=True)
        )
        return _frozen(np.concatenate((first[kept], second))[order], dtype)

    return Facts(
        relation=mine.relation,
        head=_frozen(np.concatenate((mine.head[kept], theirs.head))[order], np.int32),
        tail=_frozen(np.concatenate((mine.tail[kept], theirs.tail))[order], np.int32),
        weight=column("weight", 1.0, np.float32),
        timestamp=column("timestamp", np.nan, np.float64),
    )


def _frozen(array: npt.NDArray[Any], dtype: Any) -> Any:
    array = np.ascontiguousarray(array, dtype=dtype)
    array.flags.writeable = False
    return array
