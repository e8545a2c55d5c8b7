"""How long an event takes until the next answer knows it, and what living is worth, replayed in time order.

    kgenre fit ml-1m --model MODEL
    python benchmarks/live.py latency MODEL --name ml-1m
    python benchmarks/live.py replay
    python benchmarks/live.py adaptation [--preset default]
    python benchmarks/live.py load

``latency`` takes a fitted model; ``replay`` the MovieLens-100k of `kgenre demo`, which has times (the ml-1m of the
shared data has none), and ``adaptation`` the pairs of it that the shared training part has; ``load`` makes a model of
1,000,000 items. Each adds its part to ``results/live.json``.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from data import RESULTS, ROOT

RESULT = RESULTS / "live.json"
PICTURE = ROOT / "docs" / "live.svg"


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def timed(call: Callable[[], Any]) -> float:
    """Wall seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def latency(folder: str, n: int) -> dict[str, Any]:
    """Milliseconds of events, answers, sessions, new items and the store's commit, on one model."""
    import kgenre

    recommender = kgenre.load(folder)
    rng = np.random.default_rng(0)
    users, items = (np.array(list(ids.vocabulary)) for ids in recommender.graph.tables[:2])
    pairs = [(str(rng.choice(users)), str(rng.choice(items))) for _ in range(n)]
    events, answers, both, cpu = [], [], [], []
    for user, item in pairs:
        before = time.thread_time()
        told = timed(lambda: recommender.add_interactions([{"user_id": user, "item_id": item}]))  # noqa: B023
        answered = timed(lambda: recommender.recommend(user, k=20))  # noqa: B023
        cpu.append(time.thread_time() - before)
        events.append(told)
        answers.append(answered)
        both.append(told + answered)
    sessions = []
    for _ in range(n):
        history = rng.choice(items, 20, replace=False).tolist()
        sessions.append(timed(lambda: recommender.recommend(history=history, k=20)))  # noqa: B023
    batches = [
        [{"user_id": str(rng.choice(users)), "item_id": str(rng.choice(items))} for _ in range(1000)]
        for _ in range(10)
    ]
    before = time.thread_time()
    in_batches = sum(timed(lambda: recommender.add_interactions(batch)) for batch in batches)  # noqa: B023
    cpu_in_batches = time.thread_time() - before
    found: dict[str, Any] = {
        "event": percentiles(events[20:]),
        "next_answer": percentiles(answers[20:]),
        "event_to_next_answer": percentiles(both[20:]),
        "event_to_next_answer_cpu": percentiles(cpu[20:]),
        "session_of_20": percentiles(sessions[20:]),
        "events_per_second_in_batches_of_1000": round(10_000 / in_batches),
        "events_per_cpu_second_in_batches": round(10_000 / cpu_in_batches),
        "whole_graph_after_10000_events_s": round(timed(lambda: recommender.state), 3),
    }
    encoder = recommender.text_encoder
    texts = [f"A lighthouse keeper number {number} finds an old letter." for number in range(4)]
    encoder.encode(["warm up"])
    spent = [timed(lambda text=text: encoder.encode([text + "!"])) for text in texts]
    found["one_encoding_ms"] = round(min(spent) * 1000, 1)
    frames = [pd.DataFrame({"item_id": [f"new{i}"], "text": [text]}) for i, text in enumerate(texts)]
    spent = [timed(lambda frame=frame: recommender.add_items(frame)) for frame in frames]
    found["new_item_with_text_first_ms"] = round(spent[0] * 1000, 1)
    found["new_item_with_text_ms"] = round(min(spent[1:]) * 1000, 1)
    found["changes"] = changes(recommender)
    found["store_commit"] = commits(recommender, pairs[:300])
    found["load_average"] = round(os.getloadavg()[0], 1)
    return found


