"""What is only done to large data, done to small data, where the right answer is known."""

import numpy as np
import pytest
import torch
from scipy import sparse

from kgenre.encoders import GraphEncoder, GraphEncoderConfig, fitting
from kgenre.encoders.fitting import Run
from kgenre.encoders.objective import Knowledge, _LogSumExp

from . import planted

SMALL = GraphEncoderConfig(embedding_size=16, epochs=12, batch_size=32)
STILL = SMALL.model_copy(
    update={"text_dropout": 0.0, "node_dropout": 0.0, "text_bias": True, "knowledge_weight": 0.0}
)


def run(config: GraphEncoderConfig) -> Run:
    generator = torch.Generator().manual_seed(3)
    return Run(config, planted.likes(), planted.facts(), planted.text(), None, generator)


def test_the_weighted_logarithm_of_sums_has_the_gradient_that_torch_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((300, 5), (7, 5), (7,))
    parts = [torch.randn(*shape, generator=generator).requires_grad_() for shape in shapes]
    x, y, added = parts
    weight = torch.rand(300, generator=generator)
    found = _LogSumExp.apply(x, y, added, weight)
    expected = (weight * (x @ y.T + added).logsumexp(1)).sum()
    torch.testing.assert_close(found, expected)
    for one, two in zip(
        torch.autograd.grad(3 * found, parts), torch.autograd.grad(3 * expected, parts), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_a_step_over_some_items_is_the_step_over_all() -> None:
    users = planted.likes()[[3, 150, 151]]
    whole, partial = run(STILL), run(STILL)
    loss, same = whole._step(users), partial._partial_step(users)
    torch.testing.assert_close(loss, same)
    loss.backward()
    same.backward()
    for (name, one), two in zip(whole.tower.named_parameters(), partial.tower.parameters(), strict=True):
        assert one.grad is not None, name
        assert two.grad is not None, name
        torch.testing.assert_close(one.grad, two.grad.to_dense(), msg=name)


def test_a_neighbour_is_drawn_by_the_cosine_of_the_facts() -> None:
    a = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=np.float32)
    b = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [0, 0], [0, 0]], dtype=np.float32)
    knowledge = Knowledge({"a": sparse.csr_matrix(a), "b": sparse.csr_matrix(b)}, 0.2)
    rows = knowledge.rows.toarray()
    cosine = rows @ rows.T
    np.fill_diagonal(cosine, 0)
    target = cosine / np.maximum(cosine.sum(axis=1, keepdims=True), 1e-9)
    drawn = knowledge.neighbours(np.repeat(np.arange(5), 20_000), torch.Generator().manual_seed(0))
    counts = np.stack([np.bincount(part, minlength=6) for part in drawn.reshape(5, -1)]) / 20_000
    np.testing.assert_allclose(counts, target[:5], atol=0.015)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_many_items_are_learned_as_few_are(decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "PARTIAL", 1)
    train, validation = planted.held_out(planted.likes())
    config = SMALL.model_copy(update={"weight_decay": decay})
    encoder = GraphEncoder(config).fit(train, planted.facts(), planted.text(), validation=validation)
    scores = encoder.score(planted.likes())
    own = np.arange(planted.N_USERS)[:, None] // 100 == np.arange(planted.N_ITEMS)[None] // 10
    assert (np.where(own, scores, np.inf).min(axis=1) > np.where(own, -np.inf, scores).max(axis=1)).all()


def test_of_many_users_an_epoch_takes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "EPOCH_USERS", 32)
    one = run(SMALL)
    steps = []
    monkeypatch.setattr(one, "_step", lambda users: (steps.append(users.shape[0]), Run._step(one, users))[1])
    one.epoch()
    assert steps == [32]


def test_work_ends_a_training() -> None:
    fitted = GraphEncoder(SMALL).fit(planted.likes(), planted.facts(), planted.text())
    assert fitted.best_epoch_ == 12
    config = SMALL.model_copy(update={"work": 3.5 * run(SMALL).work})
    assert GraphEncoder(config).fit(planted.likes(), planted.facts(), planted.text()).best_epoch_ == 3
    config = SMALL.model_copy(update={"work": 1.0})
    assert GraphEncoder(config).fit(planted.likes(), planted.facts(), planted.text()).best_epoch_ == 1
    assert GraphEncoder(config).fit(planted.likes(), planted.facts(), epochs=5).best_epoch_ == 5
