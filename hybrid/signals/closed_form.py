import copy
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import linalg, sparse

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, dense
from .features import (
    NEIGHBOURS,
    fact_columns,
    fact_features,
    facts_cosine,
    text_column,
    text_cosine,
    text_neighbours,
    unit_texts,
)
from .neighbourhood import neighbourhood_form
from .new_columns import NewColumns, new_columns
from .products import DENSE_ITEMS
from .split import LARGEST, Float, Split, dense_columns, split_row

MAX_ITEMS = 20_000
"""Above this many items an inverse of (n_items, n_items) is refused."""


class ClosedFormConfig(SignalConfig):
    """Settings of `ClosedForm`.

    Attributes
    ----------
    regularization
        Ridge penalty l on the distance from the prior.
    dropout
        EDLAE's dropout p: adds p / (1 - p) times an item's own Gram entry to its penalty.
    facts, text
        Weights c and c_t of facts cosine and text cosine in the prior mean of B.
    idf_power, text_power
        See `FactFeatures.weighted` and `text_cosine`.
    user_power
        A user counts |history|^-user_power.
    """

    regularization: float = Field(300.0, gt=0)
    dropout: float = Field(0.3, ge=0, lt=1)
    facts: float = Field(0.15, ge=0)
    text: float = Field(0.1, ge=0)
    idf_power: float = Field(1.5, ge=0)
    text_power: float = Field(2.0, gt=0)
    user_power: float = Field(0.25, ge=0)