def changes(recommender: Any) -> dict[str, dict[str, float]]:
    """Milliseconds, by the clock and of CPU, of changes of items and facts; the least of three."""
    kg = recommender.graph
    items = list(kg.items.vocabulary)[100:104]
    found: dict[str, dict[str, float]] = {}

    def measured(name: str, *calls: Callable[[], Any]) -> None:
        clock, cpu = [], []
        for call in calls:
            before = time.thread_time()
            clock.append(timed(call) * 1000)
            cpu.append((time.thread_time() - before) * 1000)
        found[name] = {"ms": round(min(clock), 1), "cpu_ms": round(min(cpu), 1)}

    texts = [f"A lighthouse keeper number {number} goes home." for number in range(3)]
    frames = [
        pd.DataFrame({"item_id": [f"newer{place}"], "text": [text]}) for place, text in enumerate(texts)
    ]
    measured("add_items", *(lambda frame=frame: recommender.add_items(frame) for frame in frames))
    pairs = list(zip(items, texts, strict=False))
    measured(
        "update_item",
        *(lambda item=item, text=text: recommender.update_item(item, text=text) for item, text in pairs),
    )
    # Beside a fact that few items share: one that most do changes the walks from all of these.
    shared = {facts.relation: np.bincount(facts.tail).max() for facts in kg.facts}
    for relation in (
        min(shared, key=lambda name: shared[name]),
        max(shared, key=lambda name: shared[name]),
    ):
        node = int(np.bincount(kg.relation(relation).tail).argmax())
        head = kg.relation(relation).head[kg.relation(relation).tail == node][:3]
        frames = [
            pd.DataFrame(
                {"head_id": [kg.node_id(int(one))], "relation": [relation], "tail_id": [kg.node_id(node)]}
            )
            for one in head
        ]
        frames = [
            frame.assign(head_label=kg.locate(int(head[0]))[0].label, tail_label=kg.locate(node)[0].label)
            for frame in frames
        ]
        measured(
            f"remove_facts_of_{shared[relation]}",
            *(lambda frame=frame: recommender.remove_facts(frame) for frame in frames),
        )
        measured(
            f"add_facts_of_{shared[relation]}",
            *(lambda frame=frame: recommender.add_facts(frame) for frame in frames),
        )
    measured(
        "remove_new_item", *(lambda key=key: recommender.remove_items([key]) for key in ("newer0", "newer1"))
    )
    measured("remove_item", lambda: recommender.remove_items([items[3]]))
    return found


