from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import sparse

from kgenre.hybrid.data import SignalData
from kgenre.hybrid.signals import ClosedForm, MultiHop, Popularity
from kgenre.hybrid.signals.closed_form import ClosedFormConfig
from kgenre.hybrid.signals.multihop import MultiHopConfig, user_walks
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
    walks = user_walks(data, alpha=1.0, beta=1.0).toarray()
    # Step to a user 1/2 or 1, step to an item 1/2, end divided by its likes.
    np.testing.assert_allclose(walks, [[0, 0.25, 0.25], [0.25, 0, 0], [0.25, 0, 0]])
    cubed = user_walks(data, alpha=3.0, beta=0.0).toarray()
    np.testing.assert_allclose(cubed, [[0, 1 / 64, 1 / 64], [1 / 8, 0, 0], [1 / 8, 0, 0]])
