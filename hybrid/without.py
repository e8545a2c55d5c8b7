"""A model without some relations or signals: a state made for one question, which the recommender does not keep."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, did_you_mean

from .data import SignalData
from .signals import Signal
from .state import ModelState

_KEPT = 4
"""Sets of relations whose signals are kept with the graph."""


def without_relations(state: ModelState, relations: Sequence[str], data: SignalData) -> ModelState:
    """The model as if the graph did not have the facts of some relations, all that was learned from likes as it is.

    Parameters
    ----------
    state
        The model.
    relations
        Names of relations of the graph; a relation's stored inverse goes with it.
    data
        See `kgenre.hybrid.attribution.explaining_data`.

    Returns
    -------
    ModelState
        Each signal by its own `Signal.with_facts`: ``multihop`` (given how much either kind of walk counts), ``facts``
        and ``similarity`` (Jaccard) computed again; ``closed_form`` exactly what it would be, as it is linear in its
        prior; ``slim`` the same given which of its entries are not 0; ``svd`` given its singular vectors; ``gnn`` and
        ``cold_gnn`` by a forward pass with frozen weights; ``cold`` by the changed kernel in the regression that was
        solved. ``text`` and ``popularity`` know no facts. What was tuned or trained with the facts at hand stays:
        settings, weights of the fusion, the GNN's parameters. Above 8,000 items ``closed_form``, ``slim``, ``svd`` and
        ``cold`` keep their tables.

    Raises
    ------
    ConfigError
        If the graph has no such relation.
    """
    if isinstance(relations, str):
        raise ConfigError(f"without_relations={relations!r} is one string; give a list of relations")
    names = tuple(sorted({str(name).removesuffix("^-1") for name in relations}))
    if not names:
        return state
    for name in names:
        if name not in state.kg.relations:
            raise ConfigError(f"the graph has no relation {name!r}{did_you_mean(name, state.kg.relations)}")
    kept: dict[tuple[str, ...], tuple[tuple[Signal, ...], tuple[Signal, ...]]]
    kept = state.kg._cache.setdefault("without relations", {})
    if names not in kept or kept[names][0] is not state.signals:
        after = data.with_facts(facts_without(state.kg, names))
        signals = tuple(signal.with_facts(data, after) for signal in state.signals)
        while len(kept) >= _KEPT:
            kept.pop(next(iter(kept)))
        kept[names] = state.signals, signals
    return replace(state, signals=kept[names][1])


def facts_without(kg: KnowledgeGraph, relations: Sequence[str]) -> dict[str, sparse.csr_matrix]:
    """`KnowledgeGraph.item_facts` without some relations, nor others that hold the very same pairs."""
    facts = kg.item_facts()
    left = {name: matrix for name, matrix in facts.items() if name.removesuffix("^-1") not in relations}
    first, last = kg.n_users, kg.n_users + kg.n_items
    for relation in relations:
        gone = kg.relation(relation)
        for item, other in ((gone.head, gone.tail), (gone.tail, gone.head)):
            of_item = (item >= first) & (item < last)
            pairs = np.unique((item[of_item] - first).astype(np.int64) * kg.n_nodes + other[of_item])
            for name, matrix in list(left.items()):
                row, column = matrix.nonzero()
                if len(row) == len(pairs) and len(pairs):
                    same = np.array_equal(np.sort(row.astype(np.int64) * kg.n_nodes + column), pairs)
                    if same:
                        del left[name]
    return left


def without_signals(state: ModelState, signals: Sequence[str]) -> ModelState:
    """The model with the weight 0 for some signals.

    Raises
    ------
    ConfigError
        If the model has no such signal, or none with a weight would be left.
    """
    if isinstance(signals, str):
        raise ConfigError(f"without_signals={signals!r} is one string; give a list of signals")
    for name in signals:
        if name not in state.names:
            raise ConfigError(f"the model has no signal {name!r}{did_you_mean(name, state.names)}")
    kept = np.array([name not in signals for name in state.names], dtype=np.float64)
    weights = state.weights * kept
    if len(signals) and not weights.any():
        raise ConfigError(f"without {', '.join(signals)} no signal has a weight; leave one of them in")
    cold = None if state.cold_weights is None else state.cold_weights * kept
    return replace(state, weights=weights, cold_weights=cold)
