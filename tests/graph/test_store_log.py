"""Events and the log of changes, alike on both engines."""

import pandas as pd

from kgenre.graph import GraphStore, KnowledgeGraph
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
    assert [tuple(row) for row in news.changes[0].content] == first
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
