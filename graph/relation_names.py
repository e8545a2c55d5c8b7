"""Names of relations and labels as a store holds them.

ArcadeDB keeps labels and relationship types in one namespace, and every store keeps one relationship type for
interactions and two for what is written back. A relation (or label) whose name is taken gets a suffix there, which
reading takes off again, so that a graph comes back with the names it had.
"""

from collections.abc import Iterable

from .columns import INTERACTED

RECOMMENDED = "RECOMMENDED"
"""Relationship type of a recommendation in a store: {rank, score, reason, model}."""
RECOMMENDED_STAGED = "RECOMMENDED_STAGED"
"""The same while a list is being written, with the hash of its chunk."""

WRITTEN_BACK = (RECOMMENDED, RECOMMENDED_STAGED)
"""What `kgenre` itself found out, and so neither fact nor interaction."""

_RELATION = "#relation"
_LABEL = "#label"


def stored_names(names: Iterable[str], taken: Iterable[str], suffix: str) -> dict[str, str]:
    """How each name is stored, given the names that mean something else in the store."""
    busy = set(taken)
    return {name: name + suffix if name in busy or name.endswith(suffix) else name for name in names}


def stored_relations(relations: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """Relationship type of each relation, where `labels` (as stored) cannot be used for one."""
    return stored_names(relations, {*labels, INTERACTED, *WRITTEN_BACK}, _RELATION)


def stored_labels(labels: Iterable[str], types: Iterable[str]) -> dict[str, str]:
    """Stored label of each label, where `types` (as stored) cannot be used for one."""
    return stored_names(labels, types, _LABEL)


def relation_of(stored: str) -> str:
    """The relation that a relationship type stands for."""
    return stored.removesuffix(_RELATION)


def label_of(stored: str) -> str:
    """The label that a stored label stands for."""
    return stored.removesuffix(_LABEL)
