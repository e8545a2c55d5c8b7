import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.encoders import GraphEncoder, GraphEncoderConfig
from kgenre.encoders.decomposition import with_facts
from kgenre.hybrid.data import FloatArray, SignalData

from .base import Moves, Signal, SignalConfig, silence
from .split import Split
from .vector_split import vector_split


class GNNConfig(SignalConfig):
    """Settings of `GNN`.

    Attributes
    ----------
    encoder
        The encoder's own settings.
    seeds
        How many models of different seeds are averaged; None takes three up to 300,000 likes and one above.
    first_seed
        The first of them; in a `HybridConfig` the recommender's seed unless it is given.
    epochs
        Train exactly this long instead of stopping on validation.
    """

    encoder: GraphEncoderConfig = GraphEncoderConfig()
    seeds: int | None = Field(None, ge=1, le=20)
    first_seed: int = Field(0, ge=0)
    epochs: int | None = Field(None, ge=1)

    def n_models(self, n_likes: int) -> int:
        """How many models are trained on so many likes."""
        return self.seeds or (3 if n_likes <= 300_000 else 1)


FEW_LIKES = 50
"""Likes per user below which the temperature is looked for: what suits dense data is too sharp for sparse ones."""
TEMPERATURES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
MANY_LIKES = 500_000
"""Likes beyond which a temperature is tried with a quarter of the work, and nothing is kept of the trial."""
_CLEAR = 1.02
"""How many times better a temperature has to be: models of other seeds differ by 1 %."""


