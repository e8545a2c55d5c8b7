"""Why an item is where it is on the map: whom it is next to, and the rarest thing that both are said to be."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph import KnowledgeGraph

from .phrases import Phrases
from .wording import Wording

NEIGHBOURS = 5
"""Nearest items among which one is looked for that shares a fact."""
_BLOCK = 512


def near_reasons(
    kg: KnowledgeGraph, rows: npt.NDArray[np.float64], items: npt.NDArray[np.int64], phrases: Phrases
) -> list[str]:
    """For each item, by name, an item that is near and the fact that both have.

    Parameters
    ----------
    kg
        The graph.
    rows
        Unit vectors of the items, shape (n, d).
    items
        int64 of shape (n,): which items they are.
    phrases
        The language.

    Returns
    -------
    One sentence an item: of its `NEIGHBOURS` nearest the one with which it shares the rarest fact whose entity has
    a name; where there is no such fact, the nearest, and how many like both or which words describe both.
    """
    near = _nearest(rows)
    facts = {name: _ones(matrix[items]) for name, matrix in kg.item_facts().items()}
    wording = Wording(kg, phrases)
    counts = {name: np.diff(sparse.csc_matrix(matrix).indptr) for name, matrix in kg.item_facts().items()}
    found = []
    for place, others in enumerate(near):
        best: tuple[int, str, int, int] | None = None
        for name, matrix in facts.items():
            own = matrix.indices[slice(*matrix.indptr[place : place + 2])]
            for other in others.tolist() if len(own) else ():
                theirs = matrix.indices[slice(*matrix.indptr[other : other + 2])]
                for node in np.intersect1d(own, theirs, assume_unique=True).tolist():
                    rarity = int(counts[name][node])
                    if (best is None or rarity < best[0]) and wording.is_named(node):
                        best = rarity, name, node, other
        if best is None:
            found.append(_without_fact(wording, int(items[place]), int(items[others[0]])))
            continue
        _, name, node, other = best
        said = phrases.fact(name, wording.entity(node))
        found.append(phrases.say("map_shared", name=wording.item(int(items[other])), fact=said))
    return found


def _without_fact(wording: Wording, item: int, other: int) -> str:
    """What likes or descriptions say of two items that share no fact that can be told."""
    say, name = wording.phrases.say, wording.item(other)
    if people := wording.both_liked(item, other):
        return say("map_people" if people > 1 else "map_person", name=name, n=f"{people:,}")
    if words := wording.common_words(item, other):
        return say("map_words", name=name, words=wording.phrases.sentences["comma"].join(words))
    return say("map_near", name=name)


def _nearest(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The nearest rows of each, but itself: int64 of shape (n, NEIGHBOURS), the nearest first."""
    count = min(NEIGHBOURS, len(rows) - 1)
    found = np.empty((len(rows), count), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        likeness = rows[start : start + _BLOCK] @ rows.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -np.inf
        few = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, few, axis=1), axis=1, kind="stable")
        found[start : start + _BLOCK] = np.take_along_axis(few, order, axis=1)
    return found


def _ones(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    chosen = sparse.csr_matrix(matrix)
    chosen.sort_indices()
    return chosen
