"""The half of a `GraphStore` that adds and removes: nodes, interactions, facts."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from .bolt import Bolt
from .columns import (
    HEAD_ID,
    HEAD_LABEL,
    ID,
    INTERACTED,
    ITEM,
    ITEM_ID,
    RELATION,
    TAIL_ID,
    TAIL_LABEL,
    TEXT,
    USER,
    USER_ID,
)
from .errors import ConfigError
from .fact_ends import label_ends
from .knowledge_graph import KnowledgeGraph
from .relation_names import WRITTEN_BACK, label_of, relation_of
from .schema import GraphSchema
from .store_catalogue import labels_in, types_in
from .store_log import GRAPH, Cursor, Row, StoreLog, note_change, remove_logged
from .store_own import OwnGraph
from .store_write import write_graph
from .tables import as_ids, to_polars


class StoreChanges(StoreLog):
    """Changes in the layout of `write`, or through the store's schema where that says that the graph has another."""

    schema: GraphSchema
    _bolt: Bolt

    def _stored_names(self, labels: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def write(self, kg: KnowledgeGraph) -> None:
        """Store a graph beside what is there.

        Nodes are found by label and id, relationships by their ends and type, so that a second write changes
        nothing and an interrupted one is completed by the next. Where both have a value, `kg` prevails. A store with
        a schema of its own takes it in the schema's labels, ids and properties.

        Raises
        ------
        DataError
            If a name or property is one that the engine cannot hold; nothing is written then.
        ConfigError
            If the schema has no place for something; nothing is written then.
        """
        own = self._own
        if own is not None:
            own.write(kg)
            return
        # Before and after: who reads the note of a write that is still under way reads again when it is done.
        note_change(self._bolt, GRAPH)
        write_graph(self._bolt, kg)
        note_change(self._bolt, GRAPH)

    def add_nodes(self, label: str, frame: Any) -> None:
        """Add nodes, or more about nodes that are there.

        Parameters
        ----------
        label
            Their label.
        frame
            id (user_id for users, item_id for items) and optionally name, text and properties.

        Raises
        ------
        ConfigError
            If the store has a schema of its own, and in it no place for something.
        """
        table = to_polars(frame, label)
        own = self._own
        if own is not None and TEXT in table.columns:
            of = self.schema.label(label)
            if not isinstance(of.text, str) or "{" in of.text:
                raise ConfigError(
                    f"the text of {label} is {of.text or 'none'!r} in the store's schema; give the properties instead"
                )
        key = {self.schema.user_label: ("users", USER_ID), self.schema.item_label: ("items", ITEM_ID)}.get(
            label
        )
        if own is None:
            key = {USER: ("users", USER_ID), ITEM: ("items", ITEM_ID)}.get(label)
        if key is None or (key[1] not in table.columns and own is not None):
            self.write(KnowledgeGraph.from_frames(**{label: table}))
        elif own is None:
            self.write(KnowledgeGraph.from_frames(**{key[0]: table}))
        else:
            # As any label's: an item's text would be composed of its columns.
            self.write(KnowledgeGraph.from_frames(**{label: table.rename({key[1]: ID})}))

    def add_interactions(self, frame: Any) -> None:
        """Add interactions: user_id, item_id[, weight, timestamp]; unknown users and items become nodes.

        Where the store has a schema of its own, interactions must be one relationship type in it, without a threshold.

        Raises
        ------
        ConfigError
            If interactions are something else in the store's schema.
        """
        own = self._own
        if own is not None:
            own.kind()
        self.write(KnowledgeGraph.from_frames(frame))

    def add_events(
        self, events: Sequence[Row], texts: Mapping[str, str] | None = None
    ) -> tuple[list[Row], int | None]:
        """Write interaction events; see `StoreLog.add_events`.

        A graph with a schema of its own has no log, and no place for texts.
        """
        own = self._own
        if own is None:
            return super().add_events(events, texts)
        latest: dict[tuple[str, str], Row] = {}
        for event in sorted(events, key=lambda event: tuple(event[3:5])):
            latest[event[0], event[1]] = event
        given = list(latest.values())
        held = own.write_events(given)
        return [event for event, counted in zip(given, held, strict=True) if counted], None

    def follow(self) -> Cursor | None:
        """Begin the log of changes, see `StoreLog.follow`; None in a graph of somebody's own, which gets no log."""
        return super().follow() if self._own is None else None

    def add_facts(self, frame: Any) -> None:
        """Add facts: head_id, relation, tail_id[, head_label, tail_label, weight, timestamp].

        A head or tail without a label is the item of that id, else another node there of that id, else a new
        Entity.

        Raises
        ------
        ConfigError
            If the store has a schema of its own, and that takes no such facts.
        """
        self.write(KnowledgeGraph.from_frames(facts=self._with_labels(frame), **self._ends()))

    def _ends(self) -> dict[str, str]:
        if self._own is None:
            return {}
        return {"user_label": self.schema.user_label, "item_label": self.schema.item_label}

    def remove_nodes(self, label: str, ids: Sequence[str]) -> int:
        """Remove nodes with all their relationships; returns how many nodes and relationships are gone."""
        keys = [str(key) for key in ids]
        own = self._own
        if own is not None:
            return own.remove_nodes(label, keys)
        (node,) = self._stored_labels([label])
        return remove_logged(self._bolt, node, label, keys)

    def remove_interactions(self, frame: Any) -> int:
        """Remove interactions (user_id, item_id); returns how many are gone.

        Raises
        ------
        ConfigError
            As for `add_interactions`.
        """
        table = to_polars(frame, "interactions")
        rows = pl.select(*(as_ids(table[column], "interactions") for column in (USER_ID, ITEM_ID))).rows()
        own = self._own
        if own is not None:
            stored = str(own.kind().type)
            return own.unrelate(stored, self.schema.user_label, self.schema.item_label, rows)
        return self._remove(USER, INTERACTED, ITEM, rows)

    def remove_facts(self, frame: Any) -> int:
        """Remove facts (head_id, relation, tail_id[, head_label, tail_label]); returns how many are gone."""
        table = self._with_labels(frame)
        own = self._own
        taken = (INTERACTED, *WRITTEN_BACK) if own is None else WRITTEN_BACK
        relations = {relation_of(name): name for name in types_in(self._bolt) if name not in taken}
        removed = 0
        for (head, relation, tail), rows in table.group_by(HEAD_LABEL, RELATION, TAIL_LABEL):
            ends = rows.select(HEAD_ID, TAIL_ID).rows()
            if own is not None:
                removed += own.unrelate(own.relation(str(relation)), str(head), str(tail), ends)
            elif str(relation) in relations:
                removed += self._remove(str(head), relations[str(relation)], str(tail), ends)
        return removed

    def _remove(self, head: str, stored: str, tail: str, rows: list[tuple[Any, ...]]) -> int:
        of_head, of_tail = self._stored_labels([head, tail])
        type_ = self._bolt.quote(stored, "relation")
        query = (
            f"UNWIND $rows AS row MATCH (h:{of_head})-[r:{type_}]->(t:{of_tail}) "
            f"WHERE h.{ID} = row[0] AND t.{ID} = row[1] DELETE r"
        )
        note_change(self._bolt, GRAPH)
        removed = self._bolt.change(query, [list(row) for row in rows])
        note_change(self._bolt, GRAPH)
        return removed

    @property
    def _own(self) -> OwnGraph | None:
        """The graph in the layout that the schema says it has, where that is not the one of `write`."""
        return OwnGraph(self._bolt, self.schema) if self.schema.differs() else None

    def _stored_labels(self, labels: Sequence[str]) -> list[str]:
        return [self._bolt.quote(name, "label") for name in self._stored_names(labels)]

    def _with_labels(self, frame: Any) -> pl.DataFrame:
        """Facts with the labels of their heads and tails filled in from the store."""
        own = self._own

        def find(label: str, ids: list[str]) -> list[str]:
            if own is not None:
                return list(own.find(label, ids))
            (node,) = self._stored_labels([label])
            query = f"UNWIND $rows AS row MATCH (n:{node}) WHERE n.{ID} = row RETURN n.{ID}"
            return [row[0] for row in self._bolt.run(query, rows=ids)]

        labels = {label_of(name) for name in labels_in(self._bolt)}
        if self.schema.entity_labels is not None:
            labels &= {self.schema.user_label, self.schema.item_label, *self.schema.entity_labels}
        ends = {"user_label": self.schema.user_label, "item_label": self.schema.item_label}
        return label_ends(to_polars(frame, "facts"), "facts", labels, find, **ends)
