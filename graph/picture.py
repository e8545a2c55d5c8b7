"""Graphs as pictures: drawn by neo4j-viz, with a table beside it, as one piece of HTML that fetches nothing."""

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .columns import HEAD_ID, HEAD_LABEL, RELATION, TAIL_ID, TAIL_LABEL
from .errors import ConfigError, DataError, MissingDependencyError
from .html import page, table, wrap

if TYPE_CHECKING:
    import neo4j_viz

_SHOWN_VALUES = 20
"""A longer list (a vector) is not among the properties that a click shows."""
_HEIGHT = 460
_RADII = (30, 48)
_MOST_ROWS = 200
_MOST_NODES, _MOST_EDGES = 1_000, 3_000
"""Beyond these a picture shows a part of itself."""


@dataclass(frozen=True)
class PictureNode:
    """A node of a picture.

    Attributes
    ----------
    key
        What identifies it in its source.
    label, id, name
        As everywhere; the id is None where the source has none.
    properties
        What else is known of it; a click shows it.
    """

    key: str
    label: str
    id: str | None
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PictureEdge:
    """A relationship of a picture, from the node of one key to that of another."""

    head: str
    tail: str
    relation: str
    properties: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """What identifies it."""
        return f"{self.head} {self.relation} {self.tail}"


