from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import linalg, sparse

from kgenre.encoders import GraphEncoderConfig
from kgenre.hybrid.data import FloatArray, SignalData

from .base import Moves, Signal, SignalConfig
from .features import centred, unit, word_features
from .gnn import GNN, GNNConfig
from .split import Split


class ColdEncoderConfig(GraphEncoderConfig):
    """`GraphEncoderConfig` with the values that suit unseen items: no learned rows, much decay, an early stop."""

    learning_rate: float = Field(default=5e-4, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    epochs: int = Field(default=40, ge=1)
    patience: int = Field(default=5, ge=1)
    text_dropout: float = Field(default=0.5, ge=0, lt=1)
    node_dropout: float = Field(default=0.5, ge=0, lt=1)
    knowledge_weight: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    item_rows: bool = False
    text_bias: bool = True
    min_items: int = Field(default=1, ge=1)


class ColdGNNConfig(GNNConfig):
    """Settings of `ColdGNN`.

    Attributes
    ----------
    encoder
        The encoder's own settings.
    words
        Number of components of the items' words that stand beside the text vectors.
    text
        Weight of the text vectors beside them.
    """

    encoder: ColdEncoderConfig = ColdEncoderConfig()
    seeds: int | None = Field(1, ge=1, le=20)
    words: int = Field(128, ge=1)
    text: float = Field(0.1, ge=0)


class ColdGNN(GNN):
    """A graph encoder without learned rows for the items it ranks: an item is its words, text and facts.

    Beside its text vector an item has the principal components of its words, which tell far more of its popularity: on
    MovieLens-1M they lift ndcg@20 among unseen items from .34 to .42. Stopped on items without likes, where `tune` is
    given some to find.
    """

    name = "cold_gnn"
    Config: ClassVar[type[SignalConfig]] = ColdGNNConfig
    for_unseen = True
    speaks_of = "text"
    basis: FloatArray
    """float32 (n_items, n_components): what an item's word likeness to each item adds to each component."""

    def prepared(self, data: SignalData, validation: sparse.csr_matrix) -> Self:  # noqa: D102
        return self

    def tune(self, data: SignalData, validation: sparse.csr_matrix) -> Self:  # noqa: D102
        to_find = np.bincount(validation.indices, minlength=data.n_items) > 0
        unseen = np.flatnonzero(to_find & (data.item_degree == 0))
        if self.config.epochs is not None or not len(unseen):
            return self.fit(data)
        return self._fit(data, validation, [None] * self.config.n_models(data.likes.nnz), unseen)

    def _fit(
        self,
        data: SignalData,
        validation: sparse.csr_matrix | None,
        epochs: list[int | None],
        candidates: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        words = word_features(data, 0.5)
        self.basis = _basis(words, self.config.words)
        return super()._fit(self._with_words(data, words, words), validation, epochs, candidates)

    def extend(self, data: SignalData, moves: Moves) -> "Signal":  # noqa: D102
        basis = moves.rows_of(self.basis)
        placed = type(self)(self.config)
        placed.basis, placed.encoders = basis, self.encoders
        moved = super(ColdGNN, placed).extend(placed._with_known_words(data), moves)
        assert isinstance(moved, ColdGNN)
        moved.basis = basis
        return moved

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:  # noqa: D102
        key = f"cold_gnn {id(self)}"
        if key not in data._knowledge:
            # With the signal, so that its id is not given to another one meanwhile.
            data._knowledge[key] = self, self._with_known_words(data)
        return super().split(history, item, data._knowledge[key][1])

    def with_facts(self, before: SignalData, after: SignalData) -> "Signal":  # noqa: D102
        moved = super().with_facts(before, after)
        assert isinstance(moved, ColdGNN)
        moved.basis = self.basis
        return moved

    def _with_known_words(self, data: SignalData) -> SignalData:
        """The data with the components of the words of items that were there when the signal learned."""
        words = word_features(data, 0.5)
        known = words.copy()
        known.data[np.repeat(~self.basis.any(axis=1), np.diff(known.indptr))] = 0.0
        return self._with_words(data, words, known)

    def _with_words(self, data: SignalData, words: sparse.csr_matrix, known: sparse.csr_matrix) -> SignalData:
        """The data with the words' components appended to the items' text vectors."""
        components = np.asarray(words @ (known.T @ self.basis), dtype=np.float32)
        if data.item_text is not None:
            vectors = np.nan_to_num(unit(centred(data.item_text)))
            components = np.concatenate([np.sqrt(np.float32(self.config.text)) * vectors, components], axis=1)
        components[~components.any(axis=1)] = np.nan
        text = components if components.shape[1] else None
        learned = None if data.learned is None else replace(data.learned, item_text=text)
        return replace(data, item_text=text, learned=learned)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return {"basis": self.basis, **super().arrays()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.basis = arrays["basis"]
        return super().restore({name: array for name, array in arrays.items() if name != "basis"})


def _basis(words: sparse.csr_matrix, size: int) -> FloatArray:
    """``U / s`` of the leading singular vectors, by subspace iteration (Halko et al. 2011) from a fixed start."""
    n_items, n_words = words.shape
    size = min(size, n_items, n_words)
    width = min(size + 32, n_items, n_words)
    found = np.asarray(
        words @ np.random.default_rng(0).standard_normal((n_words, width), dtype=np.float32), dtype=np.float32
    )
    for _ in range(4):
        found = np.asarray(words @ (words.T @ linalg.qr(found, mode="economic")[0]), dtype=np.float32)
    q = linalg.qr(found, mode="economic")[0]
    inner = words.T @ q
    values, vectors = linalg.eigh(inner.T @ inner)
    kept = np.flatnonzero(values > 1e-6 * max(float(values.max(initial=0.0)), 1e-6))[::-1][:size]
    return np.ascontiguousarray(q @ vectors[:, kept] / np.sqrt(values[kept]), dtype=np.float32)
