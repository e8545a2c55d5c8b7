"""A graph encoder while it is fitted: its network on its data, and the validation ranking."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from .fact_columns import FactColumns, Facts
from .item_tower import Adjacency, ItemTower, dropout, normalise, text_inputs
from .objective import Knowledge, Softmax, likes_loss
from .training import ndcg

if TYPE_CHECKING:
    from .config import GraphEncoderConfig

FloatArray = npt.NDArray[np.float32]

INITIAL_SCALE = 0.1
"""Standard deviation of learned rows at the start."""
VALIDATION_USERS = 3_000
"""Users that validation ranks for at most; drawn once."""
BATCH_SIZES = (512, 4096)
"""Least and most users of a step where their number decides: every step computes all items anew."""
BLOCK = 1024
"""Users ranked at a time."""

Vectors = tuple[Tensor, Tensor, Tensor | None]


class Run:
    """The network, its inputs and its optimiser.

    Parameters
    ----------
    config, likes, facts, item_text, node_text
        See `GraphEncoder.fit`.
    generator
        Source of the initial values, the order of users and dropout.
    """

    def __init__(
        self,
        config: "GraphEncoderConfig",
        likes: sparse.csr_matrix,
        facts: Facts,
        item_text: FloatArray | None,
        node_text: FloatArray | None,
        generator: torch.Generator,
    ) -> None:
        self.config = config
        self.likes = likes
        self.generator = generator
        self.users = np.flatnonzero(np.diff(likes.indptr))
        self.batch_size = config.batch_size or int(np.clip(len(self.users) // 16, *BATCH_SIZES))
        popularity = np.asarray(likes.sum(axis=0), dtype=np.float32).ravel()
        self.met = torch.from_numpy((popularity > 0).astype(np.float32))[:, None]
        # An item nobody has met would drown the rest of a history if its popularity counted as 1.
        self.usual_popularity = np.median(popularity[popularity > 0])
        popularity = np.where(popularity > 0, popularity, self.usual_popularity)
        self.popularity_weight = torch.from_numpy(1 / np.sqrt(popularity))[:, None]
        has_text = None if node_text is None else ~np.isnan(node_text[:, 0])
        self.columns = FactColumns.of(facts, config.min_items, has_text)
        self.nodes, column_node = np.unique(self.columns.node, return_inverse=True)
        self.column_node = torch.from_numpy(column_node)
        self.column_relation = torch.from_numpy(self.columns.relation)
        self.adjacency: Adjacency | None = None
        if len(self.nodes):
            self.adjacency = Adjacency.of(self.columns.adjacency(facts, likes.shape[1]))
        self.text, self.text_mean = _inputs(item_text)
        self.node_text, self.node_text_mean = _inputs(None if node_text is None else node_text[self.nodes])
        self.tower = ItemTower(
            likes.shape[1],
            config.embedding_size,
            len(self.nodes),
            0 if self.text is None else self.text.shape[1],
            0 if self.node_text is None else self.node_text.shape[1],
            len(facts),
            item_rows=config.item_rows,
            text_bias=config.text_bias,
            init=INITIAL_SCALE,
            generator=generator,
        )
        self.optimiser = torch.optim.AdamW(
            self.tower.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.softmax = Softmax(likes, met_only=not config.item_rows)
        self.knowledge = Knowledge(facts, config.temperature) if config.knowledge_weight and facts else None

    def _inputs(self, generator: torch.Generator | None) -> Tensor:
        """What the items' vectors are made of, q of `ItemTower`; with dropout if there is a generator."""
        config, tower = self.config, self.tower
        rows = None
        if tower.item_rows is not None:
            rows = dropout(tower.item_rows, config.row_dropout, generator, whole_rows=True)
        text = None if self.text is None else dropout(self.text, config.text_dropout, generator)
        senders = None
        if self.adjacency is not None:
            nodes = dropout(tower.node_vectors(self.node_text), config.node_dropout, generator)
            gates = tower.gates.index_select(0, self.column_relation)
            senders = nodes.index_select(0, self.column_node) * gates[:, None]
        return tower.items(rows, text, senders, self.adjacency)

    def _forward(self, generator: torch.Generator | None) -> Vectors:
        """Scored and summed vectors and the bias; with dropout if there is a generator."""
        tower, q = self.tower, self._inputs(generator)
        summed = (tower.history_scale * q + tower.history_rows * self.met) * self.popularity_weight
        return normalise(q), summed, tower.bias(self.text)

    @torch.no_grad()
    def vectors(self) -> Vectors:
        """Scored and summed vectors and the bias, without dropout."""
        return self._forward(None)

    def epoch(self) -> float:
        """One pass over the users; returns the mean loss of its steps."""
        order = self.users[torch.randperm(len(self.users), generator=self.generator).numpy()]
        losses = []
        for start in range(0, len(order), self.batch_size):
            losses.append(self._step(np.sort(order[start : start + self.batch_size])))
        return float(np.mean(losses))

    def _step(self, users: npt.NDArray[np.intp]) -> float:
        config = self.config
        scored, summed, bias = self._forward(self.generator)
        softmax = self.softmax.draw(bias, self.generator)
        loss = likes_loss(self.likes[users], scored, summed, bias, softmax, config.temperature)
        if self.knowledge is not None and len(self.knowledge.items):
            drawn = torch.randperm(len(self.knowledge.items), generator=self.generator)[: self.batch_size]
            items = torch.from_numpy(self.knowledge.items)[drawn]
            loss = loss + config.knowledge_weight * self.knowledge.loss(items, scored, summed, softmax)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.item()

    @torch.no_grad()
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What answers and new items need, as arrays."""
        tower = self.tower
        scored, summed, bias = self.vectors()
        norms = self._inputs(None).norm(dim=1)
        known = norms[:, None] > 0
        tensors = {
            "item_vectors": torch.where(known, scored, torch.nan),
            "item_norms": norms,
            "history_vectors": summed,
            "item_bias": bias,
            "text_weight": tower.text_weight,
            "node_vectors": tower.node_vectors(self.node_text),
            "node_text_weight": tower.node_text_weight,
            "gates": tower.gates,
            "history_scale": tower.history_scale,
        }
        state = {name: tensor.numpy().copy() for name, tensor in tensors.items() if tensor is not None}
        state |= {"nodes": self.nodes, **self.columns.arrays()}
        state["usual_popularity"] = np.array(self.usual_popularity, dtype=np.float32)
        if self.text is not None:
            state["text_mean"] = self.text_mean
        if self.node_text is not None:
            state["node_text_mean"] = self.node_text_mean
        return state


def _inputs(text: FloatArray | None) -> tuple[Tensor | None, FloatArray]:
    if text is None or np.isnan(text).any(axis=1).all():
        return None, np.empty(0, dtype=np.float32)
    mean = np.asarray(np.nanmean(text, axis=0, dtype=np.float64), dtype=np.float32)
    return torch.from_numpy(text_inputs(text, mean)), mean


class Ranking:
    """ndcg@20 on held-out likes, over the full ranking without the training items.

    Parameters
    ----------
    likes, validation
        CSR (n_users, n_items).
    candidates
        Items to rank; all if None.
    generator
        Draws the users where there are more than `VALIDATION_USERS`.
    """

    def __init__(
        self,
        likes: sparse.csr_matrix,
        validation: sparse.csr_matrix,
        candidates: npt.NDArray[np.integer[Any]] | None,
        generator: torch.Generator,
    ) -> None:
        self.candidates = np.arange(likes.shape[1]) if candidates is None else np.asarray(candidates)
        self.histories = likes
        self.seen = likes[:, self.candidates].tocsr()
        self.relevant = validation.tocsr()[:, self.candidates].tocsr()
        users = np.flatnonzero((np.diff(self.relevant.indptr) > 0) & (np.diff(likes.indptr) > 0))
        if len(users) > VALIDATION_USERS:
            drawn = torch.randperm(len(users), generator=generator)[:VALIDATION_USERS]
            users = np.sort(users[drawn.numpy()])
        self.users = users

    def ndcg(self, scored: Tensor, summed: Tensor, bias: Tensor | None, temperature: float) -> float:
        """Mean over the users with likes in training and in validation; NaN where a vector is not finite."""
        items = torch.from_numpy(self.candidates)
        if not (scored[items].isfinite().all() and summed.isfinite().all()):
            return float("nan")
        total = 0.0
        for start in range(0, len(self.users), BLOCK):
            users = self.users[start : start + BLOCK]
            vectors = normalise(torch.from_numpy(self.histories[users] @ summed.numpy()))
            scores = (vectors / temperature) @ scored[items].T
            if bias is not None:
                scores += bias[items]
            row, column = self.seen[users].nonzero()
            scores[torch.from_numpy(row), torch.from_numpy(column)] = -torch.inf
            total += ndcg(scores, self.relevant[users])
        return total / len(self.users)
