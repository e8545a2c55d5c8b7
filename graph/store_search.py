"""The half of a `GraphStore` that a recommender writes back to, and that indexes answer from."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import pandas as pd

from . import store_back, store_index
from .bolt import Bolt
from .embedded import EmbeddedServer
from .relation_names import label_of
from .schema import GraphSchema
from .store_catalogue import labels_in


class StoreSearch:
    """Indexes, full text search and nearest neighbours; vectors and recommendations written back."""

    schema: GraphSchema
    _bolt: Bolt
    _server: EmbeddedServer | None

    # -- indexes and search ----------------------------------------------------------------------

    def create_index(
        self,
        kind: str,
        label: str,
        property: str | Sequence[str],
        *,
        dimensions: int | None = None,
        similarity: str = "cosine",
    ) -> str:
        """Make an index over a property of a label's nodes, unless there is one.

        Parameters
        ----------
        kind
            ``unique`` (a constraint), ``fulltext`` or ``vector``.
        label, property
            What is indexed; several properties for a full text index, or for a unique one over all together.
        dimensions, similarity
            Of a vector index: its vectors' length, and ``cosine`` or ``euclidean``.

        Returns
        -------
        str
            The index's name, for Cypher's ``db.index.fulltext.queryNodes`` and ``db.index.vector.queryNodes``:
            ``Label[property]`` where it is made here.

        Raises
        ------
        ConfigError
            For an unknown kind or similarity, or a vector index of another length that is there.
        UnknownIdError
            For an unknown label.
        CypherError
            If the values are not unique.
        """
        (stored,) = self._stored_names([label])
        properties = [property] if isinstance(property, str) else list(property)
        return store_index.create_index(
            self._bolt, self._server, kind, stored, properties, dimensions, similarity
        )

    def search(self, text: str, label: str | None = None, k: int = 10) -> pd.DataFrame:
        """Find nodes by the words of a text, any of them, best first.

        Parameters
        ----------
        text
            Words; signs have no meaning.
        label
            Whose full text index to ask; None takes the items'.
        k
            At most so many.

        Returns
        -------
        pandas.DataFrame
            rank, id, name, score (BM25).

        Raises
        ------
        ConfigError
            If the label has no full text index; the message says how to make one.
        """
        label = label or self.schema.item_label
        (stored,) = self._stored_names([label])
        return store_index.search(self._bolt, self.schema, text, label, stored, k)

    def nearest(
        self, label: str, vector: npt.ArrayLike, k: int = 10, *, property: str | None = None
    ) -> pd.DataFrame:
        """The nodes whose vectors are nearest to one, by the engine's approximate index.

        Parameters
        ----------
        label
            Whose vector index to ask.
        vector
            As long as those that were written.
        k
            At most so many.
        property
            Which vectors, where the label has several indexes.

        Returns
        -------
        pandas.DataFrame
            rank, id, name, score: (1 + cosine) / 2, or 1 / (1 + squared distance) for a euclidean index.

        Raises
        ------
        ConfigError
            If there is no such index.
        DataError
            If the vector is zero or not finite.
        """
        (stored,) = self._stored_names([label])
        return store_index.nearest(self._bolt, self.schema, label, stored, vector, k, property)

    # -- writing back ----------------------------------------------------------------------------

    def write_vectors(
        self,
        label: str,
        ids: Sequence[str],
        vectors: npt.ArrayLike,
        *,
        property: str = "embedding",
        similarity: str = "cosine",
    ) -> str:
        """Store vectors as a property of nodes, with a vector index over it.

        Written in batches and idempotent: an interrupted call is completed by the next, which leaves the vectors alone
        that are there. Where the property has
        an index of another length or similarity that was made here, it and its vectors are replaced.

        Parameters
        ----------
        label, ids
            Whose vectors they are, by the id of `schema`.
        vectors
            Shape (n, d); a row of NaN or zeros is left out.
        property
            Where to put them.
        similarity
            ``cosine`` or ``euclidean``.

        Returns
        -------
        str
            The index's name.

        Raises
        ------
        UnknownIdError
            For an id that is not there; nothing is written then.
        DataError
            If ids and vectors do not go together.
        ConfigError
            If somebody else's index over the property has another length or similarity.
        """
        (stored,) = self._stored_names([label])
        return store_back.write_vectors(
            self._bolt, self._server, self.schema, label, stored, ids, vectors, property, similarity
        )

    def write_recommendations(self, lists: Any, *, model: str = "kgenre", version: str | None = None) -> int:
        """Store ranked lists as (user)-[:RECOMMENDED {rank, score, reason, model}]->(item).

        They take the place of all earlier ones of the model in one transaction, so that the store holds the old ones
        or the new, never a part of either. They are staged in batches before; a call after a kill goes on where
        that stopped.

        Parameters
        ----------
        lists
            A frame of user_id, item_id, rank, score[, reason], or an iterable of such frames.
        model
            Name of the model; other models' recommendations stay.
        version
            What the lists depend on, where that has a name: lists staged of the same version before a kill are taken
            as they are and need not be given again (`staged_users`). The rows of a user then stand together.

        Returns
        -------
        int
            How many there are now.

        Raises
        ------
        UnknownIdError
            For a user or item that is not there; the earlier recommendations stand.
        DataError
            If a column is missing, or a score not finite.
        """
        users, items = self._stored_names([self.schema.user_label, self.schema.item_label])
        return store_back.write_recommendations(
            self._bolt, self.schema, (users, items), lists, model, version
        )

    def staged_users(self, model: str, version: str) -> set[str]:
        """The users whose lists of a version an interrupted `write_recommendations` has staged."""
        (users,) = self._stored_names([self.schema.user_label])
        return store_back.staged_users(self._bolt, self.schema, users, model, version)

    def remove_recommendations(self, model: str = "kgenre") -> int:
        """Remove a model's recommendations; returns how many are gone."""
        return store_back.remove_recommendations(self._bolt, model)

    def _stored_names(self, labels: Sequence[str]) -> list[str]:
        stored = {label_of(name): name for name in labels_in(self._bolt)}
        return [stored.get(label, label) for label in labels]