@dataclass(frozen=True, eq=False)
class GraphPicture:
    """Nodes and relationships to look at: in Jupyter a picture with the same as a table beside it.

    The picture is neo4j-viz's: drag, zoom, search, click a node for its properties; captions are names, colours
    are labels, and the more relationships are drawn at a node the larger it is.

    Attributes
    ----------
    nodes, edges
        What is drawn.
    notices
        What is not drawn, and why.
    """

    nodes: tuple[PictureNode, ...]
    edges: tuple[PictureEdge, ...]
    notices: tuple[str, ...] = ()

    @property
    def frame(self) -> pd.DataFrame:
        """The relationships: head, relation, tail by name, then head_label, head_id, tail_label, tail_id."""
        by_key = {node.key: node for node in self.nodes}
        rows = []
        for edge in self.edges:
            head, tail = by_key[edge.head], by_key[edge.tail]
            rows.append((head.name, edge.relation, tail.name, head.label, head.id, tail.label, tail.id))
        columns = ["head", RELATION, "tail", HEAD_LABEL, HEAD_ID, TAIL_LABEL, TAIL_ID]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    @property
    def node_frame(self) -> pd.DataFrame:
        """The nodes: label, id, name and a column for each property."""
        rows = [
            {**node.properties, "label": node.label, "id": node.id, "name": node.name} for node in self.nodes
        ]
        found = pd.DataFrame(rows, dtype=object)
        first = ["label", "id", "name"]
        return found.reindex(columns=[*first, *(column for column in found.columns if column not in first)])

    def graph(self, *, caption: str = "name", size: str | None = None) -> "neo4j_viz.VisualizationGraph":
        """The picture as neo4j-viz's own object, to change it and draw it as its documentation says.

        Parameters
        ----------
        caption
            Property that is written on a node.
        size
            Property (a number, at least 0) that a node's size shows; None takes its number of relationships drawn.

        Raises
        ------
        ConfigError
            If no node has the property for its size.
        MissingDependencyError
            If neo4j-viz is not installed.
        """
        viz = _neo4j_viz()
        nodes = [viz.Node(id=node.key, properties=_shown(node)) for node in self.nodes]
        edges = [
            viz.Relationship(
                id=edge.key,
                source=edge.head,
                target=edge.tail,
                caption=edge.relation,
                properties={"type": edge.relation, **_short(edge.properties)},
            )
            for edge in self.edges
        ]
        drawn: neo4j_viz.VisualizationGraph = viz.VisualizationGraph(nodes=nodes, relationships=edges)
        for node in nodes:
            node.caption = str(node.properties.get(caption) or node.properties["name"])
        drawn.resize_nodes(sizes=self._sizes(size), node_radius_min_max=_RADII)
        drawn.color_nodes(property="label", colors=_colours([node.label for node in self.nodes]))
        return drawn

    def _sizes(self, size: str | None) -> dict[Any, float]:
        if size is None:
            degree = dict.fromkeys((node.key for node in self.nodes), 0.0)
            for edge in self.edges:
                degree[edge.head] += 1
                degree[edge.tail] += 1
            return {key: value**0.5 for key, value in degree.items()}
        values = {node.key: node.properties.get(size) for node in self.nodes}
        found = {
            key: float(value)
            for key, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        }
        if not found:
            raise ConfigError(f"no node that is drawn has a number as {size!r} for its size")
        return {key: found.get(key, 0.0) for key in values}

    def _few(self) -> "GraphPicture":
        """As much of it as a browser can move: the nodes with most relationships, and those between them."""
        if len(self.nodes) <= _MOST_NODES and len(self.edges) <= _MOST_EDGES:
            return self
        degree = self._sizes(None)
        nodes = sorted(self.nodes, key=lambda node: -degree[node.key])[:_MOST_NODES]
        edges = edges_between((node.key for node in nodes), self.edges)[:_MOST_EDGES]
        notice = (
            f"Drawn are {len(nodes):,} of {len(self.nodes):,} nodes, those with most relationships, "
            f"and {len(edges):,} of {len(self.edges):,} relationships."
        )
        return GraphPicture(tuple(nodes), tuple(edges), (*self.notices, notice))

    def to_html(self) -> str:
        """A page of its own that opens from disk and fetches nothing."""
        return page(f"{len(self.nodes)} nodes, {len(self.edges)} relationships", self._repr_html_())

    def save(self, path: str | Path) -> None:
        """Write `to_html` into a file.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        try:
            Path(path).write_text(self.to_html(), encoding="utf-8")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.nodes)} nodes, {len(self.edges)} relationships>"

    def _repr_html_(self) -> str:
        frame = self.frame if self.edges else self.node_frame[["label", "id", "name"]]
        columns = ["head", RELATION, "tail"] if self.edges else list(frame.columns)
        beside = table(frame[columns], most=_MOST_ROWS)
        notices = "".join(f"<p class='kg-note'>{escape(notice)}</p>" for notice in self.notices)
        if not self.nodes:
            return wrap("<p>Nothing to draw.</p>" + notices)
        drawn = self._few()
        notices += "".join(
            f"<p class='kg-note'>{escape(notice)}</p>" for notice in drawn.notices[len(self.notices) :]
        )
        document = str(drawn.graph().render(height="100vh", show_layout_button=False).data)
        return wrap(
            f"<div class='kg-beside'><iframe title='{len(drawn.nodes)} nodes and {len(drawn.edges)} relationships' "
            f"height='{_HEIGHT}' srcdoc=\"{escape(_packed(document))}\"></iframe>"
            f"<div class='kg-scroll'>{beside}</div></div>{notices}"
        )


def edges_between(keys: Iterable[str], edges: Sequence[PictureEdge]) -> list[PictureEdge]:
    """The edges, each once, whose ends are both drawn."""
    drawn = set(keys)
    kept = {edge.key: edge for edge in edges if edge.head in drawn and edge.tail in drawn}
    return list(kept.values())


def _neo4j_viz() -> Any:
    try:
        import neo4j_viz
    except ImportError:
        raise MissingDependencyError(
            "drawing a graph takes neo4j-viz; run pip install 'kgenre[notebook]'"
        ) from None
    return neo4j_viz


def _colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, in the order in which they are met; more labels than colours share them."""
    from neo4j_viz.colors import NEO4J_COLORS_DISCRETE as palette

    return {label: palette[place % len(palette)] for place, label in enumerate(dict.fromkeys(labels))}


def _shown(node: PictureNode) -> dict[str, Any]:
    own = {"label": node.label, "name": node.name}
    if node.id is not None:
        own["id"] = node.id
    return {**own, **{key: value for key, value in _short(node.properties).items() if key not in own}}


def _short(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: f"{len(value)} values" if isinstance(value, list) and len(value) > _SHOWN_VALUES else value
        for key, value in properties.items()
    }


def _packed(document: str) -> str:
    """A document of four megabytes in a third of it: one that unpacks itself."""
    data = base64.b64encode(gzip.compress(document.encode("utf-8"), 6)).decode("ascii")
    return (
        "<!DOCTYPE html><meta charset='utf-8'><script>(async () => {"
        f"const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0));"
        "const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));"
        "let text = await new Response(stream).text();"
        # Light letters around the picture mean a dark page.
        "const ink = getComputedStyle(frameElement).color.match(/[\\d.]+/g).slice(0, 3);"
        "const dark = ink.reduce((sum, part) => sum + Number(part), 0) > 384;"
        """text = text.replace('"theme": "auto"', `"theme": "${dark ? 'dark' : 'light'}"`);"""
        "document.open(); document.write(text); document.close();"
        "})()</script>"
    )
