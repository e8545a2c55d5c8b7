"""The README tells the truth: its snippet runs and prints what it says, its links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", text)]


def words(text: str) -> list[str]:
    return re.sub(r"[-+]?\d+\.\d+", "#", text).split()


def test_snippet_has_at_most_twelve_lines_and_prints_what_the_readme_says() -> None:
    snippet = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    printed = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert snippet is not None
    assert printed is not None
    assert len([line for line in snippet[1].splitlines() if line.strip()]) <= 12
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(snippet[1], {})
    assert words(output.getvalue()) == words(printed[1])
    assert numbers(output.getvalue()) == pytest.approx(numbers(printed[1]), rel=0.05, abs=0.11)


def test_files_that_the_readme_names_exist() -> None:
    names = re.findall(r"`((?:docs|graph|examples|benchmarks|notebooks)/[\w./-]+)`", README)
    assert names
    for name in [*names, "CONTRIBUTING.md", "LICENSE", "CHANGELOG.md"]:
        assert (ROOT / name).exists(), name


def test_makefile_has_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (demo|test|venv)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
