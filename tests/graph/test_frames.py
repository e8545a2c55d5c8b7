from datetime import date, datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError

INTERACTIONS = pd.DataFrame({"user_id": ["ann", "ann", "bob"], "item_id": ["i1", "i2", "i1"]})
FACTS = pd.DataFrame({"head_id": ["i1"], "relation": ["DIRECTED_BY"], "tail_id": ["p1"]})
from_frames = KnowledgeGraph.from_frames


@given(data=st.data())
def test_frames_of_any_graph_make_the_same_graph(graphs, data):
    kg = data.draw(graphs)
    assert from_frames(**kg.to_frames()).differences(kg) == []


def test_frames_are_keyed_by_what_they_hold(small):
    frames = small.to_frames()
    assert list(frames) == ["interactions", "users", "items", "Person", "facts"]
    assert frames["interactions"].columns.tolist() == ["user_id", "item_id", "weight", "timestamp"]
    assert frames["Person"].columns.tolist() == ["id", "name", "text", "born"]
    assert frames["Person"]["born"].dtype == pd.Int64Dtype()
    assert frames["facts"].iloc[2].to_dict() == {
        "head_id": "i1",
        "relation": "SEQUEL",
        "tail_id": "i3",
        "head_label": "Item",
        "tail_label": "Item",
        "weight": 0.5,
    }


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        pl.from_pandas,
        lambda frame: pl.from_pandas(frame).lazy(),
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
    ],
    ids=["pandas", "polars", "lazy", "arrow table", "arrow batch"],
)
def test_pandas_polars_and_arrow_give_the_same_graph(convert):
    items = pd.DataFrame({"item_id": ["i1", "i3"], "name": ["Alien", "Babe"], "year": [1979, 1995]})
    tables = {"items": items, "facts": FACTS}
    expected = from_frames(INTERACTIONS, **tables)
    got = from_frames(convert(INTERACTIONS), **{key: convert(table) for key, table in tables.items()})
    assert got.differences(expected) == []
    assert list(got.items.vocabulary) == ["i1", "i2", "i3"]
    assert got.items.properties.to_pylist() == [{"year": 1979}, {"year": None}, {"year": 1995}]


@pytest.mark.parametrize(
    "ids", [[1, 20], [1.0, 20.0], ["1", "20"], pd.array([1, 20], dtype="Int64"), pd.Categorical(["1", "20"])]
)
def test_whole_numbers_are_ids_without_a_point(ids):
    kg = from_frames(pd.DataFrame({"user_id": ids, "item_id": ids}))
    assert list(kg.users.vocabulary) == ["1", "20"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, None], "interactions row 1 .*: the item_id is missing"),
        (["a", ""], "interactions row 1 .*: the item_id is missing"),
        ([1.0, 2.5], r"interactions row 1 .*: item_id is 2\.5"),
        ([1.0, float("inf")], "interactions row 1 .*: item_id is inf"),
        ([True, False], "column 'item_id' is of type Boolean"),
        ([1, "a"], "column 'item_id' mixes types"),
    ],
)
def test_what_cannot_be_an_id_is_refused_by_row(ids, message):
    with pytest.raises(DataError, match=message):
        from_frames(pd.DataFrame({"user_id": ["u", "v"], "item_id": pd.Series(ids)}))


def test_weights_and_dates(small):
    frame = INTERACTIONS.assign(weight=[1, -1, 0.5], timestamp=pd.to_datetime(["1970-01-02"] * 3))
    inter = from_frames(frame).interactions
    assert inter.weight.tolist() == [1, -1, 0.5]
    assert inter.timestamp.tolist() == [86400] * 3


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("weight", [1, float("nan"), 1], "row 1 .*: weight is missing; give a finite number"),
        ("weight", [1, float("inf"), 1], "row 1 .*: weight is inf; give a finite number"),
        ("weight", ["a", "b", "c"], "column 'weight' is of type String; it takes numbers"),
        ("timestamp", ["monday"] * 3, "column 'timestamp' is of type String; it takes numbers"),
        ("timestmp", [1, 2, 3], "unknown column 'timestmp'; did you mean 'timestamp'"),
        ("Weight", [1, 2, 3], "unknown column 'Weight'; did you mean 'weight'"),
    ],
)
def test_bad_columns_of_interactions_are_refused_by_name(column, values, message):
    with pytest.raises(DataError, match=message):
        from_frames(INTERACTIONS.assign(**{column: values}))


def test_missing_columns_are_named_with_the_nearest():
    with pytest.raises(DataError, match=r"interactions: no column 'user_id'.*nearest: userid"):
        from_frames(INTERACTIONS.rename(columns={"user_id": "userid"}))
    with pytest.raises(DataError, match=r"facts: no column 'relation'.*nearest: relations"):
        from_frames(INTERACTIONS, facts=FACTS.rename(columns={"relation": "relations"}))
    with pytest.raises(DataError, match=r"items: no column 'directer'.*nearest: director"):
        from_frames(items=pd.DataFrame({"item_id": ["a"], "director": ["b"]}), fact_columns=["directer"])


