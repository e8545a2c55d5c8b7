"""What the graph is worth to the whole fusion: it is fitted on every variant of the graph."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError
from kgenre.graph.progress import bar

from .cold import LEAST_ITEMS, hold_out_items
from .config import HybridConfig
from .fitting import fit
from .metrics import hits_of, mask, ndcg, top_k
from .ranking import block_of
from .signals import SIGNALS
from .split import hold_out, without_likes
from .state import ModelState, signed, union
from .worth_forms import mean_over_splits
from .worth_outcomes import (
    ALL,
    AS_IS,
    COLD_ITEMS,
    NO_FACTS,
    NO_TEXT,
    RANDOM_LINKS,
    SPARSE_USERS,
    WITHOUT,
    PerUser,
    removed,
    rows_of,
    sparse_users,
)


def refit_rows(
    kg: KnowledgeGraph,
    config: HybridConfig,
    encoder: TextEncoder,
    *,
    relations: Sequence[str],
    splits: int,
    users: int,
) -> pd.DataFrame:
    """The rows of `worth_outcomes.rows_of`; one fit a variant and split serves all groups.

    Of every user's likes a share is held out to tune on and another to judge by, and a share of the items with all
    their likes. Signals choose their settings anew, also those that `config` gives.
    """
    config = untuned(config)
    variants: dict[str, Callable[[KnowledgeGraph, int], KnowledgeGraph]] = {
        AS_IS: lambda graph, _: graph,
        NO_FACTS: lambda graph, _: replace(graph, facts=()),
        RANDOM_LINKS: shuffled_links,
        NO_TEXT: lambda graph, _: without_text(graph),
    }
    if not kg.facts:
        del variants[NO_FACTS], variants[RANDOM_LINKS]
    if not _has_text(kg):
        del variants[NO_TEXT]
    variants |= {WITHOUT + relation: _without(relation) for relation in relations}
    warm = {name: np.full((splits, kg.n_users), np.nan) for name in variants}
    cold = {name: np.full((splits, kg.n_users), np.nan) for name in variants}
    with bar(total=splits * len(variants), desc="worth", unit="fit") as progress:
        for split in range(splits):
            task = _Split.of(kg, config, users, config.seed + split)
            for name, change in variants.items():
                graph = change(task.graph, config.seed + split)
                state = fit(graph, config, task.tuning, encoder)
                warm[name][split], cold[name][split] = task.judge(state)
                progress.update()
    found = {name: mean_over_splits(values) for name, values in warm.items()}
    lengths = np.diff(kg.likes.indptr).astype(np.int64)
    groups = {ALL: None, SPARSE_USERS: sparse_users(lengths, ~np.isnan(found[AS_IS]))}
    rows = [rows_of([removed(name, found) for name in variants], groups, config.seed)]
    found = {name: mean_over_splits(values) for name, values in cold.items()}
    rows.append(rows_of([removed(name, found) for name in variants], {COLD_ITEMS: None}, config.seed))
    return pd.concat(rows, ignore_index=True)


def untuned(config: HybridConfig) -> HybridConfig:
    """A configuration that leaves to validation what can be left to it."""
    values = config.model_dump(exclude_unset=True)
    for name, signal in SIGNALS.items():
        for setting in signal.search:
            values.get(name, {}).pop(setting, None)
    return HybridConfig.from_dict(values)


def shuffled_links(kg: KnowledgeGraph, rng: int) -> KnowledgeGraph:
    """The graph after the items that have facts have swapped them at random."""
    items = np.arange(kg.n_users, kg.n_users + kg.n_items)
    linked = np.zeros(kg.n_nodes, dtype=bool)
    for triples in kg.facts:
        linked[triples.head] = linked[triples.tail] = True
    own = items[linked[items]]
    place = np.arange(kg.n_nodes, dtype=np.int32)
    place[own] = np.random.default_rng(rng).permutation(own)
    return replace(
        kg, facts=tuple(replace(part, head=place[part.head], tail=place[part.tail]) for part in kg.facts)
    )


def without_text(kg: KnowledgeGraph) -> KnowledgeGraph:
    """The graph without texts and names, which stand in for texts."""
    tables = []
    for table in kg.tables:
        nothing = pa.nulls(len(table), pa.string())
        tables.append(replace(table, names=nothing, texts=nothing))
    return replace(kg, tables=tuple(tables))


def _has_text(kg: KnowledgeGraph) -> bool:
    columns = [column for table in kg.tables[1:] for column in (table.names, table.texts)]
    return any(column.null_count < len(column) for column in columns)


def _without(relation: str) -> Callable[[KnowledgeGraph, int], KnowledgeGraph]:
    return lambda kg, _: replace(kg, facts=tuple(part for part in kg.facts if part.relation != relation))


class _Split:
    """A graph with likes held out, and the judge."""

    def __init__(
        self,
        graph: KnowledgeGraph,
        tuning: sparse.csr_matrix,
        judged: sparse.csr_matrix,
        unseen: sparse.csr_matrix,
        items: npt.NDArray[np.int64],
        users: npt.NDArray[np.int64],
        k: int,
    ) -> None:
        self.graph, self.tuning = graph, tuning
        self._judged, self._unseen, self._items, self._users, self._k = judged, unseen, items, users, k

    @classmethod
    def of(cls, kg: KnowledgeGraph, config: HybridConfig, most: int, seed: int) -> "_Split":
        share = config.validation.share
        likes, unseen = kg.likes, sparse.csr_matrix(0 * kg.likes)
        items = np.empty(0, dtype=np.int64)
        if len(np.unique(likes.indices)) >= LEAST_ITEMS:
            likes, unseen, items = hold_out_items(likes, share, seed)
        rest, judged = hold_out(likes, share, None, seed)
        training, tuning = hold_out(rest, share, None, seed)
        if not judged.nnz or not tuning.nnz:
            raise DataError("too few have the likes it takes to hold two out: there is nothing to compare on")
        users = np.arange(kg.n_users)
        if kg.n_users > most:
            # The same users in every split.
            users = np.sort(np.random.default_rng(config.seed).choice(users, most, replace=False))
        graph = without_likes(kg, sparse.csr_matrix(kg.likes - training))
        return cls(graph, tuning, judged, unseen, items, users, config.validation.k)

    def judge(self, state: ModelState) -> tuple[PerUser, PerUser]:
        """The ndcg of each user on liked items, and among held-out items; NaN where there is nothing to find."""
        n_users, n_items = self._judged.shape
        warm, cold = np.full(n_users, np.nan), np.full(n_users, np.nan)
        # Ties are chance, not item order.
        order = np.random.default_rng(0).permutation(n_items)
        among = self._items[np.random.default_rng(0).permutation(len(self._items))]
        histories = signed(self.graph.likes, self.graph.dislikes)
        seen = union(self.graph.seen, self.tuning)
        block = block_of(self.graph.n_items)
        for start in range(0, len(self._users), block):
            users = self._users[start : start + block]
            scores = mask(state.score(histories[users], seen[users]), seen[users])
            if len(among):
                cold[users] = _ndcg(scores[:, among], self._unseen[users][:, among], self._k)
                scores[:, self._items] = -np.inf
            warm[users] = _ndcg(scores[:, order], self._judged[users][:, order], self._k)
        return warm, cold


def _ndcg(scores: npt.NDArray[np.float64], relevant: sparse.csr_matrix, k: int) -> PerUser:
    counts = np.diff(relevant.indptr).astype(np.int64)
    hits = hits_of(top_k(scores, k), sparse.csr_matrix(relevant))
    values: PerUser = np.where(counts > 0, ndcg(hits, counts), np.nan)
    return values
