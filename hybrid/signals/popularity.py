import copy
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from kgenre.hybrid.data import FloatArray, LikesChange, SignalData

from .base import Signal, SignalConfig


class PopularityConfig(SignalConfig):
    """Settings of `Popularity`; without a half-life every like counts the same."""

    half_life_days: float | None = Field(None, gt=0)


class Popularity(Signal):
    """How often an item was liked, scaled to [0, 1] by the most liked one; the same for every user.

    With a half-life each like counts half for every such time that it is older than the newest one; a like of unknown
    time is taken to be as old as the oldest.
    """

    name = "popularity"
    judges_unseen = False
    Config = PopularityConfig
    share: FloatArray
    counts: npt.NDArray[np.float64]
    """float64 of shape (n_items,): likes, each halved for every half-life that it is older than `newest`."""
    newest: float
    """Seconds since 1970; NaN where no like has a time, or none counts less for it."""
    oldest: float
    """When likes of unknown time are taken to have been."""

    @property
    def reads(self) -> Literal["nothing", "items", "nodes"]:  # noqa: D102
        return "nothing"

    def fit(self, data: SignalData) -> Self:  # noqa: D102
        half_life = self.config.half_life_days
        self.newest = self.oldest = np.nan
        if half_life is None or data.ages is None or data.newest is None:
            self.counts = data.item_degree.astype(np.float64)
        else:
            ages = data.ages.astype(np.float64)
            self.newest = data.newest
            self.oldest = data.newest - 86_400.0 * float(ages.max())
            counts = np.bincount(data.likes.indices, 0.5 ** (ages / half_life), data.n_items)
            self.counts = np.asarray(counts, dtype=np.float64)
        return self._share()

    def follow(self, change: LikesChange) -> Signal:
        """Exact: each like that has come or gone is added or taken off with the weight of its age."""
        if not len(change.items):
            return self
        moved = copy.copy(self)
        count = change.count.astype(np.float64)
        moved.counts = self.counts.copy()
        half_life = self.config.half_life_days
        if half_life is not None:
            known = change.timestamp[~np.isnan(change.timestamp)]
            if np.isnan(moved.newest) and len(known):
                moved.newest = moved.oldest = float(known.max())
            stamps = np.where(np.isnan(change.timestamp), moved.oldest, change.timestamp)
            latest = float(np.fmax(moved.newest, stamps.max()))
            # The counts of all items shrink alike, and no power overflows.
            if not np.isnan(latest):
                moved.counts *= 0.5 ** ((latest - moved.newest) / (86_400.0 * half_life))
                moved.newest = latest
                count *= 0.5 ** ((latest - stamps) / (86_400.0 * half_life))
        np.add.at(moved.counts, change.items, count)
        # What rounding leaves of a count of 0.
        moved.counts[np.abs(moved.counts) < 1e-9] = 0.0
        return moved._share()

    def _share(self) -> Self:
        most = max(float(self.counts.max(initial=0.0)), 1e-12)
        self.share = (self.counts / most).astype(np.float32)
        return self

    def score(self, histories: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        return np.tile(self.share, (histories.shape[0], 1))

    def rows(self, history: sparse.csr_matrix) -> FloatArray:  # noqa: D102
        return np.empty((0, len(self.share)), dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return {"counts": self.counts, "times": np.array([self.newest, self.oldest])}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:  # noqa: D102
        self.counts = arrays["counts"]
        self.newest, self.oldest = (float(time) for time in arrays["times"])
        return self._share()
