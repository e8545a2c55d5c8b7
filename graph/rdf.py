"""RDF, in (`kgenre.graph.rdf_writer` is the way out).

The mapping is in the spirit of neosemantics, Neo4j's RDF plug-in: a resource becomes a node, its class the
label (by local name), a literal a property, a statement between two resources a fact whose relation is the
predicate's local name. Where two vocabularies share a local name both get a prefix
(`rdf_terms.short_names`).
"""

from collections.abc import Mapping
from pathlib import Path

import rdflib

from .knowledge_graph import KnowledgeGraph
from .rdf_reader import Reader
from .rdf_statements import Statements


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
    where a node has several. What is said about classes and predicates makes no nodes. A predicate or class
    that is declared ``rdfs:subPropertyOf`` or ``rdfs:subClassOf`` one of kgenre's (see
    `kgenre.graph.rdf_terms`) is read as such, so that a file can say itself what its items are.

    What RDF knows beyond that is kept. The language or datatype that all values of a label's property share is
    noted on its Arrow field (`kgenre.graph.rdf_terms.Note`); where they differ, those of a language or datatype
    stand in a property of their own as well (``title@de``, ``released^^xsd:date``). The named graphs that say
    something about a node are its property ``graphs``. A blank node's id is made of the file's content and of
    its place there, so that it is the same each time and no other file's. Writing RDF undoes all this.

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
