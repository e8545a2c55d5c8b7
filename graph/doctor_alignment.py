"""Do the links from items to the graph lead to the right entities? A permutation test answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from .doctor_finding import Finding, few, shown
from .doctor_nodes import folded, release_years
from .knowledge_graph import KnowledgeGraph

Z_FITS = 3.0
"""Above it, items that share entities are liked together more often than chance allows."""

_PERMUTATIONS = 20
_MIN_ITEMS = 50
_MAX_SPREAD = 0.03
"""A test whose permuted figures spread more than this (standard deviation / mean) would miss a gain of a tenth."""
_BUDGET = 2e7
"""Products of a fact with a like in one permutation; beyond it a sample of the users has to do."""
_BLOCK = 1024


@dataclass(frozen=True)
class Alignment:
    """How much better than permuted links the links of some relations are.

    Attributes
    ----------
    z
        Standard deviations between the links as they are and the mean of the permuted ones.
    n_items
        Items tested: those with likes and with an entity that another of them has too.
    """

    z: float
    n_items: int


def link_alignment(kg: KnowledgeGraph, seed: int = 0) -> dict[str, Alignment | None]:
    """Test the items' links, all together (key "") and each relation of `KnowledgeGraph.item_facts` alone.

    The statistic is the sum, over all pairs of items, of the cosine of their entities (weighted by inverse
    document frequency) times the cosine of their likes; it is compared with the same sum after permuting which
    item has which entities, 20 times. It is computed as the squared norm of entities x users, so no matrix of
    items x items is ever made.

    Returns
    -------
    dict of str to Alignment or None
        None where there are too few items (below 50) or likes to tell.
    """
    rng = np.random.default_rng(seed)
    entities = {name: matrix for name, facts in kg.item_facts().items() if (matrix := _shared(kg, facts)).nnz}
    if not entities:
        return {"": None}
    together = sparse.hstack(list(entities.values())).tocsr()
    likes = _likes(kg, together, rng)
    return {name: _test(facts, likes, rng) for name, facts in {"": together, **entities}.items()}


def check_alignment(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Links that are no better than random; relations that say nothing about taste."""
    tests = link_alignment(kg)
    overall = tests.pop("")
    if overall is None:
        return
    known = [(name, test) for name, test in tests.items() if test is not None]
    known.sort(key=lambda pair: pair[1].z)
    if overall.z < Z_FITS:
        yield Finding(
            "link_alignment",
            "error",
            "The links from items to the graph are no better than random: items that share entities are liked "
            f"together no more often than the same items with their links permuted (z = {overall.z:.1f} over "
            f"{_PERMUTATIONS} permutations, where links that fit have more than {Z_FITS:.0f}).",
            overall.z,
            overall.n_items,
            few(f"{name} z = {test.z:.1f}" for name, test in known),
            "The ids in the links are probably those of another data set or version, where the same ids mean "
            f"other items: link again by title and year. {_by_title(kg)}",
        )
        return
    idle = [(name, test) for name, test in known if test.z < Z_FITS]
    if idle:
        yield Finding(
            "relation_alignment",
            "info",
            f"Relations that say nothing about taste, {len(idle)} of {len(known)}: items that share their entities are "
            "liked together no more often than chance.",
            idle[0][1].z,
            len(idle),
            few(f"{name} z = {test.z:.1f}" for name, test in idle),
            "Leave them out if the other relations do as well without them.",
        )


