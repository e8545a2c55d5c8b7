"""How sure a mean difference over users is: paired bootstrap, paired permutation test, correction for many tests."""

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_BLOCK = 200


def bootstrap(
    differences: npt.ArrayLike, *, samples: int = 2000, level: float = 0.95, rng: int = 0
) -> tuple[Any, Any]:
    """Percentile interval of the mean over users.

    Parameters
    ----------
    differences
        Float of shape (n_users,), or (n_users, m) for m differences of the same users.
    samples
        Times that the users are drawn with replacement.
    level
        Share of the samples' means that the interval holds.
    rng
        Seed.

    Returns
    -------
    low, high
        Floats, or float64 of shape (m,). NaN without users.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if not n:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    generator = np.random.default_rng(rng)
    means = []
    for start in range(0, samples, _BLOCK):
        drawn = generator.integers(0, n, (min(_BLOCK, samples - start), n))
        # How often each user was drawn: a sample's mean is one row of a product.
        counts = np.apply_along_axis(np.bincount, 1, drawn, None, n)
        means.append(counts @ values / n)
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def permutation_test(differences: npt.ArrayLike, *, samples: int = 5000, rng: int = 0) -> float:
    """Two-sided p of a mean difference of 0, by swapping the two models of random users.

    The difference as it is counts as one of the samples (Phipson & Smyth 2010), so p is at least 1 / (samples + 1).

    Parameters
    ----------
    differences
        Float of shape (n_users,).
    samples
        Random swaps.
    rng
        Seed.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    generator = np.random.default_rng(rng)
    # Sums of the same numbers in another order differ in the last bits.
    seen = abs(values.sum()) * (1 - 1e-12)
    extreme = 0
    for start in range(0, samples, _BLOCK):
        signs = generator.integers(0, 2, (min(_BLOCK, samples - start), len(values))) * 2 - 1
        extreme += int((np.abs(signs @ values) >= seen).sum())
    return (extreme + 1) / (samples + 1)


def holm(p_values: npt.ArrayLike) -> Values:
    """P values corrected for their number (Holm 1979), float64 of the shape given (one dimension)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1.0)
