"""What would change a list, for the report: tried, not guessed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from .data import SignalData
from .explanation import Explanation
from .paths import FactPath
from .phrases import Phrases, relation_words
from .state import ModelState
from .what_if import WhatIf, changed, what_if
from .why_not import why_not
from .without import without_relations, without_signals

_NOBODY = np.empty(0, dtype=np.int32)


def what_would_change(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    listed: Sequence[Explanation],
    data: SignalData,
) -> list[str]:
    """A sentence each: the item that just missed the list, and the list without what carries most of it.

    Parameters
    ----------
    state, history, seen
        The model, and one row each, of shape (1, n_items).
    listed
        The explanations of the list's items.
    data
        See `kgenre.hybrid.attribution.explaining_data`.
    """
    if not listed:
        return []
    k, now = len(listed), (state, history, seen)
    sentences = _missed(state, history, seen, k, data)
    strongest = _sum_of([one.history.set_index("item_id")["contribution"] for one in listed])
    if len(strongest) and history.nnz > 1:
        item = state.kg.items.vocabulary.get(str(strongest.index[0]))
        other = changed(history, seen, _NOBODY, np.array([item], dtype=np.int32))
        after = what_if(now, (state, other[0], seen), k)
        sentences.append(f"Without {state.kg.items.name(item)} in the history: {_told(after)}.")
    relations = _sum_of(
        [
            pd.Series(
                {
                    reason.evidence.relation: reason.contribution
                    for reason in one.reasons
                    if isinstance(reason.evidence, FactPath)
                },
                dtype=float,
            )
            for one in listed
        ]
    )
    if len(relations) and relations.iloc[0] > 0:
        relation = str(relations.index[0]).removesuffix("^-1")
        after = what_if(now, (without_relations(state, [relation], data), history, seen), k)
        sentences.append(f"Without the relation \u201c{relation_words(relation)}\u201d: {_told(after)}.")
    signals = _sum_of([one.ledger.set_index("signal")["contribution"] for one in listed])
    if len(signals) and (state.weights > 0).sum() > 1:
        name = str(signals.index[0])
        after = what_if(now, (without_signals(state, [name]), history, seen), k)
        sentences.append(f"Without the signal {name}: {_told(after)}.")
    return sentences


def _missed(
    state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix, k: int, data: SignalData
) -> list[str]:
    scores = state.score(history, seen)[0]
    scores[seen.indices] = np.nan
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    if k >= int(np.isfinite(scores).sum()):
        return []
    found = why_not(state, history, seen, int(order[k]), k, data)
    lines = [line.strip() for line in found.text.split("\n")]
    return [". ".join(line[0].upper() + line[1:] for line in lines) + "."]


def _told(found: WhatIf) -> str:
    names = Phrases.of("en").names
    if not len(found.gone) and found.text == Phrases.of("en").say("what_if_same"):
        return "the same list"
    if not len(found.gone):
        return "the same items in another order"
    came = found.frame[~(found.frame["before"] <= len(found.frame)).fillna(False)]
    gone = found.gone["name"].tolist()
    return f"{names(gone, 3)} would give way to {names(came['name'].tolist(), 3)}"


def _sum_of(parts: Sequence[pd.Series]) -> pd.Series:
    """Series added up by their labels, the largest first."""
    total = pd.concat(list(parts)).groupby(level=0).sum() if parts else pd.Series(dtype=float)
    return total.sort_values(ascending=False, kind="stable")
