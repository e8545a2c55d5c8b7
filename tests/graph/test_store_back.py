"""Vectors, indexes, search and recommendations in a store; on both engines."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from kgenre.graph import GraphBuilder, GraphSchema, GraphStore
from kgenre.graph.errors import ConfigError, CypherError, DataError, UnknownIdError

TEXTS = ["A crew meets a stranger in space.", "An ocean, and space.", "A pig herds sheep.", None]


@pytest.fixture
def films(store: GraphStore) -> Iterator[GraphStore]:
    """Four films called Movie with vectors' room, since an index outlives the nodes of a test."""
    names = ["Alien", "Solaris", "Babe", "AC/DC: Live (AND loud!)"]
    builder = GraphBuilder("Viewer", "Movie").add_nodes("Movie", ["1", "2", "3", "4"], names, TEXTS)
    builder.add_interactions(["ann", "bob"], ["1", "3"])
    store.write(builder.build())
    before, store.schema = store.schema, GraphSchema(user_label="Viewer", item_label="Movie")
    yield store
    store.schema = before


def one_hot(*places: float) -> list[list[float]]:
    return [[float(i == place) for i in range(3)] for place in places]


# -- indexes and full text ---------------------------------------------------------------------------


def test_search_finds_words_and_says_how_to_make_its_index(films: GraphStore) -> None:
    if not films.cypher("SHOW INDEXES YIELD type WHERE type = 'FULLTEXT' RETURN type").size:
        with pytest.raises(ConfigError, match=r"'Movie' has no full text index; .*create_index\('fulltext'"):
            films.search("space")
    name = films.create_index("fulltext", "Movie", ["name", "text"])
    assert films.create_index("fulltext", "Movie", ["name", "text"]) == name == "Movie[name,text]"
    found = films.search("SPACE stranger")
    assert found.columns.tolist() == ["rank", "id", "name", "score"]
    assert found["id"].tolist() == ["1", "2"]
    assert found["score"].is_monotonic_decreasing
    assert films.search("space", k=1)["id"].tolist() == ["2"]
    by_hand = "CALL db.index.fulltext.queryNodes($index, 'pig') YIELD node RETURN node.id AS id"
    assert films.cypher(by_hand, index=name)["id"].tolist() == ["3"]


@pytest.mark.parametrize(
    "text", ["AC/DC: (live", 'AND "loud', "a* ~ [live] ^2 \\ OR", "live'}) DETACH DELETE n //"]
)
def test_search_takes_any_text_for_words(films: GraphStore, text: str) -> None:
    films.create_index("fulltext", "Movie", ["name", "text"])
    assert "4" in films.search(text)["id"].tolist()


def test_search_for_nothing_but_signs_finds_nothing(films: GraphStore) -> None:
    films.create_index("fulltext", "Movie", ["name", "text"])
    assert films.search(' "*" ').empty
    assert films.search("zebra").empty
    with pytest.raises(ConfigError, match="k=0"):
        films.search("space", k=0)


