from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import sparse

from kgenre.encoders import GraphEncoderConfig
from kgenre.hybrid import tuning
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.signals import GNN, ClosedForm, MultiHop, Popularity, gnn
from kgenre.hybrid.signals.closed_form import ClosedFormConfig
from kgenre.hybrid.signals.gnn import TEMPERATURES, GNNConfig
from kgenre.hybrid.signals.multihop import MultiHopConfig
from kgenre.hybrid.split import hold_out
from kgenre.hybrid.tuning import Validation, fit_signal


@pytest.fixture(scope="module")
def split(data: SignalData) -> tuple[SignalData, Validation]:
    training, held_out = hold_out(data.likes, 0.2, rng=1)
    validation = Validation.of(training, held_out, training, k=10, most=1000, rng=0)
    return data.with_likes(training), validation


def test_the_best_of_the_values_tried_is_kept(split: tuple[SignalData, Validation]):
    data, validation = split
    found = fit_signal(MultiHop(), data, validation, tune=True)
    start = fit_signal(MultiHop(), data, validation, tune=False)
    assert start.signal.config == MultiHopConfig()
    assert found.ndcg >= start.ndcg
    # The last setting was tried with all others as they were found: its neighbours in the list are no better.
    setting, values = list(MultiHop.search.items())[-1]
    place = values.index(getattr(found.signal.config, setting))
    for value in values[max(place - 1, 0) : place + 2]:
        config = found.signal.config.model_copy(update={setting: value})
        assert validation.ndcg(MultiHop(config).fit(data).score(validation.histories)) <= found.ndcg
    assert found.ndcg == pytest.approx(validation.ndcg(found.scores))


def test_a_setting_that_was_given_is_kept(split: tuple[SignalData, Validation]):
    data, validation = split
    given = ClosedFormConfig(regularization=12345.0)
    found = fit_signal(ClosedForm(given), data, validation, tune=True)
    assert found.signal.config.regularization == 12345.0


class Counted(MultiHop):
    """MultiHop that keeps what it was fitted with."""

    tried: ClassVar[list[Any]] = []

    def fit(self, data: SignalData) -> "Counted":
        self.tried.append(self.config)
        return super().fit(data)


def test_of_many_likes_settings_are_not_looked_for(
    split: tuple[SignalData, Validation], monkeypatch: pytest.MonkeyPatch
):
    data, validation = split
    for most, several in ((data.likes.nnz, True), (data.likes.nnz - 1, False)):
        monkeypatch.setattr(tuning, "TUNED_LIKES", most)
        Counted.tried.clear()
        fit_signal(Counted(), data, validation, tune=True)
        assert (len(Counted.tried) > 1) == several


def test_settings_of_facts_are_not_tried_where_there_are_none(split: tuple[SignalData, Validation]):
    data, validation = split
    Counted.tried.clear()
    bare = SignalData(likes=data.likes, facts={}, n_users=data.n_users, n_nodes=data.n_nodes)
    fit_signal(Counted(), bare, validation, tune=True)
    assert {config.fact_share for config in Counted.tried} == {MultiHopConfig().fact_share}
    assert len({config.beta for config in Counted.tried}) >= 3


class Hill(Popularity):
    """A signal whose validation figure is best at a half-life of 4 days, and how often it was fitted."""

    search: ClassVar[dict[str, tuple[Any, ...]]] = {"half_life_days": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)}
    tried: ClassVar[list[float]] = []

    def fit(self, data: SignalData) -> "Hill":
        self.tried.append(self.config.half_life_days)
        super().fit(data)
        return self

    def score(self, histories: sparse.csr_matrix) -> Any:
        noise = np.random.default_rng(0).random(histories.shape)
        return np.where(
            noise < abs(np.log2(self.config.half_life_days) - 2) / 5, -noise, super().score(histories)
        )


@pytest.mark.parametrize("start", [1.0, 16.0])
def test_a_setting_moves_on_as_long_as_validation_gets_better(
    split: tuple[SignalData, Validation], start: float
):
    data, validation = split
    Hill.tried.clear()
    config = Hill.Config.model_construct(set(), half_life_days=start)
    found = fit_signal(Hill(config), data, validation, tune=True)
    assert found.signal.config.half_life_days == 4.0
    # Neither far beyond the best value nor twice at the same.
    assert len(Hill.tried) == len(set(Hill.tried)) <= 5


class Lots(Popularity):
    """A signal that draws lots, by its setting: no value is better than another."""

    search: ClassVar[dict[str, tuple[Any, ...]]] = {"half_life_days": (1.0, 2.0, 3.0, 4.0, 5.0)}

    def score(self, histories: sparse.csr_matrix) -> Any:
        rng = np.random.default_rng(int(self.config.half_life_days))
        return rng.random(histories.shape, dtype=np.float32)


