import logging

import numpy as np
import pytest
import torch
from scipy import sparse

from kgenre.encoders import objective
from kgenre.encoders.item_tower import Adjacency, WeightedSum, dropout, text_inputs
from kgenre.encoders.objective import Knowledge, Softmax, likes_loss
from kgenre.encoders.training import ndcg, train
from kgenre.graph.errors import ConfigError


class Counter(torch.nn.Module):
    """Its one parameter is the number of epochs it has been trained."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(()))

    def epoch(self) -> float:
        with torch.no_grad():
            self.value += 1
        return 1.0


def test_the_best_epoch_is_kept_and_patience_ends_it() -> None:
    model, figures = Counter(), iter([0.1, 0.3, 0.2, 0.25, 0.29, 0.9])
    outcome = train(model, model.epoch, lambda: next(figures), epochs=10, patience=3)
    assert (outcome.best_epoch, outcome.validation) == (2, 0.3)
    assert model.value.item() == 2
    assert next(figures) == 0.9


def test_without_validation_every_epoch_is_run() -> None:
    model = Counter()
    assert train(model, model.epoch, None, epochs=7, patience=1).best_epoch == 7
    assert model.value.item() == 7


def test_a_loss_that_is_not_a_number_keeps_the_best_epoch(caplog: pytest.LogCaptureFixture) -> None:
    model, losses = Counter(), iter([1.0, 1.0, float("nan")])

    def epoch() -> float:
        model.epoch()
        return next(losses)

    with caplog.at_level(logging.WARNING):
        outcome = train(model, epoch, None, epochs=10, patience=3)
    assert outcome.best_epoch == 2
    assert model.value.item() == 2
    assert "loss is nan in epoch 3; keeping epoch 2" in caplog.text
    with pytest.raises(ConfigError, match="lower the learning rate"):
        train(Counter(), lambda: float("inf"), None, epochs=3, patience=3)


def test_an_interruption_before_the_first_epoch_is_raised() -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Counter(), interrupted, None, epochs=3, patience=3)


def test_ndcg_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.7, -torch.inf], [0.1, 0.2, 0.3, 0.4]])
    relevant = sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 1]]))
    first = 1 / np.log2(3)
    second = (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert ndcg(scores, relevant, k=20) == pytest.approx(first + second)
    assert ndcg(scores, relevant, k=2) == pytest.approx(first + 1 / (1 + 1 / np.log2(3)))
    assert ndcg(scores, relevant, k=1) == pytest.approx(1)


def test_messages_and_their_gradients_are_those_of_dense_algebra() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.random(5, 7, density=0.4, format="csr", dtype=np.float32, random_state=rng)
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    dense = torch.from_numpy(matrix.toarray())
    received = WeightedSum()(x, Adjacency.of(matrix))
    torch.testing.assert_close(received, dense @ x)
    received.pow(2).sum().backward()
    torch.testing.assert_close(x.grad, 2 * dense.T @ dense @ x.detach())


def test_dropout_keeps_the_mean_and_drops_whole_rows_when_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.ones(4000, 5)
    dropped = dropout(x, 0.3, generator)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    rows = dropout(x, 0.3, generator, whole_rows=True)
    assert ((rows == 0).all(1) | (rows != 0).all(1)).all()
    assert dropout(x, 0.3, None) is x


def test_text_inputs_are_centred_scaled_and_zero_without_text() -> None:
    vectors = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [np.nan] * 4], dtype=np.float32)
    inputs = text_inputs(vectors, np.array([0.5, 0.5, 0, 0], dtype=np.float32))
    np.testing.assert_allclose(inputs[0], np.array([1, -1, 0, 0]) / np.sqrt(2) * 2 / 4, atol=1e-6)
    np.testing.assert_array_equal(inputs[2], 0)


@pytest.fixture
def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    scored = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=1)
    return scored, torch.randn(6, 4, generator=generator)


def test_likes_loss_is_the_softmax_cross_entropy(vectors: tuple[torch.Tensor, torch.Tensor]) -> None:
    scored, summed = vectors
    likes = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0]], dtype=np.float32))
    bias = torch.linspace(-1, 1, 6)
    softmax = Softmax(likes, met_only=True).draw(torch.Generator())
    assert softmax[0] is not None
    assert softmax[0].tolist() == [0, 1, 2, 3, 4]
    dense = torch.from_numpy(likes.toarray())
    users = torch.nn.functional.normalize(dense @ summed, dim=1)
    log_p = ((users @ scored.T) / 0.2 + bias)[:, :5].log_softmax(1)
    weight = dense[:, :5] / dense.sum(1, keepdim=True).sqrt()
    expected = -(weight * log_p).sum() / weight.sum()
    torch.testing.assert_close(likes_loss(likes, scored, summed, bias, softmax, 0.2), expected)


def test_knowledge_loss_is_that_of_the_cosine_matrix(vectors: tuple[torch.Tensor, torch.Tensor]) -> None:
    scored, summed = vectors
    a = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=np.float32)
    b = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [0, 0], [0, 0]], dtype=np.float32)
    joint = np.hstack([a * np.log(6 / a.sum(0)) ** 2, b * np.log(6 / b.sum(0)) ** 2])
    norm = np.linalg.norm(joint, axis=1, keepdims=True)
    unit = joint / np.where(norm > 0, norm, 1)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, 0)
    knowledge = Knowledge({"a": sparse.csr_matrix(a), "b": sparse.csr_matrix(b)}, 0.2)
    assert knowledge.items.tolist() == [0, 1, 2, 3, 4]
    target = torch.from_numpy((cosine / np.maximum(cosine.sum(1, keepdims=True), 1e-9))[:5]).float()
    users = torch.nn.functional.normalize(summed[:5], dim=1)
    expected = -(target * (users @ scored.T / 0.2).log_softmax(1)).sum(1).mean()
    loss = knowledge.loss(torch.arange(5), scored, summed, None, (torch.arange(6), None))
    torch.testing.assert_close(loss, expected)


def test_the_sampled_softmax_estimates_the_full_one(
    vectors: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, summed = vectors
    likes = sparse.csr_matrix(np.array([[1, 1, 0, 0, 1, 0], [0, 1, 1, 1, 1, 1]], dtype=np.float32))
    bias = torch.linspace(-1, 1, 6)
    generator = torch.Generator().manual_seed(0)
    full = Softmax(likes, met_only=False).draw(generator)
    exact = likes_loss(likes, scored, summed, bias, full, 0.2)
    monkeypatch.setattr(objective, "SOFTMAX_CELLS", 11)
    monkeypatch.setattr(objective, "SOFTMAX_SAMPLES", 5)
    softmax = Softmax(likes, met_only=False)
    monkeypatch.setattr(objective, "SOFTMAX_SAMPLES", 50_000)
    sampled = softmax.draw(generator)
    assert sampled[0] is not None
    assert len(sampled[0]) == 50_000
    torch.testing.assert_close(
        likes_loss(likes, scored, summed, bias, sampled, 0.2), exact, atol=0.02, rtol=0
    )
