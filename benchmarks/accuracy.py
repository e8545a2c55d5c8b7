"""Fit by the command line, score the written lists with the shared scorer: accuracy, CPU seconds, peak memory.

    python benchmarks/accuracy.py ml-100k [--cold-cache] [--set key=value ...]
    python benchmarks/accuracy.py ml-1m

Scores on the test set: log each use in benchmarks/test-uses.md. Tune with `kgenre fit`, which never reads it.
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

from data import RESULTS, SCORER, ml_1m, ml_100k, shared

import kgenre


def measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a command; wall and CPU seconds and peak memory of its largest process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mib": round(after.ru_maxrss / 1024),
    }


def main() -> None:
    """Fit, recommend, score, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=["ml-100k", "ml-1m"])
    parser.add_argument("--cold-cache", action="store_true", help="encode every text anew")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--name", default="default", help="name of the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        folder = ml_100k(work) if options.data == "ml-100k" else ml_1m(work)
        environment = dict(os.environ)
        if options.cold_cache:
            environment["KGENRE_CACHE_DIR"] = str(work / "cache")
        program = [sys.executable, "-P", "-m", "kgenre"]
        settings = [part for setting in options.settings for part in ("--set", setting)]
        fit = measured([*program, "fit", str(folder), "--model", str(work / "model"), *settings], environment)
        lists = work / "lists.tsv"
        answer = measured(
            [*program, "recommend", str(work / "model"), "--all", "-k", "20", "--output", str(lists)],
            environment,
        )
        source = shared(options.data)
        names = ("train.inter", "valid.inter") if options.data == "ml-100k" else ("inter",)
        seen = [part for name in names for part in ("--seen", str(source / f"{options.data}.{name}"))]
        test = str(source / f"{options.data}.test.inter")
        line = subprocess.run(
            [sys.executable, str(SCORER), str(lists), "--test", test, *seen],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    metrics = {key: float(value) for key, value in (pair.split("=") for pair in line.split())}
    result: dict[str, Any] = {
        "data": options.data,
        "settings": options.settings,
        "cold_cache": options.cold_cache,
        "test": metrics,
        "fit": fit,
        "recommend_all": answer,
        "kgenre": kgenre.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"accuracy-{options.data}-{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(line)
    print(json.dumps({"fit": fit, "recommend_all": answer}))


if __name__ == "__main__":
    main()
