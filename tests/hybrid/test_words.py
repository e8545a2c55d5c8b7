"""Words that are counted once and followed from change to change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kgenre.hybrid.signals.words import Words

TEXT = st.one_of(
    st.none(),
    st.lists(st.sampled_from(["a", "lonely", "keeper", "of", "old", "light"]), max_size=6).map(" ".join),
)


@given(
    texts=st.lists(TEXT, min_size=1, max_size=6),
    now=st.lists(TEXT, min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_words_after_a_change_are_those_counted_anew(
    texts: list[str | None], now: list[str | None], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stay = min(len(texts), len(now), int(rng.integers(0, 6)))
    items = np.full(len(texts), -1)
    items[np.sort(rng.choice(len(texts), stay, replace=False))] = np.sort(
        rng.choice(len(now), stay, replace=False)
    )
    for was, place in enumerate(items):
        if place >= 0 and rng.random() < 0.7:
            now[place] = texts[was]
    found, anew = Words.of(texts, len(texts)).after(texts, now, items), Words.of(now, len(now))
    mine, theirs = (
        dict(zip(words.keys.tolist(), words.counts.toarray().T, strict=True)) for words in (found, anew)
    )
    for key in mine.keys() | theirs.keys():
        nothing = np.zeros(len(now))
        np.testing.assert_array_equal(mine.get(key, nothing), theirs.get(key, nothing))
