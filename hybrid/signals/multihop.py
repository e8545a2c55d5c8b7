from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, dense
from .changed_rows import empty_rows, largest, with_rows
from .features import fact_columns, fact_features, facts_changed
from .products import DENSE_ITEMS, MOST_TERMS, affordable, largest_products
from .split import Float, Split, dense_columns, split_row
from .together import Together, liked_together, some_together, together_now

_ROWS = 256
"""Rows of walks that are held whole at once."""
_MANY = 0.1
"""Share of the items from which on all that is liked together is worth computing, and keeping."""


class MultiHopConfig(SignalConfig):
    """Settings of `MultiHop`.

    Attributes
    ----------
    alpha
        Exponent of the transition probabilities of the walk through users (P3alpha).
    beta
        How much a walk's end is discounted for its popularity (RP3beta).
    fact_share
        Weight of the walk through facts beside the one through users, in [0, 1].
    neighbours
        Ends kept for each start of a walk.
    """

    alpha: float = Field(1.0, gt=0)
    beta: float = Field(0.6, ge=0)
    fact_share: float = Field(0.2, ge=0, le=1)
    neighbours: int = Field(500, ge=1)


class MultiHop(ItemSimilaritySignal):
    """Multi-hop graph similarity: random walks from the liked items, through other users and through facts.

    From an item the walk goes to a user who liked it and on to another item of theirs (P3alpha, Cooper et al. 2014;
    end discounted by popularity as in RP3beta, Paudel et al. 2017), or to a fact's entity and on to another item
    that has it. A hop is drawn evenly from a node's edges, so a hub that everything is linked to carries little.
    Either kind of walk is scaled so that those from an item sum to 1 on average, by scales that are learned.
    """

    name = "multihop"
    learns = "table"
    Config = MultiHopConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "beta": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        "alpha": (0.4, 0.6, 0.8, 1.0, 1.2, 1.5),
        "fact_share": (0.0, 0.1, 0.2, 0.4, 0.7),
    }

    scales: npt.NDArray[np.float64] | None = None
    """Of walks through users and of those through facts; None in a model saved without, or of a large catalogue."""
    _together: Together | None = None
    """See `liked_together`; made when a change needs much of it, and kept for the next."""

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        if data.n_items > DENSE_ITEMS:
            return self._of(_largest_walks(data, self.config))
        self.scales = self._scales(data)
        return self._of(self._walks(data))

    def extend(self, data: SignalData, moves: Moves) -> Signal:
        """Walks through facts follow the graph; those through users are the ones learned.

        Where nothing but facts has changed, only those rows are made anew from which a walk meets a changed fact.
        """
        learned, since = data.as_learned, moves.since
        moved = type(self)(self.config)
        if data.n_items > DENSE_ITEMS:
            return moved.fit(learned)
        moved.scales = self.scales
        if moved.scales is None:
            moved.scales = self._scales(learned if since is None else since.data.as_learned)
        if since is None or since.data.n_items > DENSE_ITEMS:
            return moved._of(moved._walks(learned))
        if self._together is not None:
            moved._together = together_now(self._together, self.config.alpha, learned, since)
        rows = facts_changed(data, moves) if since.same_likes else np.arange(data.n_items)
        # Of few items it is faster found by itself.
        if moved._together is None and (learned.item_degree[rows] > 0).sum() > _MANY * data.n_items:
            moved._together = liked_together(learned, self.config.alpha)
        old = sparse.csr_matrix(self.similarity)
        return moved._of(with_rows(old, since.items, rows, moved._walks(learned, rows, moved._together)))

    def _of(self, similarity: sparse.csr_matrix) -> Self:
        self.similarity = similarity
        self.blind = np.ones(similarity.shape[1], dtype=bool)
        self.blind[similarity.indices] = False
        return self

    def _scales(self, data: SignalData) -> npt.NDArray[np.float64]:
        forth, back = self._steps(data)
        ends = np.asarray(liked_together(data, self.config.alpha) @ back, dtype=np.float64)
        total = float((forth * ends).sum())
        users = int((ends > 0).sum()) / total if total > 0 else 1.0
        return np.array([users, _factor(fact_walks(data))])

    def _steps(self, data: SignalData) -> tuple[FloatArray, FloatArray]:
        """Of each liked item, the chance of a step to a user who liked it, and what a walk's end there counts."""
        degree = data.item_degree[data.item_degree > 0]
        return degree**-self.config.alpha, degree**-self.config.beta

    def _walks(
        self, data: SignalData, rows: npt.NDArray[np.int64] | None = None, together: Together | None = None
    ) -> sparse.csr_matrix:
        """The most likely ends of walks from each item, or from some: CSR of shape (n_rows, n_items)."""
        config, scales = self.config, self.scales
        assert scales is not None
        facts = fact_walks(data, rows) * np.float32(config.fact_share * scales[1])
        if rows is None:
            rows = np.arange(data.n_items)
            together = liked_together(data, config.alpha) if together is None else together
        liked = np.flatnonzero(data.item_degree)
        place = np.full(data.n_items, -1, dtype=np.int64)
        place[liked] = np.arange(len(liked))
        forth, back = self._steps(data)
        forth = forth * np.float32((1 - config.fact_share) * scales[0])
        kept = [empty_rows(0, data.n_items)]
        for start in range(0, len(rows), _ROWS):
            own = rows[start : start + _ROWS]
            block = dense(facts[start : start + _ROWS])
            at = np.flatnonzero(place[own] >= 0)
            if len(at):
                starts = place[own[at]]
                walks = (
                    some_together(data, config.alpha, liked[starts], liked)
                    if together is None
                    else together[starts]
                )
                block[np.ix_(at, liked)] += dense(walks) * forth[starts, None] * back
            kept.append(largest(block, config.neighbours))
        return sparse.csr_matrix(sparse.vstack(kept, format="csr"), dtype=np.float32)

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """Walks through facts, one by one; the rest are those through users."""
        if not self.config.fact_share or not data.facts or data.n_items > DENSE_ITEMS:
            return super().split(history, item, data)
        features = fact_features(data)
        scales = self.scales
        scale = self.config.fact_share * (_factor(fact_walks(data)) if scales is None else scales[1])
        ends = np.bincount(features.matrix.indices, minlength=features.matrix.shape[1])
        liked, binary = history.indices, fact_columns(data, None)
        fan_out = np.maximum(np.diff(features.matrix.indptr)[liked], 1)
        start = scale * history.data.astype(np.float64) * (liked != item) / fan_out

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return np.asarray(start[:, None] * dense_columns(binary, columns)[liked] / ends[columns] * values)

        return split_row(cells, features, item, None, kept=self.kept(history, item))

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:  # noqa: D102
        moved = type(self)(self.config)
        if self.scales is None:
            return moved.fit(after.as_learned)
        moved.scales, moved._together = self.scales, self._together
        return moved._of(moved._walks(after.as_learned, together=self._together))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return super().arrays() | ({} if self.scales is None else {"scales": self.scales})

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.scales = arrays.get("scales")
        return super().restore(arrays)


