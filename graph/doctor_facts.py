"""Checks of relations and their facts."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .columns import INTERACTED
from .doctor_finding import Finding, few, quoted, shown
from .knowledge_graph import Facts, KnowledgeGraph

_SAME = 0.9
_MIN_SAME = 5
_HUB = 0.5
_NEAR_EMPTY = 0.01
_LEAK = 0.8
_MIN_FACTS = 10
_MIN_LIKES = 5
_MAX_HEADS = 500
_BLOCK = 1024


def check_relations(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Relations that say what another says, relations with hardly a fact, and hubs."""
    yield from _inverses(kg)
    least = max(2.0, _NEAR_EMPTY * kg.n_items)
    rare = [facts for facts in kg.facts if len(facts) < least]
    if rare:
        yield Finding(
            "near_empty_relations",
            "info",
            f"Relations with fewer facts than a hundredth of the items: {len(rare)} of {len(kg.facts)}.",
            min(len(facts) for facts in rare),
            len(rare),
            few(f"{quoted(facts.relation)} {len(facts):,} facts" for facts in rare),
            "See whether the export is complete, or whether they are a misspelling of another relation.",
        )
    yield from _hubs(kg)


def _inverses(kg: KnowledgeGraph) -> Iterator[Finding]:
    exact: list[str] = []
    near: list[tuple[float, str]] = []
    # A few facts may well be the same by chance.
    known = sorted((facts for facts in kg.facts if len(facts) >= _MIN_SAME), key=len)
    keys = [(_keys(kg, facts.head, facts.tail), _keys(kg, facts.tail, facts.head)) for facts in known]
    for i, one in enumerate(known):
        for j in range(i + 1, len(known)):
            if len(one) < _SAME * len(known[j]):
                break
            for k, what in enumerate(("the same as", "the inverse of")):
                both = len(np.intersect1d(keys[i][0], keys[j][k], assume_unique=True))
                share = both / (len(one) + len(known[j]) - both)
                if share >= _SAME:
                    text = f"{quoted(known[j].relation)} is {what} {quoted(one.relation)}"
                    if share < 1:
                        near.append((share, f"{text} but for {1 - share:.1%}"))
                    elif np.array_equal(_weights(one, keys[i][0]), _weights(known[j], keys[j][k])):
                        exact.append(text)
                    else:
                        near.append((share, f"{text} but for the weights"))
                    break
    if exact:
        yield Finding(
            "inverse_relations",
            "info",
            f"Relations that repeat another, forwards or backwards: {len(exact)}; kgenre counts them once.",
            1.0,
            len(exact),
            few(exact),
            "Nothing needs doing; without them the graph is smaller.",
        )
    if near:
        near.sort(reverse=True)
        yield Finding(
            "inverse_relations",
            "warning",
            f"Relations that repeat another, forwards or backwards, but not quite: {len(near)}; most of their facts "
            "count twice.",
            near[0][0],
            len(near),
            few(text for _, text in near),
            "Keep one of the two, with the facts of both.",
        )


