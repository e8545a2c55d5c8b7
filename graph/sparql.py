"""SPARQL over a snapshot, through pyoxigraph."""

import re
from typing import Any

import pandas as pd
import pyoxigraph

from .errors import DataError
from .knowledge_graph import KnowledgeGraph
from .rdf_terms import XSD
from .rdf_writer import PREFIXES, ntriples

_PROLOGUE = re.compile(r"(\s|#[^\n]*(\n|$)|(BASE\s*|PREFIX\s+[^:\s]*:\s*)<[^>]*>)*", re.IGNORECASE)
_UPDATES = ("INSERT", "DELETE", "WITH", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD")
_NUMBERS = {XSD + "integer": int, XSD + "double": float, XSD + "float": float, XSD + "decimal": float}
_EXPECTED = 60
"""Characters kept of what the engine would have liked to see instead."""


def sparql(kg: KnowledgeGraph, query: str) -> pd.DataFrame:
    """Answer a SPARQL 1.1 query about the graph in the vocabulary of `kgenre.graph.rdf_terms`.

    The prefixes kgenre, label, relation, property, rdf, rdfs, xsd and schema need no declaration. The first query
    loads the graph into an in-memory store, which is kept with the graph.

    Parameters
    ----------
    kg
        The graph.
    query
        SELECT, ASK, CONSTRUCT or DESCRIBE.

    Returns
    -------
    pandas.DataFrame
        For SELECT a column for each variable; for ASK one boolean in the column ``ask``; for CONSTRUCT and
        DESCRIBE the columns ``s``, ``p``, ``o``. IRIs are strings, literals Python values where they are
        numbers, booleans or strings, what is not bound is missing.

    Raises
    ------
    DataError
        If the query is an update, or the engine refuses it (with its message and the position).
    """
    try:
        results = _store(kg).query(query, prefixes=PREFIXES)
        if isinstance(results, pyoxigraph.QueryBoolean):
            return pd.DataFrame({"ask": [bool(results)]})
        if isinstance(results, pyoxigraph.QueryTriples):
            triples = [(_value(t.subject), _value(t.predicate), _value(t.object)) for t in results]
            return pd.DataFrame(triples, columns=["s", "p", "o"])
        names = [variable.value for variable in results.variables]
        rows = [[_value(solution[name]) for name in names] for solution in results]
    except SyntaxError as error:
        start = _PROLOGUE.match(query)
        first = re.match(r"[A-Za-z]*", query[start.end() if start else 0 :])
        word = first[0].upper() if first else ""
        if word in _UPDATES:
            raise DataError(
                f"{word} is an update, and a snapshot is read-only; ask with SELECT, ASK, CONSTRUCT or DESCRIBE, "
                "change the store and take another snapshot"
            ) from None
        message = " ".join(str(error).split())
        head, expected, rest = message.partition("expected ")
        short = rest if len(rest) <= _EXPECTED else f"{rest[:_EXPECTED]}..."
        raise DataError(f"SPARQL {head}{expected}{short}") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"SPARQL: {' '.join(str(error).split())}") from None
    columns = zip(*rows, strict=True) if rows else [() for _ in names]
    return pd.DataFrame({name: _column(list(values)) for name, values in zip(names, columns, strict=True)})


def _store(kg: KnowledgeGraph) -> pyoxigraph.Store:
    if "sparql" not in kg._cache:
        store = pyoxigraph.Store()
        for chunk in ntriples(kg):
            store.bulk_load(chunk, pyoxigraph.RdfFormat.N_TRIPLES)
        kg._cache["sparql"] = store
    found: pyoxigraph.Store = kg._cache["sparql"]
    return found


def _value(term: Any) -> Any:
    if term is None:
        return None
    if not isinstance(term, pyoxigraph.Literal):
        return term.value if isinstance(term, pyoxigraph.NamedNode) else str(term)
    datatype = term.datatype.value
    try:
        if datatype in _NUMBERS:
            return _NUMBERS[datatype](term.value)
    except ValueError:
        return term.value
    return term.value in ("true", "1") if datatype == XSD + "boolean" else term.value


def _column(values: list[Any]) -> Any:
    kinds = {type(value) for value in values}
    if kinds == {int, type(None)} and all(value is None or abs(value) < 2**63 for value in values):
        # Plain pandas would make floats of whole numbers with gaps.
        return pd.array(values, dtype="Int64")
    return pd.Series(values, dtype=None if kinds and kinds <= {int, float, bool} else object)
