"""Named graphs: which statements about a node stand in which, as properties of the node.

``graphs`` holds all named graphs that say something about the node. Where not each of its statements stands in all of
these, and in no other, ``statement_graphs`` holds for each one that does not a row for each graph that it stands in:
the graph's IRI (``-`` for the default graph) before predicate and object, as `kgenre.graph.rdf_writer` writes them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from .knowledge_graph import KnowledgeGraph
from .rdf_terms import GRAPHS, HAS_ID, PROPERTY_NS, RDF, STATEMENT_GRAPHS, urn

Lines = list[tuple[int, str]]
"""Statements without their final dot, each with the node that they are about (-1 for none)."""

LIST = "()"
"""What stands for an RDF list as object."""
_DEFAULT = "-"
_OURS = tuple(f"<{urn(PROPERTY_NS, name)}>" for name in (GRAPHS, STATEMENT_GRAPHS))
"""What says where statements stand, which is in the default graph."""
_TYPE, _NIL, _ID = f"<{RDF}type>", f"<{RDF}nil>", f"<{HAS_ID}>"
_IRI = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>"{}|\\^`]*')


def statement_rows(own: set[str], statements: Mapping[str, set[str]]) -> list[str] | None:
    """The rows of ``statement_graphs`` of a node.

    Parameters
    ----------
    own
        The named graphs that say something about it.
    statements
        Predicate and object, and the graphs that the statement stands in; "" is the default graph.
    """
    rows = [
        f"{graph or _DEFAULT} {statement}"
        for statement, graphs in statements.items()
        if graphs != own
        for graph in graphs
    ]
    return sorted(rows) or None


@dataclass(frozen=True)
class _Places:
    """Where the statements about a node stand, each graph as it ends an N-Quad: `all_` but for those in `apart`."""

    all_: tuple[str, ...]
    apart: Mapping[str, tuple[str, ...]]

    def of(self, predicate: str, value: str, kind: str) -> tuple[str, ...]:
        if predicate in _OURS:
            return ("",)
        if predicate == _ID:
            # The id is ours; it stands where the node is said to be of its kind.
            predicate, value = _TYPE, kind
        elif value.startswith("_:") or value == _NIL:
            value = LIST
        return self.apart.get(f"{predicate} {value}", self.all_)


class NamedGraphs:
    """Where each statement of a graph stands, told by the nodes' properties."""

    def __init__(self, kg: KnowledgeGraph) -> None:
        self._places: dict[int, _Places] = {}
        for table in kg.tables:
            first = kg.slice(table.label).start
            graphs, rows = (_lists(table.properties, name) for name in (GRAPHS, STATEMENT_GRAPHS))
            for row, names in graphs.items():
                all_ = tuple(f" <{name}>" for name in names if _IRI.fullmatch(name))
                if all_:
                    self._places[first + row] = _Places(all_, _apart(rows.get(row, ())))

    def quads(self, lines: Lines) -> Iterator[str]:
        """The statements, each once for each of its graphs."""
        kind = ""
        graphs: tuple[str, ...] = ("",)
        for node, line in lines:
            places = self._places.get(node)
            subject, predicate, value = line.split(" ", 2)
            if predicate == _TYPE:
                kind = value
            if places is None:
                graphs = ("",)
            elif not subject.startswith("_:"):
                # The cells of a list and what is said of a statement follow what they belong to.
                graphs = places.of(predicate, value, kind)
            for graph in graphs:
                yield line + graph


def _lists(properties: pa.Table, name: str) -> dict[int, Sequence[str]]:
    if name not in properties.column_names:
        return {}
    values = enumerate(properties.column(name).to_pylist())
    return {row: [v for v in value if isinstance(v, str)] for row, value in values if isinstance(value, list)}


def _apart(rows: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        graph, _, statement = row.partition(" ")
        if graph == _DEFAULT:
            found[statement].append("")
        elif _IRI.fullmatch(graph):
            found[statement].append(f" <{graph}>")
    return {statement: tuple(graphs) for statement, graphs in found.items()}
