import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphSchema, GraphStore, KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, NAME, RANK, SCORE, USER_ID
from kgenre.graph.errors import ConfigError
from kgenre.graph.progress import say

from . import persistence
from .adaptation import Memory
from .assessment import Assessment
from .config import HybridConfig
from .evaluation import held_out_likes
from .explaining import Explaining
from .fitting import fit
from .item_map import Maps
from .metrics import top_k
from .ranking import rank, rank_blocks
from .report import report
from .ruling import Ruling
from .searching import MOST, Searches
from .standing import Live
from .state import ModelState, single_history
from .updates import Updates
from .write_back import WriteBack

log = logging.getLogger(__name__)


class HybridRecommender(Updates, Explaining, WriteBack, Maps, Assessment, Ruling):
    """A hybrid recommender on a knowledge graph: several signals, blended with weights learned on validation.

    Parameters
    ----------
    config
        A `HybridConfig`, the name of a preset (``default``, ``genre``, ``fast``), or None for the default.
    text_encoder
        Encodes names and texts; by default one made of the configuration.

    Examples
    --------
    >>> rec = HybridRecommender().fit(graph)              # doctest: +SKIP
    >>> rec.recommend("196", k=10)                        # doctest: +SKIP
    >>> rec.explain("196", "302").text                    # doctest: +SKIP
    """

    def __init__(
        self, config: HybridConfig | str | None = None, *, text_encoder: TextEncoder | None = None
    ) -> None:
        self.config = HybridConfig.preset(config) if isinstance(config, str) else config or HybridConfig()
        self._encoder = text_encoder
        self._live = None
        self._store = None
        self._memory = Memory()
        self._searches = Searches()
        self._changing = threading.RLock()

    # -- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        graph: KnowledgeGraph | GraphStore,
        validation: pd.DataFrame | None = None,
        *,
        schema: GraphSchema | None = None,
        show: bool = True,
    ) -> Self:
        """Fit on a snapshot, or on a store's snapshot.

        Parameters
        ----------
        graph
            A `KnowledgeGraph`, or a `GraphStore` to take the snapshot of.
        validation
            Frame of user_id and item_id: tuned on, never trained on, treated as seen. Without one, a tenth of each
            user's likes (the latest where there are timestamps) is held out for tuning, and then everything is
            fitted again on all of them.
        schema
            How to read a store that kgenre has not written. What the recommender is told later is written to the
            store as well if it is the store's own schema (``store.schema``) and its interactions can be written
            (`GraphSchema.unwritable`).
        show
            Whether to show the honesty table when done (on standard error, as progress bars are).

        Raises
        ------
        DataError
            If there is nothing to learn from.
        """
        self._store = graph if isinstance(graph, GraphStore) and _takes_changes(graph, schema) else None
        # Before the snapshot: what comes in between is read again by `refresh`, and nothing is missed.
        cursor = None if self._store is None else self._store.follow()
        kg = graph.snapshot(schema) if isinstance(graph, GraphStore) else graph
        held_out = None if validation is None else held_out_likes(kg, validation, "validation").likes
        state = fit(kg, self.config, held_out, self.text_encoder)
        self._live = Live(state if cursor is None else self._having_heard(state)).knowing(cursor)
        if show:
            say(state.report.text())
        return self

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph that the model was fitted on."""
        return self.state.kg

    @property
    def honesty(self) -> pd.DataFrame:
        """Each signal alone, simple peers and the fusion on the same validation set, with weights and verdicts.

        The fusion's figure is cross-fitted: each user is judged by weights learned without them.
        """
        return self.state.report.honesty.copy()

    # -- answers ----------------------------------------------------------------------------------

    def recommend(
        self,
        user: str | None = None,
        k: int = 10,
        *,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        candidates: Sequence[str] | None = None,
        include_seen: bool = False,
        without_relations: Sequence[str] = (),
        rules: Sequence[Any] = (),
        adapt: bool = True,
    ) -> pd.DataFrame:
        """The best `k` items for a known user, or for anybody by what they like.

        Parameters
        ----------
        user
            A known user's id.
        k
            Length of the list.
        history, dislikes
            Item ids, instead of a user: nothing is stored.
        candidates
            Rank only these item ids.
        include_seen
            Whether items of the history may be listed.
        without_relations
            Relations of the graph that are not to count ("not because of the director"); see
            `kgenre.hybrid.without.without_relations` for what follows at once and what was learned and stays. The
            first call with a set of relations computes the signals without them; the next ones have them at hand.
        rules
            What the list must obey beside the configuration's rules: of `kgenre.hybrid.rules`, or mappings.
        adapt
            Whether the weights are the user's own where they adapt; else those that were learned for all.

        Returns
        -------
        pandas.DataFrame
            rank, item_id, name, score; best first. Under rules also a column ``rules``, what moved an item where it
            stands (its score is the model's), and in ``attrs["rules"]`` what each of them did.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            If `k` is below 1 or larger than what is left, or both or neither of user and history are given.

        Notes
        -----
        What was disliked is never listed.
        """
        now = self.now
        state = self._without(now.current, without_relations)
        row, seen = self._history(user, history, dislikes, now)
        _check_k(k)
        allowed = self._candidates(candidates, state)
        ruler = self._ruler(rules, state)
        whole = allowed is not None or ruler is not None or without_relations or k > MOST
        search = None if whole else self._searches.of(state)
        state, ready = self._own_ready(now, user, state, search) if adapt else (state, {})
        if not row.nnz:
            who = f"user {user!r}" if user is not None else "an empty history"
            log.warning("%s has no interactions: the list is by popularity", who)
        if ruler is not None:
            return self._ruled(ruler, state, row, seen, k, allowed, include_seen, ready)
        k_left = min(k, state.kg.n_items)
        ranked = rank(state, row, seen, k_left, allowed, include_seen, ready=ready, search=search)
        listed = int((ranked.items[0] >= 0).sum())
        if listed < k:
            narrowed, remedy = "", "use include_seen=True"
            if allowed is not None:
                narrowed, remedy = " and the candidates", "name more candidates"
            remedy = f"ask for at most {listed}" if listed else remedy
            raise ConfigError(
                f"k={k} but only {listed} items are left after what was seen{narrowed}; {remedy}"
            )
        return self._frame(state, ranked.items[0], ranked.scores[0])

    def recommend_many(
        self,
        users: Sequence[str] | None = None,
        k: int = 10,
        *,
        candidates: Sequence[str] | None = None,
        rules: Sequence[Any] = (),
        adapt: bool = True,
    ) -> pd.DataFrame:
        """Top lists of many users (all by default): user_id, item_id, rank, score; the rest as for `recommend`.

        Users are scored in blocks, so memory beside the result is bounded. A user with fewer than `k` items left gets
        a shorter list, and the log says how many do.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            If `k` is below 1, or users or candidates are empty.
        """
        frames = list(self.recommend_blocks(users, k, candidates=candidates, rules=rules, adapt=adapt))
        return pd.concat(frames, ignore_index=True)

    def recommend_blocks(
        self,
        users: Sequence[str] | None = None,
        k: int = 10,
        *,
        candidates: Sequence[str] | None = None,
        rules: Sequence[Any] = (),
        adapt: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Like `recommend_many`, a frame per block of users."""
        state = self.state
        _check_k(k)
        allowed = self._candidates(candidates, state)
        vocabulary = state.kg.users.vocabulary
        if users is None:
            rows = np.arange(len(vocabulary), dtype=np.int64)
        else:
            _check_ids("users", users)
            rows = vocabulary.index([str(user) for user in users]).astype(np.int64)
        if (ruler := self._ruler(rules, state)) is not None:
            ruler.check(k)
        short = 0
        for ranked in rank_blocks(state, rows, k, allowed, ruler=ruler, adapt=adapt):
            listed = ranked.items >= 0
            short += int((listed.sum(axis=1) < k).sum())
            row, column = np.nonzero(listed)
            yield pd.DataFrame(
                {
                    USER_ID: vocabulary.ids[ranked.users[row]],
                    ITEM_ID: state.kg.items.vocabulary.ids[ranked.items[row, column]],
                    RANK: (column + 1).astype(np.int32),
                    SCORE: ranked.scores[row, column],
                }
            )
        if short:
            under = f" under the rules ({ruler.words()})" if ruler is not None else ""
            log.warning(
                "%d users have fewer than k=%d items left%s; their lists are shorter", short, k, under
            )
        empty = int((np.diff(state.histories[rows].indptr) == 0).sum())
        if empty:
            log.warning("%d users have no interactions: their lists are by popularity", empty)

    def score(
        self,
        user: str | None = None,
        items: Sequence[str] | None = None,
        *,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        adapt: bool = True,
    ) -> pd.Series:
        """Scores by item id, of all items or of some; NaN where no signal can say."""
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state, ready = self._own_ready(now, user, now.current) if adapt else (now.current, {})
        scores = pd.Series(
            state.score(row, seen, ready=ready)[0], index=state.kg.items.vocabulary.ids, name=SCORE
        )
        scores.index.name = ITEM_ID
        if items is None:
            return scores
        return scores.iloc[state.kg.items.vocabulary.index([str(item) for item in items])]

    def similar(self, item: str, k: int = 10) -> pd.DataFrame:
        """The items most like one: what would be recommended to somebody who likes only that.

        Returns
        -------
        pandas.DataFrame
            rank, item_id, name, score; best first.

        Raises
        ------
        UnknownIdError
            For an unknown item, with the nearest ids.
        ConfigError
            If `k` is below 1 or larger than the number of items that can be compared with it.
        """
        state = self.now.current
        _check_k(k)
        index = state.kg.items.vocabulary.get(item)
        row = single_history(state.kg.n_items, [index])
        scores = state.score(row, row)
        scores[0, index] = -np.inf
        scores[np.isnan(scores)] = -np.inf
        items = top_k(scores, k)[0]
        items = items[items >= 0]
        if len(items) < k:
            raise ConfigError(
                f"k={k} but only {len(items)} other items can be compared with {item!r}; ask for at most that many"
            )
        return self._frame(state, items, scores[0, items])

    def report(self, users: Sequence[str] = ()) -> str:
        """One HTML page of the model and of some users' lists with reasons; see `kgenre.hybrid.report.report`."""
        _check_ids("users", users, some=False)
        state = self.state
        return report(state, users, self._data(state), self._ruler((), state))

    # -- keeping ----------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder; see `kgenre.hybrid.persistence`."""
        persistence.save(self.state, folder)

    def __repr__(self) -> str:
        if self._live is None:
            return "HybridRecommender(not fitted)"
        state = self.state
        pairs = zip(state.names, state.weights, strict=True)
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in pairs)
        return f"HybridRecommender({state.kg.n_users:,} users, {state.kg.n_items:,} items; {weights})"

    def _repr_html_(self) -> str:
        table = (
            ""
            if self._live is None
            else self.honesty.to_html(index=False, float_format="{:.4f}".format, border=0)
        )
        return f"<h4>HybridRecommender</h4>{table}"

    # -- inside -----------------------------------------------------------------------------------

    def _history(
        self,
        user: str | None,
        history: Sequence[str] | None,
        dislikes: Sequence[str],
        now: Live | None = None,
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        now = now or self.now
        state = now.current
        if (user is None) == (history is None):
            raise ConfigError("give either a user or a history, not both and not neither")
        if user is not None:
            known = now.row(str(user))
            if len(dislikes):
                raise ConfigError("dislikes go with a history; a user's own are in the graph")
            return known
        for name, given in (("history", history), ("dislikes", dislikes)):
            _check_ids(name, given or (), some=False)
        vocabulary = state.kg.items.vocabulary
        liked = {vocabulary.get(str(item)) for item in history or ()}
        disliked = {vocabulary.get(str(item)) for item in dislikes}
        if both := liked & disliked:
            raise ConfigError(f"item {vocabulary[min(both)]!r} is both liked and disliked; say which")
        n_items = state.kg.n_items
        return single_history(n_items, [*liked], [*disliked]), single_history(n_items, [*liked, *disliked])

    def _candidates(
        self, candidates: Sequence[str] | None, state: ModelState | None = None
    ) -> npt.NDArray[np.bool_] | None:
        if candidates is None:
            return None
        _check_ids("candidates", candidates)
        items = (state or self.now.current).kg.items.vocabulary
        allowed = np.zeros(len(items), dtype=bool)
        allowed[items.index([str(item) for item in candidates])] = True
        return allowed

    @staticmethod
    def _frame(state: ModelState, items: npt.NDArray[Any], scores: npt.NDArray[Any]) -> pd.DataFrame:
        table = state.kg.items
        return pd.DataFrame(
            {
                RANK: np.arange(1, len(items) + 1),
                ITEM_ID: table.vocabulary.ids[items],
                NAME: [table.name(int(item)) for item in items],
                SCORE: scores,
            },
            copy=False,
        )


def load(folder: str | Path, store: GraphStore | None = None) -> HybridRecommender:
    """Load a saved recommender.

    Parameters
    ----------
    folder
        Where it was saved.
    store
        The store that it follows; call `refresh` then for what the store has and the model lacks.

    Raises
    ------
    ModelError
        If the folder holds no model, one that is damaged or of a newer version, or one of another graph than the
        store's.
    """
    state = persistence.load(folder)
    if store is not None:
        persistence.check_store(state, store, folder)
    recommender = HybridRecommender(state.config)
    recommender._live = Live(state)
    recommender._store = store
    return recommender


def _takes_changes(store: GraphStore, schema: GraphSchema | None) -> bool:
    """Whether what a recommender is told can be written to the store that it was fitted on."""
    reason = store.schema.unwritable() if store.schema.differs() else None
    if schema is not None and schema != store.schema:
        reason = "it was read through another schema than the store's own"
    if reason is not None:
        log.info("changes to the recommender stay in memory, and %s is not written to: %s", store, reason)
    return reason is None


def _check_ids(name: str, ids: Sequence[str], some: bool = True) -> None:
    if isinstance(ids, str):
        raise ConfigError(f"{name}={ids!r} is one string; give a list of ids")
    if some and not len(ids):
        raise ConfigError(f"{name} is empty; name at least one or leave it out")


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k={k!r} is not a whole number of at least 1")
