"""Four graphs as other people keep them: read through their own schemas, recommended, explained, written back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphSchema, GraphStore, KnowledgeGraph
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.config import HybridConfig

SETTINGS = {"signals": ["multihop", "text", "popularity", "svd"], "tune": False, "baselines": False}


@dataclass(frozen=True)
class Graph:
    """A graph in Cypher over ``$rows`` of [user, item, day], its schema in YAML and what must come out."""

    cypher: tuple[str, ...]
    schema: str
    neighbour: str
    reason: str


# Users 0..9 take from items 0..5, users 10..19 from items 6..11, each four of the six.
ROWS = [
    [user, item, day]
    for user in range(20)
    for day, item in enumerate(np.random.default_rng(user).choice(6, 4, replace=False) + 6 * (user // 10))
]
ROWS = [[int(value) for value in row] for row in ROWS]

SHOP = Graph(
    (
        "UNWIND range(0, 19) AS i CREATE (:Customer {nr: 100 + i, fullName: 'Customer ' + toString(i)})",
        "CREATE (:Category {id: 'tea', name: 'Tea'}), (:Category {id: 'tools', name: 'Tools'})",
        "UNWIND range(0, 11) AS i CREATE (:Product {sku: 'P-' + toString(i), title: 'Product ' + toString(i), "
        "description: CASE WHEN i < 6 THEN 'A green tea from the hills, fresh and mild, number ' ELSE "
        "'A steel hammer for the workshop, heavy and hard, number ' END + toString(i)})",
        "MATCH (p:Product), (c:Category) WHERE (toInteger(substring(p.sku, 2)) < 6) = (c.id = 'tea') "
        "CREATE (p)-[:IN_CATEGORY]->(c)",
        "UNWIND $rows AS row MATCH (c:Customer {nr: 100 + row[0]}), (p:Product {sku: 'P-' + toString(row[1])}) "
        "CREATE (c)-[:PURCHASED]->(:Order {id: toString(row[0]) + '/' + toString(row[1]), "
        "at: datetime({year: 2024, month: 1, day: 1 + row[2]})})-[:ORDERS {quantity: 1}]->(p)",
    ),
    """
    user_label: Customer
    item_label: Product
    labels:
      Customer: {id: nr, name: fullName, text: null}
      Product: {id: sku, name: title, text: description}
    entity_labels: [Category]
    fact_types: [IN_CATEGORY]
    interactions:
      query: |
        MATCH (c:Customer)-[:PURCHASED]->(o:Order)-[:ORDERS]->(p:Product)
        RETURN c.nr AS user_id, p.sku AS item_id, o.at AS timestamp
    """,
    "P-",
    "Tea",
)
FILMS = Graph(
    (
        "UNWIND range(0, 19) AS i CREATE (:Person {userId: i, name: 'Person ' + toString(i)})",
        "CREATE (:Director {name: 'Ada Stone'}), (:Director {name: 'Ben Reed'})",
        "UNWIND range(0, 11) AS i CREATE (:Movie {movieId: i, title: 'Movie ' + toString(i), "
        "plot: CASE WHEN i < 6 THEN 'A starship crew meets aliens near a far planet, part ' ELSE "
        "'Two lovers marry in Paris after many long letters, part ' END + toString(i), year: 2000 + i})",
        "MATCH (m:Movie), (d:Director) WHERE (m.movieId < 6) = (d.name = 'Ada Stone') "
        "CREATE (m)-[:DIRECTED_BY]->(d)",
        "UNWIND $rows AS row MATCH (u:Person {userId: row[0]}), (m:Movie {movieId: row[1]}) "
        "CREATE (u)-[:RATED {rating: 4.0 + row[0] % 2, timestamp: 1000 + row[2]}]->(m)",
        # Everybody of the first ten disliked 6, and number 11 did so in the second ten.
        "UNWIND range(0, 9) AS i MATCH (u:Person {userId: i}), (m:Movie {movieId: 6}) "
        "CREATE (u)-[:RATED {rating: 1.0, timestamp: 5}]->(m)",
    ),
    """
    user_label: Person
    item_label: Movie
    labels:
      Person: {id: userId, name: name, text: null}
      Movie: {id: movieId, name: title, text: "{title}, {year}: {plot}"}
      Director: {id: name, text: null}
    entity_labels: [Director]
    interactions: {type: RATED, weight: rating, threshold: 3}
    """,
    "",
    "directed by Ada Stone",
)
MUSIC = Graph(
    (
        "UNWIND range(0, 19) AS i CREATE (:Listener {login: 'l' + toString(i)})",
        "CREATE (:Band {name: 'The Foxes'}), (:Band {name: 'Iron Owls'})",
        "UNWIND range(0, 11) AS i CREATE (:Song {uri: 'song:' + toString(i), title: 'Song ' + toString(i), "
        "mood: CASE WHEN i < 6 THEN 'quiet folk' ELSE 'loud metal' END, lyrics: 'la la ' + toString(i)})",
        "MATCH (s:Song), (b:Band) WHERE (s.mood = 'quiet folk') = (b.name = 'The Foxes') CREATE (b)-[:RECORDED]->(s)",
        "UNWIND $rows AS row MATCH (l:Listener {login: 'l' + toString(row[0])}), "
        "(s:Song {uri: 'song:' + toString(row[1])}) CREATE (l)-[:PLAYED {count: 1 + row[2], at: row[2]}]->(s)",
    ),
    """
    user_label: Listener
    item_label: Song
    labels:
      Listener: {id: login, name: login, text: null}
      Song: {id: uri, name: title, text: [mood, lyrics]}
      Band: {id: name, text: null}
    interactions: {type: PLAYED, weight: count, timestamp: at}
    """,
    "song:",
    "described like",
)
NEWS = Graph(
    (
        "UNWIND range(0, 19) AS i CREATE (:Reader {id: 'r' + toString(i)})",
        "CREATE (:Topic {slug: 'sport'}), (:Topic {slug: 'science'})",
        "UNWIND range(0, 11) AS i CREATE (:Article {id: 'a' + toString(i), headline: 'Headline ' + toString(i), "
        "body: CASE WHEN i < 6 THEN 'The team won the final in the last minute before a cheering crowd ' ELSE "
        "'Astronomers measured the light of a distant galaxy with a new telescope ' END + toString(i)})",
        "MATCH (a:Article), (t:Topic) WHERE (a.body STARTS WITH 'The team') = (t.slug = 'sport') "
        "CREATE (t)-[:COVERED_IN]->(a)",
        "UNWIND $rows AS row MATCH (r:Reader {id: 'r' + toString(row[0])}), (a:Article {id: 'a' + toString(row[1])}) "
        "CREATE (r)-[:CLICKED {time: row[2]}]->(a)",
        "MATCH (r:Reader {id: 'r0'}), (a:Article {id: 'a7'}) CREATE (r)-[:CLICKED {time: 9}]->(a), "
        "(r)-[:HID {time: 10}]->(a)",
    ),
    """
    user_label: Reader
    item_label: Article
    labels:
      Reader: {name: null, text: null}
      Article: {name: headline, text: body}
      Topic: {id: slug, name: slug, text: null}
    fact_types: []
    facts:
    - relation: ABOUT
      query: MATCH (t:Topic)-[:COVERED_IN]->(a:Article) RETURN a.id AS head_id, t.slug AS tail_id
      head_label: Article
      tail_label: Topic
    interactions:
    - {type: CLICKED, timestamp: time, factor: 0.5}
    - {type: HID, timestamp: time, factor: -1}
    """,
    "a",
    "sport",
)
GRAPHS = {"shop": SHOP, "films": FILMS, "music": MUSIC, "news": NEWS}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest, store: GraphStore) -> Iterator[tuple[Graph, GraphStore]]:
    found = GRAPHS[request.param]
    for query in found.cypher:
        store.cypher(query, rows=ROWS) if "$rows" in query else store.cypher(query)
    before = store.schema
    yield found, store
    store.schema = before


def likes(kg: KnowledgeGraph) -> set[tuple[int, int]]:
    """Likes as numbers of users and items, whatever their ids are called."""
    number = [
        [int("".join(c for c in key if c.isdigit())) % 100 for key in table.vocabulary]
        for table in (kg.users, kg.items)
    ]
    rows, columns = kg.likes.nonzero()
    return {(number[0][row], number[1][column]) for row, column in zip(rows, columns, strict=True)}


def test_own_graph_from_schema_to_what_is_written_back(
    graph: tuple[Graph, GraphStore], encoder: TextEncoder
) -> None:
    of, store = graph
    store.schema = GraphSchema.from_yaml(of.schema)
    config = HybridConfig.from_dict(SETTINGS)
    rec = HybridRecommender(config, text_encoder=encoder).fit(store, show=False)
    kg = rec.graph
    assert likes(kg) == {(user, item) for user, item, _ in ROWS}
    assert kg.interactions.timestamp is not None

    user = next(key for key in kg.users.vocabulary if key in ("100", "0", "l0", "r0"))
    taken = {item for of_user, item, _ in ROWS if of_user == 0}
    best = rec.recommend(user, k=2)
    assert {int(item.removeprefix(of.neighbour)) for item in best["item_id"]} == set(range(6)) - taken
    explanation = rec.explain(user, best["item_id"][0])
    assert any(of.reason in reason.text for reason in explanation.reasons)

    before = kg.n_facts, kg.n_interactions, kg.items.properties.column_names
    rec.write_vectors(store)
    assert rec.write_recommendations(store, k=2, model="test") == 40
    again = store.snapshot()
    assert (again.n_facts, again.n_interactions, again.items.properties.column_names) == before

    label = store.schema.item_label
    vector = store.cypher(
        f"MATCH (i:{label}) WHERE i[$key] = $id RETURN i.embedding AS vector",
        key=store.schema.label(label).id,
        id=_own(best["item_id"][0]),
    )["vector"][0]
    near = store.nearest(label, vector, 6)
    assert {int(item.removeprefix(of.neighbour)) for item in near["id"]} == set(range(6))

    written = store.cypher(
        f"MATCH (u:{store.schema.user_label})-[r:RECOMMENDED {{model: 'test'}}]->(i:{label}) "
        "WHERE u[$key] = $id RETURN i[$item] AS item_id, r.score AS score, r.reason AS reason ORDER BY r.rank",
        key=store.schema.label(store.schema.user_label).id,
        id=_own(user),
        item=store.schema.label(label).id,
    )
    assert written["item_id"].astype(str).tolist() == best["item_id"].tolist()
    assert written["score"].to_numpy() == pytest.approx(best["score"].to_numpy())
    assert written["reason"][0] == explanation.best(1)[0].text


def _own(key: str) -> Any:
    """An id as the graph itself holds it."""
    return int(key) if key.isdigit() else key


@pytest.mark.parametrize("graph", ["films"], indirect=True)
def test_ratings_below_the_threshold_are_dislikes(graph: tuple[Graph, GraphStore]) -> None:
    of, store = graph
    kg = store.snapshot(GraphSchema.from_yaml(of.schema))
    six = kg.items.vocabulary.get("6")
    assert np.flatnonzero(kg.dislikes[:, [six]].toarray()).size == 10
    assert set(np.unique(kg.interactions.weight)) == {-1.0, 1.0}


@pytest.mark.parametrize("graph", ["news"], indirect=True)
def test_weights_of_different_kinds_add_up(graph: tuple[Graph, GraphStore]) -> None:
    of, store = graph
    kg = store.snapshot(GraphSchema.from_yaml(of.schema))
    user, item = kg.users.vocabulary.get("r0"), kg.items.vocabulary.get("a7")
    row = (kg.interactions.user == user) & (kg.interactions.item == item)
    assert kg.interactions.weight[row].tolist() == [-0.5]
    assert kg.interactions.timestamp is not None
    assert kg.interactions.timestamp[row].tolist() == [10.0]
    assert kg.relation("ABOUT").head.size == 12


def test_proposed_schema_reads_the_same_interactions(graph: tuple[Graph, GraphStore]) -> None:
    of, store = graph
    proposed = GraphSchema.infer(store)
    wanted = GraphSchema.from_yaml(of.schema)
    text = proposed.to_yaml()
    assert (proposed.user_label, proposed.item_label) == (wanted.user_label, wanted.item_label), text
    for label in (proposed.user_label, proposed.item_label):
        assert (proposed.label(label).id, proposed.label(label).name) == (
            wanted.label(label).id,
            wanted.label(label).name,
        ), text
    again = GraphSchema.from_yaml(text)
    assert again.model_dump() == proposed.model_dump()
    kg = store.snapshot(again)
    assert likes(kg) >= {(user, item) for user, item, _ in ROWS}
    assert kg.n_facts == 12
    assert all(f"# {line}" in text for line in ("interactions: ", f"{proposed.item_label}: id "))


def test_proposal_for_what_kgenre_wrote_is_the_default(store: GraphStore, world: KnowledgeGraph) -> None:
    store.write(world)
    proposed = GraphSchema.infer(store)
    assert not proposed.differs(), proposed.to_yaml()
    assert pd.Series(proposed.reasons).str.contains("defaults fit").any()


@pytest.mark.parametrize("graph", ["music", "shop"], indirect=True)
def test_what_the_recommender_is_told_is_in_the_graph_if_the_schema_can_write_it(
    graph: tuple[Graph, GraphStore], encoder: TextEncoder
) -> None:
    of, store = graph
    store.schema = GraphSchema.from_yaml(of.schema)
    rec = HybridRecommender("genre", text_encoder=encoder).fit(store, show=False)
    before = store.snapshot()
    user, fresh = before.users.vocabulary[0], "9999"
    item = rec.recommend(user, 1)["item_id"][0]
    rec.add_interactions(
        [{"user_id": user, "item_id": item}, {"user_id": fresh, "item_id": item, "weight": -1.0}]
    )
    rec.add_items(pd.DataFrame({"item_id": ["777"], "name": ["A new one"]}))
    assert item not in rec.recommend(user, 5)["item_id"].tolist()
    after = store.snapshot()
    if of is SHOP:
        # A purchase is two relationships and an order: what to store nobody can say.
        assert before.differences(after) == []
        return
    assert (after.n_users, after.n_items) == (before.n_users + 1, before.n_items + 1)
    assert rec.graph.likes.nnz == after.likes.nnz == before.likes.nnz + 1
    assert after.dislikes.nnz == before.dislikes.nnz + 1
    assert after.items.name(after.items.vocabulary.get("777")) == "A new one"
    # The label itself may be there from another test of the same store.
    logged = store.cypher("MATCH (n) WHERE '_KgenreLog' IN labels(n) RETURN count(n) AS n")
    assert logged["n"].tolist() == [0]
    rec.add_interactions([{"user_id": user, "item_id": item, "weight": 0.0}])
    rec.forget_user(fresh)
    rec.remove_items(["777"])
    assert before.differences(store.snapshot()) == []
    # Somebody else's change comes by reading the graph.
    store.remove_nodes(store.schema.item_label, [item])
    rec.refresh()
    assert item not in rec.graph.items.vocabulary
