"""The honesty gate: what simple peers reach on the same validation set."""

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from .data import SignalData, diagonal
from .signals import ClosedForm, MultiHop, Popularity, Signal, SignalConfig
from .signals.base import ItemSimilaritySignal, keep_largest
from .signals.closed_form import MAX_ITEMS, ClosedFormConfig
from .signals.features import without_diagonal
from .signals.multihop import MultiHopConfig


class ItemKNNConfig(SignalConfig):
    """Settings of `ItemKNN`."""

    neighbours: int = Field(200, ge=1)
    shrink: float = Field(5.0, ge=0)


class ItemKNN(ItemSimilaritySignal):
    """Cosine of the items' like vectors with shrinkage (Sarwar et al. 2001), users weighted by idf."""

    name = "ItemKNN"
    Config: ClassVar[type[SignalConfig]] = ItemKNNConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "neighbours": (200, 50, 100, 400),
        "shrink": (5.0, 0.0, 50.0),
    }

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        idf = np.log(data.n_items / np.maximum(data.user_degree, 1.0)) + 1.0
        columns = sparse.csr_matrix(data.likes.T @ diagonal(idf))
        together = without_diagonal(sparse.csr_matrix(columns @ columns.T))
        norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)).ravel())
        rows = np.repeat(np.arange(data.n_items), np.diff(together.indptr))
        together.data /= norms[rows] * norms[together.indices] + self.config.shrink
        self.similarity = keep_largest(together, self.config.neighbours)
        self.blind = data.item_degree == 0
        return self


class EASEConfig(ClosedFormConfig):
    """Settings of `EASE`."""

    regularization: float = Field(400.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    facts: float = Field(0.0, ge=0)
    text: float = Field(0.0, ge=0)
    user_power: float = Field(0.0, ge=0)


class EASE(ClosedForm):
    """EASE (Steck 2019): the closed form without prior, dropout or user weights."""

    name = "EASE"
    Config = EASEConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"regularization": (400.0, 100.0, 200.0, 800.0)}


class P3aConfig(MultiHopConfig):
    """Settings of `P3a`."""

    beta: float = Field(0.0, ge=0)
    fact_share: float = Field(0.0, ge=0, le=1)


class P3a(MultiHop):
    """P3alpha (Cooper et al. 2014): walks through users only, ends not discounted."""

    name = "P3a"
    Config = P3aConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"alpha": (1.0, 0.7, 1.5)}


class Pop(Popularity):
    """The most liked items."""

    name = "Pop"


def peers(n_items: int) -> list[Signal]:
    """The unfitted peers; without EASE where its inverse is too large."""
    found: list[Signal] = [Pop(), ItemKNN(), P3a()]
    return [*found, EASE()] if n_items <= MAX_ITEMS else found
