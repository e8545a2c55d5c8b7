"""The training loop: epochs, early stopping, interruption."""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from kgenre.graph.errors import ConfigError
from kgenre.graph.progress import bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How training ended: the epoch whose parameters were kept, and its validation figure (or None)."""

    best_epoch: int
    validation: float | None


def train(
    model: torch.nn.Module,
    run_epoch: Callable[[], float],
    evaluate: Callable[[], float] | None,
    *,
    epochs: int,
    patience: int,
    metric: str = "ndcg@20",
) -> Outcome:
    """Train until validation has not improved for `patience` epochs, and keep the best epoch's parameters.

    Ctrl-C stops the training and keeps the best epoch so far (a second one is raised); so does a loss that is
    not a number.

    Parameters
    ----------
    model
        Its parameters are trained in place.
    run_epoch
        One pass over the data; returns the mean loss.
    evaluate
        The validation figure, higher is better; without it exactly `epochs` epochs are run.
    epochs
        The most epochs to run.
    patience
        Epochs without a better figure before stopping.
    metric
        Name of the figure.

    Raises
    ------
    ConfigError
        If the loss or the figure is not a number before any epoch was good.
    KeyboardInterrupt
        If interrupted before any epoch was complete.
    """
    best_epoch, best, kept = 0, None, None
    epoch = 0
    with bar(total=epochs, desc="graph encoder", unit="epoch") as progress:
        try:
            while epoch < epochs and (evaluate is None or epoch - best_epoch < patience):
                loss = run_epoch()
                value = evaluate() if evaluate and math.isfinite(loss) else None
                if not math.isfinite(loss) or (value is not None and not math.isfinite(value)):
                    # A loss can still be a number where the parameters it leaves are none.
                    broken = f"{metric} is {value}" if math.isfinite(loss) else f"the loss is {loss}"
                    if kept is None:
                        raise ConfigError(
                            f"{broken} after {epoch + 1} epochs; lower the learning rate, "
                            "or look for extreme values in text vectors and fact weights"
                        )
                    log.warning("%s in epoch %d; keeping epoch %d", broken, epoch + 1, best_epoch)
                    break
                epoch += 1
                if value is None or best is None or value > best:
                    kept = copy.deepcopy(model.state_dict())
                    best_epoch, best = epoch, value
                if value is None:
                    progress.set_postfix(loss=f"{loss:.4f}")
                else:
                    progress.set_postfix({metric: f"{value:.4f}", "best": f"{best:.4f}"})
                progress.update()
        except KeyboardInterrupt:
            if kept is None:
                raise
            figure = "" if best is None else f" ({metric} {best:.4f})"
            log.warning("interrupted in epoch %d; keeping epoch %d%s", epoch + 1, best_epoch, figure)
    if kept is not None:
        model.load_state_dict(kept)
    log.info("trained %d epochs, kept epoch %d, %s %s", epoch, best_epoch, metric, best)
    return Outcome(best_epoch, best)


def ndcg(scores: torch.Tensor, relevant: sparse.csr_matrix, k: int = 20) -> float:
    """Sum over users of ndcg@k with binary relevance.

    Parameters
    ----------
    scores
        Shape (b, n); -inf where an item is not ranked.
    relevant
        CSR of shape (b, n), rows not empty.
    k
        Length of the list.

    Returns
    -------
    float
        ``sum_u dcg@k / ideal dcg@min(k, relevant items)``.
    """
    k = min(k, scores.shape[1])
    top = scores.topk(k, dim=1).indices.numpy()
    hits = np.take_along_axis(relevant.toarray() != 0, top, axis=1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(np.diff(relevant.indptr), k) - 1]
    return float(((hits * discount).sum(axis=1) / ideal).sum())
