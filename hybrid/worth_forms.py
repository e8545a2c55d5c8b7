"""The closed form with knowledge as its prior, refitted in bulk: what facts, links, relations and text are worth to it.

With `G` the Gram matrix of the likes, `L` the penalty of each row, ``P = (G + diag L)^-1`` and `h` a history, the
scores of `kgenre.hybrid.signals.ClosedForm` are linear in the weights of the prior ``c K + c_t T``::

    h B = h - hP / diag P + c S(K) + c_t S(T),   S(K) = (hP * L) K - hP * (diag(P diag(L) K) / diag P)

So one inverse serves every variant of the graph and every weight of it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray, SignalData, diagonal
from .metrics import hits_of, ndcg, top_k
from .signals.closed_form import inverted
from .signals.features import fact_features, text_cosine
from .tuning import Validation

DROPOUT, USER_POWER, IDF_POWER, TEXT_POWER = 0.3, 0.25, 1.5, 2.0
REGULARIZATION = (100.0, 300.0, 1000.0)
FACTS = (0.0, 0.03, 0.1, 0.3)
TEXT = (0.0, 0.05, 0.15)

Setting = tuple[float, float, float]
"""Regularization, weight of the facts, weight of the text."""


class FactKernels:
    """Facts cosines of the items: of all relations, of one, of all but one, and with the links shuffled.

    A relation and its inverse are one.
    """

    def __init__(self, data: SignalData) -> None:
        features = fact_features(data)
        names = [name.removesuffix("^-1") for name in features.relations]
        frequency = np.bincount(features.matrix.indices, minlength=features.matrix.shape[1])
        idf = np.log(data.n_items / np.maximum(frequency, 1)) ** IDF_POWER
        self._weighted = sparse.csc_matrix(features.matrix @ diagonal(idf))
        self._columns: dict[str, npt.NDArray[np.int64]] = {}
        for name in dict.fromkeys(names):
            own = np.flatnonzero([one == name for one in names])
            columns = np.flatnonzero(np.isin(features.relation, own))
            if len(columns):
                self._columns[name] = columns
        self.has_facts = np.diff(features.matrix.indptr) > 0
        self._total = self._product(slice(None))

    def relations(self, most: int) -> list[str]:
        """Relations that items share, those of the most item facts first."""
        size = {name: int(self._weighted[:, columns].nnz) for name, columns in self._columns.items()}
        return sorted(size, key=lambda name: (-size[name], name))[:most]

    def all(self) -> FloatArray:
        """Of all relations."""
        return _cosine(self._total)

    def shuffled(self, rng: int) -> FloatArray:
        """Of all relations, after the items that have facts have swapped them at random."""
        own = np.flatnonzero(self.has_facts)
        places = np.arange(len(self.has_facts))
        places[own] = np.random.default_rng(rng).permutation(own)
        return _cosine(self._total[np.ix_(places, places)])

    def split(self, relation: str) -> tuple[FloatArray, FloatArray]:
        """Of one relation alone, and of all the others."""
        own = self._product(self._columns[relation])
        # A difference of sums: what is left of an item without other facts is rounding.
        rest = self._total - own
        few = np.diag(rest) < 1e-5 * np.maximum(np.diag(self._total), 1e-12)
        rest[few] = 0.0
        rest[:, few] = 0.0
        return _cosine(own), _cosine(rest)

    def _product(self, columns: Any) -> FloatArray:
        part = sparse.csr_matrix(self._weighted[:, columns])
        return np.asarray((part @ part.T).toarray(), dtype=np.float32)


def _cosine(products: FloatArray) -> FloatArray:
    norms = np.sqrt(np.diag(products))
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    cosine = np.asarray(products * scale[:, None] * scale, dtype=np.float32)
    np.fill_diagonal(cosine, 0.0)
    return cosine


def text_kernel(data: SignalData) -> FloatArray | None:
    """Cosine of the items' texts, None where there are none."""
    return None if data.item_text is None else text_cosine(data, TEXT_POWER)


@dataclass(frozen=True, eq=False)
class Task:
    """Likes to learn from and held-out likes to rank; see `Validation`."""

    data: SignalData
    validation: Validation
    rng: int


