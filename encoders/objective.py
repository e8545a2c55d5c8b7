"""The losses of the graph encoder."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from .item_tower import Adjacency, WeightedSum, normalise

SOFTMAX_CELLS = 200_000_000
"""Beyond so many users times items the softmax is estimated from a sample of the items."""
SOFTMAX_SAMPLES = 8192


Drawn = tuple[Tensor | None, Tensor | None]


class Softmax:
    """The items of the softmax, and what is added to their logits.

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

    def draw(self, bias: Tensor | None, generator: torch.Generator) -> Drawn:
        """Items of this step (None for all), and what to add to their logits (or None)."""
        if self.probability is None:
            if self.items is None:
                return None, bias
            return self.items, None if bias is None else bias[self.items]
        drawn = torch.multinomial(self.probability, SOFTMAX_SAMPLES, replacement=True, generator=generator)
        items = drawn if self.items is None else self.items[drawn]
        correction = -(self.probability[drawn] * SOFTMAX_SAMPLES).log().float()
        return items, correction if bias is None else correction + bias[items]


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
    weight = count.rsqrt()
    losses = count * _normaliser(vectors, scored, softmax, temperature) - liked
    loss: Tensor = (weight * losses).sum() / (weight * count).sum()
    return loss


def _normaliser(vectors: Tensor, scored: Tensor, softmax: Drawn, temperature: float) -> Tensor:
    items, added = softmax
    logits = (vectors / temperature) @ (scored if items is None else scored[items]).T
    logits = logits if added is None else logits + added
    return logits.logsumexp(1)


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

    def loss(self, items: Tensor, scored: Tensor, summed: Tensor, softmax: Drawn) -> Tensor:
        """Mean over these of `self.items`."""
        vectors = normalise(summed[items])
        around = (
            self.sum(self.sum(scored, self.pairs), Adjacency.of(self.rows[items.numpy()])) - scored[items]
        )
        expected = (vectors * around).sum(1) / self.total[items] / self.temperature
        loss: Tensor = (_normaliser(vectors, scored, softmax, self.temperature) - expected).mean()
        return loss
