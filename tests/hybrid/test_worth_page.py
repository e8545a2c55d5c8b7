"""docs/worth.md does what it says."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "worth.md").read_text(encoding="utf-8")


def test_the_snippet_finds_what_it_says():
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(snippet, names)
    worth = names["worth"]
    assert worth.answer == "pays"  # type: ignore[attr-defined]
    assert worth.relations == ["STYLE"]  # type: ignore[attr-defined]
    assert worth.verdict.endswith("only STYLE surely pays alone.")  # type: ignore[attr-defined]
    variants = set(worth.table["variant"])  # type: ignore[attr-defined]
    assert variants <= {
        variant.replace(" R", f" {name}")
        for name in ("STYLE", "COLOUR")
        for variant in (*re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE), "as it is")
    }
