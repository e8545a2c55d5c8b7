"""Walking a graph: a node and what it is linked to, drawn, then what those are linked to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .errors import ConfigError, UnknownIdError, did_you_mean
from .picture import GraphPicture, PictureEdge, PictureNode, edges_between

if TYPE_CHECKING:
    import neo4j_viz.widget

LIMIT = 30
"""Relationships of one node that are drawn, unless asked for more."""
_CYPHER = re.compile(r"\s*(//[^\n]*\n\s*)*(MATCH|OPTIONAL|CALL|WITH|UNWIND|RETURN|CYPHER)\s", re.IGNORECASE)


class Surroundings(Protocol):
    """Where an exploration goes on: a store or a snapshot."""

    def find(self, start: str | tuple[str, str]) -> list[PictureNode]:
        """The nodes of a label and id, or of an id or name in any label."""
        ...

    def around(self, node: PictureNode, limit: int) -> GraphPicture:
        """A node's relationships and their other ends; notices say what is left out."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Exploration(GraphPicture):
    """A part of a graph that can be walked on from: see `GraphPicture` for what it shows.

    Made by `GraphStore.explore` and `KnowledgeGraph.explore`.

    Attributes
    ----------
    limit
        How many relationships of one node are drawn.
    """

    limit: int = LIMIT
    source: Surroundings | None = field(default=None, repr=False)

    def expand(self, node: str | tuple[str, str]) -> "Exploration":
        """Draw as well what one of the nodes is linked to.

        Parameters
        ----------
        node
            Id or name of a node that is drawn, or (label, id).

        Raises
        ------
        UnknownIdError
            If no node that is drawn is called so.
        """
        assert self.source is not None
        more = [self.source.around(found, self.limit) for found in self._drawn(node)]
        return _joined([self, *more], self.limit, self.source)

    def widget(self) -> "neo4j_viz.widget.GraphWidget":
        """The picture as a live widget, where a double click on a node expands it.

        It takes a running kernel; a notebook that is only read shows nothing in its place.

        Raises
        ------
        MissingDependencyError
            If neo4j-viz is not installed.
        """
        return _Live(self).widget

    def _drawn(self, node: str | tuple[str, str]) -> list[PictureNode]:
        if isinstance(node, tuple):
            found = [one for one in self.nodes if (one.label, one.id) == node]
        else:
            found = [one for one in self.nodes if one.id == node] or [
                one for one in self.nodes if one.name == node
            ]
        if not found:
            names = [one.name for one in self.nodes]
            raise UnknownIdError(f"no node that is drawn is {node!r}{did_you_mean(str(node), names)}")
        return found


class _Live:
    """Keeps a widget and the exploration that it shows together."""

    def __init__(self, shown: Exploration) -> None:
        self.shown = shown
        self.widget = shown.graph().render_widget(height="460px", show_layout_button=False)
        self.widget.on_node_event("double_click", self._expand)

    def _expand(self, node: Any) -> None:
        clicked = next((one for one in self.shown.nodes if node is not None and one.key == node.id), None)
        if clicked is None or self.shown.source is None:
            return
        more = self.shown.source.around(clicked, self.shown.limit)
        self.shown = _joined([self.shown, more], self.shown.limit, self.shown.source)
        graph = self.shown.graph()
        self.widget.add_data(graph.nodes, graph.relationships, on_duplicate="replace")
        self.widget.legend = graph.legend


def explore(source: Surroundings, start: str | tuple[str, str], limit: int) -> Exploration:
    """What a node (all nodes of that id or name) is linked to.

    Raises
    ------
    UnknownIdError
        If there is no such node.
    ConfigError
        If `limit` is below 1.
    """
    if limit < 1:
        raise ConfigError(
            f"limit={limit}, but a node has to be drawn with at least one relationship; raise it"
        )
    return _joined([source.around(node, limit) for node in source.find(start)], limit, source)


def is_cypher(text: str) -> bool:
    """Whether a text is a query rather than the id or name of a node."""
    return _CYPHER.match(text) is not None and re.search(r"\bRETURN\b", text, re.IGNORECASE) is not None


def shares(sizes: Sequence[int], limit: int) -> list[int]:
    """How many of each group are drawn: small groups whole, the large ones alike."""
    left, given = limit, [0] * len(sizes)
    for rank, place in enumerate(sorted(range(len(sizes)), key=lambda place: sizes[place])):
        fair = max(left // (len(sizes) - rank), 1)
        given[place] = min(sizes[place], fair)
        left = max(left - given[place], 0)
    return given


def _joined(parts: Sequence[GraphPicture], limit: int, source: Surroundings) -> Exploration:
    nodes = {node.key: node for part in parts for node in part.nodes}
    edges = edges_between(nodes, [edge for part in parts for edge in part.edges])
    notices = dict.fromkeys(notice for part in parts for notice in part.notices)
    return Exploration(tuple(nodes.values()), tuple(edges), tuple(notices), limit, source)


def sampled(name: str, relation: str, shown: int, total: int) -> str:
    """The notice that a node has more relationships than are drawn."""
    return f"{name}: {shown:,} of its {total:,} {relation} are drawn; limit= draws more."


def picture_of(
    nodes: Sequence[PictureNode], edges: Sequence[PictureEdge], notices: Sequence[str]
) -> GraphPicture:
    """Nodes and edges as a picture, each node once."""
    once = {node.key: node for node in nodes}
    return GraphPicture(tuple(once.values()), tuple(edges_between(once, edges)), tuple(notices))
