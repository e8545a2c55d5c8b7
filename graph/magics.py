"""``%load_ext kgenre``: the cell magics ``%%cypher`` and ``%%sparql``."""

import re
import shlex
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from .errors import ConfigError, KgenreError, MissingDependencyError
from .knowledge_graph import KnowledgeGraph
from .picture import GraphPicture
from .source import open_store
from .store import GraphStore

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NO_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|`(?:[^`]|``)*`|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_LOADED: "weakref.WeakKeyDictionary[InteractiveShell, Magics]" = weakref.WeakKeyDictionary()
_USAGE = {
    "cypher": "%%cypher [--store STORE] [-o NAME]",
    "sparql": "%%sparql [--graph NAME] [-o NAME]",
}


class CypherResult:
    """A result with nodes or relationships: `frame`, and the `picture` that a notebook shows beside it."""

    def __init__(self, frame: pd.DataFrame, picture: GraphPicture) -> None:
        self.frame = frame
        self.picture = picture

    def __repr__(self) -> str:
        return repr(self.frame)

    def _repr_html_(self) -> str:
        return self.picture._repr_html_()


class Magics:
    """The two magics over a shell's variables."""

    def __init__(self, shell: "InteractiveShell") -> None:
        self._shell = shell
        self._opened: dict[str, GraphStore] = {}

    def cypher(self, line: str, cell: str) -> Any:
        """Run a Cypher query; its parameters (``$name``) are the Python variables of these names.

        ::

            %%cypher [--store STORE] [-o NAME]

        STORE is a variable with a `GraphStore`, an embedded store's folder or a server's address; without it, the
        one store among the variables. ``-o`` keeps the frame as a variable and shows nothing.
        """
        options = _options("cypher", line, {"--store": None, "-o": None})
        store = self._store(options["--store"])
        parameters = {name: self._variable(name) for name in _parameters(cell)}
        frame, picture = store._result(cell, parameters)
        return self._kept(options["-o"], frame, frame if picture is None else CypherResult(frame, picture))

    def sparql(self, line: str, cell: str) -> Any:
        """Ask a `KnowledgeGraph` in SPARQL.

        ::

            %%sparql [--graph NAME] [-o NAME]

        Without ``--graph`` it is the one `KnowledgeGraph` among the variables.
        """
        options = _options("sparql", line, {"--graph": None, "-o": None})
        graph = self._one(KnowledgeGraph, options["--graph"], "--graph")
        frame = graph.sparql(cell)
        return self._kept(options["-o"], frame, frame)

    def close(self) -> None:
        """Close the stores that were opened by folder or address; those of variables stay open."""
        while self._opened:
            self._opened.popitem()[1].close()

    def _kept(self, name: str | None, frame: pd.DataFrame, shown: Any) -> Any:
        if name is None:
            return shown
        if not name.isidentifier():
            raise ConfigError(f"-o {name} is no name of a variable")
        self._shell.user_ns[name] = frame
        return None

    def _store(self, named: str | None) -> GraphStore:
        if named is None or named.isidentifier():
            given = self._shell.user_ns.get(named) if named else None
            if named is None or isinstance(given, GraphStore):
                found: GraphStore = self._one(GraphStore, named, "--store")
                return found
        assert named is not None
        if named not in self._opened:
            self._opened[named] = open_store(named)
        return self._opened[named]

    def _one(self, kind: type[Any], named: str | None, option: str) -> Any:
        """The variable of a type that is named, or the only one there is."""
        there = {
            name: value
            for name, value in self._shell.user_ns.items()
            if isinstance(value, kind) and name[0] != "_"
        }
        if named is not None:
            if named not in there:
                raise ConfigError(f"{named} is no variable with a {kind.__name__}; {_known(there)}")
            return there[named]
        values = {id(value): value for value in there.values()}
        if len(values) != 1:
            raise ConfigError(f"name the {kind.__name__} with {option}; {_known(there)}")
        return next(iter(values.values()))

    def _variable(self, name: str) -> Any:
        if name not in self._shell.user_ns:
            raise ConfigError(f"the query takes ${name}, and there is no Python variable {name}")
        value = self._shell.user_ns[name]
        return value.tolist() if hasattr(value, "tolist") else value


def load(shell: "InteractiveShell") -> None:
    """Register the magics in a shell.

    Raises
    ------
    MissingDependencyError
        If IPython is not installed.
    """
    try:
        from IPython.core.error import UsageError
    except ImportError:
        raise MissingDependencyError("the magics take IPython; run pip install 'kgenre[notebook]'") from None
    magics = _LOADED[shell] = Magics(shell)

    def registered(function: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
        def run(line: str, cell: str = "") -> Any:
            try:
                return function(line, cell)
            except KgenreError as error:
                # IPython shows this one as a line, without a traceback.
                raise UsageError(str(error)) from None

        run.__doc__ = function.__doc__
        return run

    register: Any = shell.register_magic_function
    for name in _USAGE:
        register(registered(getattr(magics, name)), "cell", name)


def unload(shell: "InteractiveShell") -> None:
    """Close the stores that the magics of a shell have opened."""
    if shell in _LOADED:
        _LOADED.pop(shell).close()


def _options(magic: str, line: str, known: dict[str, str | None]) -> dict[str, str | None]:
    found = dict(known)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"{line.strip()}: {error}; the usage is {_USAGE[magic]}") from None
    while words:
        word = words.pop(0)
        if word not in known or not words:
            raise ConfigError(f"{word} is not understood; the usage is {_USAGE[magic]}")
        found[word] = words.pop(0)
    return found


def _parameters(query: str) -> list[str]:
    """Names of a query's parameters: ``$name`` outside of strings, quoted names and comments."""
    return list(dict.fromkeys(re.findall(r"\$(\w+)", _NO_CODE.sub(" ", query))))


def _known(there: dict[str, Any]) -> str:
    return f"the variables are {', '.join(there)}" if there else "no variable has one"
