"""Explanations are arithmetic: they sum up, agree with other ways of computing them, and deleting them is felt."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.hybrid.attribution import explaining_data, shares
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.explanation import Explanation
from kgenre.hybrid.fusion import FusionConfig
from kgenre.hybrid.phrases import Phrases
from kgenre.hybrid.reasons import Reason
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.signals import SIGNALS
from kgenre.hybrid.signals.closed_form import ClosedFormConfig
from kgenre.hybrid.signals.multihop import MultiHop
from kgenre.hybrid.signals.svd import ScaledSVDConfig
from kgenre.hybrid.state import single_history
from kgenre.hybrid.without import facts_without

Index = Callable[[str], int]
FACTUAL = ("multihop", "closed_form", "slim", "gnn", "facts", "cold", "cold_gnn")


def one_signal(name: str, kg: KnowledgeGraph, encoder: TextEncoder, **config: object) -> HybridRecommender:
    fusion = FusionConfig(method="fixed", weights={name: 1.0})
    settings = HybridConfig(signals=(name,), fusion=fusion, tune=False, baselines=False, **config)  # type: ignore[arg-type]
    return HybridRecommender(settings, text_encoder=encoder).fit(kg, show=False)


def without_fact(data: SignalData, relation: str, item: int, node: int) -> SignalData:
    """The data without one fact of an item."""
    facts = dict(data.facts)
    changed = sparse.lil_matrix(facts[relation])
    changed[item, node] = 0
    facts[relation] = sparse.csr_matrix(changed)
    return data.with_facts(facts)


# -- sums ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["u00", "critic"])
def test_every_signal_s_evidence_sums_to_what_it_adds(every: HybridRecommender, user: str):
    assert set(every.state.names) == set(SIGNALS)
    for item in every.graph.items.vocabulary:
        found = every.explain(user, item)
        ledger = found.ledger.set_index("signal")["contribution"]
        by_signal = found.evidence.groupby("signal")["contribution"].sum().reindex(ledger.index, fill_value=0)
        np.testing.assert_allclose(by_signal, ledger, atol=1e-9)
        assert found.evidence["contribution"].sum() == pytest.approx(found.score, abs=1e-6)
        of_signals = pd.Series(dtype=float)
        for reason in found.reasons:
            assert sum(reason.signals.values()) == pytest.approx(reason.contribution, abs=1e-9)
            of_signals = of_signals.add(pd.Series(reason.signals), fill_value=0)
        np.testing.assert_allclose(of_signals.reindex(ledger.index, fill_value=0), ledger, atol=1e-9)
        popularity = ledger["popularity"]
        assert found.history["contribution"].sum() + popularity == pytest.approx(found.score, abs=1e-6)


def test_facts_and_texts_have_their_part_in_every_signal_that_knows_them(
    every: HybridRecommender, index: Index
):
    data = explaining_data(every.state, every.text_encoder)
    history = single_history(every.graph.n_items, [index("query"), index("s0")])
    found = {
        share.signal.name: share for share in shares(every.state, history, history, index("cousin"), data)
    }
    echo = {share.signal.name: share for share in shares(every.state, history, history, index("echo"), data)}
    for name in FACTUAL:
        assert abs(found[name].facts).sum() > 0, name
    for name in ("closed_form", "slim", "gnn"):
        assert abs(echo[name].text).sum() > 0, name


def test_walks_are_those_of_the_graph(genre: HybridRecommender):
    """`KnowledgeGraph.paths` finds them one by one, in other code."""
    for user, item in (("u00", "s4"), ("critic", "s4"), ("u31", "l9")):
        found = genre.explain(user, item)
        row = found.ledger.set_index("signal").loc["multihop"]
        unit = row["weight"] * row["value"] / row["raw"] if row["raw"] else 0.0
        history, seen = genre._history(user, None, ())
        scale = shares(
            genre.state, history, seen, genre.graph.items.vocabulary.get(item), explaining_data(genre.state)
        )
        assert unit
        paths = genre.graph.paths(user, item)
        paths = paths[paths["relation"] != "LIKED"]
        expected = paths.groupby(["item_id", "relation"])["contribution"].sum() * scale[0].scale
        walks = found.evidence[found.evidence["kind"] == "walk"]
        walked = walks.groupby(["item_id", "relation"])["contribution"].sum()
        assert len(walked)
        pd.testing.assert_series_equal(walked.sort_index(), expected.sort_index(), rtol=1e-5)


# -- what facts carry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["closed_form", "svd"])
def test_a_table_without_its_facts_has_lost_exactly_their_part(
    name: str, world: KnowledgeGraph, data: SignalData, encoder: TextEncoder
):
    """Fewer singular vectors than items: with all of them an SVD is the identity, and nobody's part is any."""
    signal = one_signal(name, world, encoder, svd=ScaledSVDConfig(embedding_size=8)).state.signals[0]
    bare = signal.with_facts(data, data.with_facts({}))
    history = single_history(world.n_items, [0, 3, 12], [20])
    before, after = signal.score(history)[0], bare.score(history)[0]
    for item in np.flatnonzero(np.isfinite(before) & np.isfinite(after)):
        split = signal.split(history, int(item), data)
        assert before[item] - split.facts.sum() == pytest.approx(after[item], abs=1e-4)
    assert np.nanmax(np.abs(before - after)) > 0.05
    assert np.abs(split.text).sum() > 0


