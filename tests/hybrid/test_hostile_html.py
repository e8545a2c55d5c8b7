"""Whatever the names are, every HTML that results show themselves with has them as text."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.html import page
from kgenre.hybrid import HybridRecommender, compare
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.rules import Boost, Exclude
from kgenre.hybrid.worth import kg_worth

CLOSING = "</td></title></svg></style></script><script>alert('owned')</script><img src=x onerror=alert(1)>"
QUOTED = "'\"><a href=javascript:alert(1) onclick='alert(1)'>&lt;b&gt;"
TURNED = "\u202eevil\u202c مرحبا 🎬👩‍🚀"
LONG = "x<i>" * 3_000
NAMES = (CLOSING, QUOTED, TURNED, LONG)
USER = "<b>boss</b>"
RELATION = "LIKES<script>alert(2)</script>"
ALLOWED = {
    *(
        "div",
        "style",
        "h4",
        "small",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "span",
        "br",
        "b",
    ),
    *(
        "details",
        "summary",
        "svg",
        "circle",
        "title",
        "ul",
        "li",
        "ol",
        "strong",
        "em",
        "pre",
        "html",
        "head",
        "meta",
    ),
    *("body", "path", "rect", "text", "line", "g", "code", "polyline", "polygon", "tspan"),
}


class Read(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def hostile() -> HybridRecommender:
    rng = np.random.default_rng(0)
    ids = [f"{n}<u>" for n in range(24)]
    names = [f"{NAMES[n % 4]}{n}" for n in range(24)]
    people = pd.DataFrame({"id": ["p0", "p1", "p2", "p3"], "name": NAMES})
    facts = pd.DataFrame(
        {
            "head_id": ids,
            "relation": RELATION,
            "tail_id": [f"p{n % 4}" for n in range(24)],
            "tail_label": "Person",
        }
    )
    likes = [(f"u{user}<s>", ids[item]) for user in range(12) for item in rng.choice(24, 8, replace=False)]
    likes += [(USER, ids[item]) for item in (0, 4, 8, 1)]
    kg = KnowledgeGraph.from_frames(
        pd.DataFrame(likes, columns=["user_id", "item_id"]),
        items=pd.DataFrame({"item_id": ids, "name": names, "text": names, "kind": names}),
        facts=facts,
        Person=people,
    )
    config = HybridConfig.preset("genre").model_copy(update={"baselines": False})
    return HybridRecommender(config).fit(kg, show=False)


def shown(rec: HybridRecommender) -> Iterator[tuple[str, Any]]:
    """Everything that shows itself in a notebook, but for the pictures, which a real browser opens in tests/browser."""
    first, second = rec.recommend(USER, k=2)["item_id"]
    rules = [Boost(relation=RELATION, entities=(CLOSING,), amount=1), Exclude(items=(second,))]
    yield "recommender", rec
    yield "explain", rec.explain(USER, first, rules=rules)
    yield "why_not", rec.why_not(USER, second, k=1)
    yield "contrast", rec.contrast(USER, first, second)
    yield "what_if", rec.what_if(USER, add=[second], k=3)
    yield "map", rec.map(RELATION, user=USER, k=3)
    yield "map by a property", rec.map("kind")
    yield "describe", rec.graph.describe()
    yield "rules", rec.recommend(USER, k=3, rules=rules)
    test = pd.DataFrame({"user_id": [USER, USER], "item_id": [first, second]})
    lists = rec.recommend_many(k=3)
    yield "compare", compare({QUOTED: rec, CLOSING: lists}, test, k=3)
    yield "worth", kg_worth(rec.graph, config=rec.config, splits=1)


def test_every_html_has_hostile_names_as_text(hostile: HybridRecommender):
    for name, result in shown(hostile):
        html = page(name, result._repr_html_())
        read = Read(html)
        assert read.tags <= ALLOWED, (name, read.tags - ALLOWED)
        for attribute, value in read.attributes:
            assert not attribute.startswith("on"), name
            assert attribute not in ("src", "href", "action", "srcdoc"), name
            assert "javascript:" not in (value or ""), name
        if name != "recommender":
            text = "".join(read.text)
            assert "alert(" in text or "evil" in text or "x<i>" in text, name
        assert len(html) < 400_000, name
        assert html.encode("utf-8").decode("utf-8") == html


def test_the_report_names_nobody_but_who_was_asked_for(hostile: HybridRecommender):
    html = hostile.report([USER])
    read = Read(html)
    assert "script" not in read.tags
    assert "img" not in read.tags
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    text = "".join(read.text)
    assert USER in text
    assert not [user for user in hostile.graph.users.vocabulary if user != USER and user in text]
