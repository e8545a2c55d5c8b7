import os
import subprocess
import sys
import zipfile

import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.demo import FILES, LINKS, demo_folder, demo_graph
from kgenre.graph.errors import DataError, MissingDependencyError


@pytest.fixture(scope="session")
def fetched():
    """The demo's folder in this user's cache."""
    try:
        return demo_folder()
    except DataError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the demo data cannot be fetched here: {error}")


@pytest.fixture
def offline(monkeypatch):
    """Pip as it is without a network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KGENRE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_second_run_needs_no_network(fetched, offline):
    assert demo_folder() == fetched
    assert sorted(path.name for path in fetched.iterdir()) == sorted(FILES)


def test_first_run_without_a_network_says_so_and_leaves_nothing(offline, empty_cache):
    with pytest.raises(DataError, match=r"cannot download the demo data .*connect to the internet"):
        demo_folder()
    assert list((empty_cache / "demo").iterdir()) == []


def test_another_wheel_is_refused_by_its_checksum(offline, empty_cache, tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "recbole-1.2.1-py3-none-any.whl", "w") as wheel:
        about = "recbole-1.2.1.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(
        DataError, match=r"recbole-1\.2\.1-py3-none-any\.whl as downloaded has sha256 .* is expected"
    ):
        demo_folder()
    assert list((empty_cache / "demo").iterdir()) == []


def test_a_python_without_pip_is_named(empty_cache, tmp_path, monkeypatch):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(MissingDependencyError, match="bin/python -m ensurepip"):
        demo_folder()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KGENRE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot keep the demo data in .*set KGENRE_CACHE_DIR"):
        demo_folder()


def test_links_are_the_corrected_ones(fetched):
    assert (fetched / "ml-100k.link").read_bytes() == LINKS.read_bytes()
    kg = KnowledgeGraph.from_atomic(fetched)
    items = kg.items.vocabulary
    sequels = kg.relation("film.film.sequel")
    first, second = items.get("229"), items.get("230")
    assert (kg.items.name(first), kg.items.name(second)) == (
        "Star Trek III: The Search for Spock",
        "Star Trek IV: The Voyage Home",
    )
    pairs = set(zip(sequels.head - kg.n_users, sequels.tail - kg.n_users, strict=True))
    assert {(first, second), (second, first)} & pairs


def test_demo_graph_has_all_interactions_and_real_names(fetched):
    kg = demo_graph()
    assert (kg.n_users, kg.n_items, kg.n_interactions) == (943, 1682, 100_000)
    godfather = kg.items.vocabulary.get("127")
    assert kg.items.name(godfather) == "The Godfather"
    text = kg.items.texts[godfather].as_py()
    assert "The youngest son of an ageing Mafia chief wants a life outside" in text
    assert text.startswith("The Godfather. ")
    assert text.endswith("Action, Crime, Drama")
    stars = kg.item_facts()["STARRING"]
    assert "Marlon Brando" in {kg.node_name(node) for node in stars[godfather].indices}
    assert kg.relation("film.film.directed_by")


def test_demo_graph_is_the_same_each_time(fetched):
    assert demo_graph().differences(demo_graph()) == []
