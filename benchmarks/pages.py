"""The figures of docs/how_good.md and docs/explanations.md, made of benchmarks/results; see benchmarks/figures.py."""

import json
import re
from pathlib import Path
from typing import Any

from data import RESULTS, ROOT

PAGES = (ROOT / "docs" / "how_good.md", ROOT / "docs" / "explanations.md")
PLACE = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def result(name: str) -> Any:
    """What a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def figure(value: float) -> str:
    """As the field writes it: .3713."""
    return f"{value:.4f}".lstrip("0")


def share(value: float) -> str:
    """97.3 %."""
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def unseen() -> str:
    """Items that nobody has liked, two draws."""
    rows = []
    for name in ("cold-ml-1m", "cold-ml-1m-seed-1"):
        found = result(name)
        test = found["test"]
        rows.append(
            [
                str(found["seed"]),
                str(found["unseen_items"]),
                figure(test["ndcg@20"]),
                figure(test["recall@20"]),
            ]
        )
    return table(["draw", "items held out with all their likes", "ndcg@20 among them", "recall@20"], rows)


def sparse() -> str:
    """All methods where likes are few."""
    rows = sorted(result("bench-ml-1m-sparse")["methods"], key=lambda row: -row["test"]["ndcg@20"])
    return table(
        ["method", "recall@20", "ndcg@20 [95 %]", "CPU s"],
        [
            [
                row["method"],
                figure(row["test"]["recall@20"]),
                f"{figure(row['test']['ndcg@20'])} [{', '.join(map(figure, row['ndcg_interval']))}]",
                f"{row['cpu_seconds']:,.0f}",
            ]
            for row in rows
        ],
    )


def ablation() -> str:
    """What the graph encoder loses without each of its parts."""
    found = result("ablation")
    rows = []
    for row in found["rows"]:
        spread = f"{figure(min(row['by_seed']))} to {figure(max(row['by_seed']))}"
        difference = "" if row["difference"] is None else interval(row["difference"])
        rows.append([row["variant"], row["what"], figure(row["ndcg"][0]), spread, difference])
    head = ["variant", "what the encoder sees", "ndcg@20", "by seed", "as it is minus this [95 %]"]
    return table(head, rows)


def interval(values: list[float]) -> str:
    """+.0012 [-.0017, .0041]."""
    mean, low, high = (f"{value:.4f}".replace("0.", ".", 1) for value in values)
    return f"{'' if mean.startswith('-') else '+'}{mean} [{low}, {high}]"


def living() -> str:
    """What telling a model of events is worth, and what an event costs."""
    found = result("live")
    replay, latency = found["replay"], found["latency ml-1m"]
    told = {
        "nothing": "nothing is told, no refit",
        "nightly refit": "a refit each night",
        "live": "each event is told at once",
        "live and nightly refit": "both",
    }
    ways = table(
        [
            f"the last {replay['events']:,} interactions of MovieLens-100k, one after the other",
            "ndcg@20 of the next",
        ],
        [[words, figure(replay["ndcg@20"][name])] for name, words in told.items()],
    )
    steps = {
        "event": "an event",
        "event_to_next_answer": "an event and the next answer that knows it",
    }
    rows = [
        [words, f"{latency[name]['p50_ms']:.1f} ms", f"{latency[name]['p99_ms']:.1f} ms"]
        for name, words in steps.items()
    ]
    return ways + "\n\n" + table(["MovieLens-1M, 2 cores", "p50", "p99"], rows)


def serving() -> str:
    """Answers of a loaded model."""
    rows = []
    for name in ("ml-100k", "ml-1m"):
        found = result(f"serving-{name}")
        one = found["one_answer"]
        rows.append(
            [
                name,
                f"{one['p50_ms']:.1f} / {one['p99_ms']:.1f} ms",
                f"{found['all_users']['kgenre_s']:.1f} s ({found['all_users']['implicit_als_s']:.2f} s)",
                f"{found['load']['seconds']:.2f} s",
                f"{found['load']['peak_mib']:,} MiB ({found['load']['imports_mib']:,})",
            ]
        )
    head = [
        "",
        "one answer, p50 / p99",
        "all users' top 20 (implicit's ALS)",
        "load a model",
        "peak memory (of it imports)",
    ]
    return table(head, rows)


def search() -> str:
    """One answer out of a million items."""
    rows = []
    for name, found in result("search")["models"].items():
        exact, searched = found["exact"], found["approximate"]
        rows.append(
            [
                name,
                f"{exact['p50_ms']:.0f} / {exact['p99_ms']:.0f} ms",
                f"{searched['p50_ms']:.1f} / {searched['p99_ms']:.1f} ms",
                figure(found["recall_at_20"]) if found["recall_at_20"] < 1 else "1",
                f"{found['index_seconds']:.0f} s",
                f"{found['index_mib']} MiB",
            ]
        )
    head = ["", "every item scored, p50 / p99", "searched", "of the exact 20", "the index takes", "and holds"]
    return table(head, rows)


def graph() -> str:
    """Walks beside the same question in Cypher, and stores of a million nodes."""
    beside, store = result("graph")["beside_cypher"], result("store-1000000")
    asked = {
        "top_20_paths": "the 20 strongest paths from a user to an item",
        "all_items_through_users": "all items of a user by walks through users",
        "all_items_through_facts": "all items of a user by walks through facts",
    }
    walks = [
        [words, f"{beside[name]['kgenre_p50_ms']:.1f} ms", f"{beside[name]['cypher_p50_ms']:.0f} ms"]
        for name, words in asked.items()
    ]
    steps = {
        "load_s": "written in batches",
        "snapshot_over_bolt_s": "snapshot over Bolt",
        "snapshot_cached_s": "snapshot from the cache",
    }
    stores = [
        [words, f"{store['embedded'][name]:,.1f} s", f"{store['neo4j'][name]:,.1f} s"]
        for name, words in steps.items()
    ]
    size = f"{store['nodes']:,} nodes, {store['edges']:,} edges"
    return (
        table(["MovieLens-1M, p50", "kgenre", "Neo4j 5.26, the same question in Cypher"], walks)
        + "\n\n"
        + table([size, "embedded store", "Neo4j 5.26"], stores)
    )


def faithfulness() -> str:
    """What deleting the evidence of shown reasons does."""
    found = result("faithfulness")
    names = {"path": "by a fact", "history": "by what was liked", "text": "by text"}

    def row(words: str, one: dict[str, Any]) -> list[str]:
        lowers = share(one["deleting_lowers"])
        return [words, f"{one['reasons']:,}", lowers, share(one["random_other_lowers_less"])]

    rows = [row("shown reasons", found)]
    rows += [row(f"of these {names[kind]}", one) for kind, one in found["by_kind"].items()]
    if first := found.get("first_three"):
        rows.append(row("of these among the first three of their item", first))
    genre, random = (found["baselines"][name] for name in ("same_genre", "random_shared_entity"))
    rows.append(
        [
            '"same genre" as most of what was liked, not measured',
            f"{genre['reasons']:,}",
            share(genre["deleting_lowers"]),
            "",
        ]
    )
    rows.append(
        [
            "a path through any shared entity, not measured",
            f"{random['reasons']:,}",
            share(random["deleting_lowers"]),
            "",
        ]
    )
    head = ["", "reasons", "deleting lowers the score", "a random other of its kind lowers it less"]
    return table(head, rows)


def encoding() -> str:
    """Texts to vectors, against sentence-transformers' default."""
    rows = []
    for name in ("ml-100k", "ml-1m"):
        found = result(f"encoding-{name}")
        long = f"{name}: {found['texts']:,} texts of {found['tokens'] / found['texts']:.0f} tokens"
        for path, row in found["paths"].items():
            kept = "" if path == "sentence-transformers" else share(row["overlap"])
            rows.append([long, path, f"{row['cpu_seconds']:.1f}", f"{row['ratio']:.2f}", kept])
        rows.append([long, "the bound", "", f"{found['bound']:.2f}", "100 %"])
    head = ["texts", "path", "CPU s", "times as fast as the default", "of the default's 20 nearest"]
    return table(head, rows)


