import base64
import contextlib
import fcntl
import http.client
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import sharing
from .errors import MissingDependencyError, StoreError, StoreUnavailableError
from .store_state import begin_run, end_run

DATABASE = "kgenre"
USER = "root"
READER = "reader"

_MARKER = "kgenre-store.json"
_PASSWORD = "password"
_FORMAT = 1
_START_TIMEOUT = 90.0
_STOP_TIMEOUT = 30.0
_SQL_TIMEOUT = 3600.0
"""Seconds; an index over millions of vectors is built within one command."""

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
    """ArcadeDB on a folder, as a process that serves Bolt (and HTTP, for its SQL) on 127.0.0.1.

    The Bolt port is the system's choice, the password random and kept in the folder (mode 600). Whoever opens
    the folder first starts the server; others, in this process or another, attach to it; it ends with the last
    of them however they end (see `kgenre.graph.sharing` and `kgenre.graph.supervisor`).

    Parameters
    ----------
    folder
        The store's folder; created where it does not exist and `create` is true.
    create
        Whether a store may be made where there is none.
    read_only
        Whether to be a user whom the engine lets do nothing but read.

    Raises
    ------
    StoreUnavailableError
        If the folder is something else, or the server does not start or answer.
    """

    def __init__(self, folder: Path, create: bool = True, read_only: bool = False) -> None:
        self.folder = folder.expanduser().absolute()
        self.user = READER if read_only else USER
        self.pid: int | None = None
        self._owner = os.getpid()
        _check_folder(self.folder, create)
        self._clients = sharing.open_file(self.folder / sharing.CLIENTS)
        _OPEN.add(self)
        try:
            self.pid, self.port, self.http_port = self._join()
            sharing.note_client(self._clients, joined=True)
            self.password = _password(self.folder)
            if read_only:
                self._admit_reader()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / sharing.LOG

    def sql(self, command: str, timeout: float = _SQL_TIMEOUT) -> list[dict[str, Any]]:
        """Rows of a command in the engine's own SQL, which Bolt does not carry.

        Raises
        ------
        StoreError
            If the engine refuses it or does not answer.
        """
        request = {"language": "sql", "command": command}
        status, answer = self._http(f"command/{DATABASE}", request, self.user, timeout)
        if status == http.HTTPStatus.FORBIDDEN and self.user == READER:
            raise StoreError(
                f"the embedded store in {self.folder} is open for reading only; connect without read_only to write"
            )
        if status != http.HTTPStatus.OK:
            raise StoreError(f"the embedded store refused {command!r}: {_detail(answer)}")
        rows: list[dict[str, Any]] = answer["result"]
        return rows

    def _http(
        self, path: str, request: dict[str, Any], user: str, timeout: float = _SQL_TIMEOUT
    ) -> tuple[int, dict[str, Any]]:
        login = base64.b64encode(f"{user}:{self.password}".encode()).decode("ascii")
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        with contextlib.closing(connection):
            try:
                headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
                connection.request("POST", f"/api/v1/{path}", json.dumps(request), headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                raise StoreUnavailableError(
                    f"the embedded store in {self.folder} does not answer; close and connect again"
                ) from None

    def _admit_reader(self) -> None:
        """Make the user who may only read, if there is none: the engine's Bolt takes no heed of access modes."""
        group = {"database": DATABASE, "name": READER, "resultSetLimit": -1, "readTimeout": -1}
        rights = {"access": [], "types": {"*": {"access": ["readRecord"]}}}
        reader = {"name": READER, "password": self.password, "databases": {DATABASE: [READER]}}
        for path, request in (("server/groups", group | rights), ("server/users", reader)):
            status, answer = self._http(path, request, USER)
            if status >= http.HTTPStatus.BAD_REQUEST and status != http.HTTPStatus.CONFLICT:
                raise StoreError(
                    f"cannot open the store in {self.folder} for reading only: {_detail(answer)}"
                )

    def stop(self, last: int | None = None) -> None:
        """Leave; returns when the server is gone if nobody else has the store open.

        Close the driver first, or the server waits for it.

        Parameters
        ----------
        last
            Number of the last transaction that wrote, for `kgenre.graph.store_state`.
        """
        if os.getpid() != self._owner or self._clients < 0:
            return
        clients, self._clients = self._clients, -1
        try:
            if self.pid is not None:
                sharing.note_client(clients, joined=False)
            sharing.unlock(clients)
            self._await_end(clients, last)
        finally:
            os.close(clients)

    def _await_end(self, clients: int, last: int | None) -> None:
        deadline = time.monotonic() + _STOP_TIMEOUT
        while not self._ended(last):
            if not sharing.try_lock(clients, fcntl.LOCK_EX) and sharing.try_lock(clients, fcntl.LOCK_SH):
                # Neither alone nor is the server closing: others have the store open.
                sharing.unlock(clients)
                return
            sharing.unlock(clients)
            if time.monotonic() > deadline:
                if self.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(self.pid, signal.SIGKILL)
                return
            time.sleep(0.02)

    def _ended(self, last: int | None) -> bool:
        """Whether neither server nor supervisor is left; noted if so."""
        lock = sharing.open_file(self.folder / sharing.LOCK)
        try:
            if not sharing.try_lock(lock, fcntl.LOCK_EX):
                return False
            sharing.unregister(self.folder)
            end_run(self.folder, last)
            return True
        finally:
            os.close(lock)
            _reap()

    def _join(self) -> sharing.Address:
        """Attach to the server, which is started where none runs."""
        started = False
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if sharing.try_lock(self._clients, fcntl.LOCK_SH):
                lock = sharing.open_file(self.folder / sharing.LOCK)
                try:
                    if sharing.try_lock(lock, fcntl.LOCK_EX):
                        if started:
                            raise StoreUnavailableError(
                                f"the store in {self.folder} did not start: {_reason(self.log)}"
                            )
                        self._start(lock)
                        started = True
                finally:
                    os.close(lock)
                    _reap()
                address = sharing.address(self.folder)
                if address is not None:
                    return address
            time.sleep(0.05)
        raise StoreUnavailableError(
            f"the server of the store in {self.folder} is not ready within {_START_TIMEOUT:.0f} s; see {self.log}"
        )

    def _start(self, lock: int) -> None:
        os.ftruncate(lock, 0)
        os.ftruncate(self._clients, 0)
        _password(self.folder)
        begin_run(self.folder)
        _CHILDREN.append(_spawn(self.folder, lock))
        sharing.register(self.folder)


_OPEN: "weakref.WeakSet[EmbeddedServer]" = weakref.WeakSet()
_CHILDREN: list["subprocess.Popen[bytes]"] = []


def _leave_to_parent() -> None:
    # A forked child's copy of the descriptor would keep the server up after its parent was killed.
    for server in _OPEN:
        if server._clients >= 0:
            os.close(server._clients)
            server._clients = -1


os.register_at_fork(after_in_child=_leave_to_parent)


def _reap() -> None:
    """Forget supervisors of ours that have ended; they may have served others for long after we left."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


def _check_folder(folder: Path, create: bool) -> None:
    try:
        if is_store(folder):
            _check_marker(folder)
            return
        # A start that was cut short may have left these.
        strangers = folder.exists() and (
            not folder.is_dir()
            or {entry.name for entry in folder.iterdir()} - {sharing.LOCK, sharing.CLIENTS, _PASSWORD}
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
    return subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor, sharing.LOG, str(lock), sharing.CLIENTS, *command],
        cwd=folder,
        # Java reads the folder's own path by the locale, and LANG=C knows no letters beyond ASCII.
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[lock],
        # Ctrl-C in a terminal goes to the clients alone, which close in order.
        start_new_session=True,
    )


def _detail(answer: dict[str, Any]) -> str:
    return str(answer.get("detail") or answer.get("error") or answer).split("\n", 1)[0]


def _reason(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "SEVER" in line or "Exception" in line or line.startswith("Error")]
    return (telling or lines or ["no output"])[-1]
