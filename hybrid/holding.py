"""What the parts of `kgenre.hybrid.recommender.HybridRecommender` have in common."""

import threading

from kgenre.encoders import TextEncoder
from kgenre.graph import GraphStore
from kgenre.graph.errors import NotFittedError

from .config import HybridConfig
from .standing import Live
from .state import ModelState


class Holding:
    """The state of a recommender, and what it encodes texts with."""

    config: HybridConfig
    _encoder: TextEncoder | None
    _live: Live | None
    _store: GraphStore | None
    _changing: threading.RLock
    """Held by who changes the state; a reader takes the state as it is and needs none."""

    @property
    def now(self) -> Live:
        """The state of now; raises `NotFittedError` before `fit`."""
        if self._live is None:
            raise NotFittedError(
                "the recommender is not fitted; call fit(graph) or kgenre.load(folder) first"
            )
        return self._live

    @property
    def state(self) -> ModelState:
        """The fitted model with everything that it was told; raises `NotFittedError` before `fit`."""
        return self.now.whole()

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes names and texts."""
        if self._encoder is None:
            self._encoder = TextEncoder(self.config.text_encoder)
        return self._encoder
