"""Why an item is recommended: the ledger of signals, and reasons that sum to the score."""

from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from .paths import FactPath, shared_facts
from .signals import Signal
from .state import ModelState


@dataclass(frozen=True)
class Reason:
    """One piece of evidence.

    Attributes
    ----------
    kind
        ``path``: something liked that facts connect to the item; ``history``: something liked, by the taste of others;
        ``text``: something liked, by the likeness of the texts; ``popularity``.
    evidence
        For ``path`` the path, for ``history`` and ``text`` the liked item's id, for ``popularity`` the item's own id.
    contribution
        What it adds to the score; over all reasons these sum to the score.
    text
        The reason in words.
    """

    kind: Literal["path", "history", "text", "popularity"]
    evidence: str | FactPath
    contribution: float
    text: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an item stands where it stands for a user.

    Attributes
    ----------
    item_id, name
        The item.
    score
        Its score: the sum over the ledger's contributions, and over those of all reasons.
    ledger
        One row a signal: signal, weight, raw (its own score), value (standardised for the user), contribution.
    reasons
        All reasons, the strongest first.
    """

    item_id: str
    name: str
    score: float
    ledger: pd.DataFrame
    reasons: tuple[Reason, ...] = field(repr=False)

    def best(self, n: int = 3) -> list[Reason]:
        """The `n` strongest reasons that speak for the item."""
        return [reason for reason in self.reasons if reason.contribution > 0][:n]

    @property
    def text(self) -> str:
        """The item, its score and the strongest reasons in words."""
        lines = [f"{self.name}: score {self.score:.3f}"]
        lines += [f"  {reason.contribution:+.3f}  {reason.text}" for reason in self.best()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "item_id": self.item_id,
            "name": self.name,
            "score": self.score,
            "ledger": [
                {
                    str(key): None if isinstance(value, float) and np.isnan(value) else value
                    for key, value in row.items()
                }
                for row in self.ledger.to_dict("records")
            ],
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
                    "text": reason.text,
                }
                for reason in self.reasons
            ],
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        reasons = "".join(
            f"<tr><td>{reason.contribution:+.3f}</td><td>{escape(reason.kind)}</td><td>{escape(reason.text)}</td></tr>"
            for reason in self.best(8)
        )
        ledger = self.ledger.to_html(index=False, float_format="{:.3f}".format, escape=True, border=0)
        return (
            f"<h4>{escape(self.name)} <small>score {self.score:.3f}</small></h4>"
            f"<table><thead><tr><th>adds</th><th>kind</th><th>reason</th></tr></thead><tbody>{reasons}</tbody></table>"
            f"<details><summary>ledger</summary>{ledger}</details>"
        )


def explain(state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int) -> Explanation:
    """Explain one item (by index) for a history of one row."""
    weights = state.weights_for(history, state.is_cold(item))[0]
    rows: list[dict[str, Any]] = []
    by_taste = np.zeros(history.nnz)
    by_text = np.zeros(history.nnz)
    popularity = 0.0
    for signal, weight in zip(state.signals, weights, strict=True):
        scores = signal.score(history)
        standardised = state.values(signal, history, seen)
        value = float(standardised.values[0, item])
        contribution = float(weight * value) if np.isfinite(value) else 0.0
        rows.append(
            {
                "signal": signal.name,
                "weight": float(weight),
                "raw": float(scores[0, item]),
                "value": value,
                "contribution": contribution,
            }
        )
        if not contribution:
            continue
        parts = _parts(signal, history, seen, item, state.config.fusion.method == "blend")
        if not len(parts):
            popularity += contribution
            continue
        parts = parts * (weight / float(standardised.deviation[0]))
        # Rounding of the signal's own float32 sum is spread, so that the reasons sum to the ledger to the last digit.
        parts += (contribution - parts.sum()) / len(parts)
        if signal.name in ("text", "similarity") or signal.for_unseen:
            by_text += parts
        else:
            by_taste += parts
    ledger = pd.DataFrame(rows)
    reasons = _reasons(state, history, item, by_taste, by_text, popularity)
    return Explanation(
        item_id=state.kg.items.vocabulary[item],
        name=state.kg.items.name(item),
        score=float(ledger["contribution"].sum()),
        ledger=ledger,
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.contribution)),
    )


def _parts(
    signal: Signal, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int, raw: bool
) -> npt.NDArray[np.float64]:
    """Each history item's part in the signal's score, less its part in the mean over unseen items."""
    rows = signal.rows(history)
    if not len(rows):
        return np.empty(0)
    own = rows[:, item].astype(np.float64)
    if raw:
        return own
    counted = ~np.isnan(rows[0])
    counted[seen.indices] = False
    return np.asarray(own - rows[:, counted].sum(axis=1, dtype=np.float64) / max(int(counted.sum()), 1))


def _reasons(
    state: ModelState,
    history: sparse.csr_matrix,
    item: int,
    by_taste: npt.NDArray[np.float64],
    by_text: npt.NDArray[np.float64],
    popularity: float,
) -> list[Reason]:
    kg = state.kg
    reasons: list[Reason] = []
    for position, (liked, weight) in enumerate(zip(history.indices, history.data, strict=True)):
        name = kg.items.name(int(liked))
        liked_id = kg.items.vocabulary[int(liked)]
        did = "you liked" if weight > 0 else "you disliked"
        if by_taste[position]:
            contribution = float(by_taste[position])
            paths = shared_facts(kg, int(liked), item, most=1)
            if liked == item:
                reasons.append(Reason("history", liked_id, contribution, f"{did} it already"))
            elif paths:
                reasons.append(Reason("path", paths[0], contribution, f"{did} {name}; {paths[0].text}"))
            else:
                words = f"{did} {name}; those who like it tend to like this too"
                reasons.append(Reason("history", liked_id, contribution, words))
        if by_text[position]:
            words = f"{did} {name}; its description is close to this one's"
            if state.is_cold(item):
                words = f"{did} {name}; those who like it tend to like what is described as this is"
            reasons.append(Reason("text", liked_id, float(by_text[position]), words))
    if popularity:
        share = float(kg.likes[:, item].nnz) / max(kg.n_users, 1)
        own_id = kg.items.vocabulary[item]
        reasons.append(Reason("popularity", own_id, popularity, f"liked by {share:.0%} of all users"))
    return reasons