@pytest.mark.parametrize("name", ["closed_form", "multihop", "facts"])
def test_other_facts_give_what_a_fit_on_them_gives(
    name: str, world: KnowledgeGraph, data: SignalData, encoder: TextEncoder
):
    after = data.with_facts(facts_without(world, ["DIRECTED_BY"]))
    signal = one_signal(name, world, encoder).state.signals[0]
    fitted = type(signal)(signal.config).fit(after)
    if isinstance(signal, MultiHop) and isinstance(fitted, MultiHop):
        # How much either kind of walk counts was learned, and stays.
        ratio = np.asarray(signal.scales) / np.asarray(fitted.scales)
        assert ratio[0] == pytest.approx(1)
        fitted.scales = signal.scales
        fitted._of(fitted._walks(after))
    histories = sparse.csr_matrix(world.likes, dtype=np.float32)
    scores = signal.with_facts(data, after).score(histories)
    np.testing.assert_allclose(scores, fitted.score(histories), atol=1e-5)
    assert np.nanmax(np.abs(scores - signal.score(histories))) > 0.01


@pytest.mark.parametrize("name", ["gnn", "cold_gnn"])
def test_a_fact_s_worth_to_the_network_is_that_of_a_forward_pass_without_it(
    name: str, every: HybridRecommender, index: Index
):
    state, item = every.state, index("cousin")
    data = explaining_data(state, every.text_encoder)
    signal = state.signals[state.names.index(name)]
    history = single_history(state.kg.n_items, [index("query"), index("s3"), index("hit")])
    split = signal.split(history, item, data)
    (column,) = np.flatnonzero(np.array(split.relation) == "DIRECTED_BY")
    gone = np.arange(len(split.node)) == column
    after = signal.with_facts(data, without_fact(data, "DIRECTED_BY", item, int(split.node[column])))
    loss = float(signal.score(history)[0, item] - after.score(history)[0, item])
    assert abs(loss) > 0.01
    assert split.loss(gone) == pytest.approx(loss, abs=1e-5)
    others = np.delete(np.arange(state.kg.n_items), item)
    np.testing.assert_array_equal(after.score(history)[0, others], signal.score(history)[0, others])


def test_a_gain_undoes_a_loss(every: HybridRecommender, index: Index):
    state, item = every.state, index("cousin")
    data = explaining_data(state, every.text_encoder)
    history = single_history(state.kg.n_items, [index("s0"), index("s3")])
    ben = state.kg.slice("Person").start + state.kg.table("Person").vocabulary.get("ben")
    for name in ("facts", "closed_form", "gnn"):
        signal = state.signals[state.names.index(name)]
        assert signal.split(history, item, data).gain("DIRECTED_BY", ben) > 0, name
        assert signal.split(history, item, data).gain("NO_RELATION", ben) == 0


