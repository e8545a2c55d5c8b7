"""Questions that a `HybridRecommender` answers about its answers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from kgenre.graph.errors import ConfigError

from .attribution import Explained, explained
from .contrast import Contrast, contrast
from .data import SignalData
from .explanation import Explanation, explain, ruled, strongest
from .phrases import Phrases
from .ranking import listable
from .reasons import Reason
from .ruling import Ruling
from .standing import Live
from .state import ModelState
from .what_if import WhatIf, changed, what_if
from .why_not import WhyNot, why_not
from .without import without_relations as without_relations_of
from .without import without_signals as without_signals_of

_WITH_TEXT = ("closed_form", "slim", "svd", "gnn", "cold_gnn")
"""Signals in which text has a part that only the text vectors tell from the rest."""


class Explaining(Ruling):
    """What a `HybridRecommender` says of its lists."""

    _explained: Explained | None = None
    """What the last explanation stood on, from which the next takes over what has not changed."""

    def _history(
        self,
        user: str | None,
        history: Sequence[str] | None,
        dislikes: Sequence[str],
        now: Live | None = None,
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        raise NotImplementedError

    def explain(
        self,
        user: str | None = None,
        item: str | None = None,
        *,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        rules: Sequence[Any] = (),
        k: int = 10,
        language: str | Phrases = "en",
    ) -> Explanation:
        """Why an item has its score for a user: ledger, evidence and reasons by name, each of which sums to it.

        Where rules apply, what each of them does to the item in a list of `k` stands beside.

        Parameters
        ----------
        user, history, dislikes
            As for `recommend`.
        item
            The item's id.
        rules
            Beside those of the configuration, as for `recommend`.
        k
            Length of the list in which the rules are looked at.
        language
            Of the sentences: ``en``, ``zh``, or `kgenre.hybrid.phrases.Phrases` with templates of your own.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            If no item is given, both or neither of user and history, a language that is not there, or a rule that
            does not fit.
        """
        phrases = Phrases.of(language)
        _check_k(k)
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state = self._own(now, user, now.whole())
        index = _item(state, item)
        why = explain(state, row, seen, index, data=self._data(state), language=phrases)
        if (ruler := self._ruler(rules, state)) is None:
            return why
        masked = listable(state.score(row, seen), row, seen, None, False)
        return replace(why, rules=ruled(ruler.done_to(masked, row, k, index), k, phrases))

    def strongest_reason(self, user: str, item: str) -> Reason | None:
        """The first of `explain`'s reasons that are shown, faster; None where nothing speaks for the item.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        """
        now = self.now
        row, seen = self._history(user, None, (), now)
        state = self._own(now, user, now.whole())
        return strongest(state, row, seen, _item(state, item), self._data(state))

    def why_not(
        self,
        user: str | None = None,
        item: str | None = None,
        *,
        k: int = 10,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        language: str | Phrases = "en",
    ) -> WhyNot:
        """Why an item is not among the best `k`: its rank, what it lacks, and what would bring it there.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            As for `explain`, or if `k` is below 1.
        """
        _check_k(k)
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state = self._own(now, user, now.whole())
        return why_not(state, row, seen, _item(state, item), k, self._data(state), language)

    def contrast(
        self,
        user: str | None = None,
        a: str | None = None,
        b: str | None = None,
        *,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        language: str | Phrases = "en",
    ) -> Contrast:
        """Why one item stands before another: the difference by signal, and the evidence that decides.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            As for `explain`.
        """
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state = self._own(now, user, now.whole())
        pair = _item(state, a), _item(state, b)
        return contrast(state, row, seen, pair, self._data(state), language)

    def what_if(
        self,
        user: str | None = None,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        without_relations: Sequence[str] = (),
        without_signals: Sequence[str] = (),
        k: int = 10,
        history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (),
        language: str | Phrases = "en",
    ) -> WhatIf:
        """The list as it would be, beside the one that is; nothing is stored.

        Parameters
        ----------
        user, history, dislikes
            As for `recommend`.
        add, remove
            Items to like, and items of the history to forget: these may be listed then.
        without_relations
            Relations to do without; see `kgenre.hybrid.without.without_relations` for what follows and what does not.
        without_signals
            Signals to give the weight 0.
        k, language
            Length of the list, and of which language its `text` is.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            For an item to forget that is not in the history, an unknown relation or signal, or as for `explain`.
        """
        _check_k(k)
        for name, given in (("add", add), ("remove", remove)):
            if isinstance(given, str):
                raise ConfigError(f"{name}={given!r} is one string; give a list of ids")
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state = self._own(now, user, now.whole())
        items = state.kg.items.vocabulary
        more, less = (items.index([str(item) for item in given]) for given in (add, remove))
        for item in less:
            if not row[0, item]:
                raise ConfigError(
                    f"item {items[int(item)]!r} is not in the history; remove what is liked or disliked"
                )
        other = without_signals_of(self._without(state, without_relations), without_signals)
        return what_if((state, row, seen), (other, *changed(row, seen, more, less)), k, language)

    def _without(self, state: ModelState, relations: Sequence[str]) -> ModelState:
        """The state without some relations; see `kgenre.hybrid.without`."""
        return without_relations_of(state, relations, self._data(state)) if len(relations) else state

    def _data(self, state: ModelState) -> SignalData:
        texts = any(name in _WITH_TEXT for name in state.names)
        found = explained(state, self.text_encoder if texts else None, self._explained)
        self._explained = found
        return found.data


def _item(state: ModelState, item: str | None) -> int:
    if item is None:
        raise ConfigError("give the item to explain, as in explain(user, item)")
    return state.kg.items.vocabulary.get(item)


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k={k!r} is not a whole number of at least 1")
