"""Who shares a running embedded store: locks and notes on files in its folder.

``lock`` is held exclusively by the supervisor and the server of the folder, from before the start until both
are gone; it tells the supervisor's process id. ``clients`` is held shared by each open `GraphStore`, and
exclusively by a supervisor whose last client has gone, until the server has closed; who opens the store then
waits. A process that is killed loses its locks, so neither can be left behind.
"""

import contextlib
import fcntl
import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .cache import user_cache_dir
from .errors import StoreUnavailableError

LOCK = "lock"
CLIENTS = "clients"
LOG = "server.log"

_PORT = re.compile(r"Listening for incoming BOLT connections on \S*:(\d+)")
_HTTP_PORT = re.compile(r"HTTP Server started \(host=\S+ port=(\d+)")
_READY = "ArcadeDB Server started"


class Address(NamedTuple):
    """Where a ready server listens, and who supervises it."""

    pid: int
    port: int
    http_port: int


@dataclass(frozen=True)
class RunningStore:
    """An embedded store with a running server.

    Attributes
    ----------
    folder
        The store's folder.
    pid
        Process id of the server's supervisor.
    port
        Bolt port on 127.0.0.1.
    clients
        Ids of the processes that have it open, one for each time they do.
    """

    folder: Path
    pid: int
    port: int
    clients: tuple[int, ...]


def open_file(file: Path) -> int:
    """Descriptor of a file to lock, to read and to append to.

    Raises
    ------
    StoreUnavailableError
        If the file cannot be opened.
    """
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise StoreUnavailableError(f"cannot lock the store in {file.parent}: {error.strerror}") from None


def try_lock(descriptor: int, kind: int) -> bool:
    """Take a lock (`fcntl.LOCK_SH` or `LOCK_EX`) if it is to be had now."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give a lock back, for forked copies of the descriptor too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def supervisor(folder: Path) -> int | None:
    """Process id of the living supervisor, or None."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / LOCK).read_text("ascii"))
        return pid if _alive(pid) else None
    return None


def address(folder: Path) -> Address | None:
    """Where the folder's server listens; None while there is none that is ready."""
    pid = supervisor(folder)
    if pid is None:
        return None
    log = (folder / LOG).read_text("utf-8", errors="replace")
    port, http_port = _PORT.search(log), _HTTP_PORT.search(log)
    if port is None or http_port is None or _READY not in log:
        return None
    return Address(pid, int(port.group(1)), int(http_port.group(1)))


def note_client(clients: int, joined: bool) -> None:
    """Write down that this process has opened (or closed) the store."""
    os.write(clients, f"{'+' if joined else '-'}{os.getpid()}\n".encode("ascii"))


def clients_of(folder: Path) -> tuple[int, ...]:
    """Ids of the living processes that have the store open, one for each time they do."""
    count: Counter[int] = Counter()
    for line in (folder / CLIENTS).read_text("ascii").split():
        count[int(line[1:])] += 1 if line[0] == "+" else -1
    return tuple(pid for pid in sorted(count) if _alive(pid) for _ in range(count[pid]))


def register(folder: Path) -> None:
    """Let `running_stores` of this user find the folder."""
    # A convenience: an unwritable cache folder is no reason to refuse the store.
    with contextlib.suppress(OSError):
        entry = _entry(folder)
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text(str(folder), "utf-8")


def unregister(folder: Path) -> None:
    """Undo `register`."""
    with contextlib.suppress(OSError):
        _entry(folder).unlink()


def running_stores() -> list[RunningStore]:
    """The embedded stores of this user whose server runs, by folder."""
    found = []
    for entry in sorted((user_cache_dir() / "stores").glob("*")):
        with contextlib.suppress(OSError, ValueError):
            folder = Path(entry.read_text("utf-8"))
            where = address(folder)
            if where is not None:
                found.append(RunningStore(folder, where.pid, where.port, clients_of(folder)))
            elif supervisor(folder) is None:
                entry.unlink()
    return sorted(found, key=lambda store: store.folder)


def _entry(folder: Path) -> Path:
    return user_cache_dir() / "stores" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
