"""The losses of the graph encoder."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from .item_tower import Adjacency, WeightedSum, normalise

SOFTMAX_CELLS = 200_000_000
"""Beyond so many users times items the softmax is estimated from a sample of the items."""
SOFTMAX_SAMPLES = 2048
_AT_ONCE = 256
"""Users whose logits are computed at once: with 4,000 items, 4 MB."""

FloatArray = npt.NDArray[np.float32]

Drawn = tuple[Tensor | None, Tensor | None]
"""Items (None for all), and what their being drawn adds to their logits (or None)."""


class Softmax:
    """The items of the softmax.

    Beyond `SOFTMAX_CELLS` the normaliser is estimated by importance sampling, half by popularity and half
    uniformly (Bengio and Senecal 2003).

    Parameters
    ----------
    likes
        CSR (n_users, n_items).
    met_only
        Whether items that nobody liked stay out. That keeps their text and facts from being held against them,
        and ranks them higher than items that many have met and passed over.
    """

    def __init__(self, likes: sparse.csr_matrix, met_only: bool) -> None:
        popularity = np.asarray(likes.sum(axis=0), dtype=np.float64).ravel()
        self.items: Tensor | None = None
        if met_only:
            self.items = torch.from_numpy(np.flatnonzero(popularity))
            popularity = popularity[popularity > 0]
        self.probability: Tensor | None = None
        if len(popularity) > SOFTMAX_SAMPLES and likes.shape[0] * len(popularity) > SOFTMAX_CELLS:
            self.probability = torch.from_numpy(0.5 * popularity / popularity.sum() + 0.5 / len(popularity))

    def draw(self, generator: torch.Generator) -> Drawn:
        """The items of this step."""
        if self.probability is None:
            return self.items, None
        drawn = torch.multinomial(self.probability, SOFTMAX_SAMPLES, replacement=True, generator=generator)
        items = drawn if self.items is None else self.items[drawn]
        return items, -(self.probability[drawn] * SOFTMAX_SAMPLES).log().float()


def likes_loss(
    histories: sparse.csr_matrix,
    scored: Tensor,
    summed: Tensor,
    bias: Tensor | None,
    softmax: Drawn,
    temperature: float,
) -> Tensor:
    """Cross-entropy of what users liked; one user weighs one over the square root of their likes."""
    adjacency = Adjacency.of(histories)
    total = WeightedSum()
    vectors = normalise(total(summed, adjacency))
    count = torch.from_numpy(np.asarray(histories.sum(axis=1), dtype=np.float32).ravel())
    liked = (vectors * total(scored, adjacency)).sum(1) / temperature
    if bias is not None:
        liked = liked + total(bias[:, None], adjacency)[:, 0]
    weight = count.rsqrt() / count.sqrt().sum()
    normaliser = _normaliser(vectors, scored, bias, softmax, temperature, weight * count)
    loss: Tensor = normaliser - (weight * liked).sum()
    return loss


def _normaliser(
    vectors: Tensor,
    scored: Tensor,
    bias: Tensor | None,
    softmax: Drawn,
    temperature: float,
    weight: Tensor,
) -> Tensor:
    """The weighted sum over users of the logarithm of what the softmax divides by."""
    items, added = softmax
    if bias is not None:
        own = bias if items is None else bias[items]
        added = own if added is None else added + own
    shown = scored if items is None else scored[items]
    total: Tensor = _LogSumExp.apply(vectors / temperature, shown, added, weight)
    return total


class _LogSumExp(torch.autograd.Function):
    """``sum_i w_i log sum_j exp(x_i y_j + a_j)`` and its gradients in one go.

    The products of some rows at a time stay in the processor's cache, and no matrix of users times items is ever
    written to memory, which is what takes most of the time otherwise; the cut cross-entropy of Wijmans et al. (2025).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, added: Tensor | None, weight: Tensor) -> Tensor:
        by_x, by_y, by_added = torch.empty_like(x), torch.zeros_like(y), y.new_zeros(len(y))
        total = x.new_zeros((), dtype=torch.float64)
        for start in range(0, len(x), _AT_ONCE):
            place = slice(start, start + _AT_ONCE)
            part = x[place] @ y.T if added is None else torch.addmm(added, x[place], y.T)
            most = part.amax(1, keepdim=True)
            share = part.sub_(most).exp_()
            divisor = share.sum(1, keepdim=True)
            total += (weight[place] * (most + divisor.log())[:, 0]).sum()
            share.mul_(weight[place, None] / divisor)
            torch.mm(share, y, out=by_x[place])
            by_y.addmm_(share.T, x[place])
            if added is not None:
                by_added += share.sum(0)
        ctx.save_for_backward(by_x, by_y, by_added)
        ctx.biased = added is not None
        return total.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        by_x, by_y, by_added = (gradients[0] * part for part in ctx.saved_tensors)
        return by_x, by_y, by_added if ctx.biased else None, None


