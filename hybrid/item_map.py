"""Items on a plane by their vectors: what is near is alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kgenre.graph import KnowledgeGraph
from kgenre.graph.columns import ITEM_ID, NAME
from kgenre.graph.errors import ConfigError, DataError, UnknownIdError, did_you_mean
from kgenre.graph.html import page, wrap

from .data import FloatArray
from .holding import Holding
from .map_reasons import near_reasons
from .phrases import Phrases, relation_words
from .reasons import Reason
from .wording import Wording

METHODS = ("pca", "tsne")
_WIDTH, _HEIGHT, _MARGIN = 860, 560, 14
# Readable on white and on black alike.
_PALETTE = ("#4d8dda", "#f16767", "#4fae5c", "#c98a1b", "#a46bd6", "#1fa7a0", "#d5619b", "#8a7a5c")
_OTHER = "#9aa3b2"
_RINGS = {
    None: " fill-opacity='.75'",
    "liked": " stroke='currentColor' stroke-width='1.5'",
    "listed": " stroke='currentColor' stroke-width='4'",
}
_MOST = 5_000
"""Points of a picture; beyond them the most liked are drawn."""


class Maps(Holding):
    """The map that a `HybridRecommender` draws of its items."""

    def _vectors(self) -> FloatArray:
        raise NotImplementedError

    def recommend_blocks(
        self, users: Sequence[str] | None = None, k: int = 10, *, candidates: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Top lists, a frame per block of users."""
        raise NotImplementedError

    def strongest_reason(self, user: str, item: str) -> Reason | None:
        """The strongest reason that speaks for an item."""
        raise NotImplementedError

    def map(
        self,
        color: str | None = None,
        *,
        method: str = "pca",
        user: str | None = None,
        k: int = 10,
        language: str | Phrases = "en",
    ) -> "ItemMap":
        """The items on a plane by the vectors that `write_vectors` stores: what is near is alike to the model.

        Parameters
        ----------
        color
            A relation of the items (``DIRECTED_BY``) or a property of theirs (``year``); None colours nothing.
        method
            ``pca`` or ``tsne``; see `kgenre.hybrid.item_map.item_map`.
        user, k
            Whose likes and whose list of `k` items are marked; the reasons of the listed are this user's.
        language
            Of the reasons: ``en``, ``zh`` or `Phrases`. The user's own are in English.

        Raises
        ------
        ConfigError
            For an unknown method, or if fewer than three items have vectors.
        UnknownIdError
            For an unknown user, or if no item has such a relation or property.
        """
        found = item_map(self.state.kg, self._vectors(), color, method, language)
        if user is None:
            return found
        listed = [item for frame in self.recommend_blocks([user], k) for item in frame[ITEM_ID]]
        reasons = {item: self.strongest_reason(user, item) for item in listed}
        kg = self.state.kg
        liked = kg.items.vocabulary.ids[kg.likes[kg.users.vocabulary.get(user)].indices]
        return found.of_user(set(liked), {item: one.text if one else "" for item, one in reasons.items()})


