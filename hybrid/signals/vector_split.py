"""The split of a score that is the cosine of a graph encoder's vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.encoders import GraphEncoder
from kgenre.encoders.decomposition import ItemParts, fact_vector, item_parts
from kgenre.encoders.fact_columns import FactColumns

from .split import Bool, Float, Split


@dataclass(frozen=True, eq=False)
class VectorSplit(Split):
    """See `Split`; averaged over the encoders of several seeds.

    Attributes
    ----------
    users
        For each encoder the user's vector over the temperature, float64 of shape (d,).
    parts
        For each encoder the item's vector, taken apart.
    encoders
        The encoders.
    """

    users: tuple[Float, ...] = field(default=())
    parts: tuple[ItemParts, ...] = field(default=())
    encoders: tuple[GraphEncoder, ...] = field(default=())

    def loss(self, gone: Bool) -> float:  # noqa: D102
        return float(
            np.mean(
                [
                    user @ (part.scored() - part.scored(gone))
                    for user, part in zip(self.users, self.parts, strict=True)
                ]
            )
        )

    def gain(self, relation: str, node: int) -> float:  # noqa: D102
        gains = []
        for user, part, encoder in zip(self.users, self.parts, self.encoders, strict=True):
            columns = FactColumns.from_arrays(encoder.arrays())
            if relation not in columns.relations:
                return 0.0
            vector = fact_vector(encoder.arrays(), columns, columns.relations.index(relation), node)
            if vector is None:
                return 0.0
            gains.append(user @ (part.scored(extra=(relation, vector)) - part.scored()))
        return float(np.mean(gains))


def vector_split(
    encoders: Sequence[GraphEncoder],
    history: sparse.csr_matrix,
    item: int,
    facts: Mapping[str, sparse.csr_matrix],
    item_text: npt.NDArray[np.float32] | None,
) -> VectorSplit | None:
    """Split the mean of some encoders' scores; None where an encoder cannot be taken apart."""
    parts, users, by_fact, by_text = [], [], [], []
    for encoder in encoders:
        found = item_parts(encoder, item, facts, item_text)
        if found is None:
            return None
        summands = encoder.history_vectors[history.indices].astype(np.float64) * history.data[:, None]
        total = summands.sum(axis=0)
        norm = float(np.linalg.norm(total)) * encoder.config.temperature
        if not norm or not found.norm:
            return None
        summands /= norm
        parts.append(found)
        users.append(total / norm)
        by_fact.append(summands @ found.by_fact().T / found.norm)
        text = summands @ found.text / found.norm
        if encoder.item_bias is not None:
            text = text + float(encoder.item_bias[item]) / max(history.nnz, 1)
        by_text.append(text)
    # Encoders that learned from the same facts know the same ones.
    if not parts or any(part.relation != parts[0].relation for part in parts):
        return None
    return VectorSplit(
        "given the length of the item's vector",
        parts[0].relation,
        parts[0].node,
        np.mean(by_fact, axis=0),
        np.mean(by_text, axis=0),
        users=tuple(users),
        parts=tuple(parts),
        encoders=tuple(encoders),
    )
