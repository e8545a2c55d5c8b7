"""When a list is searched for, and when what it is searched with is made.

``search: auto`` searches from `MANY_ITEMS` items on. The second answer (who asks once needs no index) begins to build
it in a thread beside the answers, and until it is there every item is scored. ``approximate`` searches in any
catalogue, and the first answer waits for the index; ``exact`` never searches.
"""

import threading

from .forms import has_form
from .search import Search, used_signals
from .state import ModelState

MANY_ITEMS = 200_000
"""From so many items on a list is searched for, unless the configuration says otherwise."""
MOST = 100
"""The longest list that is searched for."""


class Searches:
    """What lists are searched with, made when it is first needed and made again when it no longer fits.

    Of itself it holds no state of the recommender: only what rests on the very same signals is used.
    """

    def __init__(self) -> None:
        self._search: Search | None = None
        self._builder: threading.Thread | None = None
        self._building = threading.Lock()
        self._asked = 0

    def of(self, state: ModelState) -> Search | None:
        """The search of a model; None where its lists are to be computed exactly, as while an index is being built."""
        method = state.config.search
        if (
            method == "exact"
            or (method == "auto" and state.kg.n_items < MANY_ITEMS)
            or not _searchable(state)
        ):
            return None
        found = self._following(state)
        if found is None and method == "approximate":
            return self._build(state)
        self._asked += 1
        building = self._builder is not None and self._builder.is_alive()
        if found is None and self._asked > 1 and not building:
            self._builder = threading.Thread(target=self._build, args=(state,), daemon=True)
            self._builder.start()
        return found

    def _following(self, state: ModelState) -> Search | None:
        search = self._search
        if search is None:
            return None
        found = search.following(state)
        if found is not None:
            self._search = found
        return found

    def _build(self, state: ModelState) -> Search | None:
        with self._building:
            # Somebody may have built it while we waited.
            found = self._following(state)
            if found is None:
                self._search = found = Search.of(state)
            return found


def _searchable(state: ModelState) -> bool:
    return (
        state.config.fusion.method != "blend"
        and state.histories.nnz > 0
        and all(has_form(state.signals[index]) for index in used_signals(state))
    )
