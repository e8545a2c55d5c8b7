"""Items that nobody has liked: MovieLens-1M with a tenth of its items unseen in training.

    python benchmarks/cold.py --seed 1 [--set key=value ...]

The items are drawn by `random.Random(seed).sample(ids, n // 10)` from all items, ids ascending as integers; all their
interactions, of both files, are the test, the other training interactions the training, and the item table keeps
all. Lists hold unseen items only and are scored by the shared scorer. Seed 0 is the test set: log each use in
benchmarks/test-uses.md, and tune on other seeds.
"""

import argparse
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from data import RESULTS, SCORER, shared

Pairs = list[tuple[str, str]]


def pairs_of(path: Path) -> Pairs:
    """User and item of each row of an interaction file."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [(row[0], row[1]) for row in (line.split("\t") for line in lines)]


def write(path: Path, pairs: Pairs) -> None:
    """An interaction file."""
    rows = "".join(f"{user}\t{item}\n" for user, item in pairs)
    path.write_text("user_id:token\titem_id:token\n" + rows, encoding="utf-8")


def split(work: Path, seed: int) -> tuple[Path, Path, list[str]]:
    """The training folder, the test file and the unseen items."""
    source = shared("ml-1m")
    known, later = pairs_of(source / "ml-1m.inter"), pairs_of(source / "ml-1m.test.inter")
    ids = sorted({int(item) for _, item in known + later})
    drawn = random.Random(seed).sample(ids, len(ids) // 10)
    unseen = {str(item) for item in drawn}
    folder, test = work / "films", work / "test.inter"
    folder.mkdir()
    for kind in ("item", "kg", "link"):
        shutil.copyfile(source / f"ml-1m.{kind}", folder / f"films.{kind}")
    write(folder / "films.inter", [pair for pair in known if pair[1] not in unseen])
    write(test, [pair for pair in known + later if pair[1] in unseen])
    return folder, test, [str(item) for item in drawn]


def main() -> None:
    """Fit, recommend unseen items to everybody, score, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, required=True, help="of the items drawn; 0 is the test set")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    os.environ["KGENRE_PROGRESS"] = "0"
    import kgenre
    from kgenre.hybrid.config import HybridConfig

    with tempfile.TemporaryDirectory() as scratch:
        folder, test, unseen = split(Path(scratch), options.seed)
        graph = kgenre.KnowledgeGraph.from_atomic(folder)
        started, cpu = time.perf_counter(), time.process_time()
        recommender = kgenre.HybridRecommender(HybridConfig().with_settings(options.settings))
        recommender.fit(graph)
        spent = {
            "wall_seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
        }
        lists, items = Path(scratch) / "lists.tsv", Path(scratch) / "unseen.txt"
        found = recommender.recommend_many(k=20, candidates=unseen)
        found.to_csv(lists, sep="\t", index=False)
        items.write_text("\n".join(unseen) + "\n", encoding="utf-8")
        line = subprocess.run(
            [sys.executable, str(SCORER), str(lists), "--test", str(test), "--items", str(items)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        everything = recommender.recommend_many(k=20)
    print(recommender.state.report.text(), file=sys.stderr)
    result: dict[str, Any] = {
        "data": "ml-1m",
        "seed": options.seed,
        "settings": options.settings,
        "unseen_items": len(unseen),
        "test": {key: float(value) for key, value in (pair.split("=") for pair in line.split())},
        "unseen_share_of_unrestricted_lists": round(float(everything["item_id"].isin(unseen).mean()), 4),
        "fit": spent | {"peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)},
        "kgenre": kgenre.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    name = "cold-ml-1m" if options.seed == 0 else f"cold-ml-1m-seed-{options.seed}"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
