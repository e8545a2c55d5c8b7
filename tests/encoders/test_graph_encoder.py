import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import load, save
from scipy import sparse

from kgenre.encoders import GraphEncoder, GraphEncoderConfig
from kgenre.encoders.fact_columns import FactColumns
from kgenre.encoders.item_tower import text_inputs
from kgenre.graph.errors import ConfigError, DataError, ModelError, NotFittedError

from . import planted

SMALL = GraphEncoderConfig(embedding_size=16, epochs=12, batch_size=32, row_dropout=0.3)


@pytest.fixture(scope="module")
def encoder() -> GraphEncoder:
    train, validation = planted.held_out(planted.likes())
    return GraphEncoder(SMALL).fit(train, planted.facts(), planted.text(), validation=validation)


def history(*items: int, n_items: int = planted.N_ITEMS) -> sparse.csr_matrix:
    dense = np.zeros((1, n_items), dtype=np.float32)
    dense[0, list(items)] = 1
    return sparse.csr_matrix(dense)


def test_items_of_a_users_taste_come_first(encoder: GraphEncoder) -> None:
    scores = encoder.score(planted.likes())
    assert scores.dtype == np.float32
    assert scores.shape == (planted.N_USERS, planted.N_ITEMS)
    own = np.arange(planted.N_USERS)[:, None] // 100 == np.arange(planted.N_ITEMS)[None] // 10
    assert (np.where(own, scores, np.inf).min(axis=1) > np.where(own, -np.inf, scores).max(axis=1)).all()
    assert encoder.validation_ndcg_ is not None
    # Six items of one's taste are unseen: in random order the best that can be is .55; over all 16, it is .40.
    assert encoder.validation_ndcg_ > 0.5
    assert 1 <= encoder.best_epoch_ <= 12


def test_a_new_user_needs_one_item(encoder: GraphEncoder) -> None:
    scores = encoder.score(history(13))[0]
    assert scores[10:].min() > scores[:10].max()


def test_a_disliked_item_turns_the_ranking_round(encoder: GraphEncoder) -> None:
    scores = encoder.score(-history(13))[0]
    assert scores[10:].max() < scores[:10].min()


def test_score_is_cosine_over_temperature(encoder: GraphEncoder) -> None:
    histories = planted.likes()
    total = histories.toarray() @ encoder.history_vectors
    cosine = total @ encoder.item_vectors.T / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.score(histories), cosine / 0.2, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoder.item_vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_contributions_sum_to_the_score(bias: bool) -> None:
    config = SMALL.model_copy(update={"text_bias": bias, "epochs": 5})
    encoder = GraphEncoder(config).fit(planted.likes(), planted.facts(), planted.text())
    one = history(1, 4, 17)
    one.data[1] = -0.5
    rows = encoder.rows(one)
    assert rows.shape == (3, planted.N_ITEMS)
    np.testing.assert_allclose(rows.sum(axis=0), encoder.score(one)[0], atol=1e-5)
    np.testing.assert_array_equal(encoder.contributions(one, 7), rows[:, 7])
    assert (encoder.item_bias is not None) == bias


def test_nobody_and_nothing_cannot_be_scored() -> None:
    likes = planted.likes()
    lonely = sparse.csr_matrix(np.hstack([likes.toarray(), np.zeros((planted.N_USERS, 1), np.float32)]))
    text = np.vstack([planted.text(), np.full((1, 8), np.nan, np.float32)])
    config = SMALL.model_copy(update={"item_rows": False, "epochs": 3})
    encoder = GraphEncoder(config).fit(lonely, planted.facts(21, planted.N_NODES + 1), text)
    scores = encoder.score(sparse.vstack([history(0, n_items=21), history(n_items=21)]).tocsr())
    assert np.isfinite(scores[0, :20]).all()
    assert np.isnan(scores[0, 20])
    assert np.isnan(scores[1]).all()
    assert encoder.rows(history(n_items=21)).shape == (0, 21)


# -- new items --------------------------------------------------------------------------------------