class Knowledge:
    """Cross-entropy between what an item's facts resemble and what a user with that item alone is shown.

    The target of item i is the row-normalised cosine of rows of idf^2-weighted (relation, node) pairs, itself
    left out. It never stands as a matrix: its rows and their sums are products with the facts.

    Parameters
    ----------
    facts
        Per relation CSR (n_items, n_nodes).
    temperature
        Divides the cosine.
    """

    def __init__(self, facts: Mapping[str, sparse.csr_matrix], temperature: float) -> None:
        self.temperature = temperature
        self.sum = WeightedSum()
        weighted = []
        for matrix in facts.values():
            degree = np.maximum(matrix.getnnz(axis=0), 1)
            weighted.append(matrix @ sparse.diags(np.log(matrix.shape[0] / degree) ** 2))
        joint = sparse.csr_matrix(sparse.hstack(weighted), dtype=np.float32)
        norm = np.sqrt(np.asarray(joint.multiply(joint).sum(axis=1)).ravel())
        # A pair that one item alone has adds to its norm and to nothing else.
        shared = joint[:, joint.getnnz(axis=0) > 1]
        rows = sparse.diags(1 / np.where(norm > 0, norm, 1)) @ shared
        self.rows = rows.tocsr().astype(np.float32)
        own = np.asarray(self.rows.multiply(self.rows).sum(axis=1)).ravel()
        similar = self.rows @ np.asarray(self.rows.sum(axis=0)).ravel() - own
        # Rounding leaves about 1e-6 where nothing is similar.
        self.items: npt.NDArray[np.intp] = np.flatnonzero(similar > 1e-3)
        self.own = torch.from_numpy(own.astype(np.float32))[:, None]
        self.total = torch.from_numpy(similar.astype(np.float32))
        self.pairs = Adjacency.of(self.rows.T.tocsr())

    @cached_property
    def by_pair(self) -> "_ByPair":
        """The same rows by column, to draw from."""
        return _ByPair(self.rows)

    def loss(
        self, items: Tensor, scored: Tensor, summed: Tensor, bias: Tensor | None, softmax: Drawn
    ) -> Tensor:
        """Mean over these of `self.items`."""
        around = (
            self.sum(self.sum(scored, self.pairs), Adjacency.of(self.rows[items.numpy()])) - scored[items]
        ) / self.total[items][:, None]
        return self._between(normalise(summed[items]), around, scored, bias, softmax)

    def loss_of_pairs(
        self,
        items: Tensor,
        others: Tensor,
        scored: Tensor,
        summed: Tensor,
        bias: Tensor | None,
        softmax: Drawn,
    ) -> Tensor:
        """What `loss` is expected to be, from one item for each that `neighbours` has drawn."""
        return self._between(normalise(summed[items]), scored[others], scored, bias, softmax)

    def _between(
        self, vectors: Tensor, around: Tensor, scored: Tensor, bias: Tensor | None, softmax: Drawn
    ) -> Tensor:
        weight = torch.full((len(vectors),), 1 / len(vectors))
        normaliser = _normaliser(vectors, scored, bias, softmax, self.temperature, weight)
        loss: Tensor = normaliser - (vectors * around).sum(1).mean() / self.temperature
        return loss

    def neighbours(self, items: npt.NDArray[np.intp], generator: torch.Generator) -> npt.NDArray[np.intp]:
        """For each of these of `self.items` another item, drawn by the cosine of their facts.

        Through a pair that both have: first the pair, by what it adds to the item's cosines, then the item.
        """
        own = self.rows[items]
        column = own.indices
        adds = own.data * (self.by_pair.totals[column] - own.data)
        place = _draw(adds, own.indptr, generator)
        return self.by_pair.other(column[place].astype(np.int64), items, own.data[place], generator)


class _ByPair:
    """Items of each pair, drawn by their weight."""

    def __init__(self, rows: sparse.csr_matrix) -> None:
        columns = rows.tocsc()
        columns.sort_indices()
        self.n_items = rows.shape[0]
        self.items = columns.indices
        self.cumulated = _cumulated(columns.data)
        self.starts = self.cumulated[columns.indptr]
        self.totals = np.diff(self.starts)
        pair = np.repeat(np.arange(rows.shape[1], dtype=np.int64), np.diff(columns.indptr))
        self.keys = pair * self.n_items + columns.indices

    def other(
        self,
        pairs: npt.NDArray[np.intp],
        items: npt.NDArray[np.intp],
        weights: FloatArray,
        generator: torch.Generator,
    ) -> npt.NDArray[np.intp]:
        """For each pair one of its items but the given one, which has the given weight in it."""
        own = np.searchsorted(self.keys, pairs.astype(np.int64) * self.n_items + items)
        place = _uniform(len(pairs), generator) * (self.totals[pairs] - weights) + self.starts[pairs]
        # Past the item itself.
        place += np.where(place >= self.cumulated[own], weights, 0.0)
        found = np.searchsorted(self.cumulated, place, side="right") - 1
        return np.asarray(self.items[np.minimum(found, len(self.items) - 1)], dtype=np.intp)


def _draw(
    weights: npt.NDArray[np.floating[Any]], indptr: npt.NDArray[np.integer[Any]], generator: torch.Generator
) -> npt.NDArray[np.intp]:
    """One place of each row of a CSR structure, by weight."""
    cumulated = _cumulated(weights)
    starts, ends = cumulated[indptr[:-1]], cumulated[indptr[1:]]
    place = starts + _uniform(len(starts), generator) * (ends - starts)
    found = np.searchsorted(cumulated, place, side="right") - 1
    return np.asarray(np.clip(found, indptr[:-1], indptr[1:] - 1), dtype=np.intp)


def _cumulated(weights: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.maximum(weights, 0.0), dtype=np.float64)))


def _uniform(n: int, generator: torch.Generator) -> npt.NDArray[np.float64]:
    return np.asarray(torch.rand(n, dtype=torch.float64, generator=generator).numpy())
