"""The graph as RDF: N-Triples by our own hand, every other format through pyoxigraph."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyoxigraph
import rdflib

from .columns import NAME, TEXT
from .errors import DataError
from .knowledge_graph import KnowledgeGraph, NodeTable
from .rdf_graphs import Lines, NamedGraphs
from .rdf_terms import (
    HAS_ID,
    HAS_TIMESTAMP,
    HAS_WEIGHT,
    INTERACTED_WITH,
    ITEM_CLASS,
    LABEL_NS,
    NAME_PREDICATES,
    NODE_NS,
    NS,
    PROPERTY_NS,
    RDF,
    RDFS,
    RELATION_NS,
    TEXT_PREDICATES,
    USER_CLASS,
    XSD,
    Note,
    literal_text,
    string_text,
    urn,
)

PREFIXES = {
    "kgenre": NS,
    "label": LABEL_NS,
    "relation": RELATION_NS,
    "property": PROPERTY_NS,
    "rdf": RDF,
    "rdfs": RDFS,
    "xsd": XSD,
    "schema": "https://schema.org/",
}
"""Prefixes of files that we write and of SPARQL queries."""

_CHUNK = 50_000
"""Rows a chunk of N-Triples holds."""
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot hold, escaped or not."""
_NAMED = (pyoxigraph.RdfFormat.N_QUADS, pyoxigraph.RdfFormat.TRIG, pyoxigraph.RdfFormat.JSON_LD)


def to_rdf(kg: KnowledgeGraph) -> rdflib.Graph:
    """The graph as an rdflib graph in the vocabulary of `kgenre.graph.rdf_terms`; `read_rdf` makes the same graph.

    Names are ``rdfs:label``, texts ``schema:description``; a list is an RDF list. Weights and timestamps
    stand on an ``rdf:Statement`` beside the triple that they are about. `write_rdf` is many times faster where a
    file is wanted.
    """
    graph = rdflib.Graph()
    for prefix, namespace in PREFIXES.items():
        graph.bind(prefix, namespace, replace=True)
    known: dict[Any, rdflib.term.Node] = {}

    def term(node: Any) -> rdflib.term.Node:
        found = known.get(node)
        if found is None:
            found = known[node] = _rdflib_term(node)
        return found

    for chunk in ntriples(kg):
        for triple in pyoxigraph.parse(chunk, pyoxigraph.RdfFormat.N_TRIPLES):
            graph.store.add((term(triple.subject), term(triple.predicate), term(triple.object)), graph)
    return graph


def _rdflib_term(node: Any) -> rdflib.term.Node:
    if isinstance(node, pyoxigraph.NamedNode):
        return rdflib.URIRef(node.value)
    if isinstance(node, pyoxigraph.BlankNode):
        return rdflib.BNode(node.value)
    if node.language is not None:
        return rdflib.Literal(node.value, lang=node.language)
    plain = node.datatype.value == XSD + "string"
    return rdflib.Literal(node.value, datatype=None if plain else rdflib.URIRef(node.datatype.value))