def linked(node: int, n_nodes: int = planted.N_NODES) -> dict[str, sparse.csr_matrix]:
    return {"theme": sparse.csr_matrix(([np.float32(1)], ([0], [node])), shape=(1, n_nodes))}


@pytest.mark.parametrize(("node", "liked"), [(220, 3), (221, 15)])
def test_a_new_item_is_ranked_by_its_facts(node: int, liked: int) -> None:
    encoder = GraphEncoder(SMALL).fit(planted.likes(), planted.facts(), epochs=12)
    scored, _ = encoder.encode_items(linked(node))
    score = encoder.user_vectors(history(liked)) @ scored.T
    other = encoder.user_vectors(history((liked + 10) % 20)) @ scored.T
    assert score > other + 0.2


@pytest.mark.parametrize(("row", "liked"), [(3, 3), (15, 15)])
def test_a_new_item_is_ranked_by_its_text(encoder: GraphEncoder, row: int, liked: int) -> None:
    text = planted.text(seed=9)[row : row + 1]
    scored, summed = encoder.encode_items({}, text)
    assert (
        encoder.user_vectors(history(liked)) @ scored.T
        > encoder.user_vectors(history((liked + 10) % 20)) @ scored.T
    )
    # It serves as history too: a user who liked nothing but the new item.
    ranking = (summed / np.linalg.norm(summed)) @ encoder.item_vectors.T
    own = np.arange(20) // 10 == row // 10
    assert ranking[0, own].mean() > ranking[0, ~own].mean()


def test_text_of_a_new_node_reaches_an_item_without_text() -> None:
    """Nodes have texts of the two tastes; a node that nobody knew speaks for an item that says nothing."""
    node_text = np.full((planted.N_NODES, 8), np.nan, dtype=np.float32)
    rng = np.random.default_rng(5)
    relation = np.zeros((20, planted.N_NODES), dtype=np.float32)
    for item in range(20):
        relation[item, item] = 1  # Every item has a node of its own, so that rows of nodes cannot be shared.
        node_text[item] = rng.normal(size=8) * 0.3 + np.eye(8)[0] * (1 if item < 10 else -1)
    facts = {"person": sparse.csr_matrix(relation)}
    encoder = GraphEncoder(SMALL).fit(planted.likes(), facts, None, node_text)
    new_text = np.vstack([node_text, np.eye(8, dtype=np.float32)[:1], -np.eye(8, dtype=np.float32)[:1]])
    new = {"person": sparse.csr_matrix(([1.0, 1.0], ([0, 1], [222, 223])), shape=(2, 224), dtype=np.float32)}
    scored, _ = encoder.encode_items(new, None, new_text)
    scores = encoder.user_vectors(sparse.vstack([history(2), history(12)]).tocsr()) @ scored.T
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    unknown, _ = encoder.encode_items(new)
    assert np.isnan(unknown).all()


def test_fold_in_equals_a_full_forward_pass_with_frozen_weights() -> None:
    """Without learned rows on the scored side the network itself says what an item's vector must be."""
    rng = np.random.default_rng(0)
    facts = planted.facts()
    facts["maker"] = sparse.random(
        20, planted.N_NODES, density=0.1, format="csr", dtype=np.float32, random_state=rng
    )
    text, node_text = planted.text(), rng.normal(size=(planted.N_NODES, 6)).astype(np.float32)
    text[4], node_text[220] = np.nan, np.nan
    config = SMALL.model_copy(update={"item_rows": False, "epochs": 4})
    encoder = GraphEncoder(config).fit(planted.likes(), facts, text, node_text)
    scored, _ = encoder.encode_items(facts, text)
    np.testing.assert_allclose(scored, encoder.item_vectors, atol=1e-5)
    some = {name: matrix[[3, 12]] for name, matrix in facts.items()}
    np.testing.assert_allclose(encoder.encode_items(some, text[[3, 12]])[0], scored[[3, 12]], atol=1e-5)


