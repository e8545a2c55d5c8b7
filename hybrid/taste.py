"""What somebody likes, in words: facts that stand out in their history against the catalogue."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse, stats

from kgenre.graph import KnowledgeGraph

from .phrases import Phrases

_SIGNIFICANCE = 0.01
_FALSE_DISCOVERIES = 0.05


@dataclass(frozen=True)
class Preference:
    """A fact that liked items share more often than the catalogue has it.

    Attributes
    ----------
    words
        Relation and entity by name ("directed by Ridley Scott").
    liked, of
        How many liked items have the fact, of the liked ones that have any of the relation.
    expected
        How many of these would have it if they were drawn at random from the catalogue's items with the relation.
    beyond_chance
        Whether it passes Benjamini and Hochberg (1995) at a false discovery rate of 5 % over all facts compared;
        the others stand out one by one, but of so many comparisons some do by chance.
    """

    words: str
    liked: int
    of: int
    expected: float
    beyond_chance: bool


def preferences(
    kg: KnowledgeGraph, liked: npt.NDArray[np.integer], most: int = 8, language: str | Phrases = "en"
) -> list[Preference]:
    """Named facts over-represented among liked items (by index), the least likely to be chance first.

    One-sided hypergeometric tests at 1 %, one for each named entity that at least two items share; at least two
    liked items must have it. Items without any fact of a relation count neither as having one of its facts nor as
    lacking it.
    """
    phrases = Phrases.of(language)
    named = np.concatenate([_named(table.names) for table in kg.tables])
    # Another user is nobody's taste, and not to be told of.
    named[kg.slice(kg.users.label)] = False
    rows: list[tuple[str, int, int, int, float]] = []
    p_values: list[npt.NDArray[np.float64]] = []
    for relation, matrix in kg.item_facts().items():
        has_any = np.diff(matrix.indptr) > 0
        own = liked[has_any[liked]]
        degree = np.bincount(matrix.indices, minlength=kg.n_nodes)
        nodes = np.flatnonzero(named & (degree > 1))
        if not len(own) or not len(nodes):
            continue
        n = int(has_any.sum())
        count = np.bincount(matrix[own].indices, minlength=kg.n_nodes)[nodes]
        p_values.append(np.asarray(stats.hypergeom.sf(count - 1, n, degree[nodes], len(own))))
        expected = len(own) * degree[nodes] / n
        rows += [
            (relation, int(node), int(times), len(own), float(mean))
            for node, times, mean in zip(nodes, count, expected, strict=True)
        ]
    if not rows:
        return []
    p = np.concatenate(p_values)
    certain = stats.false_discovery_control(p) <= _FALSE_DISCOVERIES
    found: list[Preference] = []
    for place in np.argsort(p, kind="stable"):
        relation, node, times, of, mean = rows[place]
        if p[place] > _SIGNIFICANCE or len(found) == most:
            break
        if times > 1:
            words = phrases.fact(relation, kg.node_name(node))
            found.append(Preference(words, times, of, mean, bool(certain[place])))
    return found


def _named(names: pa.StringArray) -> npt.NDArray[np.bool_]:
    flags = pc.fill_null(pc.not_equal(names, ""), False)
    return np.asarray(flags.to_numpy(zero_copy_only=False), dtype=bool)


def profile(kg: KnowledgeGraph, history: sparse.csr_matrix, found: list[Preference]) -> list[str]:
    """Somebody's taste in sentences: what they like, and which facts stand out in it.

    Parameters
    ----------
    kg
        The graph.
    history
        One row of signed weights, of shape (1, n_items).
    found
        See `preferences`.
    """
    names = Phrases.of("en").names
    liked = history.indices[history.data > 0]
    disliked = history.nnz - len(liked)
    popularity = np.bincount(kg.likes.indices, minlength=kg.n_items)
    shown = liked[np.argsort(-popularity[liked], kind="stable")]
    likes = (
        f"Likes {names([kg.items.name(int(item)) for item in shown], 6)}."
        if len(liked)
        else "Likes nothing yet."
    )
    sentences = [likes]
    if disliked:
        sentences[0] += f" Dislikes {disliked:,} item{'s' if disliked > 1 else ''}."
    certain = [one.words for one in found if one.beyond_chance]
    if certain:
        sentences.append(f"Prefers what is {names(certain, 4)}, far more often than chance would have it.")
    elif found:
        hint = names([one.words for one in found], 2)
        sentences.append(f"Perhaps prefers what is {hint}; of so many facts some stand out by chance.")
    else:
        sentences[0] += " No named fact stands out in what they like."
    return sentences
