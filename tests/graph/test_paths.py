from inspect import signature

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.graph.paths import paths
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.signals.multihop import MultiHop, MultiHopConfig


def score(kg: KnowledgeGraph, user: int, **settings) -> np.ndarray:
    """The signal's scores with nothing cut off."""
    signal = MultiHop(MultiHopConfig(neighbours=10**6, **settings)).fit(SignalData.from_graph(kg))
    history = (kg.likes[user] - (kg.dislikes[user] > 0).astype(np.float32)).tocsr()
    history.sort_indices()
    return signal.score(history)[0]


def agree(kg: KnowledgeGraph, user: int, **settings) -> int:
    """That paths sum to the scores of all items; returns how many paths there are."""
    n = 0
    for item, expected in enumerate(score(kg, user, **settings)):
        found = kg.paths(kg.users.vocabulary[user], kg.items.vocabulary[item], **settings)
        assert found["contribution"].sum() == pytest.approx(np.nan_to_num(expected), rel=1e-4, abs=1e-6)
        n += len(found)
    return n


def world(seed: int) -> KnowledgeGraph:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()
    users, items = rng.integers(0, 12, 60), rng.integers(0, 15, 60)
    weight = rng.choice([1, 1, 1, -1, 2], 60)
    builder.add_interactions([f"u{u}" for u in users], [f"i{i}" for i in items], weight)
    for relation, label, n in (
        ("BY", "Person", 5),
        ("GENRE", "Genre", 2),
        ("SEQUEL", "Item", 15),
        ("OF", "User", 12),
    ):
        heads, tails = rng.integers(0, 15, 14), rng.integers(0, n, 14)
        prefix = {"Item": "i", "User": "u"}.get(label, "e")
        ends = [f"{prefix}{tail}" for tail in tails]
        builder.add_facts(relation, [f"i{head}" for head in heads], ends, "Item", label, rng.random(14) + 0.1)
    builder.add_facts("MADE", ["e0", "e0", "e1"], ["i1", "i2", "i3"], "Person", "Item")
    return builder.build()


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.6), (0.8, 0.0)])
def test_contributions_sum_to_the_signals_score(share, alpha, beta):
    kg = world(3)
    n = sum(agree(kg, user, fact_share=share, alpha=alpha, beta=beta) for user in range(0, kg.n_users, 3))
    assert n > 50


@given(st.integers(0, 10**6))
@settings(max_examples=12)
def test_contributions_sum_to_the_signals_score_in_any_graph(seed):
    agree(world(seed), 0)


def enumerated(kg: KnowledgeGraph, user: int, item: int, alpha: float, beta: float, share: float) -> dict:
    """Every walk from a user to an item by going along all edges, with the product of its steps' probabilities."""
    n_items = kg.n_items
    likers = [set(kg.likes[:, i].nonzero()[0].tolist()) for i in range(n_items)]
    liked = [set(kg.likes[u].indices.tolist()) for u in range(kg.n_users)]
    # What facts say of an item: (relation, node), both ways; one between two items ties them in both directions.
    said: list[set] = [set() for _ in range(n_items)]
    for name, matrix in kg.item_facts().items():
        base = name.removesuffix("^-1")
        for i, node in zip(*matrix.nonzero(), strict=True):
            other = int(node) - kg.n_users
            if 0 <= other < n_items:
                for one, two in ((i, other), (other, i)):
                    said[one] |= {(base, kg.n_users + int(two)), (base, kg.n_users + int(one))}
            else:
                said[i].add((name, int(node)))
    holders: dict = {}
    for i, features in enumerate(said):
        for feature in features:
            holders.setdefault(feature, set()).add(i)
    said = [{f for f in features if 1 < len(holders[f]) < n_items} for features in said]

    def by_users(i: int, j: int, v: int) -> float:
        return (1 / len(likers[i])) ** alpha * (1 / len(liked[v])) ** alpha * max(len(likers[j]), 1) ** -beta

    def by_facts(i: int, f: tuple) -> float:
        return 1 / len(said[i]) / len(holders[f])

    def scaled(walks: list) -> float:
        """One over the mean, per starting item, of all walks that end elsewhere."""
        total = sum(weight for _, weight in walks)
        return len({start for start, _ in walks}) / total if total else 1.0

    of_users = [(i, by_users(i, j, v)) for i in range(n_items) for v in likers[i] for j in liked[v] if j != i]
    of_facts = [(i, by_facts(i, f)) for i in range(n_items) for f in said[i] for j in holders[f] if j != i]
    scales = (1 - share) * scaled(of_users), share * scaled(of_facts)
    found: dict = {}
    opinions = dict.fromkeys(kg.likes[user].indices, 1.0) | dict.fromkeys(kg.dislikes[user].indices, -1.0)
    for i, opinion in opinions.items():
        if i == item:
            continue
        for v in likers[i] & likers[item]:
            found[(i, None, v)] = opinion * scales[0] * by_users(i, item, v)
        for feature in said[i] & said[item]:
            relation, node = feature
            # The two nodes that tie a pair of items stand for one edge between them.
            via = None if node - kg.n_users in (i, item) else node
            found[(i, relation, via)] = found.get((i, relation, via), 0) + opinion * scales[1] * by_facts(
                i, feature
            )
    return {walk: value for walk, value in found.items() if value}


