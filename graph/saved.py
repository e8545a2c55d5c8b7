"""A graph saved in a folder of its own: Parquet, safetensors and JSON, replaced in one step."""

import hashlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError

from .errors import DataError
from .knowledge_graph import KnowledgeGraph
from .snapshot_file import read_snapshot, write_snapshot

FORMAT = 1
"""Version of the layout; a newer one is refused."""
_INDEX = "kgenre-graph.json"
_OWN = re.compile(r"(kgenre-graph\.json\.)?v-[0-9a-f]{12}")
"""Names of what a save writes beside the index; a save that was killed may have left some."""


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a graph that `save_graph` wrote."""
    return (folder / _INDEX).is_file()


def save_graph(kg: KnowledgeGraph, folder: str | Path) -> None:
    """Save a graph; an older one in the folder survives whole until the new one is complete.

    The node tables are Parquet, the edges safetensors, and ``kgenre-graph.json`` names every file with its
    sha256.

    Raises
    ------
    DataError
        If the folder cannot be written, or holds something else than a graph.
    """
    target = Path(folder)
    foreign = target.exists() and not target.is_dir()
    if target.is_dir() and not is_saved(target):
        foreign = not all(_OWN.fullmatch(path.name) for path in target.iterdir())
    if foreign:
        raise DataError(f"{folder} exists and is not a saved graph; choose another folder")
    part = f"v-{uuid.uuid4().hex[:12]}"
    fresh, temporary = target / part, target / f"{_INDEX}.{part}"
    try:
        fresh.mkdir(parents=True)
        write_snapshot(kg, fresh)
        files = {path.name: _digest(path) for path in sorted(fresh.iterdir())}
        index = {"format": FORMAT, "part": part, "files": files}
        temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
        for path in (*fresh.iterdir(), fresh, temporary):
            _sync(path)
        os.replace(temporary, target / _INDEX)
        _sync(target)
    except (OSError, SafetensorError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot save the graph in {folder}: {reason}; free space or choose another folder"
        ) from None
    finally:
        # Ours is removed if it did not come to be the graph, else those before it.
        current = _part(target)
        for path in target.iterdir() if target.is_dir() else ():
            if _OWN.fullmatch(path.name) and path.name != current:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _part(target: Path) -> str | None:
    try:
        return str(json.loads((target / _INDEX).read_text(encoding="utf-8"))["part"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_graph(folder: str | Path) -> KnowledgeGraph:
    """Load what `save_graph` saved.

    Raises
    ------
    DataError
        If there is no graph, a file of it is missing or not the one that was saved, or a newer version wrote it.
    """
    target = Path(folder)
    if not is_saved(target):
        raise DataError(f"{folder} is no saved graph; give a folder that KnowledgeGraph.save wrote")
    try:
        index = json.loads((target / _INDEX).read_text(encoding="utf-8"))
        version, part, files = int(index["format"]), target / str(index["part"]), dict(index["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{target / _INDEX} is damaged; save the graph again") from None
    if version > FORMAT:
        raise DataError(f"{folder} has format {version}, this kgenre reads up to {FORMAT}; update kgenre")
    for name, digest in files.items():
        if not (part / name).is_file():
            raise DataError(f"{folder}: the graph's file {name} is missing; save the graph again")
        if _digest(part / name) != digest:
            raise DataError(
                f"{folder}: {name} is truncated or not the file that was saved; save the graph again"
            )
    return read_snapshot(part)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
