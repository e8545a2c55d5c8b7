"""Weights that follow a user, as a method of `kgenre.hybrid.recommender.HybridRecommender`."""

from dataclasses import replace

from .adaptation import Memory, adapts, weighted
from .holding import Holding
from .search import Search
from .standing import Live
from .state import ModelState, Ready


class Adapting(Holding):
    """How a `HybridRecommender`'s weights follow what a user has just liked."""

    _memory: Memory

    def reset_adaptation(self, user: str | None = None) -> None:
        """Give a user, or everybody, the learned weights again; likes from now on move them anew.

        It is kept with the model, not with the store: another recommender on the same store does not know of it.

        Raises
        ------
        UnknownIdError
            If the user is unknown.
        """
        with self._changing:
            now = self.now
            if user is None:
                settled = now.whole().drift.events
            else:
                now.row(str(user))
                settled = {**now.current.drift.settled, str(user): now.standing(str(user)).events}
            drift = replace(now.current.drift, settled=settled)
            self._live = Live(now.base, now.users, replace(now.current, drift=drift))

    def _own(self, now: Live, user: str | None, state: ModelState) -> ModelState:
        """A state of `now` with the weights of a user; as it is where theirs are those of all."""
        return self._own_ready(now, user, state)[0]

    def _own_ready(
        self, now: Live, user: str | None, state: ModelState, search: Search | None = None
    ) -> tuple[ModelState, Ready]:
        """`_own`, and what finding these weights has scored already of what the user thinks now."""
        if user is None or not adapts(state.config):
            return state, {}
        user = str(user)
        if user not in now.users and user not in now.base.drift.events:
            return state, {}
        factors, ready = self._memory.factors(now.current, user, now.standing(user), search)
        return weighted(state, factors), ready