def test_a_fact_is_a_reason_only_where_it_carries_something(
    world: KnowledgeGraph, encoder: TextEncoder, index: Index
):
    """s2 and s4 have a director in common; in likes alone nothing is made of it."""
    blind = one_signal("closed_form", world, encoder, closed_form=ClosedFormConfig(facts=0.0, text=0.0))
    found = blind.explain(item="s4", history=["s2", "s8"])
    assert {reason.kind for reason in found.reasons} == {"history"}
    both = np.asarray(world.likes[:, [index("s2"), index("s4")]].sum(axis=1)).ravel() == 2
    assert f"{both.sum()} people who liked The S2 Film, which you liked, liked this too" in [
        reason.text for reason in found.reasons
    ]
    aware = one_signal("closed_form", world, encoder, closed_form=ClosedFormConfig(facts=0.3, text=0.0))
    (fact,) = [
        reason for reason in aware.explain(item="s4", history=["s2", "s8"]).reasons if reason.kind == "path"
    ]
    assert fact.text == "directed by Ben Reed, like The S2 Film, which you liked"
    assert fact.contribution > 0
    assert [path.start for path in fact.paths] == ["s2"]


# -- shown reasons are felt ----------------------------------------------------------------------------


def test_deleting_what_is_shown_lowers_the_score(every: HybridRecommender):
    """Deleted for real: from the history, and from the facts that every signal is given."""
    state = every.state
    data = explaining_data(state, every.text_encoder)
    ids = state.kg.items.vocabulary
    kinds = set()
    for user in ("u00", "u17", "u40"):
        liked = [ids[int(item)] for item in state.histories[state.kg.users.vocabulary.get(user)].indices]
        row, _ = every._history(None, liked, ())
        for item in every.recommend(history=liked, k=3)["item_id"]:
            shown = every.explain(item=item, history=liked).best(8)
            score = every.score(history=liked, items=[item]).iloc[0]
            for reason in shown:
                kinds.add(reason.kind)
                if reason.kind in ("history", "text"):
                    left, _ = every._history(None, [one for one in liked if one != reason.evidence], ())
                    after = state.score(left, row)[0, ids.get(item)]
                    # Scores are sums of float32; in what order is the scorer's.
                    assert reason.measured == pytest.approx(score - after, abs=5e-6)
                elif reason.kind == "path" and reason.evidence.entity is not None:  # type: ignore[union-attr]
                    person = state.kg.table("Person").vocabulary.get(str(reason.evidence.entity))  # type: ignore[union-attr]
                    node = state.kg.slice("Person").start + person
                    changed = without_fact(data, "DIRECTED_BY", ids.get(item), node)
                    other = replace(state, signals=tuple(s.with_facts(data, changed) for s in state.signals))
                    after = other.score(row, row)[0, ids.get(item)]
                assert after < score or reason.kind == "popularity" or reason.evidence.entity is None, reason  # type: ignore[union-attr]
    assert kinds >= {"history", "text", "path"}


def test_a_reason_that_is_not_felt_is_not_shown():
    empty = pd.DataFrame()
    felt = Reason("history", "a", 0.2, "felt", measured=0.1)
    silent = Reason("path", "b", 0.5, "only in the sum", measured=-0.01)
    unknown = Reason("text", "c", 0.4, "not measured")
    against = Reason("history", "d", -0.3, "against", measured=0.1)
    faint = Reason("history", "e", 0.2, "less than a tenth", measured=0.009)
    found = Explanation("x", "X", 0.8, empty, empty, empty, (silent, unknown, faint, felt, against))
    assert found.best(9) == [felt]
    assert found.text == "X: score 0.800\n  +0.200  felt"


