"""Signals: one opinion on every item each, given a history."""

from .base import Signal, SignalConfig
from .closed_form import ClosedForm, Slim
from .cold import Cold
from .cold_gnn import ColdGNN
from .facts import Facts
from .gnn import GNN
from .multihop import MultiHop
from .popularity import Popularity
from .similarity import Similarity
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
        Cold,
        ColdGNN,
        Similarity,
    )
}
"""Every signal by its name."""

__all__ = [
    "GNN",
    "SIGNALS",
    "ClosedForm",
    "Cold",
    "ColdGNN",
    "Facts",
    "MultiHop",
    "Popularity",
    "ScaledSVD",
    "Signal",
    "SignalConfig",
    "Similarity",
    "Slim",
    "TextCosine",
]
