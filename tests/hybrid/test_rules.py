"""Each rule has its property on planted lists, alone and together; what cannot be obeyed is said."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.hybrid.beyond import divergence, diversity, entity_shares
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.recommender import HybridRecommender, load
from kgenre.hybrid.rule_choice import Choice
from kgenre.hybrid.ruler import Ruler
from kgenre.hybrid.rules import (
    Boost,
    Bury,
    Calibrate,
    Cap,
    Diversity,
    Exclude,
    Explore,
    LessPopular,
    Only,
    as_rules,
    rule_from_text,
)
from kgenre.hybrid.signals.features import unit_rows

N = 60


@pytest.fixture(scope="module")
def shop() -> KnowledgeGraph:
    """Items i00..i59 of three makers (a third each, in turn), six colours, and a year from 1960 on.

    Item i has 2 (59 - i) // 5 likes. User ``fan`` likes i00, i03, i06 and i09 of maker m0, and i01 of m1.
    """
    items = pd.DataFrame(
        {
            "item_id": [f"i{i:02}" for i in range(N)],
            "name": [f"Thing {i}" for i in range(N)],
            "year": [1960 + i for i in range(N)],
            "date": [f"{1960 + i}-05-01" for i in range(N)],
            "tags": [["even"] if i % 2 == 0 else ["odd", "prime"] for i in range(N)],
        }
    )
    facts = [(f"i{i:02}", "MADE_BY", f"m{i % 3}") for i in range(N)]
    facts += [(f"i{i:02}", "COLOUR", f"c{i % 6}") for i in range(N)]
    likes = [(f"u{u}", f"i{i:02}") for i in range(N) for u in range(2 * (59 - i) // 5)]
    likes += [("fan", item) for item in ("i00", "i03", "i06", "i09", "i01")]
    makers = pd.DataFrame({"id": ["m0", "m1", "m2"], "name": ["Ada Stone", "Ben Reed", "Cleo Fry"]})
    return KnowledgeGraph.from_frames(
        pd.DataFrame(likes, columns=["user_id", "item_id"]),
        items=items,
        facts=pd.DataFrame(facts, columns=["head_id", "relation", "tail_id"]),
        Maker=makers,
    )


@pytest.fixture(scope="module")
def model(shop: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    return HybridRecommender("genre", text_encoder=encoder).fit(shop, show=False)


def row_of(shop: KnowledgeGraph, user: str = "fan") -> sparse.csr_matrix:
    return shop.likes[[shop.users.vocabulary.get(user)]]


def falling(n_rows: int = 1) -> np.ndarray:
    """Scores that fall with the item's number."""
    return np.tile(np.linspace(1, 0, N), (n_rows, 1))


def listed(shop: KnowledgeGraph, *rules: object, k: int = 10) -> list[int]:
    items = Ruler(rules, shop).lists(falling(), row_of(shop), k)[0]
    return items[items >= 0].tolist()


# -- filters -----------------------------------------------------------------------------------------


def test_only_a_makers_items_by_id_or_name(shop: KnowledgeGraph):
    expected = list(range(1, N, 3))[:10]
    assert listed(shop, Only(relation="MADE_BY", entities=("m1",))) == expected
    assert listed(shop, Only(relation="MADE_BY", entities=("ben reed",))) == expected
    both = Only(relation="MADE_BY", entities=("m1", "Ada Stone"))
    assert listed(shop, both) == [i for i in range(N) if i % 3 < 2][:10]


def test_a_range_of_years_and_a_value(shop: KnowledgeGraph):
    assert listed(shop, Only(property="year", at_least=1970, below=1975)) == [10, 11, 12, 13, 14]
    assert listed(shop, Only(property="date", at_least=1970, below=1972)) == [10, 11]
    assert listed(shop, Only(property="tags", equals=("prime",)), k=3) == [1, 3, 5]
    assert listed(shop, Only(property="year", equals=(1999, 2001))) == [39, 41]


def test_conditions_of_one_rule_and_several_rules_all_hold(shop: KnowledgeGraph):
    one = Only(property="year", below=1980, relation="MADE_BY", entities=("m2",))
    two = [Only(property="year", below=1980), Only(relation="MADE_BY", entities=("m2",))]
    assert listed(shop, one) == listed(shop, *two) == [2, 5, 8, 11, 14, 17]
    assert listed(shop, one, Exclude(items=("i02", "i08"))) == [5, 11, 14, 17]


