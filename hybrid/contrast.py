"""Why one item stands before another: the difference signal by signal, and the evidence that decides."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd
from scipy import sparse

from kgenre.graph.html import table, wrap

from .attribution import shares
from .data import SignalData
from .phrases import Phrases
from .reasons import Draft, drafts, written
from .state import ModelState
from .wording import Wording

_TOLD = 3


@dataclass(frozen=True, eq=False)
class Contrast:
    """Two items side by side, for one user.

    Attributes
    ----------
    items, names, scores
        Of both, in the order in which they were asked for.
    ledger
        A row a signal: signal, the contributions ``a`` and ``b``, their ``difference``, a less b; the largest first.
    evidence
        A row a reason of either: kind, reason, the contributions ``a`` and ``b``, ``difference``; the largest first.
        In both tables the differences sum to that of the scores.
    """

    items: tuple[str, str]
    names: tuple[str, str]
    scores: tuple[float, float]
    ledger: pd.DataFrame = field(repr=False)
    evidence: pd.DataFrame = field(repr=False)
    language: Phrases = field(repr=False, default_factory=lambda: Phrases.of("en"))

    @property
    def difference(self) -> float:
        """The score of the first less that of the second."""
        return self.scores[0] - self.scores[1]

    @property
    def text(self) -> str:
        """Which is before, and what decides, in words."""
        ahead = 0 if self.difference >= 0 else 1
        say, sign = self.language.say, 1 - 2 * ahead
        first, second = self.names[ahead], self.names[1 - ahead]
        lines = [say("before", one=first, other=second, gap=f"{abs(self.difference):.3f}")]
        for name, side in ((first, sign), (second, -sign)):
            rows = self.evidence[self.evidence["difference"] * side > 0].head(_TOLD)
            if len(rows):
                lines.append("  " + say("for_one", name=name))
            lines += [f"    {abs(row['difference']):.3f}  {row['reason']}" for row in rows.to_dict("records")]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "items": list(self.items),
            "names": list(self.names),
            "scores": list(self.scores),
            "ledger": self.ledger.to_dict("records"),
            "evidence": self.evidence.to_dict("records"),
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return wrap(
            f"<h4>{escape(self.text.split(chr(10))[0])}</h4><p class='kg-note'>a: {escape(self.names[0])}, "
            f"b: {escape(self.names[1])}</p>{table(self.ledger)}{table(self.evidence, most=12)}"
        )


def contrast(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    pair: tuple[int, int],
    data: SignalData,
    language: str | Phrases = "en",
) -> Contrast:
    """Two items (by index) for a history of one row; see `Contrast`."""
    phrases = Phrases.of(language)
    wording = Wording(state.kg, phrases)
    found = [shares(state, history, seen, item, data) for item in pair]
    ledger = pd.DataFrame(
        {
            "signal": [share.signal.name for share in found[0]],
            "a": [share.contribution for share in found[0]],
            "b": [share.contribution for share in found[1]],
        }
    )
    reasons: dict[Hashable, list[Draft | None]] = {}
    for side, item in enumerate(pair):
        for draft in drafts(state.kg, history, item, found[side]):
            reasons.setdefault((draft.kind, draft.place, draft.fact), [None, None])[side] = draft
    rows = []
    for both in reasons.values():
        values = [draft.contribution if draft else 0.0 for draft in both]
        # In the words of the item that it says more of.
        side = max((0, 1), key=lambda one: (both[one] is not None, values[one]))
        stronger = both[side]
        assert stronger is not None
        said = written(state, history, pair[side], stronger, wording, None)
        rows.append((said.kind, said.text, values[0], values[1]))
    evidence = pd.DataFrame(rows, columns=["kind", "reason", "a", "b"])
    for frame in (ledger, evidence):
        frame["difference"] = frame["a"] - frame["b"]
    vocabulary = state.kg.items.vocabulary
    return Contrast(
        items=(vocabulary[pair[0]], vocabulary[pair[1]]),
        names=(wording.item(pair[0]), wording.item(pair[1])),
        scores=(float(ledger["a"].sum()), float(ledger["b"].sum())),
        ledger=_largest_first(ledger),
        evidence=_largest_first(evidence),
        language=phrases,
    )


def _largest_first(frame: pd.DataFrame) -> pd.DataFrame:
    order = frame["difference"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)
