"""Splits of whole graphs: each holds out what it says, and nothing is in both parts."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.split import (
    Split,
    cold_item_split,
    cold_user_split,
    leave_one_out,
    random_split,
    temporal_split,
)

SPLITS: dict[str, Callable[[KnowledgeGraph], Split]] = {
    "random": random_split,
    "temporal": temporal_split,
    "leave one out": leave_one_out,
    "cold items": cold_item_split,
    "cold users": cold_user_split,
}


def likes(kg: KnowledgeGraph) -> set[tuple[str, str]]:
    user, item = kg.likes.nonzero()
    return set(zip(kg.users.vocabulary.ids[user], kg.items.vocabulary.ids[item], strict=True))


@pytest.mark.parametrize("name", SPLITS)
def test_the_parts_are_disjoint_and_no_like_is_in_neither(world: KnowledgeGraph, name: str):
    split = SPLITS[name](world)
    test = set(split.test.itertuples(index=False, name=None))
    assert test
    assert not test & likes(split.training)
    assert test | likes(split.training) == likes(world)
    assert split.training.n_facts == world.n_facts
    assert split.training.n_items == world.n_items
    assert split.training.n_users == world.n_users


def test_time_divides_a_temporal_split(world: KnowledgeGraph):
    split = temporal_split(world, 0.2)
    stamps = split.training.interactions.timestamp
    assert stamps is not None
    rows = world.interactions
    assert rows.timestamp is not None
    when = {
        (world.users.vocabulary[int(u)], world.items.vocabulary[int(i)]): t
        for u, i, t in zip(rows.user, rows.item, rows.timestamp, strict=True)
    }
    tested = [when[pair] for pair in split.test.itertuples(index=False, name=None)]
    assert max(stamps) < min(tested)


def test_without_times_there_is_no_temporal_split():
    pairs = pd.DataFrame([("u", "a"), ("u", "b")], columns=["user_id", "item_id"])
    with pytest.raises(DataError, match="no like has a timestamp"):
        temporal_split(KnowledgeGraph.from_frames(pairs))


def test_leave_one_out_takes_everybodys_last_like(world: KnowledgeGraph):
    split = leave_one_out(world)
    able = int((np.diff(world.likes.indptr) > 1).sum())
    assert len(split.test) == split.test["user_id"].nunique() == able
    assert split.training.likes.nnz == world.likes.nnz - able
    # u15 likes seven of its taste, hit and then echo.
    assert split.test.set_index("user_id").loc["u15", "item_id"] == "echo"


def test_cold_items_have_no_interaction_and_are_the_candidates(world: KnowledgeGraph):
    split = cold_item_split(world, 0.3, rng=1)
    assert split.candidates is not None
    assert set(split.test["item_id"]) == set(split.candidates)
    held = world.items.vocabulary.index(list(split.candidates))
    assert split.training.seen[:, held].nnz == 0


@pytest.mark.parametrize("events", [1, 3, 5])
def test_cold_users_keep_their_first_likes(world: KnowledgeGraph, events: int):
    split = cold_user_split(world, events, 0.2)
    users = split.test["user_id"].unique()
    assert len(users) == round((np.diff(world.likes.indptr) > events).sum() * 0.2)
    for user in users:
        row = world.users.vocabulary.get(user)
        kept = split.training.likes[row].indices
        assert len(kept) == events
        days = world.interactions.timestamp[world.interactions.user == row]  # type: ignore[index]
        left = split.training.interactions.timestamp[split.training.interactions.user == row]  # type: ignore[index]
        assert sorted(left) == sorted(days)[:events]


def test_another_seed_is_another_split(world: KnowledgeGraph):
    for split in (random_split, cold_item_split, cold_user_split):
        one, same, other = (split(world, rng=seed).test for seed in (0, 0, 1))
        pd.testing.assert_frame_equal(one, same)
        assert not one.equals(other)


def test_what_cannot_be_split_is_said(world: KnowledgeGraph):
    with pytest.raises(ConfigError, match=r"share=1.5 is not between 0 and 1"):
        random_split(world, 1.5)
    with pytest.raises(DataError, match="nobody has more than 99 likes"):
        cold_user_split(world, 99)


def test_a_split_is_what_a_recommender_takes(world: KnowledgeGraph, encoder):
    split = cold_item_split(world, 0.3)
    model = HybridRecommender("genre", text_encoder=encoder).fit(split.training, show=False)
    found = model.evaluate(split.test, 3, candidates=split.candidates)
    assert found.loc[3, "users"] == split.test["user_id"].nunique()
