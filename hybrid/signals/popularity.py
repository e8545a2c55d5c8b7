from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import FloatArray, SignalData

from .base import Signal, SignalConfig


class PopularityConfig(SignalConfig):
    """Settings of `Popularity`; without a half-life every like counts the same."""

    half_life_days: float | None = Field(None, gt=0)


class Popularity(Signal):
    """How often an item was liked, scaled to [0, 1] by the most liked one; the same for every user."""

    name = "popularity"
    judges_unseen = False
    Config = PopularityConfig
    share: FloatArray

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        half_life = self.config.half_life_days
        if half_life is None or data.ages is None:
            counts: FloatArray = data.item_degree
        else:
            decay = 0.5 ** (data.ages / half_life)
            counts = np.bincount(data.likes.indices, decay, data.n_items).astype(np.float32)
        self.share = (counts / max(float(counts.max(initial=0.0)), 1e-12)).astype(np.float32)
        return self

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        return np.tile(self.share, (histories.shape[0], 1))

    def rows(self, history: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        return np.empty((0, len(self.share)), dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return {"share": self.share}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.share = arrays["share"]
        return self
