"""Why an item is not in a list, and what would bring it there: measured, not guessed."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph.columns import ITEM_ID, NAME, RANK, RELATION, SCORE
from kgenre.graph.html import table, wrap

from .attribution import contributions, shares
from .data import SignalData
from .metrics import mask
from .phrases import Phrases
from .reasons import holders
from .state import ModelState, single_history
from .wording import Wording

NEAREST = 100
"""Items nearest to the one in question that are tried as likes."""
TASTES = 60
"""Facts of what was liked that are tried on it."""
NAMED = 5
"""Likes and facts that are told."""


@dataclass(frozen=True, eq=False)
class WhyNot:
    """Where an item stands for a user, and what it lacks.

    Attributes
    ----------
    item_id, name
        The item.
    k
        Length of the list that it is compared with.
    rank
        Its place among what may be listed, from 1; None where it may not be (see `note`).
    score, threshold
        Its score and that of the list's last item, NaN where no signal says anything.
    signals
        A row a signal, the most lacking first: signal, contribution to the item's score, ``listed`` (its mean over the
        list) and ``lacks``, the difference. The sum of lacks is the gap to the list's mean.
    likes
        Single items that would lift it most if the user liked them: item_id, name, rank and score that it would have.
        Each was added to the history and everything scored again.
    facts
        Facts that it does not have and the user's taste pays for: relation, entity, name, ``adds`` (what it would gain)
        and the rank that it would have. Measured on the item alone: the scores of others stay.
    note
        Why it may not be listed, or empty.
    """

    item_id: str
    name: str
    k: int
    rank: int | None
    score: float
    threshold: float
    signals: pd.DataFrame = field(repr=False)
    likes: pd.DataFrame = field(repr=False)
    facts: pd.DataFrame = field(repr=False)
    note: str = ""
    language: Phrases = field(repr=False, default_factory=lambda: Phrases.of("en"))

    @property
    def gap(self) -> float:
        """What its score lacks to the list's last one; below 0 where it is in the list."""
        return self.threshold - self.score

    @property
    def text(self) -> str:
        """The answer in words."""
        say = self.language.say
        if self.note:
            return say("not_listed", name=self.name, why=self.note)
        if self.rank is None:
            return say("unknown", name=self.name)
        if self.rank <= self.k:
            return say("listed", name=self.name, rank=self.rank, k=self.k)
        lines = [say("not_in_list", name=self.name, rank=self.rank, gap=f"{self.gap:.3f}", k=self.k)]
        worst = self.signals[self.signals["lacks"] > 0].head(3)
        lacking = self.language.sentences["comma"].join(
            f"{row.signal} ({row.lacks:.2f})" for row in worst.itertuples()
        )
        if lacking:
            lines.append("  " + say("lacks", signals=lacking))
        for row in self.likes.head(1).to_dict("records"):
            sentence = "like_brings" if row[RANK] <= self.k else "like_lifts"
            lines.append("  " + say(sentence, name=row[NAME], rank=row[RANK]))
        for row in self.facts.head(2).to_dict("records"):
            fact = self.language.fact(row[RELATION], row[NAME])
            lines.append("  " + say("fact_lifts", fact=fact, adds=f"{row['adds']:.2f}", rank=row[RANK]))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "item_id": self.item_id,
            "name": self.name,
            "k": self.k,
            "rank": self.rank,
            "score": None if np.isnan(self.score) else self.score,
            "threshold": None if np.isnan(self.threshold) else self.threshold,
            "signals": self.signals.to_dict("records"),
            "likes": self.likes.to_dict("records"),
            "facts": self.facts.to_dict("records"),
            "note": self.note,
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        first, *others = self.text.split("\n")
        lines = "".join(f"<li>{escape(line.strip())}</li>" for line in others)
        return wrap(
            f"<h4>{escape(first)}</h4><ul>{lines}</ul><details><summary>signals</summary>{table(self.signals)}</details>"
            f"<details><summary>likes that would lift it</summary>{table(self.likes)}</details>"
            f"<details><summary>facts that would lift it</summary>{table(self.facts)}</details>"
        )


