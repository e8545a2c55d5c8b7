"""Lists under rules, as methods of `kgenre.hybrid.recommender.HybridRecommender`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from kgenre.graph.errors import ConfigError

from .adapting import Adapting
from .fitting import encode_texts
from .ranking import listable
from .ruler import Ruler
from .rules import Selection, as_rules
from .state import ModelState, Ready

RULES = "rules"
"""The column, and the key of the frame's `attrs`, that say what rules did."""


class Ruling(Adapting):
    """What rules do to a `HybridRecommender`'s lists."""

    _last_ruler: tuple[Any, Any, Ruler] | None = None

    def explain_rules(self, user: str, item: str, k: int = 10, *, rules: Sequence[Any] = ()) -> list[str]:
        """What the rules do to one item in a user's list of `k`: a sentence for each that brings it in or takes it out.

        Parameters
        ----------
        user, item
            Known ids.
        k
            Length of the list.
        rules
            Beside those of the configuration; as for `recommend`.
        """
        now = self.now
        history, seen = now.row(str(user))
        state = self._own(now, user, now.current)
        index = state.kg.items.vocabulary.get(item)
        ruler = self._ruler(rules, state)
        if ruler is None:
            return []
        masked = listable(state.score(history, seen), history, seen, None, False)
        effects, notes = ruler.effects(masked, history, k, state.kg.items.name)
        told = [f"taken out by: {effect.rule}" for effect in effects if index in effect.left]
        return [*told, *(note for note in notes.get(index, "").split("; ") if note)]

    @staticmethod
    def _frame(state: ModelState, items: npt.NDArray[Any], scores: npt.NDArray[Any]) -> pd.DataFrame:
        raise NotImplementedError

    def _ruler(self, rules: Sequence[Any], state: ModelState) -> Ruler | None:
        """The rules of the configuration and those of a call, made ready; None without any."""
        own = (*state.config.rules, *as_rules(rules))
        if not own:
            return None
        if self._last_ruler is not None and self._last_ruler[0] is state.kg and self._last_ruler[1] == own:
            return self._last_ruler[2]
        ruler = Ruler(own, state.kg, self._store, lambda: encode_texts(state.kg, self.text_encoder)[0])
        # What a store answers is asked again for every call.
        if not any(isinstance(rule, Selection) and rule.cypher for rule in own):
            self._last_ruler = (state.kg, own, ruler)
        return ruler

    def _ruled(
        self,
        ruler: Ruler,
        state: ModelState,
        history: sparse.csr_matrix,
        seen: sparse.csr_matrix,
        k: int,
        candidates: npt.NDArray[np.bool_] | None,
        include_seen: bool,
        ready: Ready,
    ) -> pd.DataFrame:
        """One list under rules, with what each of them did."""
        ruler.check(k)
        scores = state.score(history, seen, ready=ready)
        masked = listable(scores, history, seen, candidates, include_seen)
        items = ruler.lists(masked, history, k)[0]
        items = items[items >= 0]
        effects, notes = ruler.effects(masked, history, k, state.kg.items.name)
        if len(items) < k:
            told = "; ".join(f"{effect.rule}: {effect.text}" for effect in effects)
            raise ConfigError(
                f"k={k} but only {len(items)} items are left after what was seen and the rules ({told}); "
                "lower k or relax the rules"
            )
        frame = self._frame(state, items, scores[0, items])
        frame[RULES] = [notes[int(item)] for item in items]
        frame.attrs[RULES] = [{"rule": effect.rule, "effect": effect.text} for effect in effects]
        return frame
