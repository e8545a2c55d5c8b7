"""The little HTML that results show themselves with: it takes the page's own colours, light or dark, and escapes."""

from html import escape

import pandas as pd

# Colours come from the text's own, so that a notebook's theme, whichever, decides.
_STYLE = """
.kgenre { font-family: system-ui, sans-serif; font-size: 13px; line-height: 1.45 }
.kgenre h4 { margin: .6rem 0 .3rem; font-size: 1rem }
.kgenre p { margin: .3rem 0 }
.kgenre .kg-note { opacity: .75 }
.kgenre .kg-beside { display: flex; flex-wrap: wrap; gap: 1rem }
.kgenre iframe { flex: 2 1 30rem; min-width: 0; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: 6px; box-sizing: border-box }
.kgenre .kg-scroll { flex: 1 1 18rem; min-width: 0; max-height: 460px; overflow: auto }
.kgenre table { border-collapse: collapse; margin: 0; width: auto; color: inherit; background: none }
.kgenre th, .kgenre td { padding: .2rem .8rem .2rem 0; text-align: left !important; vertical-align: top;
  background: none; color: inherit;
  border: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent);
  max-width: 24rem; overflow-wrap: break-word; white-space: normal }
.kgenre thead th { font-weight: 600; opacity: .75 }
.kgenre .kg-number { text-align: right !important; font-variant-numeric: tabular-nums; white-space: nowrap }
.kgenre .kg-bar { display: inline-block; height: .6rem; border-radius: 2px; background: #4d8dda;
  vertical-align: baseline }
.kgenre svg { max-width: 100%; height: auto }
""".strip()

_LONGEST = 200
"""Characters of a value in a table."""


def wrap(content: str) -> str:
    """HTML content with the style sheet that it relies on."""
    return f"<div class='kgenre'><style>{_STYLE}</style>{content}</div>"


def page(title: str, content: str) -> str:
    """A whole page of wrapped content; `title` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>:root { color-scheme: light dark } body { margin: 1.5rem }</style>\n"
        f"</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def table(frame: pd.DataFrame, *, most: int = 100) -> str:
    """A frame as an HTML table; rows beyond `most` are counted in a line below it."""
    numbers = {column for column in frame.columns if pd.api.types.is_numeric_dtype(frame[column].dtype)}
    head = "".join(f"<th scope='col'>{escape(str(column))}</th>" for column in frame.columns)
    rows = []
    for values in frame.head(most).itertuples(index=False, name=None):
        cells = "".join(
            f"<td{' class=kg-number' if column in numbers else ''}><bdi>{escape(_text(value))}</bdi></td>"
            for column, value in zip(frame.columns, values, strict=True)
        )
        rows.append(f"<tr>{cells}</tr>")
    rest = f"<p class='kg-note'>and {len(frame) - most:,} more</p>" if len(frame) > most else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
