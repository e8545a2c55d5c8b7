"""The example data: every row says where its facts were looked up, and works share what is meant to be shared."""

import importlib.util
import os
from pathlib import Path

import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.demo import FILMS, demo_folder
from kgenre.graph.errors import DataError

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TABLES = ("books", "music", "teas", "news")
DATA_SETS = r"goodbooks-10k books\.csv, book_id \d+|100-best-books books\.csv|rs_500_albums\.csv, number \d+"
PART = rf"(?:\w+: )?(?:https?://\S+|{DATA_SETS}|vega-datasets movies\.json)"


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    return KnowledgeGraph.from_rdf(FILMS)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_says_where_its_facts_were_looked_up(name: str) -> None:
    sources = pd.read_csv(EXAMPLES / f"{name}.csv")["source"]
    assert sources.str.fullmatch(rf"{PART}(?:; {PART})*").all()
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for data_set in ("goodbooks-10k", "100-best-books", "rs_500_albums.csv", "vega-datasets"):
        assert f"| {data_set} |" in readme


@pytest.mark.parametrize("name", TABLES)
def test_the_readme_says_how_many_rows_there_are(name: str) -> None:
    table = pd.read_csv(EXAMPLES / f"{name}.csv")
    assert table["id"].is_unique
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}.csv` | {len(table)} " in readme


@pytest.mark.parametrize("name", ["books", "music"])
def test_themes_are_those_of_the_films(name: str, films: KnowledgeGraph) -> None:
    known = set(films.table("Theme").names.to_pylist())
    themes = pd.read_csv(EXAMPLES / f"{name}.csv")["themes"].str.split("|").explode()
    assert set(themes) <= known


def test_a_book_that_was_filmed_names_a_film_that_is_there_and_a_source_for_it(films: KnowledgeGraph) -> None:
    books = pd.read_csv(EXAMPLES / "books.csv").dropna(subset="filmed")
    assert len(books) > 20
    assert set(books["filmed"].str.split("|").explode()) <= set(films.items.names.to_pylist())


def test_a_person_of_several_films_is_one_entity_of_freebase_in_all_of_them(films: KnowledgeGraph) -> None:
    spec = importlib.util.spec_from_file_location("check_films", ROOT / "tools" / "check_films.py")
    assert spec is not None
    assert spec.loader is not None
    check_films = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_films)
    try:
        graph = demo_folder() / "ml-100k.kg"
    except DataError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the demo data cannot be fetched here: {error}")
    found = check_films.in_freebase(films, graph)
    assert found == {"DIRECTED_BY": (113, 113), "STARRING": (435, 435)}
    rows = [
        {"Title": "Alien", "Release Date": "May 25 1979", "Director": "Ridley Scott"},
        {"Title": "Jaws", "Release Date": "Jun 20 1975", "Director": "Somebody Else"},
    ]
    assert check_films.in_movies(films, rows) == {"films": 2, "with director": 2, "same director": 1}
