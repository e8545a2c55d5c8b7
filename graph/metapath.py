"""Random walks along a metapath that is written as text."""

import re
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from .columns import ID, INTERACTED, ITEM_ID, NAME, SCORE, USER_ID
from .errors import ConfigError, UnknownIdError, did_you_mean
from .knowledge_graph import Facts, KnowledgeGraph
from .paths import DISLIKED, LIKED

_ANY = "*"
_LABEL = "label"
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"`(?P<quoted>(?:[^`]|``)+)`|(?P<plain>\*|[^\s`<>*-]+)")
_INTERACTIONS = (LIKED, DISLIKED, INTERACTED)
_FEW = 4
"""A row entry that is picked takes as long as so many in a product with the whole matrix."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Step:
    """One edge: its relation, whether it is walked forwards, backwards or both ways, and the label it leads to."""

    relation: str
    forwards: bool
    backwards: bool
    label: str
    position: int


def metapath(
    kg: KnowledgeGraph, expression: str, *, user: str | None = None, item: str | None = None
) -> pd.DataFrame:
    """Where random walks along a metapath end.

    ``User-LIKED->Item-DIRECTED_BY->*<-DIRECTED_BY-Item`` goes from a user to the items they liked, to whoever directed
    these, and to all items of these directors. An edge is ``-RELATION->``, ``<-RELATION-``, or ``-RELATION-`` for both
    directions; ``*`` is any label, or any relation between nodes other than interactions. LIKED, DISLIKED and
    INTERACTED lead from users to items. A name that holds more than letters, digits, dots and the like stands in
    backticks, a backtick in it doubled.

    At each node the walk takes one of the edges that fit, by their weight (facts of weight 0 or less are not walked),
    so that a hub passes little on to each of its many neighbours. A score is the probability that the walk ends
    there, and all of them sum to at most 1. Only rows of nodes that the walk reaches are read.

    Parameters
    ----------
    kg
        The graph.
    expression
        The metapath.
    user, item
        Id of the node to start from; exactly one, of the label that the metapath begins with.

    Returns
    -------
    pandas.DataFrame
        The nodes reached, most probable first: ``item_id`` (``user_id``, or ``id`` of another label; and ``label``
        where the metapath ends in ``*``), ``name`` and ``score``.

    Raises
    ------
    ConfigError
        If the expression is malformed (with the position), or does not begin with the start's label.
    UnknownIdError
        If a label, relation or start is not there; the message offers the nearest.
    """
    first, steps = _parse(kg, expression)
    if (user is None) == (item is None):
        raise ConfigError("give either user or item: the node that the walks start from")
    table = kg.users if user is not None else kg.items
    if first not in (table.label, _ANY):
        raise ConfigError(
            f"the metapath begins with {first}, but the walk with a {table.label}; begin with {table.label}"
        )
    node = kg.slice(table.label).start + table.vocabulary.get(str(user if user is not None else item))
    here = np.zeros(kg.n_nodes)
    here[node] = 1.0
    label = table.label
    for step in steps:
        here = _walk(here, *_transitions(kg, step, label))
        label = step.label
    return _frame(kg, here, label)


def _walk(here: FloatArray, transitions: sparse.csr_matrix, turned: sparse.csr_matrix) -> FloatArray:
    """The probabilities after a step: the rows of the nodes reached are picked, or all are taken where that is less."""
    reached = np.flatnonzero(here)
    starts, stops = transitions.indptr[reached], transitions.indptr[reached + 1]
    if _FEW * int((stops - starts).sum()) > transitions.nnz:
        product: FloatArray = turned @ here
        return product
    parts = [slice(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    nodes = np.concatenate((*(transitions.indices[part] for part in parts), transitions.indices[:0]))
    passed = np.concatenate((*(transitions.data[part] for part in parts), transitions.data[:0]))
    passed = passed * np.repeat(here[reached], stops - starts)
    return np.bincount(nodes, passed, len(here)).astype(np.float64, copy=False)


def _frame(kg: KnowledgeGraph, here: FloatArray, label: str) -> pd.DataFrame:
    reached = np.flatnonzero(here)
    nodes = reached[np.argsort(-here[reached], kind="stable")]
    ids, names = _shown(kg)
    key = {kg.users.label: USER_ID, kg.items.label: ITEM_ID}.get(label, ID)
    columns: dict[str, Any] = {}
    if label == _ANY:
        columns[_LABEL] = np.array(kg.labels, dtype=object)[
            np.searchsorted(kg.offsets, nodes, side="right") - 1
        ]
    return pd.DataFrame({**columns, key: ids[nodes], NAME: names[nodes], SCORE: here[nodes]})


def _shown(kg: KnowledgeGraph) -> tuple[Any, Any]:
    """Ids and names of all nodes, as pandas keeps strings."""
    if "metapath" not in kg._cache:
        ids = np.concatenate([table.vocabulary.ids for table in kg.tables])
        names = [name for table in kg.tables for name in table.names.to_pylist()]
        kg._cache["metapath"] = pd.array(ids, dtype="str"), pd.array(names, dtype="str")
    found: tuple[Any, Any] = kg._cache["metapath"]
    return found


def _transitions(kg: KnowledgeGraph, step: _Step, source: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """The step's transition probabilities, CSR of shape (n_nodes, n_nodes), and transposed; kept with the graph."""
    key = f"metapath {source}\0{step.relation}\0{step.forwards}{step.backwards}\0{step.label}"
    if key not in kg._cache:
        heads, tails, weights = _edges(kg, step.relation)
        ends = []
        if step.forwards:
            ends.append((heads, tails, weights))
        if step.backwards:
            ends.append((tails, heads, weights))
        row, column, data = (np.concatenate(parts) for parts in zip(*ends, strict=True))
        keep = data > 0
        for nodes, label in ((row, source), (column, step.label)):
            if label != _ANY:
                place = kg.slice(label)
                keep &= (nodes >= place.start) & (nodes < place.stop)
        if not keep.any():
            raise ConfigError(_dead_end(kg, step, source))
        matrix = sparse.csr_matrix(
            (data[keep].astype(np.float64), (row[keep], column[keep])), shape=(kg.n_nodes, kg.n_nodes)
        )
        total = np.asarray(matrix.sum(axis=1)).ravel()
        matrix.data /= np.repeat(total, np.diff(matrix.indptr))
        kg._cache[key] = matrix, sparse.csr_matrix(matrix.T)
    found: tuple[sparse.csr_matrix, sparse.csr_matrix] = kg._cache[key]
    return found


