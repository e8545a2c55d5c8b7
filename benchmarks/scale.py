"""How a fit grows: synthetic graphs of realistic degrees, fitted one after the other in processes of their own.

    python benchmarks/scale.py 1 2 4 [--signals multihop popularity closed_form svd facts] [--preset default]

Each number is a size in millions of interactions, with as many facts, a fourteenth as many users and a fortieth as many
items. Items have a topic and a popularity that falls with its rank to the power -.8, users like three topics and have
Pareto-distributed numbers of likes, facts are drawn by topic from a skewed distribution over entities, so that there
are hubs. What the fit finds in it means nothing; what it takes does: wall and CPU seconds, peak memory. Sizes not
named keep the rows they have.
"""

import argparse
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from data import RESULTS

TOPICS = 64


def graph(millions: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Interactions, items and facts of one size."""
    rng = np.random.default_rng(seed)
    n_likes = int(millions * 1e6)
    n_users, n_items = n_likes // 14, n_likes // 40
    topic = rng.integers(TOPICS, size=n_items)
    by_topic = np.argsort(topic, kind="stable")
    starts = np.searchsorted(topic[by_topic], np.arange(TOPICS + 1))
    popularity = rng.permutation(np.arange(1, n_items + 1) ** -0.8)
    cumulated = np.cumsum(popularity[by_topic])
    activity = rng.pareto(1.3, n_users) + 1
    activity = np.clip(activity / activity.sum() * n_likes * 1.3, 5, n_items // 20).astype(np.int64)
    users = np.repeat(np.arange(n_users), activity)
    liked = rng.integers(TOPICS, size=(n_users, 3))[users, rng.integers(3, size=len(users))]
    edges = np.concatenate(([0.0], cumulated))
    low, high = edges[starts[liked]], edges[starts[liked + 1]]
    items = by_topic[
        np.minimum(np.searchsorted(cumulated, low + (high - low) * rng.random(len(users))), n_items - 1)
    ]
    likes = pd.DataFrame({"user_id": users, "item_id": items}).drop_duplicates().iloc[:n_likes]
    n_facts = n_likes
    heads = rng.integers(n_items, size=n_facts)
    entities = n_items // 2
    own = topic[heads] * (entities // TOPICS) + ((entities // TOPICS) * rng.random(n_facts) ** 4).astype(
        np.int64
    )
    relation = rng.integers(6, size=n_facts)
    facts = pd.DataFrame(
        {
            "head_id": heads.astype(str),
            "relation": np.char.add("relation", relation.astype(str)),
            "tail_id": np.char.add("entity", own.astype(str)),
        }
    ).drop_duplicates()
    names = pd.DataFrame({"item_id": np.arange(n_items).astype(str)})
    names["name"] = "Item " + names.item_id + " of style " + pd.Series(topic).astype(str)
    return likes.astype(str), names, facts


def one(millions: float, preset: str, signals: list[str]) -> dict[str, Any]:
    """Make a graph and fit on it, here."""
    os.environ["KGENRE_PROGRESS"] = "0"
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    import kgenre
    from kgenre.encoders import TextEncoder
    from kgenre.hybrid import HybridConfig

    likes, items, facts = graph(millions)
    kg = kgenre.KnowledgeGraph.from_frames(likes, items=items, facts=facts)
    del likes, items, facts
    config = HybridConfig.preset(preset)
    if signals:
        config = config.updated({"signals": signals})
    wall, cpu = time.perf_counter(), time.process_time()
    rec = kgenre.HybridRecommender(config, text_encoder=TextEncoder(config.text_encoder, cache=False))
    rec.fit(kg, show=False)
    row = {
        "interactions": kg.n_interactions,
        "facts": kg.n_facts,
        "users": kg.n_users,
        "items": kg.n_items,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "stages": {stage: round(seconds, 1) for stage, seconds in rec.state.report.seconds.items()},
        "signals": list(rec.state.names),
    }
    users = kg.users.vocabulary.ids[:200]
    rec.recommend(users[0])
    times = []
    for user in users:
        start = time.perf_counter()
        rec.recommend(user)
        times.append(1000 * (time.perf_counter() - start))
    row["answer_ms_p50_p99"] = [round(float(value), 2) for value in np.quantile(times, (0.5, 0.99))]
    return row


def main() -> None:
    """Run every size in a process of its own, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("millions", type=float, nargs="+")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--signals", nargs="+", default=[])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.millions[0], options.preset, options.signals)))
        return
    name = options.preset if not options.signals else "signals"
    path = RESULTS / f"scale-{name}.json"
    known = json.loads(path.read_text())["sizes"] if path.exists() else []
    rows = {row["millions"]: row for row in known}
    for millions in options.millions:
        command = [sys.executable, "-P", __file__, str(millions), "--preset", options.preset, "--one"]
        command += ["--signals", *options.signals] if options.signals else []
        modules = os.pathsep.join(
            [os.path.dirname(os.path.abspath(__file__)), os.environ.get("PYTHONPATH", "")]
        )
        load = os.getloadavg()[0]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": modules}, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{millions} million interactions: the fit has failed")
        rows[millions] = {
            "millions": millions,
            "load_before": load,
            **json.loads(done.stdout.splitlines()[-1]),
        }
        print(json.dumps(rows[millions]), flush=True)
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        sizes = [rows[size] for size in sorted(rows)]
        result = {"preset": options.preset, "signals": options.signals, **machine, "sizes": sizes}
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
