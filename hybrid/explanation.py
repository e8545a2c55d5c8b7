"""Why an item is recommended: the ledger of signals, each one's evidence, and reasons that sum to the score."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy import sparse

from kgenre.graph.columns import ITEM_ID, NAME, RELATION
from kgenre.graph.html import table, wrap

from .attribution import Share, explaining_data, shares
from .data import SignalData
from .phrases import Phrases
from .reasons import Draft, Reason, drafts, losses, written
from .ruler import Deed
from .state import ModelState
from .wording import Wording

SHOWN = 8
"""Reasons that a notebook shows."""
_TRIED = 24
"""Reasons that are measured, and may be shown."""
FAINT = 0.1
"""Of the strongest reason: what is less is as good as nothing, and a random other may well cost more."""
WALKS = ("multihop", "facts")
"""Signals whose facts are walks from something liked: each stands in the evidence by itself."""

R = TypeVar("R", Reason, Draft)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an item stands where it stands for a user.

    Attributes
    ----------
    item_id, name
        The item.
    score
        Its score: the sum over the ledger's contributions, over those of the evidence and over those of all reasons.
    ledger
        One row a signal: signal, weight, raw (its own score), value (standardised for the user), contribution.
    evidence
        One row a piece of evidence, the strongest first within its signal: signal, kind, item_id of what was liked,
        relation, entity (its id), name, people, contribution, how. Within a signal the contributions sum to its own.
        Kinds: ``walk``, through a fact from one thing liked; ``fact``, over everything liked; ``history``, what was
        liked itself, and `people` who liked both; ``text``; ``popularity``; ``average``, what the signal gives an
        average unseen item, which is taken off.
        `how` says what the arithmetic rests on: ``exact``, or what it takes as given.
    history
        One row a thing liked: item_id, name, contribution and a column a signal. With what popularity adds these sum
        to the score too; here facts and text count for whom they lead from.
    reasons
        All reasons, the strongest first: the evidence gathered over the signals.
    language
        Of the sentences.
    rules
        Where rules apply, a row a rule in their order: rule, adds (to the score by which the list is made, which starts
        from `score`), before and after (its place in the list without and with the rule; missing where it is not
        listed), does (in words).
    """

    item_id: str
    name: str
    score: float
    ledger: pd.DataFrame
    evidence: pd.DataFrame = field(repr=False)
    history: pd.DataFrame = field(repr=False)
    reasons: tuple[Reason, ...] = field(repr=False)
    language: Phrases = field(repr=False, default_factory=lambda: Phrases.of("en"))
    rules: pd.DataFrame = field(repr=False, default_factory=lambda: ruled([], 0, Phrases.of("en")))

    def best(self, n: int = 3) -> list[Reason]:
        """The `n` strongest reasons that speak for the item: they add to its score, and deleting them lowers it.

        Strongest by the smaller of the two figures, of the 24 that add most; what is less than a tenth of the strongest
        is not shown.
        """
        return shown([(strength(reason, reason.measured), reason) for reason in self.reasons])[:n]

    @property
    def note(self) -> str:
        """Which signals of the ledger are not taken apart; empty where all are."""
        pairs = self.evidence[["signal", "how"]].itertuples(index=False) if len(self.evidence) else ()
        whole = list(dict.fromkeys(name for name, how in pairs if how.startswith("not taken apart")))
        return self.language.say("whole", signals=self.language.names(whole, 4)) if whole else ""

    @property
    def text(self) -> str:
        """The item, its score, the strongest reasons in words, what rules do to it, and what is not taken apart."""
        lines = [self.language.say("score", name=self.name, score=f"{self.score:.3f}")]
        lines += [f"  {reason.contribution:+.3f}  {reason.text}" for reason in self.best()]
        for rule, adds, does in self.rules[["rule", "adds", "does"]].itertuples(index=False):
            said = self.language.say("rule", rule=rule, does=does)
            lines.append(f"  {f'{adds:+.3f}' if adds else '':6}  {said}")
        if self.note:
            lines.append(f"  ({self.note})")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "item_id": self.item_id,
            "name": self.name,
            "score": self.score,
            "ledger": _records(self.ledger),
            "rules": _records(self.rules),
            "reasons": [
                {
                    "kind": reason.kind,
                    "evidence": reason.evidence
                    if isinstance(reason.evidence, str)
                    else {
                        "start": reason.evidence.start,
                        "relation": reason.evidence.relation,
                        "entity": reason.evidence.entity,
                        "end": reason.evidence.end,
                    },
                    "contribution": reason.contribution,
                    "measured": reason.measured,
                    "signals": reason.signals,
                    "text": reason.text,
                }
                for reason in self.reasons
            ],
            "evidence": _records(self.evidence),
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        reasons = pd.DataFrame(
            [
                (f"{one.contribution:+.3f}", f"{-(one.measured or 0.0):+.3f}", one.kind, one.text)
                for one in self.best(SHOWN)
            ],
            columns=["adds", "without it", "kind", "reason"],
        )
        note = f"<p class='kg-note'>{escape(self.note)}</p>" if self.note else ""
        rules = f"<p>What the rules do to it:</p>{table(self.rules)}" if len(self.rules) else ""
        return wrap(
            f"<h4>{escape(self.name)} <small>score {self.score:.3f}</small></h4>{table(reasons)}{rules}"
            f"<details><summary>ledger</summary>{table(self.ledger)}{note}</details>"
            f"<details><summary>evidence of each signal</summary>{table(self.evidence)}</details>"
        )