@dataclass(frozen=True, eq=False)
class ItemMap:
    """Items on a plane; in Jupyter a picture, where an item says its name and fact under the mouse.

    Attributes
    ----------
    frame
        item_id, name, x, y, group (what it is coloured by; None where nothing is known), likes, reason (why it is
        there or why it is listed; None for what is not drawn), mark (``liked``, ``listed`` or None).
    color
        The relation or property that the groups are of, or None.
    notices
        How the plane was found, and what is not drawn.
    """

    frame: pd.DataFrame
    color: str | None
    notices: tuple[str, ...]

    def of_user(self, liked: set[str], listed: dict[str, str]) -> "ItemMap":
        """The same with a user's likes marked, and a list with its reasons."""
        ids = self.frame[ITEM_ID]
        mark = pd.Series([None] * len(ids), dtype=object)
        mark[ids.isin(liked)], mark[ids.isin(listed)] = "liked", "listed"
        reason = [listed.get(item) or there for item, there in zip(ids, self.frame["reason"], strict=True)]
        notice = "A ring around what the user likes, a thick one around what is recommended to them."
        frame = self.frame.assign(mark=mark, reason=pd.Series(reason, dtype=object))
        return replace(self, frame=frame, notices=(*self.notices, notice))

    def to_html(self) -> str:
        """A page of its own that opens from disk and fetches nothing."""
        return page("Map of the items", self._repr_html_())

    def save(self, path: str | Path) -> None:
        """Write `to_html` into a file; raises `DataError` if it cannot be written."""
        try:
            Path(path).write_text(self.to_html(), encoding="utf-8")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"<ItemMap: {len(self.frame):,} items{f' by {self.color}' if self.color else ''}>"

    def _repr_html_(self) -> str:
        drawn = _most_liked(self.frame)
        groups = _groups(self.frame["group"])
        points = "".join(
            map(
                _point,
                *_placed(drawn),
                drawn[NAME],
                drawn["group"],
                drawn["group"].map(groups),
                drawn["reason"],
                drawn["mark"],
            )
        )
        notices = list(self.notices)
        if len(drawn) < len(self.frame):
            notices.append(f"The {_MOST:,} most liked of {len(self.frame):,} items are drawn.")
        return wrap(
            f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}' role='img' "
            f"aria-label='{len(drawn)} items on a plane'>{points}</svg>{self._legend(groups)}"
            + "".join(f"<p class='kg-note'>{escape(notice)}</p>" for notice in notices)
        )

    def _legend(self, groups: dict[str, str]) -> str:
        if self.color is None:
            return ""
        rest = self.frame["group"].map(groups).isna().sum()
        entries = [*groups.items(), *([(f"{rest:,} others", _OTHER)] if rest else [])]
        shown = "".join(
            f"<span style='white-space:nowrap'><svg width='10' height='10'><circle cx='5' cy='5' r='5' "
            f"fill='{colour}'/></svg> <bdi>{escape(_cut(group))}</bdi></span>"
            for group, colour in entries
        )
        return f"<p style='display:flex;flex-wrap:wrap;gap:.2rem 1rem'>{shown}</p>"


