from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, dense
from .closed_form import ClosedForm, ClosedFormConfig, check_size, inverted
from .features import centred, fact_columns, fact_features, unit, word_features
from .split import LARGEST, Float, Split, dense_columns, split_row


class ColdConfig(SignalConfig):
    """Settings of `Cold`.

    Attributes
    ----------
    ridge
        Penalty of the regression; the kernel has a mean diagonal of 1.
    text, facts
        Weights of text cosine and facts cosine beside that of words in the kernel.
    own
        What a liked item says for itself, and by its features for those like it; the closed form has 0 there.
    word_power, fact_power
        Exponents of the inverse document frequency of words and of facts.
    regularization, dropout, user_power
        Of the closed form whose columns are learned; see `ClosedFormConfig`.
    """

    ridge: float = Field(1.5, gt=0)
    text: float = Field(0.1, ge=0)
    facts: float = Field(0.1, ge=0)
    own: float = Field(0.05, ge=0)
    word_power: float = Field(0.5, ge=0)
    fact_power: float = Field(1.5, ge=0)
    regularization: float = Field(200.0, gt=0)
    dropout: float = Field(0.7, ge=0, lt=1)
    user_power: float = Field(0.25, ge=0)


@dataclass(frozen=True, eq=False)
class _Regression:
    """A solved kernel ridge regression.

    The kernel (n_items, n_items) was divided by `size`; `warm` are the items learned from, `targets` their columns of
    the closed form, `inverse` that of their regularised kernel, and ``dual = targets @ inverse``.
    """

    kernel: FloatArray
    size: float
    known: npt.NDArray[np.bool_]
    warm: npt.NDArray[np.int64]
    targets: FloatArray
    inverse: FloatArray
    dual: FloatArray


