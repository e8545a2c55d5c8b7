"""The seed's similarities between a user's profile and an item: cosine, Jaccard, TF-IDF."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.data import FloatArray, SignalData

from .base import Signal, SignalConfig, dense, pack, silence, unpack
from .features import fact_features, tf_idf, unit, unit_rows
from .split import Float, Split, split_row
from .words import counted


def similarity(user: npt.ArrayLike, item: npt.ArrayLike, method: str = "cosine") -> float:
    """Similarity of two vectors of shape (d,): their ``cosine``, or the ``jaccard`` index of their non-zero positions.

    NaN where a vector (for Jaccard both) is zero. Raises `ConfigError` for another method.
    """
    if method not in ("cosine", "jaccard"):
        raise ConfigError(f"unknown similarity {method!r} of two vectors; use cosine or jaccard")
    u, i = np.asarray(user, dtype=np.float64), np.asarray(item, dtype=np.float64)
    if method == "jaccard":
        union = np.count_nonzero((u != 0) | (i != 0))
        return float(np.count_nonzero((u != 0) & (i != 0)) / union) if union else float("nan")
    norm = float(np.linalg.norm(u) * np.linalg.norm(i))
    return float(u @ i) / norm if norm else float("nan")


def blend(similarity: float, popularity: float, a: float = 0.5) -> float:
    """GENRE's relevance ``R = a s + (1 - a) Popularity``.

    Popularity should be scaled to [0, 1]: a raw count drowns the similarity. For s = .6651, popularity 1000 and
    a = .5 it gives 500.33.
    """
    return a * similarity + (1 - a) * popularity


class SimilarityConfig(SignalConfig):
    """Settings of `Similarity`: ``cosine`` of text vectors, ``jaccard`` of fact sets, ``tfidf`` of the texts' words."""

    method: Literal["cosine", "jaccard", "tfidf"] = "cosine"


class Similarity(Signal):
    """Similarity between a user's profile, the sum of what they liked, and an item.

    ``cosine`` and ``tfidf`` are the cosine between the sum of the liked items' unit vectors and the item's;
    ``jaccard`` is the size of the intersection of the items' facts with those of everything liked, over their union.
    """

    name = "similarity"
    Config: ClassVar[type[SignalConfig]] = SimilarityConfig
    vectors: Any
    """float32 (n_items, d), dense or CSR."""
    blind: npt.NDArray[np.bool_]

    def __init__(self, config: SignalConfig | None = None) -> None:
        super().__init__(config)
        self.speaks_of = "facts" if self.config.method == "jaccard" else "text"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        if self.config.method == "cosine":
            if data.item_text is None:
                self.vectors = np.zeros((data.n_items, 1), dtype=np.float32)
            else:
                self.vectors = unit(np.nan_to_num(data.item_text))
        elif self.config.method == "tfidf":
            self.vectors = unit_rows(tf_idf(counted(data.texts, data.n_items)[0]))
        else:
            self.vectors = fact_features(data).matrix
        self.blind = np.asarray(abs(self.vectors).sum(axis=1)).ravel() == 0
        return self

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        if self.config.method == "jaccard":
            scores = self._jaccard(histories)
        else:
            profile: Any = histories @ self.vectors
            dot: Any = profile @ self.vectors.T
            dot = dense(dot)
            scores = dot / np.maximum(_norms(profile), 1e-12)[:, None]
        scores = np.array(scores, dtype=np.float32)
        return silence(scores, self.blind, histories)

    def _jaccard(self, histories: sparse.csr_matrix) -> Any:
        liked = histories.copy()
        liked.data = (liked.data > 0).astype(np.float32)
        profile = sparse.csr_matrix(liked @ self.vectors)
        profile.eliminate_zeros()
        profile.data[:] = 1.0
        both = np.asarray((profile @ self.vectors.T).toarray())
        sizes = np.asarray(self.vectors.sum(axis=1)).ravel()
        either = np.asarray(profile.sum(axis=1)).reshape(-1, 1) + sizes[None, :] - both
        return both / np.maximum(either, 1.0)

    def rows(self, history: sparse.csr_matrix) -> FloatArray:
        """Each history item's part; a Jaccard index is shared out by the facts each liked item has in common."""
        total = self.score(history)[0]
        own = self.vectors[history.indices]
        products: Any = own @ self.vectors.T
        products = dense(products)
        weights = np.maximum(history.data, 0) if self.config.method == "jaccard" else history.data
        parts = products * weights[:, None]
        whole = parts.sum(axis=0)
        scale = np.divide(total, whole, out=np.zeros_like(total), where=np.abs(whole) > 1e-12)
        return np.asarray(np.where(np.isnan(total), np.nan, parts * scale), dtype=np.float32)

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """A Jaccard index is shared out by the facts in common; their number is a sum over them."""
        if self.config.method != "jaccard":
            return super().split(history, item, data)
        own: Any = self.vectors[history.indices]
        features, liked = fact_features(data), dense(own)
        likes = np.maximum(history.data, 0).astype(np.float64)
        common = float(likes @ (liked @ dense(self.vectors[[item]]).ravel()))
        scale = float(self.score(history)[0, item]) / common if common else 0.0

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return np.asarray(likes[:, None] * liked[:, columns] * values * scale)

        return split_row(cells, features, item, None, "given the size of both sets of facts")

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:  # noqa: D102
        return type(self)(self.config).fit(after) if self.config.method == "jaccard" else self

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return {"blind": self.blind, **pack("vectors", self.vectors)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.blind, self.vectors = arrays["blind"].astype(bool), unpack("vectors", arrays)
        return self


def _norms(matrix: Any) -> FloatArray:
    return np.asarray(np.linalg.norm(dense(matrix), axis=1), dtype=np.float32)
