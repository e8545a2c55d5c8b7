"""The README's table of all methods, the picture of accuracy against CPU time and the figures of the pages in docs/.

All are made of benchmarks/results.

    python benchmarks/figures.py [--check]

With --check nothing is written; exit 1 says which file is not what the results say.
"""

import argparse
import html
import json
import math
import sys
from typing import Any

from data import RESULTS, ROOT
from pages import figure, filled
from pages import wanted as pages

DATA = ("ml-100k", "ml-1m")
START, END = "<!-- made by benchmarks/figures.py -->", "<!-- end of what benchmarks/figures.py made -->"
PICTURE = ROOT / "docs" / "accuracy_against_cpu.svg"
WIDTH, HEIGHT, LEFT, BOTTOM = 460, 300, 52, 42


def results(data: str) -> list[dict[str, Any]]:
    """Every method on one data set, best first."""
    path = RESULTS / f"bench-{data}.json"
    rows = json.loads(path.read_text())["methods"] if path.exists() else []
    return sorted(rows, key=lambda row: -row["test"]["ndcg@20"])


def table() -> str:
    """All methods on all data, in Markdown."""
    found = {data: {row["method"]: row for row in results(data)} for data in DATA}
    names = list(dict.fromkeys(row["method"] for data in DATA for row in results(data)))
    heads = [f"{data} {what}" for data in DATA for what in ("recall@20", "ndcg@20 [95 %]", "CPU s")]
    lines = ["| " + " | ".join(["method", *heads]) + " |", "| --- " * (len(heads) + 1) + "|"]
    for name in names:
        cells = [name]
        for data in DATA:
            row = found[data].get(name)
            if row is None:
                cells += ["", "", ""]
                continue
            low, high = row["ndcg_interval"]
            seconds = row["cpu_seconds"]
            spent = f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"
            test = row["test"]
            cells += [
                figure(test["recall@20"]),
                f"{figure(test['ndcg@20'])} [{figure(low)}, {figure(high)}]",
                f"{spent}, capped" if row.get("capped_at") else spent,
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cost() -> str:
    """A sentence: what the cheapest of ours that beats KGIN costs against it."""
    rows = {row["method"]: row for row in results(DATA[0])}
    other = rows.get("KGIN")
    if other is None:
        return ""
    level = other["test"]["ndcg@20"]
    better = [
        row for name, row in rows.items() if name.startswith("kgenre") and row["test"]["ndcg@20"] > level
    ]
    if not better:
        return f"\n\nKGIN ({figure(level)} on {DATA[0]}) is not beaten."
    own = min(better, key=lambda row: row["cpu_seconds"])
    until = other["chosen"]["best_at_cpu_seconds"]
    stopped = (
        "it was stopped there" if other["capped_at"] else f"its best epoch was complete after {until:,.0f} s"
    )
    return (
        f"\n\nThe cheapest of ours that beats KGIN on {DATA[0]} is {own['method']} ({figure(own['test']['ndcg@20'])} "
        f"against {figure(level)}): {own['cpu_seconds']:.1f} CPU seconds against {other['cpu_seconds']:,.0f} "
        f"({stopped}), 1/{other['cpu_seconds'] / own['cpu_seconds']:.0f}."
    )


def picture() -> str:
    """Test ndcg@20 against the CPU seconds of tuning and fitting, a panel for each data set, as SVG."""
    panels = [panel(data, place) for place, data in enumerate(DATA)]
    size = f'viewBox="0 0 {WIDTH * len(DATA)} {HEIGHT}" width="{WIDTH * len(DATA)}" height="{HEIGHT}"'
    style = "<style>text{font:12px sans-serif;fill:#57606a}.own{fill:#0969da;font-weight:bold}</style>"
    title = "<title>Test ndcg@20 against CPU seconds of tuning and fitting</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{title}{style}{"".join(panels)}</svg>\n'


def panel(data: str, place: int) -> str:
    """One data set's points."""
    rows = [row for row in results(data) if row["cpu_seconds"] > 0]
    if not rows:
        return ""
    left, right = place * WIDTH + LEFT, (place + 1) * WIDTH - 70
    seconds = [math.log10(row["cpu_seconds"]) for row in rows]
    first, last = math.floor(min(seconds)), math.ceil(max(seconds) + 0.01)
    values = [row["test"]["ndcg@20"] for row in rows]
    low, high = math.floor(min(values) * 20) / 20, math.ceil(max(values) * 20) / 20

    def x(log: float) -> float:
        return round(left + (log - first) / (last - first) * (right - left), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - 30), 1)

    parts = [f'<text x="{left}" y="18">{data}: ndcg@20</text>']
    parts.append(f'<text x="{right - 70}" y="{HEIGHT - 8}">CPU seconds</text>')
    for log in range(first, last + 1):
        parts.append(f'<line x1="{x(log)}" x2="{x(log)}" y1="30" y2="{y(low)}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{x(log) - 8}" y="{HEIGHT - 24}">{10**log:g}</text>')
    for step in range(round((high - low) / 0.05) + 1):
        value = low + 0.05 * step
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y(value)}" y2="{y(value)}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{left - 34}" y="{y(value) + 4}">{value:.2f}</text>')
    for row, log in zip(rows, seconds, strict=True):
        own = row["method"].startswith("kgenre")
        spot = f'cx="{x(log)}" cy="{y(row["test"]["ndcg@20"])}" r="4"'
        parts.append(f'<circle {spot} fill="{"#0969da" if own else "#8c959f"}"/>')
        kind = ' class="own"' if own else ""
        parts.append(
            f'<text{kind} x="{x(log) + 7}" y="{y(row["test"]["ndcg@20"]) + 4}">{html.escape(row["method"])}</text>'
        )
    return "".join(parts)


def main() -> None:
    """Write, or check what is written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"README.md has no lines {START!r} and {END!r} for the table to stand between")
    methods = table() + cost()
    first = filled(f"{before}{START}\n\n{methods}\n\n{END}{after}", methods)
    wanted = {readme: first, PICTURE: picture(), **pages(methods)}
    for path, content in wanted.items():
        if not options.check:
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"{path.name} is not what benchmarks/results say; run python benchmarks/figures.py")


if __name__ == "__main__":
    main()
