"""A graph encoder while it is fitted: its network on its data, and the validation ranking."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import embedding

from .fact_columns import FactColumns, Facts
from .item_tower import Adjacency, ItemTower, dropout, normalise, text_inputs
from .objective import SOFTMAX_SAMPLES, Knowledge, Softmax, likes_loss
from .training import ndcg

if TYPE_CHECKING:
    from .config import GraphEncoderConfig

FloatArray = npt.NDArray[np.float32]

INITIAL_SCALE = 0.1
"""Standard deviation of learned rows at the start."""
VALIDATION_USERS = 3_000
"""Users that validation ranks for at most; drawn once."""
VALIDATION_CELLS = 300_000_000
"""Users times items beyond which they are fewer."""
EPOCH_USERS = 65_536
"""Users of an epoch at most: of many, some are drawn, so that validation is asked often enough."""
KNOWLEDGE_ITEMS = 1024
"""Items of a step that are drawn to what their facts resemble, where the softmax is estimated from a sample."""
PARTIAL = 20_000
"""Items beyond which a step computes the vectors of those it needs, and not all anew."""
BATCH_SIZES = (512, 4096)
"""Least and most users of a step where their number decides: every step computes all items anew."""
PARTIAL_BATCH = 1024
"""The most where a step computes the items it needs: more steps learn more in the same time then."""
BLOCK = 1024
"""Users ranked at a time."""

Vectors = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class _Part:
    """Some items and what sends to them: what a step needs of the graph."""

    items: Tensor
    nodes: Tensor
    column_node: Tensor
    column_relation: Tensor
    adjacency: Adjacency | None


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
        self.partial = likes.shape[1] > PARTIAL
        most = PARTIAL_BATCH if self.partial else BATCH_SIZES[1]
        self.batch_size = config.batch_size or int(np.clip(len(self.users) // 16, BATCH_SIZES[0], most))
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
        self.links: sparse.csr_matrix | None = None
        self.adjacency: Adjacency | None = None
        if len(self.nodes):
            self.links = self.columns.adjacency(facts, likes.shape[1])
            self.adjacency = Adjacency.of(self.links)
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
        tables = self.tower.tables if self.partial else []
        others = [part for part in self.tower.parameters() if all(part is not table for table in tables)]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=config.learning_rate, weight_decay=config.weight_decay)
        ]
        if tables:
            # Rows that a step does not touch keep their moments: Adam over all would cost more than the step.
            self.optimisers.append(torch.optim.SparseAdam(tables, lr=config.learning_rate))
        self.softmax = Softmax(likes, met_only=not config.item_rows)
        self.knowledge = Knowledge(facts, config.temperature) if config.knowledge_weight and facts else None

    @property
    def work(self) -> float:
        """Multiply-adds of an epoch, about: what a step computes of items, their facts, texts and users, thrice."""
        n_users, (_, n_items) = min(len(self.users), EPOCH_USERS), self.likes.shape
        likes = self.likes.nnz / max(len(self.users), 1)
        shown = n_items if self.softmax.probability is None else SOFTMAX_SAMPLES
        users = min(self.batch_size, n_users)
        items = min(n_items, users * likes + shown + 2 * users) if self.partial else n_items
        text = 0 if self.text is None else self.text.shape[1]
        node_text = 0 if self.node_text is None else self.node_text.shape[1]
        links = 0 if self.links is None else self.links.nnz
        senders = len(self.nodes) * (node_text + 1) + len(self.columns.node)
        items_cost = items / n_items * (n_items * (text + 3) + links + senders)
        rows = users + (0 if self.knowledge is None else min(KNOWLEDGE_ITEMS, users))
        users_cost = rows * shown + users * likes
        steps = -(-n_users // users)
        size = self.config.embedding_size
        validation = min(VALIDATION_USERS, self.likes.shape[0]) * n_items + n_items * text + links
        return float(size * (3 * steps * (items_cost + users_cost) + validation))

    def _inputs(self, generator: torch.Generator | None, part: _Part | None = None) -> Tensor:
        """What the items' vectors are made of, q of `ItemTower`; with dropout if there is a generator."""
        config, tower = self.config, self.tower
        rows: Tensor | None = None
        if tower.item_rows is not None:
            rows = tower.item_rows if part is None else _rows(tower.item_rows, part.items)
            rows = dropout(rows, config.row_dropout, generator, whole_rows=True)
        text = None
        if self.text is not None:
            text = dropout(
                self.text if part is None else self.text[part.items], config.text_dropout, generator
            )
        senders, adjacency = None, self.adjacency if part is None else part.adjacency
        if adjacency is not None:
            column_node, column_relation = self.column_node, self.column_relation
            node_rows: Tensor = tower.node_rows
            node_text = self.node_text
            if part is not None:
                column_node, column_relation = part.column_node, part.column_relation
                node_rows = _rows(node_rows, part.nodes)
                node_text = None if node_text is None else node_text[part.nodes]
            nodes = dropout(tower.node_vectors(node_rows, node_text), config.node_dropout, generator)
            gates = tower.gates.index_select(0, column_relation)
            senders = nodes.index_select(0, column_node) * gates[:, None]
        return tower.items(rows, text, senders, adjacency)

    def _forward(self, generator: torch.Generator | None, part: _Part | None = None) -> Vectors:
        """Scored and summed vectors and the bias, of all items or some; with dropout if there is a generator."""
        tower, q = self.tower, self._inputs(generator, part)
        rows: Tensor = tower.history_rows
        met, weight, text = self.met, self.popularity_weight, self.text
        if part is not None:
            rows, met, weight = _rows(rows, part.items), met[part.items], weight[part.items]
            text = None if text is None else text[part.items]
        summed = (tower.history_scale * q + rows * met) * weight
        return normalise(q), summed, tower.bias(text)

    def _part(self, items: npt.NDArray[np.int64]) -> _Part:
        empty = torch.empty(0, dtype=torch.int64)
        if self.links is None:
            return _Part(torch.from_numpy(items), empty, empty, empty, None)
        links = self.links[items]
        columns, place = np.unique(links.indices, return_inverse=True)
        links = sparse.csr_matrix((links.data, place, links.indptr), shape=(len(items), len(columns)))
        nodes, column_node = np.unique(self.column_node.numpy()[columns], return_inverse=True)
        return _Part(
            torch.from_numpy(items),
            torch.from_numpy(nodes),
            torch.from_numpy(column_node),
            self.column_relation[columns],
            Adjacency.of(links) if len(columns) else None,
        )

    @torch.no_grad()
    def vectors(self) -> Vectors:
        """Scored and summed vectors and the bias, without dropout."""
        return self._forward(None)

    def epoch(self) -> float:
        """One pass over the users; returns the mean loss of its steps."""
        order = self.users[torch.randperm(len(self.users), generator=self.generator).numpy()][:EPOCH_USERS]
        step = self._partial_step if self.partial else self._step
        losses = []
        for start in range(0, len(order), self.batch_size):
            loss = step(self.likes[np.sort(order[start : start + self.batch_size])])
            for optimiser in self.optimisers:
                optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimiser in self.optimisers:
                optimiser.step()
            if self.partial and self.config.weight_decay:
                self._decay()
            losses.append(loss.item())
        return float(np.mean(losses))

    @torch.no_grad()
    def _decay(self) -> None:
        for table in self.tower.tables:
            table.mul_(1 - self.config.learning_rate * self.config.weight_decay)

    def _step(self, histories: sparse.csr_matrix) -> Tensor:
        """The loss of some users."""
        config = self.config
        scored, summed, bias = self._forward(self.generator)
        softmax = self.softmax.draw(self.generator)
        loss = likes_loss(histories, scored, summed, bias, softmax, config.temperature)
        drawn = self._knowledge_items()
        if self.knowledge is not None and len(drawn):
            items = torch.from_numpy(drawn)
            loss = loss + config.knowledge_weight * self.knowledge.loss(items, scored, summed, bias, softmax)
        return loss

    def _partial_step(self, histories: sparse.csr_matrix) -> Tensor:
        """What `_step` is expected to be, from the vectors of the items that are drawn and no others."""
        config = self.config
        drawn, correction = self.softmax.draw(self.generator)
        shown = np.arange(self.likes.shape[1]) if drawn is None else drawn.numpy()
        items = self._knowledge_items()
        others = items if self.knowledge is None else self.knowledge.neighbours(items, self.generator)
        needed = np.unique(np.concatenate((shown, histories.indices, items, others))).astype(np.int64)

        def place(some: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.searchsorted(needed, some))

        own = sparse.csr_matrix(
            (histories.data, place(histories.indices).numpy(), histories.indptr),
            shape=(histories.shape[0], len(needed)),
        )
        scored, summed, bias = self._forward(self.generator, self._part(needed))
        softmax = place(shown), correction
        loss = likes_loss(own, scored, summed, bias, softmax, config.temperature)
        if self.knowledge is not None and len(items):
            loss = loss + config.knowledge_weight * self.knowledge.loss_of_pairs(
                place(items), place(others), scored, summed, bias, softmax
            )
        return loss

    def _knowledge_items(self) -> npt.NDArray[np.intp]:
        """Items that a step draws to what their facts resemble."""
        if self.knowledge is None or not len(self.knowledge.items):
            return np.empty(0, dtype=np.intp)
        most = self.batch_size if self.softmax.probability is None else min(KNOWLEDGE_ITEMS, self.batch_size)
        drawn = torch.randperm(len(self.knowledge.items), generator=self.generator)[:most]
        return np.asarray(self.knowledge.items[drawn.numpy()])

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
            "node_vectors": tower.node_vectors(tower.node_rows, self.node_text),
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


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    """Some rows, whose gradient is sparse."""
    return embedding(rows, table, sparse=True)


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
        most = min(VALIDATION_USERS, max(VALIDATION_CELLS // max(len(self.candidates), 1), 1))
        if len(users) > most:
            drawn = torch.randperm(len(users), generator=generator)[:most]
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
