"""What facts say of items, as features: the ground that walks through facts and similarities by facts stand on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .vocabulary import IntArray


@dataclass(frozen=True, eq=False)
class FactFeatures:
    """One binary column for each (relation, node) pair that at least two items share, but not all.

    Attributes
    ----------
    matrix
        float32 CSR of shape (n_items, n_features).
    relation
        For each column the index of its relation in `relations`.
    node
        For each column its node in the node space.
    relations
        The relations' names; ``^-1`` behind one that is walked backwards.
    """

    matrix: sparse.csr_matrix
    relation: IntArray
    node: IntArray
    relations: tuple[str, ...]

    def idf(self, power: float, of: int | None = None) -> npt.NDArray[np.float64]:
        """Inverse document frequency of each column to `power`, float64 of shape (n_features,).

        Of so many items as there are, or of `of`; what is in more than these tells nothing.
        """
        frequency = np.bincount(self.matrix.indices, minlength=self.matrix.shape[1])
        share = (of or self.matrix.shape[0]) / np.maximum(frequency, 1)
        return np.asarray(np.log(np.maximum(share, 1.0)) ** power, dtype=np.float64)

    def weighted(self, power: float, of: int | None = None) -> sparse.csr_matrix:
        """Unit rows after weighting each column by its `idf`."""
        weighted = sparse.csr_matrix(self.matrix @ _diagonal(self.idf(power, of)), dtype=np.float32)
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1), dtype=np.float64).ravel())
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        return sparse.csr_matrix(_diagonal(scale) @ weighted, dtype=np.float32)


def fact_features(
    facts: Mapping[str, sparse.csr_matrix], n_users: int, n_items: int, n_nodes: int
) -> FactFeatures:
    """The features of all relations, each item's (relation, node) pairs.

    A relation between items (a sequel) is read both ways and an item counts as linked to itself, so that the parts
    of a series share a feature. A column that only one item has says nothing about similarity and is left out.

    Parameters
    ----------
    facts
        Per relation a CSR of shape (n_items, n_nodes); see `KnowledgeGraph.item_facts`.
    n_users, n_items, n_nodes
        Sizes of the user slice, of the item slice behind it and of the whole node space.
    """
    first, last = n_users, n_users + n_items
    between: dict[str, sparse.csr_matrix] = {}
    blocks: list[tuple[str, sparse.csr_matrix]] = []
    for name, matrix in facts.items():
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
        series = sparse.csr_matrix(matrix + _diagonal(linked))
        empty = [sparse.csr_matrix((n_items, width)) for width in (first, n_nodes - last)]
        blocks.append((name, sparse.csr_matrix(sparse.hstack([empty[0], series, empty[1]]))))
    columns: list[sparse.csr_matrix] = []
    relation: list[npt.NDArray[np.int32]] = []
    node: list[npt.NDArray[np.int32]] = []
    for index, (_, matrix) in enumerate(blocks):
        frequency = np.bincount(matrix.indices, minlength=matrix.shape[1])
        shared = np.flatnonzero((frequency > 1) & (frequency < n_items)).astype(np.int32)
        columns.append(sparse.csr_matrix(matrix[:, shared]))
        relation.append(np.full(len(shared), index, dtype=np.int32))
        node.append(shared)
    return FactFeatures(
        matrix=_binary(sparse.hstack(columns) if columns else sparse.csr_matrix((n_items, 0))),
        relation=np.concatenate(relation) if relation else np.empty(0, dtype=np.int32),
        node=np.concatenate(node) if node else np.empty(0, dtype=np.int32),
        relations=tuple(name for name, _ in blocks),
    )


def _diagonal(values: npt.ArrayLike) -> sparse.csr_matrix:
    values = np.asarray(values, dtype=np.float32)
    return sparse.csr_matrix(sparse.diags_array(values, dtype=np.float32))


def _binary(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(matrix, dtype=np.float32)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