def why_not(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    item: int,
    k: int,
    data: SignalData,
    language: str | Phrases = "en",
) -> WhyNot:
    """Why one item (by index) is not among the best `k` for a history of one row; see `WhyNot`."""
    phrases = Phrases.of(language)
    kg, wording = state.kg, Wording(state.kg, phrases)
    scores = state.score(history, seen)[0]
    open_ = mask(scores[None].copy(), seen)[0]
    open_[np.isnan(open_)] = -np.inf
    may = seen[0, item] == 0
    known = bool(np.isfinite(scores[item]))
    order = np.argsort(-open_, kind="stable")
    listed = order[np.isfinite(open_[order])][:k]
    threshold = float(scores[listed[-1]]) if len(listed) else float("nan")
    rank = int(np.flatnonzero(order == item)[0]) + 1 if may and known else None
    parts = contributions(state, history, seen)
    signals = pd.DataFrame({"signal": state.names, "contribution": parts[:, item]})
    signals["listed"] = parts[:, listed].mean(axis=1) if len(listed) else 0.0
    signals["lacks"] = signals["listed"] - signals["contribution"]
    note = ""
    if not may:
        opinion = history[0, item]
        note = phrases.say("seen_disliked" if opinion < 0 else "seen_liked" if opinion > 0 else "seen_only")
    return WhyNot(
        item_id=kg.items.vocabulary[item],
        name=wording.item(item),
        k=k,
        rank=rank,
        score=float(scores[item]),
        threshold=threshold,
        signals=signals.sort_values("lacks", ascending=False, kind="stable", ignore_index=True),
        likes=_likes(state, history, seen, item, wording),
        facts=_facts(state, history, seen, item, data, open_, wording),
        note=note,
        language=phrases,
    )


def _likes(
    state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int, wording: Wording
) -> pd.DataFrame:
    columns = [ITEM_ID, NAME, RANK, SCORE]
    alone = single_history(state.kg.n_items, [item])
    near = np.nan_to_num(state.score(alone, alone)[0], nan=-np.inf)
    near[item] = -np.inf
    near[history.indices] = -np.inf
    tried = np.argsort(-near, kind="stable")[:NEAREST]
    tried = tried[np.isfinite(near[tried])]
    if not len(tried):
        return pd.DataFrame(columns=columns)
    added = sparse.csr_matrix(
        (np.ones(len(tried), np.float32), (np.arange(len(tried)), tried)),
        shape=(len(tried), state.kg.n_items),
    )
    histories = with_likes(history, added)
    kept = with_likes(seen, added)
    kept.data[:] = 1.0
    kept.data[kept.indices == item] = 0.0
    kept.eliminate_zeros()
    scores = state.score(histories, kept)
    own = scores[:, item]
    ranks = _ranks(mask(scores.copy(), kept), own)
    best = np.lexsort((-own, ranks))[:NAMED]
    ids = state.kg.items.vocabulary
    rows = [
        (ids[int(tried[row])], wording.item(int(tried[row])), int(ranks[row]), float(own[row]))
        for row in best
        if np.isfinite(own[row])
    ]
    return pd.DataFrame(rows, columns=columns)


def with_likes(matrix: sparse.csr_matrix, added: sparse.csr_matrix) -> sparse.csr_matrix:
    """One row, repeated, with an entry more in each: of the shape of `added`, whose entries prevail."""
    repeated = sparse.csr_matrix(sparse.vstack([matrix] * added.shape[0]))
    both = sparse.csr_matrix(repeated - repeated.multiply(added) + added, dtype=np.float32)
    both.eliminate_zeros()
    both.sort_indices()
    return both


def _ranks(open_: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.asarray((np.nan_to_num(open_, nan=-np.inf) > own[:, None]).sum(axis=1) + 1)


def _facts(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    item: int,
    data: SignalData,
    open_: npt.NDArray[np.float64],
    wording: Wording,
) -> pd.DataFrame:
    kg = state.kg
    liked = history.indices[history.data > 0]
    parts = [
        (share.scale, share.split if share.contribution else share.signal.split(history, item, data))
        for share in shares(state, history, seen, item, data)
        if share.weight
    ]
    rows: list[tuple[Any, ...]] = []
    own = float(open_[item]) if np.isfinite(open_[item]) else 0.0
    for relation, node in _tastes(state, liked, item):
        if not wording.is_named(node) or holders(kg, (relation, node))[item]:
            continue
        adds = sum(scale * split.gain(relation, node) for scale, split in parts)
        if adds > 0:
            rank = int((np.delete(open_, item) > own + adds).sum()) + 1
            rows.append((relation, wording.id_of(node), wording.entity(node), float(adds), rank))
    rows.sort(key=lambda row: -row[3])
    return pd.DataFrame(rows[:NAMED], columns=[RELATION, "entity", NAME, "adds", RANK])


def _tastes(state: ModelState, liked: npt.NDArray[Any], item: int) -> list[tuple[str, int]]:
    """Facts of what was liked, those that stand out most first: liked more often, held by fewer."""
    found: list[tuple[float, str, int]] = []
    kg = state.kg
    for relation, matrix in kg.item_facts().items():
        times = np.bincount(matrix[liked].indices, minlength=kg.n_nodes)
        degree = np.bincount(matrix.indices, minlength=kg.n_nodes)
        nodes = np.flatnonzero((times > 0) & (degree > 1))
        weight = times[nodes] * np.log(kg.n_items / degree[nodes])
        found += [(-float(value), relation, int(node)) for value, node in zip(weight, nodes, strict=True)]
    return [(relation, node) for _, relation, node in sorted(found)[:TASTES]]
