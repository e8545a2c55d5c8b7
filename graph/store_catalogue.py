"""Which labels and relationship types a store has."""

from collections.abc import Iterable

from .bolt import Bolt
from .errors import ConfigError, did_you_mean
from .store_log import HIDDEN
from .store_notes import NOTE_LABEL


def labels_in(bolt: Bolt) -> list[str]:
    """The labels of a store, as stored, sorted; an engine remembers those of what is gone."""
    # ArcadeDB names the type of nodes with two labels "A~B"; the labels themselves are listed too.
    labels = [row[0] for row in bolt.run("CALL db.labels() YIELD label RETURN label")]
    return sorted(
        label
        for label in labels
        if label not in (NOTE_LABEL, *HIDDEN) and not (bolt.arcadedb and "~" in label)
    )


def types_in(bolt: Bolt) -> list[str]:
    """The relationship types of a store, as stored, sorted; an engine remembers those of what is gone."""
    query = "CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType"
    return sorted(row[0] for row in bolt.run(query))


def labels_used(bolt: Bolt) -> list[str]:
    """The labels that a node has."""
    return [name for name in labels_in(bolt) if bolt.run(f"MATCH (n:{quoted(bolt, name)}) RETURN 1 LIMIT 1")]


def types_used(bolt: Bolt) -> list[str]:
    """The types that a relationship has."""
    return [
        name for name in types_in(bolt) if bolt.run(f"MATCH ()-[r:{quoted(bolt, name)}]->() RETURN 1 LIMIT 1")
    ]


def quoted(bolt: Bolt, stored: str) -> str:
    """A label or relationship type that the store has, as it stands in a query."""
    return bolt.quote(stored, "label or relationship type")


def require(wanted: Iterable[str], there: Iterable[str], kind: str) -> None:
    """Refuse a schema that names a label or type that is not there."""
    there = set(there)
    for name in wanted:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise ConfigError(
                f"the store has no {kind} {name!r} that the schema names; it has {known}"
                f"{did_you_mean(name, there)}; `kgenre schema` proposes one"
            )