class Cold(ItemSimilaritySignal):
    """What an item's own words, text and facts say about who will like it: every item as if nobody had yet.

    Column i of a closed form's item-item matrix B says which liked items speak for item i. The columns of liked items
    are the targets of a kernel ridge regression with intercept on the items' features (words and pairs of words, text
    vectors, facts), which predicts the columns of the others; a column's size is learned with it, so that an item whose
    features are those of popular ones is expected to be popular. The column of a liked item is its leave-one-out
    prediction ``B_i - (B A^-1)_i / (A^-1)_ii`` with ``A = K + ridge I``, which is what the regression says without it.
    Targets that are smoothed by the closed form and not the likes themselves: that is worth .05 of ndcg@20 among
    unseen items of MovieLens-1M. The regression is learned, and so are the columns of liked items; those of all others
    follow their features.

    Raises
    ------
    ConfigError
        From `fit`, above 20,000 items.
    """

    name = "cold"
    speaks_of = "text"
    for_unseen = True
    learns = "table"
    Config: ClassVar[type[SignalConfig]] = ColdConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "ridge": (0.2, 0.5, 1.5, 4.0, 10.0),
        "regularization": (3.0, 12.0, 50.0, 200.0, 800.0),
        "text": (0.0, 0.1, 0.4, 2.0, 6.0),
        "facts": (0.0, 0.1, 0.4, 2.0, 6.0),
    }

    dual: FloatArray | None = None
    """Float32 (n_items, n_warm): the regression; None in a model that was saved without."""
    warm: npt.NDArray[np.bool_]
    """Which items it was learned from, boolean (n_items,)."""
    size: float
    """What the kernel was divided by."""

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        check_size(self.name, data.n_items)
        found = self._regression(data)
        self.dual, self.size = found.dual, found.size
        self.warm = np.zeros(data.n_items, dtype=bool)
        self.warm[found.warm] = True
        self.blind = ~found.known
        self.similarity = np.zeros((data.n_items, data.n_items), dtype=np.float32)
        if not len(found.warm):
            self.blind[:] = True
            return self
        warm, cold = found.warm, np.flatnonzero(found.known & (data.item_degree == 0))
        self.similarity[:, cold] = found.dual @ found.kernel[np.ix_(warm, cold)]
        self.similarity[:, warm] = found.targets - found.dual / np.diag(found.inverse)
        return self

    def _regression(self, data: SignalData) -> "_Regression":
        features = self._features(data)
        kernel, known = _kernel(features, slice(None), slice(None)), _known(features)
        warm = np.flatnonzero(known & (data.item_degree > 0))
        size = float(np.diag(kernel)[warm].mean()) if len(warm) else 1.0
        kernel /= size
        kernel += 1.0
        targets = self._targets(data)[:, warm]
        system = kernel[np.ix_(warm, warm)]
        system[np.diag_indices_from(system)] += self.config.ridge
        inverse = inverted(system) if len(warm) else system
        return _Regression(kernel, size, known, warm, targets, inverse, targets @ inverse)

    def _kept_regression(self, data: SignalData) -> "_Regression":
        key = f"cold regression {self.config!r}"
        if key not in data._cache:
            data._cache[key] = self._regression(data)
        found: _Regression = data._cache[key]
        return found

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """The prediction is linear in the item's features, and its facts are some of them; the rest are words."""
        if data.n_items > LARGEST or not self.config.facts:
            return Split.nothing(history.nnz, "not taken apart")
        config = self.config
        if self.dual is not None and not self.warm[item]:
            warm, size, every = np.flatnonzero(self.warm), self.size, self.dual
            dual = every[history.indices].astype(np.float64)
        else:
            found = self._kept_regression(data.as_learned)
            warm, size = found.warm, found.size
            dual = found.dual[history.indices].astype(np.float64)
            place = int(np.searchsorted(warm, item))
            if place < len(warm) and warm[place] == item:
                # What the regression is without the item.
                dual -= np.outer(dual[:, place], found.inverse[place]) / found.inverse[place, place]
                dual[:, place] = 0.0
        weighted = fact_columns(data, config.fact_power)
        weight = history.data.astype(np.float64)[:, None] * config.facts / size

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return np.asarray(dual @ dense_columns(weighted, columns)[warm] * values * weight)

        return split_row(cells, fact_features(data), item, config.fact_power)

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:
        """The same regression on the kernel that the other facts give."""
        config = self.config
        if before.n_items > LARGEST or not config.facts:
            return self
        found = self._kept_regression(before.as_learned)
        if not len(found.warm):
            return self
        warm, moved = found.warm, type(self)(config)
        rows = [fact_features(data).weighted(config.fact_power) for data in (before, after)]
        kernels = [dense(row[warm] @ row.T) for row in rows]
        change = config.facts / found.size * (kernels[1] - kernels[0])
        moved.similarity = dense(self.similarity).copy()
        cold = np.setdiff1d(np.flatnonzero(found.known), warm)
        moved.similarity[:, cold] += found.dual @ change[:, cold]
        own = change[:, warm].copy()
        np.fill_diagonal(own, 0.0)
        moved.similarity[:, warm] += found.dual @ own - found.dual * (
            np.einsum("ij,ji->i", found.inverse, own) / np.diag(found.inverse)
        )
        moved.blind, moved.dual = self.blind, found.dual
        moved.warm, moved.size = np.isin(np.arange(before.n_items), warm), found.size
        return moved

    def extend(self, data: SignalData, moves: Moves) -> Signal:
        """What was learned stays, and says of all other items what their features of now are worth."""
        if self.dual is None:
            since = moves.since
            if since is None:
                return type(self)(self.config).fit(data.as_learned)
            return type(self)(self.config).fit(since.data.as_learned).extend(data, moves)
        moved, features = type(self)(self.config), self._features(data)
        moved.size, moved.warm = self.size, moves.rows_of(self.warm)
        stays = moves.items[self.warm] >= 0
        moved.dual = moves.rows_of(self.dual if stays.all() else self.dual[:, stays])
        moved.similarity = moves.square_of(dense(self.similarity))
        warm, others = np.flatnonzero(moved.warm), np.flatnonzero(~moved.warm)
        kernel = _kernel(features, warm, others) / np.float32(self.size) + np.float32(1.0)
        moved.similarity[:, others] = moved.dual @ kernel
        moved.blind = ~_known(features) & ~moved.warm
        moved.similarity[:, moved.blind] = 0.0
        if not len(warm):
            moved.blind[:] = True
        return moved

    def _features(self, data: SignalData) -> list[tuple[float, Any]]:
        """What the kernel is the sum of: each weight, and rows whose products it counts."""
        config = self.config
        features: list[tuple[float, Any]] = [(1.0, word_features(data, config.word_power))]
        if config.text and data.item_text is not None:
            features.append((config.text, np.nan_to_num(unit(centred(data.item_text)))))
        if config.facts:
            features.append((config.facts, fact_features(data).weighted(config.fact_power)))
        return features

    def _targets(self, data: SignalData) -> FloatArray:
        config = self.config
        shared = {key: getattr(config, key) for key in ("regularization", "dropout", "user_power")}
        key = f"cold targets {shared}"
        if key not in data._cache:
            form = ClosedForm(ClosedFormConfig(facts=0.0, text=0.0, **shared)).fit(data)
            data._cache[key] = dense(form.similarity)
        targets: FloatArray = data._cache[key].copy()
        np.fill_diagonal(targets, config.own)
        return targets

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        found = super().arrays()
        if self.dual is not None:
            found |= {"dual": self.dual, "warm": self.warm, "size": np.array([self.size])}
        return found

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        if "dual" in arrays:
            self.dual, self.warm = arrays["dual"], arrays["warm"].astype(bool)
            self.size = float(arrays["size"][0])
        return super().restore(arrays)


def _kernel(features: list[tuple[float, Any]], rows: Any, columns: Any) -> FloatArray:
    """The kernel between some items and others."""
    parts = [weight * dense(matrix[rows] @ matrix[columns].T) for weight, matrix in features]
    return np.asarray(sum(parts[1:], parts[0]), dtype=np.float32)


def _known(features: list[tuple[float, Any]]) -> npt.NDArray[np.bool_]:
    """Which items have any features."""
    sizes = [np.asarray(abs(matrix).sum(axis=1)).ravel() for _, matrix in features]
    return np.asarray(sum(sizes[1:], sizes[0]) > 0)
