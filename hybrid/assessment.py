"""What a recommender is worth, as methods of `kgenre.hybrid.recommender.HybridRecommender`."""

from collections.abc import Sequence

from kgenre.encoders import TextEncoder

from .config import HybridConfig
from .state import ModelState
from .worth import KgWorth, kg_worth


class Assessment:
    """Measurements of a `HybridRecommender`."""

    config: HybridConfig

    @property
    def state(self) -> ModelState:
        """The fitted model."""
        raise NotImplementedError

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes names and texts."""
        raise NotImplementedError

    def kg_worth(
        self,
        *,
        full: bool = False,
        relations: Sequence[str] | None = None,
        splits: int | None = None,
        users: int = 2000,
    ) -> KgWorth:
        """Does the graph pay? What its facts, links, relations and texts are worth, on likes held out for it.

        Quick, a closed form alone; `full` fits this recommender's signals and their fusion again on every variant of
        the graph. See `kgenre.hybrid.worth.kg_worth`.
        """
        return kg_worth(
            self.state.kg,
            full=full,
            config=self.config,
            text_encoder=self.text_encoder,
            relations=relations,
            splits=splits,
            users=users,
        )
