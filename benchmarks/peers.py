"""The peers, a few lines each. To add one: a function that fits and returns a scorer, and an entry in `PEERS`.

A peer is fitted on a `Task` with a setting drawn from its `space` and gives a function from user indices to scores,
float (b, n_items), higher is better. Whatever a method needs beyond likes and item features, it has to bring.
"""

import importlib.metadata
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

Scorer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Task:
    """What a peer may learn from.

    Attributes
    ----------
    likes
        float32 CSR of ones, shape (n_users, n_items).
    features
        float32 CSR of ones, shape (n_items, n_features): each item's facts, as (relation, entity) pairs.
    seed
        For whatever is drawn at random.
    """

    likes: sparse.csr_matrix
    features: sparse.csr_matrix
    seed: int = 0


@dataclass(frozen=True)
class Peer:
    """A method with the values that each of its settings may take; the first are its usual ones."""

    fit: Callable[..., Scorer]
    space: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    package: str | None = None
    """Whose implementation it is; ours where there is none."""

    @property
    def version(self) -> str:
        """Name and version of the package."""
        return (
            f"{self.package} {importlib.metadata.version(self.package)}" if self.package else "written here"
        )

    def settings(self, trials: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """The usual setting and others drawn at random, `trials` in all, none twice."""
        found = [{name: values[0] for name, values in self.space.items()}]
        possible = int(np.prod([len(values) for values in self.space.values()]))
        while len(found) < min(trials, possible):
            drawn = {name: values[rng.integers(len(values))] for name, values in self.space.items()}
            if drawn not in found:
                found.append(drawn)
        return found


def by_items(likes: sparse.csr_matrix, similarity: Any) -> Scorer:
    """Scores ``h S`` of an item-item similarity."""

    def score(users: np.ndarray) -> np.ndarray:
        product = likes[users] @ similarity
        return product.toarray() if sparse.issparse(product) else np.asarray(product)

    return score


def strongest(similarity: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The `k` largest entries of each column."""
    columns = sparse.csc_matrix(similarity)
    for column in range(columns.shape[1]):
        own = slice(columns.indptr[column], columns.indptr[column + 1])
        values = columns.data[own]
        if len(values) > k:
            values[values < np.partition(values, -k)[-k]] = 0
    columns.eliminate_zeros()
    return sparse.csr_matrix(columns)


def most_popular(task: Task) -> Scorer:
    counts = np.asarray(task.likes.sum(axis=0)).ravel()
    return lambda users: np.tile(counts, (len(users), 1))


def item_knn(task: Task, k: int, shrink: float) -> Scorer:
    """Cosine with shrinkage, users weighted by idf (Sarwar et al. 2001)."""
    n_items = task.likes.shape[1]
    idf = np.log(n_items / np.maximum(task.likes.sum(axis=1), 1)) + 1
    scaled = sparse.csr_matrix(task.likes.multiply(idf))
    together = sparse.csr_matrix(scaled.T @ scaled)
    norms = np.sqrt(together.diagonal())
    rows = np.repeat(np.arange(n_items), np.diff(together.indptr))
    together.data /= norms[rows] * norms[together.indices] + shrink
    together.setdiag(0)
    return by_items(task.likes, strongest(together, k))


def rp3beta(task: Task, alpha: float, beta: float, k: int) -> Scorer:
    """Walks of three steps, ends discounted by popularity (Paudel et al. 2017)."""
    users = np.maximum(np.asarray(task.likes.sum(axis=1)).ravel(), 1)
    items = np.maximum(np.asarray(task.likes.sum(axis=0)).ravel(), 1)
    to_user = sparse.diags(1 / items) @ task.likes.T
    to_item = sparse.diags(1 / users) @ task.likes
    walks = sparse.csr_matrix(to_user.power(alpha) @ to_item.power(alpha) @ sparse.diags(items**-beta))
    walks.setdiag(0)
    return by_items(task.likes, strongest(walks, k))


def ease(task: Task, penalty: float) -> Scorer:
    """Steck 2019."""
    gram = (task.likes.T @ task.likes).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return by_items(task.likes, weights.astype(np.float32))


def slim(task: Task, l1: float, l2: float) -> Scorer:
    """Ning and Karypis 2011: a non-negative elastic net for each item, on the Gram matrix."""
    from sklearn.linear_model import ElasticNet

    n_users, n_items = task.likes.shape
    gram = (task.likes.T @ task.likes).toarray().astype(np.float64)
    columns, weights = (
        sparse.csc_matrix(task.likes, dtype=np.float64),
        np.zeros((n_items, n_items), np.float32),
    )
    model = ElasticNet(
        alpha=(l1 + l2) / n_users,
        l1_ratio=l1 / (l1 + l2),
        positive=True,
        fit_intercept=False,
        copy_X=False,
        precompute=gram,
        selection="random",
        max_iter=100,
        tol=1e-3,
        random_state=task.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in range(n_items):
            own = slice(columns.indptr[item], columns.indptr[item + 1])
            target = columns[:, [item]].toarray().ravel()
            kept, row, column = columns.data[own].copy(), gram[item].copy(), gram[:, item].copy()
            columns.data[own], gram[item], gram[:, item] = 0, 0, 0
            weights[:, item] = model.fit(columns, target).coef_
            columns.data[own], gram[item], gram[:, item] = kept, row, column
    return by_items(task.likes, sparse.csr_matrix(weights))


def als(task: Task, factors: int, regularization: float, alpha: float) -> Scorer:
    """Hu et al. 2008."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors, regularization=regularization, alpha=alpha, random_state=task.seed, num_threads=1
    )
    model.fit(task.likes, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def bpr(task: Task, factors: int, learning_rate: float, regularization: float, iterations: int) -> Scorer:
    """Rendle et al. 2009."""
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        random_state=task.seed,
        num_threads=1,
    )
    model.fit(task.likes, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def lightfm(task: Task, factors: int, learning_rate: float, epochs: int, facts: bool = True) -> Scorer:
    """Kula 2015, WARP, items with their facts as features beside their own."""
    from lightfm import LightFM

    n_items = task.likes.shape[1]
    own = sparse.identity(n_items, format="csr", dtype=np.float32)
    features = sparse.csr_matrix(sparse.hstack([own, task.features])) if facts else own
    model = LightFM(factors, loss="warp", learning_rate=learning_rate, random_state=task.seed)
    model.fit(task.likes.tocoo(), item_features=features, epochs=epochs, num_threads=1)
    bias, items = model.get_item_representations(features)
    _, people = model.get_user_representations()
    return lambda users: people[users] @ items.T + bias


PEERS = {
    "MostPop": Peer(most_popular),
    "ItemKNN": Peer(item_knn, {"k": (200, 50, 100, 400, 800), "shrink": (5.0, 0.0, 50.0, 200.0)}),
    "RP3b": Peer(
        rp3beta, {"alpha": (1.0, 0.6, 0.8, 1.2), "beta": (0.6, 0.3, 0.5, 0.7, 0.8), "k": (200, 100, 500)}
    ),
    "EASE": Peer(ease, {"penalty": (400.0, 50.0, 100.0, 200.0, 300.0, 600.0, 800.0, 1000.0, 1500.0)}),
    "SLIM": Peer(
        slim, {"l1": (0.5, 0.15, 1.0, 2.0), "l2": (100.0, 20.0, 50.0, 180.0, 330.0)}, "scikit-learn"
    ),
    "ALS": Peer(
        als,
        {
            "factors": (64, 32, 96, 128),
            "regularization": (10.0, 1.0, 3.0, 17.0, 30.0),
            "alpha": (2.0, 1.0, 5.0),
        },
        "implicit",
    ),
    "BPR": Peer(
        bpr,
        {
            "factors": (64, 32, 128),
            "learning_rate": (0.02, 0.01, 0.05),
            "regularization": (0.01, 0.001, 0.03),
            "iterations": (100, 50, 200),
        },
        "implicit",
    ),
    "LightFM": Peer(
        lightfm,
        {
            "factors": (64, 32, 128),
            "learning_rate": (0.05, 0.02),
            "epochs": (30, 15, 60),
            "facts": (True, False),
        },
        "lightfm-next",
    ),
}
