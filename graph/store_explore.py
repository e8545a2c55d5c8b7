"""Exploring a store: a node and its surroundings, or what a Cypher query finds, as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import neo4j.graph

from .bolt import Bolt, plain
from .errors import ConfigError, UnknownIdError
from .explore import Exploration, picture_of, sampled, shares
from .picture import GraphPicture, PictureEdge, PictureNode
from .relation_names import label_of, relation_of
from .schema import GraphSchema
from .store_catalogue import labels_used, quoted, types_in

_MOST_STARTS = 10
"""Nodes of one name that are all drawn."""
_MOST_NODES = 1_000


class StoreSurroundings:
    """A store as something to walk in; names and ids are those that its schema says."""

    def __init__(self, bolt: Bolt, schema: GraphSchema) -> None:
        self._bolt = bolt
        self._schema = schema

    def find(self, start: str | tuple[str, str]) -> list[PictureNode]:
        """The nodes of a label and id, or of an id or (where there is none) a name in any label."""
        label, key = start if isinstance(start, tuple) else (None, start)
        labels = [stored for stored in labels_used(self._bolt) if label in (None, label_of(stored))]
        if not labels:
            known = ", ".join(map(label_of, labels_used(self._bolt))) or "none"
            raise UnknownIdError(f"the store has no node of label {label!r}; its labels are {known}")
        wanted: list[Any] = [key, int(key)] if isinstance(key, str) and key.isdecimal() else [key]
        for part in ("id", "name") if label is None else ("id",):
            found: dict[str, PictureNode] = {}
            for stored in labels:
                of = getattr(self._schema.label(label_of(stored)), part)
                if of is not None:
                    query = (
                        f"MATCH (n:{quoted(self._bolt, stored)}) WHERE n.{self._bolt.quote(of, 'property')} IN $wanted "
                        f"RETURN n LIMIT {_MOST_STARTS}"
                    )
                    nodes = [self.node(row[0]) for row in self._read(query, wanted=wanted)]
                    found.update((node.key, node) for node in nodes)
            if found:
                return list(found.values())[:_MOST_STARTS]
        where = "id or name" if label is None else f"id, and label {label!r},"
        raise UnknownIdError(
            f"no node of the store has the {where} {str(key)[:80]!r}; Cypher finds by parts of a name"
        )

    def around(self, node: PictureNode, limit: int) -> GraphPicture:
        """A node's relationships and their other ends, at most `limit`; notices say what is left out."""
        types = types_in(self._bolt)
        ways = [(name, forth) for name in types for forth in (True, False)]
        if not ways:
            return GraphPicture((node,), ())
        counts = ", ".join(f"count {{ (n){_arrow(self._bolt, *way)}() }}" for way in ways)
        rows = self._read(f"MATCH (n) WHERE elementId(n) = $id RETURN {counts}", id=node.key)
        sizes = {way: int(size) for way, size in zip(ways, rows[0], strict=True) if size} if rows else {}
        nodes, edges, notices = [node], [], []
        for way, take in zip(sizes, shares(list(sizes.values()), limit), strict=True):
            query = f"MATCH (n){_arrow(self._bolt, *way, 'r')}(m) WHERE elementId(n) = $id RETURN r, m LIMIT {take}"
            for relationship, other in self._read(query, id=node.key):
                nodes.append(self.node(other))
                edges.append(self.edge(relationship))
            if take < sizes[way]:
                notices.append(sampled(node.name, relation_of(way[0]), take, sizes[way]))
        return picture_of(nodes, edges, notices)

    def query(self, query: str, parameters: Mapping[str, Any]) -> Exploration:
        """What a reading query returns of nodes, relationships and paths, lists and maps of them included."""
        _, rows = self._bolt.table(query, dict(parameters), read_only=True)
        found = self.drawn(rows)
        if found is None:
            raise ConfigError(
                "the query returns no node, relationship or path to draw; cypher() gives its values"
            )
        return Exploration(found.nodes, found.edges, found.notices, source=self)

    def drawn(self, rows: Iterable[Sequence[Any]]) -> GraphPicture | None:
        """The nodes and relationships in rows of a result; None where it has none."""
        nodes: dict[str, PictureNode] = {}
        edges: list[PictureEdge] = []
        ends: dict[str, None] = {}
        for entity in _entities(list(rows)):
            if isinstance(entity, neo4j.graph.Node):
                nodes[entity.element_id] = self.node(entity)
            else:
                edges.append(self.edge(entity))
                ends.update(dict.fromkeys((edges[-1].head, edges[-1].tail)))
        # A relationship comes with the ids of its ends only.
        missing = [key for key in ends if key not in nodes]
        if missing:
            query = "MATCH (n) WHERE elementId(n) IN $ids RETURN n"
            nodes.update((row[0].element_id, self.node(row[0])) for row in self._read(query, ids=missing))
        if not nodes:
            return None
        notices = []
        if len(nodes) > _MOST_NODES:
            notices.append(
                f"{_MOST_NODES:,} of {len(nodes):,} nodes are drawn; a LIMIT makes the choice yours."
            )
        return picture_of(list(nodes.values())[:_MOST_NODES], edges, notices)

    def node(self, node: neo4j.graph.Node) -> PictureNode:
        """A driver's node."""
        # Of two labels the one that the schema knows says what the node is.
        labels = sorted(
            map(label_of, node.labels), key=lambda label: (label not in self._schema.labels, label)
        )
        label = labels[0] if labels else "Node"
        of = self._schema.label(label)
        key = node.get(of.id)
        name = node.get(of.name) if of.name else None
        if name is None and label not in self._schema.labels:
            name = _called(node)
        if name is None:
            name = f"{label} {key}" if key is not None else label
        return PictureNode(
            node.element_id,
            label,
            None if key is None else str(key),
            str(plain(name)),
            plain(dict(node.items())),
        )

    def edge(self, edge: neo4j.graph.Relationship) -> PictureEdge:
        """A driver's relationship."""
        assert edge.start_node is not None
        assert edge.end_node is not None
        return PictureEdge(
            edge.start_node.element_id,
            edge.end_node.element_id,
            relation_of(edge.type),
            plain(dict(edge.items())),
        )

    def _read(self, query: str, **parameters: Any) -> list[list[Any]]:
        return self._bolt.table(query, parameters, read_only=True)[1]


def _entities(value: Any) -> "Iterable[neo4j.graph.Node | neo4j.graph.Relationship]":
    if isinstance(value, neo4j.graph.Node | neo4j.graph.Relationship):
        yield value
    elif isinstance(value, neo4j.graph.Path):
        yield from value.nodes
        yield from value.relationships
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _entities(part)
    elif isinstance(value, dict):
        yield from _entities(list(value.values()))


def _called(node: neo4j.graph.Node) -> str | None:
    """What a node of which no schema tells is likely called, by the properties that Neo4j Browser looks for too."""
    texts = {key.casefold(): value for key, value in node.items() if isinstance(value, str) and value}
    for key in ("name", "title", "label"):
        if key in texts:
            return texts[key]
    return next((value for key, value in sorted(texts.items()) if key.endswith("name")), None)


def _arrow(bolt: Bolt, stored: str, forth: bool, name: str = "") -> str:
    middle = f"[{name}:{quoted(bolt, stored)}]"
    return f"-{middle}->" if forth else f"<-{middle}-"
