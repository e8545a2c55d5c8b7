"""What a recommender is worth, as methods of `kgenre.hybrid.recommender.HybridRecommender`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kgenre.graph.errors import ConfigError

from .evaluation import Grouping, evaluate
from .fitting import encode_texts
from .holding import Holding
from .state import ModelState
from .worth import KgWorth, kg_worth


class Assessment(Holding):
    """Measurements of a `HybridRecommender`."""

    def _candidates(
        self, candidates: Sequence[str] | None, state: ModelState | None = None
    ) -> npt.NDArray[np.bool_] | None:
        raise NotImplementedError

    def evaluate(
        self,
        test: pd.DataFrame,
        k: int | Sequence[int] = (10, 20),
        *,
        metrics: Sequence[str] = ("recall", "ndcg", "precision", "mrr", "map", "hit"),
        candidates: Sequence[str] | None = None,
        by: Grouping | None = None,
        relation: str | None = None,
    ) -> pd.DataFrame:
        """Full-ranking metrics on held-out pairs (user_id, item_id); see `kgenre.hybrid.evaluation.evaluate`.

        Parameters
        ----------
        test
            Frame of user_id and item_id.
        k
            One cut or several.
        metrics
            Also ``auc``, ``gini``, ``popularity_lift``, ``diversity_text``, ``diversity_facts``, ``calibration``.
        candidates
            Rank only these item ids.
        by
            ``user`` or ``item``: in groups by how many likes these have.
        relation
            Whose entities ``calibration`` and ``diversity_facts`` look at; all by default.
        """
        cuts: list[Any] = [k] if isinstance(k, int | np.integer) else list(k)
        for cut in cuts:
            if isinstance(cut, bool) or not isinstance(cut, int | np.integer) or cut < 1:
                raise ConfigError(f"k={cut!r} is not a whole number of at least 1")
        state = self.state
        return evaluate(
            state,
            test,
            cuts,
            [metrics] if isinstance(metrics, str) else metrics,
            self._candidates(candidates, state),
            by=by,
            relation=relation,
            item_text=lambda: encode_texts(state.kg, self.text_encoder)[0],
        )

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
