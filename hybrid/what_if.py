"""What the list would be after a change that nobody makes: nothing is stored."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph.columns import ITEM_ID, NAME, RANK, SCORE
from kgenre.graph.html import table, wrap

from .metrics import mask
from .phrases import Phrases
from .state import ModelState
from .wording import Wording


@dataclass(frozen=True, eq=False)
class WhatIf:
    """A list as it would be, beside the one that is.

    Attributes
    ----------
    frame
        The new list: rank, item_id, name, score, ``before`` (the place it has now, missing where it has none) and
        ``move`` (places gained).
    gone
        What would leave the list: ``before``, item_id, name and the rank that it would have (missing where none).
    """

    frame: pd.DataFrame
    gone: pd.DataFrame = field(repr=False)
    language: Phrases = field(repr=False, default_factory=lambda: Phrases.of("en"))

    @property
    def text(self) -> str:
        """What would come, go and move, in words."""
        say, k = self.language.say, len(self.frame)
        came = self.frame[self.frame["before"].isna() | (self.frame["before"] > k)]
        moved = int(
            (self.frame["move"].fillna(0) != 0).sum() - (self.frame["before"] > k).fillna(False).sum()
        )
        if not len(came) and not moved:
            return say("what_if_same")
        lines = [say("what_if", came=len(came), k=k, moved=moved)]
        for sentence, frame in (("came", came), ("left", self.gone)):
            if len(frame):
                lines.append("  " + say(sentence, names=self.language.names(frame[NAME].tolist(), 5)))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"list": _records(self.frame), "gone": _records(self.gone), "text": self.text}

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        gone = table(self.gone) if len(self.gone) else ""
        return wrap(f"<p>{escape(self.text.split(chr(10))[0])}</p>{table(self.frame)}{gone}")


def what_if(
    before: tuple[ModelState, sparse.csr_matrix, sparse.csr_matrix],
    after: tuple[ModelState, sparse.csr_matrix, sparse.csr_matrix],
    k: int,
    language: str | Phrases = "en",
) -> WhatIf:
    """Compare the best `k` of two states, each with a history and what was seen, of one row."""
    phrases = Phrases.of(language)
    wording = Wording(before[0].kg, phrases)
    (old, _), (new, scores) = (_places(*side) for side in (before, after))
    listed = np.flatnonzero((new > 0) & (new <= k))
    listed = listed[np.argsort(new[listed])]
    ids = before[0].kg.items.vocabulary.ids
    frame = pd.DataFrame(
        {
            RANK: new[listed],
            ITEM_ID: ids[listed],
            NAME: [wording.item(int(item)) for item in listed],
            SCORE: scores[listed],
            "before": pd.array(np.where(old[listed] > 0, old[listed], -1), dtype="Int64"),
        }
    )
    frame["before"] = frame["before"].mask(frame["before"] < 0)
    frame["move"] = frame["before"] - frame[RANK]
    left = np.flatnonzero((old > 0) & (old <= k) & ~((new > 0) & (new <= k)))
    left = left[np.argsort(old[left])]
    gone = pd.DataFrame(
        {
            "before": old[left],
            ITEM_ID: ids[left],
            NAME: [wording.item(int(item)) for item in left],
            RANK: pd.array(new[left], dtype="Int64"),
        }
    )
    gone[RANK] = gone[RANK].mask(gone[RANK] == 0)
    return WhatIf(frame, gone, phrases)


def _places(
    state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Place of each item, from 1; 0 where it may not be listed. And the scores."""
    scores = state.score(history, seen)
    open_ = mask(scores.copy(), seen)[0]
    open_[np.isnan(open_)] = -np.inf
    order = np.argsort(-open_, kind="stable")
    places = np.zeros(len(order), dtype=np.int64)
    places[order] = np.arange(1, len(order) + 1)
    places[~np.isfinite(open_)] = 0
    return places, scores[0]


def changed(
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    add: npt.NDArray[np.int32],
    remove: npt.NDArray[np.int32],
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """A history of one row, and what was seen, with some likes more and some entries less."""
    row = sparse.lil_matrix(history)
    known = sparse.lil_matrix(seen)
    row[0, remove] = 0.0
    known[0, remove] = 0.0
    row[0, add] = 1.0
    known[0, add] = 1.0
    parts = []
    for matrix in (row, known):
        part = sparse.csr_matrix(matrix, dtype=np.float32)
        part.eliminate_zeros()
        part.sort_indices()
        parts.append(part)
    return parts[0], parts[1]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