def test_the_strongest_reason_is_the_first_that_is_shown(every: HybridRecommender):
    for user in ("u00", "u40", "critic"):
        for item in every.recommend(user, k=3)["item_id"]:
            assert every.strongest_reason(user, item) == every.explain(user, item).best(1)[0]


# -- words ---------------------------------------------------------------------------------------------


def test_reasons_speak_chinese(genre: HybridRecommender):
    found = genre.explain(item="cousin", history=["query"], language="zh")
    assert found.best(1)[0].text == "由Ada Stone执导，与The Query Film（你喜欢过）一样"
    assert found.text.startswith("The Cousin Film：得分")


def test_templates_of_ones_own(genre: HybridRecommender):
    own = Phrases.of("en").adding({"DIRECTED_BY": "a film by {entity}"})
    text = genre.explain(item="cousin", history=["query"], language=own).best(1)[0].text
    assert text == "a film by Ada Stone, like The Query Film, which you liked"


@pytest.fixture(scope="module")
def nameless(encoder: TextEncoder) -> HybridRecommender:
    """Films a to d by a director without a name; d has no name either, and a user stands in a fact."""
    rows = [(film, "DIRECTED_BY", "m.0x", "Person", "Item") for film in "abcd"]
    rows += [("eve", "REVIEWED", film, "Item", "User") for film in "abcd"]
    columns = ["head_id", "relation", "tail_id", "tail_label", "head_label"]
    kg = KnowledgeGraph.from_frames(
        pd.DataFrame(
            [("u", "a"), ("u", "b"), ("v", "a"), ("v", "e"), ("w", "f")], columns=["user_id", "item_id"]
        ),
        items=pd.DataFrame(
            {"item_id": list("abcdef"), "name": ["Dawn", "Noon", "Dusk", None, "Night", "Day"]}
        ),
        users=pd.DataFrame({"user_id": ["eve"], "name": ["Eve Secret"]}),
        facts=pd.DataFrame(rows, columns=columns),
        Person=pd.DataFrame({"id": ["m.0x"]}),
    )
    return HybridRecommender("genre", text_encoder=encoder).fit(kg, show=False)


def test_what_has_no_name_is_described(nameless: HybridRecommender):
    texts = [reason.text for reason in nameless.explain("u", "c").reasons]
    assert "directed by: an entity of type Person linked to 2 items you liked" in texts
    one = [reason.text for reason in nameless.explain(item="c", history=["a"]).reasons]
    assert "directed by: an entity of type Person linked to Dawn, which you liked" in one
    without = [reason.text for reason in nameless.explain(item="a", history=["d"]).reasons]
    assert not any("m.0x" in text or " d," in text for text in (*texts, *one, *without))
    assert any("an item without a name" in text for text in without)


def test_another_user_in_a_fact_is_somebody(nameless: HybridRecommender):
    found = nameless.explain("u", "c")
    texts = [reason.text for reason in found.reasons]
    assert any(text.startswith("somebody reviewed it") for text in texts)
    plain = json.dumps(found.to_dict(), ensure_ascii=False)
    assert "eve" not in plain
    assert "Eve" not in plain + found._repr_html_()


# -- why not -------------------------------------------------------------------------------------------


def test_why_not_knows_the_place_and_what_is_missing(every: HybridRecommender):
    found = every.why_not("u00", "l5", k=3)
    everything = every.recommend("u00", k=found.rank or 0)
    assert everything["item_id"].iloc[-1] == "l5"
    assert found.score == pytest.approx(everything["score"].iloc[-1])
    assert found.gap == pytest.approx(everything["score"].iloc[2] - found.score)
    assert found.signals["contribution"].sum() == pytest.approx(found.score, abs=1e-6)
    mean = everything["score"].iloc[:3].mean()
    assert found.signals["lacks"].sum() == pytest.approx(mean - found.score, abs=1e-6)
    assert f"The L5 Film is at place {found.rank}" in found.text


