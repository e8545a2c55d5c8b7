"""One answer out of a million items: searched for, and by scoring every item.

    python benchmarks/search.py [--items 1000000] [--answers 300]

The model is made up: items of 2,000 topics, popular ones and rare ones, a closed form of 100 neighbours an item, walks
of 150, vectors of 128 coordinates, popularity; users have from 3 to 200 likes in three topics. What counts is how long
an answer takes (`recommend`, its frame included, on one thread), and how much of the exact list a searched one has.
It is made three times: with vectors of items that are like those of their topic, as a GNN learns them; with these and
popularity alone, where nothing but the index names an item; and with vectors that have no structure at all, which no
index can do much with.
"""

import argparse
import ctypes
import gc
import json
import os
import platform
import resource
import time
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from data import RESULTS
from scipy import sparse

TOPICS, SIZE, K = 2_000, 128, 20
WEIGHTS = {"gnn": 1.0, "closed_form": 0.6, "multihop": 0.2, "popularity": 0.05}


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def named(items: pd.Series) -> pd.Series:
    """Ids that are sorted as the items are: so a graph has them in this order."""
    return items.astype(str).str.zfill(8)


class Catalogue:
    """Items with topics, and what can be drawn from them."""

    def __init__(self, n_items: int) -> None:
        self.rng = np.random.default_rng(0)
        share = 1.0 / (np.arange(TOPICS) + 30.0)
        self.topic = self.rng.choice(TOPICS, n_items, p=share / share.sum())
        # Within a topic the most liked come first.
        self.counts = np.floor(10 * self.rng.pareto(1.2, n_items))
        self.order = np.lexsort((-self.counts, self.topic))
        self.starts = np.searchsorted(self.topic[self.order], np.arange(TOPICS + 1))

    def drawn(self, topics: np.ndarray, skew: float) -> np.ndarray:
        """An item of each topic, popular ones more often."""
        low, high = self.starts[topics], self.starts[topics + 1]
        place = low + (high - low) * self.rng.random(len(topics), dtype=np.float32) ** skew
        return np.asarray(self.order[np.minimum(place.astype(np.int64), high - 1)], dtype=np.int32)

    def table(self, neighbours: int, scale: float) -> sparse.csr_matrix:
        """An item-item table: nine in ten neighbours are of the item's topic."""
        n = len(self.topic)
        columns, values = np.empty(n * neighbours, np.int32), np.empty(n * neighbours, np.float32)
        step = 20_000 * neighbours
        for start in range(0, len(columns), step):
            rows = np.arange(start, min(start + step, len(columns))) // neighbours
            topics = np.where(
                self.rng.random(len(rows)) < 0.9, self.topic[rows], self.rng.integers(TOPICS, size=len(rows))
            )
            columns[start : start + step] = self.drawn(topics, 1.5)
            values[start : start + step] = scale * self.rng.standard_exponential(len(rows), np.float32)
        ends = np.arange(0, n * neighbours + 1, neighbours, dtype=np.int64)
        return sparse.csr_matrix((values, columns, ends), shape=(n, n))

    def vectors(self, structured: bool) -> np.ndarray:
        """A unit vector an item: of its topic and its own, or drawn evenly from the sphere."""
        own = unit(self.rng.standard_normal((len(self.topic), SIZE), np.float32))
        if not structured:
            return own
        kinds = unit(self.rng.standard_normal((64, SIZE)))
        topics = unit(
            kinds[self.rng.integers(64, size=TOPICS)] + 0.8 * unit(self.rng.standard_normal((TOPICS, SIZE)))
        )
        own *= 0.8
        own += topics[self.topic]
        return unit(own)

    def likes(self, n_users: int) -> pd.DataFrame:
        """From 3 to 200 likes of each user, in three topics."""
        n = np.exp(self.rng.uniform(np.log(3), np.log(200), n_users)).astype(np.int64)
        users = np.repeat(np.arange(n_users), n)
        topics = self.rng.integers(TOPICS, size=(n_users, 3))[users, self.rng.integers(3, size=len(users))]
        items = self.drawn(topics, 2.0)
        likes = pd.DataFrame({"user_id": users, "item_id": items}).drop_duplicates().astype(str)
        return likes.assign(item_id=named(likes.item_id))


