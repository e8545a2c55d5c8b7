"""docs/neo4j.md does what it says: every block runs, in order, against a real Neo4j."""

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from kgenre.graph import GraphSchema, GraphStore, connect
from kgenre.hybrid import cli

PAGE = (Path(__file__).parents[2] / "docs" / "neo4j.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def command(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a line ``kgenre ... [> FILE]`` in this process, where everything is loaded; returns what it prints."""
    words = [os.path.expandvars(word) for word in shlex.split(line)]
    words, file = (words[:-2], words[-1]) if ">" in words else (words, None)
    monkeypatch.setattr(sys, "argv", words)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 0, line
    if file is None:
        return output.getvalue()
    Path(file).write_text(output.getvalue(), encoding="utf-8")
    return ""


@pytest.mark.filterwarnings("ignore:The default returned 'id' field:DeprecationWarning")
def test_every_block_runs_and_prints_what_the_page_says(
    neo4j_address: tuple[str, tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, (user, password) = neo4j_address
    assert user == "neo4j", "the page says so"
    monkeypatch.setenv("NEO4J_URI", uri)
    monkeypatch.setenv("NEO4J_PASSWORD", password)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed: list[str] = []
    with connect(uri, auth=(user, password)) as store:
        store.cypher("MATCH (n) DETACH DELETE n")
        for kind, block in BLOCKS:
            printed.append(run(kind, block, names, store, printed, monkeypatch))
    everything = "".join(printed)
    assert "in category Green" in everything or "description is close" in everything
    assert re.search(r"^2\t(A[1-4])\t1\t", everything, re.MULTILINE)
    retrieved = re.findall(r"'sku': '(\w\d)'", printed[-2])
    assert retrieved[0] == "A1"
    assert sorted(retrieved) == ["A1", "A2", "A3", "A4"]


def run(
    kind: str,
    block: str,
    names: dict[str, Any],
    store: GraphStore,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Run a block; returns what it prints."""
    output = io.StringIO()
    if kind == "python":
        with contextlib.redirect_stdout(output):
            exec(compile(block, "docs/neo4j.md", "exec"), names)
    elif kind == "text":
        assert printed[-1].strip() == block.strip()
    elif kind == "yaml":
        schema = GraphSchema.from_yaml(block)
        kg = store.snapshot(schema)
        assert (kg.n_users, kg.n_items, kg.n_interactions) == (24, 8, 72)
        assert kg.items.texts[0].as_py().startswith("Sencha. A fresh")
    elif kind == "cypher":
        frame = store.cypher(block)
        assert len(frame)
        assert frame["title"].isin(["Sencha", "Gyokuro", "Longjing", "Matcha"]).all()
    elif kind == "bash":
        return "".join(command(line, monkeypatch) for line in block.splitlines())
    else:
        pytest.fail(f"a block of {kind}, which nothing runs")
    return output.getvalue()
