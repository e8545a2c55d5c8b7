import os
import sys
from pathlib import Path


def user_cache_dir() -> Path:
    """Where kgenre keeps what it can fetch or compute again.

    ``$KGENRE_CACHE_DIR`` if set, else the platform's place for a user's caches (``$XDG_CACHE_HOME`` or
    ``~/.cache`` on Linux), in a folder ``kgenre``.
    """
    if configured := os.environ.get("KGENRE_CACHE_DIR"):
        return Path(configured).expanduser()
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        root = "~/Library/Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "kgenre"
