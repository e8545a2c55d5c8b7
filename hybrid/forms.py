"""What a signal of a large catalogue says of one history, without looking at every item.

Each is one of three things: a few entries of a sparse table, an inner product of a user's vector with the items', or
the same for everybody. Mean and deviation over all items follow from sums that are made once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import is_
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .data import FloatArray
from .signals import GNN, Popularity, ScaledSVD, Signal
from .signals.base import ItemSimilaritySignal
from .signals.similarity import Similarity

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Items = npt.NDArray[np.int64]
Places = Items | slice
"""Items by index, or with a slice all of them."""
_ROWS = 65_536
"""Item vectors whose squares are summed at once."""


class Sums(NamedTuple):
    """Over the items that a signal can judge: how many there are, the sum of their scores, and that of the squares."""

    n: float
    total: float
    squares: float

    def less(self, scores: Float) -> "Sums":
        """Without some of the items, given their scores."""
        return Sums(
            self.n - len(scores), self.total - float(scores.sum()), self.squares - float(scores @ scores)
        )

    def standard(self) -> tuple[float, float]:
        """Mean, and one over the deviation, 0 where there is no spread; see `fusion.standardise_in_place`."""
        n = max(self.n, 1.0)
        mean = self.total / n
        deviation = np.sqrt(max(self.squares / n - mean * mean, 0.0))
        spread = deviation > max(abs(mean), 1.0) * 1e-6
        return float(mean), float(1.0 / deviation) if spread else 0.0


@dataclass(frozen=True, eq=False)
class Table:
    """A score that is a sum of the history's rows of a sparse item-item table.

    Attributes
    ----------
    rows
        CSR of shape (n_items, n_items).
    blind
        Items of which the signal knows nothing, boolean of shape (n_items,).
    """

    rows: sparse.csr_matrix
    blind: Bool

    @cached_property
    def known(self) -> int:
        """Number of items that are not blind."""
        return len(self.blind) - int(self.blind.sum())

    def entries(self, history: sparse.csr_matrix) -> tuple[npt.NDArray[np.int32], Float]:
        """Items and values that sum to the scores, an item as often as it is in a row of the history's."""
        found = self.rows[history.indices]
        return found.indices, found.data * np.repeat(history.data.astype(np.float64), np.diff(found.indptr))

    def differs(self, other: "Form", old: Places, now: Places) -> Bool:
        """Of which items another form knows something where this did not, or nothing where it did."""
        assert isinstance(other, Table)
        return np.asarray(self.blind[old] != other.blind[now])

    def sums(self, values: Float) -> Sums:
        """Of all items that are not blind, given those of their scores that are not 0."""
        return Sums(self.known, float(values.sum()), float(values @ values))


@dataclass(frozen=True, eq=False)
class Product:
    """A score that is an inner product of a user's vector with the items', and an item's bias.

    Attributes
    ----------
    vectors
        float32 of shape (n_items, d) each: the item vectors are these side by side. Rows of blind items are of no
        account.
    bias
        float32 of shape (n_items,), or None.
    blind
        As in `Table`.
    user
        The vector of a history, float32 of shape (d of all,); NaN where there is none.
    """

    vectors: tuple[FloatArray, ...]
    bias: FloatArray | None
    blind: Bool
    user: Callable[[sparse.csr_matrix], FloatArray]

    def rows(self, items: Places) -> FloatArray:
        """The vectors of some items, those of blind ones 0; the bias is a last coordinate."""
        parts = [table[items] for table in self.vectors]
        if self.bias is not None:
            parts.append(self.bias[items, None])
        found = np.concatenate(parts, axis=1)
        found[self.blind[items]] = 0.0
        return found

    def query(self, history: sparse.csr_matrix) -> FloatArray:
        """The vector whose product with `rows` is the score."""
        own = self.user(history)
        return own if self.bias is None else np.append(own, np.float32(1.0))

    def scores(self, query: FloatArray, items: Items) -> FloatArray:
        """The scores of some items, 0 for blind ones."""
        return np.asarray(self.rows(items) @ query, dtype=np.float32)

    @cached_property
    def moments(self) -> tuple[int, Float, Float]:
        """Number of items that are not blind, mean of their vectors, and second moments about it."""
        n = len(self.blind)
        size = sum(table.shape[1] for table in self.vectors) + (self.bias is not None)
        total, squares = np.zeros(size), np.zeros((size, size))
        for start in range(0, n, _ROWS):
            part = self.rows(slice(start, start + _ROWS)).astype(np.float64)
            total += part.sum(axis=0)
            squares += part.T @ part
        known = n - int(self.blind.sum())
        mean = total / max(known, 1)
        return known, mean, squares - known * np.outer(mean, mean)

    def differs(self, other: "Form", old: Places, now: Places) -> Bool:
        """Which items have other vectors than those of another form."""
        assert isinstance(other, Product)
        blind, still = self.blind[old], other.blind[now]
        if len(self.vectors) != len(other.vectors) or (self.bias is None) != (other.bias is None):
            return np.ones(len(blind), dtype=bool)
        found = np.zeros(len(blind), dtype=bool)
        for one, two in zip(self._columns, other._columns, strict=True):
            if one.shape[1:] != two.shape[1:]:
                return np.ones(len(blind), dtype=bool)
            if one is two and isinstance(old, slice):
                continue
            for start in range(0, len(blind), _ROWS):
                part = slice(start, start + _ROWS)
                first, second = (
                    table[part] if isinstance(places, slice) else table[places[part]]
                    for table, places in ((one, old), (two, now))
                )
                found[part] |= (first != second).reshape(len(first), -1).any(axis=1)
        # Rows of blind items are of no account.
        return np.asarray((found & ~blind) | (blind != still))

    def after(self, before: "Product") -> "Product":
        """Itself, with the moments of another where that has the same vectors."""
        same = len(self._columns) == len(before._columns) and all(map(is_, self._columns, before._columns))
        if same and np.array_equal(self.blind, before.blind):
            self.__dict__["moments"] = before.moments
        return self

    @property
    def _columns(self) -> tuple[FloatArray, ...]:
        return self.vectors if self.bias is None else (*self.vectors, self.bias)

    def sums(self, query: FloatArray) -> Sums:
        """Of all items that are not blind."""
        known, mean, second = self.moments
        own = query.astype(np.float64)
        middle = float(own @ mean)
        return Sums(known, known * middle, float(own @ second @ own) + known * middle**2)


