"""Facts as paths: what was liked, what connects, what is recommended."""

from dataclasses import dataclass

from .phrases import relation_words

__all__ = ["FactPath", "relation_words"]


@dataclass(frozen=True)
class FactPath:
    """A path item - relation - entity - relation - item, or a fact between two items.

    Attributes
    ----------
    start
        Id of the liked item that it starts from; None where nothing that was liked has the fact.
    relation
        The relation; ``^-1`` behind it where it is walked backwards.
    entity
        External id of the entity between the items, or None where the fact is between them.
    end
        Id of the item that is explained.
    text
        The connection in words, by name.
    """

    start: str | None
    relation: str
    entity: str | None
    end: str
    text: str
