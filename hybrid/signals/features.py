"""Facts and text as item features and item-item similarities, shared by several signals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData, diagonal


@dataclass(frozen=True, eq=False)
class FactFeatures:
    """One binary column for each (relation, node) pair that at least two items share.

    Attributes
    ----------
    matrix
        float32 CSR of shape (n_items, n_features).
    relation
        For each column the index of its relation in `relations`.
    node
        For each column its node in the node space.
    relations
        The relations' names.
    """

    matrix: sparse.csr_matrix
    relation: npt.NDArray[np.int32]
    node: npt.NDArray[np.int32]
    relations: tuple[str, ...]

    def weighted(self, power: float) -> sparse.csr_matrix:
        """Unit rows after weighting each column by its inverse document frequency to `power`."""
        n_items = self.matrix.shape[0]
        frequency = np.bincount(self.matrix.indices, minlength=self.matrix.shape[1])
        idf = np.log(n_items / np.maximum(frequency, 1)) ** power
        return unit_rows(self.matrix @ diagonal(idf))


def fact_features(data: SignalData) -> FactFeatures:
    """The features of all relations, each item's (relation, node) pairs.

    A relation between items (a sequel) is read both ways and an item counts as linked to itself, so that the parts
    of a series share a feature. A column that only one item has says nothing about similarity and is left out.
    """
    if "fact_features" in data._cache:
        found: FactFeatures = data._cache["fact_features"]
        return found
    first, last = data.n_users, data.n_users + data.n_items
    between: dict[str, sparse.csr_matrix] = {}
    blocks: list[tuple[str, sparse.csr_matrix]] = []
    for name, matrix in data.facts.items():
        items = sparse.csr_matrix(matrix[:, first:last])
        if items.nnz:
            base = name.removesuffix("^-1")
            both = items + items.T
            between[base] = both if base not in between else between[base] + both
            if matrix.nnz == items.nnz:
                continue
            matrix = sparse.csr_matrix(
                sparse.hstack([matrix[:, :first], sparse.csr_matrix(items.shape), matrix[:, last:]])
            )
        blocks.append((name, matrix))
    for name, matrix in between.items():
        linked = (np.diff(sparse.csr_matrix(matrix).indptr) > 0).astype(np.float32)
        series = sparse.csr_matrix(matrix + diagonal(linked))
        empty = [sparse.csr_matrix((data.n_items, width)) for width in (first, data.n_nodes - last)]
        blocks.append((name, sparse.csr_matrix(sparse.hstack([empty[0], series, empty[1]]))))
    columns: list[sparse.csr_matrix] = []
    relation: list[npt.NDArray[np.int32]] = []
    node: list[npt.NDArray[np.int32]] = []
    for index, (_, matrix) in enumerate(blocks):
        frequency = np.bincount(matrix.indices, minlength=matrix.shape[1])
        shared = np.flatnonzero((frequency > 1) & (frequency < data.n_items)).astype(np.int32)
        columns.append(sparse.csr_matrix(matrix[:, shared]))
        relation.append(np.full(len(shared), index, dtype=np.int32))
        node.append(shared)
    features = FactFeatures(
        matrix=_binary(sparse.hstack(columns) if columns else sparse.csr_matrix((data.n_items, 0))),
        relation=np.concatenate(relation) if relation else np.empty(0, dtype=np.int32),
        node=np.concatenate(node) if node else np.empty(0, dtype=np.int32),
        relations=tuple(name for name, _ in blocks),
    )
    data._cache["fact_features"] = features
    return features


def facts_cosine(data: SignalData, power: float) -> sparse.csr_matrix:
    """Cosine of the items' idf-weighted fact rows, zero diagonal; CSR of shape (n_items, n_items)."""
    key = f"facts_cosine {power}"
    if key not in data._cache:
        weighted = fact_features(data).weighted(power)
        data._cache[key] = without_diagonal(weighted @ weighted.T)
    cosine: sparse.csr_matrix = data._cache[key]
    return cosine


def text_cosine(data: SignalData, power: float) -> FloatArray:
    """Cosine of the items' centred text vectors, clipped at 0, to `power`; zero diagonal and rows without text.

    Sentence vectors of one domain share a direction that says nothing about likeness, hence the centring; the power
    keeps a long history's many faint likenesses from drowning its few close ones.
    """
    key = f"text_cosine {power}"
    if key not in data._cache:
        cosine = np.zeros((data.n_items, data.n_items), dtype=np.float32)
        if data.item_text is not None:
            has_text = ~np.isnan(data.item_text[:, 0])
            vectors = unit(centred(data.item_text)[has_text])
            cosine[np.ix_(has_text, has_text)] = np.maximum(vectors @ vectors.T, 0.0) ** power
            np.fill_diagonal(cosine, 0.0)
        data._cache[key] = cosine
    result: FloatArray = data._cache[key]
    return result


def centred(vectors: FloatArray) -> FloatArray:
    """Vectors minus their mean over the rows that are not NaN."""
    known = ~np.isnan(vectors[:, 0])
    mean = vectors[known].mean(axis=0) if known.any() else 0.0
    return np.asarray(vectors - mean, dtype=np.float32)


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Sparse rows scaled to length 1; an empty row stays empty."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64).ravel())
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(diagonal(scale) @ matrix, dtype=np.float32)


def without_diagonal(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """A square matrix with its diagonal removed."""
    matrix = sparse.csr_matrix(matrix, dtype=np.float32)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    off = rows != matrix.indices
    return sparse.csr_matrix((matrix.data[off], (rows[off], matrix.indices[off])), shape=matrix.shape)


def _binary(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(matrix, dtype=np.float32)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
