"""What a fitted recommender knows, written back into a store: vectors of the items, and everybody's lists."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kgenre.graph import GraphStore
from kgenre.graph.columns import ITEM_ID, REASON, USER_ID
from kgenre.graph.errors import ConfigError
from kgenre.graph.progress import bar

from .data import FloatArray
from .fitting import encode_texts
from .holding import Holding
from .reasons import Reason
from .signals.gnn import GNN
from .signals.svd import ScaledSVD
from .state import ModelState

log = logging.getLogger(__name__)

_USERS_AT_ONCE = 50


class WriteBack(Holding):
    """What a `HybridRecommender` can write into a store."""

    def recommend_blocks(
        self, users: Sequence[str] | None = None, k: int = 10, *, candidates: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Top lists, a frame per block of users."""
        raise NotImplementedError

    def strongest_reason(self, user: str, item: str) -> Reason | None:
        """The strongest reason that speaks for an item."""
        raise NotImplementedError

    def write_vectors(self, store: GraphStore, *, property: str = "embedding") -> str:
        """Store the items' vectors, for nearest neighbours by `GraphStore.nearest` and in Cypher.

        They are the GNN's where it is in the fusion, else the SVD's, else those of the texts; neighbours by their
        cosine are items that the same people like. An item without one is left out.

        Parameters
        ----------
        store
            Where the graph is from; ids are those of its `schema`.
        property
            Where to put them; see `GraphStore.write_vectors`.

        Returns
        -------
        str
            The vector index's name.

        Raises
        ------
        ConfigError
            If the store's schema names other items, or no signal has vectors.
        UnknownIdError
            If an item is not in the store.
        """
        items = self.state.kg.items
        self._check_labels(store)
        return store.write_vectors(items.label, list(items.vocabulary), self._vectors(), property=property)

    def write_recommendations(
        self,
        store: GraphStore,
        k: int = 10,
        *,
        users: Sequence[str] | None = None,
        model: str = "kgenre",
        reasons: bool = True,
    ) -> int:
        """Store everybody's list as (user)-[:RECOMMENDED {rank, score, reason, model}]->(item).

        They take the place of the model's earlier ones all at once. A call that was interrupted, by a kill even, is
        completed by the next: the lists that it had staged are not made again, if the model is what it was.

        Parameters
        ----------
        store
            Where the graph is from; ids are those of its `schema`.
        k
            Length of a list.
        users
            Only theirs; the model's other lists go.
        model
            Name of the model: its earlier lists are replaced; see `GraphStore.write_recommendations`.
        reasons
            Whether to say the strongest reason of each; it takes some 20 milliseconds an item.

        Returns
        -------
        int
            How many relationships there are now.

        Raises
        ------
        ConfigError
            If the store's schema names other users or items, or `k` is below 1.
        UnknownIdError
            If a user or item is not in the store.
        """
        self._check_labels(store)
        wanted = list(self.state.kg.users.vocabulary) if users is None else [str(user) for user in users]
        version = _digest(fingerprint(self.state), json.dumps([k, wanted, reasons]))
        staged = store.staged_users(model, version)
        left = [user for user in wanted if user not in staged]
        if staged:
            log.info("the lists of %d users were staged before", len(wanted) - len(left))
        # Without users there is nothing to skip, but a refusal to come.
        blocks = self.recommend_blocks(left, k) if left or not staged else iter(())
        made = self._reasoned(blocks) if reasons else blocks
        return store.write_recommendations(made, model=model, version=version)

    def _reasoned(self, blocks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for block in blocks:
            # A few users at a time: reasons take longer than lists, and a kill should lose few.
            part = pd.factorize(block[USER_ID])[0] // _USERS_AT_ONCE
            for _, few in block.groupby(part, sort=False):
                yield self._with_reasons(few)

    def _with_reasons(self, block: pd.DataFrame) -> pd.DataFrame:
        pairs = list(zip(block[USER_ID], block[ITEM_ID], strict=True))
        texts: list[Any] = []
        for user, item in bar(pairs, desc="reasons", unit="pair"):
            best = self.strongest_reason(user, item)
            texts.append(None if best is None else best.text)
        return block.assign(**{REASON: pd.Series(texts, index=block.index, dtype=object)})

    def _check_labels(self, store: GraphStore) -> None:
        kg, schema = self.state.kg, store.schema
        if (kg.users.label, kg.items.label) != (schema.user_label, schema.item_label):
            raise ConfigError(
                f"the model's users and items are {kg.users.label} and {kg.items.label}, the store's schema has "
                f"{schema.user_label} and {schema.item_label}; set store.schema to the one of the fit"
            )

    def _vectors(self) -> FloatArray:
        signals = {signal.name: signal for signal in self.state.signals}
        gnn, svd = signals.get(GNN.name), signals.get(ScaledSVD.name)
        if isinstance(gnn, GNN):
            parts = [encoder.item_vectors for encoder in gnn.encoders]
            norms = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
            # Unit rows side by side: their cosine is the mean over the models of the several seeds.
            vectors = np.hstack(
                [part / np.maximum(norm, 1e-12) for part, norm in zip(parts, norms, strict=True)]
            )
            return np.where(gnn.blind[:, None], np.nan, vectors).astype(np.float32)
        if isinstance(svd, ScaledSVD):
            return np.where(svd.blind[:, None], np.nan, svd.outward).astype(np.float32)
        text, _ = encode_texts(self.state.kg, self.text_encoder)
        if text is None:
            raise ConfigError(
                "no signal has vectors of items, and no item has a text; fit with the signal svd or gnn"
            )
        return text


def fingerprint(state: ModelState) -> str:
    """A digest of all that lists and their reasons depend on: the same for a model that was saved and loaded."""
    kg = state.kg
    arrays: list[Any] = [state.weights, state.cold_weights, state.cold]
    for signal in state.signals:
        arrays += [array for _, array in sorted(signal.arrays().items())]
    for matrix in (state.histories, state.seen):
        arrays += [matrix.indptr, matrix.indices, matrix.data]
    for facts in kg.facts:
        arrays += [facts.head, facts.tail]
    words = [[list(t.vocabulary), t.names.to_pylist(), t.texts.to_pylist()] for t in kg.tables]
    drift = state.drift
    judging = [
        sorted(event for item, event in own.items() if drift.settled.get(user, {}).get(item) != event)
        for user, own in sorted(drift.events.items())
    ]
    described = json.dumps(
        [state.config.model_dump(mode="json"), list(state.names), kg.relations, words, judging]
    )
    shapes = (b"" if array is None else np.ascontiguousarray(array).view(np.uint8) for array in arrays)
    return _digest(described, *shapes)


def _digest(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
    return found.hexdigest()[:32]