def _edges(kg: KnowledgeGraph, relation: str) -> tuple[Any, Any, Any]:
    if relation == _ANY:
        parts = [_fact_edges(facts) for facts in kg.facts]
        heads, tails, weights = zip(*parts, strict=True) if parts else ((), (), ())
        empty = np.empty(0, dtype=np.int32)
        return (
            np.concatenate((empty, *heads)),
            np.concatenate((empty, *tails)),
            np.concatenate((empty.astype(np.float32), *weights)),
        )
    if relation in kg.relations:
        return _fact_edges(kg.relation(relation))
    matrix = {LIKED: kg.likes, DISLIKED: kg.dislikes, INTERACTED: kg.seen}[relation]
    edges = sparse.coo_matrix(matrix)
    return edges.row, edges.col + kg.n_users, np.ones(edges.nnz, dtype=np.float32)


def _fact_edges(facts: Facts) -> tuple[Any, Any, Any]:
    weight = np.ones(len(facts), dtype=np.float32) if facts.weight is None else facts.weight
    return facts.head, facts.tail, weight


def _dead_end(kg: KnowledgeGraph, step: _Step, source: str) -> str:
    arrow = {(True, False): "-{}->", (False, True): "<-{}-"}.get((step.forwards, step.backwards), "-{}-")
    written = f"{source}{arrow.format(step.relation)}{step.label}"
    heads, tails, _ = _edges(kg, step.relation)
    labels = [
        sorted({kg.labels[i] for i in np.unique(np.searchsorted(kg.offsets, nodes, side="right") - 1)})
        for nodes in (heads, tails)
    ]
    start, end = (", ".join(names) or "nothing" for names in labels)
    return f"no edge fits {written} (position {step.position}); {step.relation} leads from {start} to {end}"


def _parse(kg: KnowledgeGraph, expression: str) -> tuple[str, list[_Step]]:
    reader = _Reader(expression)
    first = reader.name(kg.labels, _LABEL)
    steps = []
    while not reader.at_end():
        backwards = reader.take("<-")
        if not backwards:
            reader.expect("-", "an edge such as -LIKED-> or <-DIRECTED_BY-")
        position = reader.position
        relation = reader.name((*kg.relations, *_INTERACTIONS), "relation")
        forwards = not backwards and reader.take("->")
        if not forwards:
            reader.expect("-", "- or ->" if not backwards else "-")
        label = reader.name(kg.labels, _LABEL)
        both = not forwards and not backwards
        steps.append(_Step(relation, forwards or both, backwards or both, label, position))
    if not steps:
        reader.expect("-", "an edge such as -LIKED->")
    return first, steps


class _Reader:
    """Reads an expression from left to right; positions count from 1."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._at = 0
        self._skip()

    @property
    def position(self) -> int:
        return self._at + 1

    def at_end(self) -> bool:
        return self._at >= len(self.expression)

    def take(self, mark: str) -> bool:
        found = self.expression.startswith(mark, self._at)
        if found:
            self._at += len(mark)
            self._skip()
        return found

    def expect(self, mark: str, what: str) -> None:
        if not self.take(mark):
            self._fail(what)

    def name(self, known: tuple[str, ...], kind: str) -> str:
        match = _WORD.match(self.expression, self._at)
        if match is None:
            self._fail(f"a {kind} or {_ANY}")
        name = match["plain"] or match["quoted"].replace("``", "`")
        if name not in known and (name != _ANY or match["plain"] is None):
            raise UnknownIdError(
                f"unknown {kind} {name[:80]!r} at position {self.position} of the metapath{did_you_mean(name, known)}"
            )
        self._at = match.end()
        self._skip()
        return name

    def _skip(self) -> None:
        space = _SPACE.match(self.expression, self._at)
        self._at = space.end() if space else self._at

    def _fail(self, what: str) -> NoReturn:
        found = repr(self.expression[self._at : self._at + 20]) if not self.at_end() else "the end"
        raise ConfigError(f"position {self.position} of the metapath: expected {what}, found {found}")