def _weights(facts: Facts, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights in the order of the keys."""
    weights = np.ones(len(facts), dtype=np.float32) if facts.weight is None else facts.weight
    return weights[np.argsort(keys)]


def _keys(
    kg: KnowledgeGraph, head: npt.NDArray[np.int32], tail: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    return head.astype(np.int64) * kg.n_nodes + tail


def _hubs(kg: KnowledgeGraph) -> Iterator[Finding]:
    found: list[tuple[float, str]] = []
    for relation, facts in kg.item_facts().items():
        degree = np.bincount(facts.indices, minlength=kg.n_nodes)
        for node in np.flatnonzero(degree > max(_MIN_FACTS, _HUB * kg.n_items)):
            share = degree[node] / kg.n_items
            found.append((share, f"{quoted(relation)} {shown(kg, node)}: {share:.0%} of the items"))
    if found:
        found.sort(reverse=True)
        yield Finding(
            "hubs",
            "info",
            f"Nodes that more than half of the items are linked to: {len(found)}; sharing them says little.",
            found[0][0],
            len(found),
            few(text for _, text in found),
            "Nothing needs doing, since rarer nodes weigh more; in a path of your own, leave them out.",
        )


def check_clashes(kg: KnowledgeGraph) -> Iterator[Finding]:
    """A name that is both a label and a relation's, or that differs from another of its kind only by case or space."""
    taken = {*kg.labels, INTERACTED}
    clashes = [
        f"relation {quoted(name)} and "
        + ("a label" if name in kg.labels else "the relationship type of interactions")
        for name in kg.relations
        if name in taken
    ]
    for kind, names in (("labels", kg.labels), ("relations", kg.relations)):
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault("".join(name.casefold().split()), []).append(name)
        clashes += [
            f"{kind} {' and '.join(map(quoted, group))}" for group in groups.values() if len(group) > 1
        ]
    if clashes:
        yield Finding(
            "name_clashes",
            "warning",
            f"Names that stand for more than one label or relation, or nearly so: {len(clashes)}.",
            len(clashes),
            len(clashes),
            few(clashes),
            "Rename one of each: a store has one name space for labels and relationship types, and puts #relation or "
            "#label behind a name that is taken.",
        )


def check_leaks(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Facts that can be derived from the interactions."""
    if not kg.n_interactions:
        return
    found: dict[str, tuple[float, int, str]] = {}
    for facts in kg.facts:
        leak = _liked_pairs(kg, facts) or _liked_together(kg, facts)
        if leak is not None:
            found[facts.relation] = (leak[0], len(facts), leak[1])
    for name, matrix in kg.item_facts().items():
        relation = name.removesuffix("^-1")
        if relation not in found:
            leak = _audiences(kg, matrix) or _popularity(kg, matrix)
            if leak is not None:
                found[relation] = (leak[0], matrix.nnz, leak[1])
    if found:
        yield Finding(
            "leaking_facts",
            "error",
            f"Relations that can be derived from the interactions: {len(found)}; they may tell what a test set hides.",
            max(share for share, _, _ in found.values()),
            sum(count for _, count, _ in found.values()),
            few(f"{quoted(relation)}: {text}" for relation, (_, _, text) in found.items()),
            "Leave them out of the facts, or make them from the training interactions alone.",
        )


def _liked_pairs(kg: KnowledgeGraph, facts: Facts) -> tuple[float, str] | None:
    """A relation between users and items that holds the interactions again."""
    user, item = np.minimum(facts.head, facts.tail), np.maximum(facts.head, facts.tail) - kg.n_users
    between = (user < kg.n_users) & (item >= 0) & (item < kg.n_items)
    if between.sum() < _MIN_FACTS:
        return None
    known = kg.interactions.user.astype(np.int64) * kg.n_items + kg.interactions.item
    pairs = np.unique(user[between].astype(np.int64) * kg.n_items + item[between])
    share = float(np.isin(pairs, known).mean())
    # A wish list may share some pairs with what was bought.
    if share < max(0.5, 2 * kg.n_interactions / (kg.n_users * kg.n_items)):
        return None
    return share, f"{share:.0%} of its facts between users and items are interactions"


def _liked_together(kg: KnowledgeGraph, facts: Facts) -> tuple[float, str] | None:
    """A relation between items that names those liked by the same users."""
    head, tail = facts.head - kg.n_users, facts.tail - kg.n_users
    popularity = np.bincount(kg.likes.indices, minlength=kg.n_items)
    keep = (head >= 0) & (head < kg.n_items) & (tail >= 0) & (tail < kg.n_items) & (head != tail)
    head, tail = head[keep], tail[keep]
    keep = popularity[head] >= _MIN_LIKES
    head, tail = head[keep], tail[keep]
    heads = np.unique(head)
    if len(heads) < _MIN_FACTS or len(head) > kg.n_items * kg.n_items / 10:
        return None
    heads = heads[:: max(1, len(heads) // _MAX_HEADS)]
    likes = kg.likes.tocsc()
    together = (likes[:, heads].T @ likes).toarray()
    together[np.arange(len(heads)), heads] = -1
    best = 0.0
    for scores in (together, together / np.sqrt(np.maximum(popularity, 1))):
        hits = total = 0
        named = 0.0
        for row, item in enumerate(heads):
            tails = tail[head == item]
            # Ties count as hits: whoever derived the facts may have broken them another way.
            least = max(np.partition(scores[row], -len(tails))[-len(tails)], 1e-9)
            hits += int((scores[row, tails] >= least).sum())
            total += len(tails)
            named += float((scores[row] >= least).mean())
        if named < len(heads) / 4:
            best = max(best, hits / total)
    if best < _LEAK:
        return None
    return best, f"{best:.0%} of its facts lead to the items most often liked together"


def _audiences(kg: KnowledgeGraph, facts: sparse.csr_matrix) -> tuple[float, str] | None:
    """A relation whose nodes are users in disguise: linked to just what one user likes."""
    others = facts.copy()
    others.data = np.ones(others.nnz, dtype=np.float32)
    size = np.bincount(others.indices, minlength=kg.n_nodes)
    nodes = np.flatnonzero(size >= _MIN_LIKES)
    if len(nodes) < _MIN_FACTS:
        return None
    columns = others[:, nodes].T.tocsr()
    best = np.zeros(len(nodes))
    users = kg.likes.T.tocsc()
    active = np.diff(users.indptr)
    for start in range(0, kg.n_users, _BLOCK):
        both = (columns @ users[:, start : start + _BLOCK]).tocoo()
        jaccard = both.data / (size[nodes][both.row] + active[start : start + _BLOCK][both.col] - both.data)
        np.maximum.at(best, both.row, jaccard)
    share = float((best >= _LEAK).mean())
    if share < 0.5:
        return None
    return share, f"{share:.0%} of its nodes are linked to just the items that one user likes"


def _popularity(kg: KnowledgeGraph, facts: sparse.csr_matrix) -> tuple[float, str] | None:
    """A relation with one node an item that tells how popular the item is."""
    single = np.flatnonzero(np.diff(facts.indptr) == 1)
    group = np.unique(facts[single].indices, return_inverse=True)[1]
    n, n_groups = len(single), int(group.max(initial=-1)) + 1
    if n < 2 * _MIN_FACTS or not 2 <= n_groups <= n / 5 or n < 0.5 * (np.diff(facts.indptr) > 0).sum():
        return None
    popularity = np.log1p(np.bincount(kg.likes.indices, minlength=kg.n_items)[single])
    mean = np.bincount(group, popularity) / np.bincount(group)
    total = float(((popularity - popularity.mean()) ** 2).sum())
    if total == 0:
        return None
    explained = 1 - float(((popularity - mean[group]) ** 2).sum()) / (n - n_groups) * (n - 1) / total
    if explained < _LEAK:
        return None
    return explained, f"its nodes tell how often an item is liked ({explained:.0%} of the variance)"
