from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData

from .base import ItemSimilaritySignal, Moves, Signal, SignalConfig, keep_largest, runs
from .changed_rows import empty_rows, largest, moved_rows, nearest_after
from .features import NEIGHBOURS, text_neighbours, unit
from .products import DENSE_ITEMS

_CELLS = 4_000_000
"""Cells of a block of cosines."""


class TextConfig(SignalConfig):
    """Settings of `TextCosine`; `power` 1 sums plain cosines, a higher one trusts the nearest texts more."""

    power: float = Field(2.0, gt=0)
    neighbours: int = Field(200, ge=1)


class TextCosine(ItemSimilaritySignal):
    """Text cosine between the items of the history and every item, by the encoder's vectors.

    Cannot say anything of an item without text. The vectors' common direction, which says nothing about likeness (see
    `text_cosine`), is the mean of the texts that were there at the fit, and stays it.
    """

    name = "text"
    speaks_of = "text"
    Config = TextConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"power": (1.0, 2.0, 4.0, 8.0)}

    centre: FloatArray | None = None
    """float32 of shape (d,), or (0,) where there was no text; None in a model that was saved without."""
    _vectors: FloatArray | None = None
    """The texts' directions from there, rows of 0 where there is none; kept from change to change."""

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        self.centre = _centre(data)
        self.similarity = keep_largest(text_neighbours(data, self.config.power), self.config.neighbours)
        if data.item_text is None:
            self.blind = np.ones(data.n_items, dtype=bool)
        else:
            self.blind = np.isnan(data.item_text[:, 0])
        return self

    def extend(self, data: SignalData, moves: Moves) -> Signal:
        """Exact; only what is near an item whose text is another now is looked at."""
        since, texts = moves.since, data.item_text
        moved = type(self)(self.config)
        moved.centre = self.centre
        if moved.centre is None:
            moved.centre = _centre(data if since is None else since.data)
        n, centre = data.n_items, moved.centre
        if texts is None:
            moved.similarity = empty_rows(n, n)
            moved.blind = np.ones(n, dtype=bool)
            return moved
        moved.blind = np.isnan(texts[:, 0])
        k = self._k(n)
        if since is None or since.data.item_text is None or k != self._k(since.data.n_items):
            moved._vectors = _directions(texts, centre)
            moved.similarity = self._nearest(moved._vectors, np.arange(n))
            return moved
        changed = _changed(since.data.item_text, texts, since.items)
        if self._vectors is None:
            vectors = _directions(texts, centre)
        elif not len(changed) and np.array_equal(since.items, np.arange(n)):
            return self
        else:
            vectors = moved_rows(self._vectors, since.items, n)
            vectors[changed] = _directions(texts[changed], centre)
        moved._vectors = vectors
        old = sparse.csr_matrix(self.similarity)
        cosines = vectors @ vectors[changed].T
        cosines[changed, np.arange(len(changed))] = 0.0
        columns = sparse.csr_matrix(np.maximum(cosines, 0.0) ** self.config.power)
        moved.similarity = nearest_after(
            old, since.items, changed, columns, k, lambda rows: moved._nearest(vectors, rows)
        )
        return moved

    def _k(self, n_items: int) -> int:
        k: int = self.config.neighbours
        return k if n_items <= DENSE_ITEMS else min(k, NEIGHBOURS)

    def _nearest(self, vectors: FloatArray, rows: npt.NDArray[np.int64]) -> sparse.csr_matrix:
        """The nearest texts of some items, CSR of shape (len(rows), n_items)."""
        step = max(_CELLS // max(len(vectors), 1), 1)
        kept = []
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            block = np.maximum(vectors[part] @ vectors.T, 0.0)
            block[np.arange(len(part)), part] = 0.0
            kept.append(largest(block**self.config.power, self._k(len(vectors))))
        if not kept:
            return empty_rows(0, len(vectors))
        return sparse.csr_matrix(sparse.vstack(kept, format="csr"), dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return super().arrays() | ({} if self.centre is None else {"centre": self.centre})

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.centre = arrays.get("centre")
        return super().restore(arrays)


def _centre(data: SignalData) -> FloatArray:
    if data.item_text is None:
        return np.empty(0, dtype=np.float32)
    known = ~np.isnan(data.item_text[:, 0])
    return np.asarray(data.item_text[known].mean(axis=0) if known.any() else np.empty(0), dtype=np.float32)


def _directions(texts: FloatArray, centre: FloatArray) -> FloatArray:
    return np.nan_to_num(unit(texts - centre if len(centre) else texts))


def _changed(before: FloatArray, after: FloatArray, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Items of now that are new or whose text is another."""
    changed = np.ones(len(after), dtype=bool)
    for start, to, length in runs(items):
        # By bits, in which no text (NaN) is like no text.
        was, now = before[start : start + length].view(np.int32), after[to : to + length].view(np.int32)
        changed[to : to + length] = (was != now).any(axis=1)
    return np.flatnonzero(changed)
