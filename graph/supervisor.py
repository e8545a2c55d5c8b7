"""Runs a server for as long as its owner lives: ``python supervisor.py OWNER_PID LOG LOCK_FD COMMAND...``.

A process of its own, run as a plain script on the standard library alone, because nothing inside the owner
can stop a child when the owner is killed outright. The owner holds the other end of this process's standard
input; its end, or a new parent, means that the owner is gone. The lock's descriptor is handed on to the
server, so that the lock is held exactly as long as anything may still write to the store.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from types import FrameType

GRACE = 20.0
"""Seconds a server gets to close its files before it is killed."""


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main(arguments: list[str]) -> int:
    """Start the command, wait for it or for the owner's end, and leave nothing behind."""
    owner, log, lock, *command = arguments
    signal.signal(signal.SIGTERM, _stop)
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[int(lock)],
            preexec_fn=_die_with_parent,
        )
    try:
        while server.poll() is None and os.getppid() == int(owner):
            if select.select([sys.stdin], [], [], 0.5)[0]:
                break
    finally:
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