@dataclass(frozen=True, eq=False)
class Form:
    """The closed form at one regularization, without a prior, ready to take one."""

    task: Task
    regularization: float
    base: FloatArray
    """Scores without a prior, (b, n_candidates); -inf where an item is not listed."""
    pull: FloatArray
    """``hP * L``, (b, n_items)."""
    inverse: FloatArray
    penalty: FloatArray
    walks: FloatArray
    """``hP``, (b, n_candidates)."""
    items: npt.NDArray[np.int64]
    """The candidates in random order: ties, as of items that nothing is known of, are chance and not item order."""
    relevant: sparse.csr_matrix = field(repr=False)

    @classmethod
    def of(cls, task: Task, regularization: float) -> "Form":
        """Fit."""
        data, validation = task.data, task.validation
        users = np.maximum(data.user_degree, 1.0) ** -USER_POWER
        users /= users.mean()
        gram = np.asarray((data.likes.T @ diagonal(users) @ data.likes).toarray(), dtype=np.float32)
        penalty = (regularization + DROPOUT / (1 - DROPOUT) * np.diag(gram)).astype(np.float32)
        gram[np.diag_indices_from(gram)] += penalty
        inverse = inverted(gram)
        histories = validation.histories
        walks = np.asarray(histories @ inverse, dtype=np.float32)
        items = np.arange(data.n_items) if validation.candidates is None else validation.candidates
        items = np.random.default_rng(task.rng).permutation(items)
        base = histories[:, items].toarray() - walks[:, items] / np.diag(inverse)[items]
        base[validation.seen[:, items].toarray() > 0] = -np.inf
        return cls(
            task=task,
            regularization=regularization,
            base=np.asarray(base, dtype=np.float32),
            pull=walks * penalty,
            inverse=inverse,
            penalty=penalty,
            walks=np.ascontiguousarray(walks[:, items]),
            items=items,
            relevant=sparse.csr_matrix(validation.relevant[:, items]),
        )

    def push(self, kernel: FloatArray) -> FloatArray:
        """``S(K)``: what a symmetric kernel in the prior adds to the scores, (b, n_candidates)."""
        columns = kernel[:, self.items]
        own = np.einsum("ij,j,ji->i", self.inverse[self.items], self.penalty, columns, optimize=True)
        shift = np.asarray(own / np.diag(self.inverse)[self.items], dtype=np.float32)
        return np.asarray(self.pull @ columns - self.walks * shift, dtype=np.float32)

    def ndcg(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        """The ndcg of each user."""
        ranked = top_k(scores, self.task.validation.k)
        return ndcg(hits_of(ranked, self.relevant), np.diff(self.relevant.indptr).astype(np.int64))


class Trials:
    """The ndcg of every user of every split with every setting of every variant.

    A setting is chosen for each fold of the users by all the others, over all splits: what a variant gets to choose
    from never flatters it.
    """

    def __init__(self, n_users: int, n_splits: int, folds: int = 5, rng: int = 0) -> None:
        self._shape = (n_splits, n_users)
        self._folds = np.random.default_rng(rng).permutation(np.arange(n_users) % folds)
        self._values: dict[str, dict[Setting, npt.NDArray[np.float64]]] = {}

    @property
    def variants(self) -> tuple[str, ...]:
        """Those tried, in order."""
        return tuple(self._values)

    def add(
        self, variant: str, setting: Setting, split: int, users: Any, values: npt.NDArray[np.float64]
    ) -> None:
        """Take down one trial."""
        of_variant = self._values.setdefault(variant, {})
        if setting not in of_variant:
            of_variant[setting] = np.full(self._shape, np.nan)
        of_variant[setting][split, users] = values

    def per_user(self, variant: str, regularization: float | None = None) -> npt.NDArray[np.float64]:
        """Mean over the splits with the settings that the other folds chose, (n_users,); NaN for a user of no split.

        With `regularization` only settings that have this one are chosen from.
        """
        found = self._values[variant].items()
        trials = [values for key, values in found if regularization in (None, key[0])]
        means = np.stack([mean_over_splits(values) for values in trials])
        chosen = np.full(means.shape[1], np.nan)
        for fold in np.unique(self._folds):
            own = self._folds == fold
            score = np.nan_to_num(means[:, ~own]).sum(axis=1)
            chosen[own] = means[int(np.argmax(score)), own]
        return chosen

    def best(self, variant: str) -> Setting:
        """The setting that is best over all users and splits."""
        trials = self._values[variant]
        return max(trials, key=lambda setting: float(np.nansum(mean_over_splits(trials[setting]))))


def mean_over_splits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the splits that a user is in."""
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    found: npt.NDArray[np.float64] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return found


def try_settings(
    trials: Trials,
    variant: str,
    form: Form,
    split: int,
    facts: FloatArray | None = None,
    text: FloatArray | None = None,
) -> None:
    """Try all weights of the pushes of facts and text (see `Form.push`) and take the outcomes down."""
    users = form.task.validation.users
    for fact_weight in FACTS if facts is not None else (0.0,):
        for text_weight in TEXT if text is not None else (0.0,):
            scores = form.base
            if facts is not None and fact_weight:
                scores = scores + np.float32(fact_weight) * facts
            if text is not None and text_weight:
                scores = scores + np.float32(text_weight) * text
            setting = (form.regularization, fact_weight, text_weight)
            trials.add(variant, setting, split, users, form.ndcg(scores))
