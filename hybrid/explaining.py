"""Questions that a `HybridRecommender` answers about its answers."""

from collections.abc import Sequence

from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph.errors import ConfigError

from .attribution import explaining_data
from .data import SignalData
from .explanation import Explanation, explain
from .phrases import Phrases
from .standing import Live
from .state import ModelState

_WITH_TEXT = ("closed_form", "slim", "svd", "gnn", "cold_gnn")
"""Signals in which text has a part that only the text vectors tell from the rest."""


class Explaining:
    """What a `HybridRecommender` says of its lists."""

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes names and texts."""
        raise NotImplementedError

    @property
    def now(self) -> Live:
        """The state of now."""
        raise NotImplementedError

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
        language: str | Phrases = "en",
    ) -> Explanation:
        """Why an item has its score for a user: ledger, evidence and reasons by name, each of which sums to it.

        Parameters
        ----------
        user, history, dislikes
            As for `recommend`.
        item
            The item's id.
        language
            Of the sentences: ``en``, ``zh``, or `kgenre.hybrid.phrases.Phrases` with templates of your own.

        Raises
        ------
        UnknownIdError
            For an unknown user or item, with the nearest ids.
        ConfigError
            If no item is given, both or neither of user and history, or a language that is not there.
        """
        phrases = Phrases.of(language)
        now = self.now
        row, seen = self._history(user, history, dislikes, now)
        state = now.whole()
        index = _item(state, item)
        return explain(state, row, seen, index, data=self._data(state), language=phrases)

    def _data(self, state: ModelState) -> SignalData:
        texts = any(name in _WITH_TEXT for name in state.names)
        return explaining_data(state, self.text_encoder if texts else None)


def _item(state: ModelState, item: str | None) -> int:
    if item is None:
        raise ConfigError("give the item to explain, as in explain(user, item)")
    return state.kg.items.vocabulary.get(item)
