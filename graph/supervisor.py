"""Runs a store's server for as long as anybody uses it: ``python supervisor.py LOG LOCK_FD CLIENTS COMMAND...``.

A process of its own, run as a plain script on the standard library alone, because nothing inside a client can
stop the server when that client is killed outright. Each client holds a shared lock on the file CLIENTS; an
exclusive one is to be had when the last of them is gone, however it ended. The descriptor of the store's lock
is handed on to the server, so that the lock is held exactly as long as anything may still write to the store;
the lock's file tells who supervises.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading

GRACE = 20.0
"""Seconds a server gets to close its files before it is killed."""

_END = b"e"
_CHILD = b"c"


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_for_clients(file: str, waker: int) -> None:
    # Kept open, and so locked: who comes while the server closes waits for the next one.
    fcntl.flock(os.open(file, os.O_RDWR), fcntl.LOCK_EX)
    os.write(waker, _END)


def main(arguments: list[str]) -> int:
    """Start the command, wait for its end or the last client's, and leave nothing behind."""
    log, lock_fd, clients, *command = arguments
    lock = int(lock_fd)
    wake, waker = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(waker, _END) and None)
    signal.signal(signal.SIGCHLD, lambda *_: os.write(waker, _CHILD) and None)
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            preexec_fn=_die_with_parent,
        )
    # After the log was emptied: who reads this pid reads this server's log.
    os.pwrite(lock, str(os.getpid()).encode("ascii"), 0)
    threading.Thread(target=_wait_for_clients, args=(clients, waker), daemon=True).start()
    while os.read(wake, 1) == _CHILD and server.poll() is None:
        pass
    os.ftruncate(lock, 0)
    with contextlib.suppress(ProcessLookupError):
        server.terminate()
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
