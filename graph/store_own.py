"""Changes to a graph in somebody's own layout, through the schema that it is read by.

Nodes are looked up once by the schema's id, strings or whole numbers, and then by the engine's own, so that a graph
without an index over its ids takes changes as well. Nothing of kgenre's is left in it but the values themselves.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from .bolt import Bolt, plain
from .columns import EVENT_ID, ID, ITEM, NAME, TEXT, TIMESTAMP, USER, WEIGHT
from .errors import ConfigError, DataError
from .knowledge_graph import KnowledgeGraph, NodeTable
from .relation_names import WRITTEN_BACK, label_of, relation_of
from .schema import GraphSchema, InteractionSchema
from .store_catalogue import labels_in, types_in
from .store_log import EventRow
from .store_write import node_rows

_ROWS = 5_000


class OwnGraph:
    """A store read through a schema of its own, to be changed.

    Parameters
    ----------
    bolt
        The store.
    schema
        How it reads.
    """

    def __init__(self, bolt: Bolt, schema: GraphSchema) -> None:
        self.bolt = bolt
        self.schema = schema
        self._stored = {label_of(name): name for name in labels_in(bolt)}

    # -- what the schema allows -------------------------------------------------------------------

    def kind(self) -> InteractionSchema:
        """The one kind of interaction that can be written."""
        reason = self.schema.unwritable()
        if reason is not None:
            raise ConfigError(
                f"interactions cannot be written to {self.bolt.place}: {reason}; change it in Cypher"
            )
        return self.schema.interactions[0]

    def label(self, label: str, kg: KnowledgeGraph | None = None) -> str:
        """The label of the schema that a graph's label is written as."""
        schema = self.schema
        if kg is not None and label in (kg.users.label, kg.items.label):
            ours, theirs = (USER, schema.user_label) if label == kg.users.label else (ITEM, schema.item_label)
            if label not in (ours, theirs):
                raise ConfigError(
                    f"the graph's {label} nodes are {theirs} in the store's schema; rename the label"
                )
            return theirs
        taken = schema.entity_labels
        if taken is not None and label not in (*taken, schema.user_label, schema.item_label):
            raise ConfigError(
                f"the store's schema takes no label {label!r} (it has {', '.join(taken) or 'none'} beside users and "
                "items); add it to entity_labels"
            )
        return label

    def relation(self, relation: str) -> str:
        """The relationship type that a relation is written as."""
        schema = self.schema
        stored = {relation_of(name): name for name in types_in(self.bolt)}
        if any(facts.relation == relation for facts in schema.facts):
            raise ConfigError(
                f"the facts {relation!r} are what a Cypher query of the schema finds; change what it reads, in Cypher"
            )
        if relation in {kind.type for kind in schema.interactions} or relation in WRITTEN_BACK:
            raise ConfigError(f"{relation!r} are no facts in the store's schema; name another relation")
        if schema.fact_types is not None and relation not in schema.fact_types:
            raise ConfigError(
                f"the store's schema takes no facts {relation!r} (it has {', '.join(schema.fact_types) or 'none'}); "
                "add it to fact_types"
            )
        return stored.get(relation, relation)

    # -- nodes ------------------------------------------------------------------------------------

    def find(self, label: str, ids: Iterable[str]) -> dict[str, str]:
        """The engine's id of those nodes of a label that have one of some ids."""
        node, key = self._quoted(label)
        found: dict[str, str] = {}
        query = f"MATCH (n:{node}) WHERE n.{key} IN $values RETURN n.{key}, elementId(n)"
        for part in _parts(ids):
            values: list[Any] = [*part, *(int(id_) for id_ in part if _is_whole(id_))]
            found.update((str(row[0]), row[1]) for row in self.bolt.run(query, values=values))
        return found

    def _quoted(self, label: str) -> tuple[str, str]:
        stored = self._stored.get(label, label)
        return self.bolt.quote(stored, "label"), self.bolt.quote(self.schema.label(label).id, "property")

    def put(self, label: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
        """Nodes by id with properties in the schema's words: made where they are not there; their engine's ids."""
        node, key = self._quoted(label)
        there = self.find(label, (id_ for id_, _ in rows))
        new = [(id_, values) for id_, values in rows if id_ not in there]
        if new:
            sample = self.bolt.run(f"MATCH (n:{node}) WHERE n.{key} IS NOT NULL RETURN n.{key} LIMIT 1")
            whole = bool(sample) and isinstance(sample[0][0], int)
            odd = next((id_ for id_, _ in new if whole and not _is_whole(id_)), None)
            if odd is not None:
                raise DataError(f"the ids of {label} in the store are whole numbers, and {odd!r} is none")
            made = [[int(id_) if whole else id_, dict(values), id_] for id_, values in new]
            query = f"UNWIND $rows AS row MERGE (n:{node} {{{key}: row[0]}}) SET n += row[1] "
            query += "RETURN row[2], elementId(n)"
            for part in _parts(made):
                there.update((row[0], row[1]) for row in self.bolt.update(query, part))
        known = [[there[id_], dict(values)] for id_, values in rows if values and id_ in there]
        query = "UNWIND $rows AS row MATCH (n) WHERE elementId(n) = row[0] SET n += row[1]"
        for part in _parts(known):
            self.bolt.change(query, part)
        return there

    def remove_nodes(self, label: str, ids: Sequence[str]) -> int:
        """Remove nodes with their relationships; returns how many of both are gone."""
        found = list(self.find(self.label(label), ids).values())
        return self.bolt.change(
            "UNWIND $rows AS row MATCH (n) WHERE elementId(n) = row DETACH DELETE n", found
        )

    def in_own_words(self, label: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """A node's name, text and properties as the schema calls them.

        Raises
        ------
        ConfigError
            If the schema has no place for one of them.
        """
        of = self.schema.label(label)
        found: dict[str, Any] = {}
        for key, value in values.items():
            if key == NAME:
                if of.name is None:
                    raise ConfigError(f"the store's schema has no name for {label}; set labels.{label}.name")
                found[of.name] = value
            elif key == TEXT:
                # A text that is put together comes from the properties, and one that is a property prevails.
                if isinstance(of.text, str) and "{" not in of.text:
                    found.setdefault(of.text, value)
            else:
                name = key.removesuffix("_") if key in (f"{ID}_", f"{NAME}_", f"{TEXT}_") else key
                taken = of.properties
                if taken is not None and name not in (*taken, of.name, *of.text_properties()):
                    raise ConfigError(
                        f"the store's schema takes no property {name!r} of {label}; add it to labels.{label}.properties"
                    )
                found[name] = value
        return found

    # -- a graph ----------------------------------------------------------------------------------

    def write(self, kg: KnowledgeGraph) -> None:
        """Store a graph beside what is there, as `GraphStore.write` does, in the schema's words."""
        labels = [self.label(table.label, kg) if len(table) else table.label for table in kg.tables]
        kind = self.kind() if kg.n_interactions else None
        relations = [self.relation(facts.relation) for facts in kg.facts]
        rows = [list(self._rows(table, label)) for table, label in zip(kg.tables, labels, strict=True)]
        places = np.full(kg.n_nodes, "", dtype=object)
        for table, label, nodes in zip(kg.tables, labels, rows, strict=True):
            if nodes:
                found = self.put(label, nodes)
                places[kg.slice(table.label)] = [found[id_] for id_ in table.vocabulary]
        inter = kg.interactions
        if kind is not None:
            items = inter.item + kg.n_users
            weight = inter.weight.astype(float) / kind.factor
            self._relate(str(kind.type), kind, places, (inter.user, items, weight, inter.timestamp))
        for facts, stored in zip(kg.facts, relations, strict=True):
            self._relate(stored, None, places, (facts.head, facts.tail, facts.weight, facts.timestamp))

    def _rows(self, table: NodeTable, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for id_, values in node_rows(table):
            # A property prevails over a text that was made of it.
            ordered = sorted(values.items(), key=lambda pair: pair[0] == TEXT)
            yield id_, self.in_own_words(label, dict(ordered))

    def _relate(
        self, stored: str, kind: InteractionSchema | None, places: Any, columns: tuple[Any, Any, Any, Any]
    ) -> None:
        heads, tails, weight, stamps = columns
        of_weight, of_time = (kind.weight, kind.timestamp) if kind else (WEIGHT, TIMESTAMP)
        time = self._time(stored, of_time) if stamps is not None else _NUMBER
        with_time: list[list[Any]] = []
        without: list[list[Any]] = []
        for row, (head, tail) in enumerate(zip(heads.tolist(), tails.tolist(), strict=True)):
            values: dict[str, Any] = {} if weight is None else {of_weight: float(weight[row])}
            ends = [places[head], places[tail], values]
            if stamps is None or np.isnan(stamps[row]):
                without.append(ends)
            else:
                with_time.append([*ends, time.value(float(stamps[row]))])
        query = f"{_ENDS} MERGE (h)-[r:{self.bolt.quote(stored, 'relation')}]->(t) SET r += row[2]"
        set_time = f"{query}, r.{self.bolt.quote(of_time, 'property')} = {time.cypher('row[3]')}"
        for rows, of_rows in ((without, query), (with_time, set_time)):
            for part in _parts(rows):
                self.bolt.change(of_rows, part)

    def _time(self, stored: str, key: str) -> "_Time":
        """How the store keeps points in time, by what is there."""
        type_, name = self.bolt.quote(stored, "relation"), self.bolt.quote(key, "property")
        if stored not in types_in(self.bolt):
            return _NUMBER
        found = self.bolt.run(f"MATCH ()-[r:{type_}]->() WHERE r.{name} IS NOT NULL RETURN r.{name} LIMIT 1")
        value = plain(found[0][0]) if found else 0.0
        if isinstance(value, datetime.datetime):
            return _Time("localdatetime" if value.tzinfo is None else "datetime")
        if isinstance(value, int | float):
            return _NUMBER
        raise ConfigError(
            f"{stored}.{key} holds {str(value)[:40]!r}, and a time cannot be written like that; change it in Cypher"
        )

    def unrelate(self, stored: str, head: str, tail: str, pairs: Sequence[tuple[str, str]]) -> int:
        """Remove the relationships of a type between some (head, tail); returns how many are gone."""
        heads = self.find(head, {pair[0] for pair in pairs})
        tails = self.find(tail, {pair[1] for pair in pairs})
        rows = [[heads[one], tails[two]] for one, two in pairs if one in heads and two in tails]
        query = f"UNWIND $rows AS row MATCH (h)-[r:{self.bolt.quote(stored, 'relation')}]->(t) "
        query += "WHERE elementId(h) = row[0] AND elementId(t) = row[1] DELETE r"
        return sum(self.bolt.change(query, part) for part in _parts(rows))

    # -- events -----------------------------------------------------------------------------------

    def write_events(self, events: Sequence[EventRow]) -> list[bool]:
        """Write interaction events of known items; says of each whether it is what the store now holds of its pair.

        Of two on a pair that with the greater (timestamp, event_id) stays. One of weight 0 takes the relationship away,
        and with it what an older event would be compared with.
        """
        kind = self.kind()
        schema = self.schema
        users = self.put(schema.user_label, [(user, {}) for user in dict.fromkeys(e[0] for e in events)])
        items = self.find(schema.item_label, {event[1] for event in events})
        type_ = self.bolt.quote(str(kind.type), "relation")
        weight, time = self.bolt.quote(kind.weight, "property"), self.bolt.quote(kind.timestamp, "property")
        as_time = self._time(str(kind.type), kind.timestamp)
        at = as_time.cypher("row[3]")
        rows = [
            [users[user], items[item], value / kind.factor, as_time.value(stamp), id_, place]
            for place, (user, item, value, stamp, id_) in enumerate(events)
        ]
        newer = (
            f"UNWIND $rows AS row MATCH (h)-[r:{type_}]->(t) WHERE elementId(h) = row[0] AND elementId(t) = row[1] "
            f"AND (r.{time} > {at} OR (r.{time} = {at} AND coalesce(r.{EVENT_ID}, '') > row[4])) "
            "RETURN DISTINCT row[5]"
        )
        late = {int(row[0]) for row in self.bolt.run(newer, rows=rows)}
        kept = [row for row in rows if row[5] not in late]
        said = f"{_ENDS} MERGE (h)-[r:{type_}]->(t) SET r.{weight} = row[2], r.{time} = {at}, r.{EVENT_ID} = row[4]"
        taken_back = (
            f"UNWIND $rows AS row MATCH (h)-[r:{type_}]->(t) WHERE elementId(h) = row[0] AND elementId(t) = row[1] "
            "DELETE r"
        )
        statements = [
            (said, [row for row in kept if row[2]]),
            (taken_back, [row for row in kept if not row[2]]),
        ]
        self.bolt.transaction([(query, {"rows": part}) for query, part in statements if part])
        return [place not in late for place in range(len(events))]


@dataclass(frozen=True)
class _Time:
    """A point in time in a store: as seconds since 1970, or as what a function of Cypher makes of ISO 8601.

    As text, since ArcadeDB 26.10 forgets the zone of a parameter.
    """

    function: str | None = None

    def value(self, seconds: float) -> Any:
        if self.function is None:
            return seconds
        text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None).isoformat()
        return f"{text}Z" if self.function == "datetime" else text

    def cypher(self, value: str) -> str:
        return f"{self.function}({value})" if self.function else value


_NUMBER = _Time()

_ENDS = "UNWIND $rows AS row MATCH (h) WHERE elementId(h) = row[0] MATCH (t) WHERE elementId(t) = row[1]"


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and str(int(digits)) == digits and len(digits) < 19


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(rows)
    while part := list(islice(rows, _ROWS)):
        yield part
