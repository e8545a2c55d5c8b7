import logging
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.atomic import find_validation, read_interactions
from kgenre.graph.errors import DataError

INTER = "user_id:token\titem_id:token\nann\t1\nann\t2\nbob\t1\n"
ITEM = (
    "item_id:token\trelease_year:token\tmovie_title:token_seq\tclass:token_seq\n"
    "1\t1995\tToy Story\tAnimation Children's Comedy\n"
    "2\tunknown\tAlien\tHorror\n"
    "3\t\tBabe\t\n"
)
KG = (
    "head_id:token\trelation_id:token\ttail_id:token\n"
    "m.1\tdirected_by\tm.9\nm.2\tdirected_by\tm.9\nm.1\tsequel\tm.2\n"
)
BENCH = Path(__file__).parents[3] / "shared" / "bench"


def records(table):
    return [dict(row) for row in table.properties.to_pylist()]


def test_every_row_is_a_like_and_ratings_are_said_to_be_ignored(atomic, caplog):
    folder = atomic(inter="rating:float\tuser_id:token\titem_id:token\n1\tann\t1\n5\tbob\t2\n")
    with caplog.at_level(logging.INFO):
        kg = KnowledgeGraph.from_atomic(folder)
    assert kg.interactions.weight.tolist() == [1, 1]
    assert "ratings are ignored" in caplog.text


def test_rating_threshold_parts_likes_from_dislikes(atomic):
    folder = atomic(inter="user_id:token\titem_id:token\trating:float\nann\t1\t4\nann\t2\t3.5\nbob\t1\t\n")
    kg = KnowledgeGraph.from_atomic(folder, rating_threshold=4)
    assert kg.interactions.weight.tolist() == [1, -1, 1]


def test_a_rating_is_the_weight_if_asked_for(atomic):
    folder = atomic(inter="user_id:token\titem_id:token\trating:float\nann\t1\t4\nann\t2\t-2\n")
    assert KnowledgeGraph.from_atomic(folder, weight="rating").interactions.weight.tolist() == [4, -2]
    with pytest.raises(DataError, match=r"no column 'ratign' to weigh by; nearest: rating"):
        KnowledgeGraph.from_atomic(folder, weight="ratign")


def test_weight_and_timestamp_are_taken_as_they_are(atomic):
    folder = atomic(
        inter="timestamp:float\tuser_id:token\tweight:float\titem_id:token\n7\tann\t-1\t1\n\tbob\t2\t1\n"
    )
    inter = KnowledgeGraph.from_atomic(folder).interactions
    assert inter.weight.tolist() == [-1, 2]
    assert inter.timestamp[0] == 7
    assert inter.timestamp[1] != inter.timestamp[1]


def test_item_columns_become_name_text_and_properties(atomic):
    items = KnowledgeGraph.from_atomic(atomic(inter=INTER, item=ITEM)).items
    assert items.names.to_pylist() == ["Toy Story", "Alien", "Babe"]
    assert items.texts.to_pylist() == [
        "Toy Story. 1995. Animation Children's Comedy",
        "Alien. unknown. Horror",
        "Babe",
    ]
    assert records(items)[0] == {
        "class": ["Animation", "Children's", "Comedy"],
        "movie_title": "Toy Story",
        "release_year": "1995",
    }
    assert records(items)[2]["release_year"] is None


def test_a_description_stands_whole_in_the_text_right_behind_the_name(atomic):
    prose = 'A "very" long story of  one toy, and another; told at length.'
    header = "item_id:token\tyear:float\tgenre:token\tstory:token_seq\tname:token"
    item = f"{header}\n1\t1995\tComedy\t{prose}\tToy Story\n"
    items = KnowledgeGraph.from_atomic(atomic(inter=INTER, item=item)).items
    assert items.texts[0].as_py() == f"Toy Story. {prose} Comedy"
    assert records(items)[0] == {"genre": "Comedy", "story": prose, "year": 1995.0}


