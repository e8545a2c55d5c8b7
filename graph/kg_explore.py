"""Exploring a snapshot."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import ID, INTERACTED, NAME, TEXT, WEIGHT
from .errors import UnknownIdError, did_you_mean
from .explore import LIMIT, Exploration, explore, picture_of, sampled, shares
from .knowledge_graph import KnowledgeGraph, NodeTable
from .picture import GraphPicture, PictureEdge, PictureNode

_Group = tuple[str, bool, npt.NDArray[np.int64], npt.NDArray[np.float32] | None]
_NAMES_SEARCHED = 50_000
"""Nearest names are offered among so many at most."""


def explore_graph(kg: KnowledgeGraph, start: str | tuple[str, str], limit: int = LIMIT) -> Exploration:
    """Draw a node of a snapshot and what it is linked to.

    Parameters
    ----------
    kg
        The graph.
    start
        A node's id or name in any label, or (label, id).
    limit
        Relationships of one node that are drawn: rare relations whole, of the others a sample (the same every
        time); a notice says so.

    Raises
    ------
    UnknownIdError
        If there is no such node; the message offers the nearest.
    ConfigError
        If `limit` is below 1.
    """
    return explore(_Snapshot(kg), start, limit)


class _Snapshot:
    def __init__(self, kg: KnowledgeGraph) -> None:
        self.kg = kg

    def find(self, start: str | tuple[str, str]) -> list[PictureNode]:
        kg = self.kg
        if isinstance(start, tuple):
            label, key = start
            return [self._node(kg.slice(label).start + kg.table(label).vocabulary.get(str(key)))]
        found = [
            int(offset) + table.vocabulary.get(start)
            for table, offset in zip(kg.tables, kg.offsets, strict=False)
            if start in table.vocabulary
        ]
        if not found:
            for table, offset in zip(kg.tables, kg.offsets, strict=False):
                names = np.asarray(table.names.to_numpy(zero_copy_only=False), dtype=object)
                found += [int(offset) + int(row) for row in np.flatnonzero(names == start)]
        if not found:
            known = [name for table in kg.tables for name in table.names.to_pylist() if name]
            close = did_you_mean(start, known) if len(known) <= _NAMES_SEARCHED else ""
            raise UnknownIdError(f"no node has the id or name {start[:80]!r}{close}")
        return [self._node(node) for node in found]

    def around(self, node: PictureNode, limit: int) -> GraphPicture:
        groups = self._groups(int(node.key))
        nodes, edges, notices = [node], [], []
        takes = shares([len(others) for _, _, others, _ in groups], limit)
        for (relation, forth, others, weights), take in zip(groups, takes, strict=True):
            rows = np.arange(len(others))
            if take < len(others):
                rows = np.sort(np.random.default_rng(0).choice(len(others), take, replace=False))
                notices.append(sampled(node.name, relation, take, len(others)))
            for row in rows.tolist():
                other = self._node(int(others[row]))
                head, tail = (node, other) if forth else (other, node)
                known = {} if weights is None else {WEIGHT: float(weights[row])}
                nodes.append(other)
                edges.append(PictureEdge(head.key, tail.key, relation, known))
        return picture_of(nodes, edges, notices)

    def _groups(self, node: int) -> list[_Group]:
        """A node's neighbours by relation and direction: relation, whether it is the head, nodes, weights."""
        kg = self.kg
        inter = kg.interactions
        found: list[_Group] = []
        ends: list[tuple[str, Any, Any, Any]] = [
            (INTERACTED, inter.user, inter.item.astype(np.int64) + kg.n_users, inter.weight)
        ]
        ends += [
            (facts.relation, facts.head, facts.tail.astype(np.int64), facts.weight) for facts in kg.facts
        ]
        for relation, head, tail, weight in ends:
            for forth, mine, other in ((True, head, tail), (False, tail, head)):
                rows = np.flatnonzero(mine == node)
                if len(rows):
                    found.append(
                        (
                            relation,
                            forth,
                            other[rows].astype(np.int64),
                            None if weight is None else weight[rows],
                        )
                    )
        return found

    def _node(self, node: int) -> PictureNode:
        table, row = self.kg.locate(node)
        return PictureNode(str(node), table.label, table.vocabulary[row], table.name(row), _known(table, row))


def _known(table: NodeTable, row: int) -> dict[str, object]:
    values = {TEXT: table.texts[row].as_py()}
    values |= {key: table.properties.column(key)[row].as_py() for key in table.properties.column_names}
    return {key: value for key, value in values.items() if value is not None and key not in (ID, NAME)}