def commits(recommender: Any, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Milliseconds of a logged commit of one event and of a thousand, in an embedded store with the graph's nodes."""
    import kgenre
    from kgenre.graph import GraphBuilder

    builder = GraphBuilder()
    for table in recommender.graph.tables[:2]:
        builder.add_nodes(table.label, list(table.vocabulary))
    with tempfile.TemporaryDirectory() as folder, kgenre.connect(Path(folder) / "store") as store:
        store.write(builder.build())
        store.follow()
        stamps = iter(range(1_000_000_000, 2_000_000_000))
        single = [
            timed(lambda: store.add_events([(user, item, 1.0, float(next(stamps)), "e")]))  # noqa: B023
            for user, item in pairs
        ]
        many = [(user, item, 1.0, float(next(stamps)), "e") for user, item in pairs]
        return {
            "one_event": percentiles(single[20:]),
            "events_per_second_in_batches": round(len(set(pairs)) / timed(lambda: store.add_events(many))),
        }


def replay(nights: int) -> dict[str, Any]:
    """ndcg@20 of each next like of the last tenth of MovieLens-100k, in time order, under four regimes."""
    import kgenre
    from kgenre.graph import KnowledgeGraph
    from kgenre.graph.demo import demo_graph
    from kgenre.hybrid import HybridRecommender

    kg: KnowledgeGraph = demo_graph()
    inter = kg.interactions
    assert inter.timestamp is not None
    order = np.argsort(inter.timestamp, kind="stable")
    first = int(0.9 * len(order))
    users, items = kg.users.vocabulary, kg.items.vocabulary
    frames = kg.to_frames()
    rows = frames["interactions"].iloc[order]
    start = KnowledgeGraph.from_frames(**{**frames, "interactions": rows.iloc[:first]})
    stream = rows.iloc[first:].to_dict("records")
    fitted = HybridRecommender("fast").fit(start, show=False)
    regimes: dict[str, Any] = {}
    for name in ("nothing", "live", "nightly refit", "live and nightly refit"):
        recommender = HybridRecommender(fitted.config)
        recommender._live, recommender._encoder = fitted.now, fitted.text_encoder
        regimes[name] = recommender
    gains: dict[str, list[float]] = {name: [] for name in regimes}
    curve: list[dict[str, float]] = []
    for night, part in enumerate(np.array_split(np.arange(len(stream)), nights)):
        day = [stream[row] for row in part]
        for event in day:
            for name, recommender in regimes.items():
                if event["weight"] > 0:
                    gains[name].append(gain(recommender, event["user_id"], event["item_id"]))
                if name.startswith("live"):
                    recommender.add_interactions([event])
        for name, recommender in regimes.items():
            if "refit" in name:
                if not name.startswith("live"):
                    recommender.add_interactions(day)
                recommender.refit(tune=False)
        curve.append({"night": night + 1, **{name: float(np.mean(found)) for name, found in gains.items()}})
    draw(curve, list(regimes))
    means = {name: round(float(np.mean(found)), 4) for name, found in gains.items()}
    return {
        "data": "ml-100k, last tenth of the interactions in time order; preset fast",
        "events": len(stream),
        "nights": nights,
        "ndcg@20": means,
        "live_over_nightly_refit": round(means["live"] / means["nightly refit"], 3),
        "users_new_in_the_stream": len(
            {event["user_id"] for event in stream} - set(rows["user_id"].iloc[:first])
        ),
        "n_users": len(users),
        "n_items": len(items),
        "kgenre": kgenre.__version__,
    }


def adaptation(preset: str) -> dict[str, Any]:
    """ndcg@20 of each next like of the last fifth of ml-100k's training part, with weights that adapt and without."""
    from data import shared

    import kgenre
    from kgenre.graph import KnowledgeGraph
    from kgenre.graph.demo import demo_graph
    from kgenre.hybrid import HybridRecommender

    train = pd.read_csv(shared("ml-100k") / "ml-100k.train.inter", sep="\t", dtype=str)
    train.columns = pd.Index(["user_id", "item_id"])
    frames = demo_graph().to_frames()
    rows = frames["interactions"].merge(train, on=["user_id", "item_id"])
    rows = rows.sort_values("timestamp", kind="stable")
    first = int(0.8 * len(rows))
    start = KnowledgeGraph.from_frames(**{**frames, "interactions": rows.iloc[:first]})
    recommender = HybridRecommender(preset).fit(start, show=False)
    gains: list[tuple[float, float, int]] = []
    for event in rows.iloc[first:].to_dict("records"):
        user, item = event["user_id"], event["item_id"]
        known = recommender.now.standing(user).history.nnz
        if known:
            gains.append((*(gain(recommender, user, item, adapt=adapt) for adapt in (False, True)), known))
        recommender.add_interactions([event])
    off, on, known_likes = (np.array(column) for column in zip(*gains, strict=True))
    few = known_likes < 20
    return {
        "data": f"ml-100k, last fifth in time of the training part; preset {preset}",
        "likes": len(gains),
        "ndcg@20": {"learned weights": round(float(off.mean()), 5), "adapted": round(float(on.mean()), 5)},
        "gain": round(float(on.mean() / off.mean() - 1), 4),
        "standard_error_of_the_gain": round(float((on - off).std() / len(on) ** 0.5 / off.mean()), 4),
        "gain_below_20_likes_known": round(float(on[few].mean() / off[few].mean() - 1), 4),
        "gain_from_20_likes_known": round(float(on[~few].mean() / off[~few].mean() - 1), 4),
        "kgenre": kgenre.__version__,
    }


def gain(recommender: Any, user: str, item: str, k: int = 20, adapt: bool = True) -> float:
    """ndcg@k of a list where one item is relevant: 1 / log2(rank + 1), 0 beyond k."""
    now = recommender.now
    history, seen = now.standing(user).history, now.standing(user).seen
    state = recommender._own(now, user, now.current) if adapt else now.current
    scores = state.score(history, seen)[0]
    place = now.current.kg.items.vocabulary.get(item)
    scores[seen.indices] = -np.inf
    scores = np.nan_to_num(scores, nan=-np.inf)
    above = int((scores > scores[place]).sum())
    return 1 / np.log2(above + 2) if above < k and np.isfinite(scores[place]) else 0.0


def draw(curve: list[dict[str, float]], names: list[str]) -> None:
    """The running mean of each regime, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "kgenre"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    for name in names:
        axes.plot([row["night"] for row in curve], [row[name] for row in curve], marker="o", label=name)
    axes.set_xlabel("nights replayed")
    axes.set_ylabel("ndcg@20 of the next like")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


def load(n_items: int) -> dict[str, Any]:
    """Seconds to load a model of many items, made up: their walks go to 50 others each."""
    from scipy import sparse

    import kgenre
    from kgenre.graph import GraphBuilder
    from kgenre.hybrid import HybridConfig, persistence
    from kgenre.hybrid.data import SignalData
    from kgenre.hybrid.signals import MultiHop, Popularity
    from kgenre.hybrid.state import FitReport, ModelState

    rng = np.random.default_rng(0)
    ids = [f"item{number:07d}" for number in range(n_items)]
    n = 3 * n_items
    users = np.char.add("user", rng.integers(0, n_items // 10, n).astype(str))
    builder = GraphBuilder().add_nodes("Item", ids)
    kg = builder.add_interactions(
        users.tolist(), [ids[place] for place in rng.integers(0, n_items, n)]
    ).build()
    walks = MultiHop()
    starts = np.arange(0, 50 * n_items + 1, 50)
    ends = np.sort(rng.integers(0, n_items, (n_items, 50), dtype=np.int32), axis=1).ravel()
    walks.similarity = sparse.csr_matrix(
        (rng.random(len(ends), np.float32), ends, starts), (n_items, n_items)
    )
    walks.blind = np.zeros(n_items, dtype=bool)
    state = ModelState(
        config=HybridConfig(signals=("multihop", "popularity")),
        kg=kg,
        signals=(walks, Popularity().fit(SignalData.from_graph(kg))),
        weights=np.array([1.0, 0.1]),
        histories=kg.likes,
        seen=kg.seen,
        report=FitReport(honesty=pd.DataFrame(), seconds={}),
    )
    with tempfile.TemporaryDirectory() as folder:
        persistence.save(state, Path(folder) / "model")
        size = sum(file.stat().st_size for file in Path(folder).rglob("*"))
        before = time.process_time()
        loaded = [timed(lambda: kgenre.load(Path(folder) / "model")) for _ in range(3)]
        cpu = (time.process_time() - before) / 3
        first = kgenre.load(Path(folder) / "model")
        answers = [timed(lambda: first.recommend(history=[ids[5]], k=10)) for _ in range(2)]
        return {
            "items": n_items,
            "interactions": kg.n_interactions,
            "size_mib": round(size / 2**20),
            "load_s": round(min(loaded), 2),
            "load_cpu_s": round(cpu, 2),
            "first_answer_s": round(answers[0], 2),
            "next_answer_s": round(answers[1], 3),
            "load_average": round(os.getloadavg()[0], 1),
        }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("latency", "replay", "adaptation", "load"))
    parser.add_argument("model", nargs="?")
    parser.add_argument("--name", default="ml-1m")
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--items", type=int, default=1_000_000)
    options = parser.parse_args()
    os.environ["KGENRE_PROGRESS"] = "0"
    if options.part == "latency":
        part = {f"latency {options.name}": latency(options.model, options.n)}
    elif options.part == "replay":
        part = {"replay": replay(options.nights)}
    elif options.part == "adaptation":
        part = {f"adaptation {options.preset}": adaptation(options.preset)}
    else:
        part = {"load": load(options.items)}
    known = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    RESULT.write_text(json.dumps(known | part | {"cores": os.cpu_count()}, indent=1) + "\n")
    print(json.dumps(part, indent=1))


if __name__ == "__main__":
    main()
