"""Reasons: what speaks for an item, gathered over all signals, in words, and measured by taking it away."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph import KnowledgeGraph

from .attribution import Float, Share
from .paths import FactPath
from .state import ModelState
from .wording import Wording

Kind = Literal["path", "history", "text", "popularity", "average"]
_PATHS = 3
"""Liked items that a fact's reason names by path."""


@dataclass(frozen=True)
class Reason:
    """One piece of evidence.

    Attributes
    ----------
    kind
        ``path``: a fact of the item, by all that it carries in all signals; ``history``: something liked, by the taste
        of others; ``text``: something liked, by what the item's description says; ``popularity``; ``average``: what the
        signals that know only facts give any item, which is taken off.
    evidence
        For ``path`` the path, for ``history`` and ``text`` the liked item's id, for ``popularity`` and ``average`` the
        item's own id.
    contribution
        What it adds to the score; over all reasons these sum to the score.
    text
        The reason in words.
    signals
        What each signal adds to the contribution, by name.
    measured
        What the score loses when the evidence is deleted: for a fact the item's link to it, for ``history`` and
        ``text`` the item from the history. None where it was not measured.
    paths
        For ``path`` the liked items that lead to it, the strongest first, three at most.
    """

    kind: Kind
    evidence: str | FactPath
    contribution: float
    text: str
    signals: dict[str, float] = field(default_factory=dict, repr=False)
    measured: float | None = None
    paths: tuple[FactPath, ...] = field(default=(), repr=False)


@dataclass(eq=False)
class Draft:
    """A reason in the making: where it comes from, by index.

    Attributes
    ----------
    kind
        See `Reason`; ``described`` is a text that people who liked something like, not one that is like another.
    place
        Position in the history, or -1.
    fact
        (relation, node) for a path.
    signals
        Contribution by signal.
    starts
        For a path what each history item adds, float64 of shape (history.nnz,).
    columns
        By signal, the columns of its split that are this fact.
    """

    kind: str
    place: int = -1
    fact: tuple[str, int] = ("", -1)
    signals: dict[str, float] = field(default_factory=dict)
    starts: Float | None = None
    columns: dict[str, list[int]] = field(default_factory=dict)

    @property
    def contribution(self) -> float:
        """What it adds to the score."""
        return sum(self.signals.values())

    def add(self, signal: str, value: float) -> None:
        """Add a signal's part."""
        self.signals[signal] = self.signals.get(signal, 0.0) + value


def drafts(kg: KnowledgeGraph, history: sparse.csr_matrix, item: int, found: Sequence[Share]) -> list[Draft]:
    """The reasons for an item's score; their contributions sum to it."""
    drafted: dict[Any, Draft] = {}
    for share in found:
        name = share.signal.name
        if not share.contribution:
            continue
        if not len(share.history):
            drafted.setdefault("popularity", Draft("popularity")).add(name, share.contribution)
            continue
        for column, (relation, node) in enumerate(zip(share.split.relation, share.split.node, strict=True)):
            cells = share.facts[:, column]
            if cells.any():
                _add_fact(drafted, kg, history, item, name, column, (relation, int(node)), cells)
        kind = {"likes": "history", "text": "text", "facts": "average"}[share.signal.speaks_of]
        # Not likeness to what was liked, but what those who liked it like to read.
        of_text = "described" if share.signal.name in ("gnn", "cold", "cold_gnn") else "text"
        if kind == "text":
            kind = of_text
        for place in range(history.nnz):
            for what, value in ((kind, share.rest[place]), (of_text, share.text[place])):
                if value:
                    at = -1 if what == "average" else place
                    drafted.setdefault((what, at), Draft(what, at)).add(name, float(value))
    return sorted(drafted.values(), key=lambda draft: -draft.contribution)


def _add_fact(
    drafted: dict[Any, Draft],
    kg: KnowledgeGraph,
    history: sparse.csr_matrix,
    item: int,
    signal: str,
    column: int,
    fact: tuple[str, int],
    cells: Float,
) -> None:
    relation, node = fact
    first = kg.n_users
    if first <= node < first + kg.n_items:
        # A fact between items is a feature of both ends, whichever of them it is told of.
        relation = relation.removesuffix("^-1")
        if node == first + item:
            linked = linked_items(kg, relation, item)
            near = [int(liked) for liked in history.indices if linked[liked]]
            node = first + near[0] if near else node
    draft = drafted.setdefault((relation, node), Draft("path", fact=(relation, node)))
    draft.add(signal, float(cells.sum()))
    draft.columns.setdefault(signal, []).append(column)
    draft.starts = cells.copy() if draft.starts is None else draft.starts + cells


def linked_items(kg: KnowledgeGraph, relation: str, item: int) -> npt.NDArray[np.bool_]:
    """Which items a relation links to an item, either way: boolean of shape (n_items,)."""
    first, last = kg.n_users, kg.n_users + kg.n_items
    linked = np.zeros(kg.n_items, dtype=bool)
    facts = kg.item_facts()
    for name in (relation, relation + "^-1"):
        if name in facts:
            nodes = facts[name].indices[slice(*facts[name].indptr[item : item + 2])]
            linked[nodes[(nodes >= first) & (nodes < last)] - first] = True
            heads = sparse.csc_matrix(facts[name][:, [first + item]]).indices
            linked[heads] = True
    return linked


