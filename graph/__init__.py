"""The knowledge graph: the frozen snapshot, the live store, and the ways in and out."""

from .builder import GraphBuilder
from .errors import KgenreError
from .knowledge_graph import Facts, Interactions, KnowledgeGraph, NodeTable

__all__ = ["Facts", "GraphBuilder", "Interactions", "KgenreError", "KnowledgeGraph", "NodeTable"]
