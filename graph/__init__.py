"""The knowledge graph: the frozen snapshot, the live store, and the ways in and out."""

from .builder import GraphBuilder
from .errors import KgenreError
from .knowledge_graph import Facts, Interactions, KnowledgeGraph, NodeTable
from .schema import GraphSchema
from .store import GraphStore, connect

__all__ = [
    "Facts",
    "GraphBuilder",
    "GraphSchema",
    "GraphStore",
    "Interactions",
    "KgenreError",
    "KnowledgeGraph",
    "NodeTable",
    "connect",
]
