from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from kgenre.encoders.dots import dots
from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import Moves, Signal, SignalConfig, silence
from .features import fact_columns, fact_features, facts_cosine, text_column, text_cosine
from .products import DENSE_ITEMS
from .split import LARGEST, Float, Split, dense_columns, split_row


class ScaledSVDConfig(SignalConfig):
    """Settings of `ScaledSVD`.

    Attributes
    ----------
    embedding_size
        Number of singular vectors kept.
    user_power, item_power
        Exponents by which rows and columns of the interaction matrix are scaled down for their degree.
    identity
        Weight of ``I + facts K + text T`` beside the interactions' kernel of mean diagonal 1.
    facts, text
        Weights of facts cosine and text cosine in that term.
    """

    embedding_size: int = Field(64, ge=1)
    user_power: float = Field(0.5, ge=0)
    item_power: float = Field(0.5, ge=0)
    identity: float = Field(1.0, ge=0)
    facts: float = Field(1.0, ge=0)
    text: float = Field(0.1, ge=0)


class ScaledSVD(Signal):
    """Scaled SVD with side information in its kernel.

    The leading eigenvectors V of ``Z'Z + w (I + c K + c_t T)``, where Z is the interaction matrix scaled by degrees
    (PureSVD, Cremonesi et al. 2010; scaling: EigenRec, Nikolakopoulos et al. 2019; sides in the kernel: HybridSVD,
    Frolov & Oseledets 2019), and ``score = h D V V' D^-1`` with D the items' scaling.
    """

    name = "svd"
    learns = "table"
    Config: ClassVar[type[SignalConfig]] = ScaledSVDConfig
    search: ClassVar[dict[str, tuple[Any, ...]]] = {
        "embedding_size": (16, 32, 64, 128, 256),
        "identity": (0.1, 0.3, 1.0, 3.0),
    }
    inward: FloatArray
    outward: FloatArray
    values: FloatArray | None = None
    """float32 (embedding_size,): the eigenvalues; None in a model that was saved without."""
    blind: npt.NDArray[np.bool_]

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing" if self.config.text == 0 and "text" in self.config.model_fields_set else "items"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        config = self.config
        scale = np.maximum(data.item_degree, 1.0) ** -config.item_power
        users = np.maximum(data.user_degree, 1.0) ** -config.user_power
        scaled = sparse.csr_matrix(diagonal(users) @ data.likes @ diagonal(scale))
        unit = float(scaled.multiply(scaled).sum()) / max(data.n_items, 1) or 1.0
        size = min(config.embedding_size, data.n_items)
        if data.n_items <= DENSE_ITEMS:
            kernel = np.asarray((scaled.T @ scaled).toarray(), dtype=np.float32) / unit
            kernel += config.identity * config.facts * facts_cosine(data, 1.5).toarray()
            kernel += config.identity * config.text * text_cosine(data, 2.0)
            known = np.asarray(kernel.any(axis=1))
            kernel[np.diag_indices_from(kernel)] += config.identity
            first = data.n_items - size
            values, vectors = linalg.eigh(kernel, subset_by_index=(first, data.n_items - 1), overwrite_a=True)
        else:
            sides = fact_features(data).weighted(1.5)
            known = (data.item_degree > 0) | (np.diff(sides.indptr) > 0)

            def apply(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
                from_facts = config.identity * config.facts * (sides @ (sides.T @ x))
                return np.asarray(scaled.T @ (scaled @ x) / unit + from_facts)

            operator = LinearOperator(
                (data.n_items, data.n_items), matvec=apply, matmat=apply, dtype=np.float32
            )
            start = np.random.default_rng(0).standard_normal(data.n_items).astype(np.float32)
            values, vectors = eigsh(operator, k=size, v0=start)
        # In C order, as a restored model has them: the last bits of a product depend on it.
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.inward = scale[:, None] * vectors
        self.outward = vectors / scale[:, None]
        self.values = np.asarray(values, dtype=np.float32)
        self.blind = ~known
        return self

    def extend(self, data: SignalData, moves: Moves) -> "Signal":
        """A new item has no singular vector: the signal cannot say anything of it until a refit."""
        if moves.same_items:
            return self
        moved = type(self)(self.config)
        moved.inward, moved.outward = moves.rows_of(self.inward), moves.rows_of(self.outward)
        moved.values = self.values
        moved.blind = np.asarray(moves.rows_of(self.blind, fill=1.0))
        return moved

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        scores = dots(np.asarray(histories @ self.inward, dtype=np.float32), self.outward)
        return silence(scores, self.blind, histories)

    def rows(self, history: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        parts: FloatArray = (history.data[:, None] * self.inward[history.indices]) @ self.outward.T
        parts[:, self.blind] = np.nan
        return np.asarray(parts, dtype=np.float32)

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """The vectors V solve ``V = M V / eigenvalues``, and the kernel M is a sum: so are V V' and the score."""
        config = self.config
        if self.values is None or data.n_items > LARGEST:
            return Split.nothing(history.nnz, "not taken apart")
        vectors, scale = self._vectors
        liked, weighted = history.indices, fact_columns(data, 1.5)
        ahead = (vectors[liked] / self.values) * (history.data.astype(np.float64) * scale[liked])[:, None]

        def brings(kernel: Float) -> Float:
            kernel = config.identity * kernel
            kernel[item] = 0.0
            return np.asarray(ahead @ (vectors.T @ kernel) / scale[item])

        def cells(columns: npt.NDArray[np.int64], values: Float) -> Float:
            return brings(config.facts * dense_columns(weighted, columns) * values)

        text = brings(config.text * text_column(data, item, 2.0).astype(np.float64)[:, None])
        how = "given the singular vectors"
        return split_row(cells, fact_features(data), item, 1.5, how, text=text[:, 0])

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:
        """The kernel with the other facts, projected on the same singular vectors."""
        if self.values is None or before.n_items > LARGEST:
            return self
        change = facts_cosine(after, 1.5) - facts_cosine(before, 1.5)
        vectors, scale = self._vectors
        moved = type(self)(self.config)
        added = self.config.identity * self.config.facts * (change @ (vectors / self.values))
        moved.inward, moved.values, moved.blind = self.inward, self.values, self.blind
        moved.outward = np.asarray(self.outward + added / scale[:, None], dtype=np.float32)
        return moved

    @cached_property
    def _vectors(self) -> tuple[Float, Float]:
        """V, and the scaling D of the items that is in both tables: float64 (n_items, size) and (n_items,)."""
        inward, outward = self.inward.astype(np.float64), self.outward.astype(np.float64)
        norms = np.linalg.norm(outward, axis=1)
        squared = np.divide(np.linalg.norm(inward, axis=1), norms, out=np.ones_like(norms), where=norms > 0)
        scale = np.sqrt(np.maximum(squared, 1e-12))
        return inward / scale[:, None], scale

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        found = {"inward": self.inward, "outward": self.outward, "blind": self.blind}
        return found if self.values is None else found | {"values": self.values}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.inward, self.outward = arrays["inward"], arrays["outward"]
        self.blind, self.values = arrays["blind"].astype(bool), arrays.get("values")
        return self
