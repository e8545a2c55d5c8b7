"""Items without likes: validated on items that are held out whole, and given weights of their own.

What ranks liked items well can be blind to an item that nobody has liked. So a share of the liked items is held out
with all their likes, the signals are fitted without them, and what then ranks these items best decides the weights of
the items that have no likes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .config import HybridConfig
from .data import FloatArray, SignalData, diagonal
from .fusion import learn_weights, standardise, weighted_sum
from .signals import Signal
from .state import signed, union
from .tuning import Fitted, Validation, fit_signal

AUTO_SHARE = 0.05
"""Share of the catalogue that items without likes must be for ``cold_items = auto``."""
LEAST_ITEMS = 50
"""Fewer items with likes are too few to hold some out."""


@dataclass(frozen=True, eq=False)
class ColdTask:
    """The likes without some items, and these items' likes to find.

    Attributes
    ----------
    data
        Everything but the held-out items' likes; their texts and facts are there.
    validation
        Ranks the held-out items alone.
    """

    data: SignalData
    validation: Validation

    @classmethod
    def of(cls, data: SignalData, dislikes: sparse.csr_matrix, config: HybridConfig) -> "ColdTask | None":
        """Hold items out, or None where that is not wanted or not possible."""
        if not wanted(config, data):
            return None
        training, held_out, items = hold_out_items(data.likes, config.validation.share, config.seed)
        if not held_out.nnz or not training.nnz:
            return None
        kept = np.ones(data.n_items, dtype=np.float32)
        kept[items] = 0.0
        disliked = sparse.csr_matrix(dislikes @ diagonal(kept))
        disliked.eliminate_zeros()
        validation = Validation.of(
            signed(training, disliked),
            held_out,
            union(training, dislikes),
            config.validation.k,
            config.validation.users,
            config.seed,
            candidates=items,
        )
        return cls(data.with_likes(training), validation)

    def tune(self, signal: Signal, tune: bool) -> Fitted:
        """A signal fitted without the held-out items, its settings chosen by how it ranks them."""
        return fit_signal(signal, self.data, self.validation, tune)


@dataclass(frozen=True, eq=False)
class ColdWeights:
    """What the held-out items taught.

    Attributes
    ----------
    weights
        float64 of shape (n_signals,).
    ndcg
        Of the fusion among held-out items, each user judged by weights learned without them.
    fused
        float32 of shape (b, n_items): the weighted sums for the validation users.
    """

    weights: npt.NDArray[np.float64]
    ndcg: float
    fused: FloatArray


def wanted(config: HybridConfig, data: SignalData) -> bool:
    """Whether items without likes are to be validated on their own."""
    choice = config.validation.cold_items
    if choice == "never" or config.fusion.method != "learned":
        return False
    liked = data.item_degree > 0
    if int(liked.sum()) < LEAST_ITEMS:
        return False
    return choice == "always" or float((~liked).mean()) >= AUTO_SHARE


def hold_out_items(
    likes: sparse.csr_matrix, share: float, rng: int = 0
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, npt.NDArray[np.int64]]:
    """Hold out a share of the liked items, drawn at random, with all their likes.

    Returns
    -------
    training, held_out
        CSR matrices of the shape of `likes`.
    items
        The held-out items, ascending; at least one.
    """
    liked = np.unique(likes.indices).astype(np.int64)
    count = max(round(len(liked) * share), 1)
    items = np.sort(np.random.default_rng(rng).choice(liked, count, replace=False))
    out = np.zeros(likes.shape[1], dtype=np.float32)
    out[items] = 1.0
    parts = [sparse.csr_matrix(likes @ diagonal(part), dtype=np.float32) for part in (1 - out, out)]
    for part in parts:
        part.eliminate_zeros()
        part.sort_indices()
    return parts[0], parts[1], items


def learn_cold_weights(
    task: ColdTask, names: Sequence[str], fitted: Mapping[str, Fitted], config: HybridConfig
) -> ColdWeights:
    """Weights for items without likes, from signals fitted without the held-out items.

    A signal that was not fitted gets none. Scores are standardised over all unseen items, as they are in an answer.
    """
    validation = task.validation
    items: Any = validation.candidates
    tried = [name for name in names if name in fitted]
    parts = [standardise(fitted[name].scores, validation.seen).values for name in tried]
    learned = learn_weights(
        [np.ascontiguousarray(part[:, items]) for part in parts],
        sparse.csr_matrix(validation.relevant[:, items]),
        sparse.csr_matrix(validation.seen[:, items]),
        config.fusion,
        config.seed,
    )
    fused = weighted_sum(learned.weights, parts)
    found = dict(zip(tried, learned.weights, strict=True))
    return ColdWeights(np.array([found.get(name, 0.0) for name in names]), learned.ndcg, fused)


def matched_scale(warm: FloatArray, warm_task: Validation, cold: FloatArray, cold_task: Validation) -> float:
    """What the scores of items without likes are multiplied with to stand among those of liked items.

    Of all pairs of a user and an unseen item, as many of the highest as lists have places hold a share r of likes.
    The highest scores of held-out items are taken down to where they hold r too; the two thresholds are to be equal.
    Of the likes of liked items only those held out can be found, of held-out items all, hence r is divided by the share
    that was held out.

    Parameters
    ----------
    warm, cold
        Fused scores, float32 of shape (b, n_items) each, for the users of the two validation sets.
    warm_task, cold_task
        These sets.
    """
    high, rate = _highest(warm, warm_task)
    most = len(warm_task.users) * warm_task.k
    if len(high) <= most:
        return 1.0
    known = float((warm_task.histories.data > 0).sum())
    precision = float(rate[most - 1]) * (1 + known / max(warm_task.relevant.nnz, 1))
    threshold = float(high[most - 1])
    own, own_rate = _highest(cold, cold_task)
    # The first few pairs' share of likes is chance.
    steady = np.arange(len(own_rate)) >= min(len(cold_task.users), len(own_rate) - 1)
    reached = np.flatnonzero(steady & (own_rate >= precision))
    place = int(reached[-1]) if len(reached) else int(np.flatnonzero(steady)[0])
    if threshold <= 0 or own[place] <= 0:
        return 1.0
    return float(np.clip(threshold / own[place], 0.1, 10.0))


def _highest(scores: FloatArray, task: Validation) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Scores of unseen candidates, descending, and the share of likes among all down to each."""
    items: Any = slice(None) if task.candidates is None else task.candidates
    unseen = task.seen[:, items].toarray() == 0
    liked = task.relevant[:, items].toarray() > 0
    values = np.nan_to_num(scores[:, items], nan=-np.inf)[unseen]
    order = np.argsort(-values, kind="stable")
    return values[order], np.cumsum(liked[unseen][order]) / np.arange(1, len(values) + 1)