def test_fold_in_equals_a_dense_computation_on_the_updated_graph(encoder: GraphEncoder) -> None:
    state = encoder.arrays()
    text = planted.text(seed=4)[:2]
    new = {"theme": sparse.vstack([linked(220)["theme"], linked(221)["theme"]]).tocsr()}
    inputs = text_inputs(text, state["text_mean"])
    # One node each of degree 10: the weight is 1 / sqrt(1 * 10).
    expected = inputs @ state["text_weight"] + state["gates"][0] * state["node_vectors"] / np.sqrt(10)
    scored, summed = encoder.encode_items(new, text)
    np.testing.assert_allclose(scored, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    liked = state["usual_popularity"]
    np.testing.assert_allclose(summed, expected * state["history_scale"] / np.sqrt(liked), atol=1e-5)


def test_facts_of_unknown_relations_and_nodes_say_nothing(encoder: GraphEncoder) -> None:
    scored, _ = encoder.encode_items(
        {"theme": linked(230, 240)["theme"], "colour": linked(220, 240)["theme"]}
    )
    assert np.isnan(scored).all()


def test_columns_normalise_within_a_relation() -> None:
    a = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0]], dtype=np.float32))
    columns = FactColumns.of({"a": a, "b": a})
    dense = columns.adjacency({"a": a, "b": a}, 2).toarray()
    half = 2**-0.5
    np.testing.assert_allclose(dense, [[half, 0.5, half, 0.5], [0, half, 0, half]], atol=1e-6)
    assert FactColumns.of({"a": a}, min_items=2).node.tolist() == [1]
    assert FactColumns.of({"a": a}, 2, np.array([True, False, True])).node.tolist() == [0, 1]
    again = FactColumns.from_arrays(columns.arrays())
    assert again.relations == ("a", "b")


# -- training ---------------------------------------------------------------------------------------


def test_one_seed_gives_the_same_bits_and_leaves_global_state_alone() -> None:
    before = torch.get_rng_state()
    config = SMALL.model_copy(update={"epochs": 4, "row_dropout": 0.2})
    first, second, other = (
        GraphEncoder(config).fit(planted.likes(), planted.facts(), planted.text(), rng=rng).arrays()
        for rng in (3, 3, 4)
    )
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert not np.array_equal(first["item_vectors"], other["item_vectors"])
    assert torch.equal(before, torch.get_rng_state())


def test_given_epochs_are_run_exactly() -> None:
    encoder = GraphEncoder(SMALL).fit(planted.likes(), planted.facts(), epochs=3)
    assert encoder.best_epoch_ == 3
    assert encoder.validation_ndcg_ is None
    train, validation = planted.held_out(planted.likes())
    stopped = GraphEncoder(SMALL).fit(train, planted.facts(), validation=validation)
    again = GraphEncoder(SMALL).fit(train, planted.facts(), epochs=stopped.best_epoch_)
    np.testing.assert_array_equal(stopped.item_vectors, again.item_vectors)


def test_unseen_items_are_learned_from_held_out_items() -> None:
    """Without rows on the scored side, ranking only items that nobody has met in training."""
    likes = planted.likes().toarray()
    unseen = np.array([8, 9, 18, 19])
    train, validation = likes.copy(), np.zeros_like(likes)
    train[:, unseen], validation[:, unseen] = 0, likes[:, unseen]
    config = SMALL.model_copy(update={"item_rows": False, "text_bias": True})
    encoder = GraphEncoder(config).fit(
        sparse.csr_matrix(train),
        planted.facts(),
        planted.text(),
        validation=sparse.csr_matrix(validation),
        candidates=unseen,
    )
    scores = encoder.score(sparse.csr_matrix(train))[:, unseen]
    assert (scores[:100, :2].min(axis=1) > scores[:100, 2:].max(axis=1)).all()
    assert (scores[100:, 2:].min(axis=1) > scores[100:, :2].max(axis=1)).all()
    assert encoder.validation_ndcg_ is not None
    assert encoder.validation_ndcg_ > 0.75


