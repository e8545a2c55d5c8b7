"""GENRE's relevance, R = a s + (1 - a) Popularity."""

import numpy as np
import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError
from kgenre.hybrid import HybridConfig, HybridRecommender
from kgenre.hybrid.signals.similarity import blend, similarity

USER, ITEM = (0.5, 0.2, 0.8), (0.2, 0.3, 0.1)


def test_the_articles_example():
    """The article prints .42 and 210.1: an arithmetic slip."""
    s = similarity(USER, ITEM)
    assert s == pytest.approx(0.6651, abs=5e-5)
    assert s == pytest.approx(0.24 / np.sqrt(0.93 * 0.14))
    assert blend(s, 1000, a=0.5) == pytest.approx(500.33, abs=5e-3)


def test_jaccard_counts_what_both_have():
    assert similarity((1, 1, 0, 0), (0, 2, 3, 0), "jaccard") == pytest.approx(1 / 3)
    assert similarity((1, 0), (1, 0), "jaccard") == 1


@pytest.mark.parametrize("method", ["cosine", "jaccard"])
def test_nothing_against_nothing_cannot_be_said(method: str):
    assert np.isnan(similarity((0, 0), (0, 0), method))


def test_an_unknown_similarity_is_refused():
    with pytest.raises(ConfigError, match=r"'euclid'.*cosine or jaccard"):
        similarity(USER, ITEM, "euclid")


@pytest.fixture(scope="module", params=["cosine", "jaccard", "tfidf"])
def blended(request: pytest.FixtureRequest, world: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    return HybridRecommender(HybridConfig.blend(request.param, a=0.7), text_encoder=encoder).fit(world)


def test_one_line_of_configuration_gives_the_articles_recommender(blended: HybridRecommender):
    state = blended.state
    similar, popularity = state.signals
    assert state.names == ("similarity", "popularity")
    history = state.histories[0]
    s = np.nan_to_num(similar.score(history)[0].astype(np.float64))
    share = popularity.score(history)[0].astype(np.float64)
    assert share.max() == 1
    assert share.min() == 0
    assert s.max() <= 1 + 1e-6
    found = blended.score("critic")
    assert found.name == "score"
    expected = 0.7 * s + 0.3 * share
    scores = blended.score(blended.graph.users.vocabulary[0]).to_numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_its_ledger_is_the_formula(blended: HybridRecommender):
    explanation = blended.explain("u00", "s1")
    ledger = explanation.ledger.set_index("signal")
    assert ledger["weight"].to_dict() == {"similarity": 0.7, "popularity": pytest.approx(0.3)}
    np.testing.assert_allclose(ledger["value"], ledger["raw"])
    np.testing.assert_allclose(ledger["contribution"], np.nan_to_num(ledger["weight"] * ledger["raw"]))
    assert explanation.score == pytest.approx(blended.score("u00", ["s1"]).iloc[0], abs=1e-6)
    assert sum(reason.contribution for reason in explanation.reasons) == pytest.approx(
        explanation.score, abs=1e-6
    )


@pytest.mark.parametrize("a", [0.0, 1.0])
def test_at_the_ends_only_one_part_counts(a: float, world: KnowledgeGraph, encoder: TextEncoder):
    model = HybridRecommender(HybridConfig.blend("jaccard", a=a), text_encoder=encoder).fit(world)
    first = model.recommend(history=["query"], k=1)["item_id"].iloc[0]
    assert first == ("cousin" if a else "hit")


@pytest.mark.parametrize("a", [-0.1, 1.5])
def test_a_lies_between_0_and_1(a: float):
    with pytest.raises(ConfigError, match=rf"a={a} is outside \[0, 1\]"):
        HybridConfig.blend(a=a)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match=r"similarity\.method='cosin'.*'cosine', 'jaccard' or 'tfidf'"):
        HybridConfig.blend("cosin")
