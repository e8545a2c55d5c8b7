"""Whatever happened, in whatever order: the state is the one made from scratch of the graph that came of it.

Hypothesis tells a recommender of every signal random changes of every kind, and keeps a plain account of them: a dict
of pairs, sets of users, items and facts. In the end the recommender's graph must be the account's, and its answers
those of the untouched fit that is given the account's graph at once, with what it learned frozen.
"""

import copy
import os
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.edit import without_nodes
from kgenre.hybrid import HybridRecommender
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.events import Event, Said
from kgenre.hybrid.live import changed
from kgenre.hybrid.spoken import spoken
from kgenre.hybrid.state import ModelState

EXAMPLES = int(os.environ.get("KGENRE_EXAMPLES", "4"))
"""The full run is KGENRE_EXAMPLES=60: more than a thousand events each."""
START = 1_000_000.0
USERS = [*(f"u{number:02}" for number in range(0, 60, 6)), "critic", "lurker", "ann", "bob", "Zoë"]
ITEMS = ["s0", "s1", "l0", "l1", "hit", "query", "cousin", "echo", "blank", "new0", "new1", "a-new"]
TEXTS = ["A keeper of a lighthouse.", "Lovers in Paris, tears.", "Aliens in orbit around a planet.", "Bread."]
PEOPLE = ["ada", "ben", "dora", "fritz"]
EVENT = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(USERS),
        "item_id": st.sampled_from(ITEMS),
        "weight": st.sampled_from([1.0, 1.0, 2.0, -1.0, 0.0]),
        "timestamp": st.integers(0, 20).map(lambda day: START + 86_400.0 * day),
        "event_id": st.sampled_from([f"e{number}" for number in range(9)]),
    }
)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def fading(every: HybridRecommender) -> HybridRecommender:
    """Every signal, where old likes count less, for popularity and in histories."""
    values = {"popularity": {"half_life_days": 3.0}, "history_half_life_days": 7.0}
    config = HybridConfig.from_dict({**every.state.config.to_dict(), **values})
    rec = HybridRecommender(config, text_encoder=every.text_encoder)
    return rec.fit(every.graph, show=False)


def told(rec: HybridRecommender, rows: list[Row]) -> None:
    if rows:
        rec.add_interactions(rows)


def same_answers(one: ModelState, two: ModelState) -> None:
    assert one.kg.equals(two.kg), one.kg.differences(two.kg)
    np.testing.assert_array_equal(one.seen.toarray(), two.seen.toarray())
    np.testing.assert_allclose(one.histories.toarray(), two.histories.toarray(), rtol=1e-5)
    for mine, theirs in zip(one.signals, two.signals, strict=True):
        scores, wanted = mine.score(one.histories), theirs.score(two.histories)
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5, err_msg=mine.name)


