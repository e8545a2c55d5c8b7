"""The graph for other libraries: PyG and networkx, imported only when asked for."""

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import INTERACTED, NAME, TEXT, TIMESTAMP, WEIGHT
from .errors import MissingDependencyError

if TYPE_CHECKING:
    import networkx
    import torch_geometric.data

    from .knowledge_graph import KnowledgeGraph


def _import(module: str, package: str) -> Any:
    # By name at run time: the graph itself must work, and be tested, without any of these.
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependencyError(f"{package} is not installed; run pip install {package}") from None


def to_hetero_data(kg: "KnowledgeGraph") -> "torch_geometric.data.HeteroData":
    """The graph as PyG `HeteroData`.

    Returns
    -------
    HeteroData
        For each label ``num_nodes`` and ``node_id`` (the external ids); for interactions and for each
        relation between two labels ``edge_index``, int64 of shape (2, n), within the labels, and where they
        are known ``weight`` (float32) and ``timestamp`` (float64), both of shape (n,).

    Raises
    ------
    MissingDependencyError
        If torch or torch-geometric is not installed.
    """
    torch = _import("torch", "torch")
    data = _import("torch_geometric.data", "torch-geometric").HeteroData()

    def add(source: str, relation: str, target: str, edges: Any, weight: Any, timestamp: Any) -> None:
        store = data[source, relation, target]
        store.edge_index = torch.from_numpy(np.stack(edges).astype(np.int64))
        for name, values in ((WEIGHT, weight), (TIMESTAMP, timestamp)):
            if values is not None:
                store[name] = torch.from_numpy(np.array(values))

    for table in kg.tables:
        data[table.label].num_nodes = len(table)
        data[table.label].node_id = list(table.vocabulary)
    inter = kg.interactions
    add(kg.users.label, INTERACTED, kg.items.label, [inter.user, inter.item], inter.weight, inter.timestamp)
    for facts in kg.facts:
        heads = np.searchsorted(kg.offsets, facts.head, side="right") - 1
        tails = np.searchsorted(kg.offsets, facts.tail, side="right") - 1
        for source, target in np.unique(np.stack([heads, tails]), axis=1).T:
            keep = (heads == source) & (tails == target)
            edges = [facts.head[keep] - kg.offsets[source], facts.tail[keep] - kg.offsets[target]]
            weight = None if facts.weight is None else facts.weight[keep]
            timestamp = None if facts.timestamp is None else facts.timestamp[keep]
            add(kg.labels[source], facts.relation, kg.labels[target], edges, weight, timestamp)
    return data


def to_networkx(kg: "KnowledgeGraph") -> "networkx.MultiDiGraph":
    """The graph as a networkx multigraph.

    Returns
    -------
    MultiDiGraph
        Nodes (label, id) with label, name, text and properties as attributes where they are known; edges
        keyed by relation (interactions by ``INTERACTED``) with weight and timestamp.

    Raises
    ------
    MissingDependencyError
        If networkx is not installed.
    """
    graph = _import("networkx", "networkx").MultiDiGraph()
    nodes: list[tuple[str, str]] = []
    for table in kg.tables:
        columns = {NAME: table.names, TEXT: table.texts}
        columns |= {key: table.properties.column(key) for key in table.properties.column_names}
        values = {key: column.to_pylist() for key, column in columns.items()}
        for row, key in enumerate(table.vocabulary):
            known = {name: column[row] for name, column in values.items() if column[row] is not None}
            nodes.append((table.label, key))
            graph.add_node(nodes[-1])
            graph.nodes[nodes[-1]].update(known, label=table.label)
    inter = kg.interactions
    _add_edges(graph, nodes, INTERACTED, inter.user, inter.item + kg.n_users, inter.weight, inter.timestamp)
    for facts in kg.facts:
        _add_edges(graph, nodes, facts.relation, facts.head, facts.tail, facts.weight, facts.timestamp)
    return graph


def _add_edges(
    graph: Any,
    nodes: list[tuple[str, str]],
    relation: str,
    heads: Any,
    tails: Any,
    weight: Any,
    timestamp: Any,
) -> None:
    notes = {
        name: values for name, values in ((WEIGHT, weight), (TIMESTAMP, timestamp)) if values is not None
    }
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        known = {name: float(values[row]) for name, values in notes.items() if not np.isnan(values[row])}
        graph.add_edge(nodes[head], nodes[tail], key=relation, **known)