def test_unique_index_refuses_a_second_node(films: GraphStore) -> None:
    films.create_index("unique", "Movie", "isbn")
    films.cypher("CREATE (:Movie {id: 'x', isbn: 'one'})")
    with pytest.raises(CypherError):
        films.cypher("CREATE (:Movie {id: 'y', isbn: 'one'})")
    assert films.cypher("MATCH (m:Movie {isbn: 'one'}) RETURN m.id")["m.id"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("fultext", "Movie", "name"), ConfigError, "unknown kind of index 'fultext'.*nearest: fulltext"),
        (("fulltext", "Movy", "name"), UnknownIdError, "no label 'Movy' to index.*nearest: Movie"),
        (("vector", "Movie", "v"), ConfigError, "needs dimensions"),
        (("vector", "Movie", ["a", "b"]), ConfigError, "over 2 properties; name one"),
    ],
)
def test_index_that_cannot_be_is_refused(
    films: GraphStore, arguments: tuple[str, str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        films.create_index(*arguments)


# -- vectors -----------------------------------------------------------------------------------------


def test_nearest_is_what_the_cosine_says_and_what_cypher_finds(films: GraphStore) -> None:
    rng = np.random.default_rng(0)
    ids = [f"n{i}" for i in range(60)]
    films.add_nodes("Point", pd.DataFrame({"id": ids}))
    vectors = rng.normal(size=(60, 8))
    index = films.write_vectors("Point", ids, vectors)
    found = films.nearest("Point", vectors[7], 5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit[7]
    best = np.argsort(-cosine)[:5]
    assert found["id"].tolist() == [ids[i] for i in best]
    assert found["score"].to_numpy() == pytest.approx((1 + cosine[best]) / 2, abs=0.03)
    query = "CALL db.index.vector.queryNodes($i, 5, $v) YIELD node, score RETURN node.id AS id ORDER BY score DESC"
    by_hand = films.cypher(query, i=index, v=vectors[7].tolist())
    assert by_hand["id"].tolist() == found["id"].tolist()


def test_vectors_written_again_replace_the_earlier_ones(films: GraphStore) -> None:
    films.write_vectors("Movie", ["1", "2", "3"], one_hot(0, 1, 2))
    films.write_vectors("Movie", ["1", "3"], one_hot(2, 0))
    assert films.nearest("Movie", [1, 0, 0], 1)["id"].tolist() == ["3"]
    # Another length: those of the old one do not stay beside it.
    films.write_vectors("Movie", ["1", "2"], [[1.0, 0.0], [0.0, 1.0]])
    assert films.nearest("Movie", [0.1, 1], 10)["id"].tolist() == ["2", "1"]
    assert films.cypher("MATCH (m:Movie) WHERE m.embedding IS NOT NULL RETURN m.id")["m.id"].size == 2


def test_rows_without_a_vector_are_left_out(films: GraphStore) -> None:
    films.write_vectors("Movie", ["1", "2", "3"], [[0.0, 1, 0], [np.nan] * 3, [0, 0, 0]])
    assert films.nearest("Movie", [0, 1, 0], 10)["id"].tolist() == ["1"]


def test_euclidean_vectors_have_their_own_property(films: GraphStore) -> None:
    films.write_vectors("Movie", ["1", "2"], [[3.0, 0], [1.0, 0.1]], property="place", similarity="euclidean")
    found = films.nearest("Movie", [2.9, 0], 2, property="place")
    assert found["id"].tolist() == ["1", "2"]
    assert found["score"].to_numpy() == pytest.approx([1 / (1 + 0.01), 1 / (1 + 1.9**2 + 0.01)], abs=0.03)


@pytest.mark.parametrize(
    ("ids", "vectors", "error", "message"),
    [
        (["1", "9"], one_hot(0, 1), UnknownIdError, r"no Movie with the id '9' \(1 unknown\)"),
        (["1"], one_hot(0, 1), DataError, r"1 ids and vectors of shape \(2, 3\)"),
        (["1"], [[np.inf, 0, 0]], DataError, "infinite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused_before_anything_is_written(
    films: GraphStore, ids: list[str], vectors: list[list[float]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        films.write_vectors("Movie", ids, vectors, property="never")
    assert films.cypher("MATCH (m:Movie) WHERE m.never IS NOT NULL RETURN m").empty


def test_nearest_without_vectors_says_what_to_do(films: GraphStore) -> None:
    with pytest.raises(ConfigError, match="'Viewer' has no vector index; write vectors first"):
        films.nearest("Viewer", [1, 0, 0])
    films.write_vectors("Movie", ["1"], one_hot(0))
    with pytest.raises(DataError, match="zero or not finite"):
        films.nearest("Movie", [0, 0, 0])


def test_snapshot_knows_nothing_of_what_was_written_back(films: GraphStore) -> None:
    before = films.snapshot()
    films.write_vectors("Movie", ["1", "2"], one_hot(0, 1))
    films.write_recommendations(lists(["ann", "bob"], ["2", "2"]))
    assert before.differences(films.snapshot()) == []
    asked = GraphSchema(
        user_label="Viewer",
        item_label="Movie",
        labels={"Movie": {"properties": ["embedding"]}},
        fact_types=["RECOMMENDED"],
    )
    kg = films.snapshot(asked)
    assert kg.items.properties["embedding"].to_pylist()[:3] == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], None]
    assert len(kg.relation("RECOMMENDED")) == 2


def test_relation_that_is_called_recommended_is_a_fact_still(store: GraphStore) -> None:
    kg = GraphBuilder().add_facts("RECOMMENDED", ["i"], ["j"], "Item", "Item").build()
    store.write(kg)
    assert kg.differences(store.snapshot()) == []


# -- recommendations ---------------------------------------------------------------------------------


def lists(users: list[str], items: list[str], reason: str | None = "because") -> pd.DataFrame:
    n = len(users)
    return pd.DataFrame(
        {"user_id": users, "item_id": items, "rank": range(1, n + 1), "score": np.linspace(1, 0, n)}
    ).assign(reason=reason)


STORED = "MATCH (u:Viewer)-[r:RECOMMENDED]->(m:Movie) RETURN u.id AS user, m.id AS item, r.rank AS rank, "
STORED += "r.score AS score, r.reason AS reason, r.model AS model ORDER BY model, rank, user"


def test_recommendations_are_relationships_and_replaced_by_model(films: GraphStore) -> None:
    assert (
        films.write_recommendations(lists(["ann", "bob"], ["2", "1"], "you liked 'Alien'`"), model="a") == 2
    )
    films.write_recommendations(iter([lists(["ann"], ["3"]), lists(["bob"], ["4"])]), model="b")
    films.write_recommendations(lists(["bob"], ["2"], None), model="a")
    found = films.cypher(STORED)
    assert found[["model", "user", "item"]].to_numpy().tolist() == [
        ["a", "bob", "2"],
        ["b", "ann", "3"],
        ["b", "bob", "4"],
    ]
    assert found["reason"].tolist()[1:] == ["because", "because"]
    assert found["reason"].isna()[0]
    assert (films.remove_recommendations("b"), films.remove_recommendations("b")) == (2, 0)
    assert films.cypher(STORED)["model"].tolist() == ["a"]
    assert films.write_recommendations(lists([], []), model="a") == 0
    assert films.cypher(STORED).empty


def test_replacement_that_fails_within_leaves_the_old_recommendations(films: GraphStore) -> None:
    films.write_recommendations(lists(["ann"], ["4"], "another's").assign(rank=7), model="other")
    films.write_recommendations(lists(["ann", "bob"], ["1", "2"], "old"))
    films.cypher("CREATE CONSTRAINT once FOR ()-[r:RECOMMENDED]-() REQUIRE r.rank IS UNIQUE")
    try:
        # The engine refuses the other model's rank, after it has removed the old ones in the same transaction.
        with pytest.raises(CypherError):
            films.write_recommendations(lists(["ann", "bob"], ["3", "4"], "new").assign(rank=[1, 7]))
    finally:
        films.cypher("DROP CONSTRAINT once")
    assert films.cypher(STORED)["reason"].tolist() == ["old", "old", "another's"]
    assert films.write_recommendations(lists(["ann"], ["3"], "new")) == 1
    assert films.cypher(STORED)["reason"].tolist() == ["new", "another's"]


def test_interrupted_recommendations_leave_the_old_ones_and_go_on(films: GraphStore) -> None:
    films.write_recommendations(lists(["ann"], ["4"], "old"))

    def cut() -> Iterator[pd.DataFrame]:
        yield lists(["ann"], ["1"], "new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        films.write_recommendations(cut())
    assert films.cypher(STORED)["reason"].tolist() == ["old"]
    staged = "MATCH ()-[s:RECOMMENDED_STAGED]->() RETURN elementId(s) AS id, s.rank AS rank"
    before = films.cypher(staged)
    assert len(before) == 1

    def watched() -> Iterator[pd.DataFrame]:
        yield lists(["ann"], ["1"], "new")
        yield lists(["bob"], ["2"], "new")
        # What was staged before the cut is still the same relationship.
        assert set(before["id"]) < set(films.cypher(staged)["id"])
        yield lists(["bob"], ["3"], "new")

    assert films.write_recommendations(watched()) == 3
    assert sorted(films.cypher(STORED)["item"]) == ["1", "2", "3"]
    assert films.cypher(staged).empty


def test_leftovers_of_another_run_are_not_taken_for_this_one_s(films: GraphStore) -> None:
    def cut() -> Iterator[pd.DataFrame]:
        yield lists(["ann"], ["1"], "stale")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        films.write_recommendations(cut())
    films.write_recommendations(lists(["bob"], ["2"], "fresh"))
    assert films.cypher(STORED)["reason"].tolist() == ["fresh"]


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (lists(["ann", "zed"], ["1", "2"]), UnknownIdError, "no Viewer with the id 'zed'"),
        (lists(["ann"], ["9"]), UnknownIdError, "no Movie with the id '9'"),
        (lists(["ann"], ["1"]).drop(columns="rank"), DataError, "no column 'rank'"),
        (lists(["ann"], ["1"]).assign(score=np.inf), DataError, "score is inf"),
    ],
)
def test_recommendations_that_do_not_fit_leave_the_old_ones(
    films: GraphStore, frame: pd.DataFrame, error: type[Exception], message: str
) -> None:
    films.write_recommendations(lists(["bob"], ["1"], "old"))
    with pytest.raises(error, match=message):
        films.write_recommendations(frame)
    assert films.cypher(STORED)["reason"].tolist() == ["old"]


def test_schema_of_another_graph_is_named_when_writing_back(films: GraphStore) -> None:
    films.schema = GraphSchema(user_label="Viewer", item_label="Movie", labels={"Movie": {"id": "sku"}})
    with pytest.raises(ConfigError, match=r"no node of label 'Movie' has the property 'sku'.*store.schema"):
        films.write_vectors("Movie", ["1"], one_hot(0))


def test_hostile_values_reach_no_query(films: GraphStore) -> None:
    hostile = "x'}) DETACH DELETE n // `\"\\ $rows {model} 🎬\u202e"
    films.add_nodes("Viewer", pd.DataFrame({"id": [hostile]}))
    films.add_nodes("Movie", pd.DataFrame({"id": [hostile]}))
    frame = lists([hostile], [hostile], hostile)
    films.write_recommendations(frame, model=hostile)
    films.write_vectors("Movie", [hostile], one_hot(1), property="odd`key")
    row = films.cypher(STORED).iloc[0]
    assert (row["user"], row["item"], row["reason"], row["model"]) == (hostile,) * 4
    assert films.nearest("Movie", [0, 1, 0], property="odd`key")["id"].tolist() == [hostile]
    assert films.remove_recommendations(hostile) == 1
    assert films.cypher("MATCH (n) RETURN count(n) AS n")["n"][0] == 8


KILLED = """
import os, signal, sys
import pandas as pd
from kgenre.graph import GraphSchema, connect
schema = GraphSchema(user_label="Viewer", item_label="Movie")
store = connect(sys.argv[1], auth=(sys.argv[2], sys.argv[3]), schema=schema)
def blocks():
    for item in "12":
        yield pd.DataFrame({"user_id": ["ann"], "item_id": [item], "rank": [1], "score": [0.5], "reason": ["new"]})
    os.kill(os.getpid(), signal.SIGKILL)
store.write_recommendations(blocks())
"""


@pytest.fixture
def address(films: GraphStore, request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Address, user and password of the store, for a process of its own that is killed."""
    if films._server is not None:
        return f"bolt://127.0.0.1:{films._server.port}", "root", films._server.password
    uri, auth = request.getfixturevalue("neo4j_address")
    return uri, *auth


KILLED_AT_VECTORS = """
import os, signal, sys
import numpy as np
from kgenre.graph import bolt, connect, store_back
store_back._VECTORS = 10
store = connect(sys.argv[1], auth=(sys.argv[2], sys.argv[3]))
update = bolt.Bolt.update
def counted(self, query, rows, done=[0]):
    done[0] += 1
    if done[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, query, rows)
bolt.Bolt.update = counted
vectors = np.random.default_rng(0).normal(size=(60, 8))
store.write_vectors("Point", [str(i) for i in range(60)], vectors, property="place")
"""


def test_vectors_that_a_killed_writer_wrote_are_let_be(
    films: GraphStore, address: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kgenre")
    films.add_nodes("Point", pd.DataFrame({"id": [str(i) for i in range(60)]}))
    done = subprocess.run([sys.executable, "-c", KILLED_AT_VECTORS, *address], check=False)
    assert done.returncode == -9
    there = "MATCH (p:Point) WHERE p.place IS NOT NULL RETURN p.id AS id, p.place AS place"
    assert len(films.cypher(there)) == 30
    films.cypher("MATCH (p:Point {id: '0'}) SET p.place = $other", other=[1.0] * 8)
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    films.write_vectors("Point", [str(i) for i in range(60)], vectors, property="place")
    assert "wrote 31 vectors, 29 were there" in caplog.text
    found = films.cypher(there)
    assert {row.id: row.place for row in found.itertuples()} == {
        str(i): vectors[i].tolist() for i in range(60)
    }
    assert films.nearest("Point", vectors[7], 1, property="place")["id"].tolist() == ["7"]


def test_lists_of_the_same_version_need_not_be_given_again(films: GraphStore) -> None:
    def cut(stop: bool = True) -> Iterator[pd.DataFrame]:
        yield lists(["ann", "ann"], ["1", "2"], "new")
        if stop:
            raise KeyboardInterrupt

    for version in ("v1", "v2"):
        with pytest.raises(KeyboardInterrupt):
            films.write_recommendations(cut(), version=version)
        assert films.staged_users("kgenre", version) == {"ann"}
    assert films.staged_users("kgenre", "v3") == films.staged_users("other", "v2") == set()
    assert films.write_recommendations(lists(["bob"], ["3"], "new"), version="v2") == 3
    assert sorted(films.cypher(STORED)["item"]) == ["1", "2", "3"]
    assert films.staged_users("kgenre", "v2") == set()
    # Given again, they are there once.
    with pytest.raises(KeyboardInterrupt):
        films.write_recommendations(cut(), version="v3")
    assert films.write_recommendations(cut(stop=False), version="v3") == 2


def test_killed_writer_leaves_the_old_recommendations(
    films: GraphStore, address: tuple[str, str, str]
) -> None:
    films.write_recommendations(lists(["bob"], ["4"], "old"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *address], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert films.cypher(STORED)["reason"].tolist() == ["old"]
    assert films.cypher("MATCH ()-[s:RECOMMENDED_STAGED]->() RETURN count(s) AS n")["n"][0] >= 1
    films.write_recommendations(lists(["ann"], ["2"], "new"))
    assert films.cypher(STORED)[["item", "reason"]].to_numpy().tolist() == [["2", "new"]]
