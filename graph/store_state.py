"""What state a store's data is in, as a key that every committed write changes, whoever wrote.

*Neo4j*: the bookmark of a read transaction names the database and its last committed transaction; the time of
the database's last start sets a database apart from a restored copy of itself. *Embedded*: the engine numbers
its transactions, persistently (``last-tx-id.bin``, at an orderly end), and counts those of a run that wrote. A
run thus stands at the number it started from plus the count; types and indexes, which no transaction changes,
are in the engine's ``schema.json``. Whether numbers and data still belong together
is checked at each start: only if the last run ended in order, its count agreed with the engine's number, and
the number's file is the one that was left then. An ArcadeDB server that is spoken to by its address gives
neither, and has no key.
"""

import base64
import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    from .bolt import Bolt
    from .embedded import EmbeddedServer

CACHE = "cache"
"""What is remembered of an embedded store by its state, in its folder."""
_RUN = "run.json"
_SCHEMA = Path("databases", "kgenre", "schema.json")
_NUMBER = Path("databases", "kgenre", "last-tx-id.bin")
_BEFORE_THE_FIRST = -1


def state_of(bolt: "Bolt", server: "EmbeddedServer | None") -> str | None:
    """The key of the store's state now, or None where there is no reliable one."""
    if server is not None:
        number = transaction_number(server)
        with contextlib.suppress(OSError):
            schema = (server.folder / _SCHEMA).read_bytes()
            return None if number is None else f"arcadedb {number} {hashlib.sha256(schema).hexdigest()}"
        return None
    return None if bolt.arcadedb else _neo4j_state(bolt)


def transaction_number(server: "EmbeddedServer") -> int | None:
    """Number of the embedded engine's last transaction that wrote."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError, StoreError):
        start = int(json.loads((server.folder / _RUN).read_text("ascii"))["start"])
        return start + int(server.sql("SELECT FROM schema:stats", timeout=10)[0]["writeTx"])
    return None


def neo4j_transaction_number(bolt: "Bolt") -> tuple[int, str] | None:
    """Number of the last transaction that a Neo4j database committed, and the id of the database.

    It stands in the bookmark of a read transaction: after the database's own 16 bytes, as PackStream writes an integer.
    That is no promise of Neo4j's; a bookmark of another form gives None.
    """
    with contextlib.suppress(StoreError, ValueError, IndexError):
        database, bookmarks = bolt.bookmarks()
        (bookmark,) = bookmarks
        rows = bolt.run("SHOW DATABASES YIELD name, databaseID")
        (id_,) = {str(row[1]) for row in rows if row[0] == database}
        return _number_in(bookmark), id_
    return None


_BYTES_OF_16, _INTEGERS = b"\xcc\x10", {0xC8: 1, 0xC9: 2, 0xCA: 4, 0xCB: 8}
"""PackStream's marks of 16 bytes, and of integers with their lengths."""


def _number_in(bookmark: str) -> int:
    kind, _, content = bookmark.partition(":")
    raw = base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
    if kind != "FB" or raw[1:3] != _BYTES_OF_16:
        raise ValueError(f"a bookmark of another form: {bookmark}")
    mark = raw[19]
    if mark < 0x80:
        return mark
    if mark not in _INTEGERS or len(raw) < 20 + _INTEGERS[mark]:
        raise ValueError(f"a bookmark of another form: {bookmark}")
    return int.from_bytes(raw[20 : 20 + _INTEGERS[mark]], "big", signed=True)


def begin_run(folder: Path) -> None:
    """Before an embedded server starts: note where it starts from, forget what may not belong to its data.

    Called while the folder's lock is held.
    """
    number = _number(folder)
    if _run(folder) != {"ended": number}:
        shutil.rmtree(folder / CACHE, ignore_errors=True)
    _write_run(folder, {"start": _BEFORE_THE_FIRST if number is None else number[0]})


def end_run(folder: Path, last: int | None) -> None:
    """After an embedded server's orderly end: note it, given the number it should have ended at.

    Called while the folder's lock is held.
    """
    number = _number(folder)
    if number is not None and number[0] == last:
        _write_run(folder, {"ended": number})


def _neo4j_state(bolt: "Bolt") -> str | None:
    with contextlib.suppress(StoreError):
        database, bookmarks = bolt.bookmarks()
        rows = bolt.run("SHOW DATABASES YIELD name, databaseID, lastStartTime, currentStatus")
        # A cluster lists a database once for each member.
        members = sorted(str(row[1:]) for row in rows if row[0] == database)
        if members and len(bookmarks) == 1:
            return f"neo4j {bookmarks[0]} {members}"
    return None


def _number(folder: Path) -> list[int] | None:
    """Last transaction number that the engine left, and when its file was written."""
    try:
        with open(folder / _NUMBER, "rb") as stream:
            content = stream.read()
            return [int.from_bytes(content, "big", signed=True), os.fstat(stream.fileno()).st_mtime_ns]
    except OSError:
        return None


def _run(folder: Path) -> Any:
    try:
        return json.loads((folder / _RUN).read_text("ascii"))
    except (OSError, ValueError):
        return None


def _write_run(folder: Path, run: dict[str, Any]) -> None:
    # On disk before the server starts: after a power cut an older note would vouch for newer data.
    temporary = folder / f"{_RUN}.new"
    with open(temporary, "w", encoding="ascii") as stream:
        json.dump(run, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / _RUN)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
