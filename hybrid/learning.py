"""A recommender that lives: what it knows now, how old that is, and learning again beside the state that answers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from scipy import sparse

from kgenre.graph.edit import without_nodes
from kgenre.graph.errors import ConfigError
from kgenre.graph.store_log import EVENTS, Change, Cursor

from . import health
from .events import Event, Said
from .fitting import fit
from .holding import Holding
from .live import changed, still_standing
from .spoken import saying, spoken
from .standing import Live
from .state import ModelState

log = logging.getLogger(__name__)


class Refreshed(NamedTuple):
    """What `HybridRecommender.refresh` did.

    Attributes
    ----------
    changes
        Transactions that others had made; those of this recommender may be among them.
    whole
        Why the whole graph was read, in time proportional to it; empty where the log of changes was enough.
    """

    changes: int
    whole: str = ""


class Learning(Holding):
    """The state of a `HybridRecommender`: what it is now, how old it is, and making it new."""

    # -- how old it is ----------------------------------------------------------------------------

    def health(self) -> pd.DataFrame:
        """How much has happened since each signal learned; see `kgenre.hybrid.health.health`."""
        return health.health(self.state)

    def refit_due(self) -> tuple[str, ...]:
        """Why the model should learn again, a sentence each, by the limits of ``config.refit``.

        Empty, and so false, if it need not.
        """
        return health.due(self.state, self.config.refit)

    # -- learning again ---------------------------------------------------------------------------

    def absorb(self) -> None:
        """Compute the tables (walks through users, closed forms, SVD) anew from the likes of now; nothing is trained.

        They are then what a fit of these signals with the same settings would give. Answers go on from the old state
        and then from the new one; events that come meanwhile are in it.
        """
        start = self.state
        self._replace(start, health.absorbed(start, self.text_encoder))

    def refit(self, *, tune: bool = True) -> None:
        """Fit everything again on the graph of now, beside the state that answers meanwhile, and replace it whole.

        Parameters
        ----------
        tune
            Whether settings and weights are learned anew too, as in `fit`; else only the signals are.
        """
        start = self.state
        if not tune:
            self._replace(start, health.absorbed(start, self.text_encoder, weights=True))
            return
        # What a validation set told not to recommend is that set.
        extra = sparse.csr_matrix(start.seen - start.seen.multiply(start.kg.seen))
        extra.eliminate_zeros()
        self._replace(start, fit(start.kg, self.config, extra if extra.nnz else None, self.text_encoder))

    def _replace(self, start: ModelState, learned: ModelState) -> None:
        """Put a state that was learned from `start` in place, with all that has happened since."""
        with self._changing:
            now = self.state
            since = now.drift.n_events - start.drift.n_events
            drift = replace(
                learned.drift,
                n_events=learned.drift.n_events + since,
                events=now.drift.events,
                settled=start.drift.events,
                said=now.drift.said,
                cursor=now.drift.cursor,
            )
            state = replace(learned, drift=drift)
            if now.kg is not start.kg:
                state = changed(state, now.kg, self.text_encoder)
            self._live = Live(spoken(state, self.text_encoder))

    # -- the store --------------------------------------------------------------------------------

    def refresh(self) -> Refreshed:
        """Take over what others have written into the store, or this recommender before a crash.

        In time proportional to the change where it was interactions, users or items gone; where nodes or facts were
        written, or somebody wrote who keeps no log of changes (plain Cypher), the whole graph is read, and the result
        says so.

        Raises
        ------
        ConfigError
            If the recommender follows no store.
        StoreError
            If the store does not answer.
        """
        if self._store is None:
            raise ConfigError("the recommender follows no store; fit it on one, or load(folder, store=...)")
        with self._changing:
            cursor = self.now.current.drift.cursor
            if cursor is None:
                return self._reread("the model does not know how far it knew the store")
            news = self._store.changes_since(cursor)
            if news.changes is None:
                return self._reread(news.reason)
            for change in news.changes:
                if not self._take(change):
                    return self._reread("an event tells of an item that the model does not know")
                self._live = self.now.knowing(cursor._replace(number=change.number))
            return Refreshed(len(news.changes))

    def _take(self, change: Change) -> bool:
        items = self.now.current.kg.items.vocabulary
        if change.kind == EVENTS:
            events = [Event(*row[:5]) for row in change.content]
            if not all(event.item in items for event in events):
                return False
            # With a text where one came with the event.
            texts = {row[4]: row[5] for row in change.content if len(row) > 5}
            self._live = self._heard(self.now.told(events), events, texts)
            return True
        state = self.state
        label, ids = change.content["label"], change.content["ids"]
        known = [key for key in ids if label in state.kg.labels and key in state.kg.table(label).vocabulary]
        if known:
            self._live = Live(changed(state, without_nodes(state.kg, label, known), self.text_encoder))
        return True

    def _reread(self, reason: str) -> Refreshed:
        assert self._store is not None
        log.warning("refresh reads the whole graph: %s", reason)
        # The cursor first: what comes while the graph is read is read again, and nothing is missed.
        cursor: Cursor | None = self._store.follow()
        kg = self._store.snapshot()
        state = changed(still_standing(self.state, kg), kg, self.text_encoder)
        self._live = Live(self._having_heard(state)).knowing(cursor)
        return Refreshed(0, reason)

    # -- what is said -----------------------------------------------------------------------------

    def _heard(self, told: Live, events: Sequence[Event], texts: Mapping[str, str] | None) -> Live:
        """The state after events that have been taken in, with what came with them as text."""
        before = told.current.drift.said
        if not texts and not any(event.user in before for event in events):
            return told
        counting = [event for event in events if told.standing(event.user).events.get(event.item) == event]
        said = saying(before, counting, texts or {})
        current = spoken(told.current, self.text_encoder, said, lambda user: told.standing(user).events)
        return Live(told.base, told.users, current)

    def _having_heard(self, state: ModelState) -> ModelState:
        """The state with what the store knows to have been said; the signals have learned from what came with it."""
        assert self._store is not None
        events = {user: dict(own) for user, own in state.drift.events.items()}
        settled = {user: dict(own) for user, own in state.drift.settled.items()}
        said: dict[str, dict[str, Said]] = {}
        for user, item, weight, timestamp, event_id, text in self._store.texts():
            event = Event(user, item, weight, timestamp, event_id)
            if event.item not in state.kg.items.vocabulary or event.user not in state.kg.users.vocabulary:
                continue
            said.setdefault(event.user, {})[event.item] = Said(event.event_id, text)
            if event.item not in events.get(event.user, {}):
                events.setdefault(event.user, {})[event.item] = event
                settled.setdefault(event.user, {})[event.item] = event
        if not said and not state.drift.said:
            return state
        drift = replace(state.drift, events=events, settled=settled)
        return spoken(replace(state, drift=drift), self.text_encoder, said)
