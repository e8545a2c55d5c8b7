"""All peers and kgenre on one split in one run: accuracy with intervals, CPU seconds, peak memory.

    python benchmarks/bench.py ml-100k [--peers EASE kgenre ...] [--trials 8]
    python benchmarks/bench.py ml-1m
    python benchmarks/bench.py ml-1m-sparse

Every method runs in a process of its own on one thread, sees the same training likes and is tuned on the same held-out
likes: peers with as many settings each as `--trials` says (the usual one first, others drawn at random), kgenre with
what `kgenre fit` does by itself. The peers out of RecBole run in an environment of their own, with one setting each:
see recbole_peers.py. CPU seconds hold tuning and fitting, not imports and reading. Methods that are not named in
`--peers` keep the rows they have. ml-100k comes with its validation part, which is never trained on; of ml-1m a tenth
of each user's likes is held out and the best setting is fitted again on all. The lists are scored on the test part by
the shared scorer: log each run in benchmarks/test-uses.md. Results go to benchmarks/results/bench-NAME.json, and
`benchmarks/figures.py` makes the README's table and the picture of them.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import recbole_peers
from data import RESULTS, SCORER, ml_1m, ml_1m_sparse, ml_100k, shared
from peers import PEERS, Task
from recbole_peers import PYTHON, RECBOLE
from scipy import sparse

KGENRE = {
    "kgenre": [],
    "kgenre fast": ["preset=fast"],
    "kgenre genre": ["preset=genre"],
    "kgenre closed form": ["signals=[closed_form]", "tune=false", "baselines=false"],
    "kgenre closed form, facts alone": [
        "signals=[closed_form]",
        "closed_form.text=0",
        "fusion.method=fixed",
        "fusion.weights={closed_form: 1}",
        "tune=false",
        "baselines=false",
    ],
}
K = 20
BLOCK = 512


def ndcg(lists: np.ndarray, test: sparse.csr_matrix) -> np.ndarray:
    """ndcg@k of each user that has a test item; lists of shape (n_users, k)."""
    discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    ideal = np.concatenate(([0], np.cumsum(discount)))
    users = np.flatnonzero(np.diff(test.indptr))
    relevant = test[users].toarray() > 0
    hits = np.take_along_axis(relevant, lists[users], axis=1)
    return hits @ discount / ideal[np.minimum(relevant.sum(axis=1), lists.shape[1])]


def top(score: Any, seen: sparse.csr_matrix) -> np.ndarray:
    """The best K unseen items of every user."""
    found = []
    for start in range(0, seen.shape[0], BLOCK):
        users = np.arange(start, min(start + BLOCK, seen.shape[0]))
        scores = np.array(score(users), dtype=np.float64)
        scores[seen[users].nonzero()] = -np.inf
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :K])
    return np.concatenate(found)


def one(name: str, data: str, trials: int, folder: Path, lists: Path) -> dict[str, Any]:
    """Tune and fit one method here, write its lists; what it took."""
    os.environ["KGENRE_PROGRESS"] = "0"
    import kgenre
    import kgenre.hybrid.fitting
    from kgenre.graph.atomic import find_validation, read_interactions
    from kgenre.graph.features import fact_features
    from kgenre.hybrid import HybridConfig
    from kgenre.hybrid.evaluation import held_out_likes
    from kgenre.hybrid.split import hold_out

    kg = kgenre.KnowledgeGraph.from_atomic(folder)
    path = find_validation(folder)
    given = None if path is None else held_out_likes(kg, read_interactions(path), "validation").likes
    started = time.process_time()
    if name in KGENRE:
        rec = kgenre.HybridRecommender(HybridConfig().with_settings(KGENRE[name]))
        rec.fit(kg, None if path is None else read_interactions(path), show=False)
        spent = {"cpu_seconds": time.process_time() - started}
        table = rec.recommend_many(k=K)
        chosen: dict[str, Any] = {
            "weights": dict(zip(rec.state.names, rec.state.weights.round(3), strict=True))
        }
        version = f"kgenre {kgenre.__version__}"
    else:
        peer = PEERS[name]
        features = fact_features(kg.item_facts(), kg.n_users, kg.n_items, kg.n_nodes).matrix
        training, held_out = (kg.likes, given) if given is not None else hold_out(kg.likes, 0.1, None, 0)
        best = -1.0
        for setting in peer.settings(trials, np.random.default_rng(0)):
            score = peer.fit(Task(training, features), **setting)
            value = float(ndcg(top(score, training), held_out).mean())
            if value > best:
                best, chosen = value, setting
        tuned = time.process_time()
        score = peer.fit(Task(kg.likes, features), **chosen)
        spent = {"cpu_seconds": time.process_time() - started, "last_fit": time.process_time() - tuned}
        ranked = top(score, kg.likes if given is None else kg.likes + given)
        table = pd.DataFrame(
            {
                "user_id": np.repeat(kg.users.vocabulary.ids, K),
                "item_id": kg.items.vocabulary.ids[ranked.ravel()],
                "rank": np.tile(np.arange(1, K + 1), len(ranked)),
            }
        )
        chosen, version = {**chosen, "validation_ndcg": round(best, 4)}, peer.version
        spent["trials"] = trials
    table.to_csv(lists, sep="\t", index=False)
    return {
        "method": name,
        "version": version,
        **{key: round(value, 2) for key, value in spent.items()},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "chosen": chosen,
    }


def interval(lists: Path, test: Path, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap 95 % interval over users of the mean ndcg."""
    table = pd.read_csv(lists, sep="\t", dtype={"user_id": str, "item_id": str})
    pairs = pd.read_csv(test, sep="\t", dtype=str)
    pairs.columns = ["user_id", "item_id"]
    users = pd.Index(pairs.user_id.unique())
    relevant = pairs.groupby("user_id").size().reindex(users).to_numpy()
    hits = table.merge(pairs, on=["user_id", "item_id"])
    gain = (1 / np.log2(hits["rank"] + 1)).groupby(hits.user_id).sum().reindex(users, fill_value=0).to_numpy()
    ideal = np.cumsum(1 / np.log2(np.arange(2, K + 2)))[np.minimum(relevant, K) - 1]
    each = gain / ideal
    means = [each[rng.integers(len(each), size=len(each))].mean() for _ in range(2000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def places(data: str, work: Path) -> tuple[Path, Path, list[Path]]:
    """The folder to learn from, the file of what is to be found, and those of what is not to be listed."""
    if data == "ml-1m-sparse":
        folder, test = ml_1m_sparse(work)
        return folder, test, [folder / "ml-1m-sparse.inter"]
    source, test = shared(data), shared(data) / f"{data}.test.inter"
    if data == "ml-1m":
        return ml_1m(work), test, [source / "ml-1m.inter"]
    return ml_100k(work), test, [source / f"ml-100k.{part}.inter" for part in ("train", "valid")]


def main() -> None:
    """Run every method in a process of its own, score, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=["ml-100k", "ml-1m", "ml-1m-sparse"])
    parser.add_argument("--peers", nargs="+", help="only these; their rows are replaced, all others stay")
    parser.add_argument("--trials", type=int, default=8, help="settings tried for each peer")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "LISTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        folder, lists = map(Path, options.one)
        print(json.dumps(one(options.peers[0], options.data, options.trials, folder, lists)))
        return
    everybody = [*PEERS, *KGENRE] + ([*RECBOLE] if options.data == "ml-100k" else [])
    for name in options.peers or []:
        if name not in everybody:
            parser.error(f"no method {name!r} for {options.data}; there are {', '.join(everybody)}")
    path = RESULTS / f"bench-{options.data}.json"
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        folder, test, known = places(options.data, work)
        seen = [part for path_seen in known for part in ("--seen", str(path_seen))]
        # A cache of its own: texts are encoded within the time that is reported.
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        for name in options.peers or everybody:
            environment = os.environ | threads | {"KGENRE_CACHE_DIR": str(work / "cache" / name)}
            lists = work / "lists.tsv"
            command = [sys.executable, "-P", __file__, options.data, "--trials", str(options.trials)]
            command += ["--peers", name, "--one", str(folder), str(lists)]
            if name in RECBOLE:
                if not PYTHON.exists():
                    print(f"{name}: no {PYTHON}; run python benchmarks/recbole_peers.py", file=sys.stderr)
                    continue
                command = [str(PYTHON), "-P", recbole_peers.__file__, "--one", name, str(folder), str(lists)]
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            )
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            result = json.loads(done.stdout.splitlines()[-1])
            scored = subprocess.run(
                [sys.executable, str(SCORER), str(lists), "--test", str(test), *seen],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            result["test"] = {
                key: float(value) for key, value in (pair.split("=") for pair in scored.split())
            }
            result["ndcg_interval"] = interval(lists, test, np.random.default_rng(0))
            # Read only now: another run may have added rows in the meantime.
            rows = json.loads(path.read_text())["methods"] if path.exists() else []
            rows = [row for row in rows if row["method"] != name] + [result]
            print(f"{name:14} {scored.strip()} CPU {result['cpu_seconds']} s", flush=True)
            machine = {"cores": os.cpu_count(), "python": platform.python_version()}
            RESULTS.mkdir(exist_ok=True)
            path.write_text(json.dumps({"data": options.data, **machine, "methods": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
