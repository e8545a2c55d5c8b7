"""kgenre: a hybrid recommender on a knowledge graph.

The six names below are the front door; everything else lives in `kgenre.graph`, `kgenre.encoders`
and `kgenre.hybrid`.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgenre.graph import GraphSchema, KgenreError, KnowledgeGraph, connect
    from kgenre.hybrid import HybridRecommender, load

__all__ = ["GraphSchema", "HybridRecommender", "KgenreError", "KnowledgeGraph", "connect", "load"]
__version__ = _version("kgenre")

# Resolved on first use, so that `import kgenre` and the command line's --help do not wait for torch.
_HOME = {
    "GraphSchema": "kgenre.graph",
    "KgenreError": "kgenre.graph",
    "KnowledgeGraph": "kgenre.graph",
    "connect": "kgenre.graph",
    "HybridRecommender": "kgenre.hybrid",
    "load": "kgenre.hybrid",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'kgenre' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext kgenre`` calls: the magics ``%%cypher`` and ``%%sparql``; see `kgenre.graph.magics`."""
    import_module("kgenre.graph.magics").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """What ``%unload_ext kgenre`` calls: closes the stores that the magics opened."""
    import_module("kgenre.graph.magics").unload(shell)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