def _shared(kg: KnowledgeGraph, facts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Ones where an item is linked to a node that another item is linked to as well; users are no such nodes."""
    columns = sparse.csc_matrix(facts[:, kg.n_users :])
    shared = sparse.csr_matrix(columns[:, np.diff(columns.indptr) > 1])
    shared.data = np.ones(shared.nnz, dtype=np.float32)
    return shared


def _likes(kg: KnowledgeGraph, facts: sparse.csr_matrix, rng: np.random.Generator) -> sparse.csr_matrix:
    """Items x users, where the product of two rows is the cosine of two items' likes (or near it, in a sample)."""
    likes = kg.likes
    popularity = np.bincount(likes.indices, minlength=kg.n_items)
    cost = float(np.diff(facts.indptr).astype(np.float64) @ popularity)
    if cost > _BUDGET:
        n_users = max(1, int(kg.n_users * _BUDGET / cost))
        likes = likes[np.sort(rng.choice(kg.n_users, n_users, replace=False))]
        popularity = np.bincount(likes.indices, minlength=kg.n_items)
    scale = sparse.diags(1 / np.sqrt(np.maximum(popularity, 1)))
    return sparse.csr_matrix(scale @ likes.T)


def _test(facts: sparse.csr_matrix, likes: sparse.csr_matrix, rng: np.random.Generator) -> Alignment | None:
    linked = np.diff(facts.indptr) > 0
    frequency = np.bincount(facts.indices, minlength=facts.shape[1])
    rarity = np.log(linked.sum() / np.maximum(frequency, 1))
    weighted = sparse.csr_matrix(facts @ sparse.diags(rarity))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    used = np.flatnonzero((length > 0) & (np.diff(likes.indptr) > 0))
    if len(used) < _MIN_ITEMS:
        return None
    rows = sparse.csr_matrix(sparse.diags(1 / length[used]) @ weighted[used])
    audience = sparse.csc_matrix(likes[used])
    # An item with itself; the rows have length 1, so permuting them changes nothing about it.
    alone = float((audience.data.astype(np.float64) ** 2).sum())
    actual = _agreement(rows, audience) - alone
    permuted = np.array(
        [_agreement(rows[rng.permutation(len(used))], audience) - alone for _ in range(_PERMUTATIONS)]
    )
    mean, spread = permuted.mean(), permuted.std(ddof=1)
    if not 0 < spread <= _MAX_SPREAD * mean:
        return None
    return Alignment(float((actual - mean) / spread), len(used))


def _agreement(rows: sparse.csr_matrix, likes: sparse.csc_matrix) -> float:
    entities = rows.T.tocsr()
    total = 0.0
    for start in range(0, likes.shape[1], _BLOCK):
        product = entities @ likes[:, start : start + _BLOCK]
        total += float((product.data.astype(np.float64) ** 2).sum())
    return total


def _by_title(kg: KnowledgeGraph) -> str:
    """What a match of items with entities by title and year finds."""
    titles = _titles(kg, [kg.items.label])
    names = _titles(kg, list(kg.labels[2:]))
    if names.is_empty() or titles.is_empty():
        without = "entities" if names.is_empty() else "items"
        return f"(Not tried here: the {without} have no names.)"
    pairs = titles.join(names, on="title", suffix="_of_entity").filter(
        (pl.col("year") == pl.col("year_of_entity")).fill_null(True)
    )
    pairs = pairs.unique("node", keep="none", maintain_order=True)
    if pairs.is_empty():
        return "(Tried here: no item has the name of an entity.)"
    examples = few(
        f"{shown(kg, item)} is {shown(kg, entity)}"
        for item, entity in pairs.select("node", "node_of_entity").iter_rows()
    )
    return (
        f"Tried here: {len(pairs):,} items have the title (and year, where known) of one entity: "
        f"{'; '.join(examples)}."
    )


def _titles(kg: KnowledgeGraph, labels: list[str]) -> pl.DataFrame:
    """node, title, year of the named nodes of these labels that can be told apart."""
    frames = [pl.DataFrame(schema={"node": pl.Int64, "title": pl.String, "year": pl.Int64})]
    for label in labels:
        table = kg.table(label)
        names = [str(name or "") for name in table.names.to_pylist()]
        years = release_years(table)
        written = [re.search(r"\((\d{4})\)\s*$", name) for name in names]
        frames.append(
            pl.DataFrame(
                {
                    "node": np.arange(len(table)) + kg.slice(label).start,
                    "title": [_plain(name) for name in names],
                    "year": [
                        year if year is not None else int(match[1]) if match else None
                        for year, match in zip(years, written, strict=True)
                    ],
                },
                schema=frames[0].schema,
            ).filter(pl.col("title") != "")
        )
    return pl.concat(frames)


def _plain(name: str) -> str:
    """A title without its year, its article in front: "Piano, The (1993)" -> "the piano"."""
    name = folded(re.sub(r"\s*\(\d{4}\)\s*$", "", name))
    return re.sub(r"^(.*), (the|a|an|les?|la|der|die|das|il|el)$", r"\2 \1", name)