class ClosedForm(ItemSimilaritySignal):
    """EASE / EDLAE with knowledge as the prior mean of the item-item matrix.

    Minimises ``|X - X B|^2`` (users weighted by ``|history|^-user_power``) ``+ sum_i L_i |B_i - M0_i|^2`` with a zero
    diagonal, where ``L = l + p / (1 - p) diag(G)`` and ``M0 = c K + c_t T`` holds facts cosine and text cosine. One
    inverse, as in EASE (Steck 2019) and EDLAE (Steck 2020): ``P = (G + diag L)^-1``, ``Bt = P (G + diag(L) M0)``,
    ``B = Bt - P diag(diag Bt / diag P)``. With M0 = 0 it is EDLAE; with p = 0 also, EASE. The prior is ours: it carries
    what is known of an item that few have liked, and fades where the data speak.

    Above `DENSE_ITEMS` items a column is solved over the items nearest to it; see `neighbourhood_form`.
    """

    name = "closed_form"
    learns = "table"
    Config: ClassVar[type[SignalConfig]] = ClosedFormConfig
    # Where likes are few, a prior that suits a dense catalogue drowns them.
    starts: ClassVar[tuple[dict[str, Any], ...]] = ({"facts": 0.01, "text": 0.01},)
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "regularization": (3.0, 10.0, 30.0, 100.0, 300.0, 600.0, 1000.0, 2000.0),
        "facts": (0.0, 0.003, 0.01, 0.03, 0.07, 0.15, 0.3, 0.6),
        "text": (0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4),
        "dropout": (0.0, 0.1, 0.3, 0.5, 0.7, 0.85),
        "user_power": (0.0, 0.25, 0.5, 0.75, 1.0),
    }

    _new: NewColumns | None = None
    """What the columns of items that are new since the fit were solved with."""

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing" if self.config.text == 0 and "text" in self.config.model_fields_set else "items"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        if data.n_items > DENSE_ITEMS:
            return self._fit_nearest(data)
        gram, penalty, prior = self.system(data)
        target = gram + penalty[:, None] * prior
        gram[np.diag_indices_from(gram)] += penalty
        inverse = inverted(gram)
        weights = inverse @ target
        weights -= inverse * np.asarray(np.diag(weights) / np.diag(inverse), dtype=np.float32)
        np.fill_diagonal(weights, 0.0)
        self.similarity = weights
        self.blind = np.asarray((data.item_degree == 0) & ~prior.any(axis=0))
        return self

    def extend(self, data: SignalData, moves: Moves) -> Signal:
        """A new item enters as the closed form has it for one that nobody has liked; the rest of B stays.

        With a Gram row of zeros its row of B is its row of the prior M0, and its column ``P diag(L) M0``.
        """
        since, before = moves.since, self._new
        if moves.same_items:
            moved = copy.copy(self)
            moved._new = before if since is not None and since.same_likes else None
            return moved
        if moves.n_items > DENSE_ITEMS:
            return self._extend_nearest(data, moves)
        learned, new = data.as_learned, moves.new_items
        prior = prior_columns(data, self.config, new)
        unmoved = before is not None and since is not None and since.unmoved(moves.n_items)
        if before is not None and unmoved and np.array_equal(before.prior, prior):
            return self
        moved = type(self)(self.config)
        weights = moves.square_of(dense(self.similarity))
        moved.blind = moves.rows_of(self.blind)
        if len(new):
            liked = np.flatnonzero(learned.item_degree)
            moved._new = new_columns(learned, self.config.user_power, self._penalty, prior, before, since)
            # Of an item that nobody has liked nothing is known but the prior.
            weights[:, new] = prior
            weights[np.ix_(liked, new)] = moved._new.solved(prior[liked])
            weights[new] = prior.T
            moved.blind[new] = ~prior.any(axis=0)
        moved.similarity = weights
        return moved

    def _fit_nearest(self, data: SignalData) -> Self:
        root, penalty = self._root(data)
        prior = nearest_prior(data, self.config)
        self.similarity = neighbourhood_form(root, penalty, prior, NEIGHBOURS)
        self.blind = np.asarray((data.item_degree == 0) & ~_has_prior(prior))
        return self

    def _extend_nearest(self, data: SignalData, moves: Moves) -> Signal:
        moved, new = type(self)(self.config), moves.new_items
        root, penalty = self._root(data.as_learned)
        prior = nearest_prior(data, self.config)
        old = sparse.coo_matrix(self.similarity)
        rows, columns = moves.items[old.row], moves.items[old.col]
        kept = (rows >= 0) & (columns >= 0)
        added = sparse.coo_matrix(neighbourhood_form(root, penalty, prior, NEIGHBOURS, new))
        said = sparse.coo_matrix(prior[new])
        # The row of a new item is its prior, in columns of other new items too: those are in `added` as well.
        fresh = np.isin(added.row, new, invert=True)
        values = np.concatenate((old.data[kept], added.data[fresh], said.data)).astype(np.float32)
        row = np.concatenate((rows[kept], added.row[fresh], new[said.row])).astype(np.int64)
        column = np.concatenate((columns[kept], new[added.col[fresh]], said.col)).astype(np.int64)
        moved.similarity = sparse.csr_matrix((values, (row, column)), shape=(moves.n_items, moves.n_items))
        moved.blind = moves.rows_of(self.blind)
        moved.blind[new] = ~_has_prior(prior)[new]
        return moved

    def _root(self, data: SignalData) -> tuple[sparse.csr_matrix, FloatArray]:
        """The likes, scaled so that their product with themselves is the Gram matrix, and the penalty per row."""
        users = self._user_weights(data)
        root = sparse.csr_matrix(diagonal(np.sqrt(users)) @ data.likes)
        return root, self._penalty(np.asarray(root.power(2).sum(axis=0), dtype=np.float32).ravel())

    def _user_weights(self, data: SignalData) -> FloatArray:
        users = np.maximum(data.user_degree, 1.0) ** -self.config.user_power
        return np.asarray(users / (users.mean() if len(users) else 1.0), dtype=np.float32)

    def _penalty(self, own: FloatArray) -> FloatArray:
        """L, by the diagonal of the Gram matrix."""
        shrink = self.config.dropout / (1 - self.config.dropout)
        return np.asarray(self.config.regularization + shrink * own, dtype=np.float32)

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """B is linear in its prior mean, so what the prior's facts and text put into it is exact.

        A prior X adds ``P diag(L) X`` less the multiple of P that keeps the diagonal at 0.
        """
        if data.n_items > LARGEST:
            return Split.nothing(history.nnz, "not taken apart: too many items")
        inverse, penalty = self._inverse(data.as_learned)
        liked = history.indices
        weight = history.data.astype(np.float64) * (liked != item)

        def brings(prior: Float) -> Float:
            pulled = penalty[:, None] * prior
            pulled[item] = 0.0
            own = inverse[item] @ pulled / inverse[item, item]
            return np.asarray(
                weight[:, None] * (inverse[liked] @ pulled - np.outer(inverse[liked, item], own))
            )

        return self._split_prior(brings, item, data, "exact")

    def _split_prior(self, brings: Callable[[Float], Float], item: int, data: SignalData, how: str) -> Split:
        """The split by what columns of a prior (n_items, n) bring, as (history.nnz, n)."""
        config = self.config
        weighted = fact_columns(data, config.idf_power)

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return brings(config.facts * dense_columns(weighted, columns) * values)

        text = brings(config.text * text_column(data, item, config.text_power).astype(np.float64)[:, None])
        return split_row(cells, fact_features(data), item, config.idf_power, how, text=text[:, 0])

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:
        """What the facts that are gone had put into B leaves it, what others would put in comes."""
        power = self.config.idf_power
        change = facts_cosine(after, power) - facts_cosine(before, power)
        if before.n_items > LARGEST or not self.config.facts or not change.nnz:
            return self
        moved = type(self)(self.config)
        moved.similarity = self._changed(before.as_learned, sparse.csr_matrix(self.config.facts * change))
        known = np.diff(facts_cosine(after, power).indptr) > 0
        if self.config.text and after.item_text is not None:
            known |= ~np.isnan(after.item_text[:, 0])
        moved.blind = np.asarray((before.as_learned.item_degree == 0) & ~known)
        return moved

    def _changed(self, data: SignalData, prior: sparse.csr_matrix) -> FloatArray:
        """B with a change of the prior mean."""
        inverse, penalty = self._inverse(data)
        pulled = sparse.csr_matrix(diagonal(penalty) @ prior)
        # Where much has changed (an idf has, of a fact that many have), a dense product is far faster.
        many = pulled.nnz > 0.02 * data.n_items**2
        change = np.asarray(inverse @ pulled.toarray() if many else (pulled.T @ inverse).T, dtype=np.float32)
        change -= inverse * np.asarray(np.diag(change) / np.diag(inverse), dtype=np.float32)
        np.fill_diagonal(change, 0.0)
        return dense(self.similarity) + change

    def _inverse(self, data: SignalData) -> tuple[FloatArray, FloatArray]:
        """P and L, kept with the likes that they are of."""
        config = self.config
        key = f"inverse {config.regularization} {config.dropout} {config.user_power}"
        if key not in data._cache:
            gram, penalty = self.regularised(data)
            gram = gram.copy()
            gram[np.diag_indices_from(gram)] += penalty
            data._cache[key] = inverted(gram), penalty
        inverse, penalty = data._cache[key]
        return inverse, penalty

    def regularised(self, data: SignalData) -> tuple[FloatArray, FloatArray]:
        """Gram matrix and penalty per row."""
        users = diagonal(self._user_weights(data))
        gram = np.asarray((data.likes.T @ users @ data.likes).toarray(), dtype=np.float32)
        return gram, self._penalty(np.diag(gram))

    def system(self, data: SignalData) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gram matrix, penalty per row and prior mean."""
        return (*self.regularised(data), knowledge_prior(data, self.config))


def knowledge_prior(data: SignalData, config: Any) -> FloatArray:
    """``c K + c_t T``: float32 of shape (n_items, n_items) with a zero diagonal."""
    prior = np.zeros((data.n_items, data.n_items), dtype=np.float32)
    if config.facts:
        prior += config.facts * facts_cosine(data, config.idf_power).toarray()
    if config.text:
        prior += config.text * text_cosine(data, config.text_power)
    return prior


def prior_columns(data: SignalData, config: Any, items: npt.NDArray[np.int64]) -> FloatArray:
    """Some columns of `knowledge_prior`, float32 of shape (n_items, len(items)), without the rest of it."""
    prior = np.zeros((data.n_items, len(items)), dtype=np.float32)
    if config.facts:
        weighted = fact_features(data).weighted(config.idf_power)
        prior += config.facts * dense(weighted @ sparse.csr_matrix(weighted[items].T))
    if config.text and data.item_text is not None:
        vectors = unit_texts(data)
        prior += config.text * np.maximum(vectors @ vectors[items].T, 0.0) ** config.text_power
    prior[items, np.arange(len(items))] = 0.0
    return prior


def nearest_prior(data: SignalData, config: Any) -> sparse.csr_matrix:
    """The same where the catalogue is large, as CSR: of the nearest items alone."""
    prior = sparse.csr_matrix((data.n_items, data.n_items)).astype(np.float32)
    if config.facts:
        prior = prior + config.facts * facts_cosine(data, config.idf_power)
    if config.text:
        prior = prior + config.text * text_neighbours(data, config.text_power)
    return sparse.csr_matrix(prior, dtype=np.float32)


def _has_prior(prior: sparse.csr_matrix) -> npt.NDArray[np.bool_]:
    return np.bincount(prior.indices, minlength=prior.shape[1]) > 0


def inverted(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric positive definite float32 matrix (overwritten), by Cholesky."""
    lapack: Any = linalg.lapack
    factor, info = lapack.spotrf(matrix, lower=0, overwrite_a=1)
    if info == 0:
        upper, info = lapack.spotri(factor, lower=0, overwrite_c=1)
    if info != 0:
        raise ConfigError("the regularised Gram matrix is not positive definite; raise the regularization")
    inverse: FloatArray = np.triu(upper) + np.triu(upper, 1).T
    return inverse


