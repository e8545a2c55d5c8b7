"""After an event an explanation is what it would be from nothing, and only what the event touched is made anew."""

import copy

import numpy as np
import pandas as pd
import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.attribution import explained
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.fusion import FusionConfig
from kgenre.hybrid.recommender import HybridRecommender

SIGNALS = {"multihop": 0.3, "text": 0.2, "popularity": 0.1, "closed_form": 0.8}


@pytest.fixture(scope="module")
def fitted(world: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    fusion = FusionConfig(method="fixed", weights=SIGNALS)
    config = HybridConfig(signals=tuple(SIGNALS), fusion=fusion, tune=False, baselines=False)
    return HybridRecommender(config, text_encoder=encoder).fit(world, show=False)


def like(rec: HybridRecommender, user: str, item: str) -> None:
    rec.add_interactions(pd.DataFrame({"user_id": [user], "item_id": [item]}))


def same(one: HybridRecommender, user: str, item: str) -> bool:
    """Whether an explanation is the one that a recommender gives that has explained nothing before."""
    fresh = copy.copy(one)
    fresh._explained = None
    found, graph = one.explain(user, item), one.state.kg
    for key in [key for key in graph._cache if key.startswith(("explaining", "holders", "word"))]:
        del graph._cache[key]
    anew = fresh.explain(user, item)
    pd.testing.assert_frame_equal(found.evidence, anew.evidence)
    assert [reason.text for reason in found.reasons] == [reason.text for reason in anew.reasons]
    np.testing.assert_allclose(
        [reason.measured or 0 for reason in found.reasons], [reason.measured or 0 for reason in anew.reasons]
    )
    return True


def test_after_a_like_nothing_is_made_anew_of_texts_facts_or_what_was_learned(fitted: HybridRecommender):
    rec = copy.copy(fitted)
    rec.explain("u00", "echo")
    before = explained(rec.state, rec.text_encoder)
    inverse = {
        key: value for key, value in before.data.as_learned._cache.items() if key.startswith("inverse")
    }
    assert inverse
    like(rec, "u00", "hit")
    rec.explain("u00", "echo")
    after = explained(rec.state, rec.text_encoder)
    assert after is not before
    assert after.data.item_text is before.data.item_text
    assert after.data._knowledge is before.data._knowledge
    assert all(after.data.as_learned._cache[key] is value for key, value in inverse.items())


def test_explanations_after_likes_people_facts_and_items_are_as_from_nothing(fitted: HybridRecommender):
    rec = copy.copy(fitted)
    rec.explain("u00", "echo")
    like(rec, "u00", "hit")
    assert same(rec, "u00", "echo")
    like(rec, "somebody new", "hit")
    assert same(rec, "somebody new", "echo")
    facts = pd.DataFrame(
        {"head_id": ["hit"], "relation": ["DIRECTED_BY"], "tail_id": ["ada"], "tail_label": ["Person"]}
    )
    rec.add_facts(facts)
    assert same(rec, "u00", "query")
    rec.add_items(
        pd.DataFrame({"item_id": ["late"], "name": ["The Late Film"], "text": ["a film in the fog"]})
    )
    assert same(rec, "u00", "late")
    like(rec, "u01", "late")
    assert same(rec, "u01", "echo")