@pytest.mark.parametrize("seed", range(4))
def test_walks_are_those_that_enumeration_finds_each_with_its_share(seed):
    kg = world(seed)
    alpha, beta, share = (1.0, 0.6, 0.2) if seed % 2 else (0.8, 0.3, 0.5)
    total = 0
    for user, item in [(u, i) for u in range(0, kg.n_users, 2) for i in range(0, kg.n_items, 2)]:
        ids = kg.users.vocabulary[user], kg.items.vocabulary[item]
        found = kg.paths(*ids, alpha=alpha, beta=beta, fact_share=share)
        expected = enumerated(kg, user, item, alpha, beta, share)
        ours = {}
        for row in found.itertuples():
            node = None
            if row.via_id is not None:
                node = kg.slice(row.via_label).start + kg.table(row.via_label).vocabulary.get(row.via_id)
            relation = None if row.relation == "LIKED" else row.relation
            ours[kg.items.vocabulary.get(row.item_id), relation, node] = row.contribution
        assert ours == pytest.approx(expected, rel=1e-6)
        short = {walk: value for walk, value in expected.items() if walk[2] is None}
        two = kg.paths(*ids, max_hops=2, alpha=alpha, beta=beta, fact_share=share)
        assert two["contribution"].tolist() == pytest.approx(sorted(short.values(), key=abs, reverse=True))
        total += len(expected)
    assert total > 50


def test_defaults_are_those_of_the_signal():
    config, stated = MultiHopConfig(), signature(paths).parameters
    for key in ("alpha", "beta", "fact_share"):
        assert stated[key].default == getattr(config, key)


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    """ann likes Alien and dislikes Babe; bob likes Alien and Blade Runner."""
    builder = GraphBuilder()
    builder.add_nodes("Item", ["1", "2", "3", "4"], ["Alien", "Blade Runner", "Aliens", "Babe"])
    builder.add_nodes("Person", ["rs"], ["Ridley Scott"])
    builder.add_interactions(["ann", "ann", "bob", "bob", "cat"], ["1", "4", "1", "2", "4"], [1, -1, 1, 1, 1])
    builder.add_facts("DIRECTED_BY", ["1", "2"], ["rs", "rs"], "Item", "Person")
    builder.add_facts("SEQUEL", ["1"], ["3"], "Item", "Item")
    builder.add_facts("ACTED", ["p"] * 2, ["4", "2"], "Person", "Item")
    return builder.build()


def test_paths_say_what_was_walked(films):
    found = films.paths("ann", "2").set_index("path")
    assert sorted(found.index) == [
        "User ann -DISLIKED-> Babe <-ACTED- Person p -ACTED-> Blade Runner",
        "User ann -LIKED-> Alien -DIRECTED_BY-> Ridley Scott <-DIRECTED_BY- Blade Runner",
        "User ann -LIKED-> Alien <-LIKED- User bob -LIKED-> Blade Runner",
    ]
    row = found.loc["User ann -LIKED-> Alien -DIRECTED_BY-> Ridley Scott <-DIRECTED_BY- Blade Runner"]
    assert row.drop("contribution").to_dict() == {
        "hops": 3,
        "item_id": "1",
        "relation": "DIRECTED_BY",
        "via_label": "Person",
        "via_id": "rs",
        "via_name": "Ridley Scott",
    }
    assert found["contribution"].iloc[-1] != 0
    assert found.loc["User ann -DISLIKED-> Babe <-ACTED- Person p -ACTED-> Blade Runner", "contribution"] < 0
    assert found["contribution"].abs().is_monotonic_decreasing


def test_a_fact_between_two_items_is_a_walk_of_two_hops(films):
    found = films.paths("ann", "3")
    assert found["path"].tolist() == ["User ann -LIKED-> Alien -SEQUEL- Aliens"]
    assert found.iloc[0][["hops", "via_id"]].tolist() == [2, None]
    assert films.paths("ann", "3", max_hops=2).equals(found)
    assert films.paths("ann", "2", max_hops=2).empty


def test_a_limit_keeps_what_contributes_most(films):
    assert films.paths("ann", "2", limit=2).equals(films.paths("ann", "2").head(2))


def test_nothing_leads_from_a_user_without_likes(films):
    kg = films.merge(GraphBuilder().add_nodes("User", ["new"]).build())
    assert kg.paths("new", "2").empty
    assert "contribution" in kg.paths("new", "2").columns


def test_unknown_ids_and_settings_out_of_range_are_refused(films):
    with pytest.raises(UnknownIdError, match=r"unknown user 'anne'.*nearest: ann"):
        films.paths("anne", "2")
    with pytest.raises(UnknownIdError, match="unknown item '22'"):
        films.paths("ann", "22")
    for hops in (0, 1, 4, 5):
        with pytest.raises(
            ConfigError, match=f"max_hops={hops}, but the walks of .* have 2 or 3 .* metapath"
        ):
            films.paths("ann", "2", max_hops=hops)
    with pytest.raises(ConfigError, match=r"fact_share=1\.5"):
        films.paths("ann", "2", fact_share=1.5)
