"""Items and users to vectors, from the graph around them."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from kgenre.graph.errors import ConfigError, DataError, ModelError, NotFittedError

from .config import GraphEncoderConfig
from .dots import dots
from .fact_columns import FactColumns
from .fitting import Ranking, Run
from .item_tower import text_inputs
from .training import train

FloatArray = npt.NDArray[np.float32]
Facts = Mapping[str, sparse.csr_matrix]


class GraphEncoder:
    """Message passing over typed relations, inductive on both sides.

    Messages go node -> item -> user. An item's input q is the sum of a learned row, its projected text, and
    per relation the gated, symmetrically normalised sum of its nodes' vectors (a learned row and a projected
    text again). Of q come two vectors: the one that is scored, ``s = q / |q|``, and the one that users are
    summed from, ``z = (b q + p) / sqrt(popularity)``, where the second learned row p keeps the two apart. A
    user is nothing but the items liked: ``u = sum z / |sum z|``, ``score = u s / temperature``. There is no
    user table (as in FISM, Kabbur et al. 2013): a new user needs no training, and a new item gets both vectors
    from its text and facts.

    Trained with the softmax over all items on everything a user liked, and with a loss that draws items to
    what their facts resemble.

    Parameters
    ----------
    config
        See `GraphEncoderConfig`.

    Attributes
    ----------
    item_vectors
        float32 of shape (n_items, d), length 1: the scored side. NaN where nothing is known of an item.
    history_vectors
        float32 of shape (n_items, d): the summed side.
    item_bias
        float32 of shape (n_items,), or None: a part of the score that is the same for all users.
    best_epoch_
        The epoch whose parameters were kept.
    validation_ndcg_
        Its ndcg@20 on validation, or None.
    """

    item_vectors: FloatArray
    history_vectors: FloatArray
    item_bias: FloatArray | None
    best_epoch_: int
    validation_ndcg_: float | None

    def __init__(self, config: GraphEncoderConfig | None = None) -> None:
        self.config = config or GraphEncoderConfig()
        self._state: dict[str, npt.NDArray[Any]] | None = None

    # -- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        likes: sparse.csr_matrix,
        facts: Facts,
        item_text: FloatArray | None = None,
        node_text: FloatArray | None = None,
        *,
        validation: sparse.csr_matrix | None = None,
        candidates: npt.NDArray[np.integer[Any]] | None = None,
        epochs: int | None = None,
        rng: int = 0,
    ) -> Self:
        """Learn from likes, facts and texts.

        Ctrl-C stops the training and keeps the best epoch so far, which a warning in the log names; a second
        one is raised.

        Parameters
        ----------
        likes
            float32 of ones, shape (n_users, n_items).
        facts
            Per relation float32 of shape (n_items, n_nodes), as `KnowledgeGraph.item_facts` returns.
        item_text
            float32 of shape (n_items, t), NaN rows where there is no text; or None.
        node_text
            The same for the node space, shape (n_nodes, t); or None.
        validation
            Likes held out, shape (n_users, n_items): training stops when ndcg@20 on them, among all items that
            a user has no like for in `likes`, no longer rises.
        candidates
            Items to rank in validation; all if None.
        epochs
            Train exactly so many epochs instead.
        rng
            Seed; the same seed on the same machine gives the same bits.

        Raises
        ------
        DataError
            If shapes do not fit, there is no like, or a value is infinite.
        ConfigError
            If both `validation` and `epochs` are given, or training diverges in its first epoch.
        """
        if validation is not None and epochs is not None:
            raise ConfigError(
                f"epochs={epochs} and a validation set; give one: validation chooses the epochs"
            )
        _check(likes, facts, item_text, node_text, validation)
        generator = torch.Generator().manual_seed(rng)
        likes = likes.tocsr().astype(np.float32)
        run = Run(self.config, likes, facts, item_text, node_text, generator)
        evaluate: Callable[[], float] | None = None
        if validation is not None:
            ranking = Ranking(likes, validation, candidates, generator)

            def evaluate() -> float:
                return ranking.ndcg(*run.vectors(), self.config.temperature)

        outcome = train(
            run.tower,
            run.epoch,
            evaluate,
            epochs=epochs or max(min(self.config.epochs, int(self.config.work / run.work)), 1),
            patience=self.config.patience,
        )
        self._state = run.state()
        figure = np.nan if outcome.validation is None else outcome.validation
        self._state["best_epoch"] = np.array(outcome.best_epoch, dtype=np.int64)
        self._state["validation_ndcg"] = np.array(figure, dtype=np.float64)
        return self._restore()

    def _restore(self) -> Self:
        state = self._fitted
        self.item_vectors = state["item_vectors"]
        self.history_vectors = state["history_vectors"]
        self.item_bias = state.get("item_bias")
        self.best_epoch_ = int(state["best_epoch"])
        self.validation_ndcg_ = (
            None if np.isnan(state["validation_ndcg"]) else float(state["validation_ndcg"])
        )
        return self

    @property
    def _fitted(self) -> dict[str, npt.NDArray[Any]]:
        if self._state is None:
            raise NotFittedError("this GraphEncoder has not been fitted; call fit first")
        return self._state

    # -- answers ----------------------------------------------------------------------------------

    def user_vectors(self, histories: sparse.csr_matrix) -> FloatArray:
        """Vectors of users from what they liked.

        Parameters
        ----------
        histories
            Weights of shape (b, n_items), below 0 for a dislike.

        Returns
        -------
        float32 of shape (b, d)
            Length 1; NaN for a user without history.
        """
        total = self._total(histories)
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(np.divide(total, norm, out=np.full_like(total, np.nan), where=norm > 0))

    def _total(self, histories: sparse.csr_matrix) -> FloatArray:
        n_items = len(self._fitted["item_vectors"])
        if histories.shape[1] != n_items:
            raise DataError(
                f"histories over {histories.shape[1]} items, but the encoder was fitted on {n_items}"
            )
        return np.asarray(histories.astype(np.float32, copy=False) @ self.history_vectors, dtype=np.float32)

    def score(self, histories: sparse.csr_matrix) -> FloatArray:
        """Scores of all items, float32 of shape (b, n_items); NaN where nothing is known of user or item."""
        scores = dots(self.user_vectors(histories) / np.float32(self.config.temperature), self.item_vectors)
        return np.asarray(scores if self.item_bias is None else scores + self.item_bias, dtype=np.float32)

    def rows(self, history: sparse.csr_matrix) -> FloatArray:
        """Each history item's part in every item's score.

        Parameters
        ----------
        history
            One user's weights, shape (1, n_items).

        Returns
        -------
        float32 of shape (history.nnz, n_items)
            Sums over axis 0 to ``score(history)[0]``; a bias is shared equally.
        """
        norm = np.linalg.norm(self._total(history))
        scale = history.data[:, None] / (norm * self.config.temperature) if norm > 0 else np.nan
        parts = (self.history_vectors[history.indices] * scale).astype(np.float32) @ self.item_vectors.T
        if self.item_bias is not None:
            parts += self.item_bias / max(history.nnz, 1)
        return np.asarray(parts, dtype=np.float32)

    def contributions(self, history: sparse.csr_matrix, item: int) -> FloatArray:
        """Each history item's part in one item's score, float32 of shape (history.nnz,)."""
        return self.rows(history)[:, item]

    def encode_items(
        self, facts: Facts, item_text: FloatArray | None = None, node_text: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Both vectors of items without learned rows: what a full forward pass gives with frozen weights.

        Parameters
        ----------
        facts
            Per relation of shape (m, n): the columns are the node space the encoder was fitted on, then any
            new nodes. Relations it does not know are ignored.
        item_text
            float32 of shape (m, t), NaN rows where there is no text; or None.
        node_text
            float32 of shape (n, t), of which the rows of nodes that no item was linked to before are used; or
            None.

        Returns
        -------
        item_vectors, history_vectors
            float32 of shape (m, d) each, to be appended to the tables of these names. In a history a new item
            weighs as much as one of median popularity.

        Raises
        ------
        DataError
            If shapes do not fit.
        """
        state = self._fitted
        sizes = {len(part) for part in (item_text,) if part is not None} | {
            m.shape[0] for m in facts.values()
        }
        if len(sizes) != 1:
            raise DataError(f"facts and texts of {sorted(sizes)} items; give those of the same items")
        (n_items,) = sizes
        q = np.zeros((n_items, self.item_vectors.shape[1]), dtype=np.float32)
        if item_text is not None and "text_weight" in state:
            q += _project(item_text, state["text_mean"], state["text_weight"])
        columns = FactColumns.from_arrays(state).extended(facts)
        if len(columns.node):
            senders = np.zeros((len(columns.node), q.shape[1]), dtype=np.float32)
            position = np.minimum(
                np.searchsorted(state["nodes"], columns.node), max(len(state["nodes"]) - 1, 0)
            )
            known = np.isin(columns.node, state["nodes"])
            senders[known] = state["node_vectors"][position[known]]
            if node_text is not None and "node_text_weight" in state:
                texts = node_text[columns.node[~known]]
                senders[~known] = _project(texts, state["node_text_mean"], state["node_text_weight"])
            q += columns.adjacency(facts, n_items) @ (senders * state["gates"][columns.relation][:, None])
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        scored = np.divide(q, norm, out=np.full_like(q, np.nan), where=norm > 0)
        return scored, np.asarray(q * state["history_scale"] / np.sqrt(state["usual_popularity"]), np.float32)

    def extended(
        self,
        items: npt.NDArray[np.int64],
        nodes: npt.NDArray[np.int64],
        facts: Facts,
        item_text: FloatArray | None = None,
        node_text: FloatArray | None = None,
        n_items: int | None = None,
    ) -> Self:
        """The same encoder over a changed catalogue, without training: what it learned stays, new items are encoded.

        Parameters
        ----------
        items, nodes
            Where each item, and each node of the node space, that it knows is now; -1 if it is gone.
        facts, item_text, node_text
            As in `fit`, of the present catalogue and node space.
        n_items
            Size of the present catalogue; by default what facts or texts say, which there may be none of.

        Raises
        ------
        DataError
            If shapes do not fit.
        """
        encoder = self.reindexed(nodes)
        state = dict(encoder._fitted)
        if n_items is None:
            sizes = {matrix.shape[0] for matrix in facts.values()}
            n_items = (
                sizes.pop() if sizes else len(item_text) if item_text is not None else int(items.max()) + 1
            )
        here = np.flatnonzero(items >= 0)
        new = np.setdiff1d(np.arange(n_items), items[here])
        tables: dict[str, npt.NDArray[Any]] = {}
        for name in ("item_vectors", "history_vectors"):
            tables[name] = np.full((n_items, self.item_vectors.shape[1]), np.nan, dtype=np.float32)
            tables[name][items[here]] = state[name][here]
        if len(new):
            own_facts = {name: sparse.csr_matrix(matrix[new]) for name, matrix in facts.items()}
            own_text = None if item_text is None else item_text[new]
            if own_facts or own_text is not None:
                scored, summed = encoder.encode_items(own_facts, own_text, node_text)
            else:
                summed = np.zeros((len(new), self.item_vectors.shape[1]), dtype=np.float32)
                scored = np.full_like(summed, np.nan)
            tables["item_vectors"][new], tables["history_vectors"][new] = scored, summed
        if "item_norms" in state:
            norms = np.zeros(n_items, dtype=np.float32)
            norms[items[here]] = state["item_norms"][here]
            if len(new):
                unscaled = np.sqrt(state["usual_popularity"]) / max(abs(float(state["history_scale"])), 1e-12)
                norms[new] = np.linalg.norm(summed, axis=1) * unscaled
            tables["item_norms"] = norms
        if "item_bias" in state:
            bias = np.zeros(n_items, dtype=np.float32)
            bias[items[here]] = state["item_bias"][here]
            tables["item_bias"] = bias
        encoder._state = state | tables
        return encoder._restore()

    def reindexed(self, nodes: npt.NDArray[np.int64]) -> Self:
        """The same encoder where node i of the node space is now ``nodes[i]`` (-1 if it is gone); items stay."""
        state = dict(self._fitted)
        place = nodes[state["nodes"]]
        kept = np.flatnonzero(place >= 0)
        kept = kept[np.argsort(place[kept], kind="stable")]
        state["nodes"], state["node_vectors"] = place[kept], state["node_vectors"][kept]
        state |= FactColumns.from_arrays(state).moved(nodes).arrays()
        encoder = type(self)(self.config)
        encoder._state = state
        return encoder._restore()

    # -- persistence ------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learned, by name; for safetensors."""
        return dict(self._fitted)

    @classmethod
    def from_arrays(cls, config: GraphEncoderConfig, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The encoder that `arrays` came from.

        Raises
        ------
        ModelError
            If an array is missing.
        """
        encoder = cls(config)
        encoder._state = dict(arrays)
        try:
            return encoder._restore()
        except KeyError as error:
            raise ModelError(f"the graph encoder's array {error} is missing; fit and save it again") from None


def _project(text: FloatArray, mean: FloatArray, weight: FloatArray) -> FloatArray:
    if text.shape[1] != len(mean):
        raise DataError(f"text vectors of length {text.shape[1]}, but the encoder was fitted on {len(mean)}")
    return np.asarray(text_inputs(text, mean) @ weight, dtype=np.float32)


def _check(
    likes: sparse.csr_matrix,
    facts: Facts,
    item_text: FloatArray | None,
    node_text: FloatArray | None,
    validation: sparse.csr_matrix | None,
) -> None:
    n_users, n_items = likes.shape
    if likes.nnz == 0:
        raise DataError(f"no likes among {n_users} users and {n_items} items; there is nothing to learn from")
    if validation is not None and validation.shape != likes.shape:
        raise DataError(
            f"validation of shape {validation.shape}, likes of shape {likes.shape}; give the same"
        )
    if validation is not None and validation.nnz == 0:
        raise DataError("the validation set is empty; give epochs instead")
    for name, matrix in facts.items():
        if matrix.shape[0] != n_items:
            raise DataError(
                f"facts of relation {name!r} are about {matrix.shape[0]} items, likes about {n_items}"
            )
        if not np.isfinite(matrix.data).all():
            raise DataError(f"a weight of relation {name!r} is NaN or infinite; give finite numbers")
    n_nodes = {matrix.shape[1] for matrix in facts.values()}
    if len(n_nodes) > 1:
        raise DataError(f"relations over node spaces of different sizes: {sorted(n_nodes)}")
    if item_text is not None and len(item_text) != n_items:
        raise DataError(f"{len(item_text)} rows of item_text for {n_items} items")
    if node_text is not None and n_nodes and len(node_text) != max(n_nodes):
        raise DataError(f"{len(node_text)} rows of node_text for {max(n_nodes)} nodes")
    for kind, text in (("item_text", item_text), ("node_text", node_text)):
        if text is not None and np.isinf(text).any():
            raise DataError(f"{kind} holds infinite values; rows without text are NaN")
