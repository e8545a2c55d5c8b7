"""Beyond accuracy: what lists are like, whatever they hit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError, did_you_mean
from kgenre.graph.features import fact_features

from .data import FloatArray
from .signals.features import unit

BEYOND = (
    "coverage",
    "novelty",
    "gini",
    "popularity_lift",
    "diversity_text",
    "diversity_facts",
    "calibration",
)
"""``coverage``: share of the catalogue in somebody's list. ``novelty``: mean -log2 of a listed item's share of users.
``gini``: how unequally the catalogue is listed, 0 all alike to 1 one item alone (Gini). ``popularity_lift``: mean
popularity of the list over that of the history, minus 1. ``diversity_text``, ``diversity_facts``: 1 - mean cosine of
two items of a list. ``calibration``: Kullback-Leibler divergence of the list's entities from the history's (Steck
2018), 0 is calibrated."""

SMOOTHING = 0.01
"""Share of the history's distribution that is mixed into the list's, so that the divergence is finite (Steck 2018)."""


@dataclass(frozen=True, eq=False)
class Beyond:
    """What judging lists takes.

    Attributes
    ----------
    popularity
        Likes per item, float64 of shape (n_items,).
    n_users
        Number of users.
    entities
        Each item's distribution over entities, CSR (n_items, n_features) of rows that sum to 1, or are empty.
    facts, text
        Unit rows per item, sparse and dense; zero or NaN rows where nothing is known.
    """

    popularity: npt.NDArray[np.float64]
    n_users: int
    entities: sparse.csr_matrix | None = None
    facts: sparse.csr_matrix | None = None
    text: FloatArray | None = None

    def of(
        self, items: npt.NDArray[np.int32], histories: sparse.csr_matrix, wanted: Sequence[str]
    ) -> Mapping[str, float]:
        """Coverage, novelty and what else is wanted.

        Parameters
        ----------
        items
            int32 of shape (b, k), -1 where there is no item.
        histories
            Likes of the same users, CSR of shape (b, n_items).
        wanted
            Of `BEYOND`.
        """
        n_items = len(self.popularity)
        counts = np.bincount(items[items >= 0], minlength=n_items)
        share = (self.popularity + 1) / (self.n_users + 1)
        found = {
            "coverage": float((counts > 0).mean()),
            "novelty": float(counts @ -np.log2(share) / max(int(counts.sum()), 1)),
        }
        rows, columns = np.nonzero(items >= 0)
        lists = sparse.csr_matrix(
            (np.ones(len(rows), dtype=np.float32), (rows, items[rows, columns])), shape=(len(items), n_items)
        )
        if "gini" in wanted:
            found["gini"] = gini(counts)
        if "popularity_lift" in wanted:
            found["popularity_lift"] = _mean(self._lift(lists, histories))
        if "diversity_text" in wanted and self.text is not None:
            found["diversity_text"] = _mean(diversity(lists, np.nan_to_num(self.text)))
        if "diversity_facts" in wanted and self.facts is not None:
            found["diversity_facts"] = _mean(diversity(lists, self.facts))
        if "calibration" in wanted and self.entities is not None:
            found["calibration"] = _mean(divergence(histories @ self.entities, lists @ self.entities))
        return found

    def _lift(self, lists: sparse.csr_matrix, histories: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        means = []
        for matrix in (lists, histories):
            size = np.diff(matrix.indptr)
            total = np.bincount(
                np.repeat(np.arange(len(size)), size), self.popularity[matrix.indices], len(size)
            )
            means.append(np.divide(total, size, out=np.full(len(size), np.nan), where=size > 0))
        listed, liked = means
        lift = np.divide(listed, liked, out=np.full(len(listed), np.nan), where=liked > 0) - 1
        return np.asarray(lift)


def beyond_accuracy(
    kg: KnowledgeGraph,
    wanted: Sequence[str],
    relation: str | None,
    item_text: Callable[[], FloatArray | None],
) -> Beyond:
    """What judging lists by some of `BEYOND` takes; see `kgenre.hybrid.evaluation.evaluate`.

    Raises
    ------
    ConfigError
        If there are no facts or no texts to judge by.
    UnknownIdError
        If there is no such relation.
    """
    popularity = np.bincount(kg.likes.indices, minlength=kg.n_items).astype(np.float64)
    entities = facts = text = None
    if {"calibration", "diversity_facts"} & set(wanted):
        entities = entity_shares(kg, relation)
        if not entities.nnz:
            raise ConfigError(
                "no fact leads two items to one entity; leave out calibration and diversity_facts"
            )
        norms = np.sqrt(np.asarray(entities.multiply(entities).sum(axis=1)).ravel())
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        facts = sparse.csr_matrix(sparse.diags_array(scale) @ entities)
    if "diversity_text" in wanted:
        vectors = item_text()
        if vectors is None:
            raise ConfigError("no item has a text or a name; leave out diversity_text")
        text = unit(vectors)
    return Beyond(popularity, kg.n_users, entities, facts, text)


def entity_shares(kg: KnowledgeGraph, relation: str | None = None) -> sparse.csr_matrix:
    """Each item's distribution over the entities that a relation (all by default) leads to; both directions count.

    Returns
    -------
    CSR of shape (n_items, n_features), rows that sum to 1; empty where an item has none.

    Raises
    ------
    UnknownIdError
        If there is no such relation.
    """
    facts = kg.item_facts()
    if relation is not None:
        if relation not in kg.relations:
            raise UnknownIdError(f"no relation {relation!r}{did_you_mean(relation, kg.relations)}")
        facts = {name: matrix for name, matrix in facts.items() if name.removesuffix("^-1") == relation}
    matrix = fact_features(facts, kg.n_users, kg.n_items, kg.n_nodes).matrix
    size = np.diff(matrix.indptr)
    scale = np.divide(1.0, size, out=np.zeros(len(size)), where=size > 0)
    return sparse.csr_matrix(sparse.diags_array(scale) @ matrix)


def gini(counts: npt.ArrayLike) -> float:
    """Gini coefficient of non-negative numbers: 0 if all are alike, (n - 1) / n if one has all."""
    values = np.sort(np.asarray(counts, dtype=np.float64))
    n, total = len(values), float(values.sum())
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total))


def diversity(lists: sparse.csr_matrix, vectors: Any) -> npt.NDArray[np.float64]:
    """1 - mean cosine of two items of each list, of those that have a vector; NaN for fewer than two.

    Parameters
    ----------
    lists
        Of ones, CSR of shape (b, n_items).
    vectors
        Unit rows, zero where an item has none; dense or CSR of shape (n_items, d).
    """
    square, lengths = _squares(lists @ vectors), _squares(vectors)
    known = (lengths > 0.5).astype(np.float64)
    n = np.asarray(lists @ known).ravel()
    pairs = n * (n - 1)
    # The sum over all pairs is the square of the sum without each item's own.
    cosine = np.divide(square - n, pairs, out=np.full(len(n), np.nan), where=pairs > 0)
    return np.asarray(1.0 - cosine)


def _squares(matrix: Any) -> npt.NDArray[np.float64]:
    """Squared length of each row."""
    squared: Any = matrix.power(2) if isinstance(matrix, sparse.csr_matrix) else np.square(matrix)
    return np.asarray(squared.sum(axis=1), dtype=np.float64).ravel()


def divergence(target: Any, listed: Any) -> npt.NDArray[np.float64]:
    """Kullback-Leibler divergence in nats of each row of `listed` from that of `target`; NaN if either is empty.

    Rows are scaled to sum to 1; see `SMOOTHING`.
    """
    p, q = sparse.csr_matrix(target, dtype=np.float64), sparse.csr_matrix(listed, dtype=np.float64)
    sums = [np.asarray(part.sum(axis=1)).ravel() for part in (p, q)]
    scale = [np.divide(1.0, total, out=np.zeros_like(total), where=total > 0) for total in sums]
    p, q = (sparse.csr_matrix(sparse.diags_array(s) @ part) for s, part in zip(scale, (p, q), strict=True))
    mixed = sparse.csr_matrix((1 - SMOOTHING) * q + SMOOTHING * p)
    # Only where the target is above 0 is there a term; mixed is above 0 there too.
    rows = np.repeat(np.arange(p.shape[0]), np.diff(p.indptr))
    ratio = p.data / np.asarray(mixed[rows, p.indices]).ravel() if p.nnz else np.empty(0)
    terms = np.bincount(rows, p.data * np.log(ratio), minlength=p.shape[0]) if p.nnz else np.zeros(p.shape[0])
    return np.where((sums[0] > 0) & (sums[1] > 0), terms, np.nan)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
