import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class VersionedFolder:
    """A folder whose content is replaced in one step.

    An index file names the sub-folder that counts and each of its files with its sha256. `replace` writes a new
    sub-folder beside the old one, syncs it, and then replaces the index: until that moment the old content is whole,
    from it on the new one is, whatever happens in between.

    Parameters
    ----------
    folder
        Where it is, or is to be.
    index
        Name of the index file; a folder without it holds something else.
    """

    def __init__(self, folder: str | Path, index: str) -> None:
        self.path = Path(folder)
        self.index = self.path / index
        # What a replacement writes beside the index; one that was killed may have left some.
        self._own = re.compile(rf"({re.escape(index)}\.)?v-[0-9a-f]{{12}}")

    def is_foreign(self) -> bool:
        """Whether something else is there, which must not be written into."""
        if not self.path.is_dir():
            return self.path.exists()
        if self.index.is_file():
            return False
        return not all(self._own.fullmatch(path.name) for path in self.path.iterdir())

    def replace(self, write: Callable[[Path], None], head: Mapping[str, Any]) -> None:
        """Put a new content in the place of the old one; if that fails, the folder is left as it was.

        Parameters
        ----------
        write
            Writes the files into the empty folder that it is given.
        head
            What the index says beside ``part``, the sub-folder, and ``files``, its files with their sha256.

        Raises
        ------
        OSError
            If the disk refuses; and whatever `write` raises.
        """
        part = f"v-{uuid.uuid4().hex[:12]}"
        folder, temporary = self.path / part, self.index.with_name(f"{self.index.name}.{part}")
        fresh = not self.path.exists()
        try:
            folder.mkdir(parents=True)
            write(folder)
            files = {
                path.relative_to(self.path).as_posix(): _digest(path) for path in sorted(folder.iterdir())
            }
            for name in files:
                _sync(self.path / name)
            _sync(folder)
            described = {**head, "part": part, "files": files}
            temporary.write_text(json.dumps(described, indent=1), encoding="utf-8")
            _sync(temporary)
            os.replace(temporary, self.index)
            _sync(self.path)
        except BaseException:
            self._discard(folder, temporary, fresh)
            raise
        for old in self.path.iterdir():
            if self._own.fullmatch(old.name) and old.name != part:
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)

    def missing(self, files: Mapping[str, str]) -> str | None:
        """The first of the files that the index names which is not there."""
        return next((name for name in files if not (self.path / name).is_file()), None)

    def changed(self, files: Mapping[str, str]) -> str | None:
        """The first of the files that the index names whose content is another."""
        return next((name for name, digest in files.items() if _digest(self.path / name) != digest), None)

    def _discard(self, folder: Path, temporary: Path, fresh: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.unlink()
        if fresh and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
