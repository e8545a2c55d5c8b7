"""An item's vector taken apart again: learned row, text, and each fact by itself.

An item's input is a sum, ``q = row + text + sum over facts`` (see `kgenre.encoders.item_tower.ItemTower`), and what is
scored is q over its length. So a score splits exactly into what each summand brings, given the length; what a fact is
worth when it is gone also changes the length, and the degree by which the item's facts of one relation are scaled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .fact_columns import FactColumns
from .graph_encoder import GraphEncoder
from .item_tower import text_inputs

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ItemParts:
    """The summands of one item's input q.

    Attributes
    ----------
    relation, node
        Of each fact; relations by name, ``^-1`` behind one walked backwards; int64 of shape (n_facts,).
    facts
        float64 of shape (n_facts, d): what each fact adds to q before its relation's degree divides it.
    weight
        float64 of shape (n_facts,).
    degree
        By relation, the item's weighted number of facts.
    norm
        Length of q.
    text
        float64 of shape (d,).
    row
        float64 of shape (d,): what is left, the learned row.
    """

    relation: tuple[str, ...]
    node: npt.NDArray[np.int64]
    facts: Float
    weight: Float
    degree: dict[str, float]
    norm: float
    text: Float
    row: Float

    def by_fact(
        self, gone: npt.NDArray[np.bool_] | None = None, extra: tuple[str, Float] | None = None
    ) -> Float:
        """Each fact's summand without some facts, float64 of shape (n_facts, d); with one more, that is the last."""
        degree, names, vectors = dict(self.degree), list(self.relation), self.facts
        if gone is not None:
            for place in np.flatnonzero(gone):
                degree[names[place]] -= float(self.weight[place])
        if extra is not None:
            degree[extra[0]] = degree.get(extra[0], 0.0) + 1.0
            names.append(extra[0])
            vectors = np.concatenate([vectors, extra[1][None, :]])
        scale = np.array([1 / np.sqrt(degree[name]) if degree[name] > 1e-9 else 0.0 for name in names])
        if gone is not None:
            scale[: len(gone)][gone] = 0.0
        return np.asarray(vectors * scale[:, None])

    def scored(
        self, gone: npt.NDArray[np.bool_] | None = None, extra: tuple[str, Float] | None = None
    ) -> Float:
        """The unit vector without some facts and with one more, float64 of shape (d,)."""
        q = self.row + self.text + self.by_fact(gone, extra).sum(axis=0)
        norm = float(np.linalg.norm(q))
        return np.asarray(q / norm if norm else q)


def item_parts(
    encoder: GraphEncoder,
    item: int,
    facts: Mapping[str, sparse.csr_matrix],
    item_text: npt.NDArray[np.float32] | None,
) -> ItemParts | None:
    """Take an item's vector apart; None where the encoder was saved without what that takes.

    Parameters
    ----------
    encoder
        A fitted encoder.
    item
        The item, by index.
    facts, item_text
        As `GraphEncoder.fit` was given them. Without texts their part stays in the row.
    """
    state = encoder.arrays()
    if "item_norms" not in state or np.isnan(encoder.item_vectors[item]).any():
        return None
    q = encoder.item_vectors[item].astype(np.float64) * float(state["item_norms"][item])
    text = np.zeros(len(q))
    if item_text is not None and "text_weight" in state and item_text.shape[1] == len(state["text_mean"]):
        inputs = text_inputs(item_text[[item]], state["text_mean"])
        text = (inputs @ state["text_weight"])[0].astype(np.float64)
    columns = FactColumns.from_arrays(state)
    names: list[str] = []
    nodes: list[int] = []
    weights: list[float] = []
    vectors: list[Float] = []
    degree: dict[str, float] = {}
    for index, name in enumerate(columns.relations):
        if name not in facts:
            continue
        own = slice(*facts[name].indptr[item : item + 2])
        linked, weight = facts[name].indices[own], facts[name].data[own]
        degree[name] = float(abs(weight).sum())
        for node, value in zip(linked.tolist(), weight.tolist(), strict=True):
            vector = fact_vector(state, columns, index, node)
            if vector is not None:
                names.append(name)
                nodes.append(node)
                weights.append(abs(value))
                vectors.append(value * vector)
    parts = ItemParts(
        relation=tuple(names),
        node=np.array(nodes, dtype=np.int64),
        facts=np.stack(vectors) if vectors else np.zeros((0, len(q))),
        weight=np.array(weights),
        degree=degree,
        norm=float(state["item_norms"][item]),
        text=text,
        row=np.zeros(len(q)),
    )
    return replace(parts, row=q - text - parts.by_fact().sum(axis=0))


def fact_vector(
    state: Mapping[str, npt.NDArray[Any]], columns: FactColumns, relation: int, node: int
) -> Float | None:
    """What a fact adds to an item that has no other of its relation, or None where it was not learned."""
    first, last = np.searchsorted(columns.relation, [relation, relation + 1])
    place = int(first + np.searchsorted(columns.node[first:last], node))
    if place >= last or columns.node[place] != node:
        return None
    row = int(np.searchsorted(state["nodes"], node))
    gate = float(state["gates"][relation]) / np.sqrt(float(columns.degree[place]))
    return np.asarray(state["node_vectors"][row].astype(np.float64) * gate)


def with_facts(
    encoder: GraphEncoder,
    before: Mapping[str, sparse.csr_matrix],
    after: Mapping[str, sparse.csr_matrix],
    popularity: npt.NDArray[np.float32],
) -> GraphEncoder:
    """The encoder had the items other facts, with frozen weights: a full forward pass on the changed graph.

    Parameters
    ----------
    encoder
        A fitted encoder.
    before, after
        The facts it was fitted on, and those to come.
    popularity
        Likes of each item when it was fitted, float32 of shape (n_items,).
    """
    state = encoder.arrays()
    columns = FactColumns.from_arrays(state)
    if "item_norms" not in state or not len(columns.node):
        return encoder
    n_items = len(encoder.item_vectors)
    senders = state["node_vectors"][np.searchsorted(state["nodes"], columns.node)]
    senders = senders * state["gates"][columns.relation][:, None]
    change = (columns.adjacency(after, n_items) - columns.adjacency(before, n_items)) @ senders
    moved = np.flatnonzero(np.any(change, axis=1) & ~np.isnan(encoder.item_vectors).any(axis=1))
    q = encoder.item_vectors[moved] * state["item_norms"][moved, None] + change[moved]
    norm = np.linalg.norm(q, axis=1)
    counted = np.where(popularity[moved] > 0, popularity[moved], state["usual_popularity"])
    for name in ("item_vectors", "history_vectors", "item_norms"):
        state[name] = state[name].copy()
    state["item_vectors"][moved] = q / np.maximum(norm, 1e-12)[:, None]
    state["item_norms"][moved] = norm
    state["history_vectors"][moved] += (
        float(state["history_scale"]) * change[moved] / np.sqrt(counted)[:, None]
    )
    return type(encoder).from_arrays(encoder.config, state)