def test_the_text_is_what_is_asked_for(atomic):
    folder = atomic(inter=INTER, item=ITEM)
    texts = KnowledgeGraph.from_atomic(folder, text="{movie_title} ({release_year})").items.texts.to_pylist()
    assert texts == ["Toy Story (1995)", "Alien (unknown)", "Babe ()"]
    texts = KnowledgeGraph.from_atomic(folder, text=["class"]).items.texts.to_pylist()
    assert texts == ["Animation Children's Comedy", "Horror", None]
    with pytest.raises(DataError, match=r"no column 'title' to make a text of.*nearest: movie_title"):
        KnowledgeGraph.from_atomic(folder, text="{title}")
    with pytest.raises(DataError, match="names no column"):
        KnowledgeGraph.from_atomic(folder, text="movie_title")


def test_items_that_stand_only_in_the_item_table_or_the_validation_set_are_in_the_catalogue(atomic):
    folder = atomic(
        train_inter=INTER, item=ITEM, valid_inter="user_id:token\titem_id:token\ncat\t4\nann\t3\n"
    )
    kg = KnowledgeGraph.from_atomic(folder)
    assert list(kg.items.vocabulary) == ["1", "2", "3", "4"]
    assert list(kg.users.vocabulary) == ["ann", "bob", "cat"]
    assert kg.n_interactions == 3


def test_the_test_set_is_never_read(atomic):
    folder = atomic(train_inter=INTER, test_inter=b"\xff not an atomic file")
    assert KnowledgeGraph.from_atomic(folder).n_users == 2


def test_validation_set_is_found_and_read_by_itself(atomic):
    folder = atomic(
        train_inter=INTER, valid_inter="timestamp:float\titem_id:token\tuser_id:token\n5\t3\tann\n"
    )
    found = find_validation(folder)
    assert found == folder / "films.valid.inter"
    frame = read_interactions(found)
    assert frame.to_dict("records") == [{"user_id": "ann", "item_id": "3", "timestamp": 5.0}]
    found.unlink()
    assert find_validation(folder) is None


def test_a_linked_entity_is_the_item_itself(atomic):
    kg = KnowledgeGraph.from_atomic(
        atomic(inter=INTER, kg=KG, link="entity_id:token\titem_id:token\nm.1\t1\nm.2\t2\n")
    )
    assert records(kg.items) == [{"entity_id": "m.1"}, {"entity_id": "m.2"}]
    assert list(kg.table("Entity").vocabulary) == ["m.9"]
    first = kg.slice("Item").start
    assert kg.relation("sequel").head.tolist() == [first]
    assert kg.relation("sequel").tail.tolist() == [first + 1]


def test_two_items_on_one_entity_both_have_its_facts(atomic):
    link = "item_id:token\tentity_id:token\n1\tm.1\n2\tm.1\n"
    kg = KnowledgeGraph.from_atomic(atomic(inter=INTER, kg=KG, link=link))
    assert kg.item_facts()["directed_by"].getnnz(axis=1).tolist() == [1, 1]
    assert len(kg.relation("sequel")) == 2


def test_entity_ids_that_look_like_item_ids_are_no_items(atomic):
    kg_file = "head_id:token\trelation_id:token\ttail_id:token\n1\tr\t2\n"
    kg = KnowledgeGraph.from_atomic(atomic(inter=INTER, kg=kg_file))
    assert list(kg.table("Entity").vocabulary) == ["1", "2"]


def test_links_that_lead_nowhere_are_counted(atomic, caplog):
    link = "item_id:token\tentity_id:token\n1\tm.1\n2\tm.7\n99\tm.8\n"
    kg = KnowledgeGraph.from_atomic(atomic(inter=INTER, kg=KG, link=link))
    assert "1 links lead to an entity without facts" in caplog.text
    assert "ignored 1 links of items that are not in the catalogue" in caplog.text
    assert "99" not in kg.items.vocabulary


def test_what_follows_from_missing_files_is_said_once(atomic, caplog):
    KnowledgeGraph.from_atomic(atomic(inter=INTER))
    assert len(caplog.records) == 1
    for kind in ("item", "kg", "link"):
        assert f"no .{kind} file" in caplog.text


