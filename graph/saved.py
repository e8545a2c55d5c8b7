"""A graph saved in a folder of its own: Parquet, safetensors and JSON, replaced in one step."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError

from .errors import DataError
from .knowledge_graph import KnowledgeGraph
from .snapshot_file import read_snapshot, write_snapshot
from .versioned_folder import VersionedFolder

FORMAT = 1
"""Version of the layout; a newer one is refused."""
_INDEX = "kgenre-graph.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a graph that `save_graph` wrote."""
    return (folder / _INDEX).is_file()


def save_graph(kg: KnowledgeGraph, folder: str | Path, more: Callable[[Path], None] | None = None) -> None:
    """Save a graph; an older one in the folder survives whole until the new one is complete.

    The node tables are Parquet, the edges safetensors, and ``kgenre-graph.json`` names every file with its
    sha256. `more` writes files beside them.

    Raises
    ------
    DataError
        If the folder cannot be written, or holds something else than a graph.
    """
    target = VersionedFolder(folder, _INDEX)
    if target.is_foreign():
        raise DataError(f"{folder} exists and is not a saved graph; choose another folder")

    def write(part: Path) -> None:
        write_snapshot(kg, part)
        if more is not None:
            more(part)

    try:
        target.replace(write, {"format": FORMAT})
    except (OSError, SafetensorError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot save the graph in {folder}: {reason}; free space or choose another folder"
        ) from None


def load_graph(folder: str | Path) -> KnowledgeGraph:
    """Load what `save_graph` saved; raises what `saved_files` does."""
    return read_snapshot(saved_files(folder))


def saved_files(folder: str | Path) -> Path:
    """The folder that holds the files of a saved graph, which are those that were saved.

    Raises
    ------
    DataError
        If there is no graph, a file of it is missing or not the one that was saved, or a newer version wrote it.
    """
    target = VersionedFolder(folder, _INDEX)
    if not is_saved(target.path):
        raise DataError(f"{folder} is no saved graph; give a folder that KnowledgeGraph.save wrote")
    try:
        index = json.loads(target.index.read_text(encoding="utf-8"))
        version, part, files = int(index["format"]), target.path / str(index["part"]), dict(index["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{target.index} is damaged; save the graph again") from None
    if version > FORMAT:
        raise DataError(f"{folder} has format {version}, this kgenre reads up to {FORMAT}; update kgenre")
    if missing := target.missing(files):
        raise DataError(f"{folder}: the graph's file {missing} is missing; save the graph again")
    if changed := target.changed(files):
        raise DataError(
            f"{folder}: {changed} is truncated or not the file that was saved; save the graph again"
        )
    return part
