"""What users say of items, in the items' text vectors.

An item's vector is ``b = unit(t + w mean(r))`` with its own text's vector t, the vectors r of what is said of it, each
counting as much as it is an opinion, and w = ``review_weight``. A user's profile is made of what they like, and so of
b. Only the signal ``text`` reads b: what was learned, was learned from the texts.

It is computed from the texts that stand: one whose interaction was taken back, replaced or forgotten is gone from it.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph

from .data import FloatArray, SignalData
from .events import Event, Said
from .signals import TextCosine
from .signals.base import Moves, Since
from .signals.features import unit
from .state import ModelState
from .texts import item_vectors

CHUNK = 1_000
"""Characters of a text that are encoded at once: about what the encoder reads before it stops."""
PLAIN = "plain."
"""Before the names of the arrays of the signal without what is said."""


Words = Mapping[str, Mapping[str, Said]]
"""What is said, by user and by item."""


class Spoken(TextCosine):
    """The signal ``text`` with what users say in the items' vectors, and without it, for when that changes."""

    plain: TextCosine

    @classmethod
    def of(cls, plain: TextCosine, blended: Mapping[str, npt.NDArray[Any]]) -> "Spoken":
        """From the signal without, and the arrays of one with it."""
        spoken = cls(plain.config)
        spoken.plain = plain
        return spoken.restore(blended)

    def extend(self, data: SignalData, moves: Moves) -> Any:
        """As it would be without what is said, which `spoken` brings in again."""
        return self.plain.extend(data, moves)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:  # noqa: D102
        return super().arrays() | {PLAIN + name: array for name, array in self.plain.arrays().items()}


def saying(said: Words, events: Iterable[Event], texts: Mapping[str, str]) -> Words:
    """What is said after some events, of which some have texts, by event id: only what comes with the latest stays."""
    found = dict(said)
    for event in events:
        own = dict(found.get(event.user, {}))
        text = texts.get(event.event_id) if event.weight else None
        if text:
            own[event.item] = Said(event.event_id, text)
        elif event.item in own and own[event.item].event_id != event.event_id:
            del own[event.item]
        found[event.user] = own
    return {user: own for user, own in found.items() if own}


def standing_words(
    kg: KnowledgeGraph, said: Words, events: Callable[[str], Mapping[str, Event]]
) -> tuple[Words, dict[str, list[tuple[float, str]]]]:
    """What is said and stands, and by item each opinion's size with its text, in the order of the users.

    Parameters
    ----------
    kg
        A graph with the items of now.
    said
        What was said.
    events
        A user's events that count, by item; empty for one who is unknown.
    """
    standing: dict[str, dict[str, Said]] = {}
    by_item: dict[str, list[tuple[float, str]]] = {}
    for user in sorted(said):
        own = events(user)
        for item, words in sorted(said[user].items()):
            event = own.get(item)
            if event is None or event.event_id != words.event_id or not event.weight:
                continue
            if item in kg.items.vocabulary:
                standing.setdefault(user, {})[item] = words
                by_item.setdefault(item, []).append((min(abs(event.weight), 1.0), words.text))
    return standing, by_item


def spoken(
    state: ModelState,
    encoder: TextEncoder,
    said: Words | None = None,
    events: Callable[[str], Mapping[str, Event]] | None = None,
) -> ModelState:
    """The state with what is said in its signal ``text``: a function of the state without it and of what is said.

    Parameters
    ----------
    state
        The model; its graph may be older than the events.
    encoder
        Encodes what is new.
    said
        What is said; by default what the state knows.
    events
        A user's events that count; by default those that the state knows.
    """
    said = state.drift.said if said is None else said
    if not said and not state.drift.said:
        return state
    known = state.drift.events
    said, by_item = standing_words(state.kg, said, events or (lambda user: known.get(user, {})))
    signals = list(state.signals)
    for place, signal in enumerate(signals):
        if isinstance(signal, TextCosine):
            plain = signal.plain if isinstance(signal, Spoken) else signal
            signals[place] = _blended(plain, state, by_item, encoder) if by_item else plain
    return replace(state, signals=tuple(signals), drift=replace(state.drift, said=said))


def _blended(
    plain: TextCosine,
    state: ModelState,
    by_item: Mapping[str, list[tuple[float, str]]],
    encoder: TextEncoder,
) -> Spoken:
    kg = state.kg
    own = item_vectors(kg, encoder)
    vectors = _read([text for opinions in by_item.values() for _, text in opinions], encoder)
    found: FloatArray = (
        np.full((kg.n_items, vectors.shape[1]), np.nan, dtype=np.float32) if own is None else own.copy()
    )
    start = 0
    for item, opinions in by_item.items():
        weights = np.array([weight for weight, _ in opinions], dtype=np.float32)
        mean = weights @ vectors[start : start + len(opinions)] / weights.sum()
        start += len(opinions)
        place = kg.items.vocabulary.get(item)
        found[place] = unit(
            (np.nan_to_num(found[place]) + np.float32(state.config.review_weight) * mean)[None]
        )[0]
    n = kg.n_items
    before, data = (
        SignalData(kg.likes, {}, kg.n_users, kg.n_nodes, item_text=texts) for texts in (own, found)
    )
    since = Since(before, np.arange(n), same_likes=True)
    blended = plain.extend(data, Moves(np.arange(n), np.arange(kg.n_nodes), n, since))
    return Spoken.of(plain, blended.arrays())


def _read(texts: Sequence[str], encoder: TextEncoder) -> FloatArray:
    """A vector of length 1 for each text, the mean over its chunks: the encoder would stop before a long one's end."""
    chunks = [textwrap.wrap(text, CHUNK) or [text] for text in texts]
    vectors = encoder.encode([chunk for own in chunks for chunk in own])
    starts = np.cumsum([0, *(len(own) for own in chunks[:-1])])
    return unit(np.add.reduceat(vectors, starts, axis=0))
