"""What a fit will need is said before it is needed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError

from .config import HybridConfig
from .signals.closed_form import MAX_ITEMS
from .signals.products import DENSE_ITEMS

GIB = 2**30
_CELL = 4
"""Bytes of a float32."""
_TEXT = 384
"""Length of a MiniLM vector; other models are of this order."""
_BASE = GIB
"""Python, torch and the libraries."""


def needed(kg: KnowledgeGraph, config: HybridConfig, signals: Sequence[str]) -> dict[str, int]:
    """Bytes that the parts of a fit take at their peak, by what they are for: a rough estimate.

    Measured on MovieLens-1M and on synthetic catalogues of 17,600 and 25,000 items; see `benchmarks/scale.py`.
    """
    square = kg.n_items**2 * _CELL
    validated = min(config.validation.users, max(40_000_000 // max(kg.n_items, 1), 1), kg.n_users)
    texts = kg.n_nodes - kg.n_users if "text" in signals else 0
    parts = {
        "likes and facts": 60 * (kg.n_interactions + kg.n_facts),
        "text vectors": 4 * texts * _TEXT * _CELL,
        "scores of the validation users": 2 * len(signals) * validated * kg.n_items * _CELL,
        "signal cold": 7 * square if "cold" in signals and kg.n_items <= MAX_ITEMS else 0,
        "item-item matrices": 8 * square if kg.n_items <= DENSE_ITEMS else 0,
        "graph encoder": _encoder(kg, config) if "gnn" in signals else 0,
        "nearest items": 12 * 1000 * kg.n_items if kg.n_items > DENSE_ITEMS else 0,
    }
    return {part: size for part, size in parts.items() if size}


def _encoder(kg: KnowledgeGraph, config: HybridConfig) -> int:
    """Two learned rows of an item and one of a node, each with gradient, moments and a copy; facts twice."""
    rows = 2 * kg.n_items + kg.n_nodes - kg.n_users - kg.n_items
    return 5 * rows * config.gnn.encoder.embedding_size * _CELL + 60 * kg.n_facts


def available() -> int | None:
    """Bytes that can still be taken, by the kernel and by the limit of the container; None where nobody says."""
    found = [value for value in (_free(), _left_in_container()) if value is not None]
    return min(found, default=None)


def check(kg: KnowledgeGraph, config: HybridConfig, signals: Sequence[str], free: int | None = None) -> None:
    """Refuse a fit that does not fit.

    Raises
    ------
    ConfigError
        With what it needs, what is free, what takes most and what to change.
    """
    free = available() if free is None else free
    parts = needed(kg, config, signals)
    total = _BASE + sum(parts.values())
    if free is None or total <= free:
        return
    largest = max(parts, key=lambda part: parts[part])
    raise ConfigError(
        f"this fit needs about {_gib(total)} GiB and {_gib(free)} are free; most of it is for the {largest} "
        f"({_gib(parts[largest])} GiB): {_remedy(largest, config)}"
    )


def _remedy(part: str, config: HybridConfig) -> str:
    remedies: Mapping[str, str] = {
        "text vectors": "leave `text` out of `signals`",
        "scores of the validation users": f"lower validation.users (now {config.validation.users})",
        "signal cold": "leave `cold` out of `signals`",
        "item-item matrices": "leave `closed_form`, `slim` and `svd` out of `signals`",
    }
    return remedies.get(part, "fit a smaller graph, or on a larger machine")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"


def _free() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _left_in_container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return None if limit == "max" else max(int(limit) - used, 0)
    except (OSError, ValueError):
        return None
