"""Signals, fusion, ranking, explanation, evaluation and the command line."""

from .config import HybridConfig
from .explanation import Explanation, Reason
from .fusion import FusionConfig
from .paths import FactPath
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
    "load",
]