def state(catalogue: Catalogue, structured: bool, tables: dict[str, Any], kg: Any) -> Any:
    """A model of the catalogue; without tables, of vectors and popularity."""
    from kgenre.hybrid import HybridConfig
    from kgenre.hybrid.fusion import FusionConfig
    from kgenre.hybrid.signals import SIGNALS
    from kgenre.hybrid.state import FitReport, ModelState, signed

    n = len(catalogue.topic)
    vectors = catalogue.vectors(structured)
    noise = 0.3 * unit(catalogue.rng.standard_normal((n, SIZE), np.float32))
    noise += vectors
    encoder = {"item_vectors": vectors, "history_vectors": noise}
    encoder |= {"best_epoch": np.array(1), "validation_ndcg": np.array(np.nan)}
    arrays: dict[str, dict[str, Any]] = {
        "gnn": {"blind": np.zeros(n, bool)} | {f"0.{name}": array for name, array in encoder.items()},
        "popularity": {"counts": catalogue.counts, "times": np.array([np.nan, np.nan])},
    }
    signals = []
    weights = {name: WEIGHTS[name] for name in WEIGHTS if name in tables or name in arrays}
    for name in weights:
        signal = SIGNALS[name]()
        if name in tables:
            signal.similarity, signal.blind = tables[name], np.zeros(n, bool)  # type: ignore[attr-defined]
        else:
            signal.restore(arrays[name])
        signals.append(signal)
    config = HybridConfig(signals=tuple(weights), fusion=FusionConfig(method="fixed", weights=weights))
    report = FitReport(pd.DataFrame(), {})
    values, histories = np.array(list(weights.values())), signed(kg.likes, kg.dislikes)
    return ModelState(config, kg, tuple(signals), values, histories, kg.seen, report)


def answers(recommender: Any, users: list[str]) -> tuple[list[pd.DataFrame], dict[str, float]]:
    """Lists of some users, and milliseconds for one of them; those of the processor tell of a machine that is busy."""
    times, cpu, found = [], [], []
    for user in users:
        start, cpu_start = time.perf_counter(), time.process_time()
        found.append(recommender.recommend(user, k=K))
        times.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - cpu_start))
    p50, p99 = np.percentile(times, [50, 99])
    figures = {"p50_ms": p50, "p99_ms": p99, "cpu_p50_ms": np.median(cpu)}
    return found, {name: round(float(value), 2) for name, value in figures.items()}


def resident() -> int:
    """MiB that the process holds now; what was freed is given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20


def measured(model: Any, users: list[str]) -> dict[str, Any]:
    """Both ways to answer, on one model."""
    from kgenre import HybridRecommender
    from kgenre.hybrid.standing import Live

    ways = []
    for method in ("exact", "approximate"):
        config = model.config.updated({"search": method})
        recommender = HybridRecommender(config)
        recommender._live = Live(replace(model, config=config))
        ways.append(recommender)
    exact, searched = ways
    exact.recommend(users[0], k=K)
    before, start = resident(), time.perf_counter()
    searched.recommend(users[0], k=K)
    build = time.perf_counter() - start
    memory = resident() - before
    searched_lists, searched_ms = answers(searched, users)
    few = users[: max(len(users) // 3, 1)]
    exact_lists, exact_ms = answers(exact, few)
    pairs = list(zip(exact_lists, searched_lists, strict=False))
    recall = np.mean([one.item_id.isin(other.item_id).mean() for one, other in pairs])
    found = searched._searches._search
    assert found is not None, "the lists were searched for"
    return {
        "exact": exact_ms,
        "approximate": searched_ms,
        "recall_at_20": round(float(recall), 4),
        "index_seconds": round(build, 1),
        "index_mib": memory,
        "cells_looked_through": ["{} of {}".format(*group.nearest.cells) for group in found.groups],
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--dry", action="store_true", help="print the result and write nothing")
    options = parser.parse_args()
    os.environ["KGENRE_PROGRESS"] = "0"
    import kgenre

    catalogue = Catalogue(options.items)
    items = pd.DataFrame({"item_id": named(pd.Series(np.arange(options.items)))})
    items["name"] = "Item " + items.item_id
    kg = kgenre.KnowledgeGraph.from_frames(catalogue.likes(5_000), items=items)
    tables = {"closed_form": catalogue.table(100, 0.02), "multihop": catalogue.table(150, 0.01)}
    users = kg.users.vocabulary.ids[: options.answers].tolist()
    result: dict[str, Any] = {"items": options.items, "k": K, "likes": "3 to 200", "models": {}}
    for name, structured, used in (
        ("tables and vectors of topics", True, tables),
        ("vectors of topics alone", True, {}),
        ("tables and vectors without structure", False, tables),
    ):
        result["models"][name] = measured(state(catalogue, structured, used, kg), users)
        print(json.dumps({name: result["models"][name]}), flush=True)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result |= {
        "load": round(os.getloadavg()[0], 1),
        "threads": 1,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps(result, indent=1))
    if not options.dry:
        (RESULTS / "search.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
