"""Changes to a fitted recommender, the store first and memory second."""

from collections.abc import Callable, Sequence
from typing import Any

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.edit import without_nodes

from . import live
from .state import ModelState


class Updates:
    """What a `HybridRecommender` can be told: the next answer knows it, nothing is trained.

    What was learned stays as it is; see `kgenre.hybrid.live`.
    """

    _state: ModelState | None
    _store: GraphStore | None

    @property
    def state(self) -> ModelState:
        """The fitted model."""
        raise NotImplementedError

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes names and texts."""
        raise NotImplementedError

    def add_interactions(self, frame: Any) -> None:
        """Add likes and dislikes of known items, by known users or new ones.

        A recommender that was fitted on a store writes there first. What was learned stays as it is; see
        `kgenre.hybrid.live`.

        Parameters
        ----------
        frame
            user_id, item_id and optionally weight (below 0 a dislike) and timestamp; of a pair that is there already
            the new row prevails.

        Raises
        ------
        DataError
            If a column is missing or an item is unknown; nothing has changed then.
        """
        kg = self.state.kg
        self._add(live.interactions_delta(kg, live.stamped(kg, frame)))

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
        kg = self.state.kg
        self._add(live.items_delta(kg, frame))

    def add_facts(self, frame: Any) -> None:
        """Add facts: head_id, relation, tail_id[, head_label, tail_label, weight]; unknown entities become nodes.

        Walks, facts and explanations follow at once; what was learned of an item from its facts waits for a refit.
        """
        kg = self.state.kg
        self._add(live.facts_delta(kg, frame))

    def remove_facts(self, frame: Any) -> None:
        """Remove facts: head_id, relation, tail_id[, head_label, tail_label]; one that is not there is passed over."""
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
        self._remove(self.state.kg.items.label, items)

    def forget_user(self, user: str) -> None:
        """Remove a user: from the store, from the graph, from what is computed from it, and from the next save.

        What was learned from everybody (closed forms, SVD, GNN, weights) keeps the trace that one user leaves in a sum
        until the next `fit`.

        Raises
        ------
        UnknownIdError
            If the user is unknown.
        """
        self._remove(self.state.kg.users.label, [user])

    def _add(self, delta: KnowledgeGraph) -> None:
        self._become(self.state.kg.merge(delta), lambda store: store.write(delta))

    def _remove(self, label: str, ids: Sequence[str]) -> None:
        keys = [str(key) for key in ids]
        self._become(without_nodes(self.state.kg, label, keys), lambda store: store.remove_nodes(label, keys))

    def _become(self, kg: KnowledgeGraph, write: Callable[[GraphStore], object]) -> None:
        state = live.changed(self.state, kg, self.text_encoder)
        # The store first, memory second: a reader sees the state before or after, and nothing that the store lacks.
        if self._store is not None:
            write(self._store)
        self._state = state
