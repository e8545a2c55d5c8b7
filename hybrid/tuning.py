"""Fitting signals with a validation set at hand: values are tried one setting after the other."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray, SignalData
from .metrics import hits_of, mask, ndcg, recall, top_k
from .signals import Signal, SignalConfig

TUNED_LIKES = 3_000_000
"""Likes beyond which settings are not looked for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Validation:
    """A validation set: what to rank for whom.

    Attributes
    ----------
    users
        int64 of shape (b,): the users looked at, as rows of the training likes.
    histories, relevant, seen
        CSR of shape (b, n_items): their training likes, their held-out likes, and what is not listed for them.
    full
        CSR of shape (n_users, n_items): the held-out likes of everybody.
    k
        Cut of the ndcg.
    candidates
        Items to rank, int64; all if None.
    """

    users: npt.NDArray[np.int64]
    histories: sparse.csr_matrix
    relevant: sparse.csr_matrix
    seen: sparse.csr_matrix
    full: sparse.csr_matrix
    k: int
    candidates: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        histories: sparse.csr_matrix,
        held_out: sparse.csr_matrix,
        seen: sparse.csr_matrix,
        k: int,
        most: int,
        rng: int,
        candidates: npt.NDArray[np.int64] | None = None,
    ) -> "Validation":
        """Take at most `most` users that have a held-out like, drawn at random."""
        users = np.flatnonzero(np.diff(held_out.indptr) > 0)
        # Dense score blocks of (users, items) are kept for every signal while weights are learned.
        most = max(min(most, 40_000_000 // max(held_out.shape[1], 1)), 1)
        if len(users) > most:
            users = np.sort(np.random.default_rng(rng).choice(users, most, replace=False))
        return cls(users, histories[users], held_out[users], seen[users], held_out, k, candidates)

    def ndcg(self, scores: FloatArray) -> float:
        """Mean ndcg@k of scores of shape (b, n_items); they are left as they are."""
        return float(self.per_user(scores).mean())

    def per_user(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        """The ndcg@k of each user."""
        return ndcg(*self._hits(scores))

    def recall(self, scores: FloatArray) -> float:
        """Mean recall@k of scores of shape (b, n_items); they are left as they are."""
        return float(recall(*self._hits(scores)).mean())

    def _hits(self, scores: FloatArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        seen, relevant = self.seen, self.relevant
        if self.candidates is None:
            scores = scores.copy()
        else:
            scores = scores[:, self.candidates]
            seen, relevant = (sparse.csr_matrix(part[:, self.candidates]) for part in (seen, relevant))
        ranked = top_k(mask(scores, seen), self.k)
        return hits_of(ranked, relevant), np.diff(relevant.indptr).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A signal fitted on the training part, its validation scores and their ndcg."""

    signal: Signal
    scores: FloatArray
    ndcg: float


def fit_signal(signal: Signal, data: SignalData, validation: Validation, tune: bool) -> Fitted:
    """Fit a signal; with `tune`, look for better values of its `search` settings, one after the other.

    It begins with the best of the signal's `starts`. From the value it has, a setting goes down its list of values and
    then, if that is no good, up, as long as validation gets better by more than a standard error of the paired
    difference: a list may reach far, and most of it is never tried; what is within the noise stays as it is usually
    good. A setting that the user gave is kept. Settings of facts are not tried where there are none, nor those of text.
    Of more than `TUNED_LIKES` likes a fit takes minutes, and the settings stay as they are.
    """
    tune = tune and data.likes.nnz <= TUNED_LIKES
    if tune:
        signal = signal.prepared(data, validation.full)
    best = _fitted(signal, data, validation)
    if not tune:
        return best
    given = set(signal.config.model_fields_set)
    for start in type(signal).starts:
        update = {name: value for name, value in start.items() if name not in given and _matters(name, data)}
        if update:
            trial = _fitted(type(signal)(signal.config.model_copy(update=update)), data, validation)
            if _better(trial, best, validation):
                best = trial
    for setting, values in type(signal).search.items():
        if setting in given or not _matters(setting, data):
            continue
        start = getattr(best.signal.config, setting)
        lower = sorted((value for value in values if value < start), reverse=True)
        upper = sorted(value for value in values if value > start)
        for direction in (lower, upper):
            for value in direction:
                config: SignalConfig = best.signal.config.model_copy(update={setting: value})
                trial = _fitted(type(signal)(config), data, validation)
                if not _better(trial, best, validation):
                    break
                best = trial
            if getattr(best.signal.config, setting) != start:
                break
    log.info("%s: validation ndcg@%d %.4f with %s", signal.name, validation.k, best.ndcg, best.signal.config)
    return best


def refit_signal(signal: Signal, data: SignalData, validation: Validation) -> Fitted:
    """A fitted signal with the settings it has, fitted on other data."""
    signal = signal.refit(data)
    scores = signal.score(validation.histories)
    return Fitted(signal, scores, validation.ndcg(scores))


def _fitted(signal: Signal, data: SignalData, validation: Validation) -> Fitted:
    signal.tune(data, validation.full)
    scores = signal.score(validation.histories)
    return Fitted(signal, scores, validation.ndcg(scores))


def _better(trial: Fitted, best: Fitted, validation: Validation) -> bool:
    """Whether the mean over users of what a trial gains is more than its standard error."""
    gain = validation.per_user(trial.scores) - validation.per_user(best.scores)
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def _matters(setting: str, data: SignalData) -> bool:
    if setting in ("facts", "fact_share", "idf_power"):
        return bool(data.facts)
    if setting in ("text", "text_power", "power"):
        return data.item_text is not None
    return True
