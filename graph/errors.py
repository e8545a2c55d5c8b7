"""Everything kgenre raises on purpose.

::

    KgenreError
    ├── DataError (ValueError)              a file, frame or graph that cannot be used as it is
    ├── UnknownIdError (KeyError)           a user, item, relation or label that is not there
    ├── ConfigError (ValueError)            a setting, option or argument out of range or misspelt
    ├── MissingDependencyError (ImportError) an optional package is not installed
    ├── StoreError                          the graph store
    │   ├── StoreUnavailableError           not running, in use, wrong address, database or password
    │   └── CypherError (ValueError)        the engine refused a query
    ├── ModelError                          a saved model that cannot be read or written
    └── NotFittedError                      asked before `fit`

A message names the value and the remedy, in one line.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class KgenreError(Exception):
    """Root of all errors that kgenre raises on purpose."""


class DataError(KgenreError, ValueError):
    """A file, frame or graph that cannot be used as it is."""


class UnknownIdError(KgenreError, KeyError):
    """A user, item, relation or label that is not there."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigError(KgenreError, ValueError):
    """A setting, option or argument that is out of range or misspelt."""


class MissingDependencyError(KgenreError, ImportError):
    """An optional package is not installed."""


class StoreError(KgenreError):
    """The graph store could not do what it was asked."""


class StoreUnavailableError(StoreError):
    """The graph store is not running, in use, or refuses the address, database or password."""


class CypherError(StoreError, ValueError):
    """The engine refused a query."""


class ModelError(KgenreError):
    """A saved model cannot be read or written."""


class NotFittedError(KgenreError):
    """A model was asked before it was fitted."""


def nearest(value: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The `n` known strings most like `value`, best first (exact matches but for case or space lead)."""
    known = list(known)
    folded = value.strip().casefold()
    same = [k for k in known if k.strip().casefold() == folded]
    return list(dict.fromkeys(same + get_close_matches(value, known, n=n, cutoff=0.4)))[:n]


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """``"; nearest: a, b"``, or an empty string where nothing is near."""
    close = nearest(value, known)
    return f"; nearest: {', '.join(close)}" if close else ""