def test_tables_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="no table was passed"):
        from_frames()
    with pytest.raises(DataError, match="interactions is a list; pass a pandas, polars or arrow table"):
        from_frames([("u", "i")])
    with pytest.raises(DataError, match="unknown table 'item'; did you mean items"):
        from_frames(INTERACTIONS, item=INTERACTIONS)
    with pytest.raises(DataError, match="pass them as users= or items="):
        from_frames(INTERACTIONS, Item=INTERACTIONS)
    with pytest.raises(DataError, match="are about the items; pass items="):
        from_frames(INTERACTIONS, fact_columns=["director"])
    with pytest.raises(DataError, match="column 'item_id' stands twice"):
        from_frames(pd.DataFrame([["u", "i", "j"]], columns=["user_id", "item_id", "item_id"]))


def test_fact_columns_make_entities_of_scalars_lists_and_split_strings():
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "c"],
            "director": ["Ridley Scott", None, "Ridley Scott"],
            "genres": [["Horror", "Sci-Fi"], [], None],
            "lead_actor": ["Weaver | Holm", "", "Holm"],
            "year": [1979, 1995, 1986],
        }
    )
    kg = from_frames(items=items, fact_columns=["director", "genres", "lead_actor", "year"], split="|")
    assert kg.labels == ("User", "Item", "Director", "Genres", "LeadActor", "Year")
    assert kg.relations == ("DIRECTOR", "GENRES", "LEAD_ACTOR", "YEAR")
    assert kg.table("LeadActor").names.to_pylist() == ["Holm", "Weaver"]
    assert kg.item_facts()["LEAD_ACTOR"].getnnz(axis=1).tolist() == [2, 0, 1]
    assert kg.table("Year").names.to_pylist() == ["1979", "1986", "1995"]
    assert kg.items.texts.to_pylist() == [
        "Ridley Scott. Horror, Sci-Fi. Weaver, Holm",
        None,
        "Ridley Scott. Holm",
    ]


def test_an_end_of_a_fact_without_a_label_is_the_known_node_with_its_id():
    facts = pd.DataFrame({"head_id": ["i1", "p1", "x"], "relation": ["r"] * 3, "tail_id": ["p1", "x", "i1"]})
    people = pd.DataFrame({"id": ["p1"], "name": ["Ridley Scott"]})
    frames = from_frames(INTERACTIONS, facts=facts, Person=people).to_frames()["facts"]
    assert sorted(frames[["head_id", "head_label"]].values.tolist()) == [
        ["i1", "Item"],
        ["p1", "Person"],
        ["x", "Entity"],
    ]


def test_labels_in_the_facts_prevail_where_they_are_given():
    facts = FACTS.assign(head_label=["Film"], tail_label=[None])
    kg = from_frames(INTERACTIONS, facts=facts)
    assert kg.labels == ("User", "Item", "Entity", "Film")
    assert kg.node_id(kg.relation("DIRECTED_BY").head[0]) == "i1"


def test_texts_are_made_of_columns_unless_they_are_given():
    items = pd.DataFrame({"item_id": ["a"], "title": ["Alien"], "plot": ["In space!"], "tag": ["horror"]})
    assert from_frames(items=items).items.texts.to_pylist() == ["Alien. In space! horror"]
    assert from_frames(items=items, text="{title}: {plot}").items.texts.to_pylist() == ["Alien: In space!"]
    given_texts = from_frames(items=items.assign(text=["my own"])).items
    assert given_texts.texts.to_pylist() == ["my own"]
    assert given_texts.names.to_pylist() == ["Alien"]


def test_properties_take_the_types_that_every_store_knows():
    items = pl.DataFrame(
        {
            "item_id": ["a"],
            "day": [date(1979, 5, 25)],
            "at": [datetime(1979, 5, 25, 12)],
            "small": pl.Series([3], dtype=pl.Int8),
            "kind": pl.Series(["x"], dtype=pl.Categorical),
            "gap": [float("nan")],
            "half": pl.Series([0.5], dtype=pl.Float32),
            "yes": [True],
        }
    )
    kg = from_frames(items=items)
    assert kg.items.properties.to_pylist() == [
        {
            "at": "1979-05-25T12:00:00.000000",
            "day": "1979-05-25",
            "half": 0.5,
            "kind": "x",
            "small": 3,
            "yes": True,
        }
    ]
    with pytest.raises(DataError, match="property 'x' is a Struct"):
        from_frames(items=pl.DataFrame({"item_id": ["a"], "x": [{"y": 1}]}))
    with pytest.raises(DataError, match="a property cannot be called 'id'"):
        from_frames(items=pl.DataFrame({"item_id": ["a"], "id": [1]}))


def test_empty_tables_are_no_error():
    none = INTERACTIONS.head(0)
    kg = from_frames(none, items=pd.DataFrame({"item_id": ["a"]}), facts=FACTS.head(0))
    assert (kg.n_users, kg.n_items, kg.n_interactions, kg.n_facts) == (0, 1, 0, 0)