def test_a_like_that_would_bring_it_does(genre: HybridRecommender):
    history = ["s0", "s1"]
    found = genre.why_not(item="cousin", history=history, k=3)
    best = found.likes.iloc[0]
    assert best["item_id"] == "query"
    listed = genre.recommend(history=[*history, "query"], k=int(best["rank"]))
    assert listed["item_id"].iloc[-1] == "cousin"
    assert listed["score"].iloc[-1] == pytest.approx(best["score"])
    assert "liking The Query Film would bring it to place" in found.text


def test_a_fact_that_would_lift_it_does(every: HybridRecommender, index: Index):
    state = every.state
    history = ["s0", "s2", "s3"]
    found = every.why_not(item="cousin", history=history, k=3)
    fact = found.facts.iloc[0]
    assert (fact["relation"], fact["name"]) == ("DIRECTED_BY", "Ben Reed")
    data = explaining_data(state, every.text_encoder)
    facts = dict(data.facts)
    changed = sparse.lil_matrix(facts["DIRECTED_BY"])
    changed[index("cousin"), state.kg.slice("Person").start + 1] = 1
    facts["DIRECTED_BY"] = sparse.csr_matrix(changed)
    after = replace(state, signals=tuple(s.with_facts(data, data.with_facts(facts)) for s in state.signals))
    row, seen = every._history(None, history, ())
    assert after.score(row, seen)[0, index("cousin")] > found.score + 0.5 * fact["adds"] > found.score
    assert "were it directed by Ben Reed" in found.text


def test_why_not_says_what_was_seen_and_what_cannot_be_said(genre: HybridRecommender):
    assert genre.why_not("critic", "s8").text == "The S8 Film is not listed: you disliked it"
    assert genre.why_not("critic", "s0").rank is None
    listed = genre.recommend("critic", k=10)["item_id"].iloc[1]
    assert genre.why_not("critic", listed).text.endswith("is at place 2 of the best 10")


# -- contrast, what if ---------------------------------------------------------------------------------


def test_a_contrast_sums_to_the_difference(every: HybridRecommender):
    found = every.contrast("u00", "s1", "cousin")
    scores = every.score("u00", ["s1", "cousin"])
    assert found.difference == pytest.approx(scores.iloc[0] - scores.iloc[1], abs=1e-6)
    assert found.ledger["difference"].sum() == pytest.approx(found.difference, abs=1e-6)
    assert found.evidence["difference"].sum() == pytest.approx(found.difference, abs=1e-6)
    assert "directed by Ada Stone, like The Query Film, which you liked" in found.text
    back = every.contrast("u00", "cousin", "s1")
    assert back.difference == pytest.approx(-found.difference)
    assert back.text.split("\n")[0] == found.text.split("\n")[0]


def test_what_if_is_the_list_of_the_changed_history_and_stores_nothing(genre: HybridRecommender):
    liked = ["s0", "s1", "query"]
    before = genre.recommend(history=liked, k=5)
    found = genre.what_if(history=liked, add=["l0"], remove=["query"], k=5)
    expected = genre.recommend(history=["s0", "s1", "l0"], k=5)
    assert found.frame["item_id"].tolist() == expected["item_id"].tolist()
    np.testing.assert_allclose(found.frame["score"], expected["score"])
    places = {item: place for place, item in enumerate(before["item_id"], 1)}
    for row in found.frame.to_dict("records"):
        if row["item_id"] in places:
            assert row["before"] == places[row["item_id"]]
            assert row["move"] == row["before"] - row["rank"]
    assert set(found.gone["item_id"]) == set(before["item_id"]) - set(expected["item_id"])
    pd.testing.assert_frame_equal(genre.recommend(history=liked, k=5), before)
    assert genre.what_if("u00").text == "the same list"


def test_without_a_signal_is_the_list_of_the_others(every: HybridRecommender):
    found = every.what_if("u00", without_signals=["popularity"], k=4)
    state = every.state
    bare = replace(state, weights=np.where(np.array(state.names) == "popularity", 0.0, state.weights))
    row, seen = every._history("u00", None, ())
    scores = bare.score(row, seen)[0]
    np.testing.assert_allclose(
        found.frame["score"], scores[state.kg.items.vocabulary.index(found.frame["item_id"])]
    )


