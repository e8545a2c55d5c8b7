"""Vectors on disk by the content they stand for."""

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]

_LOOKUP = 500
"""Keys a query asks for at a time; SQLite allows 999 parameters in its oldest builds."""


class VectorCache:
    """A file of vectors by 32-byte key, shared safely between processes.

    One SQLite database in write-ahead mode: a row is there whole or not at all, whatever is killed, and
    writers wait for each other. A cache that cannot be opened, read or written (disk full, no permission, not
    a database) is said once in the log and then left alone: it costs time, never an answer.

    Parameters
    ----------
    path
        The database file; made with its folder where missing.
    dimension
        Length of the vectors; rows of any other length are ignored.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.path = path
        self.dimension = dimension
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> "VectorCache":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may lose the last rows, never the database.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, FloatArray]:
        """The vectors of those keys that are known."""
        keys = list(keys)
        found: dict[bytes, FloatArray] = {}
        for start in range(0, len(keys), _LOOKUP):
            if self._connection is None:
                break
            part = keys[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            try:
                with closing(
                    self._connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
                ) as rows:
                    for key, blob in rows:
                        vector = np.frombuffer(blob, dtype="<f4") if len(blob) == 4 * self.dimension else None
                        if vector is not None and np.isfinite(vector).all():
                            found[key] = vector
            except sqlite3.Error as error:
                self._give_up(error)
        return found

    def put(self, vectors: Mapping[bytes, FloatArray]) -> None:
        """Store vectors; on return they survive the death of this process."""
        if self._connection is None:
            return
        rows = [(key, np.asarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.warning("going on without the vector cache %s: %s; delete it if this persists", self.path, error)
        if self._connection is not None:
            self._connection.close()
        self._connection = None
