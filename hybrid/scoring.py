"""The weighted sum of standardised signals, in few passes: what `fusion.standardise` and a sum of its values give."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray
from .fusion import Cells, standardise_in_place

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
_STRIP = 100_000
"""Cells that are added up at once: .4 MB, a few times over, of the processor's second cache."""


def one_sum(parts: Sequence[FloatArray], weights: Float, seen: npt.NDArray[np.int32]) -> Float:
    """The sum for one history, all signals at once.

    Parameters
    ----------
    parts
        Each signal's scores, float32 of shape (1, n_items); NaN where it cannot say.
    weights
        Its weight, above 0 or not, float64 of shape (n_signals, 1), or (n_signals, n_items) where items differ.
    seen
        Items that are left out of mean and deviation.

    Returns
    -------
    float64 of shape (1, n_items); NaN where no signal with a weight can say.
    """
    scores = np.concatenate(parts, axis=0)
    ends = len(seen) * np.arange(len(parts) + 1)
    found = standardise_in_place(scores, Cells.of(ends, np.tile(seen, len(parts)), scores.shape[1]))
    unknown, factors = found.unknown, weights * found.scale[:, None]
    if factors.shape[1] == 1:
        total = factors[:, 0] @ scores.astype(np.float64)
    else:
        total = np.einsum("ij,ij->j", factors, scores)
    mute = unknown if weights.all() else (weights == 0) | (False if unknown is None else unknown)
    if mute is not None:
        total[np.broadcast_to(mute.all(axis=0), total.shape)] = np.nan
    return np.asarray(total[None, :])


class BlockSum:
    """The sum for many histories, signal by signal.

    Parameters
    ----------
    seen
        CSR of shape (b, n_items): what is left out of mean and deviation.
    """

    def __init__(self, seen: sparse.csr_matrix) -> None:
        self._total = np.zeros(seen.shape, dtype=np.float32)
        self._strips = [
            (rows, _Strip(seen.indptr[rows.start : rows.stop + 1], seen.indices, self._total[rows]))
            for rows in strips(*seen.shape)
        ]

    def add(self, scores: FloatArray, weight: Float) -> None:
        """Add a signal's scores, float32 (b, n_items), which are overwritten.

        Its weight is of shape (b, 1), or (b, n_items) where items differ, and not 0 everywhere.
        """
        for rows, strip in self._strips:
            strip.add(scores[rows], weight[rows])

    def total(self) -> Float:
        """float64 of shape (b, n_items); NaN where no signal with a weight can say."""
        for _, strip in self._strips:
            strip.silence()
        return self._total.astype(np.float64)


def strips(n_rows: int, n_columns: int) -> list[slice]:
    """Rows in groups that are small enough to stay in the processor's cache from one pass to the next."""
    step = max(_STRIP // max(n_columns, 1), 1)
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


class _Strip:
    """Some rows of a `BlockSum`: where what was seen ends in each, all that was seen, and the total so far."""

    def __init__(self, ends: npt.NDArray[np.int32], seen: npt.NDArray[np.int32], total: FloatArray) -> None:
        self._seen = Cells.of(ends, seen, total.shape[1])
        self._total = total
        self._silent: Bool | None = None
        """None while some signal has said something of every item."""
        self._spoken = False

    def add(self, scores: FloatArray, weight: Float) -> None:
        found = standardise_in_place(scores, self._seen)
        unknown = found.unknown
        scores *= np.asarray(weight * found.scale[:, None], dtype=np.float32)
        self._total += scores
        mute = unknown if weight.all() else (weight == 0) | (False if unknown is None else unknown)
        if mute is None or (self._spoken and self._silent is None):
            self._silent = None
        else:
            mute = np.broadcast_to(mute, self._total.shape)
            self._silent = mute & self._silent if self._silent is not None else mute
        self._spoken = True

    def silence(self) -> None:
        if not self._spoken:
            self._total[:] = np.nan
        elif self._silent is not None:
            self._total[self._silent] = np.nan
