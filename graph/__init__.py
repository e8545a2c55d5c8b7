"""The knowledge graph: the frozen snapshot, the live store, and the ways in and out."""

import importlib
import typing

if typing.TYPE_CHECKING:
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

# Resolved on first use: the command line needs the errors at once, and a Ctrl-C before it is ready to answer one
# would be a traceback.
_HOME = {
    "Facts": "knowledge_graph",
    "GraphBuilder": "builder",
    "GraphSchema": "schema",
    "GraphStore": "store",
    "Interactions": "knowledge_graph",
    "KgenreError": "errors",
    "KnowledgeGraph": "knowledge_graph",
    "NodeTable": "knowledge_graph",
    "connect": "store",
}


def __getattr__(name: str) -> typing.Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
