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
    # The last setting was tried with all others as they were found.
    setting, values = list(MultiHop.search.items())[-1]
    for value in values:
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
    assert len({config.beta for config in Counted.tried}) == 3


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
