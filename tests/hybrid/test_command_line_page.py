"""docs/command_line.md keeps up with the commands: each has a section, and every line of it is one they accept."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid import cli

PAGE = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\$ kgenre (.+)$", PAGE, re.MULTILINE)
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def test_every_command_has_a_section_and_an_example():
    headings = {name for line in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) for name in line.split(", ")}
    assert set(COMMANDS) <= headings
    assert {shlex.split(line)[0] for line in LINES} == set(COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_one_that_its_command_accepts(line: str):
    name, *arguments = shlex.split(line.partition(" > ")[0])
    COMMANDS[name].make_context(name, arguments)


def test_the_data_of_the_page_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    kg = KnowledgeGraph.load("films")
    assert f"{kg!r} is in store" in PAGE
    lines = (tmp_path / "test.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token"
    assert len(lines) - 1 == 100_000 - kg.n_interactions == 10_000
