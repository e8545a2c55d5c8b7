from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import linalg

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, dense
from .features import facts_cosine, text_cosine

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

    Raises
    ------
    ConfigError
        From `fit`, above 20,000 items.
    """

    name = "closed_form"
    learns = "table"
    Config: ClassVar[type[SignalConfig]] = ClosedFormConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "regularization": (300.0, 100.0, 600.0, 1000.0),
        "facts": (0.15, 0.0, 0.07, 0.3),
        "text": (0.1, 0.0, 0.03, 0.2),
        "dropout": (0.3, 0.1, 0.5),
        "user_power": (0.25, 0.0, 0.5),
    }

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        check_size(self.name, data.n_items)
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
        if moves.same_items:
            return self
        moved = type(self)(self.config)
        here, new = moves.items[moves.items >= 0], moves.new_items
        weights = np.zeros((moves.n_items, moves.n_items), dtype=np.float32)
        weights[np.ix_(here, here)] = dense(self.similarity)[np.ix_(moves.items >= 0, moves.items >= 0)]
        gram, penalty, prior = self.system(data.as_learned)
        if len(new):
            gram[np.diag_indices_from(gram)] += penalty
            old = np.ix_(here, here)
            columns = linalg.solve(gram[old], (penalty[:, None] * prior)[np.ix_(here, new)], assume_a="pos")
            weights[np.ix_(here, new)] = columns
            weights[new] = prior[new]
        moved.similarity = weights
        moved.blind = moves.rows_of(self.blind)
        moved.blind[new] = ~prior[:, new].any(axis=0)
        return moved

    def system(self, data: SignalData) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gram matrix, penalty per row and prior mean."""
        config = self.config
        users = np.maximum(data.user_degree, 1.0) ** -config.user_power
        users /= users.mean() if len(users) else 1.0
        gram = np.asarray((data.likes.T @ diagonal(users) @ data.likes).toarray(), dtype=np.float32)
        shrink = config.dropout / (1 - config.dropout)
        penalty = (config.regularization + shrink * np.diag(gram)).astype(np.float32)
        return gram, penalty, knowledge_prior(data, config)


def knowledge_prior(data: SignalData, config: Any) -> FloatArray:
    """``c K + c_t T``: float32 of shape (n_items, n_items) with a zero diagonal."""
    prior = np.zeros((data.n_items, data.n_items), dtype=np.float32)
    if config.facts:
        prior += config.facts * facts_cosine(data, config.idf_power).toarray()
    if config.text:
        prior += config.text * text_cosine(data, config.text_power)
    return prior


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


def check_size(name: str, n_items: int) -> None:
    """Refuse a dense (n_items, n_items) matrix that is too large."""
    if n_items > MAX_ITEMS:
        raise ConfigError(
            f"signal {name!r} inverts a dense {n_items} x {n_items} matrix, more than {MAX_ITEMS} items allow; "
            "leave it out of `signals`"
        )


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
    search: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        check_size(self.name, data.n_items)
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
