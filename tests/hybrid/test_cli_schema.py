"""``kgenre schema`` and ``--schema`` on a store with labels of its own; on both engines."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kgenre.graph import GraphSchema, GraphStore
from kgenre.hybrid import cli

Run = Callable[..., tuple[int, str, str]]
LIBRARY = """
CREATE (ann:Member {card: 1, name: 'Ann'}), (bob:Member {card: 2, name: 'Bob'}),
       (dune:Book {isbn: 'd', title: 'Dune'}), (emma:Book {isbn: 'e', title: 'Emma'}),
       (sf:Genre {code: 'sf', name: 'Science fiction'}),
       (ann)-[:BORROWED {at: 1}]->(dune), (bob)-[:BORROWED {at: 2}]->(dune), (bob)-[:BORROWED {at: 3}]->(emma),
       (dune)-[:OF_GENRE]->(sf)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kgenre", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capfd.readouterr()
        assert isinstance(leaving.value.code, int)
        return leaving.value.code, captured.out, captured.err

    return call


@pytest.fixture
def library(
    store: GraphStore, neo4j_address: tuple[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> str:
    """How the command line calls a small library."""
    store.cypher(LIBRARY)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_address[1][1])
    return neo4j_address[0] if store._server is None else str(store._server.folder)


@pytest.fixture
def other(store: GraphStore, _embedded_store: GraphStore, _neo4j_store: GraphStore) -> GraphStore:
    """The store of the other engine, empty."""
    found = _neo4j_store if store is _embedded_store else _embedded_store
    found.cypher("MATCH (n) DETACH DELETE n")
    return found


def test_proposal_is_yaml_that_the_other_commands_take(
    run: Run, library: str, other: GraphStore, neo4j_address: tuple[str, tuple[str, str]], tmp_path: Path
) -> None:
    code, text, _ = run("schema", library)
    assert code == 0
    assert text.startswith("# interactions: (:Member)-[:BORROWED]->(:Book)")
    schema = GraphSchema.from_yaml(text)
    assert (schema.user_label, schema.item_label) == ("Member", "Book")
    (tmp_path / "schema.yaml").write_text(text, encoding="utf-8")

    code, out, err = run("doctor", library, "--schema", "schema.yaml", "--format", "json")
    assert code in (0, 1), err
    assert isinstance(json.loads(out), list)
    target = neo4j_address[0] if other._server is None else other._server.folder
    code, out, err = run("import", library, "--schema", "schema.yaml", "--store", target)
    assert code == 0, err
    kg = other.snapshot()
    assert (kg.users.label, kg.items.label) == ("User", "Item")
    assert (kg.items.names.to_pylist(), kg.n_interactions, kg.n_facts) == (["Dune", "Emma"], 3, 1)


def test_store_with_its_own_labels_names_the_remedy(run: Run, library: str) -> None:
    code, out, err = run("doctor", library)
    assert (code, out) == (2, "")
    assert "no label 'User' that the schema names; it has Book, Genre, Member" in err
    assert "`kgenre schema` proposes one" in err


def test_schema_that_does_not_fit_is_one_line(run: Run, library: str, tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("user_label: Member\nitem_label: Buch\n", encoding="utf-8")
    code, _, err = run("fit", library, "--schema", "schema.yaml", "--model", "model")
    assert code == 2
    assert "no label 'Buch' that the schema names" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_schema_for_what_is_no_store_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("{}", encoding="utf-8")
    code, _, err = run("doctor", tmp_path, "--schema", "schema.yaml")
    assert code == 2
    assert "a schema says how a store reads" in err
