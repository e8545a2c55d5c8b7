"""Late fusion: each signal standardised per user, then a weighted sum, with weights learned on validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from .data import FloatArray

_LEAST = 0.05
"""Of the largest weight: a signal of less moves no list that one could tell, but costs every answer time."""
_STEPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5)


class FusionConfig(BaseModel):
    """How signals become one score.

    Attributes
    ----------
    method
        ``learned``: weights from validation. ``fixed``: `weights`, on standardised signals. ``blend``: `weights` on the
        signals as they are, as in ``R = a s + (1 - a) Popularity``.
    weights
        By signal, none below 0; for ``fixed`` and ``blend``.
    k
        Cut of the ndcg that learning maximises.
    folds
        Parts the validation users are split into; weights learned on all but one are averaged, and each part's own
        ndcg comes from weights that have not seen it.
    candidates
        Best items per signal and user that learning looks at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    method: Literal["learned", "fixed", "blend"] = "learned"
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    k: int = Field(20, ge=1)
    folds: int = Field(5, ge=2)
    candidates: int = Field(60, ge=1)


@dataclass(frozen=True, eq=False)
class Standardised:
    """A signal's scores with mean 0 and deviation 1 per user: ``values = (scores - mean) / deviation``.

    Attributes
    ----------
    values
        float32 of shape (b, n_items); NaN where the signal cannot say.
    mean, deviation
        float32 of shape (b,), over the items the user has not seen and the signal can judge.
    """

    values: FloatArray
    mean: FloatArray
    deviation: FloatArray


def standardise(scores: FloatArray, seen: sparse.csr_matrix) -> Standardised:
    """Standardise each row over its unseen items.

    A row without spread, or with nothing to say, has a deviation of 1 and values of 0 (NaN where it cannot say).
    """
    values = np.array(scores, dtype=np.float32, order="C")
    found = standardise_in_place(values, Cells.of(seen.indptr, seen.indices, scores.shape[1]))
    values *= found.scale[:, None].astype(np.float32)
    if found.unknown is not None:
        values[found.unknown] = np.nan
    return Standardised(values, found.mean.astype(np.float32), found.deviation.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of a matrix in C order.

    Attributes
    ----------
    row
        int64: the row of each, sorted.
    place
        int64: where each is in the matrix laid out flat.
    lengths
        How many each row has.
    """

    row: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ends: npt.NDArray[Any], columns: npt.NDArray[np.int32], n_columns: int) -> "Cells":
        """Those of a CSR matrix, by its `indptr` and `indices`; or of the rows that `ends` is a part of."""
        lengths = np.diff(ends)
        row = np.repeat(np.arange(len(lengths)), lengths)
        return cls(row, row * n_columns + columns[ends[0] : ends[-1]], lengths)


@dataclass(frozen=True, eq=False)
class Moments:
    """What `standardise_in_place` found.

    Attributes
    ----------
    mean, deviation
        float64 of shape (b,); the deviation is 1 where there is no spread.
    scale
        One over the deviation, 0 where there is no spread.
    unknown
        Boolean of shape (b, n_items), where scores were NaN; None for nowhere.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    unknown: npt.NDArray[np.bool_] | None


def standardise_in_place(scores: FloatArray, seen: Cells) -> Moments:
    """Take its mean from each row, over unseen items; NaN becomes 0.

    Parameters
    ----------
    scores
        float32 of shape (b, n_items) in C order, overwritten.
    seen
        The cells that were seen.
    """
    flat, counted, silent = scores.reshape(-1), scores.shape[1] - seen.lengths, np.isnan(scores)
    unknown = silent if silent.any() else None
    if unknown is not None:
        # All bits where a score is known and none elsewhere: a tenth of the time of writing 0 where it is not.
        bits, known = scores.view(np.int32), unknown.astype(np.int32) - 1
        bits &= known
        unknown_seen = unknown.reshape(-1)[seen.place]
        both = np.bincount(seen.row, unknown_seen, len(scores)).astype(np.int64)
        counted = counted - (np.count_nonzero(unknown, axis=1) - both)
    n = np.maximum(counted, 1)
    # What was seen is put aside, counts 0 in both sums, and is put back.
    aside = flat[seen.place]
    flat[seen.place] = 0.0
    mean = scores.sum(axis=1, dtype=np.float64) / n
    shift = mean.astype(np.float32)
    scores -= shift[:, None]
    if unknown is not None:
        bits &= known
    flat[seen.place] = 0.0
    deviation = np.sqrt(np.einsum("ij,ij->i", scores, scores) / n)
    aside -= shift[seen.row]
    if unknown is not None:
        aside[unknown_seen] = 0.0
    flat[seen.place] = aside
    spread = deviation > np.maximum(np.abs(mean), 1.0) * 1e-6
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=spread)
    return Moments(mean, np.where(spread, deviation, 1.0), scale, unknown)


def weighted_sum(weights: npt.NDArray[np.float64], parts: Sequence[FloatArray]) -> FloatArray:
    """Sum of the signals' values, float32 of shape (b, n_items); one that cannot say adds nothing."""
    fused = np.zeros_like(parts[0])
    for weight, part in zip(weights, parts, strict=True):
        if weight:
            fused += np.float32(weight) * np.nan_to_num(part)
    return fused


@dataclass(frozen=True, eq=False)
class LearnedWeights:
    """What learning found.

    Attributes
    ----------
    weights
        float64 of shape (n_signals,), the largest about 1, none below 0.
    ndcg
        Mean ndcg over the users, each judged by weights learned without them.
    """

    weights: npt.NDArray[np.float64]
    ndcg: float


