"""The columns that a closed form has for items that are new: solved with the likes that it was learned from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from kgenre.hybrid.data import FloatArray, SignalData

from .base import Since, dense
from .together import Together, liked_together, together_now


@dataclass(frozen=True, eq=False)
class NewColumns:
    """What ``P diag(L) M0`` is solved with; kept from change to change.

    Attributes
    ----------
    prior
        Float32 (n_items, n_new): the new items' columns of M0.
    together
        See `liked_together`.
    factor, penalty
        Cholesky factor of ``G + diag L`` of the items that somebody likes, and their L; both times the mean weight of a
        user.
    """

    prior: FloatArray
    together: Together
    factor: FloatArray
    penalty: FloatArray

    def solved(self, prior: FloatArray) -> FloatArray:
        """The liked items' rows of the columns, given theirs of the prior."""
        pulled = self.penalty[:, None] * prior
        return np.asarray(linalg.cho_solve((self.factor, False), pulled, check_finite=False))


def new_columns(
    data: SignalData,
    user_power: float,
    penalty_of: Callable[[FloatArray], FloatArray],
    prior: FloatArray,
    before: NewColumns | None,
    since: Since | None,
) -> NewColumns:
    """What the columns of new items are solved with, by what it was before a change where that is known.

    Parameters
    ----------
    data
        The likes that were learned from.
    user_power
        A user counts ``|history|^-user_power``, over the mean.
    penalty_of
        L, by the diagonal of the Gram matrix.
    prior
        The new items' columns of M0.
    before, since
        What there was, and the change.
    """
    together = None
    if before is not None and since is not None:
        if since.same_likes:
            return replace(before, prior=prior)
        together = together_now(before.together, user_power, data, since)
    if together is None:
        together = liked_together(data, user_power)
    users = np.maximum(data.user_degree, 1.0) ** -user_power
    mean = np.float32(users.mean() if len(users) else 1.0)
    own = np.asarray(data.likes.T @ users, dtype=np.float32)[data.item_degree > 0]
    penalty = mean * penalty_of(own / mean)
    system = dense(together).copy()
    system[np.diag_indices_from(system)] = own + penalty
    # Symmetric, so that the transposed view is the same matrix in the order that LAPACK works on in place.
    factor, _ = linalg.cho_factor(system.T, overwrite_a=True, check_finite=False)
    return NewColumns(prior, together, factor, penalty)
