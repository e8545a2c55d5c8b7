"""Changes to a fitted recommender: the next answer knows them, nothing is trained, nothing is half done."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kgenre import connect, load
from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError, UnknownIdError
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.live import changed, items_delta


@pytest.fixture
def rec(every: HybridRecommender) -> HybridRecommender:
    """A recommender of its own for each test: changes replace the state, they never write into it."""
    return copy.copy(every)


def events(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "weight"])


def test_new_user_is_answered_as_an_anonymous_history_is(rec: HybridRecommender) -> None:
    rec.add_interactions(events(("new", "s0", 1), ("new", "s1", 1)))
    known, anonymous = rec.score("new"), rec.score(history=["s0", "s1"])
    np.testing.assert_allclose(known, anonymous, rtol=1e-5, equal_nan=True)
    assert "s0" not in set(rec.recommend("new", k=5)["item_id"])


def test_dislike_of_something_liked_prevails_and_is_never_recommended(rec: HybridRecommender) -> None:
    liked = rec.graph.items.vocabulary[int(rec.graph.likes[rec.graph.users.vocabulary.get("u00")].indices[0])]
    before = rec.score("u00")
    rec.add_interactions(events(("u00", liked, -1)))
    assert rec.graph.dislikes[rec.graph.users.vocabulary.get("u00")].nnz == 1
    assert liked not in set(rec.recommend("u00", k=10, include_seen=True)["item_id"])
    assert not np.allclose(before, rec.score("u00"), equal_nan=True)


def test_popularity_follows_new_likes(rec: HybridRecommender) -> None:
    def share() -> float:
        return float(rec.explain("critic", "echo").ledger.set_index("signal").loc["popularity", "raw"])

    before = share()
    rec.add_interactions(events(*((f"fan{i}", "echo", 1) for i in range(5))))
    assert share() > before


def test_interaction_with_an_unknown_item_is_refused_and_changes_nothing(rec: HybridRecommender) -> None:
    state = rec.state
    with pytest.raises(DataError, match=r"unknown item 's00'; nearest: s0.*add_items"):
        rec.add_interactions(events(("u00", "s0", 1), ("u00", "s00", 1)))
    assert rec.state is state


def test_new_item_is_recommended_by_its_facts_and_text_and_the_others_keep_their_scores(
    rec: HybridRecommender,
) -> None:
    before = rec.score(history=["query"])
    rec.add_items(
        pd.DataFrame(
            {
                "item_id": ["a-new-one"],
                "name": ["Fog"],
                "text": ["A keeper of a lonely lighthouse hears voices in the fog."],
                "directed_by": ["ada"],
                "colour": ["grey"],
            }
        )
    )
    assert rec.graph.items.vocabulary[0] == "a-new-one", "sorted first: every other item has moved"
    assert rec.graph.items.properties["colour"][0].as_py() == "grey"
    ledger = rec.explain(item="a-new-one", history=["query"]).ledger.set_index("signal")
    assert ledger.loc["text", "raw"] > 0
    assert ledger.loc["multihop", "raw"] > 0
    assert "a-new-one" in set(rec.recommend(history=["query"], k=6)["item_id"])
    after = rec.score(history=["query"], items=[str(item) for item in before.index])
    assert np.corrcoef(before.dropna(), after[before.notna().to_numpy()])[0, 1] > 0.98


def test_new_fact_is_a_reason_at_once_and_its_removal_takes_it_back(rec: HybridRecommender) -> None:
    fact = pd.DataFrame({"head_id": ["s7"], "relation": ["DIRECTED_BY"], "tail_id": ["ada"]})
    n_facts = rec.graph.n_facts
    rec.add_facts(fact)
    assert rec.graph.n_facts == n_facts + 1
    assert any("Ada Stone" in reason.text for reason in rec.explain(item="s7", history=["query"]).reasons)
    rec.remove_facts(fact)
    assert rec.graph.n_facts == n_facts


def test_what_a_fact_does_not_touch_is_not_made_again(rec: HybridRecommender) -> None:
    rec.add_items(pd.DataFrame({"item_id": ["extra"], "text": ["A starship crew meets aliens."]}))
    before = {signal.name: signal for signal in rec.state.signals}
    rec.add_facts(pd.DataFrame({"head_id": ["s7"], "relation": ["DIRECTED_BY"], "tail_id": ["ada"]}))
    after = {signal.name: signal for signal in rec.state.signals}
    assert {name for name, signal in after.items() if signal is before[name]} >= {
        "text",
        "closed_form",
        "slim",
    }
    assert after["facts"] is not before["facts"]


def test_removed_item_is_gone_from_every_answer(rec: HybridRecommender) -> None:
    rec.remove_items(["hit"])
    assert "hit" not in set(rec.recommend_many(k=10)["item_id"])
    with pytest.raises(UnknownIdError, match="unknown item 'hit'"):
        rec.explain("u00", "hit")


def test_forgotten_user_leaves_the_graph_as_if_never_there(
    rec: HybridRecommender, world: KnowledgeGraph, tmp_path: Path
) -> None:
    rec.add_interactions(events(("guest-4711", "s0", 1), ("guest-4711", "l0", 1)))
    rec.forget_user("guest-4711")
    assert rec.graph.equals(world), rec.graph.differences(world)
    with pytest.raises(UnknownIdError):
        rec.recommend("guest-4711")
    rec.save(tmp_path / "model")
    assert not any(
        b"guest-4711" in file.read_bytes() for file in (tmp_path / "model").rglob("*") if file.is_file()
    )


def test_changed_recommender_survives_a_save(rec: HybridRecommender, tmp_path: Path) -> None:
    rec.add_interactions(events(("new", "s0", 1)))
    rec.add_items(pd.DataFrame({"item_id": ["extra"], "text": ["A starship crew meets aliens."]}))
    rec.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").recommend("new", k=5), rec.recommend("new", k=5))


def test_model_saved_by_an_older_version_goes_on_from_its_first_change(rec: HybridRecommender) -> None:
    """Before, neither the number of items that facts are rare among nor the regression of ``cold`` was kept."""
    state, kept = rec.state, ("of", "dual", "warm", "size", "centre", "scales")
    older = []
    for signal in state.signals:
        arrays = {name: array for name, array in signal.arrays().items() if name not in kept}
        older.append(type(signal)(signal.config).restore(arrays))
    frame = pd.DataFrame({"item_id": ["a-new"], "text": ["A keeper in the fog."], "directed_by": ["ada"]})
    kg = state.kg.merge(items_delta(state.kg, frame))
    new = changed(state, kg, rec.text_encoder)
    old = changed(replace(state, signals=tuple(older)), kg, rec.text_encoder)
    for one, other in zip(new.signals, old.signals, strict=True):
        scores, wanted = one.score(new.histories), other.score(old.histories)
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5, err_msg=one.name)


def test_store_is_written_first_and_follows(world: KnowledgeGraph, tmp_path: Path) -> None:
    with connect(tmp_path / "store") as store:
        store.write(world)
        rec = HybridRecommender("genre", text_encoder=TextEncoder()).fit(store)
        rec.add_interactions(events(("new", "s0", 1)))
        rec.add_items(pd.DataFrame({"item_id": ["extra"], "name": ["Extra"], "directed_by": ["ada"]}))
        rec.forget_user("u01")
        rec.remove_items(["l9"])
        assert store.snapshot().equals(rec.graph), store.snapshot().differences(rec.graph)
        state = rec.state
    with pytest.raises(Exception, match="closed"):
        rec.add_interactions(events(("new", "s1", 1)))
    assert rec.state is state
