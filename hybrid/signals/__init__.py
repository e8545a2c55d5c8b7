"""Signals: one opinion on every item each, given a history."""

from . import cold, cold_gnn, similarity
from .base import Signal, SignalConfig
from .closed_form import ClosedForm, Slim
from .facts import Facts
from .gnn import GNN
from .multihop import MultiHop
from .popularity import Popularity
from .svd import ScaledSVD
from .text import TextCosine

SIGNALS: dict[str, type[Signal]] = {
    signal.name: signal
    for signal in (
        MultiHop,
        TextCosine,
        Popularity,
        ClosedForm,
        Slim,
        ScaledSVD,
        GNN,
        Facts,
        cold.Cold,
        cold_gnn.ColdGNN,
        similarity.Similarity,
    )
}
"""Every signal by its name."""

__all__ = [
    "GNN",
    "SIGNALS",
    "ClosedForm",
    "Facts",
    "MultiHop",
    "Popularity",
    "ScaledSVD",
    "Signal",
    "SignalConfig",
    "Slim",
    "TextCosine",
]
