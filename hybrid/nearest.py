"""The largest inner products with very many vectors, found without computing all of them (faiss)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import FloatArray

Items = npt.NDArray[np.int64]
_FEW = 1_000
"""Up to this many vectors all of them are found."""
_FAR = 500
"""Vectors that are always found: those with the largest coordinate, as very popular items have. A code that told such
coordinates apart would tell the others no more."""
_LISTS = 1_024
"""Most cells that the vectors are put into."""
_SAMPLE = 64
"""Vectors a cell that cells and codes are learned from."""
_BLOCK = 50_000
"""Vectors that are computed at once."""
_BEST = 20
_RECALL = 0.995
"""Share of the sample queries' `_BEST` that must be found: so many cells are looked through."""
FOUND = 1_000
"""Vectors that are found, by their codes, for a query; which of them are the best is for the caller to compute."""


class Nearest:
    """An index of vectors by inner product, for queries like those of a sample.

    Vectors are put into cells (IVF, Jegou et al. 2011) and kept as codes of four bits for each two coordinates, which
    are compared in registers (Andre et al. 2015). Coordinates are first scaled by how much they usually matter to a
    query: a distance is then how much the products with two vectors usually differ.

    Parameters
    ----------
    vectors
        The vectors of some items, float32 of shape (n, d).
    items
        All items, int64 of shape (n_items,).
    queries
        The sample, float32 of shape (m, d).
    """

    def __init__(self, vectors: Callable[[Items], FloatArray], items: Items, queries: FloatArray) -> None:
        self._items = items
        self._far = np.empty(0, dtype=np.int64)
        self._index: Any = None
        importance = np.sqrt((queries.astype(np.float64) ** 2).mean(axis=0))
        self._used = np.flatnonzero(importance > 0)
        if len(items) <= _FEW or not len(self._used):
            return
        self._scale = importance[self._used].astype(np.float32)
        self._vectors = vectors
        self._build(queries)
        del self._vectors

    def find(self, query: FloatArray, n: int) -> Items:
        """Some `n` items, nearly all of the largest products with a query among them; fewer where there are fewer."""
        if self._index is None:
            return self._items
        _, found = self._index.search(self._queries(query[None, :]), min(n, len(self._items)))
        return np.concatenate((self._far, self._items[found[0][found[0] >= 0]]))

    @property
    def cells(self) -> tuple[int, int]:
        """How many cells are looked through, and how many there are."""
        return (1, 1) if self._index is None else (self._index.nprobe, self._index.nlist)

    def _build(self, queries: FloatArray) -> None:
        import faiss

        largest = np.concatenate([np.abs(block).max(axis=1) for block in self._blocks()])
        far = np.argpartition(-largest, _FAR)[:_FAR]
        self._far, self._items = self._items[far], np.delete(self._items, far)
        n, lists = len(self._items), min(_LISTS, int(np.sqrt(len(self._items))))
        # Two coordinates a code: an odd number of them gets one more.
        size = len(self._used) + len(self._used) % 2
        coarse = faiss.IndexFlatIP(size)
        index = faiss.IndexIVFPQFastScan(coarse, size, lists, size // 2, 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual = False
        index.cp.niter, index.cp.min_points_per_centroid, index.pq.cp.min_points_per_centroid = 10, 1, 1
        index.cp.max_points_per_centroid = _SAMPLE
        rng = np.random.default_rng(0)
        sample = np.sort(rng.choice(n, min(n, _SAMPLE * lists), replace=False))
        index.train(self._coordinates(sample))
        for block in self._blocks():
            index.add(block)
        self._index = index
        best = self._best(self._queries(queries))
        cells = 1
        while cells < lists:
            index.nprobe = cells
            _, found = index.search(self._queries(queries), min(FOUND, n))
            hits = [np.isin(one, other).mean() for one, other in zip(best, found, strict=True)]
            if np.mean(hits) >= _RECALL:
                return
            cells *= 2
        index.nprobe = lists

    def _best(self, queries: FloatArray) -> Items:
        """Places of the vectors that a search should find, int64 of shape (m, _BEST)."""
        values: FloatArray = np.empty((len(queries), 0), np.float32)
        places: Items = np.empty((len(queries), 0), np.int64)
        start = 0
        for block in self._blocks():
            own = np.arange(start, start := start + len(block))
            values = np.concatenate((values, queries @ block.T), axis=1)
            places = np.concatenate((places, np.tile(own, (len(queries), 1))), axis=1)
            kept = np.argpartition(-values, _BEST, axis=1)[:, :_BEST]
            values = np.take_along_axis(values, kept, axis=1)
            places = np.take_along_axis(places, kept, axis=1)
        return places

    def _blocks(self) -> Iterator[FloatArray]:
        for start in range(0, len(self._items), _BLOCK):
            yield self._coordinates(np.arange(start, min(start + _BLOCK, len(self._items))))

    def _coordinates(self, places: Items) -> FloatArray:
        return self._even(self._vectors(self._items[places])[:, self._used] * self._scale)

    def _queries(self, queries: FloatArray) -> FloatArray:
        return self._even(queries[:, self._used] / self._scale)

    @staticmethod
    def _even(rows: FloatArray) -> FloatArray:
        return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))), dtype=np.float32)
