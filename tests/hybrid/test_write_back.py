"""Vectors and lists of a fitted recommender, in the store they come from."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import kgenre
from kgenre.encoders import TextEncoder
from kgenre.graph import GraphSchema, GraphStore, KnowledgeGraph
from kgenre.graph.errors import ConfigError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.reasons import Reason
from kgenre.hybrid.write_back import fingerprint


def neighbours(store: GraphStore, item: str, k: int = 3) -> list[str]:
    vector = store.cypher("MATCH (i:Item {id: $id}) RETURN i.embedding AS v", id=item)["v"][0]
    return [found for found in store.nearest("Item", vector, k + 1)["id"] if found != item]


def test_vectors_are_the_gnn_s_where_there_is_one(
    embedded_store: GraphStore, world: KnowledgeGraph, every: HybridRecommender
) -> None:
    embedded_store.write(world)
    every.write_vectors(embedded_store)
    assert {item[0] for item in neighbours(embedded_store, "s3", 5)} == {"s"}
    # Of the blank film nothing is known: no vector.
    assert embedded_store.cypher("MATCH (i:Item {id: 'blank'}) RETURN i.embedding AS v")["v"].isna().all()


def test_vectors_are_the_texts_where_nothing_was_learned(
    embedded_store: GraphStore, world: KnowledgeGraph, encoder: TextEncoder
) -> None:
    embedded_store.write(world)
    rec = HybridRecommender("genre", text_encoder=encoder).fit(world, show=False)
    rec.write_vectors(embedded_store)
    assert neighbours(embedded_store, "query")[0] == "echo"


def test_lists_in_the_store_are_those_of_recommend(
    embedded_store: GraphStore, world: KnowledgeGraph, encoder: TextEncoder
) -> None:
    embedded_store.write(world)
    config = HybridConfig.preset("genre")
    rec = HybridRecommender(config, text_encoder=encoder).fit(embedded_store, show=False)
    assert rec.write_recommendations(embedded_store, 3, users=["u00", "u30"], model="m", reasons=False) == 6
    query = (
        "MATCH (:User {id: 'u30'})-[r:RECOMMENDED]->(i) RETURN i.id AS id, r.reason AS reason ORDER BY r.rank"
    )
    found = embedded_store.cypher(query)
    assert found["id"].tolist() == rec.recommend("u30", 3)["item_id"].tolist()
    assert found["reason"].isna().all()


KILLED = """
import os, signal, sys
import kgenre
from kgenre.hybrid import HybridRecommender, write_back
write_back._USERS_AT_ONCE = 5
strongest_reason = HybridRecommender.strongest_reason
def counted(self, user, item, done=[0]):
    done[0] += 1
    if done[0] == 31:
        os.kill(os.getpid(), signal.SIGKILL)
    return strongest_reason(self, user, item)
HybridRecommender.strongest_reason = counted
kgenre.load(sys.argv[1]).write_recommendations(kgenre.connect(sys.argv[2]), 2, model="m")
"""


def test_lists_that_a_killed_writer_staged_are_not_made_again(
    embedded_store: GraphStore, genre: HybridRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_store.write(genre.graph)
    genre.save(tmp_path / "model")
    assert embedded_store._server is not None
    command = [sys.executable, "-c", KILLED, str(tmp_path / "model"), str(embedded_store._server.folder)]
    assert subprocess.run(command, check=False).returncode == -9
    explained = []
    strongest_reason = HybridRecommender.strongest_reason

    def counted(self: HybridRecommender, user: str, item: str) -> Reason | None:
        explained.append(user)
        return strongest_reason(self, user, item)

    monkeypatch.setattr(HybridRecommender, "strongest_reason", counted)
    n = genre.graph.n_users
    assert kgenre.load(tmp_path / "model").write_recommendations(embedded_store, 2, model="m") == 2 * n
    # Five users, two items each: three times ten reasons before the kill.
    assert len(explained) == 2 * (n - 15)
    # Under another name they are others' lists.
    genre.write_recommendations(embedded_store, 2, model="at once")
    assert len(explained) == 2 * (n - 15) + 2 * n
    query = "MATCH (u)-[r:RECOMMENDED]->(i) WHERE r.model = $model "
    query += "RETURN u.id AS user, i.id AS item, r.rank AS rank, r.score AS score, r.reason AS reason"
    query += " ORDER BY user, rank"
    found, expected = (embedded_store.cypher(query, model=model) for model in ("m", "at once"))
    pd.testing.assert_frame_equal(found, expected)


def test_version_of_lists_is_the_same_after_loading_and_another_after_a_change(
    world: KnowledgeGraph, encoder: TextEncoder, tmp_path: Path
) -> None:
    rec = HybridRecommender("genre", text_encoder=encoder).fit(world, show=False)
    before = fingerprint(rec.state)
    rec.save(tmp_path / "model")
    assert fingerprint(kgenre.load(tmp_path / "model").state) == before
    rec.add_interactions(pd.DataFrame({"user_id": ["u00"], "item_id": ["s3"], "weight": [-1.0]}))
    assert fingerprint(rec.state) != before


def test_store_of_other_labels_is_refused(embedded_store: GraphStore, every: HybridRecommender) -> None:
    before, embedded_store.schema = embedded_store.schema, GraphSchema(user_label="Reader", item_label="Book")
    try:
        with pytest.raises(
            ConfigError, match="users and items are User and Item, the store's schema has Reader"
        ):
            every.write_vectors(embedded_store)
    finally:
        embedded_store.schema = before
