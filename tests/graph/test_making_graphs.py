"""docs/making_graphs.md does what it says."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "making_graphs.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
RECIPES = {
    section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for section in SECTIONS
    if "```python" in section
}


def test_each_of_the_four_questions_has_a_recipe():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"issue {number}" in text for number in (708, 1166, 1724, 1952))
    assert len(RECIPES) == 5


@pytest.mark.parametrize("title", RECIPES)
def test_recipe_runs(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(RECIPES[title]), title, "exec"), {})
