"""RDF, in and out.

The mapping is in the spirit of neosemantics, Neo4j's RDF plug-in: a resource becomes a node, its class the
label (by local name), a literal a property, a statement between two resources a fact whose relation is the
predicate's local name. Where two vocabularies share a local name both get a prefix
(`rdf_terms.short_names`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import rdflib
from rdflib.collection import Collection

from .knowledge_graph import KnowledgeGraph, NodeTable
from .rdf_reader import Reader
from .rdf_statements import Statements
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
    RELATION_NS,
    TEXT_PREDICATES,
    USER_CLASS,
    urn,
)


def read_rdf(
    source: str | Path | rdflib.Graph,
    *,
    item_type: str | None = None,
    user_type: str | None = None,
    item_id: str | None = None,
    interacted: str | None = None,
    relations: Mapping[str, str] | None = None,
) -> KnowledgeGraph:
    """Make a graph of RDF.

    A node's id is its IRI unless it has an identifier of its own, and then its IRI is the property ``uri``;
    an item with several identifiers is as many items. Of several classes the alphabetically first is the
    label; a node without a class is an Entity. ``rdfs:label``, ``schema:name`` and the like are the name,
    ``schema:description``, ``rdfs:comment`` and the like the text; of values in several languages those in
    English or in none count. Values of a property are integers, floats, booleans or else strings, and lists
    where a node has several. What is said about classes and predicates makes no nodes; graph names are
    ignored. A predicate or class that is declared ``rdfs:subPropertyOf`` or ``rdfs:subClassOf`` one of
    kgenre's (see `kgenre.graph.rdf_terms`) is read as such, so that a file can say itself what its items are.

    Parameters
    ----------
    source
        A file (.ttl, .nt, .nq, .trig, .jsonld, .rdf) or an rdflib graph.
    item_type, user_type
        The class of items and of users, as an IRI or, where that is clear, by its local name. By default the
        subclasses of kgenre's, or a class called Item or User.
    item_id
        The predicate whose value is an item's id.
    interacted
        The predicate that leads from a user to an item they interacted with.
    relations
        What the relations of predicates are called, where not by the local name.

    Raises
    ------
    DataError
        If the file cannot be read or parsed (with the line), if a class or predicate is not there (with the
        nearest), if two nodes share an id, or if an interaction is not between a user and an item.
    """
    return Reader(
        Statements.read(source),
        item_type=item_type,
        user_type=user_type,
        item_id=item_id,
        interacted=interacted,
        relations=relations or {},
    ).build()


def to_rdf(kg: KnowledgeGraph) -> rdflib.Graph:
    """The graph as RDF in the vocabulary of `kgenre.graph.rdf_terms`; `read_rdf` makes the same graph of it.

    Names are ``rdfs:label``, texts ``schema:description``; a list is an RDF list. Weights and timestamps
    stand on an ``rdf:Statement`` beside the triple that they are about.
    """
    graph = rdflib.Graph()
    for prefix, namespace in (
        ("kgenre", NS),
        ("label", LABEL_NS),
        ("relation", RELATION_NS),
        ("property", PROPERTY_NS),
    ):
        graph.bind(prefix, namespace)
    graph.bind("schema", "https://schema.org/", replace=True)
    for table, ours in ((kg.users, USER_CLASS), (kg.items, ITEM_CLASS)):
        graph.add((_iri(LABEL_NS, table.label), rdflib.RDFS.subClassOf, rdflib.URIRef(ours)))
    nodes = np.concatenate([_add_nodes(graph, table) for table in kg.tables])
    inter = kg.interactions
    _add_triples(
        graph,
        rdflib.URIRef(INTERACTED_WITH),
        nodes[inter.user],
        nodes[inter.item + kg.n_users],
        inter.weight if (inter.weight != 1).any() else None,
        inter.timestamp,
    )
    for facts in kg.facts:
        predicate = _iri(RELATION_NS, facts.relation)
        _add_triples(graph, predicate, nodes[facts.head], nodes[facts.tail], facts.weight, facts.timestamp)
    return graph


def _iri(namespace: str, *parts: str) -> rdflib.URIRef:
    return rdflib.URIRef(urn(namespace, *parts))


def _add_nodes(graph: rdflib.Graph, table: NodeTable) -> Any:
    kind, has_id = _iri(LABEL_NS, table.label), rdflib.URIRef(HAS_ID)
    nodes = np.empty(len(table), dtype=object)
    for row, key in enumerate(table.vocabulary):
        nodes[row] = _iri(NODE_NS, table.label, key)
        graph.add((nodes[row], rdflib.RDF.type, kind))
        graph.add((nodes[row], has_id, rdflib.Literal(key)))
    columns = {key: table.properties.column(key) for key in table.properties.column_names}
    named: list[tuple[rdflib.URIRef, pa.Array]] = [
        (rdflib.URIRef(NAME_PREDICATES[0]), table.names),
        (rdflib.URIRef(TEXT_PREDICATES[0]), table.texts),
        *((_iri(PROPERTY_NS, key), column) for key, column in columns.items()),
    ]
    for predicate, column in named:
        for node, value in zip(nodes, column.to_pylist(), strict=True):
            if isinstance(value, list):
                head = rdflib.BNode() if value else rdflib.RDF.nil
                Collection(graph, head, [_literal(member) for member in value if member is not None])
                graph.add((node, predicate, head))
            elif value is not None:
                graph.add((node, predicate, _literal(value)))
    return nodes


def _literal(value: Any) -> rdflib.Literal:
    if isinstance(value, float):
        # The shortest text that is the same number; XSD spells infinity its own way.
        return rdflib.Literal(repr(value).replace("inf", "INF"), datatype=rdflib.XSD.double)
    return rdflib.Literal(value)


def _add_triples(
    graph: rdflib.Graph, predicate: rdflib.URIRef, heads: Any, tails: Any, weight: Any, timestamp: Any
) -> None:
    notes = [
        (rdflib.URIRef(name), np.asarray(values, dtype=np.float64))
        for name, values in ((HAS_WEIGHT, weight), (HAS_TIMESTAMP, timestamp))
        if values is not None
    ]
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        graph.add((head, predicate, tail))
        known = [(name, values[row]) for name, values in notes if not np.isnan(values[row])]
        if known:
            statement = rdflib.BNode()
            graph.add((statement, rdflib.RDF.type, rdflib.RDF.Statement))
            graph.add((statement, rdflib.RDF.subject, head))
            graph.add((statement, rdflib.RDF.predicate, predicate))
            graph.add((statement, rdflib.RDF.object, tail))
            for name, value in known:
                graph.add((statement, name, _literal(float(value))))