def test_a_setting_stays_where_others_are_better_by_luck_alone(split: tuple[SignalData, Validation]):
    data, validation = split
    moved, lucky = 0, 0
    for start in Lots.search["half_life_days"]:
        found = fit_signal(
            Lots(Lots.Config.model_construct(set(), half_life_days=start)), data, validation, tune=True
        )
        moved += found.signal.config.half_life_days != start
        alone = [
            validation.ndcg(Lots(Lots.Config(half_life_days=value)).fit(data).score(validation.histories))
            for value in (start - 1, start, start + 1)
            if value in Lots.search["half_life_days"]
        ]
        lucky += max(alone) > alone[(start - 1) in Lots.search["half_life_days"]]
    assert lucky >= 3
    assert moved <= 1


class Valley(Hill):
    """A hill that can only be reached from the right side: the values between are missing."""

    search: ClassVar[dict[str, tuple[Any, ...]]] = {"half_life_days": (4.0, 8.0, 16.0, 64.0, 256.0)}
    starts: ClassVar[tuple[dict[str, Any], ...]] = ({"half_life_days": 8.0},)


def test_the_search_begins_where_validation_likes_it_best(split: tuple[SignalData, Validation]):
    data, validation = split
    usual = Valley.Config.model_construct(set(), half_life_days=64.0)
    assert fit_signal(Valley(usual), data, validation, tune=True).signal.config.half_life_days == 4.0
    Valley.tried.clear()
    given = fit_signal(Valley(Valley.Config(half_life_days=64.0)), data, validation, tune=True)
    assert given.signal.config.half_life_days == 64.0
    assert Valley.tried == [64.0]


def test_only_so_many_users_are_looked_at(split: tuple[SignalData, Validation]):
    _, validation = split
    few = Validation.of(validation.histories, validation.relevant, validation.seen, k=10, most=5, rng=0)
    assert len(few.users) == 5
    assert few.relevant.shape == few.seen.shape == few.histories.shape == (5, validation.relevant.shape[1])
    assert (np.diff(few.relevant.indptr) > 0).all()


def test_validation_leaves_scores_as_they_are(split: tuple[SignalData, Validation]):
    data, validation = split
    scores = Popularity().fit(data).score(validation.histories)
    before = scores.copy()
    validation.ndcg(scores)
    np.testing.assert_array_equal(scores, before)


def test_walks_through_users_on_a_hand_worked_case():
    """x is liked by both users, y by the first, z by the second: from x half the walks end at y, half at z."""
    likes = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.float32))
    data = SignalData(likes=likes, facts={}, n_users=2, n_nodes=5)
    config = MultiHopConfig(alpha=1.0, beta=1.0, fact_share=0.0)
    walks = MultiHop(config).fit(data).similarity.toarray()
    # Step to a user 1/2 or 1, step to an item 1/2, end divided by its likes; those from an item sum to 1 on average.
    expected = np.array([[0, 0.25, 0.25], [0.25, 0, 0], [0.25, 0, 0]])
    np.testing.assert_allclose(walks, expected * 3, rtol=1e-6)
    cubed = MultiHop(MultiHopConfig(alpha=3.0, beta=0.0, fact_share=0.0)).fit(data).similarity.toarray()
    expected = np.array([[0, 1 / 64, 1 / 64], [1 / 8, 0, 0], [1 / 8, 0, 0]])
    np.testing.assert_allclose(cubed, expected * 3 / expected.sum(), rtol=1e-6)


class Sharp(GraphEncoderConfig):
    """Too sharp: the better values lie above it."""

    temperature: float = 0.03


QUICK: dict[str, Any] = {"embedding_size": 16, "epochs": 20, "learning_rate": 0.02}


def test_the_temperature_of_the_encoder_is_looked_for_where_likes_are_few(
    split: tuple[SignalData, Validation],
):
    data, validation = split
    config = GNNConfig(encoder=Sharp(**QUICK), seeds=2)
    found = fit_signal(GNN(config), data, validation, tune=True).signal
    assert isinstance(found, GNN)
    assert found.config.encoder.temperature in TEMPERATURES
    alone = GNN(config.model_copy(update={"seeds": 1})).tune(data, validation.full).encoders[0]
    assert found.encoders[0].validation_ndcg_ > alone.validation_ndcg_
    again = GNN(found.config).tune(data, validation.full)
    for one, other in zip(found.encoders, again.encoders, strict=True):
        np.testing.assert_array_equal(one.item_vectors, other.item_vectors)


def test_a_temperature_that_was_given_is_kept_and_one_for_dense_data_too(
    split: tuple[SignalData, Validation], monkeypatch: pytest.MonkeyPatch
):
    data, validation = split
    given = GNN(GNNConfig(encoder=GraphEncoderConfig(temperature=0.1, **QUICK)))
    assert given.prepared(data, validation.full) is given
    monkeypatch.setattr(gnn, "FEW_LIKES", data.likes.nnz // data.n_users)
    usual = GNN(GNNConfig(encoder=GraphEncoderConfig(**QUICK)))
    assert usual.prepared(data, validation.full) is usual