def ruled(deeds: Sequence[Deed], k: int, phrases: Phrases) -> pd.DataFrame:
    """What rules did to an item in a list of `k`; see `Explanation.rules`."""
    rows = []
    for deed in deeds:
        if deed.barred:
            said = "rule_bars"
        elif deed.after is None:
            said = "rule_unlisted" if deed.before is None else "rule_takes"
        elif deed.before is None:
            said = "rule_brings"
        else:
            said = "rule_stays" if deed.after == deed.before else "rule_moves"
        does = phrases.say(said, before=deed.before, after=deed.after, k=k)
        rows.append((deed.rule, deed.adds, deed.before, deed.after, does))
    frame = pd.DataFrame(rows, columns=["rule", "adds", "before", "after", "does"])
    return frame.astype({"adds": float, "before": "Int64", "after": "Int64"})


def explain(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    item: int,
    *,
    data: SignalData | None = None,
    language: str | Phrases = "en",
) -> Explanation:
    """Explain one item (by index) for a history of one row.

    Parameters
    ----------
    state, history, seen, item
        The model, one row each of shape (1, n_items), and the item.
    data
        See `explaining_data`; None takes it without text vectors.
    language
        ``en``, ``zh`` or phrases of your own.
    """
    phrases = Phrases.of(language)
    data = explaining_data(state) if data is None else data
    kg, wording = state.kg, Wording(state.kg, phrases)
    found = shares(state, history, seen, item, data)
    ledger = pd.DataFrame(
        [(one.signal.name, one.weight, one.raw, one.value, one.contribution) for one in found],
        columns=["signal", "weight", "raw", "value", "contribution"],
    )
    drafted = drafts(kg, history, item, found)
    felt = measured(state, history, seen, item, found, drafted)
    return Explanation(
        item_id=kg.items.vocabulary[item],
        name=wording.item(item) if kg.items.names[item].as_py() else kg.items.name(item),
        score=float(ledger["contribution"].sum()),
        ledger=ledger,
        evidence=_evidence(state, history, item, found, wording),
        history=_by_history(state, history, found, wording),
        reasons=tuple(
            written(state, history, item, draft, wording, felt.get(id(draft))) for draft in drafted
        ),
        language=phrases,
    )


def strongest(
    state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int, data: SignalData
) -> Reason | None:
    """The first of `Explanation.best`, without the rest of the explanation; None where nothing speaks for the item."""
    found = shares(state, history, seen, item, data)
    drafted = drafts(state.kg, history, item, found)
    felt = measured(state, history, seen, item, found, drafted)
    wording = Wording(state.kg, Phrases.of("en"))
    best = max(drafted, key=lambda draft: strength(draft, felt.get(id(draft))), default=None)
    if best is None or strength(best, felt.get(id(best))) <= 0:
        return None
    return written(state, history, item, best, wording, felt[id(best)])


