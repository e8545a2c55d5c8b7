"""A list chosen one item at a time: caps, diversity, calibration and exploration together."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .beyond import SMOOTHING

Values = npt.NDArray[np.float64]
_LEAST = 1e-10
"""A conditional variance below this is 0: the item lies in the span of those chosen."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A history's distribution over entities, and that of each candidate over the same ones.

    Attributes
    ----------
    target
        float64 of shape (f,), above 0, of sum 1.
    items
        float64 of shape (m, f): each candidate's share of each; what it has beside them is left over.
    known
        Boolean of shape (m,): candidates that have an entity at all.
    """

    target: Values
    items: Values
    known: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, history: Values, candidates: sparse.csr_matrix) -> Self:
        """From entity weights of a history (n_entities,) and of candidates, CSR (m, n_entities)."""
        own = np.flatnonzero(history > 0)
        target = np.asarray(history[own] / max(float(history.sum()), 1e-12))
        return cls(target, np.asarray(candidates[:, own].toarray()), np.diff(candidates.indptr) > 0)

    def divergence(self, summed: Values, count: int) -> Values:
        """Kullback-Leibler divergence of the list with each candidate added from the history, (m,)."""
        n = np.maximum(count + self.known, 1)[:, None]
        listed = (summed + self.items) / n
        mixed = (1 - SMOOTHING) * listed + SMOOTHING * self.target
        return np.asarray((self.target * np.log(self.target / mixed)).sum(axis=1))


class Choice:
    """A greedy choice among candidates.

    Parameters
    ----------
    scores
        float64 of shape (m,), of the candidates.
    """

    def __init__(self, scores: Values) -> None:
        self._scores = scores
        low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 0.0)
        self._relevance = np.asarray((scores - low) / ((high - low) or 1.0))
        self._caps: list[tuple[sparse.csr_matrix, int]] = []
        self._diverse: tuple[Values, float, str] | None = None
        self._calibrated: tuple[Calibration, float] | None = None
        self._rare: tuple[npt.NDArray[np.bool_], int] | None = None

    def cap(self, links: sparse.csr_matrix, most: int) -> None:
        """At most `most` of one entity; `links` CSR of shape (m, n_entities)."""
        self._caps.append((links, most))

    def diverse(self, likeness: Values, amount: float, method: Literal["mmr", "dpp"]) -> None:
        """Unlike each other, by cosine of shape (m, m)."""
        likeness = np.array(likeness, dtype=np.float64)
        # An item of which nothing is known is like none but itself.
        np.fill_diagonal(likeness, 1.0)
        self._diverse = (likeness, amount, method)

    def calibrate(self, calibration: Calibration, amount: float) -> None:
        """Close to a history; see `Calibration`."""
        if len(calibration.target):
            self._calibrated = (calibration, amount)

    def explore(self, rare: npt.NDArray[np.bool_], least: int) -> None:
        """At least `least` of the candidates `rare`."""
        self._rare = (rare, least)

    def take(self, k: int) -> npt.NDArray[np.int64]:
        """The places of at most `k` candidates, in the order of the list."""
        m = len(self._scores)
        free = np.ones(m, dtype=bool)
        counts: list[Any] = [np.zeros(links.shape[1], dtype=np.int64) for links, _ in self._caps]
        nearest, factor = np.zeros(m), _Factor(self._diverse[0]) if self._diverse else None
        summed, known = (np.zeros(len(self._calibrated[0].target)) if self._calibrated else np.zeros(0)), 0
        chosen: list[int] = []
        for place in range(min(k, m)):
            allowed = free
            if self._rare is not None:
                rare, least = self._rare
                missing = least - int(rare[chosen].sum())
                # The last places are kept for what is explored.
                if missing >= k - place and (free & rare).any():
                    allowed = free & rare
            if not allowed.any():
                break
            gain = self._relevance
            if self._diverse is not None and factor is not None:
                _, amount, method = self._diverse
                novelty = -nearest if method == "mmr" else 0.5 * np.log(np.maximum(factor.variance, _LEAST))
                gain = (1 - amount) * gain + amount * novelty
            if self._calibrated is not None:
                calibration, amount = self._calibrated
                gain = (1 - amount) * gain - amount * calibration.divergence(summed, known)
            # Of equals the one that ranks higher.
            best = np.where(allowed, gain, -np.inf)
            ties = np.flatnonzero(best >= best.max() - 1e-12)
            item = int(ties[np.argmax(self._scores[ties])])
            chosen.append(item)
            free[item] = False
            for (links, most), count in zip(self._caps, counts, strict=True):
                own = links.indices[links.indptr[item] : links.indptr[item + 1]]
                count[own] += 1
                full = (count >= most).astype(np.float32)
                free &= np.asarray(links @ full).ravel() == 0
            if factor is not None and self._diverse is not None:
                nearest = np.maximum(nearest, self._diverse[0][item])
                factor.add(item)
            if self._calibrated is not None:
                summed = summed + self._calibrated[0].items[item]
                known += int(self._calibrated[0].known[item])
        return np.array(chosen, dtype=np.int64)


class _Factor:
    """Conditional variances of the candidates given those chosen, by an incremental Cholesky factor."""

    def __init__(self, kernel: Values) -> None:
        self._kernel = kernel
        self._rows: list[Values] = []
        self.variance = np.array(np.diag(kernel))

    def add(self, item: int) -> None:
        pivot = float(self.variance[item])
        if pivot > _LEAST:
            row = self._kernel[item].copy()
            for earlier in self._rows:
                row -= earlier[item] * earlier
            row /= np.sqrt(pivot)
            self._rows.append(row)
            self.variance = np.maximum(self.variance - row**2, 0.0)
        self.variance[item] = 0.0