@dataclass(frozen=True, eq=False)
class Fixed:
    """A score that is the same for everybody: `values`, float32 of shape (n_items,)."""

    values: FloatArray

    @cached_property
    def blind(self) -> Bool:
        """No item is."""
        return np.zeros(len(self.values), dtype=bool)

    def differs(self, other: "Form", old: Places, now: Places) -> Bool:
        """Which items' values are others by more than a tenth of the deviation: less moves no search."""
        assert isinstance(other, Fixed)
        _, scale = self.all.standard()
        return np.asarray(np.abs(self.values[old] - other.values[now]) * scale > 0.1)

    @cached_property
    def all(self) -> Sums:
        """Of all items."""
        values = self.values.astype(np.float64)
        return Sums(len(values), float(values.sum()), float(values @ values))


Form = Table | Product | Fixed


class Opinions:
    """What some signals say of one history.

    Parameters
    ----------
    forms
        The signals.
    history
        CSR of shape (1, n_items), with at least one entry.
    seen
        Items that are left out of means and deviations.

    Attributes
    ----------
    touched
        Items that a table says something of, sorted.
    moments
        Of each signal the mean and one over the deviation, both 0 where it cannot say anything of anybody.
    queries
        Of each product the user's vector; None of others and where there is none.
    """

    def __init__(self, forms: Sequence[Form], history: sparse.csr_matrix, seen: Items) -> None:
        self.forms = tuple(forms)
        n_items = history.shape[1]
        entries = [form.entries(history) if isinstance(form, Table) else None for form in forms]
        # Of all items only marks are made: they cost a byte each.
        self._is_touched = np.zeros(n_items, dtype=bool)
        for entry in entries:
            if entry is not None:
                self._is_touched[entry[0]] = True
        self.touched = np.flatnonzero(self._is_touched)
        self._place = np.empty(n_items, dtype=np.int32)
        self._place[self.touched] = np.arange(len(self.touched), dtype=np.int32)
        self.queries: list[FloatArray | None] = []
        self._values: list[Float | None] = []
        self.moments: list[tuple[float, float]] = []
        for form, entry in zip(forms, entries, strict=True):
            query = form.query(history) if isinstance(form, Product) else None
            self.queries.append(query if query is not None and np.isfinite(query).all() else None)
            self._values.append(None if entry is None else self._summed(form, *entry))
            self.moments.append(self._moments(len(self.moments), seen))

    def standard(self, items: Items) -> Float:
        """What each signal says of some items, standardised, of shape (n_signals, n); NaN where it is blind."""
        found = np.empty((len(self.forms), len(items)))
        for signal, (form, (mean, scale)) in enumerate(zip(self.forms, self.moments, strict=True)):
            found[signal] = (self._scores(signal, items) - mean) * scale
            found[signal, form.blind[items]] = np.nan
        return found

    def of_tables(self, weights: Float) -> Float:
        """What tables bring to the scores of what is touched, beside what they bring where they say nothing.

        Given each signal's weight, of shape (n_signals, 1) or (n_signals, n_touched).
        """
        total = np.zeros(len(self.touched))
        for values, weight, (_, scale) in zip(self._values, weights, self.moments, strict=True):
            if values is not None:
                total += weight * scale * values
        return total

    def beside_tables(self, standard: Float, weights: Float) -> Float:
        """The scores of some items but for that, given what is `standard` of them."""
        total = np.zeros(standard.shape[1])
        for form, values, weight, (mean, scale) in zip(
            self.forms, standard, weights, self.moments, strict=True
        ):
            own = -mean * scale if isinstance(form, Table) else values
            total += weight * np.where(np.isnan(values), 0.0, own)
        return total

    def _summed(self, form: Form, items: npt.NDArray[np.int32], values: Float) -> Float:
        assert isinstance(form, Table)
        summed = np.asarray(np.bincount(self._place[items], values, len(self.touched)), dtype=np.float64)
        summed[form.blind[self.touched]] = 0.0
        return summed

    def _scores(self, signal: int, items: Items) -> npt.NDArray[np.floating]:
        form, query, values = self.forms[signal], self.queries[signal], self._values[signal]
        if isinstance(form, Fixed):
            return form.values[items]
        if isinstance(form, Product):
            return np.full(len(items), np.nan) if query is None else form.scores(query, items)
        assert values is not None
        found = np.zeros(len(items))
        there = self._is_touched[items]
        found[there] = values[self._place[items[there]]]
        return found

    def _moments(self, signal: int, seen: Items) -> tuple[float, float]:
        form, query, values = self.forms[signal], self.queries[signal], self._values[signal]
        if isinstance(form, Fixed):
            sums = form.all
        elif isinstance(form, Table):
            assert values is not None
            sums = form.sums(values)
        elif query is None:
            return 0.0, 0.0
        else:
            sums = form.sums(query)
        seen = seen[~form.blind[seen]]
        return sums.less(self._scores(signal, seen).astype(np.float64)).standard()