def strength(reason: Reason | Draft, loss: float | None) -> float:
    """How strong a reason is: the smaller of what it adds and of what its deletion costs; 0 where not measured."""
    return 0.0 if loss is None else min(reason.contribution, loss)


def shown(reasons: Iterable[tuple[float, R]]) -> list[R]:
    """Those of the reasons, given with their strengths, that are strong enough to be shown; the strongest first."""
    ranked = sorted(reasons, key=lambda pair: -pair[0])
    least = FAINT * ranked[0][0] if ranked else 0.0
    return [reason for strong, reason in ranked if strong > max(least, 0.0)]


def measured(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    item: int,
    found: list[Share],
    drafted: list[Draft],
) -> dict[int, float]:
    """What deletion costs, by id of the draft, for those that add most to the score."""
    speaking = [draft for draft in drafted if draft.contribution > 0][:_TRIED]
    costs = losses(state, history, seen, item, found, speaking)
    return {id(draft): cost for draft, cost in zip(speaking, costs, strict=True)}


def _by_history(
    state: ModelState, history: sparse.csr_matrix, found: list[Share], wording: Wording
) -> pd.DataFrame:
    ids = state.kg.items.vocabulary.ids[history.indices]
    columns = {one.signal.name: one.history for one in found if len(one.history)}
    frame = pd.DataFrame(columns, index=range(history.nnz), dtype=float)
    frame.insert(0, ITEM_ID, ids)
    frame.insert(1, NAME, [wording.item(int(item)) for item in history.indices])
    frame.insert(2, "contribution", np.sum(list(columns.values()), axis=0) if columns else 0.0)
    return frame.sort_values("contribution", ascending=False, kind="stable", ignore_index=True)


def _evidence(
    state: ModelState, history: sparse.csr_matrix, item: int, found: list[Share], wording: Wording
) -> pd.DataFrame:
    columns = ["signal", "kind", ITEM_ID, RELATION, "entity", NAME, "people", "contribution", "how"]
    parts = [
        sorted(_rows(state, history, item, share, wording), key=lambda row: -abs(row[7]))
        for share in found
        if share.contribution
    ]
    frame = pd.DataFrame([row for part in parts for row in part], columns=columns)
    return frame.astype({"people": "Int64", "contribution": float})


def _rows(
    state: ModelState, history: sparse.csr_matrix, item: int, share: Share, wording: Wording
) -> list[tuple[Any, ...]]:
    kg, name, how = state.kg, share.signal.name, share.split.how
    ids = kg.items.vocabulary
    if not len(share.history):
        return [(name, "popularity", None, None, None, None, wording.liked_by(item), share.contribution, how)]
    rows: list[tuple[Any, ...]] = []
    walks = name in WALKS or share.signal.speaks_of == "facts"
    for column, (relation, node) in enumerate(zip(share.split.relation, share.split.node, strict=True)):
        cells = share.facts[:, column]
        entity, called = wording.id_of(int(node)), wording.entity(int(node))
        if walks:
            for place in np.flatnonzero(cells).tolist():
                start = ids[int(history.indices[place])]
                rows.append((name, "walk", start, relation, entity, called, None, float(cells[place]), how))
        elif cells.any():
            rows.append((name, "fact", None, relation, entity, called, None, float(cells.sum()), how))
    if share.signal.speaks_of == "facts":
        rows.append((name, "average", None, None, None, None, None, float(share.rest.sum()), how))
        return rows
    kind = "text" if share.signal.speaks_of == "text" else "history"
    for place, liked in enumerate(history.indices):
        start, called = ids[int(liked)], wording.item(int(liked))
        people = wording.both_liked(int(liked), item) if kind == "history" else None
        for what, value in ((kind, share.rest[place]), ("text", share.text[place])):
            if value:
                rows.append(
                    (
                        name,
                        what,
                        start,
                        None,
                        None,
                        called,
                        people if what == "history" else None,
                        float(value),
                        how,
                    )
                )
    return rows


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
