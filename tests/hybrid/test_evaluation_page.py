"""docs/evaluation.md does what it says."""

import re
from pathlib import Path

from kgenre.hybrid import split
from kgenre.hybrid.beyond import BEYOND
from kgenre.hybrid.metrics import AUC, METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_snippet_runs():
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, {})


def test_every_metric_and_split_is_explained():
    for name in (*METRICS, AUC, *BEYOND):
        assert f"`{name}`" in PAGE
    for name in re.findall(r"^\| `(\w+)\(graph", PAGE, re.MULTILINE):
        assert callable(getattr(split, name))