def has_form(signal: Signal) -> bool:
    """Whether what a signal says of one history is one of the three."""
    if isinstance(signal, ItemSimilaritySignal):
        return bool(sparse.issparse(signal.similarity))
    if isinstance(signal, Similarity):
        return bool(signal.config.method == "cosine")
    return isinstance(signal, Popularity | GNN | ScaledSVD)


def form_of(signal: Signal, before: Form | None = None) -> Form:
    """What a signal that has a form says of one history; sums over vectors that `before` had already are its."""
    if isinstance(signal, ItemSimilaritySignal):
        return Table(sparse.csr_matrix(signal.similarity), signal.blind)
    if isinstance(signal, Popularity):
        return Fixed(signal.share)
    if isinstance(signal, GNN):
        product = _of_encoders(signal)
    elif isinstance(signal, ScaledSVD):
        product = _of_factors(signal)
    else:
        assert isinstance(signal, Similarity)
        product = _of_cosine(signal)
    return product.after(before) if isinstance(before, Product) else product


def _of_encoders(signal: GNN) -> Product:
    encoders = signal.encoders
    biases = [encoder.item_bias for encoder in encoders if encoder.item_bias is not None]
    blind = signal.blind.copy()
    for encoder in encoders:
        blind |= np.isnan(encoder.item_vectors[:, 0])

    def user(history: sparse.csr_matrix) -> FloatArray:
        own = [encoder.user_vectors(history)[0] / encoder.config.temperature for encoder in encoders]
        return np.asarray(np.concatenate(own) / len(encoders), dtype=np.float32)

    bias = None
    if biases:
        bias = biases[0] if len(encoders) == 1 else np.asarray(sum(biases) / len(encoders), np.float32)
    return Product(tuple(encoder.item_vectors for encoder in encoders), bias, blind, user)


def _of_factors(signal: ScaledSVD) -> Product:
    def user(history: sparse.csr_matrix) -> FloatArray:
        own: FloatArray = np.asarray(history @ signal.inward, dtype=np.float32)[0]
        return own

    return Product((signal.outward,), None, signal.blind, user)


def _of_cosine(signal: Similarity) -> Product:
    def user(history: sparse.csr_matrix) -> FloatArray:
        profile = np.asarray(history @ signal.vectors, dtype=np.float32)[0]
        return np.asarray(profile / np.maximum(np.linalg.norm(profile), 1e-12), dtype=np.float32)

    return Product((signal.vectors,), None, signal.blind, user)
