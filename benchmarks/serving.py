"""One answer, everybody's lists beside implicit's ALS, and what loading costs, on a fitted model.

    kgenre fit FOLDER --model MODEL
    python benchmarks/serving.py MODEL --name ml-1m

implicit is a peer, not a dependency: `pip install implicit` first. Both rank all users' top 20 on the same number of
threads, one after the other in one process; the ratio is what counts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from data import RESULTS

_LOAD = """
import resource, sys, time
start = time.perf_counter()
import kgenre
kgenre.KnowledgeGraph, kgenre.HybridRecommender
ready = time.perf_counter()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kgenre.load(sys.argv[1])
print(time.perf_counter() - ready, before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def one_answer(recommender: Any, n: int) -> dict[str, float]:
    """Milliseconds of `recommend(user, k=20)` for `n` users drawn at random."""
    users = np.random.default_rng(0).choice(recommender.graph.users.vocabulary.ids, n)
    for user in users[:20]:
        recommender.recommend(user, k=20)
    times = []
    for user in users:
        start = time.perf_counter()
        recommender.recommend(user, k=20)
        times.append((time.perf_counter() - start) * 1000)
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def all_users(recommender: Any) -> dict[str, float]:
    """Seconds for all users' top 20, kgenre's and implicit ALS's (64 factors), and their ratio."""
    from implicit.als import AlternatingLeastSquares

    likes = recommender.graph.likes
    peer = AlternatingLeastSquares(factors=64, iterations=5, random_state=0)
    peer.fit(likes, show_progress=False)
    rows = np.arange(likes.shape[0])
    pairs = []
    for _ in range(3):
        start = time.perf_counter()
        for block in recommender.recommend_blocks(k=20):
            assert len(block)
        middle = time.perf_counter()
        peer.recommend(rows, likes, N=20)
        pairs.append((middle - start, time.perf_counter() - middle))
    ours, theirs = np.median(np.array(pairs), axis=0)
    return {
        "kgenre_s": round(ours, 3),
        "implicit_als_s": round(theirs, 3),
        "times_implicit": round(theirs / ours, 3),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--name", required=True, help="name of the result, as in ml-1m")
    parser.add_argument("-n", type=int, default=1000, help="answers to time")
    options = parser.parse_args()
    os.environ["KGENRE_PROGRESS"] = "0"
    import kgenre

    loaded = subprocess.run(
        [sys.executable, "-P", "-c", _LOAD, options.model], capture_output=True, text=True, check=True
    ).stdout.split()
    recommender = kgenre.load(options.model)
    result = {
        "model": options.name,
        "one_answer": one_answer(recommender, options.n),
        "all_users": all_users(recommender),
        "load": {
            "seconds": round(float(loaded[0]), 2),
            "imports_mib": round(float(loaded[1])),
            "peak_mib": round(float(loaded[2])),
        },
        "cores": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"serving-{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