def test_without_a_relation_is_the_list_of_a_graph_without_it(
    genre: HybridRecommender, frames: dict[str, pd.DataFrame], encoder: TextEncoder
):
    facts = frames["facts"][frames["facts"]["relation"] != "DIRECTED_BY"]
    bare = HybridRecommender("genre", text_encoder=encoder).fit(
        KnowledgeGraph.from_frames(**{**frames, "facts": facts}), show=False
    )
    listed = genre.recommend("u00", k=6, without_relations=["DIRECTED_BY"])
    pd.testing.assert_frame_equal(listed, bare.recommend("u00", k=6))
    assert genre.recommend("u00", k=6)["item_id"].tolist() != listed["item_id"].tolist()
    again = genre.what_if("u00", without_relations=["DIRECTED_BY"], k=6)
    assert again.frame["item_id"].tolist() == listed["item_id"].tolist()


def test_a_stored_inverse_goes_with_its_relation(world: KnowledgeGraph):
    frames = world.to_frames()
    both = frames["facts"].rename(
        columns={
            "head_id": "tail_id",
            "tail_id": "head_id",
            "head_label": "tail_label",
            "tail_label": "head_label",
        }
    )
    both = both[both["relation"] == "DIRECTED_BY"].assign(relation="DIRECTED")
    tables = {name: frame for name, frame in frames.items() if name != "facts"}
    kg = KnowledgeGraph.from_frames(**tables, facts=pd.concat([frames["facts"], both]))
    left = facts_without(kg, ["DIRECTED_BY"])
    assert {name.removesuffix("^-1") for name in left} == {"SEQUEL"}


# -- refusals, HTML ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda rec: rec.explain("u00"), "give the item to explain"),
        (lambda rec: rec.explain("u00", "s1", language="fr"), "no reasons in language 'fr'"),
        (lambda rec: rec.why_not("u00", "s1", k=0), "k=0"),
        (lambda rec: rec.what_if("u00", remove=["blank"]), "item 'blank' is not in the history"),
        (lambda rec: rec.what_if("u00", add="s1"), "add='s1' is one string"),
        (lambda rec: rec.what_if("u00", without_signals=["popular"]), "nearest: popularity"),
        (lambda rec: rec.what_if("u00", without_signals=list(rec.state.names)), "no signal has a weight"),
        (lambda rec: rec.what_if("u00", without_relations=["DIRECTED"]), "nearest: DIRECTED_BY"),
        (lambda rec: rec.recommend("u00", without_relations="DIRECTED_BY"), "is one string; give a list"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    genre: HybridRecommender, ask: Callable[[HybridRecommender], object], message: str
):
    with pytest.raises(ConfigError, match=message):
        ask(genre)


def test_unknown_items_are_refused_with_the_nearest(genre: HybridRecommender):
    with pytest.raises(UnknownIdError, match="nearest: query"):
        genre.contrast("u00", "s1", "querry")


def test_every_answer_draws_itself_and_escapes(frames: dict[str, pd.DataFrame], encoder: TextEncoder):
    bad = "<script>alert(1)</script>"
    items = frames["items"].assign(name=bad + frames["items"]["item_id"])
    kg = KnowledgeGraph.from_frames(**{**frames, "items": items, "Person": frames["Person"].assign(name=bad)})
    rec = HybridRecommender("genre", text_encoder=encoder).fit(kg, show=False)
    answers = [
        rec.explain("u00", "cousin"),
        rec.why_not("u00", "l3", k=2),
        rec.contrast("u00", "s1", "cousin"),
        rec.what_if("u00", add=["l3"], remove=["query"]),
    ]
    for answer in answers:
        html = answer._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert json.loads(json.dumps(answer.to_dict(), allow_nan=False))["text"] == answer.text == str(answer)
