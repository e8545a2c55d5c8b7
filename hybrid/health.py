"""How old what was learned is, in numbers; and bringing it up to date, beside the state that answers meanwhile."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from kgenre.encoders import TextEncoder

from .config import RefitConfig
from .data import SignalData
from .signals import Signal, TextCosine
from .state import Drift, Likes, ModelState, squared_norm
from .texts import text_vectors


def health(state: ModelState) -> pd.DataFrame:
    """What each signal has learned and how much has happened since.

    Returns
    -------
    pandas.DataFrame
        One row a signal: ``signal``, ``learns`` (``nothing``: exact at every moment; ``table``: exact again after
        `absorb`; ``weights``: after `refit`), ``events`` that counted since, ``changed_likes``: the share of likes
        that have come or gone since, ``gram_change``: ``||G now - G then|| / ||G then||`` (Frobenius) of the Gram
        matrix of likes that a table was computed from, exact, ``new_items`` since the fit and ``forgotten`` users
        whose trace is left.

    Notes
    -----
    Of a linear table, `gram_change` is to first order an upper bound on what a score of a unit history can be off,
    relative to the scale of the table: for ``P = (G + L)^-1`` it is ``|dP| <= |P| |dG| |P|``. Of trained weights no
    bound is known; the share of changed likes is a measure, no bound.
    """
    drift = state.drift
    rows = []
    for signal in state.signals:
        row: dict[str, Any] = {"signal": signal.name, "learns": signal.learns}
        if signal.learns == "nothing":
            row |= {"events": 0, "changed_likes": 0.0, "gram_change": 0.0, "new_items": 0, "forgotten": 0}
        else:
            table = signal.learns == "table"
            likes = drift.tables if table else drift.weights
            fresh = drift.new_to_tables if table else drift.new_to_weights
            row |= {
                "events": drift.n_events - (drift.absorbed if table else 0),
                "changed_likes": changed_share(state, likes),
                "gram_change": gram_change(state, likes) if table else np.nan,
                "new_items": 0 if fresh is None else int(fresh.sum()),
                "forgotten": drift.forgotten[1 if table else 0],
            }
        rows.append(row)
    return pd.DataFrame(rows)


def due(state: ModelState, config: RefitConfig) -> tuple[str, ...]:
    """Why the model should learn again, a sentence each; empty where it need not."""
    found = []
    rows: list[dict[str, Any]] = health(state).to_dict("records")  # type: ignore[assignment]
    for row in rows:
        remedy = "absorb()" if row["learns"] == "table" else "refit()"
        for value, limit, what in (
            (row["changed_likes"], config.likes, "of the likes have changed"),
            (row["gram_change"], config.gram, "is the change of the Gram matrix"),
            (row["new_items"] / max(state.kg.n_items, 1), config.items, "of the items are new"),
        ):
            if value > limit:
                found.append(
                    f"{row['signal']}: {value:.1%} {what} since it learned (limit {limit:.1%}); call {remedy}"
                )
        if config.forgotten and row["forgotten"]:
            found.append(
                f"{row['signal']}: it learned from {row['forgotten']} users who were forgotten; call {remedy}"
            )
    return tuple(found)


def changed_share(state: ModelState, likes: Likes) -> float:
    """Likes that have come or gone, over the likes that were learned."""
    if likes.source is state.kg:
        return 0.0
    before, after = _changed_rows(state, likes)
    return float(abs(after - before).sum()) / max(likes.matrix.nnz, 1)


def gram_change(state: ModelState, likes: Likes) -> float:
    """``||G now - G then|| / ||G then||`` with ``G = X'X`` of the likes X; exact, from the changed users alone.

    With the changed rows A and B of X now and then, ``||A'A - B'B||^2 = ||AA'||^2 - 2 ||AB'||^2 + ||BB'||^2``.
    """
    if likes.source is state.kg:
        return 0.0
    before, after = _changed_rows(state, likes)
    squared = squared_norm(after, after) - 2 * squared_norm(after, before) + squared_norm(before, before)
    return float(np.sqrt(max(squared, 0.0))) / max(likes.gram_norm, 1e-12)


def _changed_rows(state: ModelState, likes: Likes) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Rows then and now of the users whose likes are others; users that are new have an empty row then."""
    now, vocabulary = state.kg.likes, state.kg.users.vocabulary
    place = vocabulary.find(likes.users).astype(np.int64)
    here = place >= 0
    picked = sparse.csr_matrix(
        (np.ones(int(here.sum()), np.float32), (place[here], np.flatnonzero(here))),
        shape=(now.shape[0], len(likes.users)),
    )
    then = sparse.csr_matrix(picked @ likes.matrix)
    difference = sparse.csr_matrix(now - then)
    difference.eliminate_zeros()
    rows = np.flatnonzero(np.diff(difference.indptr))
    return then[rows], now[rows]


def absorbed(state: ModelState, encoder: TextEncoder, weights: bool = False) -> ModelState:
    """The state with its tables computed again from the likes of now, settings and fusion as they are.

    Each is what a fit of the signal with these settings on this graph would give, the centre of the texts and the
    number of items that facts are rare among included.
    With `weights` the trained ones are trained again too, as long as before.
    """
    data = SignalData.from_graph(state.kg, *text_vectors(state.kg, encoder, state.signals))

    def again(signal: Signal) -> Signal:
        if isinstance(signal, TextCosine):
            # Of the items' own texts: what is said of them comes in again where the state is put in place.
            return TextCosine(signal.config).fit(data)
        return signal.refit(data) if signal.learns != "weights" or weights else signal

    signals = tuple(again(signal) for signal in state.signals)
    likes, drift = Likes.of(state.kg), state.drift
    fresh = Drift(
        tables=likes,
        weights=likes if weights else drift.weights,
        n_events=0 if weights else drift.n_events,
        absorbed=0 if weights else drift.n_events,
        forgotten=(0 if weights else drift.forgotten[0], 0),
        new_to_weights=None if weights else drift.new_to_weights,
        events=drift.events,
        cursor=drift.cursor,
    )
    cold = state.cold
    if cold is not None and weights:
        cold = data.item_degree == 0
    return replace(state, signals=signals, cold=cold, drift=fresh)
