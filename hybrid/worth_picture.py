"""Differences with their intervals, drawn: one SVG that stands alone."""

from html import escape
from typing import Any

import pandas as pd

from .worth_outcomes import (
    ALL,
    AS_IS,
    LIKES_ALONE,
    NO_FACTS,
    NO_TEXT,
    ONLY,
    RANDOM_LINKS,
    RANDOM_LINKS_NO_TEXT,
    WITHOUT,
)

_WORDS = {
    NO_FACTS: "facts, beside texts",
    RANDOM_LINKS: "facts over shuffled links",
    NO_TEXT: "texts, beside facts",
    LIKES_ALONE: "facts, without texts",
    RANDOM_LINKS_NO_TEXT: "the same over shuffled links",
}
_LABEL, _PANEL, _GAP, _ROW, _TOP, _LETTERS = 300, 200, 46, 20, 52, 42
_INK, _SOFT, _SURE, _NOT, _LINE = "#1d2129", "#5b6472", "#2f6fdb", "#9aa3b2", "#dde1e7"


def worth_picture(table: pd.DataFrame, title: str) -> str:
    """An SVG element: a row a variant, a panel a group; blue where the interval excludes 0."""
    table = table[table["variant"] != AS_IS]
    groups = list(dict.fromkeys(table["group"]))
    variants = list(dict.fromkeys(table["variant"]))
    plain = [name for name in variants if not name.startswith((ONLY, WITHOUT))]
    alone = table[table["variant"].str.startswith(ONLY) & (table["group"] == ALL)]
    alone = alone.sort_values("difference", ascending=False, kind="stable")
    names = [str(name).removeprefix(ONLY) for name in alone["variant"]]
    # Relations sorted by what they bring alone.
    order = plain + [
        prefix + name for name in names for prefix in (ONLY, WITHOUT) if prefix + name in variants
    ]
    width = _LABEL + len(groups) * (_PANEL + _GAP)
    height = _TOP + len(order) * _ROW + 28
    parts = [f'<rect width="{width}" height="{height}" fill="#fff"/>']
    parts.append(_text(12, 20, title, _INK, "start", bold=True))
    for place, variant in enumerate(order):
        y = _TOP + (place + 0.5) * _ROW
        label = _label(variant)
        shown = label if len(label) <= _LETTERS else label[: _LETTERS - 1] + "…"
        parts.append(f"<g><title>{escape(label)}</title>{_text(_LABEL - 12, y, shown, _INK, 'end')}</g>")
    for place, group in enumerate(groups):
        left = _LABEL + place * (_PANEL + _GAP)
        parts.append(_panel(table[table["group"] == group].set_index("variant"), group, order, left, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _label(variant: str) -> str:
    if variant.startswith(ONLY):
        return f"{variant.removeprefix(ONLY)} alone"
    if variant.startswith(WITHOUT):
        return f"{variant.removeprefix(WITHOUT)}, added last"
    return _WORDS.get(variant, variant)


def _panel(rows: pd.DataFrame, group: str, order: list[str], left: float, height: float) -> str:
    rows = rows.loc[[name for name in order if name in rows.index]]
    low, high = min(float(rows["low"].min()), 0.0), max(float(rows["high"].max()), 0.0)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + (value - low) / span * _PANEL

    bottom = _TOP + len(order) * _ROW
    parts = [_text(left, 42, f"{group} ({int(rows['users'].iloc[0]):,} users)", _SOFT, "start")]
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{_TOP}" y2="{bottom}" stroke="{_LINE}"/>')
    for value in sorted({low, 0.0, high}):
        parts.append(_text(x(value), bottom + 14, f"{value:+.3f}" if value else "0", _SOFT, "middle"))
    found: dict[Any, dict[Any, Any]] = rows.to_dict("index")
    for place, variant in enumerate(order):
        if variant not in found:
            continue
        one = found[variant]
        y = _TOP + (place + 0.5) * _ROW
        colour = _SURE if one["low"] > 0 or one["high"] < 0 else _NOT
        hint = f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]: {one['compared']}"
        parts.append(
            f"<g><title>{escape(hint)}</title>"
            f'<line x1="{x(one["low"]):.1f}" x2="{x(one["high"]):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="2"/><circle cx="{x(one["difference"]):.1f}" cy="{y}" r="4" fill="{colour}"/></g>'
        )
    return "".join(parts)


def _text(x: float, y: float, text: str, colour: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"{weight} '
        f'dominant-baseline="central">{escape(text)}</text>'
    )
