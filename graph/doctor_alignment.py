"""Do the links from items to the graph lead to the right entities? A permutation test answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from .doctor_finding import Finding, few, shown
from .doctor_nodes import folded, release_years
from .knowledge_graph import KnowledgeGraph

_FITS = 3.0
_RELATION_FITS = 6.0
_TELLS = 10.0
_PERMUTATIONS = 20
_MIN_ITEMS = 50
_BUDGET = 2e7
_HALVES_BUDGET = 2e6
_BLOCK = 1024


@dataclass(frozen=True)
class Alignment:
    """How much better than permuted links the links from items to the graph are.

    Attributes
    ----------
    z
        Standard deviations between the links as they are and the mean of the permuted ones. Links that fit have
        more than 3; MovieLens-100k has 40, and 0 with the links of another data set.
    relations
        The same for each relation of `KnowledgeGraph.item_facts` alone, where it has enough items.
    likes_z
        The same with the likes of half the users in the place of the links: how well the other half's likes can
        be told at all. Below 10 there are too few likes, or they are too random, to judge links by.
    n_items
        Items tested: those with likes and with an entity that another of them has too.
    """

    z: float
    relations: dict[str, float]
    likes_z: float
    n_items: int

    @property
    def can_tell(self) -> bool:
        """Whether there are likes enough to judge links by."""
        return self.likes_z >= _TELLS

    @property
    def fits(self) -> bool:
        """Whether the links are better than random, all together or those of one relation."""
        # The bar is higher for the best of many; common nodes (a language) may hide the others in the sum.
        return self.z >= _FITS or max(self.relations.values(), default=0.0) >= _RELATION_FITS


def link_alignment(kg: KnowledgeGraph, seed: int = 0) -> Alignment | None:
    """Test whether items that share entities are liked together more often than chance allows.

    The statistic is the sum, over all pairs of items, of the cosine of their entities (weighted by inverse
    document frequency) times the cosine of their likes; it is compared with the same sum after permuting which
    item has which entities, 20 times. It is computed as the squared norm of entities x users, so no matrix of
    items x items is ever made; of very many likes a sample of the users is used.

    Returns
    -------
    Alignment or None
        None where fewer than 50 items can be tested.
    """
    rng = np.random.default_rng(seed)
    entities = {name: matrix for name, facts in kg.item_facts().items() if (matrix := _shared(kg, facts)).nnz}
    if not entities:
        return None
    together = _rows(sparse.csr_matrix(sparse.hstack(list(entities.values()))))
    popularity = np.bincount(kg.likes.indices, minlength=kg.n_items)
    cost = float(np.diff(together.indptr).astype(np.float64) @ popularity)
    likes = kg.likes[_sample(kg.n_users, min(1.0, _BUDGET / max(cost, 1.0)), rng)]
    overall = _test(together, _cosines(likes), rng)
    if overall is None:
        return None
    z, n_items = overall
    relations = {}
    for name, facts in entities.items():
        test = _test(_rows(facts), _cosines(likes), rng)
        if test is not None:
            relations[name] = test[0]
    return Alignment(z, relations, _halves(kg, np.diff(together.indptr) > 0, rng), n_items)


def check_alignment(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Links that are no better than random; relations that say nothing about taste."""
    test = link_alignment(kg)
    if test is None or not test.can_tell:
        return
    known = sorted(test.relations.items(), key=lambda pair: pair[1])
    if not test.fits:
        yield Finding(
            "link_alignment",
            "error",
            "The links from items to the graph are no better than random: items that share entities are liked "
            f"together no more often than the same items with their links permuted (z = {test.z:.1f} over "
            f"{_PERMUTATIONS} permutations, where links that fit have more than {_FITS:.0f}).",
            test.z,
            test.n_items,
            few(f"{name} z = {z:.1f}" for name, z in known),
            "The ids in the links are probably those of another data set or version, where the same ids mean "
            f"other items: link again by title and year. {_by_title(kg)}",
        )
        return
    idle = [(name, z) for name, z in known if z < _FITS]
    if idle:
        yield Finding(
            "relation_alignment",
            "info",
            f"Relations that say nothing about taste, {len(idle)} of {len(known)}: items that share their entities "
            "are liked together no more often than chance.",
            idle[0][1],
            len(idle),
            few(f"{name} z = {z:.1f}" for name, z in idle),
            "Leave them out if the other relations do as well without them.",
        )


def _shared(kg: KnowledgeGraph, facts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Ones where an item is linked to a node that another item is linked to as well; users are no such nodes."""
    columns = sparse.csc_matrix(facts[:, kg.n_users :])
    shared = sparse.csr_matrix(columns[:, np.diff(columns.indptr) > 1])
    shared.data = np.ones(shared.nnz, dtype=np.float32)
    return shared


def _rows(facts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows of length 1 (or 0), weighted by inverse document frequency."""
    frequency = np.bincount(facts.indices, minlength=facts.shape[1])
    rarity = np.log((np.diff(facts.indptr) > 0).sum() / np.maximum(frequency, 1))
    rows = sparse.csr_matrix(facts @ sparse.diags(rarity))
    rows.eliminate_zeros()
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.where(length > 0, length, 1)) @ rows)


def _cosines(likes: sparse.csr_matrix) -> sparse.csr_matrix:
    """Items x users, where the product of two rows is the cosine of two items' likes."""
    popularity = np.bincount(likes.indices, minlength=likes.shape[1])
    return sparse.csr_matrix(sparse.diags(1 / np.sqrt(np.maximum(popularity, 1))) @ likes.T)


def _sample(n: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.sort(rng.permutation(n)[: max(1, round(n * share))])


def _halves(kg: KnowledgeGraph, linked: npt.NDArray[np.bool_], rng: np.random.Generator) -> float:
    """How well the likes of half the users agree with those of the other half; z, 0 where there are too few."""
    popularity = np.bincount(kg.likes.indices, minlength=kg.n_items)[linked].astype(np.float64)
    cost = float((popularity**2).sum()) / 4
    users = rng.permutation(_sample(kg.n_users, min(1.0, np.sqrt(_HALVES_BUDGET / max(cost, 1.0))), rng))
    one, two = (_cosines(kg.likes[half]) for half in (users[: len(users) // 2], users[len(users) // 2 :]))
    test = _test(sparse.csr_matrix(sparse.diags(linked.astype(np.float32)) @ one), two, rng)
    return test[0] if test is not None else 0.0


def _test(
    rows: sparse.csr_matrix, likes: sparse.csr_matrix, rng: np.random.Generator
) -> tuple[float, int] | None:
    """Z and the number of items that have both something in `rows` and likes."""
    rows.eliminate_zeros()
    used = np.flatnonzero((np.diff(rows.indptr) > 0) & (np.diff(likes.indptr) > 0))
    if len(used) < _MIN_ITEMS:
        return None
    rows, audience = rows[used], sparse.csc_matrix(likes[used])
    # That an item agrees with itself adds the same to every sum, since the rows have length 1.
    actual = _agreement(rows, audience)
    permuted = np.array(
        [_agreement(rows[rng.permutation(len(used))], audience) for _ in range(_PERMUTATIONS)]
    )
    spread = permuted.std(ddof=1)
    # All items have the same: nothing can be told apart.
    if spread <= 1e-6 * permuted.mean():
        return None
    return float((actual - permuted.mean()) / spread), len(used)


def _agreement(rows: sparse.csr_matrix, likes: sparse.csc_matrix) -> float:
    entities = sparse.csr_matrix(rows.T)
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
    pairs = titles.join(names, on="title", suffix="_of_entity", maintain_order="left").filter(
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
