"""Events and the log of changes, alike on both engines."""

import base64

import pandas as pd
import pytest

from kgenre.graph import GraphStore, KnowledgeGraph, store_state
from kgenre.graph.store_log import EVENTS, NODES_GONE

START = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": [5.0, 6.0]})


def test_last_writer_wins_and_the_log_tells_it(store: GraphStore) -> None:
    store.write(KnowledgeGraph.from_frames(START))
    labels = store.snapshot().labels
    cursor = store.follow()
    assert cursor is not None
    assert store.changes_since(cursor) == ((), "")
    first = [("a", "x", -1.0, 7.0, "e1"), ("c", "y", 1.0, 7.0, "e2")]
    assert store.add_events(first, {"e1": "bad"})[0] == first
    assert store.add_events([("a", "x", 1.0, 7.0, "e0")])[0] == [], "the lesser id at the same time"
    assert store.add_events([("a", "x", 1.0, 4.0, "e9")])[0] == [], "earlier"
    assert store.add_events(first[:1])[0] == first[:1], "what is so already counts"
    assert store.add_events([("c", "y", 0.0, 8.0, "e3")])[0], "taken back"
    store.remove_nodes("User", ["b"])
    news = store.changes_since(cursor)
    assert news.changes is not None, news.reason
    assert [change.kind for change in news.changes] == [EVENTS, EVENTS, EVENTS, NODES_GONE]
    assert [tuple(row) for row in news.changes[0].content] == [(*first[0], "bad"), first[1]]
    kg = store.snapshot()
    assert kg.labels == labels
    assert list(kg.users.vocabulary) == ["a", "c"]
    assert kg.interactions.weight.tolist() == [-1.0], "what was taken back is no interaction"
    rows = store.cypher("MATCH (:User {id: 'a'})-[r:INTERACTED]->() RETURN r.text AS text, r.event_id AS id")
    assert rows.values.tolist()[0][1] == "e1"
    store.write(KnowledgeGraph.from_frames(START))
    assert store.changes_since(cursor).changes is None


def test_store_that_nobody_follows_has_no_log(store: GraphStore) -> None:
    store.write(KnowledgeGraph.from_frames(START))
    assert store.add_events([("a", "x", -1.0, 7.0, "e1")]) == ([("a", "x", -1.0, 7.0, "e1")], None)
    assert store.cypher("MATCH (n) RETURN count(n) AS n")["n"][0] == 4


def test_who_writes_without_the_log_is_noticed_between_logged_writes_too(store: GraphStore) -> None:
    rows = pd.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"]})
    store.write(KnowledgeGraph.from_frames(rows))
    cursor = store.follow()
    assert cursor is not None
    for number in range(3):
        store.add_events([(f"w{number}", "a", 1.0, 5.0 + number, "e")])
    news = store.changes_since(cursor)
    assert news.reason == ""
    assert news.changes is not None
    assert [change.number - cursor.number for change in news.changes] == [1, 2, 3]
    store.cypher("MATCH (:User {id: 'u'})-[r:INTERACTED]->(:Item {id: 'b'}) DELETE r")
    store.add_events([("w4", "a", 1.0, 9.0, "e")])
    assert store.changes_since(cursor).reason == "somebody wrote who keeps no log of changes"
    again = store.follow()
    assert again is not None
    store.add_events([("w5", "a", 1.0, 9.0, "e")])
    assert store.changes_since(again).reason == ""


@pytest.mark.parametrize(
    ("bookmark", "number"),
    [
        ("FB:kcwQjoLrHbVcTKCvfMMdt7BtAwOQ", 3),
        ("FB:" + base64.b64encode(b"\x91\xcc\x10" + bytes(16) + b"\xc9\x01\x00\x90").decode(), 256),
        ("FB:" + base64.b64encode(b"\x91\xcc\x10" + bytes(16) + b"\xca\x00\x01\x00\x00\x90").decode(), 65536),
        ("FB:" + base64.b64encode(b"\x92\xcc\x08" + bytes(16)).decode(), None),
        ("FB:kcwQ", None),
        ("neo4j:bookmark:v1:tx7", None),
        ("", None),
    ],
)
def test_number_of_a_transaction_is_read_out_of_a_bookmark_or_not_at_all(
    bookmark: str, number: int | None
) -> None:
    if number is not None:
        assert store_state._number_in(bookmark) == number
        return
    with pytest.raises((ValueError, IndexError)):
        store_state._number_in(bookmark)