def write_rdf(kg: KnowledgeGraph, path: str | Path) -> None:
    """Write the graph to a file of the format that its suffix names: .ttl, .nt, .nq, .trig, .jsonld or .rdf.

    Where the format has named graphs, each statement stands in those that it was read from
    (`kgenre.graph.rdf_graphs`).

    Raises
    ------
    DataError
        If the suffix is none of these, the file cannot be written, or a text holds a character that the format
        cannot (RDF/XML has no control characters).
    """
    target = Path(path)
    rdf_format = pyoxigraph.RdfFormat.from_extension(target.suffix.lstrip(".").lower())
    if rdf_format is None:
        raise DataError(
            f"{path}: unknown RDF suffix {target.suffix!r}; use .ttl, .nt, .nq, .trig, .jsonld or .rdf"
        )
    named = rdf_format in _NAMED
    temporary = target.with_name(f".{target.name}.part")
    try:
        if rdf_format in (pyoxigraph.RdfFormat.N_TRIPLES, pyoxigraph.RdfFormat.N_QUADS):
            with temporary.open("wb") as stream:
                stream.writelines(ntriples(kg, named))
        else:
            pyoxigraph.serialize(_parsed(kg, rdf_format, named), temporary, rdf_format, prefixes=PREFIXES)
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot write {path}: {reason}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _parsed(kg: KnowledgeGraph, rdf_format: pyoxigraph.RdfFormat, named: bool) -> Iterator[pyoxigraph.Quad]:
    for chunk in ntriples(kg, named):
        if rdf_format == pyoxigraph.RdfFormat.RDF_XML:
            found = _UNWRITABLE.search(chunk.decode())
            if found:
                raise ValueError(f"RDF/XML has no character {found[0]!r}; choose another format")
        for quad in pyoxigraph.parse(
            chunk, pyoxigraph.RdfFormat.N_QUADS if named else pyoxigraph.RdfFormat.N_TRIPLES
        ):
            yield quad if named else quad.triple


def ntriples(kg: KnowledgeGraph, named: bool = False) -> Iterator[bytes]:
    """The graph in chunks of N-Triples, each whole by itself; as N-Quads with the nodes' graphs if `named`."""
    blank = count()
    nodes = np.concatenate([_iris(table) for table in kg.tables])
    graphs = NamedGraphs(kg) if named else None
    head = [
        (-1, f"<{urn(LABEL_NS, table.label)}> <{RDFS}subClassOf> <{ours}>")
        for table, ours in ((kg.users, USER_CLASS), (kg.items, ITEM_CLASS))
    ]
    for lines in _all(kg, nodes, head, blank):
        body = " .\n".join([line for _, line in lines] if graphs is None else graphs.quads(lines))
        if body:
            yield (body + " .\n").encode()


def _all(kg: KnowledgeGraph, nodes: Any, head: Lines, blank: "count[int]") -> Iterator[Lines]:
    yield head
    for table in kg.tables:
        yield from _node_lines(table, kg.slice(table.label).start, nodes, blank)
    inter = kg.interactions
    weight = inter.weight if (inter.weight != 1).any() else None
    places = (inter.user, inter.item + kg.n_users, weight, inter.timestamp)
    yield from _link_lines(f"<{INTERACTED_WITH}>", nodes, *places, blank=blank)
    for facts in kg.facts:
        predicate = f"<{urn(RELATION_NS, facts.relation)}>"
        yield from _link_lines(
            predicate, nodes, facts.head, facts.tail, facts.weight, facts.timestamp, blank=blank
        )


def _iris(table: NodeTable) -> npt.NDArray[np.object_]:
    prefix = urn(NODE_NS, table.label, "")
    iris = np.empty(len(table), dtype=object)
    iris[:] = [f"<{prefix}{urn('', key)}>" for key in table.vocabulary]
    return iris


def _node_lines(table: NodeTable, first: int, nodes: Any, blank: "count[int]") -> Iterator[Lines]:
    kind = f"<{RDF}type> <{urn(LABEL_NS, table.label)}>"
    lines: Lines = []
    for node, key in enumerate(table.vocabulary, first):
        lines.append((node, f"{nodes[node]} {kind}"))
        lines.append((node, f"{nodes[node]} <{HAS_ID}> {string_text(key)}"))
        if len(lines) > _CHUNK:
            yield lines
            lines = []
    yield lines
    notes = {name: Note.of(table.properties.schema.field(name)) for name in table.properties.column_names}
    columns: dict[str, list[Any]] = {NAME: table.names.to_pylist(), TEXT: table.texts.to_pylist()}
    columns |= {name: table.properties.column(name).to_pylist() for name in notes}
    predicates = {NAME: f"<{NAME_PREDICATES[0]}>", TEXT: f"<{TEXT_PREDICATES[0]}>"}
    apart: dict[str, list[list[Any]]] = {}
    for name, note in notes.items():
        if note.main is not None:
            apart.setdefault(note.main, []).append(columns[name])
    for name, values in columns.items():
        note = notes.get(name, Note())
        main = note.main or name
        predicate = predicates.get(main) or f"<{urn(PROPERTY_NS, main)}>"
        rows: Iterable[Any] = values
        if name in apart:
            rows = [
                _without(value, [column[row] for column in apart[name]]) for row, value in enumerate(values)
            ]
        # RDF knows no order, a list does; but what stands beside other literals cannot be one.
        loose = name in apart or note.main is not None
        yield from _value_lines(predicate, nodes, first, rows, note, loose, blank)


