from pathlib import Path

import polars as pl
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError
from kgenre.graph.frames import facts_from_columns
from kgenre.graph.source import read_source

INTER = "user_id,item_id,weight,timestamp\nann,1,1,1970-01-02\nann,2,-1,\nbob,1,1,1970-01-01T00:01:00\n"
ITEMS = "id,name,year,code,seen,tags:list,director:fact\n1,Alien,1979,007,true,a|b,Ridley Scott\n2,Babe,,012,,,A|B\n"
PEOPLE = "id;name;born\np1;Sigourney; 1949\n"
STARS = "head_id\ttail_id\tweight\n1\tp1\t0.5\n2\tp2\t\n"


@pytest.fixture
def folder(tmp_path: Path):
    def write(**files: str | bytes) -> Path:
        for stem, content in files.items():
            path = tmp_path / f"{stem}.csv"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def whole(folder):
    return folder(interactions=INTER, nodes_Item=ITEMS, nodes_Person=PEOPLE, facts_STARS=STARS)


def test_files_become_interactions_nodes_and_facts_by_their_names(folder):
    kg = KnowledgeGraph.from_folder(whole(folder))
    assert kg.labels == ("User", "Item", "Director", "Entity", "Person")
    assert kg.relations == ("DIRECTOR", "STARS")
    assert kg.interactions.weight.tolist() == [1, -1, 1]
    assert kg.interactions.timestamp.tolist()[::2] == [86400, 60]
    assert kg.node_name(int(kg.relation("STARS").tail[0])) == "Sigourney"
    assert sorted(kg.relation("STARS").weight.tolist()) == [0.5, 1]


def test_values_are_numbers_where_all_are_and_keys_stay_strings(folder):
    kg = KnowledgeGraph.from_folder(whole(folder))
    assert kg.items.properties.to_pylist() == [
        {"code": "007", "director": ["Ridley Scott"], "seen": True, "tags": ["a", "b"], "year": 1979},
        {"code": "012", "director": ["A", "B"], "seen": None, "tags": None, "year": None},
    ]
    assert kg.table("Person").properties.to_pylist() == [{"born": " 1949"}]


def test_the_header_says_the_type_where_the_values_do_not(folder):
    items = "id,code:string,year:float,score:int,seen:bool\n1,7,1979,3,false\n"
    kg = KnowledgeGraph.from_folder(folder(nodes_Item=items))
    assert kg.items.properties.to_pylist() == [{"code": "7", "year": 1979.0, "score": 3, "seen": False}]


def test_the_id_column_makes_a_label_the_users_or_the_items(folder):
    path = folder(
        interactions=INTER, nodes_Customer="user_id,age\nann,33\n", nodes_Product="item_id,name\n1,Tent\n"
    )
    kg = KnowledgeGraph.from_folder(path)
    assert kg.labels == ("Customer", "Product")
    assert kg.users.properties.to_pylist() == [{"age": 33}, {"age": None}]


def test_parquet_is_read_in_its_own_types(tmp_path):
    pl.DataFrame({"user_id": [1, 1], "item_id": [7, 8]}).write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame({"item_id": [7], "tags": [["a"]], "by:fact": ["x"]}).write_parquet(
        tmp_path / "nodes_Item.parquet"
    )
    kg = KnowledgeGraph.from_folder(tmp_path)
    assert list(kg.items.vocabulary) == ["7", "8"]
    assert kg.items.properties.column("tags").to_pylist() == [["a"], None]
    assert kg.relations == ("BY",)


