"""docs/rules.md does what it says."""

import re
from pathlib import Path
from typing import Any

import yaml

from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.rules import rule_from_text

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_snippet_does_what_it_says():
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    frame = names["frame"]
    kg = names["graph"]
    years = dict(zip(kg.items.vocabulary.ids, kg.items.properties["year"].to_pylist(), strict=True))
    assert all(years[item] < 1995 for item in frame["item_id"])
    assert frame.attrs["rules"][0]["effect"].startswith("keeps ")


def test_rules_in_yaml_and_in_one_line():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = HybridConfig.from_dict(yaml.safe_load(text)).rules
    (line,) = re.findall(r'--rule "([^"]+)"', PAGE)
    assert rules[1] == rule_from_text(line)