def _without(value: Any, elsewhere: list[Any]) -> list[Any]:
    """The values that do not stand, with their language or datatype, in another column too."""
    counts = Counter(_members(value))
    counts.subtract(member for values in elsewhere for member in _members(values))
    return [member for member, times in counts.items() for _ in range(times)]


def _members(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _value_lines(
    predicate: str,
    nodes: Any,
    first: int,
    values: Iterable[Any],
    note: Note,
    loose: bool,
    blank: "count[int]",
) -> Iterator[Lines]:
    lines: Lines = []
    for node, value in enumerate(values, first):
        if value is None:
            continue
        if not isinstance(value, list):
            lines.append((node, f"{nodes[node]} {predicate} {literal_text(value, note)}"))
        elif loose:
            lines += [(node, f"{nodes[node]} {predicate} {literal_text(member, note)}") for member in value]
        else:
            end = f"{nodes[node]} {predicate}"
            for member in value:
                if member is not None:
                    cell = f"_:l{next(blank)}"
                    lines.append((node, f"{end} {cell}"))
                    lines.append((node, f"{cell} <{RDF}first> {literal_text(member, note)}"))
                    end = f"{cell} <{RDF}rest>"
            lines.append((node, f"{end} <{RDF}nil>"))
        if len(lines) > _CHUNK:
            yield lines
            lines = []
    yield lines


def _link_lines(
    predicate: str,
    nodes: Any,
    heads: Any,
    tails: Any,
    weight: Any,
    timestamp: Any,
    *,
    blank: "count[int]",
) -> Iterator[Lines]:
    notes = [
        (f"<{name}>", np.asarray(values, dtype=np.float64))
        for name, values in ((HAS_WEIGHT, weight), (HAS_TIMESTAMP, timestamp))
        if values is not None
    ]
    for start in range(0, len(heads), _CHUNK):
        part = slice(start, start + _CHUNK)
        rows = range(len(heads))[part]
        lines: Lines = [
            (head, f"{nodes[head]} {predicate} {nodes[tail]}")
            for head, tail in zip(heads[part].tolist(), tails[part].tolist(), strict=True)
        ]
        # What is said of a statement follows it.
        yield (
            [
                each
                for row, line in zip(rows, lines, strict=True)
                for each in (
                    line,
                    *_annotations(line, [(name, values[row]) for name, values in notes], blank),
                )
            ]
            if notes
            else lines
        )


def _annotations(
    line: tuple[int, str], notes: list[tuple[str, float]], blank: "count[int]"
) -> Iterator[tuple[int, str]]:
    """Weight and timestamp of a statement, on an ``rdf:Statement`` about it."""
    known = [(name, value) for name, value in notes if not np.isnan(value)]
    if known:
        node, statement = line[0], f"_:s{next(blank)}"
        yield node, f"{statement} <{RDF}type> <{RDF}Statement>"
        for part, term in zip(("subject", "predicate", "object"), line[1].split(" "), strict=True):
            yield node, f"{statement} <{RDF}{part}> {term}"
        for name, value in known:
            yield node, f"{statement} {name} {literal_text(float(value), Note())}"
