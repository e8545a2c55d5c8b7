"""``%load_ext kgenre`` in a real IPython shell."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from kgenre.graph import GraphStore, KnowledgeGraph, magics
from kgenre.graph.magics import CypherResult

Cell = Callable[[str], Any]


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    found = InteractiveShell.instance()
    found.history_manager.enabled = False
    yield found
    InteractiveShell.clear_instance()


@pytest.fixture
def cell(shell: InteractiveShell, embedded_store: GraphStore, small: KnowledgeGraph) -> Cell:
    """Run a cell; returns its value. The variables are a store and a snapshot that hold the same."""
    embedded_store.write(small)
    shell.reset(new_session=False)
    shell.user_ns.update(db=embedded_store, kg=small)
    shell.run_line_magic("load_ext", "kgenre")

    def run(text: str) -> Any:
        return shell.run_cell(text, store_history=False).result

    yield run
    shell.run_line_magic("unload_ext", "kgenre")


def test_frame_with_parameters_from_variables(cell: Cell, shell: InteractiveShell) -> None:
    shell.user_ns.update(wanted=np.array(["i1", "i2"]), least=np.int64(0))
    found = cell(
        "%%cypher\nMATCH (i:Item) WHERE i.id IN $wanted AND size(i.name) > $least // not $this\n"
        "RETURN i.name AS name, '$nor_this' AS text ORDER BY name"
    )
    assert found.to_dict("list") == {"name": ["Alien", "Babe"], "text": ["$nor_this"] * 2}


def test_named_frame_is_kept_and_not_shown(cell: Cell, shell: InteractiveShell) -> None:
    assert cell("%%cypher -o people\nMATCH (p:Person) RETURN p.name AS name ORDER BY name") is None
    assert shell.user_ns["people"]["name"].tolist() == ["Chris Noonan", "Ridley Scott"]


def test_graph_is_drawn_with_its_frame(cell: Cell) -> None:
    found = cell("%%cypher --store db\nMATCH p = (:Item {id: 'i1'})-[:DIRECTED_BY]->() RETURN p")
    assert isinstance(found, CypherResult)
    assert found.picture.frame[["head", "relation", "tail"]].to_numpy().tolist() == [
        ["Alien", "DIRECTED_BY", "Ridley Scott"]
    ]
    assert isinstance(found.frame, pd.DataFrame)
    assert "<iframe" in found._repr_html_()


def test_store_by_its_folder_is_opened_once_and_closed_with_the_extension(
    cell: Cell, shell: InteractiveShell, embedded_store: GraphStore
) -> None:
    assert embedded_store._server is not None
    folder = embedded_store._server.folder
    for _ in range(2):
        found = cell(f"%%cypher --store '{folder}'\nMATCH (i:Item) RETURN count(i) AS n")
        assert found["n"].tolist() == [3]
    opened = magics._LOADED[shell]._opened
    assert list(opened) == [str(folder)]
    (store,) = opened.values()
    shell.run_line_magic("unload_ext", "kgenre")
    assert "closed" in repr(store)
    assert "closed" not in repr(embedded_store)


def test_sparql_asks_the_snapshot(cell: Cell, shell: InteractiveShell) -> None:
    found = cell(
        "%%sparql\nSELECT ?name WHERE { ?x rdfs:label ?name . ?y relation:DIRECTED_BY ?x } ORDER BY ?name"
    )
    assert found["name"].tolist() == ["Chris Noonan", "Ridley Scott"]
    assert cell("%%sparql --graph kg -o asked\nASK { ?x rdfs:label 'Alien' }") is None
    assert shell.user_ns["asked"]["ask"].tolist() == [True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%%cypher\nMATCH (i:Item RETURN i", "UsageError: "),
        (
            "%%cypher\nRETURN $missing AS x",
            "the query takes $missing, and there is no Python variable missing",
        ),
        (
            "%%cypher --shop db\nRETURN 1",
            "--shop is not understood; the usage is %%cypher [--store STORE] [-o NAME]",
        ),
        ("%%cypher --store 'db\nRETURN 1", "No closing quotation"),
        ("%%cypher --store nowhere/at-all\nRETURN 1 AS x", "nowhere/at-all"),
        ("%%cypher -o a.b\nRETURN 1 AS x", "-o a.b is no name of a variable"),
        ("%%sparql\nSELECT", "SPARQL"),
        ("%%sparql --graph db\nASK {}", "db is no variable with a KnowledgeGraph; the variables are kg"),
    ],
)
def test_errors_are_one_line(cell: Cell, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    assert cell(text) is None
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_two_stores_have_to_be_told_apart(
    cell: Cell, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["same"] = shell.user_ns["db"]
    assert cell("%%cypher\nRETURN 1 AS x")["x"].tolist() == [1]
    shell.user_ns.pop("db")
    shell.user_ns.pop("same")
    cell("%%cypher\nRETURN 1 AS x")
    assert "name the GraphStore with --store; no variable has one" in capsys.readouterr().err
