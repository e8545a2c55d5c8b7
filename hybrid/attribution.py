"""Whose the score is: each signal's part in it, taken apart into history items, facts and text.

A signal's value is its score less the mean over the items that the user has not seen, over their deviation. So a
history item adds what it brings to this item less what it brings to an average one. What a fact or the item's text
brings (see `Signal.split`) is taken out of that, and what is left is said of the history item itself. Everything sums
to the score, by construction.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph

from .data import SignalData, same_facts
from .signals import Signal
from .signals.split import Split
from .state import ModelState

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Share:
    """One signal's part in one item's score.

    Attributes
    ----------
    signal
        The signal.
    weight, raw, value, contribution
        Its row of the ledger.
    scale
        What one unit of the signal's own score adds to the sum.
    history
        float64 of shape (history.nnz,): what each history item adds, facts and text included; it sums to the
        contribution. Shape (0,) where the signal does not look at the history.
    facts
        float64 of shape (history.nnz, n_facts): what facts add, by history item.
    text
        float64 of shape (history.nnz,): what the item's text adds.
    split
        Which facts they are, and how exact that is.
    """

    signal: Signal
    weight: float
    raw: float
    value: float
    contribution: float
    scale: float
    history: Float
    facts: Float
    text: Float
    split: Split

    @property
    def rest(self) -> Float:
        """What is left for the history items themselves, float64 of shape (history.nnz,)."""
        return np.asarray(self.history - self.facts.sum(axis=1) - self.text)


def shares(
    state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int, data: SignalData
) -> list[Share]:
    """Each signal's part in an item's score, in the order of the ledger.

    Parameters
    ----------
    state
        The model.
    history, seen
        One row each, of shape (1, n_items).
    item
        The item, by index.
    data
        See `explaining_data`.
    """
    weights = state.weights_for(history, state.is_cold(item))[0]
    blend = state.config.fusion.method == "blend"
    found = []
    for signal, weight in zip(state.signals, weights, strict=True):
        raw = float(signal.score(history)[0, item])
        standardised = state.values(signal, history, seen)
        value = float(standardised.values[0, item])
        contribution = float(weight * value) if np.isfinite(value) else 0.0
        scale = float(weight / standardised.deviation[0])
        parts = _centred(signal, history, seen, item, blend) * scale if contribution else np.empty(0)
        split = Split.nothing(len(parts))
        if len(parts):
            # Rounding of the signal's own float32 sum is spread, so that the parts sum to the ledger's last digit.
            parts += (contribution - parts.sum()) / len(parts)
            split = signal.split(history, item, data)
        found.append(
            Share(
                signal,
                float(weight),
                raw,
                value,
                contribution,
                scale,
                parts,
                split.facts * scale,
                split.text * scale,
                split,
            )
        )
    return found


def contributions(state: ModelState, history: sparse.csr_matrix, seen: sparse.csr_matrix) -> Float:
    """What each signal adds to each item's score for a history of one row: float64 of shape (n_signals, n_items)."""
    weights = np.repeat(state.weights_for(history)[0][:, None], state.kg.n_items, axis=1)
    if state.cold is not None:
        weights[:, state.cold] = state.weights_for(history, cold=True)[0][:, None]
    values = [state.values(signal, history, seen).values[0] for signal in state.signals]
    return np.asarray(weights * np.nan_to_num(np.array(values, dtype=np.float64)))


def _centred(
    signal: Signal, history: sparse.csr_matrix, seen: sparse.csr_matrix, item: int, blend: bool
) -> Float:
    """Each history item's part in the signal's score, less its part in the mean over unseen items."""
    rows = signal.rows(history)
    if not len(rows):
        return np.empty(0)
    own = rows[:, item].astype(np.float64)
    if blend:
        return own
    counted = ~np.isnan(rows[0])
    counted[seen.indices] = False
    return np.asarray(own - rows[:, counted].sum(axis=1, dtype=np.float64) / max(int(counted.sum()), 1))


@dataclass(frozen=True, eq=False)
class Explained:
    """What explanations stand on, and of which state: the next state takes over what a change left as it was.

    Attributes
    ----------
    kg
        The graph.
    data
        Its facts and likes, and its items' text vectors.
    encoder
        What made the vectors, or None without any.
    """

    kg: KnowledgeGraph
    data: SignalData
    encoder: TextEncoder | None


def explaining_data(state: ModelState, encoder: TextEncoder | None = None) -> SignalData:
    """See `explained`."""
    return explained(state, encoder).data


def explained(
    state: ModelState, encoder: TextEncoder | None = None, before: Explained | None = None
) -> Explained:
    """The graph's facts and likes, and with an encoder its items' text vectors; kept with the graph.

    Without an encoder the part that text has in tables is not told from the rest. With `before` only that is made anew
    which a change since then has touched: after a like nothing that was computed from texts, facts or learned likes.
    """
    kg, key = state.kg, f"explaining {encoder is not None}"
    learned = state.drift.tables.matrix
    kept: Explained | None = kg._cache.get(key)
    if kept is not None and kept.data.as_learned.likes is learned:
        return kept
    before = kept or before
    same_items = before is not None and before.kg.items is kg.items and before.encoder is encoder
    if before is not None and same_items:
        vectors = before.data.item_text
    else:
        texts = [text_of(kg, item) for item in range(kg.n_items)] if encoder is not None else []
        vectors = encoder.encode(texts) if encoder is not None and any(texts) else None
    data = SignalData.from_graph(kg, vectors)
    if learned is not kg.likes:
        data = data.having_learned(learned)
    if before is not None and same_items:
        data.take_over(before.data)
        _carry(before.kg, kg)
    kg._cache[key] = kept = Explained(kg, data, encoder)
    return kept


def _carry(before: KnowledgeGraph, kg: KnowledgeGraph) -> None:
    """What was counted for wordings of the same items, and of the same facts."""
    same = same_facts(before.item_facts(), kg.item_facts())
    for key, value in before._cache.items():
        if key == "word frequency" or (same and key.startswith("holders ")):
            kg._cache.setdefault(key, value)


def text_of(kg: KnowledgeGraph, item: int) -> str | None:
    """What is encoded of an item: its text, or its name where it has none."""
    text = kg.items.texts[item].as_py() or kg.items.names[item].as_py()
    return None if text is None else str(text)
