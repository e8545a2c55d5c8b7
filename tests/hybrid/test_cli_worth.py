"""`kgenre worth` from the outside."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.cli import app


def test_worth_prints_the_verdict_and_draws(write_atomic, tmp_path: Path):
    source = write_atomic(tmp_path / "films")
    picture = tmp_path / "worth.svg"
    done = CliRunner().invoke(app, ["worth", str(source), "--splits", "1", "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("The graph ")
    assert "random links" in done.output
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_worth_as_json_and_page(write_atomic, tmp_path: Path):
    source = write_atomic(tmp_path / "films")
    page = tmp_path / "worth.html"
    line = [
        "worth",
        str(source),
        "--splits",
        "1",
        "--relation",
        "SEQUEL",
        "--format",
        "json",
        "-o",
        str(page),
    ]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert {row["variant"] for row in values["table"]} >= {"only SEQUEL", "without SEQUEL"}
    assert values["verdict"] in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xml"], "--format 'xml' is not one of table, json"),
        (["-o", "worth.png"], "ends in neither .svg nor .html"),
    ],
)
def test_worth_refuses_before_it_reads(arguments: list[str], message: str):
    done = CliRunner().invoke(app, ["worth", "nowhere", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
