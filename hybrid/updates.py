"""Changes to a fitted recommender, the store first and memory second."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import polars as pl

from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, TEXT, USER_ID, WEIGHT
from kgenre.graph.edit import without_nodes

from . import live
from .events import Event, read_events
from .learning import Learning
from .reviews import read_reviews
from .standing import Live


class Updates(Learning):
    """What a `HybridRecommender` can be told: the next answer knows it, nothing is trained.

    What was learned stays as it is until `absorb` or `refit`; see `docs/live.md`.
    """

    # -- interactions -----------------------------------------------------------------------------

    def add_interactions(self, frame: Any) -> None:
        """Add likes and dislikes of known items, by known users or new ones.

        A recommender that follows a store writes there first. A pair has one state, that of the event with the
        greatest (timestamp, event_id): one that comes twice counts once, and the order in which events come does not
        matter.

        Parameters
        ----------
        frame
            user_id, item_id and optionally weight (1 where there is none; below 0 a dislike; 0 takes back what was said
            before), timestamp (seconds since 1970 or dates; now where there is none) and event_id (made where there is
            none): a table, or a list of mappings, which is the cheapest for a single event.

        Raises
        ------
        DataError
            If a column is missing, an item is unknown or an event is more than a day ahead of the clock; nothing has
            changed then.
        StoreError
            If the store refuses; nothing has changed then.
        """
        with self._changing:
            items = self.now.base.kg.items.vocabulary
            self._tell(read_events(frame, items, items))

    def remove_interactions(self, frame: Any) -> None:
        """Take back interactions (user_id, item_id[, timestamp, event_id]), as if they had never been.

        Raises
        ------
        DataError
            As `add_interactions`.
        """
        with self._changing:
            items = self.now.base.kg.items.vocabulary
            self._tell([event._replace(weight=0.0) for event in read_events(frame, items, items)])

    def undo(self, user: str, item: str) -> None:
        """Take back what a user said of an item."""
        self.remove_interactions([{USER_ID: str(user), ITEM_ID: str(item), WEIGHT: 0.0}])

    def add_reviews(self, frame: Any, *, scale: tuple[float, float] = (1, 5)) -> pd.DataFrame:
        """Add what users say of items: a signed interaction each, with its text in the store.

        The opinion is the rating where there is one, else what the text says by a lexicon (English; right of films
        two times in three, see `kgenre.hybrid.reviews`). A text without an opinion (empty, in another language,
        neither good nor bad) changes nothing.

        Parameters
        ----------
        frame
            user_id, item_id, text and optionally rating, timestamp and event_id. Of a long text the first 10,000
            characters are read and kept, without control characters.
        scale
            The worst and the best rating; the middle is no opinion.

        Returns
        -------
        pandas.DataFrame
            user_id, item_id, text and weight: what each was taken for, in [-1, 1]; 0 is no opinion.

        Raises
        ------
        DataError
            As `add_interactions`, or if a rating lies outside the scale; nothing has changed then.
        """
        reviews, told = read_reviews(frame, scale)
        with self._changing:
            items = self.now.base.kg.items.vocabulary
            events = read_events(told, items, items)
            said = zip(events, reviews, strict=True)
            opinions = {event: review.text for event, review in said if review.weight}
            texts = {event.event_id: text for event, text in opinions.items()}
            self._tell(list(opinions), texts)
        return pd.DataFrame(reviews, columns=[USER_ID, ITEM_ID, TEXT, WEIGHT])

    def _tell(self, events: Sequence[Event], texts: Mapping[str, str] | None = None) -> None:
        now = self.now
        events = now.stamped(events)
        cursor = now.current.drift.cursor
        if self._store is not None and events:
            events, number = self._store.add_events(events, texts)
            if cursor is not None and number == cursor.number + 1:
                cursor = cursor._replace(number=number)
        told = self._heard(now.told(events), events, texts)
        if cursor != told.current.drift.cursor:
            told = told.knowing(cursor)
        self._live = told

    # -- items, facts, users ----------------------------------------------------------------------

    def add_items(self, frame: Any) -> None:
        """Add items, or more about known ones: recommended at once by their text and facts.

        Parameters
        ----------
        frame
            item_id, and optionally name and text. A column called as a relation of the graph holds facts (a value or
            a list a row: ids or names of entities; unknown ones become nodes); every other column is a property.

        Raises
        ------
        DataError
            If a column is missing or of a type it cannot have; nothing has changed then.
        """
        self._add(lambda kg: live.items_delta(kg, frame))

    def update_item(self, item: str, **values: Any) -> None:
        """Change an item's text, name or properties, or add facts to it: one encoding, nothing is trained.

        Parameters
        ----------
        item
            Its id.
        **values
            As the columns of `add_items`; what is not named stays as it is.

        Raises
        ------
        UnknownIdError
            If the item is unknown.
        DataError
            As `add_items`; nothing has changed then.
        """
        with self._changing:
            table = self.state.kg.items
            row = table.vocabulary.get(item)
            if "text" not in values:
                # Else it would be made up of what is given.
                values = {**values, "text": table.texts[row].as_py()}
            frame = pl.DataFrame({ITEM_ID: [str(item)], **{name: [value] for name, value in values.items()}})
            self._add(lambda kg: live.items_delta(kg, frame))

    def add_facts(self, frame: Any) -> None:
        """Add facts: head_id, relation, tail_id[, head_label, tail_label, weight]; unknown entities become nodes.

        Walks, facts and explanations follow at once; what was learned of an item from its facts waits for a refit.
        """
        self._add(lambda kg: live.facts_delta(kg, frame))

    def remove_facts(self, frame: Any) -> None:
        """Remove facts: head_id, relation, tail_id[, head_label, tail_label]; one that is not there is passed over."""
        with self._changing:
            kg = self.state.kg
            table = live.labelled(kg, frame)
            self._become(live.without(kg, table), lambda store: store.remove_facts(table))

    def remove_items(self, items: Sequence[str]) -> None:
        """Remove items from the graph and from every answer.

        Raises
        ------
        UnknownIdError
            If an item is unknown; nothing has changed then.
        """
        with self._changing:
            self._remove(self.state.kg.items.label, items)

    def forget_user(self, user: str) -> None:
        """Remove a user: from the store, from the graph, from what is computed from it, and from the next save.

        What was learned from everybody keeps the trace that one user leaves in a sum: tables (walks through users,
        closed forms, SVD) until `absorb`, trained weights (GNN, fusion) until `refit`; `refit_due` says so.

        Raises
        ------
        UnknownIdError
            If the user is unknown.
        """
        with self._changing:
            self._remove(self.state.kg.users.label, [user])

    def _add(self, delta_of: Callable[[KnowledgeGraph], KnowledgeGraph]) -> None:
        with self._changing:
            kg = self.state.kg
            delta = delta_of(kg)
            self._become(kg.merge(delta), lambda store: store.write(delta))

    def _remove(self, label: str, ids: Sequence[str]) -> None:
        keys = [str(key) for key in ids]
        self._become(without_nodes(self.state.kg, label, keys), lambda store: store.remove_nodes(label, keys))

    def _become(self, kg: KnowledgeGraph, write: Callable[[GraphStore], object]) -> None:
        state = live.changed(self.state, kg, self.text_encoder)
        # The store first, memory second: a reader sees the state before or after, and nothing that the store lacks.
        if self._store is not None:
            write(self._store)
        self._live = Live(state)
