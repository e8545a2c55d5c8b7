"""How old what was learned is, and learning again beside the state that answers."""

import copy
import threading

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.fitting import encode_texts
from kgenre.hybrid.health import gram_change
from kgenre.hybrid.state import Likes

NEW = [{"user_id": f"fan{number}", "item_id": item} for number in range(6) for item in ("s0", "l0", "echo")]


@pytest.fixture
def rec(every: HybridRecommender) -> HybridRecommender:
    return copy.copy(every)


def test_a_fit_is_healthy_and_nothing_is_due(rec: HybridRecommender) -> None:
    health = rec.health().set_index("signal")
    assert (health[["events", "changed_likes", "new_items", "forgotten"]] == 0).all(axis=None)
    assert health.learns["popularity"] == health.learns["text"] == health.learns["facts"] == "nothing"
    assert health.learns["closed_form"] == health.learns["multihop"] == "table"
    assert health.learns["gnn"] == "weights"
    assert not rec.refit_due()


def test_staleness_is_counted_measured_and_said(rec: HybridRecommender) -> None:
    rec.add_interactions(NEW)
    rec.add_items(pd.DataFrame({"item_id": ["x"], "name": ["X"]}))
    rec.forget_user("u05")
    health = rec.health().set_index("signal")
    assert health.events["slim"] == health.events["gnn"] == len(NEW)
    likes = rec.graph.likes.nnz - len(NEW)
    assert health.changed_likes["gnn"] == pytest.approx(len(NEW) / likes), "who is forgotten is counted apart"
    assert health.forgotten["gnn"] == health.forgotten["svd"] == 1
    assert health.new_items["cold_gnn"] == 1
    assert health.events["text"] == 0
    said = " ".join(rec.refit_due())
    assert "svd: it learned from 1 users who were forgotten; call absorb()" in said
    assert "gnn: it learned from 1 users who were forgotten; call refit()" in said


def test_change_of_the_gram_matrix_is_exact(rec: HybridRecommender) -> None:
    before = np.asarray(rec.graph.likes.toarray(), dtype=np.float64)
    rec.add_interactions([*NEW, {"user_id": "u00", "item_id": "s0", "weight": -1}])
    after = np.asarray(rec.graph.likes.toarray(), dtype=np.float64)
    then, now = before.T @ before, after.T @ after
    expected = np.linalg.norm(now - then) / np.linalg.norm(then)
    assert gram_change(rec.state, rec.state.drift.tables) == pytest.approx(expected, rel=1e-6)
    nothing = Likes(rec.graph.users.vocabulary.ids, sparse.csr_matrix(rec.graph.likes))
    assert gram_change(rec.state, nothing) == 0.0


def test_absorbed_tables_are_those_of_a_fit_on_the_graph_of_now(rec: HybridRecommender) -> None:
    rec.add_interactions(NEW)
    rec.add_items(pd.DataFrame({"item_id": ["x"], "text": ["Lovers on a starship."]}))
    rec.add_interactions([{"user_id": "fan0", "item_id": "x"}])
    before = rec.state
    rec.absorb()
    state = rec.state
    assert state.kg is before.kg
    data = SignalData.from_graph(state.kg, *encode_texts(state.kg, rec.text_encoder))
    for old, signal in zip(before.signals, state.signals, strict=True):
        scores = signal.score(state.histories)
        if signal.learns == "weights":
            assert signal is old
            continue
        fresh = type(signal)(signal.config).fit(data)
        np.testing.assert_allclose(
            scores, fresh.score(state.histories), rtol=1e-5, atol=1e-5, err_msg=signal.name
        )
    health = rec.health().set_index("signal")
    assert health.events["closed_form"] == 0
    assert health.events["gnn"] == len(NEW) + 1
    assert health.new_items["closed_form"] == 0
    assert health.new_items["gnn"] == 1
    # What the tables have absorbed stays when the graph changes again.
    rec.add_facts(pd.DataFrame({"head_id": ["s7"], "relation": ["DIRECTED_BY"], "tail_id": ["ada"]}))
    place = {signal.name: signal for signal in rec.state.signals}
    again, slim = place["slim"], next(signal for signal in state.signals if signal.name == "slim")
    np.testing.assert_allclose(again.score(rec.state.histories), slim.score(state.histories), rtol=1e-5)


def test_who_was_forgotten_leaves_no_trace_in_absorbed_tables(
    rec: HybridRecommender, world: KnowledgeGraph
) -> None:
    before = rec.score(history=["query", "s1"])
    rec.add_interactions(NEW)
    for number in range(6):
        rec.forget_user(f"fan{number}")
    rec.absorb()
    assert rec.graph.equals(world)
    np.testing.assert_allclose(rec.score(history=["query", "s1"]), before, rtol=1e-5, atol=1e-5)


def test_refit_without_tuning_is_a_fit_with_the_same_settings(rec: HybridRecommender) -> None:
    rec.add_interactions(NEW)
    rec.refit(tune=False)
    assert (rec.health()["events"] == 0).all()
    assert not rec.refit_due()
    fresh = HybridRecommender(rec.config, text_encoder=rec.text_encoder).fit(rec.graph, show=False).state
    for mine, theirs in zip(rec.state.signals, fresh.signals, strict=True):
        if mine.learns != "weights":
            scores, wanted = mine.score(fresh.histories), theirs.score(fresh.histories)
            np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4, err_msg=mine.name)


def test_events_during_a_refit_are_in_the_state_that_replaces_the_old_one(
    genre: HybridRecommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kgenre.hybrid import learning

    rec = copy.copy(genre)
    rec._changing = threading.RLock()
    fit = learning.fit

    def slow_fit(*arguments: object) -> object:
        state = fit(*arguments)  # type: ignore[arg-type]
        rec.add_interactions([{"user_id": "meanwhile", "item_id": "s0"}])
        rec.add_items(pd.DataFrame({"item_id": ["m"], "name": ["M"]}))
        return state

    monkeypatch.setattr(learning, "fit", slow_fit)
    rec.refit()
    assert "meanwhile" in rec.graph.users.vocabulary
    assert "m" in rec.graph.items.vocabulary
    assert rec.state.drift.n_events == 1
    assert "s0" not in set(rec.recommend("meanwhile", k=5)["item_id"])
