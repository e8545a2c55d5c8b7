from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, SupportsIndex

from .knowledge_graph import KnowledgeGraph

Level = Literal["error", "warning", "info"]

_EXAMPLES = 3
_SHOWN = 60


@dataclass(frozen=True)
class Finding:
    """One thing that a check found in a graph.

    Attributes
    ----------
    check
        Name of the check ("link_alignment").
    level
        "error": results on this graph mean little before it is mended; "warning": part of the data is lost or
        wrong; "info": worth knowing, nothing to mend for.
    message
        What was found, one sentence.
    value
        The figure the check decided by: a z score, a share in [0, 1], or a number of things.
    count
        How many things (nodes, relations, interactions, ...) are concerned.
    examples
        Up to three of them.
    remedy
        What to do.
    """

    check: str
    level: Level
    message: str
    value: float
    count: int
    examples: tuple[str, ...]
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        return {**asdict(self), "examples": list(self.examples)}


def few(things: Iterable[str]) -> tuple[str, ...]:
    """The first three."""
    return tuple(thing for thing, _ in zip(things, range(_EXAMPLES), strict=False))


def quoted(text: str) -> str:
    """An id, name or text on one line, cut where it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def shown(kg: KnowledgeGraph, node: SupportsIndex) -> str:
    """Label, id and name of a node of the node space: ``Item '267' ('Alien')``."""
    table, row = kg.locate(node.__index__())
    name = table.names[row].as_py()
    return f"{table.label} {quoted(table.vocabulary[row])}" + (f" ({quoted(name)})" if name else "")