def test_user_columns_become_properties_and_no_text(atomic):
    user = "user_id:token\tage:float\tjob:token\nann\t24\ttechnician\ncat\t\twriter\n"
    users = KnowledgeGraph.from_atomic(atomic(inter=INTER, user=user)).users
    assert list(users.vocabulary) == ["ann", "bob", "cat"]
    assert records(users) == [
        {"age": 24, "job": "technician"},
        {"age": None, "job": None},
        {"age": None, "job": "writer"},
    ]
    assert users.texts.null_count == 3


def test_sequences_of_numbers_become_lists(atomic):
    item = "item_id:token\tv:float_seq\n1\t0.5 1\n2\t\n"
    items = KnowledgeGraph.from_atomic(atomic(inter=INTER, item=item)).items
    assert records(items) == [{"v": [0.5, 1.0]}, {"v": None}]


def test_a_folder_that_is_not_there_or_no_folder_is_refused(atomic, tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist; give a folder of atomic files"):
        KnowledgeGraph.from_atomic(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file; give a folder"):
        KnowledgeGraph.from_atomic(atomic(inter=INTER) / "films.inter")
    with pytest.raises(DataError, match="no such file"):
        read_interactions(tmp_path / "films.test.inter")
    with pytest.raises(DataError, match=r"has no \.item file to make a text of"):
        KnowledgeGraph.from_atomic(tmp_path, text="{name}")


def test_other_files_and_hidden_files_do_not_matter(atomic):
    folder = atomic(inter=INTER, README=b"\xff", png=b"\x00")
    (folder / ".hidden.inter").write_text("broken")
    (folder / "notes.txt").write_text("films")
    assert KnowledgeGraph.from_atomic(folder).n_items == 2


def test_quotes_are_plain_characters(atomic):
    folder = atomic(inter='user_id:token\titem_id:token\n"ann\t"1"\nbob"\t1\n')
    kg = KnowledgeGraph.from_atomic(folder)
    assert set(kg.users.vocabulary) == {'"ann', 'bob"'}
    assert set(kg.items.vocabulary) == {'"1"', "1"}


TOKEN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_ids_numbers_column_order_and_line_ends_are_read_as_written(atomic, data):
    rows = data.draw(st.lists(st.tuples(TOKEN, TOKEN, st.floats(-1e30, 1e30)), min_size=1, max_size=6))
    order = data.draw(st.permutations(range(3)))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    start = data.draw(st.sampled_from(["", "\ufeff"]))
    last = data.draw(st.sampled_from(["", end, end * 3]))
    header = ("user_id:token", "item_id:token", "timestamp:float")
    lines = ["\t".join(str(row[i]) for i in order) for row in [header, *rows]]
    folder = atomic(inter=start + end.join(lines) + last)
    users, items, times = zip(*rows, strict=True)
    expected = GraphBuilder().add_interactions(users, items, timestamp=times).build()
    assert KnowledgeGraph.from_atomic(folder).differences(expected) == []


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_in_one_line(atomic, data):
    header = data.draw(
        st.sampled_from([b"", b"user_id:token\titem_id:token\n", b"user_id:token\titem_id:token"])
    )
    folder = atomic(inter=header + data.draw(st.binary(max_size=40)))
    message = "films.inter"
    try:
        KnowledgeGraph.from_atomic(folder)
    except DataError as refused:
        message = str(refused)
    assert "films.inter" in message
    assert "\n" not in message


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmark data are not on this machine")
def test_movielens_1m_is_read_in_seconds():
    start = time.perf_counter()
    kg = KnowledgeGraph.from_atomic(BENCH / "ml-1m")
    assert time.perf_counter() - start < 10
    assert (kg.n_users, kg.n_items, kg.n_interactions, kg.n_facts) == (6040, 3260, 801218, 20782)


@pytest.mark.parametrize("name", ["*", "^.*$", "a:b", " "])
def test_columns_may_be_called_anything(atomic, name):
    item = f"item_id:token\t{name}:token_seq\tx:float\n1\thorror space\t1\n2\tfun\tnan\n"
    items = KnowledgeGraph.from_atomic(atomic(inter=INTER, item=item)).items
    assert records(items) == [{name: ["horror", "space"], "x": 1}, {name: ["fun"], "x": None}]
    assert items.texts.to_pylist() == ["horror space", "fun"]
