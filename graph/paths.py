"""Typed walks from a user to an item, each with what it contributes to the multi-hop score."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from .columns import ITEM_ID, RELATION
from .errors import ConfigError
from .features import FactFeatures, fact_features
from .knowledge_graph import KnowledgeGraph

HOPS = "hops"
CONTRIBUTION = "contribution"
PATH = "path"
LIKED = "LIKED"
DISLIKED = "DISLIKED"
"""What the edges of likes and dislikes are called in a path."""

_WORDS = pd.Index([ITEM_ID, RELATION, "via_label", "via_id", "via_name", PATH])

FloatArray = npt.NDArray[np.float64]
_History = tuple[npt.NDArray[np.int32], FloatArray]
"""Items that a user has an opinion on, and 1 or -1 for each."""


def paths(
    kg: KnowledgeGraph,
    user: str,
    item: str,
    max_hops: int = 3,
    *,
    alpha: float = 1.0,
    beta: float = 0.6,
    fact_share: float = 0.2,
    limit: int | None = None,
) -> pd.DataFrame:
    """All typed walks from a user to an item, with what each contributes to the multi-hop score.

    A walk goes from the user to an item they liked (or disliked: it then counts against), from there to a user who
    liked it and on to the item, or through a fact's entity; or by a fact straight to the item. The arithmetic is that
    of the signal ``multihop`` with all neighbours kept: P3alpha (Cooper et al. 2014) with the end discounted as in
    RP3beta (Paudel et al. 2017), facts drawn evenly from an item's and a node's edges, both kinds scaled to one unit.
    So the contributions sum to that signal's score. A node of many edges is never expanded, only the rows of the
    user's own items are.

    Parameters
    ----------
    kg
        The graph.
    user, item
        Their ids.
    max_hops
        Longest walk, 2 or 3 edges. A walk of 2 edges is a like and a fact between two items.
    alpha, beta, fact_share
        Settings of the signal; the defaults are its defaults.
    limit
        Keep only so many of the walks that contribute most.

    Returns
    -------
    pandas.DataFrame
        A row a walk, those that contribute most first: ``contribution``; ``hops``; ``item_id`` of the item that the
        walk starts from; ``relation`` walked from there (``LIKED``, or a fact's with ``^-1`` behind it where it is
        walked backwards); ``via_label``, ``via_id`` and ``via_name`` of the node between (missing in a walk of 2
        edges); ``path`` in words.

    Raises
    ------
    UnknownIdError
        If there is no such user or item.
    ConfigError
        If a setting is out of range.
    """
    if max_hops not in (2, 3):
        raise ConfigError(
            f"max_hops={max_hops}, but the walks of the multi-hop score have 2 or 3 edges; give one of these, or "
            "write a longer walk as a metapath"
        )
    if alpha <= 0 or beta < 0 or not 0 <= fact_share <= 1 or (limit is not None and limit < 1):
        raise ConfigError(
            f"alpha={alpha}, beta={beta}, fact_share={fact_share}, limit={limit}: alpha and limit must be above 0, "
            "beta at least 0, fact_share in [0, 1]"
        )
    row = kg.users.vocabulary.get(user)
    target = kg.items.vocabulary.get(item)
    history = _history(kg, row)
    walks = [_fact_walks(kg, history, target, fact_share)]
    if max_hops == 3:
        walks.append(_user_walks(kg, history, target, alpha, beta, 1 - fact_share))
    found = _Walks(*(np.concatenate(parts) for parts in zip(*(w.columns() for w in walks), strict=True)))
    reached = found.via < 0 if max_hops == 2 else found.contribution != 0
    found = found.take(np.flatnonzero(reached))
    weight = -np.abs(found.contribution)
    if limit is not None and limit < len(weight):
        # Sorting all of what may be 100,000 walks would take longer than finding them.
        found = found.take(np.flatnonzero(weight <= np.partition(weight, limit - 1)[limit - 1]))
        weight = -np.abs(found.contribution)
    order = np.argsort(weight, kind="stable")
    return _frame(kg, row, target, found.take(order[:limit]), history)


@dataclass(frozen=True)
class _Walks:
    """Walks by column: first item, relation (-1: liked by), node between (-1: none), contribution."""

    start: npt.NDArray[np.int64]
    relation: npt.NDArray[np.int64]
    via: npt.NDArray[np.int64]
    contribution: FloatArray

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.start, self.relation, self.via, self.contribution

    def take(self, rows: npt.NDArray[np.int64]) -> "_Walks":
        return _Walks(*(column[rows] for column in self.columns()))


@dataclass(frozen=True)
class _Model:
    """What all walks over a graph share: edges by their ends, degrees, and the scale of each kind of walk."""

    likers: sparse.csr_matrix
    item_degree: FloatArray
    user_degree: FloatArray
    features: FactFeatures
    feature_degree: FloatArray
    fact_scale: float


def _model(kg: KnowledgeGraph) -> _Model:
    if "paths" not in kg._cache:
        likes = kg.likes
        features = fact_features(kg.item_facts(), kg.n_users, kg.n_items, kg.n_nodes)
        columns = np.bincount(features.matrix.indices, minlength=features.matrix.shape[1]).astype(np.float64)
        rows = np.diff(features.matrix.indptr).astype(np.float64)
        model = _Model(
            likers=sparse.csr_matrix(likes.T),
            item_degree=np.bincount(likes.indices, minlength=kg.n_items).astype(np.float64),
            user_degree=np.diff(likes.indptr).astype(np.float64),
            features=features,
            feature_degree=columns,
            fact_scale=0.0,
        )
        # A feature is shared by two items at least: every row that has one leads elsewhere.
        scale = _scale(
            features.matrix, _power(rows, 1.0), _power(columns, 1.0), np.ones(kg.n_items), rows > 0
        )
        kg._cache["paths"] = replace(model, fact_scale=scale)
    found: _Model = kg._cache["paths"]
    return found


def _user_scale(kg: KnowledgeGraph, alpha: float, beta: float) -> float:
    key = f"paths {alpha} {beta}"
    if key not in kg._cache:
        model = _model(kg)
        alone = model.user_degree < 2
        leads = np.asarray(model.likers @ (~alone).astype(np.float64)).ravel() > 0
        kg._cache[key] = _scale(
            model.likers,
            _power(model.item_degree, alpha),
            _power(model.user_degree, alpha),
            np.maximum(model.item_degree, 1.0) ** -beta,
            leads,
        )
    return float(kg._cache[key])


def _power(degree: FloatArray, alpha: float) -> FloatArray:
    return np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0) ** alpha


def _scale(
    edges: sparse.csr_matrix,
    first: FloatArray,
    second: FloatArray,
    end: FloatArray,
    leads: npt.NDArray[np.bool_],
) -> float:
    """Factor that makes the walks item - node - other item sum to 1 a starting item on average.

    The walks' sum without the product of both steps: over the nodes, (all starts) x (all ends), less the returns.
    """
    binary = sparse.csr_matrix((np.ones(edges.nnz), edges.indices, edges.indptr), shape=edges.shape)
    starts, ends, returns = (
        np.asarray(m @ v).ravel() for m, v in ((binary.T, first), (binary.T, end), (binary, second))
    )
    total = float(np.sum(second * starts * ends)) - float(np.sum(first * end * returns))
    return int(leads.sum()) / total if total > 0 else 1.0


def _history(kg: KnowledgeGraph, user: int) -> _History:
    """The user's likes as 1, dislikes as -1."""
    inter = kg.interactions
    # In their own type: else all of them would be converted first.
    mine = slice(*np.searchsorted(inter.user, np.array([user, user + 1], dtype=inter.user.dtype)))
    opinion = np.sign(inter.weight[mine]).astype(np.float64)
    return inter.item[mine][opinion != 0], opinion[opinion != 0]


