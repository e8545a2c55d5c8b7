"""Reasons as a small inline SVG: what was liked, what connects, what is recommended."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from kgenre.graph import KnowledgeGraph

from .paths import FactPath
from .phrases import relation_words
from .reasons import Reason
from .wording import Wording

_WIDTH, _BOX, _HEIGHT, _STEP = 700, 186, 30, 52
_LEFT, _MIDDLE, _RIGHT = _BOX / 2 + 1, _WIDTH / 2, _WIDTH - _BOX / 2 - 1
_FITS = 25
"""Letters of 13 px in a box; a longer name is cut, and whole in its tooltip."""


@dataclass(frozen=True)
class Through:
    """What leads from something liked to the item, when it is no fact.

    Attributes
    ----------
    start
        Id of what was liked.
    middle
        What stands between, in words.
    words
        What both edges say.
    kind
        ``people`` or ``words``.
    """

    start: str
    middle: str
    words: str
    kind: str


def reason_picture(kg: KnowledgeGraph, reasons: Sequence[Reason], item: int, wording: Wording) -> str:
    """What a list's reasons for an item look like; empty where there is nothing to draw."""
    paths = [path for reason in reasons for path in reason.paths]
    through = []
    for reason in reasons:
        liked = kg.items.vocabulary.get(reason.evidence) if isinstance(reason.evidence, str) else item
        if reason.kind == "history" and liked != item:
            n = wording.both_liked(liked, item)
            if n:
                people = f"{n:,} people" if n > 1 else "1 person"
                through.append(Through(str(reason.evidence), people, "liked", "people"))
        elif reason.kind == "text" and liked != item:
            common = ", ".join(wording.common_words(liked, item))
            if common:
                through.append(Through(str(reason.evidence), common, "speaks of", "words"))
    if not paths and not through:
        return ""
    return path_picture(kg, paths, through, kg.items.vocabulary[item])


def path_picture(
    kg: KnowledgeGraph, paths: Sequence[FactPath], through: Sequence[Through] = (), end: str | None = None
) -> str:
    """An SVG element of what leads to one item; nodes that several share are drawn once."""
    starts = list(dict.fromkeys([str(one.start) for one in paths] + [one.start for one in through]))
    entities: list[tuple[str, str]] = list(
        dict.fromkeys((path.relation, path.entity) for path in paths if path.entity is not None)
    )
    middles: list[tuple[str, str] | Through] = [*entities, *through]
    rows = max(len(starts), len(middles))
    height = rows * _STEP - (_STEP - _HEIGHT) + 18
    left = dict(zip(starts, _spread(len(starts), height), strict=True))
    middle = dict(zip(middles, _spread(len(middles), height), strict=True))
    end = paths[0].end if end is None else end
    lines: list[str] = []
    labels: list[str] = []
    for path in paths:
        words = relation_words(path.relation.removesuffix("^-1"))
        start = left[str(path.start)]
        if path.entity is None:
            lines.append(_line(_LEFT, start, _RIGHT, height / 2))
            labels.append(_label(_MIDDLE, (start + height / 2) / 2, words))
            continue
        y = middle[path.relation, path.entity]
        lines.append(_line(_LEFT, start, _MIDDLE, y))
        labels.append(_label((_LEFT + _MIDDLE) / 2, (start + y) / 2, words))
    for one in through:
        lines.append(_line(_LEFT, left[one.start], _MIDDLE, middle[one]))
        labels.append(_label((_LEFT + _MIDDLE) / 2, (left[one.start] + middle[one]) / 2, one.words))
    for key, y in middle.items():
        words = key.words if isinstance(key, Through) else relation_words(key[0].removesuffix("^-1"))
        lines.append(_line(_MIDDLE, y, _RIGHT, height / 2))
        labels.append(_label((_MIDDLE + _RIGHT) / 2, (y + height / 2) / 2, words))
    items = kg.items
    boxes = [_box(_LEFT, y, items.name(items.vocabulary.get(start)), "liked") for start, y in left.items()]
    for path in paths:
        if path.entity is not None:
            boxes.append(_box(_MIDDLE, middle[path.relation, path.entity], _entity_name(kg, path), "entity"))
    boxes += [_box(_MIDDLE, middle[one], one.middle, one.kind) for one in through]
    boxes.append(_box(_RIGHT, height / 2, items.name(items.vocabulary.get(end)), "goal"))
    told = [path.text for path in paths] + [f"{one.middle}: {one.words}" for one in through]
    described = escape("; ".join(told))
    return (
        f'<svg class="paths" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{described}">'
        + "".join([*dict.fromkeys(lines), *dict.fromkeys(labels), *dict.fromkeys(boxes)])
        + "</svg>"
    )


def _entity_name(kg: KnowledgeGraph, path: FactPath) -> str:
    """An entity's id is unique within its label only: of that id, it is the one that the start is linked to."""
    matrix = kg.item_facts()[path.relation]
    row = kg.items.vocabulary.get(str(path.start))
    for node in matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]:
        table, place = kg.locate(int(node))
        if table.vocabulary[place] == path.entity:
            # "Names, never ids": what has none is called by what it is.
            name: str | None = table.names[place].as_py()
            return name or f"a {table.label} without a name"
    raise AssertionError(f"{path} is not a path of this graph")


def _spread(n: int, height: float) -> list[float]:
    return [height / 2 + (place - (n - 1) / 2) * _STEP for place in range(n)]


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    mid = (x0 + x1) / 2
    return f'<path d="M{x0:g} {y0:g} C{mid:g} {y0:g} {mid:g} {y1:g} {x1:g} {y1:g}"/>'


def _label(x: float, y: float, words: str) -> str:
    return f'<text class="relation" x="{x:g}" y="{y - 8:g}">{escape(_cut(words, 16))}</text>'


def _box(x: float, y: float, name: str, kind: str) -> str:
    return (
        f'<g class="{kind}"><title>{escape(name)}</title>'
        f'<rect x="{x - _BOX / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_BOX}" height="{_HEIGHT}" rx="7"/>'
        f'<text x="{x:g}" y="{y:g}">{escape(_cut(name, _FITS))}</text></g>'
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
