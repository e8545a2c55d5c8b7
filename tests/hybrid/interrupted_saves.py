"""Saves that fail for real: run by test_persistence with a folder that holds a model, ``model``.

Every attempt is made in a child process. Prints what became of each as JSON.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

import kgenre
from kgenre.graph.errors import ModelError

folder = Path(sys.argv[1])
model = kgenre.load(folder / "model")


def tree(path: Path) -> list[str]:
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file())


def on_a_full_disk(limit: int) -> dict[str, object]:
    """Save over the model, and into a new folder, where no file can grow beyond `limit` bytes."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        messages = []
        for target in ("model", "never"):
            try:
                model.save(folder / target)
                messages.append("saved")
            except ModelError as error:
                messages.append(str(error))
        os.write(writing, json.dumps(messages).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        over, fresh = json.load(pipe)
    os.wait()
    return {
        "over": over,
        "fresh": fresh,
        "left": tree(folder / "model"),
        "fresh left": (folder / "never").exists(),
    }


def killed(event: str, name: str, target: str) -> int:
    """Save until an audit event of a file called `name`, and be killed there; returns the exit status."""
    pid = os.fork()
    if pid == 0:

        def hook(happening: str, arguments: tuple[object, ...]) -> None:
            if happening == event and os.path.basename(str(arguments[0])).startswith(name):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        model.save(folder / target)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


arrays = next((folder / "model").glob("v-*/arrays.safetensors")).stat().st_size
outcome = {
    "full": {str(limit): on_a_full_disk(limit) for limit in (0, 500, arrays - 1)},
    "killed": {
        # Before the first file of the new model is complete, between its files, before and after its index is.
        "arrays": killed("os.mkdir", "v-", "model"),
        "description": killed("open", "description.json", "model"),
        "index": killed("open", "model.json.", "model"),
        "rename": killed("os.rename", "model.json.", "model"),
    },
}
killed("os.rename", "model.json.", "fresh")
print(json.dumps(outcome))
