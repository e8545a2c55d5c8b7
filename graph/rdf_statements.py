"""RDF, sorted by what kgenre makes of it: types, literals, links between resources, lists and annotations."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyoxigraph
import rdflib

from .errors import DataError
from .rdf_terms import HAS_TIMESTAMP, HAS_WEIGHT, OWL, RDF, RDFS, XSD

log = logging.getLogger(__name__)

NIL = RDF + "nil"

_SCHEMA_TYPES = frozenset(
    [RDFS + "Class", RDFS + "Datatype", RDF + "Property", OWL + "Class", OWL + "Ontology"]
    + [OWL + kind for kind in ("ObjectProperty", "DatatypeProperty", "AnnotationProperty", "Restriction")]
)


class Literal(NamedTuple):
    """A literal as RDF has it."""

    value: str
    datatype: str = XSD + "string"
    language: str | None = None


Term = str | Literal
"""A resource as its IRI (a blank node as ``_:...``), or a literal."""


@dataclass
class Statements:
    """All statements of a source.

    Attributes
    ----------
    types
        The classes of each resource.
    literals, links
        (subject, object) pairs by predicate.
    sub_classes, sub_properties
        What a class or predicate is declared to be a special case of.
    annotations
        Weight and timestamp of reified statements.
    prefixes
        Namespaces by the prefix that the source declares for them.
    graphs
        The named graphs that say something about a resource.
    places
        The graphs of each statement, "" for the default one; empty where there are no named graphs.
    """

    types: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    literals: dict[str, list[tuple[str, Literal]]] = field(default_factory=lambda: defaultdict(list))
    links: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    sub_classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    sub_properties: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    annotations: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    graphs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    places: dict[tuple[str, str, Term], set[str]] = field(default_factory=dict)
    _first: dict[str, Term] = field(default_factory=dict)
    _rest: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, source: "str | Path | rdflib.Graph") -> "Statements":
        """Read a file or take an rdflib graph.

        Raises
        ------
        DataError
            If the file cannot be read or parsed; the message names the line.
        """
        found = cls()
        if isinstance(source, rdflib.Graph):
            found._collect(_from_rdflib(source, found))
            found.prefixes = {prefix: str(namespace) for prefix, namespace in source.namespaces()}
        else:
            found._collect(_from_file(Path(source), found))
        if not found.graphs:
            found.places.clear()
        found._drop_schema()
        return found

    def place(self, subject: str, predicate: str, value: Term, graph: str) -> bool:
        """Note which graph a statement stands in; returns whether it is the first."""
        graphs = self.places.setdefault((subject, predicate, value), set())
        new = not graphs
        graphs.add(graph)
        if graph:
            self.graphs[subject].add(graph)
        return new

    def ancestors(self, iri: str, table: dict[str, set[str]]) -> set[str]:
        """A class or predicate and all that it is declared a special case of."""
        found, todo = {iri}, [iri]
        while todo:
            new = table.get(todo.pop(), set()) - found
            found |= new
            todo.extend(new)
        return found

    def is_list(self, resource: str) -> bool:
        """Whether a resource is an RDF list."""
        return resource == NIL or resource in self._first

    def members(self, head: str) -> list[Term]:
        """The members of an RDF list, in order."""
        found: list[Term] = []
        seen = set()
        while head != NIL:
            if head in seen or head not in self._first or head not in self._rest:
                raise DataError(f"the RDF list at {head} does not end in rdf:nil; repair it")
            seen.add(head)
            found.append(self._first[head])
            head = self._rest[head]
        return found

    def _collect(self, triples: Iterable[tuple[str, str, Term]]) -> None:
        parts: dict[str, dict[str, str]] = defaultdict(dict)
        ends = {RDF + "subject": "s", RDF + "predicate": "p", RDF + "object": "o"}
        for subject, predicate, value in triples:
            if predicate == RDF + "first":
                self._first[subject] = value
            elif isinstance(value, Literal):
                self.literals[predicate].append((subject, value))
            elif predicate == RDF + "type":
                self.types[subject].append(value)
            elif predicate == RDFS + "subClassOf":
                self.sub_classes[subject].add(value)
            elif predicate == RDFS + "subPropertyOf":
                self.sub_properties[subject].add(value)
            elif predicate == RDF + "rest":
                self._rest[subject] = value
            elif predicate in ends:
                parts[subject][ends[predicate]] = value
            elif not predicate.startswith((RDFS, OWL)):
                self.links[predicate].append((subject, value))
        self._annotate(parts)

    def _annotate(self, parts: dict[str, dict[str, str]]) -> None:
        """Turn reified statements into annotations; they are no nodes."""
        for predicate, key in ((HAS_WEIGHT, "weight"), (HAS_TIMESTAMP, "timestamp")):
            for subject, value in self.literals.pop(predicate, []):
                triple = parts.get(subject, {})
                if len(triple) < 3:
                    raise DataError(
                        f"{subject} has a {key} but is no complete rdf:Statement; give it all three parts"
                    )
                try:
                    number = float(value.value)
                except ValueError:
                    raise DataError(f"the {key} {value.value!r} of {subject} is not a number") from None
                self.annotations.setdefault((triple["s"], triple["p"], triple["o"]), {})[key] = number
        for subject in parts:
            self.types.pop(subject, None)

    def _drop_schema(self) -> None:
        """Forget what is said about classes and predicates: they are no nodes."""
        schema = {kind for kinds in self.types.values() for kind in kinds}
        schema |= (
            self.literals.keys() | self.links.keys() | self.sub_classes.keys() | self.sub_properties.keys()
        )
        schema |= {node for node, kinds in self.types.items() if not _SCHEMA_TYPES.isdisjoint(kinds)}
        for node in schema & self.types.keys():
            del self.types[node]
        for predicate, pairs in self.literals.items():
            self.literals[predicate] = [pair for pair in pairs if pair[0] not in schema]
        for predicate, links in self.links.items():
            self.links[predicate] = [pair for pair in links if pair[0] not in schema]


def _from_rdflib(graph: rdflib.Graph, found: Statements) -> Iterator[tuple[str, str, Term]]:
    def term(node: rdflib.term.Node) -> Term:
        if isinstance(node, rdflib.Literal):
            datatype = str(node.datatype) if node.datatype is not None else XSD + "string"
            return Literal(str(node), datatype, node.language)
        return f"_:{node}" if isinstance(node, rdflib.BNode) else str(node)

    if not isinstance(graph, rdflib.Dataset):
        for subject, predicate, value in graph:
            yield str(term(subject)), str(predicate), term(value)
        return
    for subject, predicate, value, name in graph.quads():
        # The default graph has no name, or rdflib's own.
        default = name is None or name == rdflib.graph.DATASET_DEFAULT_GRAPH_ID
        triple = str(term(subject)), str(predicate), term(value)
        if found.place(*triple, "" if default or name is None else str(term(name))):
            yield triple


def _from_file(path: Path, found: Statements) -> Iterator[tuple[str, str, Term]]:
    suffix = path.suffix.lstrip(".").lower()
    rdf_format = pyoxigraph.RdfFormat.from_extension("rdf" if suffix == "owl" else suffix)
    if rdf_format is None:
        raise DataError(
            f"{path}: unknown RDF suffix {path.suffix!r}; use .ttl, .nt, .nq, .trig, .jsonld or .rdf"
        )
    # Numbered as they come: the parser gives anonymous ones another random name each time.
    blank: dict[str, str] = {}
    skipped = 0
    digest = ""

    def term(node: object) -> Term | None:
        nonlocal digest
        if isinstance(node, pyoxigraph.NamedNode):
            return node.value
        if isinstance(node, pyoxigraph.BlankNode):
            digest = digest or _digest(path)
            return blank.setdefault(node.value, f"_:{digest}-{len(blank)}")
        if isinstance(node, pyoxigraph.Literal):
            return Literal(node.value, node.datatype.value, node.language)
        return None

    try:
        parser = pyoxigraph.parse(path=path, format=rdf_format)
        for quad in parser:
            subject, value = term(quad.subject), term(quad.object)
            if not isinstance(subject, str) or value is None:
                skipped += 1
                continue
            predicate = quad.predicate.value
            if rdf_format.supports_datasets:
                default = isinstance(quad.graph_name, pyoxigraph.DefaultGraph)
                if not found.place(subject, predicate, value, "" if default else str(term(quad.graph_name))):
                    continue
            yield subject, predicate, value
        found.prefixes.update(parser.prefixes)
    except FileNotFoundError:
        raise DataError(f"no such file: {path}; check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check its permissions") from None
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = str(getattr(error, "msg", error)).splitlines()[0].rpartition(": ")[2]
        raise DataError(f"{path}{line}: not valid {rdf_format.name}: {reason}") from None
    if skipped:
        log.warning("%s: ignored %d statements about statements (RDF-star)", path, skipped)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
