"""What is noted on properties (their language, their datatype), kept in a store beside the graph.

A store knows values, no columns. So each noted property has a node of its own, as neosemantics keeps its settings:
``(:_KgenreNote {label, property, language, datatype, main})``, see `kgenre.graph.rdf_terms.Note`. It is no part of a
snapshot.
"""

from collections.abc import Mapping
from typing import Any

from .bolt import Bolt
from .knowledge_graph import NodeTable
from .rdf_terms import Note

NOTE_LABEL = "_KgenreNote"

NOTE_KEYS = ("label", "property", "language", "datatype", "main")


def read_notes(bolt: Bolt) -> dict[str, dict[str, dict[str, str]]]:
    """The notes by stored label and property."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    labels = bolt.run("CALL db.labels() YIELD label RETURN label")
    if [NOTE_LABEL] in labels:
        query = f"MATCH (n:{NOTE_LABEL}) RETURN n.label, n.property, [n.language, n.datatype, n.main]"
        for label, key, values in bolt.run(query):
            note = {
                name: value for name, value in zip(NOTE_KEYS[2:], values, strict=True) if value is not None
            }
            found.setdefault(label, {})[key] = note
    return found


def notes_on(table: NodeTable) -> dict[str, dict[str, str]]:
    """The notes on a label's properties."""
    notes = {field.name: Note.of(field).metadata() for field in table.properties.schema}
    return {key: note for key, note in notes.items() if note}


def write_notes(
    bolt: Bolt, table: NodeTable, stored: str, there: Mapping[str, Mapping[str, dict[str, str]]]
) -> None:
    """Note what all values of a property share, those in the store included; called before the nodes are written.

    A property of which not all values have the same note gets none.
    """
    notes, known = notes_on(table), there.get(stored, {})
    gone = [key for key in table.properties.column_names if key in known and known[key] != notes.get(key)]
    node = bolt.quote(stored, "label")
    new: list[dict[str, Any]] = []
    for key in notes.keys() - known.keys():
        name = bolt.quote(key, "property")
        if not bolt.run(f"MATCH (n:{node}) WHERE n.{name} IS NOT NULL RETURN 1 LIMIT 1"):
            new.append({"label": stored, "property": key, **notes[key]})
    if gone:
        match = f"MATCH (n:{NOTE_LABEL}) WHERE n.label = row[0] AND n.property = row[1]"
        bolt.change(f"UNWIND $rows AS row {match} DELETE n", [[stored, key] for key in gone])
    if new:
        bolt.change(f"UNWIND $rows AS row CREATE (n:{NOTE_LABEL}) SET n += row", new)
