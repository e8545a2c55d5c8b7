"""The network of the graph encoder: messages from facts to items and from items to users."""

import warnings
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

with warnings.catch_warnings():
    # torch-geometric 2.8 scripts a class while it is imported, which torch 2.15 deprecates.
    warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.*")
    from torch_geometric.nn import MessagePassing

FloatArray = npt.NDArray[np.float32]

TEXT_SCALE = 0.25
"""Root mean square of a text input's components: unit vectors times sqrt(dimension) / 4."""


@dataclass(frozen=True)
class Adjacency:
    """A weighted bipartite graph as a sparse tensor and its transpose, which the backward pass needs."""

    matrix: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> "Adjacency":
        """The adjacency whose rows receive and whose columns send."""
        return cls(_tensor(matrix.tocsr()), _tensor(matrix.T.tocsr()))


def _tensor(matrix: sparse.csr_matrix) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support is in beta.*")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=False,
        )


class _Product(torch.autograd.Function):
    """Sparse times dense with the transpose at hand: torch would build it anew in every backward pass."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(transposed)
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        (transposed,) = ctx.saved_tensors
        return None, None, transposed @ gradients[0]


class WeightedSum(MessagePassing):  # type: ignore[misc]
    """Each receiver gets the sum of its senders' vectors, times the weight of the edge."""

    def __init__(self) -> None:
        super().__init__(aggr="sum")

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """Vectors of the receivers, shape (n_receivers, d), from those of the senders."""
        return cast(Tensor, self.propagate(adjacency.matrix, x=x, transposed=adjacency.transposed))

    def message_and_aggregate(self, edge_index: Tensor, x: Tensor, transposed: Tensor) -> Tensor:
        """Message and sum in one sparse product."""
        return cast(Tensor, _Product.apply(edge_index, transposed, x))


def text_inputs(vectors: FloatArray, mean: FloatArray) -> FloatArray:
    """Text vectors centred, scaled to root mean square 1/4; zero rows where there is no text (NaN)."""
    centred = vectors - mean
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled = centred / np.where(norm > 0, norm, 1) * np.sqrt(vectors.shape[1]) * TEXT_SCALE
    return np.asarray(np.nan_to_num(scaled, nan=0.0), dtype=np.float32)


def dropout(x: Tensor, rate: float, generator: torch.Generator | None, whole_rows: bool = False) -> Tensor:
    """Inverted dropout from a generator of its own; the identity where that is None.

    The rate is rounded to a 256th: eight decisions from one random number take a twentieth of bernoulli's time.
    """
    kept = round((1 - rate) * 256)
    if generator is None or kept == 256:
        return x
    if kept == 0:
        return torch.zeros_like(x)
    rows, columns = len(x), 1 if whole_rows else x.shape[1]
    numbers = torch.empty(-(-rows * columns // 8), dtype=torch.int64)
    numbers.random_(-(2**63), None, generator=generator)
    keep = (numbers.view(torch.uint8)[: rows * columns] < kept).view(rows, columns)
    return x * (keep * (256 / kept))


class ItemTower(torch.nn.Module):
    """Two vectors of every item: one that is scored, one that users are summed from.

    With learned row r_i, text input t_i and nodes e linked to item i by relation k::

        q_i = r_i + W t_i + sum_k g_k sum_e A^k_ie (n_e + V t_e)
        scored  s_i = q_i / |q_i|
        summed  z_i = (b q_i + p_i) / sqrt(popularity_i)

    Parameters
    ----------
    n_items, embedding_size
        Shape of the tables.
    n_nodes
        Nodes that facts link items to.
    text_size, node_text_size
        Length of an item's and of a node's text vector; 0 where there are none.
    n_relations
        Number of gates.
    item_rows
        Whether items have learned rows r on the scored side.
    text_bias
        Whether an item's score has a bias, linear in its text.
    init
        Standard deviation of the learned rows at the start.
    generator
        Source of the initial values.
    """

    def __init__(
        self,
        n_items: int,
        embedding_size: int,
        n_nodes: int,
        text_size: int,
        node_text_size: int,
        n_relations: int,
        *,
        item_rows: bool,
        text_bias: bool,
        init: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()

        def table(rows: int, scale: float) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(rows, embedding_size, generator=generator) * scale)

        self.item_rows = table(n_items, init) if item_rows else None
        self.history_rows = table(n_items, init)
        self.history_scale = torch.nn.Parameter(torch.ones(()))
        self.text_weight = table(text_size, text_size**-0.5) if text_size else None
        self.text_bias = torch.nn.Parameter(torch.zeros(text_size)) if text_bias and text_size else None
        self.node_rows = table(n_nodes, init)
        self.node_text_weight = table(node_text_size, node_text_size**-0.5) if node_text_size else None
        self.gates = torch.nn.Parameter(torch.ones(n_relations))
        self.sum = WeightedSum()

    @property
    def tables(self) -> list[torch.nn.Parameter]:
        """The learned rows, of items and of nodes."""
        return [table for table in (self.item_rows, self.history_rows, self.node_rows) if table is not None]

    def node_vectors(self, rows: Tensor, node_text: Tensor | None) -> Tensor:
        """Vectors of nodes, float32 of shape (n, d), from their learned rows and texts."""
        if node_text is None or self.node_text_weight is None:
            return rows
        return rows + node_text @ self.node_text_weight

    def items(
        self,
        rows: Tensor | None,
        text: Tensor | None,
        senders: Tensor | None,
        adjacency: Adjacency | None,
    ) -> Tensor:
        """The inputs q summed up, shape (n_items, d), from whichever of them there are.

        Parameters
        ----------
        rows
            Learned rows, or None.
        text
            Text inputs, or None.
        senders, adjacency
            For each (relation, node) pair its gated vector, and items by pairs; None where there are no
            facts.
        """
        q: Tensor | None = rows
        if text is not None and self.text_weight is not None:
            projected = text @ self.text_weight
            q = projected if q is None else q + projected
        if adjacency is not None and senders is not None:
            received = self.sum(senders, adjacency)
            q = received if q is None else q + received
        if q is None:
            return torch.zeros_like(self.history_rows)
        return q

    def bias(self, text: Tensor | None) -> Tensor | None:
        """Bias of each item's score, shape (n_items,), or None."""
        return None if text is None or self.text_bias is None else text @ self.text_bias


def normalise(x: Tensor) -> Tensor:
    """Rows of length 1 (zero rows stay)."""
    return functional.normalize(x, dim=1)