def check_size(name: str, n_items: int, most: int = MAX_ITEMS) -> None:
    """Refuse a dense (n_items, n_items) matrix that is too large."""
    if n_items > most:
        raise ConfigError(
            f"signal {name!r} inverts a dense {n_items} x {n_items} matrix, more than {most} items allow; "
            "leave it out of `signals`"
        )


_FELT = 1e-5
"""A change of SLIM's prior below this is left: it is an idf's, of a fact that many have, and in every column."""


class SlimConfig(ClosedFormConfig):
    """Settings of `Slim`: those of `ClosedForm`, and the lasso penalty and number of ADMM steps."""

    regularization: float = Field(200.0, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    lasso: float = Field(0.5, ge=0)
    steps: int = Field(30, ge=1)


class Slim(ClosedForm):
    """SLIM with the same knowledge prior: B >= 0 with an l1 penalty, by ADMM.

    SLIM is Ning & Karypis 2011; its solution by ADMM with a zero diagonal is Steck et al. 2020.
    """

    name = "slim"
    judges_unseen = False
    Config: ClassVar[type[SignalConfig]] = SlimConfig
    starts: ClassVar[tuple[dict[str, Any], ...]] = ()
    search: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        check_size(self.name, data.n_items, DENSE_ITEMS)
        config = self.config
        gram, penalty, prior = self.system(data)
        rho = float(np.diag(gram).mean()) + config.regularization
        target = gram + penalty[:, None] * prior
        gram[np.diag_indices_from(gram)] += penalty + rho
        inverse = inverted(gram)
        diagonal_of_inverse = np.diag(inverse).copy()
        fixed = inverse @ target
        sparse_part = np.zeros_like(gram)
        dual = np.zeros_like(gram)
        for _ in range(config.steps):
            weights = fixed + inverse @ (rho * (sparse_part - dual))
            weights -= inverse * (np.diag(weights) / diagonal_of_inverse)
            dual += weights
            np.maximum(dual - config.lasso / rho, 0.0, out=sparse_part)
            dual -= sparse_part
        np.fill_diagonal(sparse_part, 0.0)
        self.similarity = sparse_part
        self.blind = np.asarray((data.item_degree == 0) & ~prior.any(axis=0))
        return self

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """Linear in the prior too, as long as the same entries of a column stay above 0."""
        if data.n_items > LARGEST:
            return Split.nothing(history.nnz, "not taken apart: too many items")
        gram, penalty = self._gram(data.as_learned)
        active = np.flatnonzero(dense(self.similarity)[:, item])
        place = np.full(data.n_items, -1)
        place[active] = np.arange(len(active))
        place = place[history.indices]
        weight = history.data.astype(np.float64)[:, None] * (place >= 0)[:, None]

        def brings(prior: Float) -> Float:
            if not len(active):
                return np.zeros((history.nnz, prior.shape[1]))
            return np.asarray(_solved(gram, penalty, active, prior[active])[place] * weight)

        return self._split_prior(brings, item, data, "given which entries of B are not 0")

    def _changed(self, data: SignalData, prior: sparse.csr_matrix) -> FloatArray:
        gram, penalty = self._gram(data)
        weights = dense(self.similarity).copy()
        columns = sparse.csc_matrix(prior)
        columns.data[np.abs(columns.data) < _FELT] = 0.0
        columns.eliminate_zeros()
        for item in np.flatnonzero(np.diff(columns.indptr)):
            active = np.flatnonzero(weights[:, item])
            if len(active):
                change = _solved(gram, penalty, active, columns[:, [item]].toarray()[active])
                weights[active, item] = np.maximum(weights[active, item] + change[:, 0], 0.0)
        return weights

    def _gram(self, data: SignalData) -> tuple[FloatArray, FloatArray]:
        key = f"gram {self.config.user_power} {self.config.regularization} {self.config.dropout}"
        if key not in data._cache:
            data._cache[key] = self.regularised(data)
        gram, penalty = data._cache[key]
        return gram, penalty


def _solved(gram: FloatArray, penalty: FloatArray, active: npt.NDArray[np.int64], prior: Any) -> Float:
    """What a prior adds to the active entries of a column: ``(G + diag L)^-1 diag(L) X`` among these."""
    system = gram[np.ix_(active, active)].astype(np.float64)
    system[np.diag_indices_from(system)] += penalty[active]
    return np.asarray(linalg.solve(system, penalty[active, None] * prior, assume_a="pos"))
