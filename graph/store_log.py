"""The log of changes in a store: what kgenre has written since somebody began to follow, in order.

A store that a recommender follows holds one ``_KgenreLog`` node, which numbers the changes, and a ``_KgenreChange``
node for each transaction of kgenre's, written in that very transaction. The number is taken by a write to the one
node, so transactions that change the store follow each other, and who has read number n has missed none before it.
Neither label is part of a snapshot. A store that nobody follows has no log, and pays nothing for it.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import neo4j

from .bolt import Bolt
from .columns import EVENT_ID, ID, INTERACTED, ITEM, TEXT, TIMESTAMP, USER, WEIGHT
from .store_state import neo4j_transaction_number, state_of, transaction_number

if TYPE_CHECKING:
    from .embedded import EmbeddedServer

LOG = "_KgenreLog"
CHANGE = "_KgenreChange"
HIDDEN = (LOG, CHANGE)
"""Labels that are kgenre's own bookkeeping, and no part of anybody's graph."""
KEPT = 20_000
"""Changes that are kept; a model that is further behind reads the whole graph."""
_PRUNED_EVERY = 256

EVENTS, NODES_GONE, GRAPH = "events", "nodes gone", "graph"
"""Kinds of change: interactions; nodes of a label that were removed; anything else, for which the graph is read."""


class Cursor(NamedTuple):
    """How far a store's log is known.

    Attributes
    ----------
    log
        Id of the log.
    number
        Number of the last change that is known.
    since
        The number of the last change when `state` was taken.
    state
        What state the store was in then: see `_standing_of`; None where it cannot be told.
    """

    log: str
    number: int
    since: int = 0
    state: str | None = None


class Change(NamedTuple):
    """One change: its number, its kind and what it was, as plain values."""

    number: int
    kind: str
    content: Any


class News(NamedTuple):
    """What was written after a cursor.

    Attributes
    ----------
    changes
        In order; None where the log cannot tell, and the graph must be read.
    reason
        Why it cannot.
    """

    changes: tuple[Change, ...] | None
    reason: str = ""


EventRow = tuple[str, str, float, float, str]
"""user_id, item_id, weight, timestamp, event_id."""
Row = TypeVar("Row", bound=EventRow)


def follow(bolt: Bolt) -> Cursor | None:
    """Begin a log where there is none, and say where it stands; None where the store may only be read."""
    found = position(bolt)
    if found is not None or bolt.read_only:
        return found
    for label, key in ((LOG, ID), (CHANGE, "number")):
        bolt.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE")
    query = (
        f"UNWIND $rows AS row MERGE (l:{LOG} {{{ID}: 'log'}}) "
        "SET l.log = coalesce(l.log, row), l.number = coalesce(l.number, 0), "
        # ArcadeDB meets a label or property for the first time in a transaction of its own, which would look like
        # somebody else's; so let it meet those of an event now.
        f"l.{WEIGHT} = 0.0, l.{TIMESTAMP} = 0.0, l.{EVENT_ID} = '', l.{TEXT} = ''"
    )
    bolt.change(query, [uuid.uuid4().hex])
    note_change(bolt, EVENTS, [])
    return position(bolt)


def position(bolt: Bolt) -> Cursor | None:
    """Where the log stands, or None where there is none."""
    rows = bolt.run(f"MATCH (l:{LOG}) WHERE l.{ID} = 'log' RETURN l.log, l.number")
    return Cursor(rows[0][0], int(rows[0][1])) if rows else None


def changes_since(bolt: Bolt, server: "EmbeddedServer | None", cursor: Cursor) -> News:
    """The changes after a cursor, in time proportional to them."""
    now = position(bolt)
    if now is None or now.log != cursor.log or now.number < cursor.number:
        return News(None, "the store's log of changes is another one than the model knows")
    # By number, one look-up each.
    numbers = list(range(cursor.number + 1, now.number + 1))
    rows: list[list[Any]] = []
    if 0 < len(numbers) <= KEPT:
        query = (
            f"UNWIND $rows AS row MATCH (c:{CHANGE}) WHERE c.number = row RETURN c.number, c.kind, c.content"
        )
        rows = bolt.run(query, rows=numbers)
    found = sorted((Change(int(number), kind, json.loads(content)) for number, kind, content in rows))
    if [change.number for change in found] != numbers:
        return News(None, f"the log no longer reaches back {len(numbers)} changes")
    if any(change.kind == GRAPH for change in found):
        return News(None, "nodes or facts were written")
    if reason := _foreign(cursor, now, _standing_of(bolt, server)):
        return News(None, reason)
    return News(tuple(found))


def _standing_of(bolt: Bolt, server: "EmbeddedServer | None") -> str | None:
    """What tells whether anybody else wrote: the number of the engine's transactions, or else the state's key."""
    if server is not None:
        number = transaction_number(server)
        return None if number is None else f"{_COUNT}{number}"
    if not bolt.arcadedb and (found := neo4j_transaction_number(bolt)) is not None:
        return f"{_COUNT}{found[0]} {found[1]}"
    return state_of(bolt, server)


_COUNT = "transaction "


def _foreign(then: Cursor, now: Cursor, state: str | None) -> str:
    """Whether somebody wrote who keeps no log, as a reason to read the graph; empty if nobody did or none can tell.

    A store numbers its transactions, and each change in the log was one. Where a Neo4j's bookmarks do not say the
    number there is only a key that every commit changes: a writer whose commits fall between logged ones is not
    noticed then.
    """
    if then.state is None or state is None:
        return ""
    said = "somebody wrote who keeps no log of changes"
    if then.state.startswith(_COUNT) and state.startswith(_COUNT):
        before, after = (key.removeprefix(_COUNT).split(" ", 1) for key in (then.state, state))
        same = before[1:] == after[1:] and int(after[0]) - int(before[0]) == now.number - then.since
        return "" if same else said
    return said if state != then.state and now.number == then.since else ""


def log_change(transaction: neo4j.ManagedTransaction, kind: str, content: Any) -> int | None:
    """Note a change in the transaction that makes it; returns its number, None where there is no log."""
    found = transaction.run(
        f"MATCH (l:{LOG}) WHERE l.{ID} = 'log' SET l.number = l.number + 1 RETURN l.number"
    ).values()
    if not found:
        return None
    number = int(found[0][0])
    transaction.run(
        f"CREATE (c:{CHANGE} {{number: $number, kind: $kind, content: $content}})",
        number=number,
        kind=kind,
        content=json.dumps(content, ensure_ascii=False),
    ).consume()
    if number % _PRUNED_EVERY == 0 and number > KEPT:
        gone = list(range(max(number - KEPT - _PRUNED_EVERY, 0), number - KEPT))
        transaction.run(
            f"UNWIND $rows AS row MATCH (c:{CHANGE}) WHERE c.number = row DELETE c", rows=gone
        ).consume()
    return number


def note_change(bolt: Bolt, kind: str, content: Any = None) -> None:
    """Note a change in a transaction of its own."""
    if position(bolt) is None:
        return
    with bolt.errors(writing=True), bolt._session() as session:
        session.execute_write(log_change, kind, content)


def write_events(
    bolt: Bolt, events: Sequence[EventRow], texts: Mapping[str, str] | None = None
) -> tuple[list[bool], int | None]:
    """Write interaction events in one transaction: of two on a pair that with the greater (timestamp, event_id) stays.

    Parameters
    ----------
    bolt
        The store; its items are there.
    events
        At most one a pair.
    texts
        What was said, by event id: kept as the relationship's property ``text``.

    Returns
    -------
    list of bool, int or None
        For each event whether it is what the store now holds of its pair, and the number of the change in the log.
    """
    bolt.check_writable()
    user, item, type_ = (bolt.quote(name, "label") for name in (USER, ITEM, INTERACTED))
    people = f"UNWIND $rows AS row MERGE (u:{user} {{{ID}: row}})"
    # The relationship first, then the comparison: one that is new has no timestamp and loses to every event.
    merge = (
        f"UNWIND $rows AS row MATCH (u:{user}) WHERE u.{ID} = row[0] MATCH (i:{item}) WHERE i.{ID} = row[1] "
        f"MERGE (u)-[r:{type_}]->(i) WITH r, row "
        f"WHERE r.{TIMESTAMP} IS NULL OR r.{TIMESTAMP} < row[3] "
        f"OR (r.{TIMESTAMP} = row[3] AND coalesce(r.{EVENT_ID}, '') <= row[4]) "
        f"SET r.{WEIGHT} = row[2], r.{TIMESTAMP} = row[3], r.{EVENT_ID} = row[4], r.{TEXT} = row[6] "
        "RETURN row[5]"
    )
    said = texts or {}
    rows = [[*event, place, said.get(event[4])] for place, event in enumerate(events)]
    users = sorted({event[0] for event in events})

    def work(transaction: neo4j.ManagedTransaction) -> tuple[list[bool], int | None]:
        transaction.run(people, rows=users).consume()
        counts = {int(row[0]) for row in transaction.run(merge, rows=rows).values()}
        held = [place in counts for place in range(len(events))]
        number = None
        if any(held):
            # With its text, where it has one: who follows the log needs no other query.
            kept = [
                [*event, said[event[4]]] if event[4] in said else event
                for event, counted in zip(events, held, strict=True)
                if counted
            ]
            number = log_change(transaction, EVENTS, kept)
        return held, number

    with bolt.errors(writing=True), bolt._session() as session:
        outcome: tuple[list[bool], int | None] = session.execute_write(work)
    return outcome


def remove_logged(bolt: Bolt, stored: str, label: str, ids: Sequence[str]) -> int:
    """Remove nodes of a label (as it stands in a query) with their relationships, and note it, in one transaction."""
    bolt.check_writable()
    query = f"UNWIND $rows AS row MATCH (n:{stored}) WHERE n.{ID} = row DETACH DELETE n"

    def work(transaction: neo4j.ManagedTransaction) -> neo4j.SummaryCounters:
        done = transaction.run(query, rows=list(ids)).consume().counters
        content: Mapping[str, Any] = {"label": label, "ids": list(ids)}
        log_change(transaction, NODES_GONE, content)
        return done

    with bolt.errors(writing=True), bolt._session() as session:
        done = session.execute_write(work)
    return int(done.nodes_deleted + done.relationships_deleted)


class StoreLog:
    """What follows a store's changes, and what writes so that others can."""

    _bolt: Bolt
    _server: "EmbeddedServer | None"

    def follow(self) -> Cursor | None:
        """Begin the log of changes if there is none, and say where it stands; None where one may only read."""
        found = follow(self._bolt)
        if found is None:
            return None
        return found._replace(since=found.number, state=_standing_of(self._bolt, self._server))

    def changes_since(self, cursor: Cursor) -> News:
        """What was written through kgenre after a cursor."""
        return changes_since(self._bolt, self._server, cursor)

    def texts(self) -> list[tuple[str, str, float, float, str, str]]:
        """What was said with interactions that stand: user_id, item_id, weight, timestamp, event_id, text."""
        user, item, type_ = (self._bolt.quote(name, "label") for name in (USER, ITEM, INTERACTED))
        rows = self._bolt.run(
            f"MATCH (u:{user})-[r:{type_}]->(i:{item}) WHERE r.{TEXT} IS NOT NULL AND r.{WEIGHT} <> 0 "
            f"AND r.{EVENT_ID} IS NOT NULL "
            f"RETURN u.{ID}, i.{ID}, r.{WEIGHT}, r.{TIMESTAMP}, r.{EVENT_ID}, r.{TEXT}"
        )
        return [(row[0], row[1], float(row[2]), float(row[3]), row[4], row[5]) for row in rows]

    def add_events(
        self, events: Sequence[Row], texts: Mapping[str, str] | None = None
    ) -> tuple[list[Row], int | None]:
        """Write interaction events of known items in one transaction; the last writer wins, pair by pair.

        Parameters
        ----------
        events
            (user_id, item_id, weight, timestamp, event_id), as tuples or anything that is one.
        texts
            What was said, by event id.

        Returns
        -------
        list, int or None
            The events that count, and the number of the change in the log.
        """
        latest: dict[tuple[str, str], Row] = {}
        for event in events:
            pair = (event[0], event[1])
            if pair not in latest or tuple(latest[pair][3:5]) < tuple(event[3:5]):
                latest[pair] = event
        given = list(latest.values())
        held, number = write_events(self._bolt, given, texts)
        return [event for event, counted in zip(given, held, strict=True) if counted], number
