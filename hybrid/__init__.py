"""Signals, fusion, ranking, explanation, evaluation and the command line."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from .comparison import compare
    from .config import HybridConfig
    from .explanation import Explanation
    from .fusion import FusionConfig
    from .paths import FactPath
    from .reasons import Reason
    from .recommender import HybridRecommender, load
    from .state import FitReport

__all__ = [
    "Explanation",
    "FactPath",
    "FitReport",
    "FusionConfig",
    "HybridConfig",
    "HybridRecommender",
    "Reason",
    "compare",
    "load",
]

# Resolved on first use: the command line lives here, and its --help should not wait for torch.
_HOME = {
    "Explanation": "explanation",
    "FactPath": "paths",
    "FitReport": "state",
    "FusionConfig": "fusion",
    "HybridConfig": "config",
    "HybridRecommender": "recommender",
    "compare": "comparison",
    "Reason": "reasons",
    "load": "recommender",
}


def __getattr__(name: str) -> typing.Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
