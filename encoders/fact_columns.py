"""Facts as columns of one matrix: which (relation, node) pairs items are linked to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Facts = Mapping[str, sparse.csr_matrix]


@dataclass(frozen=True)
class FactColumns:
    """The (relation, node) pairs that items were linked to when the encoder was fitted, and how often.

    Their degrees are part of the fitted state, so that what a new item gets from them depends on nothing but
    the item. A pair that was not there then has degree 1.

    Attributes
    ----------
    relations
        Names; a relation of any other name is ignored.
    relation, node, degree
        One entry for each pair, sorted by relation and node.
    """

    relations: tuple[str, ...]
    relation: IntArray
    node: IntArray
    degree: FloatArray

    @classmethod
    def of(
        cls, facts: Facts, min_items: int = 1, has_text: npt.NDArray[np.bool_] | None = None
    ) -> "FactColumns":
        """The pairs of all nodes that at least `min_items` items are linked to, or that have text."""
        n_nodes = max((matrix.shape[1] for matrix in facts.values()), default=0)
        links = [
            np.ravel_multi_index(matrix.nonzero(), (matrix.shape[0], n_nodes)) for matrix in facts.values()
        ]
        distinct = np.unique(np.concatenate(links)) if links else np.empty(0, dtype=np.int64)
        keep = np.bincount(distinct % max(n_nodes, 1), minlength=n_nodes) >= min_items
        if has_text is not None and n_nodes:
            keep |= has_text
        relation, node, degree = [], [], []
        for index, matrix in enumerate(facts.values()):
            total = np.asarray(abs(matrix).sum(axis=0)).ravel()
            linked = np.flatnonzero(keep & (total > 0))
            relation.append(np.full(len(linked), index, dtype=np.int64))
            node.append(linked.astype(np.int64))
            degree.append(total[linked].astype(np.float32))
        empty = [np.empty(0, dtype=np.int64)]
        return cls(
            tuple(facts),
            np.concatenate(relation or empty),
            np.concatenate(node or empty),
            np.concatenate(degree or [np.empty(0, dtype=np.float32)]),
        )

    def extended(self, facts: Facts) -> "FactColumns":
        """These pairs, then those of other facts that are not among them, with degree 1."""
        known = set(zip(self.relation.tolist(), self.node.tolist(), strict=True))
        new = [
            (index, node)
            for index, name in enumerate(self.relations)
            if name in facts
            for node in np.unique(facts[name].indices).tolist()
            if (index, node) not in known
        ]
        return FactColumns(
            self.relations,
            np.concatenate([self.relation, np.array([r for r, _ in new], dtype=np.int64)]),
            np.concatenate([self.node, np.array([n for _, n in new], dtype=np.int64)]),
            np.concatenate([self.degree, np.ones(len(new), dtype=np.float32)]),
        )

    def moved(self, nodes: npt.NDArray[np.int64]) -> "FactColumns":
        """The same pairs where node i is now ``nodes[i]``; those of a node that is gone (-1) are left out."""
        place = nodes[self.node]
        kept = np.flatnonzero(place >= 0)
        kept = kept[np.lexsort((place[kept], self.relation[kept]))]
        return FactColumns(self.relations, self.relation[kept], place[kept], self.degree[kept])

    def adjacency(self, facts: Facts, n_items: int) -> sparse.csr_matrix:
        """Symmetrically normalised within each relation: CSR of shape (n_items, number of pairs)."""
        blocks: list[Any] = []
        for index, name in enumerate(self.relations):
            columns = np.flatnonzero(self.relation == index)
            if not len(columns):
                continue
            if name not in facts:
                blocks.append(sparse.csr_matrix(np.zeros((n_items, len(columns)), dtype=np.float32)))
                continue
            matrix = facts[name].tocsr()
            degree = np.asarray(abs(matrix).sum(axis=1)).ravel()
            rows = 1 / np.sqrt(np.where(degree > 0, degree, np.inf))
            # A pair sits beyond this matrix's columns where only later nodes have it.
            inside = self.node[columns] < matrix.shape[1]
            picked = sparse.csr_matrix(
                (np.ones(int(inside.sum())), (self.node[columns][inside], np.flatnonzero(inside))),
                shape=(matrix.shape[1], len(columns)),
            )
            scale = sparse.diags(1 / np.sqrt(self.degree[columns]))
            blocks.append(sparse.diags(rows) @ matrix @ picked @ scale)
        if not blocks:
            return sparse.csr_matrix(np.zeros((n_items, 0), dtype=np.float32))
        return sparse.csr_matrix(sparse.hstack(blocks), dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, names included, for files that hold nothing else."""
        return {
            "relations": np.frombuffer(json.dumps(self.relations).encode(), dtype=np.uint8),
            "column_relation": self.relation,
            "column_node": self.node,
            "column_degree": self.degree,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "FactColumns":
        """The inverse of `arrays`."""
        return cls(
            tuple(json.loads(arrays["relations"].tobytes().decode())),
            arrays["column_relation"],
            arrays["column_node"],
            arrays["column_degree"],
        )
