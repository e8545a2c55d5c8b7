"""Vectors and lists of a fitted recommender, in the store they come from."""

import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphSchema, GraphStore, KnowledgeGraph
from kgenre.graph.errors import ConfigError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.config import HybridConfig


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


def test_store_of_other_labels_is_refused(embedded_store: GraphStore, every: HybridRecommender) -> None:
    before, embedded_store.schema = embedded_store.schema, GraphSchema(user_label="Reader", item_label="Book")
    try:
        with pytest.raises(
            ConfigError, match="users and items are User and Item, the store's schema has Reader"
        ):
            every.write_vectors(embedded_store)
    finally:
        embedded_store.schema = before