def test_by_a_maker_of_something_liked_is_about_each_user(shop: KnowledgeGraph):
    rule = Only(relation="COLOUR", liked=True)
    assert {item % 6 for item in listed(shop, rule, k=30)} == {0, 3, 1}
    histories = sparse.csr_matrix(np.eye(N)[[2, 4]])
    lists = Ruler([rule], shop).lists(falling(2), histories, 10)
    assert [{item % 6 for item in items} for items in lists] == [{2}, {4}]


def test_the_issues_sentence(model: HybridRecommender):
    """Only things from before 1990 that I have not seen, by a maker I like."""
    frame = model.recommend(
        "fan", k=8, rules=[Only(property="year", below=1990), Only(relation="MADE_BY", liked=True)]
    )
    numbers = [int(item[1:]) for item in frame["item_id"]]
    assert all(number < 30 and number % 3 < 2 and number not in (0, 3, 6, 9, 1) for number in numbers)


# -- scores ------------------------------------------------------------------------------------------


def test_boost_and_bury_move_by_deviations_of_the_users_scores(shop: KnowledgeGraph):
    spread = falling().std()
    ruler = Ruler([Boost(items=("i40",), amount=1.5), Bury(items=("i00",), amount=5)], shop)
    scores = falling()[0]
    scores[40] += 1.5 * spread
    scores[0] -= 5 * spread
    assert ruler.lists(falling(), row_of(shop), N)[0].tolist() == np.argsort(-scores, kind="stable").tolist()


def test_more_debiasing_lists_less_popular_items(shop: KnowledgeGraph):
    popular = np.asarray(shop.likes.sum(axis=0)).ravel()
    scores = np.random.default_rng(0).normal(size=(40, N)) + 0.5 * (popular - popular.mean()) / popular.std()
    histories = sparse.csr_matrix((40, N))
    lists = [Ruler([LessPopular(amount=a)], shop).lists(scores, histories, 10) for a in (0.0, 0.5, 1.0)]
    means = [popular[items].mean() for items in lists]
    assert means[0] > means[1] > means[2]
    assert (lists[0] == np.argsort(-scores, axis=1, kind="stable")[:, :10]).all()


# -- lists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 4])
def test_no_entity_comes_more_often_than_its_cap(shop: KnowledgeGraph, most: int):
    items = listed(shop, Cap(relation="COLOUR", most=most), k=6 * most)
    assert np.bincount([item % 6 for item in items]).max() == most
    # Nothing that a cap allows is passed over.
    assert items == list(range(6 * most))
    assert len(listed(shop, Cap(relation="MADE_BY", most=most), k=N)) == 3 * most


def test_a_cap_looks_beyond_the_pool(shop: KnowledgeGraph):
    scores = np.linspace(1, 0, 900)[None, :]
    facts = [(f"i{i:03}", "MADE_BY", "big" if i < 800 else f"m{i}") for i in range(900)]
    facts += [(f"i{i:03}", "SOLD_BY", f"m{i}") for i in range(900)]
    likes = pd.DataFrame({"user_id": "u", "item_id": [f"i{i:03}" for i in range(900)]})
    kg = KnowledgeGraph.from_frames(
        likes, facts=pd.DataFrame(facts, columns=["head_id", "relation", "tail_id"])
    )
    items = Ruler([Cap(relation="MADE_BY", most=1)], kg).lists(scores, kg.likes, 4)[0]
    assert items.tolist() == [0, 800, 801, 802]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
@pytest.mark.parametrize("relation", [None, "COLOUR"])
def test_more_diversity_is_more_diverse(shop: KnowledgeGraph, method: str, relation: str | None):
    vectors = unit_rows(entity_shares(shop, relation))
    scores = falling()
    # The best are all of one maker and colour.
    scores[0, ::6] += 0.3
    found = []
    for amount in (0.0, 0.5, 1.0):
        rule = Diversity(amount=amount, method=method, relation=relation)  # type: ignore[arg-type]
        items = Ruler([rule], shop).lists(scores, row_of(shop), 6)[0]
        found.append(
            float(diversity(sparse.csr_matrix(np.eye(N, dtype=np.float32)[items].sum(axis=0)), vectors)[0])
        )
        if amount == 0:
            assert items.tolist() == np.argsort(-scores[0], kind="stable")[:6].tolist()
    assert found[0] < found[1] <= found[2] + 1e-9
    if relation == "COLOUR":
        assert found[2] == pytest.approx(1)