def holders(kg: KnowledgeGraph, fact: tuple[str, int]) -> npt.NDArray[np.bool_]:
    """Which items have a fact; of a fact between items, both ends: boolean of shape (n_items,)."""
    relation, node = fact
    first = kg.n_users
    if first <= node < first + kg.n_items:
        linked = linked_items(kg, relation, node - first)
        linked[node - first] = True
        return linked
    matrix = kg.item_facts().get(relation)
    found = np.zeros(kg.n_items, dtype=bool)
    if matrix is not None:
        key = f"holders {relation}"
        if key not in kg._cache:
            kg._cache[key] = sparse.csc_matrix(matrix)
        by_node = kg._cache[key]
        found[by_node.indices[slice(*by_node.indptr[node : node + 2])]] = True
    return found


def written(
    state: ModelState,
    history: sparse.csr_matrix,
    item: int,
    draft: Draft,
    wording: Wording,
    measured: float | None,
) -> Reason:
    """A draft in words."""
    kg = state.kg
    ids = kg.items.vocabulary
    liked = int(history.indices[draft.place]) if draft.place >= 0 else item
    fond = draft.place < 0 or float(history.data[draft.place]) > 0
    # That something disliked is liked by those who like the item speaks against it, as it should.
    alike = (draft.contribution > 0) == fond
    paths: tuple[FactPath, ...] = ()
    evidence: str | FactPath = ids[liked]
    kind: Any = "text" if draft.kind == "described" else draft.kind
    if draft.kind == "path":
        paths, words = _paths(kg, history, item, draft, wording)
        evidence = (
            paths[0]
            if paths
            else FactPath(None, draft.fact[0], wording.id_of(draft.fact[1]), ids[item], words)
        )
        paths = tuple(path for path in paths if path.start is not None)
    elif draft.kind == "popularity":
        words = wording.popularity(item)
    elif draft.kind == "average":
        words = wording.phrases.say("average")
    elif draft.kind == "history":
        words = wording.history(liked, item, fond, alike)
    elif draft.kind == "text":
        words = wording.text(liked, item, fond, alike)
    else:
        words = wording.described(liked, item, fond, alike)
    return Reason(kind, evidence, draft.contribution, words, draft.signals, measured, paths)


def _paths(
    kg: KnowledgeGraph, history: sparse.csr_matrix, item: int, draft: Draft, wording: Wording
) -> tuple[tuple[FactPath, ...], str]:
    relation, node = draft.fact
    starts = draft.starts if draft.starts is not None else np.zeros(history.nnz)
    has = holders(kg, draft.fact)[history.indices] & (history.indices != item)
    order = [place for place in np.argsort(-starts, kind="stable") if has[place]]
    liked = [int(history.indices[place]) for place in order if history.data[place] > 0]
    disliked = [int(history.indices[place]) for place in order if history.data[place] < 0]
    between = kg.n_users <= node < kg.n_users + kg.n_items
    words = wording.fact(draft.fact, item, liked, disliked, draft.contribution > 0)
    entity = None if between else wording.id_of(node)
    ids = kg.items.vocabulary
    if not between and entity is None:
        return (), words
    near = (liked or disliked)[:_PATHS]
    if between:
        near = (
            [node - kg.n_users]
            if node - kg.n_users in near or node - kg.n_users in (liked + disliked)
            else []
        )
    return tuple(
        FactPath(ids[start], relation, entity, ids[item], wording.path(draft.fact, start, item))
        for start in near
    ), words


# -- measured deletion ---------------------------------------------------------------------------------


def losses(
    state: ModelState,
    history: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    item: int,
    found: Sequence[Share],
    tested: Sequence[Draft],
) -> list[float]:
    """What the score loses when each reason's evidence is deleted, all that was learned as it is.

    A fact is deleted from the item alone, and the item's other facts come to count for more; something liked is deleted
    from the history, and everything is scored again, standardised anew; what was seen stays seen. The one thing that
    somebody has liked is worth what it adds.
    """
    total = sum(share.contribution for share in found)
    by_name = {share.signal.name: share for share in found}
    result = [0.0] * len(tested)
    again: list[int] = []
    for index, draft in enumerate(tested):
        if draft.kind == "path":
            for name, columns in draft.columns.items():
                share = by_name[name]
                gone = np.zeros(len(share.split.node), dtype=bool)
                gone[columns] = True
                result[index] += share.scale * share.split.loss(gone)
        elif draft.place >= 0 and history.nnz > 1:
            again.append(index)
        else:
            result[index] = draft.contribution
    if again:
        places = [tested[index].place for index in again]
        left = without_each(history, places)
        kept = sparse.csr_matrix(sparse.vstack([seen] * len(places)))
        scores = np.nan_to_num(state.score(left, kept)[:, item])
        for index, score in zip(again, scores, strict=True):
            result[index] = total - float(score)
    return result


def without_each(history: sparse.csr_matrix, places: Iterable[int]) -> sparse.csr_matrix:
    """One row for each place of a history of one row: the history without it."""
    rows = []
    for place in places:
        keep = np.arange(history.nnz) != place
        rows.append(
            sparse.csr_matrix(
                (history.data[keep], history.indices[keep], [0, int(keep.sum())]), shape=history.shape
            )
        )
    return sparse.csr_matrix(sparse.vstack(rows), dtype=np.float32)
