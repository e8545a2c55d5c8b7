"""Lists that obey rules: filters and boosts on the scores, then a greedy choice, one list at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError

from .beyond import entity_shares
from .data import FloatArray
from .metrics import top_k
from .rule_choice import Calibration, Choice
from .rule_items import Chosen, entity_links
from .rules import Boost, Bury, Calibrate, Cap, Diversity, Exclude, Explore, LessPopular, Only
from .signals.base import dense
from .signals.features import centred, unit, unit_rows

if TYPE_CHECKING:
    from kgenre.graph import GraphStore

POOL = 200
"""Best items that a greedy choice looks at, or ten times the list where that is more."""


@dataclass(frozen=True, eq=False)
class Effect:
    """What a rule did to one list.

    Attributes
    ----------
    rule
        In words.
    text
        What it did.
    came, left
        Items that are listed because of it, and items that are not.
    """

    rule: str
    text: str
    came: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


@dataclass(frozen=True)
class Deed:
    """What a rule did to one item.

    Attributes
    ----------
    rule
        In words.
    adds
        What it adds to the score that the list is made by.
    barred
        Whether it keeps the item out of every list.
    before, after
        The item's place in the list without and with the rule, those before it applied; None where it is not listed.
    """

    rule: str
    adds: float
    barred: bool
    before: int | None
    after: int | None


class Ruler:
    """Rules made ready for a graph; a list obeys them all.

    Parameters
    ----------
    rules
        See `kgenre.hybrid.rules`.
    kg
        The graph.
    store
        Answers rules in Cypher.
    item_text
        Gives the items' text vectors where a rule asks for them.

    Raises
    ------
    UnknownIdError, ConfigError
        For a rule that names what is not there.
    """

    def __init__(
        self,
        rules: Sequence[Any],
        kg: KnowledgeGraph,
        store: "GraphStore | None" = None,
        item_text: Callable[[], FloatArray | None] = lambda: None,
    ) -> None:
        self.rules = tuple(rules)
        self._popularity = np.bincount(kg.likes.indices, minlength=kg.n_items).astype(np.float64)
        self._ready: list[Any] = [self._made(rule, kg, store, item_text) for rule in self.rules]

    def _made(
        self,
        rule: Any,
        kg: KnowledgeGraph,
        store: "GraphStore | None",
        item_text: Callable[[], FloatArray | None],
    ) -> Any:
        if isinstance(rule, Only | Exclude | Boost | Bury):
            return Chosen(rule, kg, store)
        if isinstance(rule, Cap):
            return entity_links(kg, rule.relation)
        if isinstance(rule, Calibrate):
            return entity_shares(kg, rule.relation)
        if isinstance(rule, LessPopular):
            log = np.log1p(self._popularity)
            return (log - log.mean()) / (log.std() or 1.0)
        if isinstance(rule, Explore):
            return self._popularity <= rule.likes
        if rule.by == "text":
            vectors = item_text()
            if vectors is None:
                raise ConfigError("no item has a text or a name to be diverse by; choose by: facts")
            return np.nan_to_num(unit(centred(vectors)))
        return unit_rows(entity_shares(kg, rule.relation))

    def check(self, k: int) -> None:
        """Refuse filters that leave anybody fewer than `k` items; raises `ConfigError` that says how many are left."""
        left = np.ones(len(self._popularity), dtype=bool)
        for rule, ready in zip(self.rules, self._ready, strict=True):
            if isinstance(rule, Only | Exclude) and (chosen := ready.for_all) is not None:
                left &= chosen if isinstance(rule, Only) else ~chosen
                if left.sum() < k:
                    raise ConfigError(
                        f"k={k} but the rules leave {int(left.sum())} of {len(left):,} items (after: {rule}); "
                        "lower k or relax the rules"
                    )

    def lists(
        self, scores: npt.NDArray[np.float64], histories: sparse.csr_matrix, k: int, first: int | None = None
    ) -> npt.NDArray[np.int32]:
        """The lists, int32 of shape (b, k), best first; -1 where no item is left that obeys.

        Parameters
        ----------
        scores
            float64 of shape (b, n_items), -inf where an item must not be listed.
        histories
            Signed, CSR of the same shape.
        k
            Places.
        first
            Obey only so many of the rules.
        """
        rules = list(zip(self.rules, self._ready, strict=True))[:first]
        adjusted = self._adjusted(scores, histories, rules)
        greedy = [
            (rule, ready) for rule, ready in rules if isinstance(rule, Cap | Diversity | Calibrate | Explore)
        ]
        if not greedy:
            return top_k(adjusted, k)
        return self._chosen(adjusted, histories, min(k, scores.shape[1]), greedy)

    def _adjusted(
        self, scores: npt.NDArray[np.float64], histories: sparse.csr_matrix, rules: Sequence[tuple[Any, Any]]
    ) -> npt.NDArray[np.float64]:
        finite = np.isfinite(scores)
        spread = _deviation(scores, finite)
        adjusted = scores.copy()
        for rule, ready in rules:
            match rule:
                case Only():
                    adjusted[~ready.of(histories)] = -np.inf
                case Exclude():
                    adjusted[ready.of(histories)] = -np.inf
                case Boost():
                    adjusted += rule.amount * spread * ready.of(histories)
                case Bury():
                    adjusted -= rule.amount * spread * ready.of(histories)
                case LessPopular():
                    adjusted -= rule.amount * spread * ready
        return adjusted

    def _chosen(
        self,
        scores: npt.NDArray[np.float64],
        histories: sparse.csr_matrix,
        k: int,
        greedy: Sequence[tuple[Any, Any]],
    ) -> npt.NDArray[np.int32]:
        n = scores.shape[1]
        size = min(max(POOL, 10 * k), n)
        pools = top_k(scores, size)
        explore = next(((rule, ready) for rule, ready in greedy if isinstance(rule, Explore)), None)
        rare = None if explore is None else top_k(np.where(explore[1], scores, -np.inf), size)
        lists = np.full((len(scores), k), -1, dtype=np.int32)
        for row in range(len(scores)):
            pool = pools[row][pools[row] >= 0]
            if rare is not None:
                pool = np.concatenate((pool, np.setdiff1d(rare[row][rare[row] >= 0], pool)))
            found = self._one(scores[row], histories[row], pool, k, greedy)
            if len(found) < k and len(pool) < np.isfinite(scores[row]).sum():
                # Caps used the pool up: look at everything.
                found = self._one(scores[row], histories[row], top_k(scores[[row]], n)[0], k, greedy)
            lists[row, : len(found)] = found
        return lists

    def _one(
        self,
        scores: npt.NDArray[np.float64],
        history: sparse.csr_matrix,
        pool: npt.NDArray[np.int32],
        k: int,
        greedy: Sequence[tuple[Any, Any]],
    ) -> npt.NDArray[np.int32]:
        pool = pool[pool >= 0]
        pool = pool[np.isfinite(scores[pool])]
        choice = Choice(scores[pool])
        for rule, ready in greedy:
            match rule:
                case Cap():
                    choice.cap(sparse.csr_matrix(ready[pool]), rule.most)
                case Diversity():
                    vectors = ready[pool]
                    choice.diverse(dense(vectors @ vectors.T).astype(np.float64), rule.amount, rule.method)
                case Calibrate():
                    target = (
                        np.asarray((history > 0) @ ready).ravel() if history.nnz else np.zeros(ready.shape[1])
                    )
                    target = np.asarray(sparse.csr_matrix((history > 0) @ ready).toarray()).ravel()
                    choice.calibrate(Calibration.of(target, sparse.csr_matrix(ready[pool])), rule.amount)
                case Explore():
                    choice.explore(ready[pool], int(np.ceil(rule.share * k - 1e-9)))
        return pool[choice.take(k)]

    def effects(
        self, scores: npt.NDArray[np.float64], history: sparse.csr_matrix, k: int, name: Callable[[int], str]
    ) -> tuple[list[Effect], dict[int, str]]:
        """What each rule did to one list, measured by making it with ever more of the rules.

        Parameters
        ----------
        scores, history, k
            As for `lists`, one row.
        name
            An item's name.

        Returns
        -------
        effects
            One a rule, in order.
        notes
            For each listed item why it stands where it stands; empty where no rule moved it.
        """
        n = int(np.isfinite(scores).sum())
        before = self.lists(scores, history, k, 0)[0]
        notes: dict[int, list[str]] = {}
        effects = []
        for place, (rule, ready) in enumerate(zip(self.rules, self._ready, strict=True)):
            after = self.lists(scores, history, k, place + 1)[0]
            came = [int(item) for item in after if item >= 0 and item not in before]
            left = [int(item) for item in before if item >= 0 and item not in after]
            parts = []
            if isinstance(rule, Only | Exclude):
                chosen = ready.of(history)[0] & np.isfinite(scores[0])
                kept = int(chosen.sum()) if isinstance(rule, Only) else n - int(chosen.sum())
                parts.append(f"keeps {kept:,} of {n:,} items")
            if left:
                parts.append(f"takes out {_some([name(item) for item in left])}")
            if came:
                parts.append(f"brings in {_some([name(item) for item in came])}")
            moved = [
                int(item)
                for item in after
                if item >= 0 and item in before and _at(after, item) != _at(before, item)
            ]
            if moved and not came and not left:
                parts.append(f"moves {len(moved)} items")
            effects.append(Effect(str(rule), "; ".join(parts) or "changes nothing", tuple(came), tuple(left)))
            for item in after[after >= 0]:
                if int(item) in came:
                    notes.setdefault(int(item), []).append(f"listed by: {rule}")
                elif int(item) in moved and _at(after, item) < _at(before, item):
                    notes.setdefault(int(item), []).append(
                        f"from {_at(before, item)} to {_at(after, item)} by: {rule}"
                    )
            before = after
        return effects, {item: "; ".join(notes.get(int(item), [])) for item in before if item >= 0}

    def done_to(
        self, scores: npt.NDArray[np.float64], history: sparse.csr_matrix, k: int, item: int
    ) -> list[Deed]:
        """What each rule does to one item, whether it is listed or not; scores, history and k as for `effects`."""
        spread = _deviation(scores, np.isfinite(scores))[0, 0]
        place = _place(self.lists(scores, history, k, 0)[0], item)
        deeds = []
        for number, (rule, ready) in enumerate(zip(self.rules, self._ready, strict=True)):
            adds, barred = 0.0, False
            match rule:
                case Only():
                    barred = not ready.of(history)[0, item]
                case Exclude():
                    barred = bool(ready.of(history)[0, item])
                case Boost():
                    adds = float(rule.amount * spread * ready.of(history)[0, item])
                case Bury():
                    adds = -float(rule.amount * spread * ready.of(history)[0, item])
                case LessPopular():
                    adds = -float(rule.amount * spread * ready[item])
            now = _place(self.lists(scores, history, k, number + 1)[0], item)
            deeds.append(Deed(str(rule), adds, barred, place, now))
            place = now
        return deeds

    def words(self) -> str:
        """All rules."""
        return "; ".join(str(rule) for rule in self.rules)


def _deviation(scores: npt.NDArray[np.float64], finite: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Standard deviation of each row's finite scores, (b, 1)."""
    n = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    values = np.where(finite, scores, 0.0)
    mean = values.sum(axis=1, keepdims=True) / n
    square = np.where(finite, (values - mean) ** 2, 0.0).sum(axis=1, keepdims=True) / n
    return np.asarray(np.sqrt(square))


def _place(items: npt.NDArray[np.int32], item: int) -> int | None:
    return _at(items, item) if (items == item).any() else None


def _at(items: npt.NDArray[np.int32], item: int) -> int:
    return int(np.flatnonzero(items == item)[0]) + 1


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
