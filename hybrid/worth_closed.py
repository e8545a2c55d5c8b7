"""What the graph is worth to a closed form: every variant fitted and tuned alike, in seconds."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph.errors import ConfigError, DataError
from kgenre.graph.progress import bar

from .cold import LEAST_ITEMS, hold_out_items
from .data import SignalData
from .signals.closed_form import MAX_ITEMS
from .split import hold_out
from .state import signed, union
from .tuning import Validation
from .worth_forms import REGULARIZATION, FactKernels, Form, Task, Trials, text_kernel, try_settings
from .worth_outcomes import (
    ALL,
    AS_IS,
    COLD_ITEMS,
    LIKES_ALONE,
    NO_FACTS,
    NO_TEXT,
    ONLY,
    RANDOM_LINKS,
    RANDOM_LINKS_NO_TEXT,
    SPARSE_USERS,
    WITHOUT,
    Comparison,
    removed,
    rows_of,
    sparse_users,
)

MOST_RELATIONS = 20
"""Relations looked at one by one, those of the most facts first, where none are named."""


def closed_form_rows(
    data: SignalData,
    dislikes: sparse.csr_matrix,
    *,
    k: int,
    share: float,
    splits: int,
    relations: tuple[str, ...] | None,
    users: int,
    rng: int,
) -> pd.DataFrame:
    """The rows of `worth_outcomes.rows_of` for all users, those with short histories, and held-out items.

    Raises
    ------
    ConfigError
        For more items than an inverse allows.
    DataError
        If no like can be held out.
    """
    if data.n_items > MAX_ITEMS:
        raise ConfigError(
            f"the quick worth inverts a matrix of {data.n_items} x {data.n_items}, more than {MAX_ITEMS} items "
            "allow; use full=True (--full) with signals that need no such matrix"
        )
    kernels = FactKernels(data)
    names = kernels.relations(MOST_RELATIONS) if relations is None else list(relations)

    def warm(seed: int) -> Task:
        training, held_out = hold_out(data.likes, share, None, seed)
        return _task(training, held_out, None, seed)

    def cold(seed: int) -> Task:
        return _task(*hold_out_items(data.likes, share, seed), seed)

    def _task(
        training: sparse.csr_matrix,
        held_out: sparse.csr_matrix,
        items: npt.NDArray[np.int64] | None,
        seed: int,
    ) -> Task:
        # The same users in every split, so that their means have little noise.
        validation = Validation.of(
            signed(training, dislikes), held_out, union(training, dislikes), k, users, rng, candidates=items
        )
        return Task(data.with_likes(training), validation, seed)

    seeds = [rng + split for split in range(splits)]
    if not hold_out(data.likes, share, None, rng)[1].nnz:
        raise DataError("nobody has the three likes it takes to hold one out: there is nothing to compare on")
    with_cold = int((data.item_degree > 0).sum()) >= LEAST_ITEMS
    # Per split: each regularization once for all variants, and once more for the relations.
    with bar(
        total=splits * (len(REGULARIZATION) + 1) * (1 + with_cold), desc="worth", unit="fit"
    ) as progress:
        comparisons = _compare(data, kernels, warm, seeds, LIKES_ALONE, names, rng, progress.update)
        known = ~np.isnan(comparisons[0].ndcg)
        groups = {ALL: None, SPARSE_USERS: sparse_users(data.user_degree.astype(np.int64), known)}
        rows = [rows_of(comparisons, groups, rng)]
        if with_cold:
            # Likes alone say nothing of an item without any, so the relations' regularization is another's.
            comparisons = _compare(data, kernels, cold, seeds, NO_TEXT, names, rng, progress.update)
            rows.append(rows_of(comparisons, {COLD_ITEMS: None}, rng))
    return pd.concat(rows, ignore_index=True)


def _compare(
    data: SignalData,
    kernels: FactKernels,
    task: Callable[[int], Task],
    seeds: list[int],
    neutral: str,
    relations: list[str],
    rng: int,
    done: Callable[[], object],
) -> list[Comparison]:
    """All variants on tasks of several seeds; relations at the regularization that is best for `neutral`."""
    n_users = data.likes.shape[0]
    trials = Trials(n_users, len(seeds), rng=rng)
    words = text_kernel(data)
    facts = kernels.all() if kernels.relations(1) else None
    for split, seed in enumerate(seeds):
        held_out = task(seed)
        mixed = None if facts is None else kernels.shuffled(seed)
        for regularization in REGULARIZATION:
            form = Form.of(held_out, regularization)
            text = None if words is None else form.push(words)
            own = None if facts is None else form.push(facts)
            random = None if mixed is None else form.push(mixed)
            try_settings(trials, AS_IS, form, split, own, text)
            try_settings(trials, NO_FACTS, form, split, None, text)
            try_settings(trials, RANDOM_LINKS, form, split, random, text)
            try_settings(trials, NO_TEXT, form, split, own)
            try_settings(trials, LIKES_ALONE, form, split)
            try_settings(trials, RANDOM_LINKS_NO_TEXT, form, split, random)
            done()
    chosen = trials.best(neutral)[0]
    for split, seed in enumerate(seeds):
        last = Form.of(task(seed), chosen) if relations else None
        for relation in relations:
            assert last is not None
            alone, others = kernels.split(relation)
            try_settings(trials, ONLY + relation, last, split, last.push(alone))
            try_settings(trials, WITHOUT + relation, last, split, last.push(others))
        done()
    ndcg = {name: trials.per_user(name) for name in trials.variants}
    with_facts, without = trials.per_user(NO_TEXT, chosen), trials.per_user(LIKES_ALONE, chosen)
    found = [
        Comparison(AS_IS, ndcg[AS_IS], ndcg[AS_IS] - ndcg[LIKES_ALONE], AS_IS, LIKES_ALONE),
    ]
    if facts is not None:
        found += [removed(NO_FACTS, ndcg), removed(RANDOM_LINKS, ndcg)]
    if words is not None:
        found.append(removed(NO_TEXT, ndcg))
    if facts is not None and words is not None:
        found += [removed(LIKES_ALONE, ndcg, NO_TEXT), removed(RANDOM_LINKS_NO_TEXT, ndcg, NO_TEXT)]
    for relation in relations:
        name = ONLY + relation
        found.append(Comparison(name, ndcg[name], ndcg[name] - without, name, LIKES_ALONE))
        name = WITHOUT + relation
        found.append(Comparison(name, ndcg[name], with_facts - ndcg[name], NO_TEXT, name))
    return found