def _fact_walks(kg: KnowledgeGraph, history: _History, target: int, share: float) -> _Walks:
    model = _model(kg)
    matrix = model.features.matrix
    wanted = np.zeros(matrix.shape[1], dtype=bool)
    wanted[matrix.indices[matrix.indptr[target] : matrix.indptr[target + 1]]] = True
    start, feature, value = _reach(matrix, history, target, wanted)
    fan_out = np.diff(matrix.indptr)[start]
    contribution = share * model.fact_scale * value / fan_out / model.feature_degree[feature]
    via = model.features.node[feature].astype(np.int64)
    relation = model.features.relation[feature].astype(np.int64)
    # A fact between two items is a feature of both ends: one walk by two features.
    direct = (via == kg.n_users + start) | (via == kg.n_users + target)
    pairs, place = np.unique(np.stack((start[direct], relation[direct])), axis=1, return_inverse=True)
    summed = np.bincount(place.ravel(), contribution[direct], pairs.shape[1])
    none = np.full(pairs.shape[1], -1)
    return _Walks(
        np.concatenate((start[~direct], pairs[0])),
        np.concatenate((relation[~direct], pairs[1])),
        np.concatenate((via[~direct], none)),
        np.concatenate((contribution[~direct], summed)),
    )


def _user_walks(
    kg: KnowledgeGraph, history: _History, target: int, alpha: float, beta: float, share: float
) -> _Walks:
    model = _model(kg)
    wanted = np.zeros(kg.n_users, dtype=bool)
    wanted[model.likers.indices[model.likers.indptr[target] : model.likers.indptr[target + 1]]] = True
    start, user, value = _reach(model.likers, history, target, wanted)
    step = _power(model.item_degree[start], alpha) * _power(model.user_degree[user], alpha)
    end = max(model.item_degree[target], 1.0) ** -beta
    contribution = share * _user_scale(kg, alpha, beta) * value * step * end
    return _Walks(start, np.full(len(start), -1), user, contribution)