def test_quoted_fields_hold_separators_quotes_and_line_breaks(folder):
    kg = KnowledgeGraph.from_folder(folder(nodes_Item='id,name\n1,"Al, ""the"" \nien"\n2,b\n'))
    assert kg.items.names.to_pylist() == ['Al, "the" \nien', "b"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"nodes_Item": 'id,year:int\n1,"a\nb"\n'},
            r"nodes_Item\.csv line 2: year is 'a\\nb'; it takes a whole",
        ),
        ({"nodes_Item": 'id,text,year:int\n1,"a\nb",1\n2,c,x\n'}, "line 4: year is 'x'"),
        ({"nodes_Item": "id,name\n1,a\n2,b,c\n"}, "line 3: 3 fields where the header has 2"),
        ({"nodes_Item": "id,name\n1,a\n2\n"}, "line 3: 1 fields"),
        ({"nodes_Item": 'id,name\n1,"a" b\n'}, "line 2: .*correct the quotes"),
        ({"nodes_Item": "id,name\n1,a\n,b\n"}, "line 3: the item_id is missing"),
        ({"nodes_Item": "name\na\n"}, "nodes_Item.csv: no column 'id'"),
        ({"nodes_Item": "id,id\n1,1\n"}, "column 'id' stands twice"),
        ({"nodes_Item": "id,\n1,1\n"}, "has no name"),
        ({"nodes_Item": "id,year:itn\n1,1\n"}, "unknown type 'itn'.*nearest: int"),
        ({"nodes_Item": b"id,name\n1,\xff\n"}, "byte 0xff is not UTF-8"),
        ({"nodes_Item": ""}, "is empty; it needs a header"),
        (
            {"interactions": "user_id,item_id,weight\nu,i,1\nu,j,good\n"},
            "line 3: weight is 'good'; it takes a number",
        ),
        ({"interactions": "user_id,item_id,weight\nu,i,1\nu,j,\n"}, "line 3: weight is missing"),
        (
            {"interactions": "user_id,item_id,timestamp\nu,i,monday\n"},
            "line 2: timestamp is 'monday'; it takes sec",
        ),
        ({"interactions": "user_id,itemid\nu,i\n"}, "interactions.csv: no column 'item_id'.*nearest: itemid"),
        ({"facts_BY": "head_id,tail_id\n1,\n"}, "facts_BY.csv line 2: the tail_id is missing"),
        (
            {"nodes_A": "item_id\n1\n", "nodes_B": "item_id\n2\n"},
            "nodes_A.csv and nodes_B.csv both have a column",
        ),
        (
            {"nodes_Person": "id,by:fact\n1,2\n"},
            "only the items' table can have; write a facts_RELATION file",
        ),
        ({"interaction": INTER}, "has no nodes_LABEL.csv.*it has interaction.csv; nearest: interactions.csv"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_line(folder, files, message):
    with pytest.raises(DataError, match=message) as refused:
        KnowledgeGraph.from_folder(folder(**files))
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        KnowledgeGraph.from_folder(tmp_path / "none")
    (tmp_path / "nodes_Item.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"cannot read .*nodes_Item\.parquet"):
        KnowledgeGraph.from_folder(tmp_path)
    (tmp_path / "nodes_Item.csv").write_text("id\n1\n")
    with pytest.raises(DataError, match="has nodes_Item in two formats"):
        KnowledgeGraph.from_folder(tmp_path)


def test_a_source_may_be_a_folder_of_tables_or_a_saved_graph(folder, small, tmp_path):
    path = whole(folder)
    assert read_source(str(path)).graph.differences(KnowledgeGraph.from_folder(path)) == []
    small.save(tmp_path / "saved")
    assert read_source(str(tmp_path / "saved")).graph.differences(small) == []


def test_facts_from_columns_are_what_fact_columns_make():
    items = pl.DataFrame({"item_id": [1, 2], "director": ["Scott", None], "genres": ["a|b", "b"]})
    facts = facts_from_columns(items, ["director", "genres"], split="|")
    assert facts.columns.tolist() == [
        "head_id",
        "relation",
        "tail_id",
        "head_label",
        "tail_label",
        "tail_name",
    ]
    assert facts.iloc[0].tolist() == ["1", "DIRECTOR", "Scott", "Item", "Director", "Scott"]
    one = KnowledgeGraph.from_frames(items=items.select("item_id"), facts=facts)
    other = KnowledgeGraph.from_frames(items=items, fact_columns=["director", "genres"], split="|")
    assert one.relations == other.relations
    assert [f.tail.tolist() for f in one.facts] == [f.tail.tolist() for f in other.facts]
    assert all(mine.equals(theirs) for mine, theirs in zip(one.tables[2:], other.tables[2:], strict=True))
    with pytest.raises(DataError, match=r"no column 'genre'.*nearest: genres"):
        facts_from_columns(items, ["genre"])
    assert len(facts_from_columns(items, [])) == 0
