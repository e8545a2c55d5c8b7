"""docs/making_graphs.md answers what people ask (its blocks are run by tests/test_docs.py)."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "making_graphs.md").read_text(encoding="utf-8")


def test_each_of_the_four_questions_has_a_recipe():
    assert all(f"issue {number}" in PAGE for number in (708, 1166, 1724, 1952))
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert sum("```python" in section for section in sections) == 5
