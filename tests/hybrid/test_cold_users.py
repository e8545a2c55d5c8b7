"""What users with few likes get is measured at every fit that has users to measure it on."""

import numpy as np
import pytest
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.cold_users import EVENTS, cold_users, shortened
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.signals.closed_form import ClosedForm
from kgenre.hybrid.split import hold_out
from kgenre.hybrid.tuning import Validation


@pytest.mark.parametrize("events", EVENTS)
def test_a_shortened_history_has_so_many_of_its_likes(events: int):
    rng = np.random.default_rng(0)
    histories = sparse.csr_matrix(rng.choice([0.0, 1.0, -1.0], (20, 40), p=[0.6, 0.3, 0.1]))
    short = shortened(histories, events, rng=1)
    assert (np.diff(short.indptr) == events).all()
    assert (short.data == 1).all()
    assert short.multiply(histories > 0).nnz == short.nnz


def test_more_known_likes_give_better_lists_than_the_most_liked():
    rng = np.random.default_rng(3)
    taste = np.arange(200) % 10
    dense = (rng.random((150, 200)) < np.where(taste == (np.arange(150) % 10)[:, None], 0.6, 0.02)).astype(
        np.float32
    )
    likes = sparse.csr_matrix(dense)
    training, held_out = hold_out(likes, 0.2, None, 0)
    data = SignalData(likes=training, facts={}, n_users=150, n_nodes=350)
    validation = Validation.of(training, held_out, training, 20, 1000, 0)
    rows = cold_users([ClosedForm().fit(data)], np.array([1.0]), validation, rng=0)
    assert [row[0] for row in rows] == [1, 3, 5]
    one, three, five = (row[1] for row in rows)
    assert rows[0][3] < one < three < five + 0.02
    # A signal of weight 0 says nothing.
    assert cold_users([ClosedForm().fit(data)] * 2, np.array([1.0, 0.0]), validation, rng=0) == rows


def test_a_fit_tells(world: KnowledgeGraph, genre: HybridRecommender):
    notes = [note for note in genre.state.report.notes if "few likes are known" in note]
    assert len(notes) == 1
    assert all(f"with {events}" in notes[0] for events in EVENTS)
    assert notes[0] in genre.state.report.text()