def _largest_walks(data: SignalData, config: MultiHopConfig) -> sparse.csr_matrix:
    """Both kinds of walk where there are too many to hold: the most likely ends of each start alone."""
    discount = diagonal(np.maximum(data.item_degree, 1.0) ** -config.beta)
    there, back = _transition(data.likes.T, config.alpha), _transition(data.likes, config.alpha)
    back = sparse.csr_matrix(back @ discount)
    few = affordable(fact_features(data).matrix, MOST_TERMS)
    out, home = _transition(few, 1.0), _transition(few.T, 1.0)
    share = config.fact_share
    # One product of both: a walk's first step goes to a user or to a fact, its second to an item.
    first = sparse.hstack(
        [(1 - share) * _product_factor(there, back) * there, share * _product_factor(out, home) * out]
    )
    second = sparse.vstack([back, home])
    return largest_products(sparse.csr_matrix(first), sparse.csr_matrix(second), config.neighbours)


def _product_factor(first: sparse.csr_matrix, second: sparse.csr_matrix) -> float:
    """`_factor` of the walks of two steps that do not return, without computing them."""
    ends = first @ np.asarray(second.sum(axis=1)).ravel()
    returns = np.asarray(first.multiply(second.T).sum(axis=1)).ravel()
    walks = np.asarray(ends - returns, dtype=np.float64)
    total = float(walks.sum())
    return int((walks > 1e-9).sum()) / total if total > 0 else 1.0


def fact_walks(data: SignalData, rows: npt.NDArray[np.int64] | None = None) -> sparse.csr_matrix:
    """Item to entity to item over all relations, CSR of shape (n_items or len(rows), n_items), zero diagonal."""
    features = fact_features(data).matrix
    if rows is not None:
        there = _transition(features[rows], 1.0)
        return _no_return(there @ _transition(features.T, 1.0), rows)
    if "fact_walks" not in data._knowledge:
        data._knowledge["fact_walks"] = _no_return(_transition(features, 1.0) @ _transition(features.T, 1.0))
    walks: sparse.csr_matrix = data._knowledge["fact_walks"]
    return walks


def _transition(matrix: Any, alpha: float) -> sparse.csr_matrix:
    degree = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)
    step = sparse.csr_matrix(diagonal(inverse) @ matrix, dtype=np.float32)
    step.data **= alpha
    return step


def _no_return(walks: sparse.csr_matrix, own: npt.NDArray[np.int64] | None = None) -> sparse.csr_matrix:
    walks = sparse.csr_matrix(walks, dtype=np.float32)
    rows = np.repeat(np.arange(walks.shape[0]) if own is None else own, np.diff(walks.indptr))
    walks.data[rows == walks.indices] = 0.0
    walks.eliminate_zeros()
    return walks


def _factor(walks: sparse.csr_matrix) -> float:
    total = float(walks.sum())
    return int((np.diff(walks.indptr) > 0).sum()) / total if total > 0 else 1.0
