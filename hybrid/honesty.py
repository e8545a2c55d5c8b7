"""The honesty gate: what simple peers reach on the same validation set."""

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from .data import SignalData, diagonal
from .signals import ClosedForm, MultiHop, Popularity, Signal, SignalConfig
from .signals.base import ItemSimilaritySignal
from .signals.closed_form import ClosedFormConfig
from .signals.multihop import MultiHopConfig
from .signals.products import largest_products


class ItemKNNConfig(SignalConfig):
    """Settings of `ItemKNN`."""

    neighbours: int = Field(200, ge=1)
    shrink: float = Field(5.0, ge=0)


class ItemKNN(ItemSimilaritySignal):
    """Cosine of the items' like vectors with shrinkage (Sarwar et al. 2001), users weighted by idf."""

    name = "ItemKNN"
    Config: ClassVar[type[SignalConfig]] = ItemKNNConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "neighbours": (50, 100, 200, 400),
        "shrink": (0.0, 5.0, 50.0, 500.0),
    }

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        idf = np.log(data.n_items / np.maximum(data.user_degree, 1.0)) + 1.0
        columns = sparse.csr_matrix(data.likes.T @ diagonal(idf))
        norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)).ravel())

        def shrunk(block: sparse.csr_matrix, place: slice) -> sparse.csr_matrix:
            own = np.repeat(norms[place], np.diff(block.indptr))
            block.data /= (own * norms[block.indices] + self.config.shrink).astype(np.float32)
            return block

        right = sparse.csr_matrix(columns.T)
        self.similarity = largest_products(columns, right, self.config.neighbours, shrunk)
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
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "regularization": (3.0, 10.0, 30.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
    }


class P3aConfig(MultiHopConfig):
    """Settings of `P3a`."""

    beta: float = Field(0.0, ge=0)
    fact_share: float = Field(0.0, ge=0, le=1)


class P3a(MultiHop):
    """P3alpha (Cooper et al. 2014): walks through users only, ends not discounted."""

    name = "P3a"
    Config = P3aConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"alpha": (0.4, 0.7, 1.0, 1.5)}


class Pop(Popularity):
    """The most liked items."""

    name = "Pop"


def peers() -> list[Signal]:
    """The unfitted peers."""
    return [Pop(), ItemKNN(), P3a(), EASE()]