def scale() -> str:
    """What fits of growing synthetic graphs take."""
    found = result("scale-default")
    rows = [
        [
            f"{row['interactions'] / 1e6:.0f} M + {row['facts'] / 1e6:.1f} M",
            f"{row['users']:,}",
            f"{row['items']:,}",
            f"{row['cpu_seconds'] / 60:.0f} min",
            f"{row['wall_seconds'] / 60:.0f} min",
            f"{row['peak_mib'] / 1024:.1f} GiB",
        ]
        for row in found["sizes"]
    ]
    return table(["likes + facts", "users", "items", "CPU", "wall", "peak memory"], rows)


def filled(text: str, methods: str) -> str:
    """A page with its figures, given the table of all methods."""
    makers = {
        "methods": lambda: methods,
        "unseen": unseen,
        "sparse": sparse,
        "ablation": ablation,
        "living": living,
        "serving": serving,
        "search": search,
        "encoding": encoding,
        "graph": graph,
        "scale": scale,
        "faithfulness": faithfulness,
    }
    return PLACE.sub(lambda match: f"{match[1]}\n{makers[match[2]]()}\n\n{match[3]}", text)


def wanted(methods: str) -> dict[Path, str]:
    """The pages in docs/, each with its figures."""
    return {page: filled(page.read_text(encoding="utf-8"), methods) for page in PAGES}
