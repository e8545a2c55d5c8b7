import contextlib
import fcntl
import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .errors import MissingDependencyError, StoreUnavailableError

DATABASE = "kgenre"
USER = "root"

_MARKER = "kgenre-store.json"
_PASSWORD = "password"
_LOG = "server.log"
_LOCK = "lock"
_FORMAT = 1
_START_TIMEOUT = 90.0
_STOP_TIMEOUT = 30.0
_PORT = re.compile(r"Listening for incoming BOLT connections on \S*:(\d+)")
_HTTP_PORT = re.compile(r"HTTP Server started \(host=\S+ port=(\d+)")
_READY = "ArcadeDB Server started"

_SETTINGS: Mapping[str, str] = {
    "server.rootPath": ".",
    "server.databaseDirectory": "databases",
    "server.rootPasswordPath": _PASSWORD,
    "server.defaultDatabases": f"{DATABASE}[{USER}]",
    "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
    # Production mode hides the engine's messages from the client, so its one safety setting is stated here.
    "server.mode": "development",
    "txWalFlush": "1",
    "opencypher.loadCsv.allowFileUrls": "false",
    "opencypher.loadCsv.allowRemoteUrls": "false",
    "server.httpIncomingHost": "127.0.0.1",
    # A range, of which it takes the first that is free: the system's choice (0) it does not tell.
    "server.httpIncomingPort": "20000-29999",
    "bolt.host": "127.0.0.1",
    "bolt.port": "0",
    "bolt.defaultDatabase": DATABASE,
    "support.autoRegister": "false",
}


def default_folder() -> Path:
    """Where the embedded store lives if no folder is named: the user's data folder."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "kgenre" / "store"


def is_store(folder: Path) -> bool:
    """Whether a folder holds an embedded store."""
    return (folder / _MARKER).is_file()


class EmbeddedServer:
    """ArcadeDB on a folder, as a child process that serves Bolt (and HTTP, for its SQL) on 127.0.0.1.

    The Bolt port is the system's choice, the password random and kept in the folder (mode 600). The child ends
    with its owner however the owner ends (see `kgenre.graph.supervisor`). One process at a time holds a
    folder.

    Parameters
    ----------
    folder
        The store's folder; created where it does not exist and `create` is true.
    create
        Whether a store may be made where there is none.

    Raises
    ------
    StoreUnavailableError
        If the folder is something else, in use, or the server does not start.
    """

    def __init__(self, folder: Path, create: bool = True) -> None:
        self.folder = folder.expanduser().absolute()
        self._owner = os.getpid()
        _check_folder(self.folder, create)
        lock = _acquire(self.folder)
        try:
            self.password = _password(self.folder)
            self._process = _spawn(self.folder, lock)
        finally:
            os.close(lock)
        try:
            self.port, self.http_port = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / _LOG

    @property
    def running(self) -> bool:
        """Whether the child process is alive."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the child; returns when it is gone. Close the driver first, or the server waits for it."""
        if os.getpid() != self._owner:
            return
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait_until_ready(self) -> tuple[int, int]:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            running = self.running
            text = self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""
            port, http_port = _PORT.search(text), _HTTP_PORT.search(text)
            if port and http_port and _READY in text:
                return int(port.group(1)), int(http_port.group(1))
            if not running:
                raise StoreUnavailableError(f"the store in {self.folder} did not start: {_reason(text)}")
            time.sleep(0.05)
        raise StoreUnavailableError(
            f"the store in {self.folder} did not start within {_START_TIMEOUT:.0f} s; see {self.log}"
        )


def _check_folder(folder: Path, create: bool) -> None:
    try:
        if is_store(folder):
            _check_marker(folder)
            return
        # A start that was cut short may have left these two.
        strangers = folder.exists() and (
            not folder.is_dir() or {entry.name for entry in folder.iterdir()} - {_LOCK, _PASSWORD}
        )
        if strangers:
            raise StoreUnavailableError(
                f"{folder} is not a graph store; name a store's folder or one that is empty or does not exist"
            )
        if not create:
            raise StoreUnavailableError(
                f"no graph store in {folder}; check the path, or write a graph there first"
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailableError(f"cannot use {folder} as a graph store: {error.strerror}") from None


def _check_marker(folder: Path) -> None:
    try:
        version = json.loads((folder / _MARKER).read_text())["format"]
    except (ValueError, KeyError, TypeError):
        raise StoreUnavailableError(
            f"{folder / _MARKER} is damaged; the graph store cannot be opened"
        ) from None
    if version != _FORMAT:
        raise StoreUnavailableError(
            f"the store in {folder} has format {version}, this kgenre reads format {_FORMAT}; upgrade kgenre"
        )


def _password(folder: Path) -> str:
    """The store's password, made with the store's marker the first time."""
    file = folder / _PASSWORD
    try:
        if is_store(folder):
            return file.read_text().strip()
        password = secrets.token_urlsafe(24)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(password)
        (folder / _MARKER).write_text(json.dumps({"format": _FORMAT, "engine": "arcadedb"}) + "\n")
    except OSError as error:
        raise StoreUnavailableError(f"cannot use the password file {file}: {error.strerror}") from None
    return password


def _acquire(folder: Path) -> int:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreUnavailableError(f"cannot lock the store in {folder}: {error.strerror}") from None
    try:
        deadline = time.monotonic() + _STOP_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _refuse_if_held(folder, os.pread(lock, 32, 0).decode("ascii", "replace").strip(), deadline)
                time.sleep(0.1)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode("ascii"), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _refuse_if_held(folder: Path, holder: str, deadline: float) -> None:
    """Raise where the holder lives; a dead one's server is still closing its files, so wait for it."""
    if holder == str(os.getpid()):
        raise StoreUnavailableError(
            f"the store in {folder} is already open in this process; use that GraphStore or close it first"
        )
    if time.monotonic() >= deadline or (holder.isdigit() and _alive(int(holder))):
        raise StoreUnavailableError(
            f"the store in {folder} is in use by process {holder or 'unknown'}; close it there first"
        )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _spawn(folder: Path, lock: int) -> "subprocess.Popen[bytes]":
    # Located, not imported: the import starts a JVM bridge that this process has no use for.
    spec = importlib.util.find_spec("arcadedb_embedded")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("the embedded store needs the package arcadedb-embedded; pip install it")
    package = Path(spec.origin).parent
    command = [
        str(package / "jre" / "bin" / "java"),
        "-cp",
        str(package / "jars" / "*"),
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        "-Dfile.encoding=UTF-8",
        "-Djava.awt.headless=true",
        *(f"-Darcadedb.{key}={value}" for key, value in _SETTINGS.items()),
        "com.arcadedb.server.ArcadeDBServer",
    ]
    supervisor = str(Path(__file__).with_name("supervisor.py"))
    with contextlib.suppress(FileNotFoundError):
        (folder / _LOG).unlink()
    return subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor, str(os.getpid()), _LOG, str(lock), *command],
        cwd=folder,
        # Java reads the folder's own path by the locale, and LANG=C knows no letters beyond ASCII.
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[lock],
        # Ctrl-C in a terminal goes to the owner alone, which closes in order.
        start_new_session=True,
    )


def _reason(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if "SEVER" in line or "Exception" in line or line.startswith("Error")]
    return (telling or lines or ["no output"])[-1]
