"""`explain` says beside the ledger what rules did to the item."""

import re

import numpy as np
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.fusion import FusionConfig
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.rules import Boost, Bury, Cap, Exclude, LessPopular, Only

USER = "u00"


def test_without_rules_nothing_is_said_of_them(genre: HybridRecommender):
    why = genre.explain(USER, "echo")
    assert not len(why.rules)
    assert "rule" not in why.text
    assert why.to_dict()["rules"] == []
    assert "rules" not in why._repr_html_()


def test_each_rule_says_what_it_adds_and_where_the_item_is_with_it(genre: HybridRecommender):
    listed = genre.recommend(USER, k=5)["item_id"].tolist()
    rules = [
        Boost(items=(listed[4],), amount=5),
        Exclude(items=(listed[0],)),
        Cap(relation="DIRECTED_BY", most=1),
    ]
    why = genre.explain(USER, listed[4], rules=rules, k=5)
    kg = genre.graph
    seen = kg.items.vocabulary.ids[genre.state.seen[kg.users.vocabulary.get(USER)].indices]
    spread = genre.score(USER).drop(seen).std(ddof=0)
    assert why.rules["adds"].tolist() == pytest.approx([5 * spread, 0, 0])
    assert why.rules["before"].tolist()[:2] == [5, 1]
    assert why.rules["after"].tolist()[:2] == [1, 1]
    assert why.rules["does"].tolist()[:2] == ["moves it from place 5 to 1", "leaves it at place 1"]
    # The score is the model's, to which the ledger sums; the list is made by what the rules add to it.
    assert why.score == pytest.approx(why.ledger["contribution"].sum())
    ruled = genre.recommend(USER, k=5, rules=rules)["item_id"].tolist()
    assert ruled[0] == listed[4]
    assert f"+{5 * spread:.3f}  rule boost {listed[4]} by 5: moves it from place 5 to 1" in why.text
    assert "What the rules do to it" in why._repr_html_()


def test_an_item_that_rules_keep_out_is_told_so(genre: HybridRecommender):
    first, second = genre.recommend(USER, k=2)["item_id"]
    assert genre.explain(USER, first, rules=[Exclude(items=(first,))]).rules["does"][0] == "never lists it"
    assert genre.explain(USER, first, rules=[Only(items=(second,))], k=1).rules["does"][0] == "never lists it"
    buried = genre.explain(USER, first, rules=[Bury(items=(first,), amount=5)], k=1)
    assert buried.rules["does"][0] == "takes it out of the list, from place 1"
    assert buried.rules["adds"][0] < 0
    brought = genre.explain(USER, second, rules=[Bury(items=(first,), amount=5)], k=1)
    assert brought.rules["does"][0] == "lists it, at place 1"
    last = genre.score(USER).idxmin()
    rare = genre.explain(USER, last, rules=[LessPopular(amount=0.01)], k=1, language="zh")
    assert rare.rules["does"][0] == "仍不在前1名之内"
    assert np.isfinite(rare.rules["adds"][0])


def test_rules_of_the_configuration_are_told_without_asking(world: KnowledgeGraph, genre: HybridRecommender):
    first = genre.recommend(USER, k=1)["item_id"][0]
    config = genre.config.model_copy(update={"rules": (Exclude(items=(first,)),)})
    ruled = HybridRecommender(config, text_encoder=genre.text_encoder).fit(world, show=False)
    assert ruled.explain(USER, first).rules["does"].tolist() == ["never lists it"]
    page = ruled.report([USER])
    assert f"exclude {first}" in page
    assert "leaves it at place" in page or "moves it from place" in page or "lists it, at place" in page
    ids = re.findall(r"<small>([^,<]+), score", page)
    assert ids == ruled.recommend(USER, k=10)["item_id"].tolist()
    assert first not in ids
    with pytest.raises(ConfigError, match="k=0"):
        genre.explain(USER, first, k=0)


def test_what_is_not_taken_apart_is_said_beside_the_ledger(
    genre: HybridRecommender, monkeypatch: pytest.MonkeyPatch, world: KnowledgeGraph
):
    assert genre.explain(USER, "echo").note == ""
    fusion = FusionConfig(method="fixed", weights={"closed_form": 1.0})
    config = HybridConfig(signals=("closed_form",), fusion=fusion, tune=False, baselines=False)
    rec = HybridRecommender(config, text_encoder=genre.text_encoder).fit(world, show=False)
    assert rec.explain(USER, "echo").note == ""
    monkeypatch.setattr("kgenre.hybrid.signals.closed_form.LARGEST", 10)
    why = rec.explain(USER, "echo")
    assert why.note == "closed_form: not taken apart into facts and texts, for there are too many items"
    assert why.note in why.text
    assert why.note in why._repr_html_()
    assert why.note in rec.report([USER])
    assert why.evidence["contribution"].sum() == pytest.approx(why.score, abs=1e-6)
