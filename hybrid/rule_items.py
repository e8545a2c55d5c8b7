"""Which items a rule is about."""

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError, did_you_mean

from .rules import Selection

if TYPE_CHECKING:
    from kgenre.graph import GraphStore

log = logging.getLogger(__name__)

_DATE = re.compile(r"\d{4}-\d\d")

BoolArray = npt.NDArray[np.bool_]


class Chosen:
    """The items of a selection: for everybody, or by what somebody likes.

    Raises
    ------
    UnknownIdError
        For an unknown item, relation or entity, with the nearest.
    ConfigError
        For an unknown property, or a query without a store to ask.
    """

    def __init__(self, selection: Selection, kg: KnowledgeGraph, store: "GraphStore | None") -> None:
        self._all = np.ones(kg.n_items, dtype=bool)
        self._entities: sparse.csr_matrix | None = None
        if selection.items is not None:
            self._all &= _named(kg, kg.items.vocabulary.index(list(selection.items)))
        if selection.relation is not None:
            links = entity_links(kg, selection.relation)
            if selection.liked:
                self._entities = links
            if selection.entities is not None:
                links = sparse.csr_matrix(links[:, _entity_nodes(kg, links, selection)])
            self._all &= np.diff(links.indptr) > 0
        if selection.property is not None:
            self._all &= _by_property(kg, selection)
        if selection.cypher is not None:
            self._all &= _by_query(kg, selection, store)

    @property
    def for_all(self) -> BoolArray | None:
        """The items, boolean of shape (n_items,); None where it depends on the user."""
        return None if self._entities is not None else self._all

    def of(self, histories: sparse.csr_matrix) -> BoolArray:
        """The items for each history, boolean of shape (b, n_items)."""
        if self._entities is None:
            return np.broadcast_to(self._all, histories.shape)
        liked = sparse.csr_matrix(histories > 0, dtype=np.float32)
        reached = (liked @ self._entities) @ self._entities.T
        return np.asarray((reached.toarray() > 0) & self._all)


def entity_links(kg: KnowledgeGraph, relation: str) -> sparse.csr_matrix:
    """Which nodes a relation leads each item to, in either direction: CSR of ones, (n_items, n_nodes).

    Raises
    ------
    UnknownIdError
        If there is no such relation.
    ConfigError
        If it touches no item.
    """
    facts, first = kg.relation(relation), kg.n_users
    item = np.concatenate((facts.head, facts.tail)) - first
    node = np.concatenate((facts.tail, facts.head))
    kept = (item >= 0) & (item < kg.n_items)
    if not kept.any():
        raise ConfigError(f"no fact of {relation} touches an item; name a relation of items")
    links = sparse.csr_matrix(
        (np.ones(int(kept.sum()), dtype=np.float32), (item[kept], node[kept])), shape=(kg.n_items, kg.n_nodes)
    )
    links.data[:] = 1.0
    return links


def _entity_nodes(
    kg: KnowledgeGraph, links: sparse.csr_matrix, selection: Selection
) -> npt.NDArray[np.int64]:
    nodes = np.unique(links.indices).astype(np.int64)
    known: dict[str, list[int]] = {}
    for node in nodes:
        for key in {kg.node_id(int(node)).casefold(), kg.node_name(int(node)).casefold()}:
            known.setdefault(key, []).append(int(node))
    found = []
    for entity in selection.entities or ():
        if entity.casefold() not in known:
            raise UnknownIdError(
                f"{selection.relation} leads no item to {entity!r}{did_you_mean(entity.casefold(), known)}"
            )
        found += known[entity.casefold()]
    return np.array(sorted(set(found)), dtype=np.int64)


def _by_property(kg: KnowledgeGraph, selection: Selection) -> BoolArray:
    table, name = kg.items.properties, str(selection.property)
    if name not in table.column_names:
        raise ConfigError(f"items have no property {name!r}{did_you_mean(name, table.column_names)}")
    values = pd.Series(table[name].to_pylist(), dtype=object)
    kept = values.notna()
    if selection.equals is not None:
        wanted = {str(value) for value in selection.equals}
        kept &= values.map(lambda value: bool(wanted & _texts(value)))
    if selection.at_least is not None or selection.below is not None:
        numbers = pd.to_numeric(values.map(_number), errors="coerce")
        if selection.at_least is not None:
            kept &= numbers >= selection.at_least
        if selection.below is not None:
            kept &= numbers < selection.below
    return kept.to_numpy(dtype=bool)


def _texts(value: Any) -> set[str]:
    if isinstance(value, list):
        return {str(one) for one in value}
    return {str(value), f"{value:g}"} if isinstance(value, float) else {str(value)}


def _number(value: Any) -> Any:
    """The value; of a date its year."""
    if isinstance(value, str) and _DATE.match(value):
        return value[:4]
    return getattr(value, "year", value)


def _by_query(kg: KnowledgeGraph, selection: Selection, store: "GraphStore | None") -> BoolArray:
    if store is None:
        raise ConfigError(
            "a rule asks in Cypher, but the recommender was not fitted on a store; name items instead"
        )
    found = store.cypher(str(selection.cypher), **selection.parameters)
    if not found.shape[1]:
        raise ConfigError("a rule's query returns no column; return item ids first")
    index = kg.items.vocabulary.find(found.iloc[:, 0].astype(str).to_numpy(dtype=object))
    if len(index) and not (index >= 0).any():
        raise ConfigError(
            f"none of the {len(index)} values that a rule's query returned is an item's id; return ids first"
        )
    if (index < 0).any():
        log.warning("%d items of a rule's query are not in the model", int((index < 0).sum()))
    return _named(kg, index[index >= 0])


def _named(kg: KnowledgeGraph, index: Any) -> BoolArray:
    mask = np.zeros(kg.n_items, dtype=bool)
    mask[index] = True
    return mask
