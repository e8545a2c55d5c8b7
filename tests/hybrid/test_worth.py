"""kg_worth finds what was planted: a graph that pays, one that does not, one of which one relation pays."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError, UnknownIdError
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.signals.closed_form import ClosedForm, ClosedFormConfig
from kgenre.hybrid.split import hold_out
from kgenre.hybrid.state import signed, union
from kgenre.hybrid.tuning import Validation
from kgenre.hybrid.worth import KgWorth, kg_worth
from kgenre.hybrid.worth_forms import DROPOUT, IDF_POWER, USER_POWER, FactKernels, Form, Task, Trials
from kgenre.hybrid.worth_refits import shuffled_links, untuned, without_text

USERS, ITEMS, TASTES = 240, 160, 8


def planted(*relations: str, random: tuple[str, ...] = (), seed: int = 1) -> KnowledgeGraph:
    """Users like items of one taste; a relation leads to nodes of few items each, of one taste or drawn at random."""
    rng = np.random.default_rng(seed)
    taste = np.arange(ITEMS) % TASTES
    rows = []
    for user in range(USERS):
        own = np.flatnonzero(taste == user % TASTES)
        liked = np.concatenate((rng.choice(own, 5, replace=False), rng.choice(ITEMS, 4, replace=False)))
        rows += [(f"u{user}", f"i{item}") for item in np.unique(liked)]
    facts = []
    for relation in (*relations, *random):
        order = rng.permutation(ITEMS)
        place = np.empty(ITEMS, dtype=int)
        place[order] = np.arange(ITEMS)
        for item in range(ITEMS):
            node = f"{taste[item]}" if relation in relations else f"{place[item] % TASTES}"
            facts.append((f"i{item}", relation, f"{relation} {node}"))
    return KnowledgeGraph.from_frames(
        pd.DataFrame(rows, columns=["user_id", "item_id"]),
        facts=pd.DataFrame(facts, columns=["head_id", "relation", "tail_id"]) if facts else None,
    )


@pytest.fixture(scope="module")
def one_pays(encoder: TextEncoder) -> KgWorth:
    kg = planted("STYLE", random=("COLOUR", "STUDIO"))
    return kg_worth(kg, text_encoder=encoder)


def row(worth: KgWorth, variant: str, group: str = "all") -> pd.Series:
    found = worth.table[(worth.table["variant"] == variant) & (worth.table["group"] == group)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_graph_of_the_tastes_pays_and_names_the_one_relation_that_does(one_pays: KgWorth):
    assert one_pays.answer == "pays"
    assert one_pays.relations == ["STYLE"]
    assert "The graph pays" in one_pays.verdict
    assert "of its 3 relations only STYLE surely pays alone" in one_pays.verdict
    assert row(one_pays, "no facts").low > 0.01
    assert row(one_pays, "random links").low > 0.01
    assert row(one_pays, "without STYLE").low > 0.01
    assert row(one_pays, "without COLOUR").low <= 0.005


def test_items_that_nobody_has_liked_need_the_facts(one_pays: KgWorth):
    cold = row(one_pays, "no facts", "cold items")
    # Nothing is known of them without facts: their order is chance.
    assert cold.ndcg < 0.5
    assert cold.low > 0.1
    assert row(one_pays, "only STUDIO", "cold items").difference < 0.1


def test_random_links_do_not_pay(encoder: TextEncoder):
    worth = kg_worth(planted(random=("STYLE", "COLOUR")), text_encoder=encoder)
    assert worth.answer == "no better than random links"
    assert "no better than random links" in worth.verdict
    assert worth.relations == []


def test_the_right_links_shuffled_do_not_pay(encoder: TextEncoder):
    worth = kg_worth(shuffled_links(planted("STYLE"), rng=3), text_encoder=encoder)
    assert worth.answer == "no better than random links"


def test_a_graph_without_facts_has_nothing_that_could_pay(encoder: TextEncoder):
    worth = kg_worth(planted(), text_encoder=encoder)
    assert worth.answer == "no facts"
    assert set(worth.table["variant"]) == {"as it is"}


def test_ndcg_minus_difference_is_another_variants_ndcg(one_pays: KgWorth):
    table = one_pays.table.set_index(["variant", "group"])
    for group in ("all", "sparse users", "cold items"):
        as_it_is = table.loc[("as it is", group), "ndcg"]
        for variant in ("no facts", "random links"):
            lacking = table.loc[(variant, group)]
            assert as_it_is - lacking["ndcg"] == pytest.approx(lacking["difference"], abs=1e-12)
            assert lacking["low"] <= lacking["difference"] <= lacking["high"]


def test_sparse_users_are_the_third_with_the_shortest_histories(one_pays: KgWorth):
    users = one_pays.rows.groupby("group")["users"].first()
    assert users["sparse users"] == round(users["all"] / 3)


def test_a_second_run_says_the_same(encoder: TextEncoder, one_pays: KgWorth):
    again = kg_worth(planted("STYLE", random=("COLOUR", "STUDIO")), text_encoder=encoder)
    pd.testing.assert_frame_equal(again.table, one_pays.table)


def test_only_named_relations_are_looked_at(encoder: TextEncoder):
    worth = kg_worth(planted("A", "B"), text_encoder=encoder, relations=["B"], splits=1)
    looked_at = {name for name in worth.table["variant"] if name.startswith(("only", "without"))}
    assert looked_at == {"only B", "without B"}


def test_it_shows_itself(one_pays: KgWorth):
    assert one_pays.verdict in one_pays.text
    assert "3 held-out splits" in one_pays.text
    picture = ElementTree.fromstring(one_pays.picture())
    assert picture.tag.endswith("svg")
    words = "".join(picture.itertext())
    assert "STYLE alone" in words
    assert "cold items" in words
    assert one_pays.picture() in one_pays._repr_html_()
    values = one_pays.to_dict()
    assert values["answer"] == "pays"
    assert len(values["table"]) == len(one_pays.table)


def test_what_cannot_be_measured_is_said(encoder: TextEncoder):
    kg = planted("STYLE")
    with pytest.raises(UnknownIdError, match="no relation 'STILE'; nearest: STYLE"):
        kg_worth(kg, text_encoder=encoder, relations=["STILE"])
    with pytest.raises(ConfigError, match="splits=0 is below 1"):
        kg_worth(kg, text_encoder=encoder, splits=0)
    few = pd.DataFrame([("u", "a"), ("v", "b")], columns=["user_id", "item_id"])
    with pytest.raises(DataError, match="three likes"):
        kg_worth(KnowledgeGraph.from_frames(few), text_encoder=encoder)


def test_the_form_in_bulk_is_the_closed_form():
    kg = planted("STYLE", random=("COLOUR",))
    data = SignalData.from_graph(kg)
    training, held_out = hold_out(kg.likes, 0.1, None, 0)
    validation = Validation.of(
        signed(training, kg.dislikes), held_out, union(training, kg.dislikes), 20, 1000, 0
    )
    data = data.with_likes(training)
    form = Form.of(Task(data, validation, rng=0), 300.0)
    scores = form.base + np.float32(0.2) * form.push(FactKernels(data).all())
    config = ClosedFormConfig(
        regularization=300.0,
        facts=0.2,
        text=0.0,
        dropout=DROPOUT,
        idf_power=IDF_POWER,
        user_power=USER_POWER,
    )
    expected = ClosedForm(config).fit(data).score(validation.histories)[:, form.items]
    listed = np.isfinite(scores)
    np.testing.assert_allclose(scores[listed], expected[listed], atol=2e-4)


def test_one_relation_and_all_others_make_up_the_whole():
    data = SignalData.from_graph(planted("STYLE", random=("COLOUR",)))
    kernels = FactKernels(data)
    alone, others = kernels.split("STYLE")
    other, rest = kernels.split("COLOUR")
    np.testing.assert_allclose(alone, rest, atol=1e-5)
    np.testing.assert_allclose(others, other, atol=1e-5)


def test_a_setting_is_chosen_without_the_users_it_serves():
    trials = Trials(10, 1, folds=2)
    folds = trials._folds
    # One setting is perfect for either half of the users: each half is served by what suits the other.
    trials.add("v", (1.0, 0.0, 0.0), 0, np.arange(10), (folds == 0).astype(float))
    trials.add("v", (2.0, 0.0, 0.0), 0, np.arange(10), (folds == 1).astype(float))
    assert trials.per_user("v").sum() == 0


def test_shuffled_links_keep_what_they_lead_to():
    kg = planted("STYLE", random=("COLOUR",))
    mixed = shuffled_links(kg, rng=0)
    for name, matrix in kg.item_facts().items():
        other = mixed.item_facts()[name]
        assert (other != matrix).nnz > 0
        np.testing.assert_array_equal(np.sort(other.indices), np.sort(matrix.indices))
    assert mixed.likes is not None
    assert (mixed.likes != kg.likes).nnz == 0


def test_without_text_nothing_is_left_to_encode(world: KnowledgeGraph):
    bare = without_text(world)
    assert all(table.names.null_count == len(table) == table.texts.null_count for table in bare.tables)
    assert bare.n_facts == world.n_facts


def test_refits_choose_settings_anew_and_keep_what_cannot_be_chosen():
    config = HybridConfig.from_dict({"closed_form": {"facts": 0.5, "idf_power": 2.0}, "seed": 3})
    free = untuned(config)
    assert "facts" not in free.closed_form.model_fields_set
    assert free.closed_form.idf_power == 2.0
    assert free.seed == 3


def test_full_fits_the_fusion_on_every_variant(encoder: TextEncoder):
    config = HybridConfig.from_dict(
        {
            "signals": ["popularity", "closed_form", "facts"],
            "baselines": False,
            "validation": {"cold_items": "never"},
        }
    )
    worth = kg_worth(planted("STYLE"), full=True, config=config, text_encoder=encoder, relations=["STYLE"])
    assert worth.full
    assert worth.answer == "pays"
    assert set(worth.table["variant"]) == {"as it is", "no facts", "random links", "without STYLE"}
    # Without its only relation the graph has no facts.
    assert row(worth, "without STYLE").ndcg == pytest.approx(row(worth, "no facts").ndcg)
    assert row(worth, "no facts", "cold items").low > 0
