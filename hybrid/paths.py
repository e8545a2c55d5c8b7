"""How two items are connected by facts, in words."""

from dataclasses import dataclass

import numpy as np

from kgenre.graph import KnowledgeGraph

_BOTH = {
    "DIRECTED_BY": "both were directed by {}",
    "STARRING": "both star {}",
    "HAS_THEME": "both are about {}",
}
_KIND = {
    "film.film.actor": "actor",
    "film.film.award_nomination": "award nomination",
    "film.film.award_won": "award",
    "film.film.written_by": "writer",
    "film.film.produced_by": "producer",
    "film.director.film": "director",
    "film.cinematographer.film": "cinematographer",
    "film.content_rating.film": "content rating",
    "film.film_genre.films_in_this_genre": "genre",
}


@dataclass(frozen=True)
class FactPath:
    """A path item - relation - entity - relation - item, or a fact between two items.

    Attributes
    ----------
    start, end
        Item ids.
    relation
        The relation; ``^-1`` behind it where it is walked backwards.
    entity
        External id of the entity between the items, or None where the fact is between them.
    text
        The connection in words, by name.
    """

    start: str
    relation: str
    entity: str | None
    end: str
    text: str


def relation_words(relation: str) -> str:
    """A relation's name as words: ``film.film.produced_by`` and ``PRODUCED_BY`` give ``produced by``."""
    return _KIND.get(relation) or relation.rsplit(".", 1)[-1].rsplit("#", 1)[-1].replace("_", " ").casefold()


def shared_facts(kg: KnowledgeGraph, start: int, end: int, most: int = 2) -> list[FactPath]:
    """The closest connections of two items (by index): facts between them, then shared entities, rarest first.

    Only entities with a name: an id explains nothing.
    """
    first = kg.n_users
    ids = kg.items.vocabulary
    found: list[tuple[tuple[int, int, str], FactPath]] = []
    for relation, matrix in kg.item_facts().items():
        here = matrix.indices[matrix.indptr[start] : matrix.indptr[start + 1]]
        base = relation.removesuffix("^-1")
        if first + end in here:
            names = (kg.items.name(start), kg.items.name(end))
            subject, target = names if base == relation else names[::-1]
            words = f"{target} is the {relation_words(base)} of {subject}"
            found.append(((0, 0, relation), FactPath(ids[start], relation, None, ids[end], words)))
        there = matrix.indices[matrix.indptr[end] : matrix.indptr[end + 1]]
        for node in np.intersect1d(here, there, assume_unique=True):
            table, row = kg.locate(int(node))
            name = table.names[row].as_py()
            # Who else has to do with two items is nobody's business.
            if not name or table is kg.users:
                continue
            degree = _degree(kg, relation, int(node))
            path = FactPath(ids[start], relation, table.vocabulary[row], ids[end], _words(base, name))
            found.append(((1, degree, relation), path))
    found.sort(key=lambda pair: pair[0])
    paths: list[FactPath] = []
    for _, path in found:
        if path.text not in [kept.text for kept in paths]:
            paths.append(path)
    return paths[:most]


def _degree(kg: KnowledgeGraph, relation: str, node: int) -> int:
    key = f"degrees {relation}"
    if key not in kg._cache:
        matrix = kg.item_facts()[relation]
        kg._cache[key] = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return int(kg._cache[key][node])


def _words(relation: str, name: str) -> str:
    template = _BOTH.get(relation)
    return template.format(name) if template else f"both have {relation_words(relation)} {name}"