def test_text_can_be_what_is_diverse(model: HybridRecommender):
    plain = model.recommend("fan", k=5)["item_id"].tolist()
    diverse = model.recommend("fan", k=5, rules=[Diversity(amount=0.9, by="text")])["item_id"].tolist()
    assert set(plain) != set(diverse)


def test_the_greedy_dpp_takes_the_largest_determinant_each_time():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel = vectors @ vectors.T
    choice = Choice(np.zeros(12))
    choice.diverse(kernel, 1.0, "dpp")
    found = choice.take(5)
    for size in range(2, 6):
        before = found[: size - 1].tolist()
        rest = [item for item in range(12) if item not in before]
        volume = {item: np.linalg.det(kernel[np.ix_([*before, item], [*before, item])]) for item in rest}
        assert volume[found[size - 1]] == pytest.approx(max(volume.values()), rel=1e-6)


def test_mmr_takes_the_best_of_relevance_minus_likeness_each_time():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(10, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel, scores = vectors @ vectors.T, rng.normal(size=10)
    relevance = (scores - scores.min()) / np.ptp(scores)
    choice = Choice(scores)
    choice.diverse(kernel, 0.4, "mmr")
    found = choice.take(6).tolist()
    assert found[0] == scores.argmax()
    for place in range(1, 6):
        rest = [item for item in range(10) if item not in found[:place]]
        gain = {i: 0.6 * relevance[i] - 0.4 * max(0.0, kernel[i, found[:place]].max()) for i in rest}
        assert gain[found[place]] == pytest.approx(max(gain.values()))


def test_a_calibrated_list_has_the_historys_distribution(shop: KnowledgeGraph):
    shares = entity_shares(shop, "MADE_BY")
    history = row_of(shop)
    found = []
    for amount in (0.0, 0.9, 1.0):
        items = Ruler([Calibrate(relation="MADE_BY", amount=amount)], shop).lists(falling(), history, 10)[0]
        found.append(divergence(history @ shares, sparse.csr_matrix(shares[items].sum(axis=0)))[0])
    assert found[0] > found[1] >= found[2]
    # Four of five likes are of m0, one is of m1.
    assert sorted((items % 3).tolist()) == [0] * 8 + [1] * 2


def test_calibration_reaches_a_distribution_that_can_be_reached(shop: KnowledgeGraph):
    shares, history = entity_shares(shop, "MADE_BY"), row_of(shop)
    items = Ruler([Calibrate(relation="MADE_BY", amount=1)], shop).lists(falling(), history, 5)[0]
    reached = divergence(history @ shares, sparse.csr_matrix(shares[items].sum(axis=0)))
    assert reached[0] == pytest.approx(0, abs=1e-9)


def test_a_share_of_the_places_is_for_items_with_few_likes(shop: KnowledgeGraph):
    likes = np.asarray(shop.likes.sum(axis=0)).ravel()
    assert (likes[:10] > 3).all()
    items = listed(shop, Explore(share=0.25, likes=3))
    # Rounded up; the best of them, behind what is better.
    assert items == [*range(7), *np.flatnonzero(likes <= 3)[:3]]
    assert listed(shop, Explore(share=0.25, likes=100)) == list(range(10))


def test_rules_hold_together(shop: KnowledgeGraph):
    likes = np.asarray(shop.likes.sum(axis=0)).ravel()
    items = listed(
        shop,
        Only(property="year", below=2015),
        Exclude(items=("i00",)),
        Cap(relation="COLOUR", most=2),
        Explore(share=0.3, likes=3),
        Diversity(amount=0.3),
    )
    assert len(items) == 10
    assert max(items) < 55
    assert 0 not in items
    assert np.bincount([item % 6 for item in items]).max() <= 2
    assert (likes[items] <= 3).sum() >= 3


def test_a_rule_asks_the_store_in_cypher_each_time(
    embedded_store: GraphStore, world: KnowledgeGraph, encoder: TextEncoder
):
    embedded_store.write(world)
    rec = HybridRecommender("genre", text_encoder=encoder).fit(embedded_store, show=False)
    query = "MATCH (i:Item)-[:DIRECTED_BY]->(p {name: $name}) RETURN i.id"
    rules = [Only(cypher=query, parameters={"name": "Ada Stone"})]
    assert set(rec.recommend("u31", k=1, rules=rules)["item_id"]) <= {"query", "cousin"}
    embedded_store.add_facts(
        pd.DataFrame(
            [("echo", "DIRECTED_BY", "ada", "Person")],
            columns=["head_id", "relation", "tail_id", "tail_label"],
        )
    )
    found = rec.recommend("u31", k=2, rules=[*rules, Exclude(items=("query",))])
    assert set(found["item_id"]) == {"cousin", "echo"}
    with pytest.raises(
        ConfigError, match="none of the 1 values that a rule's query returned is an item's id"
    ):
        rec.recommend("u31", k=1, rules=[Only(cypher="MATCH (p:Person {id: 'ada'}) RETURN p.name")])


def test_a_relation_that_touches_no_item_is_refused(shop: KnowledgeGraph):
    facts = pd.DataFrame(
        [("m0", "OWNS", "m1", "Maker", "Maker")],
        columns=["head_id", "relation", "tail_id", "head_label", "tail_label"],
    )
    other = shop.merge(KnowledgeGraph.from_frames(facts=facts))
    with pytest.raises(ConfigError, match="no fact of OWNS touches an item"):
        Ruler([Cap(relation="OWNS", most=1)], other)


# -- in a recommender --------------------------------------------------------------------------------


def test_a_list_says_what_its_rules_did(model: HybridRecommender):
    plain = model.recommend("fan", k=5)
    first = plain["item_id"][0]
    frame = model.recommend("fan", k=5, rules=[Exclude(items=(first,)), Boost(items=("i59",), amount=5)])
    assert first not in set(frame["item_id"])
    told = frame.attrs["rules"]
    assert [one["rule"] for one in told] == [f"exclude {first}", "boost i59 by 5"]
    assert f"takes out {plain['name'][0]}" in told[0]["effect"]
    assert "brings in Thing 59" in told[1]["effect"]
    by_item = frame.set_index("item_id")
    assert by_item.loc["i59", "rules"].startswith("listed by: boost i59 by 5")
    # The score stays the model's, which the ledger sums to.
    assert by_item.loc["i59", "score"] == pytest.approx(model.explain("fan", "i59").score)
    assert "rules" not in plain.columns


def test_an_item_is_told_what_the_rules_do_to_it(model: HybridRecommender):
    first = model.recommend("fan", k=5)["item_id"][0]
    rules = [Exclude(items=(first,)), Boost(items=("i59",), amount=5)]
    assert model.explain_rules("fan", first, 5, rules=rules) == [f"taken out by: exclude {first}"]
    assert model.explain_rules("fan", "i59", 5, rules=rules) == ["listed by: boost i59 by 5"]
    assert model.explain_rules("fan", "i59", 5) == []


def test_a_rule_that_does_nothing_says_so(model: HybridRecommender):
    frame = model.recommend("fan", k=5, rules=[Exclude(items=("i00",))])
    assert frame["rules"].tolist() == [""] * 5
    assert frame.attrs["rules"][0]["effect"].endswith("of 55 items")
    assert (
        model.recommend("fan", k=5, rules=[Cap(relation="COLOUR", most=5)]).attrs["rules"][0]["effect"]
        == "changes nothing"
    )


def test_many_lists_obey_as_one_does(model: HybridRecommender):
    rules = [Cap(relation="COLOUR", most=1), Only(property="year", below=2010), Explore(share=0.2, likes=5)]
    many = model.recommend_many(["fan", "u0", "u7"], k=5, rules=rules)
    for user, own in many.groupby("user_id", sort=False):
        assert own["item_id"].tolist() == model.recommend(str(user), k=5, rules=rules)["item_id"].tolist()


def test_rules_of_the_configuration_hold_everywhere_and_are_saved(
    shop: KnowledgeGraph, encoder: TextEncoder, tmp_path
):
    config = HybridConfig.preset("genre").updated(
        {"rules": [{"kind": "cap", "relation": "COLOUR", "most": 1}, Exclude(items=("i59",)).model_dump()]}
    )
    assert HybridConfig.from_dict(config.to_dict()) == config
    ruled = HybridRecommender(config, text_encoder=encoder).fit(shop, show=False)
    ruled.save(tmp_path / "model")
    for recommender in (ruled, load(tmp_path / "model")):
        items = [int(item[1:]) for item in recommender.recommend("fan", k=6)["item_id"]]
        assert sorted(item % 6 for item in items) == [0, 1, 2, 3, 4, 5]
        both = recommender.recommend("fan", k=5, rules=[Exclude(relation="COLOUR", entities=("c0",))])
        assert sorted(int(item[1:]) % 6 for item in both["item_id"]) == [1, 2, 3, 4, 5]


def test_too_strict_a_filter_says_how_many_are_left(model: HybridRecommender):
    narrow = [Only(property="year", at_least=2010, below=2013)]
    with pytest.raises(ConfigError, match=r"k=5 but the rules leave 3 of 60 items \(after: only year"):
        model.recommend("fan", k=5, rules=narrow)
    with pytest.raises(ConfigError, match="the rules leave 3 of 60"):
        model.recommend_many(k=5, rules=narrow)
    with pytest.raises(
        ConfigError, match="k=30 but only 18 items are left after what was seen and the rules"
    ):
        model.recommend("fan", k=30, rules=[Cap(relation="COLOUR", most=3)])
    liked = [Only(relation="COLOUR", liked=True)]
    with pytest.raises(ConfigError, match=r"only 25 items are left .*keeps 25 of 55 items"):
        model.recommend("fan", k=40, rules=liked)


def test_short_lists_of_many_users_are_told(model: HybridRecommender, caplog: pytest.LogCaptureFixture):
    model.recommend_many(["fan"], k=40, rules=[Only(relation="COLOUR", liked=True)])
    assert (
        "1 users have fewer than k=40 items left under the rules (only COLOUR of something liked)"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ({"kind": "cup", "relation": "COLOUR"}, ConfigError, "'cap'"),
        ({"kind": "cap", "relation": "COLOUR"}, ConfigError, "most: Field required"),
        ({"kind": "cap", "relation": "COLOUR", "most": 0}, ConfigError, "most: Input should be greater"),
        ({"kind": "only"}, ConfigError, "needs items, relation, property or cypher"),
        ({"kind": "only", "entities": ["m0"], "items": ["i00"]}, ConfigError, "need a relation"),
        ({"kind": "only", "below": 3, "items": ["i00"]}, ConfigError, "need a property"),
        ({"kind": "boost", "items": ["i00"], "amount": 9}, ConfigError, "amount: Input should be less"),
        ({"kind": "exclude", "items": ["i0x"]}, UnknownIdError, "i0x"),
        ({"kind": "only", "relation": "MADE"}, UnknownIdError, "unknown relation 'MADE'; nearest: MADE_BY"),
        (
            {"kind": "only", "relation": "MADE_BY", "entities": ["Ada Ston"]},
            UnknownIdError,
            "leads no item to 'Ada Ston'; nearest: ada stone",
        ),
        ({"kind": "only", "property": "years"}, ConfigError, "no property 'years'; nearest: year"),
        ({"kind": "only", "cypher": "RETURN 1"}, ConfigError, "not fitted on a store"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(model: HybridRecommender, rule, error, message):
    with pytest.raises(error, match=message):
        model.recommend("fan", k=3, rules=[rule])


def test_rules_are_a_list(model: HybridRecommender):
    with pytest.raises(ConfigError, match="give a list of rules"):
        as_rules(Cap(relation="COLOUR", most=1))  # type: ignore[arg-type]


def test_a_rule_in_one_line():
    expected = Cap(relation="DIRECTED_BY", most=2)
    assert rule_from_text("kind: cap, relation: DIRECTED_BY, most: 2") == expected
    assert rule_from_text("{kind: cap, relation: DIRECTED_BY, most: 2}") == expected
    with pytest.raises(ConfigError, match="is not YAML"):
        rule_from_text("kind: [cap")


def test_a_misspelt_rule_in_a_configuration_is_named():
    with pytest.raises(ConfigError, match="mots"):
        HybridConfig.from_dict({"rules": [{"kind": "cap", "relation": "R", "most": 1, "mots": 2}]})