def learn_weights(
    signals: Sequence[FloatArray],
    relevant: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    config: FusionConfig,
    rng: int = 0,
) -> LearnedWeights:
    """Non-negative weights that maximise the mean ndcg@k of the weighted sum, by cross-fitted coordinate ascent.

    Parameters
    ----------
    signals
        One array of standardised scores, float32 (b, n_items), for each signal.
    relevant, seen
        CSR of shape (b, n_items): the held-out likes, and what must not be listed. Users without a held-out like
        do not count.

    config
        Settings of the learning.
    rng
        Seed of the folds.

    Notes
    -----
    ndcg is a step function of the weights, hence coordinate ascent (as in Metzler & Croft 2007) over a short list of
    values; it starts from the best single signal, so that a signal gets a weight only if it lifts the list. Averaging
    over the folds smooths what any one of them overfits.
    """
    users = np.flatnonzero(np.diff(relevant.indptr) > 0)
    if not len(users):
        raise ValueError("no user has a held-out like")
    problem = _Problem.of(signals, relevant, seen, users, config)
    n = len(users)
    folds = min(config.folds, n)
    if folds < 2:
        weights = problem.ascend(np.arange(n))
        return LearnedWeights(weights, float(problem.ndcg(np.arange(n), weights).mean()))
    order = np.random.default_rng(rng).permutation(n)
    found, ndcg = [], np.zeros(n)
    for fold in range(folds):
        held = np.sort(order[fold::folds])
        rest = np.setdiff1d(np.arange(n), held)
        found.append(problem.ascend(rest))
        ndcg[held] = problem.ndcg(held, found[-1])
    weights = np.mean(found, axis=0)
    weights[weights < _LEAST * weights.max()] = 0.0
    return LearnedWeights(weights / weights.max(), float(ndcg.mean()))


@dataclass(frozen=True, eq=False)
class _Problem:
    values: FloatArray
    """(n_users, n_candidates, n_signals)"""
    silent: npt.NDArray[np.bool_]
    """(n_signals,): says nothing that tells two items apart; by the order of ties alone it could seem good."""
    relevant: npt.NDArray[np.bool_]
    ideal: npt.NDArray[np.float64]
    discount: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        signals: Sequence[FloatArray],
        relevant: sparse.csr_matrix,
        seen: sparse.csr_matrix,
        users: npt.NDArray[np.int64],
        config: FusionConfig,
    ) -> "_Problem":
        n_items = relevant.shape[1]
        count = min(config.candidates, n_items)
        chosen = np.zeros((len(users), n_items), dtype=bool)
        own_seen = seen[users]
        rows = np.repeat(np.arange(len(users)), np.diff(own_seen.indptr))
        for scores in signals:
            best = np.nan_to_num(scores[users], nan=-np.inf)
            best[rows, own_seen.indices] = -np.inf
            top = np.argpartition(-best, count - 1, axis=1)[:, :count]
            np.put_along_axis(chosen, top, True, axis=1)
        chosen[rows, own_seen.indices] = False
        width = max(int(chosen.sum(axis=1).max()), 1)
        items = np.argsort(~chosen, axis=1, kind="stable")[:, :width]
        kept = np.take_along_axis(chosen, items, axis=1)
        stacked = np.stack([np.take_along_axis(scores[users], items, axis=1) for scores in signals], axis=-1)
        values = np.nan_to_num(stacked, nan=0.0).astype(np.float32)
        silent = np.asarray(~values[kept].any(axis=0))
        values[~kept] = -1e6
        hits = np.take_along_axis(relevant[users].toarray() > 0, items, axis=1) & kept
        k = min(config.k, width)
        discount = 1.0 / np.log2(np.arange(2, config.k + 2))
        n_relevant = np.diff(relevant[users].indptr)
        ideal = np.concatenate(([1.0], np.cumsum(discount)))[np.minimum(config.k, n_relevant)]
        return cls(values, silent, hits, ideal, discount[:k])

    def ndcg(self, users: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self._ndcg(users, self.values[users] @ weights.astype(np.float32))

    def _ndcg(self, users: npt.NDArray[np.int64], scores: FloatArray) -> npt.NDArray[np.float64]:
        k = len(self.discount)
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k] if k < scores.shape[1] else None
        if top is None:
            top = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        gain: npt.NDArray[np.float64] = np.take_along_axis(self.relevant[users], top, axis=1) @ self.discount
        return gain / self.ideal[users]

    def ascend(self, users: npt.NDArray[np.int64], rounds: int = 4) -> npt.NDArray[np.float64]:
        n_signals = self.values.shape[2]
        values = self.values[users]
        alone = [
            -1.0 if self.silent[signal] else float(self._ndcg(users, values[..., signal]).mean())
            for signal in range(n_signals)
        ]
        weights = np.zeros(n_signals)
        weights[int(np.argmax(alone))] = 1.0
        best = max(alone)
        for _ in range(rounds):
            before = best
            for signal in np.argsort(-weights, kind="stable"):
                if self.silent[signal]:
                    continue
                rest = np.where(np.arange(n_signals) == signal, 0.0, weights)
                base = values @ rest.astype(np.float32)
                scale = weights.max()
                for step in _STEPS:
                    if step == 0 and not rest.any():
                        continue
                    trial = self._ndcg(users, base + np.float32(step * scale) * values[..., signal]).mean()
                    if trial > best + 1e-7:
                        best, weights[signal] = float(trial), step * scale
            if best - before < 1e-4:
                break
        return np.asarray(weights / weights.max())
