"""The pages do what they say: every Python block of docs/ runs, and prints what stands below it."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
ELSEWHERE = {
    "cookbook.md": "tests/graph/test_cookbook.py",
    "command_line.md": "tests/hybrid/test_command_line_page.py",
    "evaluation.md": "tests/hybrid/test_evaluation_page.py",
    "neo4j.md": "tests/hybrid/test_neo4j_page.py",
    "rules.md": "tests/hybrid/test_rules_page.py",
}
"""Pages with a test of their own that runs them."""
BLOCK = re.compile(
    r"^(?P<section>## [^\n]*)$|^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(section, kind, text) of each block of code."""
    section, found = "", []
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        section = match["section"] or section
        if match["kind"]:
            found.append((section, match["kind"], match["text"]))
    return found


RUN = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE and any(kind == "python" for _, kind, _ in blocks(page))
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of texts, kept for all pages."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_python_blocks_run_and_print_what_stands_below_them(
    page: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KGENRE_CACHE_DIR", str(cache))
    names: dict[str, Any] = {}
    place, printed = "", None
    for section, kind, text in blocks(page):
        if section != place or not names:
            # A folder for each section: two of them may make a file of the same name.
            place = section
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            (folder / "examples").symlink_to(ROOT / "examples")
            monkeypatch.chdir(folder)
        if kind == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(text, page.name, "exec"), names)
            printed = output.getvalue()
        elif kind == "text" and printed:
            assert words(printed) == words(text), f"{page.name}: {section}"
            printed = None


def words(text: str) -> list[list[str]]:
    """Words line by line: how wide a column of a table is does not matter."""
    return [line.split() for line in text.strip().splitlines()]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_pages_that_are_run_elsewhere_are(name: str) -> None:
    assert name in (ROOT / ELSEWHERE[name]).read_text(encoding="utf-8")


def test_every_page_is_in_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name not in site] == []


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(
            r"`((?:docs|graph|encoders|hybrid|examples|benchmarks|notebooks|tests)/[\w./-]+\w)`",
            page.read_text("utf-8"),
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