def test_no_facts_and_no_text_still_learn() -> None:
    encoder = GraphEncoder(SMALL).fit(planted.likes(), {})
    scores = encoder.score(planted.likes())
    unseen = np.where(planted.likes().toarray() > 0, np.nan, scores)
    first, second = np.nanmean(unseen[:, :10], axis=1), np.nanmean(unseen[:, 10:], axis=1)
    assert (np.sign(first - second) == np.where(np.arange(200) < 100, 1, -1)).mean() > 0.95
    loaded = GraphEncoder.from_arrays(SMALL, encoder.arrays())
    np.testing.assert_array_equal(loaded.score(planted.likes()), scores)


def test_a_single_item_and_a_single_user() -> None:
    one = sparse.csr_matrix(np.ones((1, 1), dtype=np.float32))
    assert np.isfinite(GraphEncoder(SMALL).fit(one, {}, epochs=2).score(one)).all()


def test_learning_that_diverges_says_what_to_do() -> None:
    config = SMALL.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ConfigError, match="lower the learning rate"):
        GraphEncoder(config).fit(planted.likes(), planted.facts(), planted.text())


SCRIPT = """
import logging, sys
import numpy as np
from kgenre.encoders import GraphEncoder, GraphEncoderConfig
sys.path.insert(0, sys.argv[1])
import planted
logging.basicConfig(level=logging.WARNING)
train, validation = planted.held_out(planted.likes())
config = GraphEncoderConfig(embedding_size=16, epochs=1_000_000, patience=1_000_000, batch_size=16)
encoder = GraphEncoder(config).fit(train, planted.facts(), planted.text(), validation=validation)
again = GraphEncoder(config).fit(train, planted.facts(), planted.text(), epochs=encoder.best_epoch_)
assert np.array_equal(encoder.item_vectors, again.item_vectors), "not the best epoch's parameters"
sys.stdout.write(f"kept {encoder.best_epoch_} {encoder.validation_ndcg_:.4f}")
"""


def test_ctrl_c_keeps_the_best_epoch_and_says_so() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KGENRE_PROGRESS": "1"},
    )
    assert process.stderr is not None
    seen = b""
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        while b"best=" not in seen and (part := os.read(process.stderr.fileno(), 4096)):
            seen += part
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate()
    finally:
        watchdog.cancel()
    message = (seen + errors).decode()
    assert process.returncode == 0, message
    assert "interrupted in epoch" in message
    kept = out.decode().split()
    assert f"keeping epoch {kept[1]} (ndcg@20 {kept[2]})" in message


# -- keeping and refusing -----------------------------------------------------------------------------


def test_arrays_survive_a_file(encoder: GraphEncoder) -> None:
    loaded = GraphEncoder.from_arrays(encoder.config, load(save(encoder.arrays())))
    np.testing.assert_array_equal(loaded.score(planted.likes()), encoder.score(planted.likes()))
    new = encoder.encode_items(linked(220), planted.text()[:1])
    np.testing.assert_array_equal(loaded.encode_items(linked(220), planted.text()[:1])[1], new[1])
    assert (loaded.best_epoch_, loaded.validation_ndcg_) == (encoder.best_epoch_, encoder.validation_ndcg_)


def test_a_missing_array_is_named(encoder: GraphEncoder) -> None:
    arrays = encoder.arrays()
    del arrays["history_vectors"]
    with pytest.raises(ModelError, match="history_vectors"):
        GraphEncoder.from_arrays(encoder.config, arrays)


def test_asking_before_fitting_is_an_error() -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        GraphEncoder().score(history(1))


