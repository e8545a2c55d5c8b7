"""The RDF vocabulary that kgenre writes, and how other vocabularies are named.

Everything of ours is a URN, since it names things and is no page to visit:

======================================  ==================================================================
``urn:kgenre:ns:Item``, ``...:User``    superclasses of the classes whose members are items and users
``urn:kgenre:ns:id``                    the id of a node within its label
``urn:kgenre:ns:interacted``            from a user to an item
``urn:kgenre:ns:weight``                of an interaction or a fact, on its ``rdf:Statement``
``urn:kgenre:ns:timestamp``             likewise, in seconds since 1970
``urn:kgenre:label:X``                  the class of the nodes with label X
``urn:kgenre:relation:X``               the relation X
``urn:kgenre:property:X``               the property X
``urn:kgenre:node:L:I``                 the node of label L with the id I
======================================  ==================================================================

Names and ids within a URN are percent-encoded. A file with a vocabulary of its own says in RDFS how it is
meant: ``schema:Movie rdfs:subClassOf kgenre:Item``, ``schema:director rdfs:subPropertyOf
relation:DIRECTED_BY``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

NS = "urn:kgenre:ns:"
ITEM_CLASS = NS + "Item"
USER_CLASS = NS + "User"
HAS_ID = NS + "id"
INTERACTED_WITH = NS + "interacted"
HAS_WEIGHT = NS + "weight"
HAS_TIMESTAMP = NS + "timestamp"
LABEL_NS = "urn:kgenre:label:"
RELATION_NS = "urn:kgenre:relation:"
PROPERTY_NS = "urn:kgenre:property:"
NODE_NS = "urn:kgenre:node:"

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
OWL = "http://www.w3.org/2002/07/owl#"
XSD = "http://www.w3.org/2001/XMLSchema#"

NAME_PREDICATES = (
    RDFS + "label",
    "https://schema.org/name",
    "http://schema.org/name",
    "http://www.w3.org/2004/02/skos/core#prefLabel",
    "http://xmlns.com/foaf/0.1/name",
)
"""Predicates that give a node its name; the first that it has counts."""

TEXT_PREDICATES = (
    "https://schema.org/description",
    "http://schema.org/description",
    RDFS + "comment",
    "http://purl.org/dc/terms/description",
)
"""Predicates that give a node its text; the first that it has counts."""


GRAPHS = "graphs"
"""Property of a node: the named graphs that say something about it."""
STATEMENT_GRAPHS = "statement_graphs"
"""Property of a node: where those of its statements stand that are not in all of `GRAPHS`."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True)
class Note:
    """What RDF knows of a property's values beside the values; the metadata of its Arrow field.

    Attributes
    ----------
    language
        The language that all of them are in.
    datatype
        The datatype that all of them have, where another than that of the values' type.
    main
        The property that these values belong to as well, where it has others besides.
    """

    language: str | None = None
    datatype: str | None = None
    main: str | None = None

    @classmethod
    def of(cls, field: pa.Field) -> "Note":
        """The note on an Arrow field."""
        metadata = field.metadata or {}
        return cls(
            **{key: metadata[key.encode()].decode() for key in asdict(cls()) if key.encode() in metadata}
        )

    def metadata(self) -> dict[str, str]:
        """The note as metadata of an Arrow field."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def key(self) -> str:
        """How a property of its own is marked: ``@de`` or ``^^xsd:date``."""
        if self.language is not None:
            return f"@{self.language}"
        return f"^^{self.datatype}".replace(f"^^{XSD}", "^^xsd:") if self.datatype is not None else ""


def string_text(text: str) -> str:
    """A string as it stands in N-Triples."""
    return f'"{text.translate(_ESCAPES)}"'


def literal_text(value: Any, note: Note) -> str:
    """A value with its language or datatype as it stands in N-Triples."""
    if note.language is not None:
        return f"{string_text(str(value))}@{note.language}"
    datatype = note.datatype
    if isinstance(value, bool):
        return f'"{str(value).lower()}"^^<{datatype or XSD + "boolean"}>'
    if isinstance(value, float):
        # The shortest text that is the same number; XSD spells infinity its own way.
        text = repr(value).replace("inf", "INF")
        if datatype == XSD + "decimal" and math.isfinite(value):
            text = format(Decimal(text), "f")
        return f'"{text}"^^<{datatype or XSD + "double"}>'
    if isinstance(value, int):
        return f'"{value}"^^<{datatype or XSD + "integer"}>'
    return string_text(str(value)) + (f"^^<{datatype}>" if datatype else "")


def urn(namespace: str, *parts: str) -> str:
    """A name of ours out of strings that may hold anything."""
    return namespace + ":".join(quote(part, safe="") for part in parts)


def local_name(iri: str) -> str:
    """What stands behind the last ``#``, ``/`` or ``:``; names of ours are decoded."""
    for namespace in (LABEL_NS, RELATION_NS, PROPERTY_NS):
        if iri.startswith(namespace):
            return unquote(iri[len(namespace) :])
    return iri[len(_namespace(iri)) :]


def _namespace(iri: str) -> str:
    end = iri.rstrip("#/:")
    cut = max(end.rfind(mark) for mark in "#/:") + 1
    return iri[:cut]


def short_names(
    iris: Iterable[str], prefixes: Mapping[str, str], reserved: Iterable[str] = ()
) -> dict[str, str]:
    """A name for each IRI: its local name, with a prefix where that is reserved or not unique.

    Where two vocabularies share a local name both get their prefix, as neosemantics writes it:
    ``foaf__title`` and ``dct__title``. A vocabulary without a declared prefix is called ns0, ns1, ... in the
    order of its IRI. Names of ours are never prefixed.
    """
    iris = sorted(set(iris))
    taken: dict[str, list[str]] = {}
    for iri in iris:
        taken.setdefault(local_name(iri), []).append(iri)
    blocked = {name for name, users in taken.items() if len(users) > 1} | set(reserved)
    declared = {namespace: prefix for prefix, namespace in prefixes.items() if prefix}
    unnamed = sorted({_namespace(iri) for iri in iris} - declared.keys())
    declared |= {namespace: f"ns{i}" for i, namespace in enumerate(unnamed)}
    names = {}
    for iri in iris:
        name = local_name(iri)
        ours = iri.startswith((LABEL_NS, RELATION_NS, PROPERTY_NS))
        names[iri] = name if ours or name not in blocked else f"{declared[_namespace(iri)]}__{name}"
    return names
