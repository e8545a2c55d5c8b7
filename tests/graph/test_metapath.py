import numpy as np
import pytest

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError

LIKE_DIRECTOR = "User-LIKED->Item-DIRECTED_BY->*<-DIRECTED_BY-Item"


@pytest.fixture(scope="module")
def kg() -> KnowledgeGraph:
    """ann likes 1 and 3; rs directed 1 and 2, jc 3; 2 has two directors, rs and jc; ann dislikes 5."""
    builder = GraphBuilder()
    builder.add_nodes("Item", list("12345"), ["Alien", "Blade Runner", "Aliens", "Hub", "Babe"])
    builder.add_interactions(["ann", "ann", "bob", "ann"], ["1", "3", "1", "5"], [1, 1, 1, -1])
    builder.add_facts("DIRECTED_BY", ["1", "2", "2", "3"], ["rs", "rs", "jc", "jc"], "Item", "Person")
    builder.add_facts("SEQUEL", ["1"], ["3"], "Item", "Item")
    builder.add_facts("IN", ["1", "1"], ["g", "h"], "Item", "Genre", [3, 1])
    builder.add_facts("odd name-`1`", ["1"], ["2"], "Item", "Item")
    return builder.build()


def ends(frame, key="item_id"):
    return dict(zip(frame[key], frame["score"], strict=True))


def test_scores_are_the_probabilities_of_where_a_walk_ends(kg):
    found = kg.metapath(LIKE_DIRECTOR, user="ann")
    assert found.columns.tolist() == ["item_id", "name", "score"]
    assert ends(found) == pytest.approx({"1": 0.25, "2": 0.5, "3": 0.25})
    assert found["name"].iloc[0] == "Blade Runner"


def test_walks_equal_products_of_dense_matrices(kg):
    likes, first = kg.likes.toarray(), kg.n_users
    links = np.zeros((kg.n_nodes, kg.n_nodes))
    facts = kg.relation("DIRECTED_BY")
    links[facts.head, facts.tail] = 1
    links = links[first : first + kg.n_items]

    def steps(matrix):
        return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    expected = steps(likes) @ steps(links) @ steps(links.T)
    for row, user in enumerate(kg.users.vocabulary):
        found = ends(kg.metapath(LIKE_DIRECTOR, user=user))
        assert [found.get(key, 0.0) for key in kg.items.vocabulary] == pytest.approx(expected[row].tolist())


@pytest.mark.parametrize(
    ("expression", "start", "key", "expected"),
    [
        ("Item-IN->Genre", {"item": "1"}, "id", {"g": 0.75, "h": 0.25}),
        ("User-DISLIKED->Item", {"user": "ann"}, "item_id", {"5": 1}),
        ("User-INTERACTED->Item", {"user": "ann"}, "item_id", {"1": 1 / 3, "3": 1 / 3, "5": 1 / 3}),
        ("Item<-LIKED-User", {"item": "1"}, "user_id", {"ann": 0.5, "bob": 0.5}),
        ("Item-SEQUEL-Item", {"item": "3"}, "item_id", {"1": 1}),
        ("* - SEQUEL -> *", {"item": "1"}, "item_id", {"3": 1}),
        ("Item-*->Person", {"item": "2"}, "id", {"jc": 0.5, "rs": 0.5}),
        ("Item-`odd name-``1```->`Item`", {"item": "1"}, "item_id", {"2": 1}),
        ("Item-SEQUEL->Item", {"item": "5"}, "item_id", {}),
    ],
)
def test_every_kind_of_edge_can_be_walked(kg, expression, start, key, expected):
    found = kg.metapath(expression, **start)
    if expression.endswith("*"):
        assert found["label"].tolist() == ["Item"]
        key = "id"
    assert ends(found, key) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "position 1 of the metapath: expected a label or \\*, found the end"),
        ("User", "position 5 .*: expected an edge such as -LIKED->, found the end"),
        ("User LIKED Item", "position 6 .*: expected an edge .*, found 'LIKED Item'"),
        ("User-LIKED->", "position 13 .*: expected a label or \\*, found the end"),
        ("User-LIKED>Item", "position 11 .*: expected - or ->, found '>Item'"),
        ("User<-LIKED->Item", "position 13 .*: expected a label or \\*"),
        ("User->Item", "position 6 .*: expected a relation or \\*, found '>Item'"),
        ("User<-LIKED-Item", r"no edge fits User<-LIKED-Item \(position 7\); LIKED leads from User to Item"),
        (
            "User-LIKED->Item<-DIRECTED_BY-Person",
            "no edge fits Item<-DIRECTED_BY-Person.*from Item to Person",
        ),
        ("Item-SEQUEL->Item", "begins with Item, but the walk with a User"),
    ],
)
def test_what_is_malformed_is_refused_with_its_position(kg, expression, message):
    with pytest.raises(ConfigError, match=message):
        kg.metapath(expression, user="ann")


def test_unknown_names_are_refused_with_the_nearest(kg):
    with pytest.raises(
        UnknownIdError, match=r"unknown relation 'DIRECTD_BY' at position 18 .*nearest: DIRECTED_BY"
    ):
        kg.metapath("User-LIKED->Item-DIRECTD_BY->*", user="ann")
    with pytest.raises(UnknownIdError, match=r"unknown label 'Persn' at position 31 .*nearest: Person"):
        kg.metapath("User-LIKED->Item-DIRECTED_BY->Persn", user="ann")
    with pytest.raises(UnknownIdError, match=r"unknown user 'an'.*nearest: ann"):
        kg.metapath(LIKE_DIRECTOR, user="an")
    with pytest.raises(ConfigError, match="give either user or item"):
        kg.metapath(LIKE_DIRECTOR)


def test_a_hub_costs_no_more_than_its_row():
    n = 3000
    builder = GraphBuilder()
    items = [f"i{i}" for i in range(n)]
    builder.add_interactions(["u"], ["i0"])
    builder.add_facts("GENRE", items, ["g"] * n, "Item", "Genre")
    found = builder.build().metapath("User-LIKED->Item-GENRE->Genre<-GENRE-Item", user="u")
    assert len(found) == n
    assert found["score"].sum() == pytest.approx(1)