def item_map(
    kg: KnowledgeGraph,
    vectors: FloatArray,
    color: str | None = None,
    method: str = "pca",
    language: str | Phrases = "en",
) -> ItemMap:
    """Lay items out by their vectors.

    Parameters
    ----------
    kg
        The graph.
    vectors
        Shape (n_items, d); rows of NaN are left out. Lengths do not matter: rows are normalised.
    color
        A relation of the items, or a property of theirs; None colours nothing.
    method
        ``pca``: the two directions of the largest variance, so that distances are as true as two dimensions allow.
        ``tsne`` (van der Maaten and Hinton, 2008; scikit-learn's): neighbours stay together, distances between
        groups mean nothing.
    language
        Of the reasons.

    Raises
    ------
    ConfigError
        For an unknown method, or if fewer than three items have vectors.
    UnknownIdError
        If no item has such a relation or property.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; use one of {', '.join(METHODS)}")
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1) & (np.abs(vectors).sum(axis=1) > 0))
    if len(known) < 3:
        raise ConfigError(f"{len(known)} items have vectors, and a map takes three; give the items texts")
    rows = vectors[known].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows.copy()
    rows -= rows.mean(axis=0)
    place, how = _pca(rows) if method == "pca" else _tsne(rows)
    likes = np.asarray(kg.likes.sum(axis=0)).ravel()
    groups = [None] * kg.n_items if color is None else _facts(kg, color)
    frame = pd.DataFrame(
        {
            ITEM_ID: kg.items.vocabulary.ids[known],
            NAME: [kg.items.name(int(row)) for row in known],
            "x": place[:, 0],
            "y": place[:, 1],
            "group": pd.Series([groups[row] for row in known], dtype=object),
            "likes": likes[known].astype(np.int64),
            "reason": pd.Series([None] * len(known), dtype=object),
            "mark": pd.Series([None] * len(known), dtype=object),
        }
    )
    drawn = _most_liked(frame).index.to_numpy()
    frame.loc[drawn, "reason"] = near_reasons(kg, units[drawn], known[drawn], Phrases.of(language))
    notices = [how]
    if len(known) < kg.n_items:
        notices.append(f"{kg.n_items - len(known):,} items without a vector are left out.")
    return ItemMap(frame, None if color is None else relation_words(color), tuple(notices))


def _pca(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], str]:
    values, axes = np.linalg.eigh(rows.T @ rows)
    place = rows @ axes[:, [-1, -2]]
    # A direction has no sign of its own; the heavier side is the right one, so that a map is the same every time.
    place *= np.where((place**3).sum(axis=0) < 0, -1.0, 1.0)
    share = values[-2:].sum() / max(values.sum(), 1e-12)
    return place, f"The two main directions of the vectors; they hold {share:.0%} of the variance."


def _tsne(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], str]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(rows) - 1) / 3)
    place = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(rows)
    return np.asarray(place, dtype=np.float64), "t-SNE: who is near is alike; far apart means nothing more."


def _facts(kg: KnowledgeGraph, color: str) -> list[str | None]:
    """What an item is coloured by: of several entities the one that most items have, so that groups are few."""
    matrices = kg.item_facts()
    if color in matrices:
        matrix = matrices[color]
        common = np.diff(matrix.tocsc().indptr)
        chosen: list[int | None] = []
        for row in range(kg.n_items):
            nodes = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
            chosen.append(int(nodes[common[nodes].argmax()]) if len(nodes) else None)
        called = _called(kg, color, chosen, common)
        return [None if node is None else called[node] for node in chosen]
    properties = kg.items.properties
    if color in properties.column_names:
        values: list[Any] = properties.column(color).to_pylist()
        return [None if value is None else str(value) for value in values]
    known = [*matrices, *properties.column_names]
    raise UnknownIdError(
        f"the items have no relation or property {color!r}; they have {', '.join(known) or 'none'}"
        f"{did_you_mean(color, known)}"
    )


def _called(
    kg: KnowledgeGraph, color: str, chosen: list[int | None], common: npt.NDArray[Any]
) -> dict[int, str]:
    """Names of entities; those without one are numbered, the commonest first."""
    wording, words = Wording(kg, Phrases.of("en")), relation_words(color).removesuffix("^-1")
    nodes = {node for node in chosen if node is not None}
    named = {node: wording.entity(node) for node in nodes if wording.is_named(node)}
    nameless = sorted(nodes - named.keys(), key=lambda node: (-int(common[node]), node))
    return named | {node: f"{words} {place}, without a name" for place, node in enumerate(nameless, 1)}


def _groups(group: "pd.Series[Any]") -> dict[str, str]:
    """A colour for each of the largest groups."""
    largest = group.dropna().value_counts().head(len(_PALETTE)).index
    return dict(zip(map(str, largest), _PALETTE, strict=False))


def _most_liked(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.nlargest(_MOST, "likes") if len(frame) > _MOST else frame


def _placed(frame: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    def scaled(values: Any, size: int) -> npt.NDArray[np.float64]:
        low, high = float(values.min()), float(values.max())
        found = _MARGIN + (values.to_numpy() - low) / ((high - low) or 1.0) * (size - 2 * _MARGIN)
        return np.asarray(found, dtype=np.float64)

    return scaled(frame["x"], _WIDTH), _HEIGHT - scaled(frame["y"], _HEIGHT)


def _point(
    x: float, y: float, name: str, group: str | None, colour: Any, reason: str | None, mark: str | None
) -> str:
    called = _cut(name, 120) if group is None else f"{_cut(name, 120)}: {_cut(group, 120)}"
    words = "\n".join((called, _cut(reason, 300)) if reason else (called,))
    fill = colour if isinstance(colour, str) else _OTHER
    return (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{4.5 if mark is None else 6}' fill='{fill}'{_RINGS[mark]}>"
        f"<title>{escape(words)}</title></circle>"
    )


def _cut(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
