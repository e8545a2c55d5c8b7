"""The literals of one property as columns: one of plain values, and where need be one for each language or datatype."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from .rdf_statements import Literal
from .rdf_terms import XSD, Note, literal_text

Row = list[Literal] | None
"""The values that a node has, or None."""

_INTEGERS = frozenset(
    XSD + sign + kind
    for sign in ("", "unsigned", "positive", "nonNegative", "nonPositive", "negative")
    for kind in ("integer", "int", "long", "short", "byte", "Integer", "Int", "Long", "Short", "Byte")
)
_FLOATS = frozenset([XSD + "double", XSD + "float", XSD + "decimal"])
_DTYPES = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String}
_PLAIN = Note(datatype=XSD + "string")
_DATATYPES = {int: XSD + "integer", float: XSD + "double", bool: XSD + "boolean", str: XSD + "string"}


def preferred(values: Sequence[Literal]) -> list[Literal]:
    """The values without a language or in English, else all; sorted, since RDF knows no order."""
    chosen = [v for v in values if v.language is None or v.language.split("-")[0] == "en"] or values
    return sorted(set(chosen), key=lambda value: (value.language is not None, value.value, value.datatype))


def property_columns(
    key: str, rows: Sequence[Row], ordered: Sequence[bool]
) -> list[tuple[str, pl.Series, Note]]:
    """The columns that hold a property.

    Parameters
    ----------
    key
        The property's name.
    rows
        All its values, node by node.
    ordered
        Whether a node's values are an RDF list, whose order counts.

    Returns
    -------
    list of (name, column, note)
        The property itself first, then those for the languages and datatypes that only some of the values have.
    """
    chosen = [
        row if row is None or in_order else preferred(row)
        for row, in_order in zip(rows, ordered, strict=True)
    ]
    listed = any(ordered) or any(row is not None and len(row) > 1 for row in chosen)
    kind = _kind_of(chosen)
    notes = {_note(value) for row in rows for value in row or ()}
    if len(notes) == 1:
        note = notes.pop()
        plain = note.datatype == _DATATYPES[kind]
        return [(key, _column(chosen, kind, listed), Note() if plain else note)]
    columns = [(key, _column(chosen, kind, listed), Note())]
    if kind is str and not any(ordered):
        columns += apart(key, rows, notes if any(map(_hidden, rows)) else notes - {_PLAIN})
    return columns


def _hidden(row: Row) -> bool:
    """Whether a plain value is also one of a language that stands in a column of its own alone.

    Of the column of all values one could not tell then whether it holds the one or the other.
    """
    if not row:
        return False
    elsewhere = {value.value for value in set(row).difference(preferred(row))}
    return any(_note(value) == _PLAIN and value.value in elsewhere for value in row)


def apart(key: str, rows: Sequence[Row], notes: set[Note]) -> list[tuple[str, pl.Series, Note]]:
    """A column for each language or datatype, of the values that have it."""
    columns = []
    for note in sorted(notes, key=Note.key):
        members = [sorted({v for v in row or () if _note(v) == note}) for row in rows]
        column = _column([row or None for row in members], str, any(len(row) > 1 for row in members))
        columns.append((key + note.key(), column, replace(note, main=key)))
    return columns


def as_written(literal: Literal) -> str:
    """A literal as it stands in N-Triples once it has been a value of its type."""
    note = _note(literal)
    value = _convert(literal, _kind(literal))
    return literal_text(literal.value if value is None else value, Note() if note == _PLAIN else note)


def languages(rows: Sequence[Row]) -> set[Note]:
    """The languages of values."""
    return {Note(language=value.language) for row in rows for value in row or () if value.language}


def _note(literal: Literal) -> Note:
    return Note(language=literal.language) if literal.language else Note(datatype=literal.datatype)


def _column(rows: Sequence[Row], kind: type, listed: bool) -> pl.Series:
    values = [None if row is None else [_convert(value, kind) for value in row] for row in rows]
    if listed:
        return pl.Series(values, dtype=pl.List(_DTYPES[kind]))
    return pl.Series([value[0] if value else None for value in values], dtype=_DTYPES[kind])


def _kind_of(rows: Sequence[Row]) -> type:
    kinds = {_kind(value) for row in rows for value in row or ()}
    if kinds == {int, float}:
        return float
    return kinds.pop() if len(kinds) == 1 else str


def _kind(literal: Literal) -> type:
    value, datatype = literal.value.strip(), literal.datatype
    try:
        if datatype in _INTEGERS:
            return int if abs(int(value)) < 2**63 else str
        if datatype in _FLOATS:
            float(value)
            return float
    except ValueError:
        return str
    return bool if datatype == XSD + "boolean" and value in ("true", "false", "1", "0") else str


def _convert(literal: Literal, kind: type) -> Any:
    if kind is bool:
        return literal.value.strip() in ("true", "1")
    if kind is float:
        number = float(literal.value)
        return None if number != number else number
    return kind(literal.value)
