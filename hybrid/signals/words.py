"""Words of texts, counted once: where a text changes only that one is read again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pandas.util import hash_array
from scipy import sparse

from kgenre.hybrid.data import SignalData

Texts = Sequence[str | None]
WORD = re.compile(r"\w+")
_WORDS = "words"


@dataclass(frozen=True, eq=False)
class Words:
    """Words and pairs of neighbouring words of the items' texts.

    Attributes
    ----------
    counts
        Float32 CSR of shape (n_items, n_words): how often each text has each.
    keys
        uint64 of shape (n_words,): 64-bit hash of each word, which a word that comes again is known by.
    """

    counts: sparse.csr_matrix
    keys: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Texts, n_items: int) -> "Words":
        """The words of some texts, in the order in which they come."""
        counts, words = counted(texts, n_items, pairs=True)
        return cls(counts, hash_array(np.array(words, dtype=object), categorize=False))

    def after(self, before: Texts, texts: Texts, items: npt.NDArray[np.int64]) -> "Words":
        """The words after a change; new ones come last, and none is left out that no text has any more.

        Parameters
        ----------
        before, texts
            The texts that were, and those of now.
        items
            Where each item is now; -1 where it is gone.
        """
        own = np.full(len(texts), -1, dtype=np.int64)
        own[items[items >= 0]] = np.flatnonzero(items >= 0)
        changed = [place for place, was in enumerate(own.tolist()) if was < 0 or before[was] != texts[place]]
        read = Words.of([texts[place] for place in changed], len(changed))
        order = np.argsort(self.keys)
        place = np.minimum(np.searchsorted(self.keys, read.keys, sorter=order), max(len(order) - 1, 0))
        column = order[place] if len(order) else place
        new = self.keys[column] != read.keys if len(order) else np.ones(len(place), dtype=bool)
        column[new] = len(self.keys) + np.arange(int(new.sum()))
        width = len(self.keys) + int(new.sum())
        fresh = sparse.csr_matrix(
            (read.counts.data, column[read.counts.indices], read.counts.indptr), shape=(len(changed), width)
        )
        kept = sparse.csr_matrix(
            (self.counts.data, self.counts.indices, self.counts.indptr), shape=(len(before), width)
        )
        own[changed] = len(before) + np.arange(len(changed))
        counts = sparse.csr_matrix(sparse.vstack([kept, fresh], format="csr")[own])
        return Words(counts, np.concatenate((self.keys, read.keys[new])))


def words_of(data: SignalData) -> Words:
    """The words of all items' texts, kept with the data."""
    if _WORDS not in data._knowledge:
        data._knowledge[_WORDS] = Words.of(data.texts, data.n_items)
    found: Words = data._knowledge[_WORDS]
    return found


def carry_words(before: SignalData, after: SignalData, items: npt.NDArray[np.int64]) -> None:
    """Keep what was read of texts that stay as they are, where anybody had asked for it."""
    if _WORDS in before._knowledge:
        after._knowledge[_WORDS] = before._knowledge[_WORDS].after(before.texts, after.texts, items)


def counted(texts: Texts, n_items: int, pairs: bool = False) -> tuple[sparse.csr_matrix, list[str]]:
    """Counts of each word (with `pairs` also of each two in a row) in each text, and the words.

    Float32 CSR of shape (n_items, n_words), at least one column wide.
    """
    index: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for row, text in enumerate(texts):
        words = WORD.findall((text or "").casefold())
        if pairs:
            words += [f"{one} {two}" for one, two in pairwise(words)]
        rows += [row] * len(words)
        columns += [index.setdefault(word, len(index)) for word in words]
    ones = np.ones(len(rows), dtype=np.float32)
    counts = sparse.csr_matrix((ones, (rows, columns)), shape=(n_items, max(len(index), 1)))
    counts.sum_duplicates()
    return counts, list(index) or [""]
