"""`kgenre demo`: the main job on real data, end to end, on one screen."""

import tempfile
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse

from kgenre.graph import KnowledgeGraph, connect
from kgenre.graph.columns import ITEM_ID, USER_ID
from kgenre.graph.demo import demo_graph

from .recommender import HybridRecommender
from .split import hold_out, without_likes

QUESTION = (
    "MATCH (i:Item)-[:DIRECTED_BY]->(d) WITH d, count(i) AS films ORDER BY films DESC, d.name LIMIT 5 "
    "RETURN d.name AS director, films"
)


def run(show: Callable[[str], None], model: str | None = None) -> None:
    """Graph, store, fit, evaluation, and a list with reasons for one user; then where the time went."""
    clock = _Clock()
    whole = demo_graph()
    clock.lap("data")
    show(f"MovieLens-100k with a knowledge graph of its films: {whole!r}")
    training, test = split_for_test(whole)
    with tempfile.TemporaryDirectory(prefix="kgenre-demo-") as folder, connect(folder) as store:
        clock.lap("start the store")
        store.write(training)
        clock.lap("write the graph")
        show(f"\nIn an embedded graph store, asked in Cypher:\n  {QUESTION}")
        show(store.cypher(QUESTION).to_string(index=False))
        clock.lap("Cypher")
        snapshot = store.snapshot()
        clock.lap("snapshot")
    recommender = HybridRecommender().fit(snapshot, show=False)
    clock.lap("fit")
    show("\nHonesty table: everything alone, on held-out likes of the training data")
    show(recommender.state.report.text())
    held_out = to_pairs(whole, test)
    show("\nOn the tenth of each user's likes that the fit never saw")
    metrics = ["recall", "ndcg", "mrr", "coverage"]
    show(recommender.evaluate(held_out)[metrics].to_string(float_format="{:.4f}".format))
    clock.lap("evaluate")
    user = snapshot.users.vocabulary[int(np.argsort(np.diff(snapshot.likes.indptr))[snapshot.n_users // 2])]
    show(f"\nFor user {user}, who likes {_taste(recommender, user)}")
    for row in recommender.recommend(user, k=5).itertuples():
        show(f"{row.rank}. {row.name}  ({row.score:.2f})")
        for reason in recommender.explain(user, str(row.item_id)).best(2):
            show(f"     {reason.contribution:+.2f}  {reason.text}")
    clock.lap("recommend and explain")
    if model is not None:
        recommender.save(model)
        clock.lap("save")
        show(f"\nThe model is in {model}: try `kgenre explain {model} {user} 50`")
    show("\nWhere the time went: " + clock.text())


def split_for_test(kg: KnowledgeGraph, share: float = 0.1) -> tuple[KnowledgeGraph, sparse.csr_matrix]:
    """The graph without a random tenth of each user's likes, and those likes as a matrix."""
    _, test = hold_out(kg.likes, share, rng=0)
    return without_likes(kg, test), test


def to_pairs(kg: KnowledgeGraph, likes: sparse.csr_matrix) -> pd.DataFrame:
    """A matrix of likes as a frame of user_id and item_id."""
    user, item = likes.nonzero()
    return pd.DataFrame({USER_ID: kg.users.vocabulary.ids[user], ITEM_ID: kg.items.vocabulary.ids[item]})


def _taste(recommender: HybridRecommender, user: str) -> str:
    kg = recommender.graph
    liked = kg.likes[kg.users.vocabulary.get(user)].indices
    popular = np.asarray(kg.likes.sum(axis=0)).ravel()
    known = liked[np.argsort(-popular[liked])][:4]
    return ", ".join(kg.items.name(int(item)) for item in known) + f" and {len(liked) - len(known)} more"


class _Clock:
    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = now - self._last
        self._last = now

    def text(self) -> str:
        total = sum(self._laps.values())
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._laps.items())
        return f"{parts}; {total:.0f} s in all"