def test_bad_input_gives_both_numbers(encoder: GraphEncoder) -> None:
    likes, facts, text = planted.likes(), planted.facts(), planted.text()
    fit = GraphEncoder(SMALL).fit
    with pytest.raises(DataError, match="no likes among 3 users and 4 items"):
        fit(sparse.csr_matrix((3, 4), dtype=np.float32), {})
    with pytest.raises(DataError, match="'theme' are about 19 items, likes about 20"):
        fit(likes, {"theme": facts["theme"][:19]})
    with pytest.raises(DataError, match="19 rows of item_text for 20 items"):
        fit(likes, facts, text[:19])
    with pytest.raises(DataError, match="5 rows of node_text for 222 nodes"):
        fit(likes, facts, None, text[:5])
    with pytest.raises(DataError, match="item_text holds infinite values"):
        fit(likes, facts, np.where(text > 0.9, np.inf, text).astype(np.float32))
    broken = {"theme": facts["theme"] * np.float32(np.nan)}
    with pytest.raises(DataError, match="'theme' is NaN or infinite"):
        fit(likes, broken)
    with pytest.raises(DataError, match="validation set is empty"):
        fit(likes, facts, validation=sparse.csr_matrix(likes.shape, dtype=np.float32))
    with pytest.raises(DataError, match=r"validation of shape \(200, 19\)"):
        fit(likes, facts, validation=likes[:, :19])
    with pytest.raises(ConfigError, match="epochs=3 and a validation set"):
        fit(likes, facts, validation=likes, epochs=3)
    with pytest.raises(DataError, match="over 7 items, but the encoder was fitted on 20"):
        encoder.score(history(1, n_items=7))
    with pytest.raises(DataError, match="length 5, but the encoder was fitted on 8"):
        encoder.encode_items({}, np.zeros((1, 5), dtype=np.float32))
    with pytest.raises(DataError, match="items; give those of the same items"):
        encoder.encode_items(linked(220), text[:2])


def test_configuration_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        GraphEncoderConfig(learning_rat=1e-3)  # type: ignore[call-arg]
    config = GraphEncoderConfig(embedding_size=32, text_dropout=0.1)
    assert GraphEncoderConfig(**config.model_dump()) == config
    with pytest.raises(ValidationError, match="temperature"):
        GraphEncoderConfig(temperature=0)


def test_item_of_which_nothing_is_known_joins_an_encoder_of_likes_alone() -> None:
    likes = planted.likes()
    encoder = GraphEncoder(SMALL).fit(likes, {}, epochs=2)
    n = planted.N_ITEMS
    # First in the catalogue, then last: neither facts nor texts say how many items there are.
    for items in (np.arange(1, n + 1), np.arange(n)):
        moved = encoder.extended(items, np.arange(5), {}, n_items=n + 1)
        assert moved.item_vectors.shape == (n + 1, SMALL.embedding_size)
        np.testing.assert_array_equal(moved.item_vectors[items], encoder.item_vectors)
        new = np.setdiff1d(np.arange(n + 1), items)
        assert np.isnan(moved.item_vectors[new]).all()
        assert not moved.history_vectors[new].any()


def test_reindexed_encoder_encodes_the_same_where_its_nodes_are_now(encoder: GraphEncoder) -> None:
    facts = planted.facts()
    n_nodes = next(iter(facts.values())).shape[1]
    nodes = np.random.default_rng(3).permutation(n_nodes + 4)[:n_nodes]
    moved_facts = {}
    for name, matrix in facts.items():
        entries = matrix.tocoo()
        moved_facts[name] = sparse.csr_matrix(
            (entries.data, (entries.row, nodes[entries.col])), shape=(matrix.shape[0], n_nodes + 4)
        )
    moved = encoder.reindexed(nodes)
    for one, two in zip(
        encoder.encode_items(facts, planted.text()),
        moved.encode_items(moved_facts, planted.text()),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    # A node that is gone takes its vector and its columns with it; the others keep theirs.
    gone = np.where(np.arange(n_nodes) == facts[next(iter(facts))].indices[0], -1, np.arange(n_nodes))
    assert len(moved.reindexed(np.arange(n_nodes + 4)).arrays()["nodes"]) == len(encoder.arrays()["nodes"])
    assert len(encoder.reindexed(gone).arrays()["nodes"]) == len(encoder.arrays()["nodes"]) - 1