class GNN(Signal):
    """Cosine of the graph encoder's user and item vectors over a temperature, averaged over models of several seeds.

    See `kgenre.encoders.GraphEncoder`; its user vector is a weighted sum over the history, so the score splits
    exactly into what each history item brings.
    """

    name = "gnn"
    judges_unseen = False
    learns = "weights"
    Config: ClassVar[type[SignalConfig]] = GNNConfig
    encoders: tuple[GraphEncoder, ...] = ()
    tried: GraphEncoder | None = None
    """The first of them, where the search for a temperature has trained it."""
    blind: npt.NDArray[np.bool_]

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nodes"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        epochs = self.config.epochs or self.config.encoder.epochs
        return self._fit(data, None, [epochs] * self.config.n_models(data.likes.nnz))

    def tune(self, data: SignalData, validation: sparse.csr_matrix) -> Self:  # noqa: D102
        if self.config.epochs is not None:
            return self.fit(data)
        return self._fit(data, validation, [None] * self.config.n_models(data.likes.nnz))

    def prepared(self, data: SignalData, validation: sparse.csr_matrix) -> Self:
        """With the temperature that suits the data, found with one model each, unless it was given."""
        given = self.config.epochs is not None or "temperature" in self.config.encoder.model_fields_set
        if given or data.likes.nnz >= FEW_LIKES * max(int((data.user_degree > 0).sum()), 1):
            return self
        usual, work = self.config.encoder.temperature, self.config.encoder.work
        short = data.likes.nnz > MANY_LIKES
        trial_config = self.config.encoder.model_copy(update={"work": work / 4 if short else work})
        best = start = self._trained(data, trial_config, validation)
        for values in (
            [value for value in TEMPERATURES if value > usual],
            [value for value in reversed(TEMPERATURES) if value < usual],
        ):
            for value in values:
                encoder = trial_config.model_copy(update={"temperature": value})
                trial = self._trained(data, encoder, validation)
                if (trial.validation_ndcg_ or 0.0) <= _CLEAR * (best.validation_ndcg_ or 0.0):
                    break
                best = trial
            if best is not start:
                break
        found = best.config.model_copy(update={"work": work})
        chosen = type(self)(self.config.model_copy(update={"encoder": found}))
        chosen.tried = None if short else best
        return chosen

    def refit(self, data: SignalData) -> Self:  # noqa: D102
        return type(self)(self.config)._fit(data, None, [encoder.best_epoch_ for encoder in self.encoders])

    def _fit(
        self,
        data: SignalData,
        validation: sparse.csr_matrix | None,
        epochs: list[int | None],
        candidates: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        first = () if self.tried is None or validation is None else (self.tried,)
        self.encoders = first + tuple(
            self._trained(data, self.config.encoder, validation, seed, epochs[seed], candidates)
            for seed in range(len(first), len(epochs))
        )
        self.tried = None
        self.blind = _unknown(data)
        return self

    def _trained(
        self,
        data: SignalData,
        config: GraphEncoderConfig,
        validation: sparse.csr_matrix | None,
        seed: int = 0,
        epochs: int | None = None,
        candidates: npt.NDArray[np.int64] | None = None,
    ) -> GraphEncoder:
        return GraphEncoder(config).fit(
            data.likes,
            data.facts,
            data.item_text,
            data.node_text,
            validation=validation,
            candidates=candidates,
            epochs=epochs,
            rng=self.config.first_seed + seed,
        )

    def extend(self, data: SignalData, moves: Moves) -> "Signal":
        """New items are encoded from text and facts; a change of an old item's facts waits for a refit."""
        moved = type(self)(self.config)
        moved.encoders = tuple(
            encoder.extended(
                moves.items, moves.nodes, data.facts, data.item_text, data.node_text, moves.n_items
            )
            for encoder in self.encoders
        )
        moved.blind = _unknown(data.as_learned)
        moved.blind |= np.isnan(moved.encoders[0].item_vectors).any(axis=1)
        return moved

    def reindexed(self, nodes: npt.NDArray[np.int64]) -> "Signal":  # noqa: D102
        moved = copy.copy(self)
        moved.encoders = tuple(encoder.reindexed(nodes) for encoder in self.encoders)
        return moved

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        scores = self.encoders[0].score(histories)
        for encoder in self.encoders[1:]:
            scores += encoder.score(histories)
        if len(self.encoders) > 1:
            scores /= np.float32(len(self.encoders))
        return silence(scores, self.blind, histories)

    def rows(self, history: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        parts = np.asarray(np.mean([encoder.rows(history) for encoder in self.encoders], axis=0), np.float32)
        parts[:, self.blind] = np.nan
        return parts

    def split(self, history: sparse.csr_matrix, item: int, data: SignalData) -> Split:
        """By the summands of the item's vector (learned row, text, each fact), given its length."""
        found = vector_split(self.encoders, history, item, data.facts, data.item_text)
        return found or super().split(history, item, data)

    def with_facts(self, before: SignalData, after: SignalData) -> Signal:
        """A forward pass over the changed facts with frozen weights."""
        moved = type(self)(self.config)
        moved.encoders = tuple(
            with_facts(encoder, before.facts, after.facts, before.as_learned.item_degree)
            for encoder in self.encoders
        )
        moved.blind = self.blind | _unknown(after.as_learned)
        return moved

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        found: dict[str, npt.NDArray[Any]] = {"blind": self.blind}
        for seed, encoder in enumerate(self.encoders):
            found |= {f"{seed}.{name}": array for name, array in encoder.arrays().items()}
        return found

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.blind = arrays["blind"].astype(bool)
        encoders = []
        seeds = {int(name.partition(".")[0]) for name in arrays if name != "blind"}
        for seed in sorted(seeds):
            own = {
                name.removeprefix(f"{seed}."): array
                for name, array in arrays.items()
                if name.startswith(f"{seed}.")
            }
            encoders.append(GraphEncoder.from_arrays(self.config.encoder, own))
        self.encoders = tuple(encoders)
        return self


def _unknown(data: SignalData) -> npt.NDArray[np.bool_]:
    known = data.item_degree > 0
    if data.item_text is not None:
        known |= ~np.isnan(data.item_text[:, 0])
    for matrix in data.facts.values():
        known |= np.diff(matrix.indptr) > 0
    return np.asarray(~known)
