"""Several recommenders on one store, and one that was saved before: each takes over what it lacks."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kgenre import connect, load
from kgenre.encoders import TextEncoder
from kgenre.graph import GraphStore, KnowledgeGraph, store_log
from kgenre.graph.errors import ConfigError, ModelError, StoreUnavailableError
from kgenre.hybrid import HybridRecommender

LIKE = [{"user_id": "new", "item_id": "s0"}, {"user_id": "u00", "item_id": "l3", "weight": -1}]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    with connect(tmp_path_factory.mktemp("stores") / "followed") as store:
        yield store


@pytest.fixture
def store(place: GraphStore, world: KnowledgeGraph) -> GraphStore:
    place.cypher("MATCH (n) DETACH DELETE n")
    place.write(world)
    return place


def fitted(store: GraphStore, encoder: TextEncoder) -> HybridRecommender:
    return HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)


def test_the_log_is_no_part_of_the_graph(store: GraphStore, world: KnowledgeGraph) -> None:
    store.follow()
    store.add_events([("new", "s0", 1.0, 5.0, "e")])
    store.add_events([("new", "s0", 0.0, 6.0, "f")])
    kg = store.snapshot()
    assert kg.labels == world.labels
    assert kg.n_interactions == world.n_interactions, "what was taken back is no interaction"
    assert "new" in kg.users.vocabulary


def test_two_recommenders_tell_each_other_through_the_store(store: GraphStore, encoder: TextEncoder) -> None:
    one, two = fitted(store, encoder), fitted(store, encoder)
    one.add_interactions(LIKE)
    one.undo("u01", "hit")
    one.forget_user("u02")
    assert two.refresh() == (3, "")
    assert two.refresh() == (0, "")
    assert two.graph.equals(one.graph), two.graph.differences(one.graph)
    assert one.refresh().whole == ""
    two.add_interactions([{"user_id": "new", "item_id": "s1"}])
    assert one.refresh().changes == 1
    assert one.graph.equals(two.graph)
    assert store.snapshot().equals(one.graph)


def test_of_two_writers_the_later_event_wins_whoever_comes_last(
    store: GraphStore, encoder: TextEncoder
) -> None:
    one, two = fitted(store, encoder), fitted(store, encoder)
    late = {"user_id": "u00", "item_id": "l3", "weight": -1, "timestamp": 9e8, "event_id": "b"}
    one.add_interactions([late])
    two.add_interactions([late | {"weight": 1, "event_id": "a"}])
    two.add_interactions([late | {"weight": 1, "timestamp": 8e8}])
    for rec in (one, two):
        rec.refresh()
        assert (
            rec.graph.dislikes[rec.graph.users.vocabulary.get("u00"), rec.graph.items.vocabulary.get("l3")]
            == 1
        )
    assert store.snapshot().equals(one.graph)


def test_new_items_of_another_are_read_and_it_is_said(store: GraphStore, encoder: TextEncoder) -> None:
    one, two = fitted(store, encoder), fitted(store, encoder)
    one.add_interactions(LIKE)
    one.add_items(pd.DataFrame({"item_id": ["x"], "name": ["X"], "directed_by": ["ada"]}))
    assert two.refresh().whole == "nodes or facts were written"
    assert two.graph.equals(one.graph)
    assert "x" in set(two.score("u00").index)


def test_plain_cypher_of_somebody_is_noticed(store: GraphStore, encoder: TextEncoder) -> None:
    rec = fitted(store, encoder)
    rec.add_interactions(LIKE)
    assert rec.refresh().whole == ""
    store.cypher("MATCH (:User {id: 'u00'})-[r:INTERACTED]->() DELETE r")
    store.cypher(
        "MATCH (u:User {id: 'u01'}), (i:Item {id: 'blank'}) CREATE (u)-[:INTERACTED {weight: 1.0}]->(i)"
    )
    assert rec.refresh().whole == "somebody wrote who keeps no log of changes"
    assert store.snapshot().equals(rec.graph)
    assert rec.refresh() == (0, "")


def test_plain_cypher_in_a_real_neo4j_is_noticed_between_logged_writes(
    request: pytest.FixtureRequest, world: KnowledgeGraph, encoder: TextEncoder
) -> None:
    store: GraphStore = request.getfixturevalue("_neo4j_store")
    store.cypher("MATCH (n) DETACH DELETE n")
    store.write(world)
    rec = fitted(store, encoder)
    rec.add_interactions(LIKE)
    rec.undo("u01", "hit")
    assert rec.refresh() == (0, "")
    rec.add_interactions([{"user_id": "new", "item_id": "s1"}])
    store.cypher("MATCH (:User {id: 'u00'})-[r:INTERACTED]->() DELETE r")
    rec.add_interactions([{"user_id": "new", "item_id": "s2"}])
    assert rec.refresh().whole == "somebody wrote who keeps no log of changes"
    assert store.snapshot().equals(rec.graph), store.snapshot().differences(rec.graph)
    rec.add_interactions([{"user_id": "new", "item_id": "s3"}])
    assert rec.refresh().whole == ""


def test_saved_model_takes_over_what_came_after_it(
    store: GraphStore, encoder: TextEncoder, tmp_path: Path
) -> None:
    rec = fitted(store, encoder)
    rec.add_interactions(LIKE)
    rec.save(tmp_path / "model")
    rec.add_interactions([{"user_id": "newer", "item_id": "s1"}])
    rec.undo("new", "s0")
    again = load(tmp_path / "model", store=store)
    assert "newer" not in again.graph.users.vocabulary
    assert again.refresh() == (2, "")
    assert again.graph.equals(rec.graph)
    assert again.state.drift.events == rec.state.drift.events
    pd.testing.assert_frame_equal(again.recommend("newer", k=5), rec.recommend("newer", k=5))


def test_model_of_another_graph_is_refused(
    store: GraphStore, encoder: TextEncoder, tmp_path: Path, world: KnowledgeGraph
) -> None:
    fitted(store, encoder).save(tmp_path / "model")
    HybridRecommender("genre", text_encoder=encoder).fit(world, show=False).save(tmp_path / "alone")
    store.cypher("MATCH (n) DETACH DELETE n")
    store.write(world)
    with pytest.raises(ModelError, match="model of another graph"):
        load(tmp_path / "model", store=store)
    with pytest.raises(ModelError, match="not fitted on a store"):
        load(tmp_path / "alone", store=store)
    with pytest.raises(ConfigError, match="follows no store"):
        load(tmp_path / "model").refresh()


def test_old_changes_are_dropped_and_who_is_behind_reads_the_graph(
    store: GraphStore, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_log, "KEPT", 3)
    monkeypatch.setattr(store_log, "_PRUNED_EVERY", 2)
    one, two = fitted(store, encoder), fitted(store, encoder)
    for number in range(9):
        one.add_interactions([{"user_id": f"n{number}", "item_id": "s0"}])
    assert store.cypher("MATCH (c:_KgenreChange) RETURN count(c) AS n")["n"][0] <= 5
    assert "no longer reaches back" in two.refresh().whole
    assert two.graph.equals(one.graph)


def test_store_that_is_gone_changes_nothing_and_what_is_repeated_counts_once(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    event = [{"user_id": "new", "item_id": "s0", "event_id": "e1", "timestamp": 1e9}]
    with connect(tmp_path / "store") as store:
        store.write(world)
        rec = fitted(store, encoder)
    now = rec.now
    with pytest.raises(StoreUnavailableError, match="closed"):
        rec.add_interactions(event)
    assert rec.now is now
    with connect(tmp_path / "store") as store:
        rec._store = store
        rec.add_interactions(event)
        rec.add_interactions(event)
        assert rec.refresh().whole == ""
        assert store.snapshot().equals(rec.graph)