@given(rows=st.lists(EVENT, max_size=60), seed=st.integers(0, 99))
@settings(max_examples=5 * EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_batches_and_repeats_of_events_do_not_matter(
    fading: HybridRecommender, rows: list[Row], seed: int
) -> None:
    rows = [row for row in rows if row["item_id"] in fading.graph.items.vocabulary]
    # An id names one event: what comes under it again is the same.
    rows = list(
        {(row["user_id"], row["item_id"], row["timestamp"], row["event_id"]): row for row in rows}.values()
    )
    at_once, singly, shuffled = (copy.copy(fading) for _ in range(3))
    told(at_once, rows)
    for row in rows:
        told(singly, [row])
    draw = random.Random(seed)
    again = rows + draw.choices(rows, k=len(rows)) if rows else rows
    draw.shuffle(again)
    while again:
        size = draw.randint(1, 9)
        told(shuffled, again[:size])
        if draw.random() < 0.1:
            assert shuffled.state is shuffled.state
        again = again[size:]
    same_answers(at_once.state, singly.state)
    same_answers(at_once.state, shuffled.state)
    events = at_once.state.drift.events
    assert events == singly.state.drift.events == shuffled.state.drift.events
    state = shuffled.now
    told(shuffled, rows)
    assert shuffled.now is state, "an event that comes again changes nothing at all"
    same_answers(at_once.state, changed(fading.state, at_once.graph, fading.text_encoder, whole=True))


class Life(RuleBasedStateMachine):
    """Everything that can happen to a recommender."""

    def __init__(self, fitted: HybridRecommender) -> None:
        super().__init__()
        self.fitted = fitted
        self.rec = copy.copy(fitted)
        kg = fitted.graph
        stamps = kg.interactions.timestamp
        assert stamps is not None
        rows = zip(kg.interactions.user, kg.interactions.item, kg.interactions.weight, stamps, strict=True)
        users, items = kg.users.vocabulary, kg.items.vocabulary
        self.pairs = {(users[u], items[i]): (float(w), float(t), "") for u, i, w, t in rows}
        self.users = set(users)
        frames = kg.to_frames()
        self.items: dict[str, tuple[str | None, str | None]] = {
            row.item_id: (row.name_, row.text)
            for row in frames["items"].rename(columns={"name": "name_"}).itertuples()
        }
        self.items = {
            key: tuple(value if isinstance(value, str) else None for value in values)  # type: ignore[misc]
            for key, values in self.items.items()
        }
        self.people = dict(zip(frames["Person"]["id"], frames["Person"]["name"], strict=True))
        self.facts = {
            (row.head_id, row.relation, row.tail_id, row.tail_label) for row in frames["facts"].itertuples()
        }
        self.gone: dict[str, set[str]] = {"User": set(), "Item": set()}
        self.said: dict[tuple[str, str], Said] = {}

    @rule(rows=st.lists(EVENT, min_size=1, max_size=30))
    def interact(self, rows: list[Row]) -> None:
        rows = [row for row in rows if row["item_id"] in self.items]
        told(self.rec, rows)
        for row in rows:
            self._account(row, row["weight"])

    @rule(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS))
    def undo(self, user: str, item: str) -> None:
        if item in self.items:
            self.rec.undo(user, item)
            event = self.rec.state.drift.events[user][item]
            self.pairs[user, item] = (0.0, *event.order)
            self.users.add(user)

    @rule(item=st.sampled_from(ITEMS[-3:]), text=st.sampled_from(TEXTS), person=st.sampled_from(PEOPLE))
    def add_item(self, item: str, text: str, person: str) -> None:
        self.rec.add_items(pd.DataFrame({"item_id": [item], "text": [text], "directed_by": [[person]]}))
        self.items[item] = (self.items.get(item, (None, None))[0], text)
        self._direct(item, person)

    @rule(item=st.sampled_from(ITEMS), text=st.sampled_from(TEXTS), person=st.sampled_from([None, *PEOPLE]))
    def update_item(self, item: str, text: str, person: str | None) -> None:
        if item in self.items:
            values = {} if person is None else {"directed_by": person}
            self.rec.update_item(item, name="Another Name", text=text, **values)
            self.items[item] = ("Another Name", text)
            if person is not None:
                self._direct(item, person)

    @rule(row=EVENT, rating=st.sampled_from([1.0, 3.0, 5.0]), text=st.sampled_from(TEXTS))
    def review(self, row: Row, rating: float, text: str) -> None:
        if row["item_id"] in self.items:
            said = {name: value for name, value in row.items() if name != "weight"}
            taken = self.rec.add_reviews(pd.DataFrame([{**said, "text": text, "rating": rating}]))
            assert taken["weight"].tolist() == [(rating - 3) / 2]
            # Without an opinion nothing changes.
            if rating != 3:
                pair = (row["user_id"], row["item_id"])
                before = self.pairs.get(pair)
                self._account(row, (rating - 3) / 2)
                if self.pairs[pair] is not before:
                    self.said[pair] = Said(row["event_id"], text)

    @rule(item=st.sampled_from(ITEMS), person=st.sampled_from(PEOPLE), gone=st.booleans())
    def change_fact(self, item: str, person: str, gone: bool) -> None:
        if item not in self.items:
            return
        frame = pd.DataFrame({"head_id": [item], "relation": ["DIRECTED_BY"], "tail_id": [person]})
        frame = frame.assign(head_label="Item", tail_label="Person")
        if gone:
            self.rec.remove_facts(frame)
            self.facts.discard((item, "DIRECTED_BY", person, "Person"))
        else:
            self.rec.add_facts(frame)
            self.people.setdefault(person, None)
            self.facts.add((item, "DIRECTED_BY", person, "Person"))

    @rule(item=st.sampled_from(["new0", "new1", "a-new", "blank", "l1"]))
    def remove_item(self, item: str) -> None:
        if item in self.items:
            self.rec.remove_items([item])
            del self.items[item]
            self.gone["Item"].add(item)
            self.pairs = {pair: state for pair, state in self.pairs.items() if pair[1] != item}
            self.facts = {fact for fact in self.facts if item not in (fact[0], fact[2])}

    @rule(user=st.sampled_from(USERS))
    def forget(self, user: str) -> None:
        if user in self.users:
            self.rec.forget_user(user)
            self.users.discard(user)
            self.gone["User"].add(user)
            self.pairs = {pair: state for pair, state in self.pairs.items() if pair[0] != user}

    @rule(user=st.sampled_from(USERS))
    def answer(self, user: str) -> None:
        """What the overlay answers is what the whole state does."""
        if user in self.users:
            now = self.rec.now
            history, seen = now.row(user)
            state = now.whole()
            row = state.kg.users.vocabulary.get(user)
            scores = now.current.score(history, seen)
            wanted = state.score(state.histories[row], state.seen[row])
            np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)

    def _account(self, row: Row, weight: float) -> None:
        pair, state = (row["user_id"], row["item_id"]), (weight, row["timestamp"], row["event_id"])
        if pair not in self.pairs or self.pairs[pair][1:] < state[1:]:
            self.pairs[pair] = state
            self.users.add(row["user_id"])

    def _direct(self, item: str, person: str) -> None:
        if person not in self.people:
            self.people[person] = person
        self.facts.add((item, "DIRECTED_BY", person, "Person"))

    def account(self) -> KnowledgeGraph:
        """The graph of the account, from scratch."""
        builder = GraphBuilder()
        builder.add_nodes("User", sorted(self.users))
        names, texts = zip(*self.items.values(), strict=True)
        builder.add_nodes("Item", list(self.items), list(names), list(texts))
        builder.add_nodes("Person", list(self.people), list(self.people.values()))
        standing = [(*pair, *state[:2]) for pair, state in self.pairs.items() if state[0]]
        builder.add_interactions(*(list(column) for column in zip(*standing, strict=True)))
        for head, relation, tail, label in self.facts:
            builder.add_facts(relation, [head], [tail], "Item", label)
        return builder.build()

    def teardown(self) -> None:
        kg = self.account()
        fitted, encoder = self.fitted.state, self.fitted.text_encoder
        start = fitted.kg
        # Who was forgotten, or removed, was never learned, though they came back.
        for label, ids in self.gone.items():
            known = sorted(ids & set(start.table(label).vocabulary))
            start = without_nodes(start, label, known) if known else start
        fitted = changed(fitted, start, encoder, whole=True) if start is not fitted.kg else fitted
        scratch = changed(fitted, kg, encoder, whole=True)
        said: dict[str, dict[str, Said]] = {}
        for (user, item), words in self.said.items():
            said.setdefault(user, {})[item] = words

        def events(user: str) -> dict[str, Event]:
            return {
                item: Event(user, item, *state) for (own, item), state in self.pairs.items() if own == user
            }

        same_answers(self.rec.state, spoken(scratch, encoder, said, events))


def test_state_is_the_one_made_from_scratch_of_the_graph_that_came_of_it(fading: HybridRecommender) -> None:
    run_state_machine_as_test(
        lambda: Life(fading), settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
    )
