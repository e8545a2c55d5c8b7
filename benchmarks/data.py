"""Where the benchmark data lie. They are not part of the repository: each function says what is missing."""

import random
import shutil
import sys
from pathlib import Path

from kgenre.graph.demo import demo_folder

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "bench"
RESULTS = ROOT / "benchmarks" / "results"
SCORER = SHARED / "score.py"


def shared(name: str) -> Path:
    """A folder of the shared benchmark data."""
    folder = SHARED / name
    if not folder.is_dir():
        sys.exit(f"no benchmark data in {folder}; see benchmarks/README.md")
    return folder


def ml_100k(work: Path) -> Path:
    """Our 80/10/10 split with the wheel's item table and graph and the corrected links, as atomic files."""
    folder = work / "ml-100k"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ml-100k.item", "ml-100k.kg", "ml-100k.link", "ml-100k.user"):
        shutil.copyfile(demo_folder() / name, folder / name)
    for name in ("ml-100k.train.inter", "ml-100k.valid.inter"):
        shutil.copyfile(shared("ml-100k") / name, folder / name)
    return folder


def ml_1m(work: Path) -> Path:
    """The split of the CoLaKG paper with its item texts and film graph; the test file stays where it is."""
    folder = work / "ml-1m"
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("inter", "item", "kg", "link"):
        shutil.copyfile(shared("ml-1m") / f"ml-1m.{kind}", folder / f"ml-1m.{kind}")
    return folder


def ml_1m_sparse(work: Path) -> tuple[Path, Path]:
    """Of each user's MovieLens-1M training likes 4 to 13, drawn at random: four fifths as a folder, the rest to find.

    The split's own test part has no say in it.
    """
    folder, to_find = work / "ml-1m-sparse", work / "ml-1m-sparse.test.inter"
    folder.mkdir(parents=True, exist_ok=True)
    source = shared("ml-1m")
    for kind in ("item", "kg", "link"):
        shutil.copyfile(source / f"ml-1m.{kind}", folder / f"ml-1m-sparse.{kind}")
    head, *lines = (source / "ml-1m.inter").read_text().splitlines()
    liked: dict[str, list[str]] = {}
    for line in lines:
        liked.setdefault(line.split("\t")[0], []).append(line)
    rng = random.Random(0)
    training, test = [head], [head]
    for user in sorted(liked, key=int):
        drawn = rng.sample(liked[user], min(rng.randint(4, 13), len(liked[user])))
        held_out = max(len(drawn) // 5, 1)
        test += drawn[:held_out]
        training += drawn[held_out:]
    (folder / "ml-1m-sparse.inter").write_text("\n".join(training) + "\n")
    to_find.write_text("\n".join(test) + "\n")
    return folder, to_find