def _reach(
    edges: sparse.csr_matrix, history: _History, target: int, wanted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    """The edges from the history's items, less the target, to wanted nodes: item, node, the item's weight."""
    kept = history[0] != target
    items, values = history[0][kept], history[1][kept]
    starts, stops = edges.indptr[items], edges.indptr[items + 1]
    rows = [edges.indices[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    nodes = np.concatenate((*rows, edges.indices[:0]))
    hit = np.flatnonzero(wanted[nodes])
    place = np.searchsorted(np.cumsum(stops - starts), hit, side="right")
    return items[place].astype(np.int64), nodes[hit].astype(np.int64), values[place]


def _frame(kg: KnowledgeGraph, user: int, target: int, walks: _Walks, history: _History) -> pd.DataFrame:
    opinions = dict(zip(history[0].tolist(), history[1].tolist(), strict=True))
    relations = _model(kg).features.relations
    nodes = {int(node): kg.locate(int(node)) for node in np.unique(walks.via) if node >= 0}
    here, there = kg.users.name(user), kg.items.name(target)
    rows: list[tuple[Any, ...]] = []
    for start, relation, via in zip(
        walks.start.tolist(), walks.relation.tolist(), walks.via.tolist(), strict=True
    ):
        edge = DISLIKED if opinions[start] < 0 else LIKED
        head, item = f"{here} -{edge}-> {kg.items.name(start)}", kg.items.vocabulary[start]
        name = LIKED if relation < 0 else relations[relation]
        base = name.removesuffix("^-1")
        if via < 0:
            rows.append((2, item, name, None, None, None, f"{head} -{base}- {there}"))
            continue
        table, place = nodes[via]
        forth, back = f"-{base}->", f"<-{base}-"
        if table is kg.items:
            forth = back = f"-{base}-"
        elif relation < 0 or name != base:
            forth, back = back, forth
        path = f"{head} {forth} {table.name(place)} {back} {there}"
        rows.append((3, item, name, table.label, table.vocabulary[place], table.names[place].as_py(), path))
    # In one block of objects: one frame's missing names are like another's, and pandas makes it in a third of the time.
    cells = np.empty((len(rows), len(_WORDS)), dtype=object)
    if rows:
        cells[:] = [row[1:] for row in rows]
    frame = pd.DataFrame(cells, columns=_WORDS, dtype=object, copy=False)
    frame.insert(0, HOPS, np.array([row[0] for row in rows], dtype=np.int64))
    frame.insert(0, CONTRIBUTION, walks.contribution)
    return frame
