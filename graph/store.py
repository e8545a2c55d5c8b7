import os
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd

from . import embedded
from .bolt import Bolt, to_frame
from .errors import ConfigError
from .explore import LIMIT, Exploration, explore, is_cypher
from .knowledge_graph import KnowledgeGraph
from .picture import GraphPicture
from .saved import save_graph, saved_files
from .schema import GraphSchema
from .snapshot_cache import cached_snapshot
from .store_changes import StoreChanges
from .store_dump import dump_store, is_dump, restore_store
from .store_explore import StoreSurroundings
from .store_log import GRAPH, note_change
from .store_read import read_graph
from .store_search import StoreSearch
from .store_state import transaction_number

_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


def is_address(target: str | Path) -> bool:
    """Whether a target is a server's address rather than a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(target)) is not None


def connect(
    target: str | Path | None = None,
    *,
    auth: tuple[str, str] | None = None,
    database: str | None = None,
    create: bool = True,
    schema: GraphSchema | None = None,
    read_only: bool = False,
) -> "GraphStore":
    """Open a graph store.

    Parameters
    ----------
    target
        None for the embedded store in the user's data folder; a path for an embedded store in that folder; a
        ``bolt://`` or ``neo4j://`` address for a running Neo4j.
    auth
        User and password of a server; an embedded store has its own.
    database
        A server's database; None takes the user's default one.
    create
        Whether an embedded store may be made where there is none.
    schema
        How the graph reads; None fits what `GraphStore.write` stores.
    read_only
        Whether to refuse all writing, by Cypher too; a store is not made then.

    Returns
    -------
    GraphStore
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    StoreUnavailableError
        If the server is not running or refuses the password or database, or the folder is in use or no store.
    ConfigError
        If the arguments do not go together.
    """
    if target is not None and is_address(target):
        address = str(target)
        scheme = address.split("://")[0].lower()
        if scheme not in _SCHEMES:
            raise ConfigError(
                f"unknown scheme {scheme!r} in the store's address; use one of {', '.join(_SCHEMES)}"
            )
        return GraphStore(Bolt(address, auth, database, f"the store at {address}", read_only), schema=schema)
    if auth is not None or database is not None:
        raise ConfigError("auth and database are for a server's address; an embedded store takes neither")
    folder = embedded.default_folder() if target is None else Path(target)
    server = embedded.EmbeddedServer(folder, create and not read_only, read_only)
    try:
        bolt = Bolt(
            f"bolt://127.0.0.1:{server.port}",
            (server.user, server.password),
            embedded.DATABASE,
            f"the embedded store in {server.folder}",
            read_only,
        )
    except BaseException:
        server.stop()
        raise
    return GraphStore(bolt, server, schema)


class GraphStore(StoreSearch, StoreChanges):
    """A live property graph: an embedded store or a Neo4j server, both spoken to in Bolt and Cypher.

    Made by `connect`. Nodes carry their label, the properties ``id`` (unique within the label), ``name`` and
    ``text``, and whatever else is known of them. Interactions are ``(:User)-[:INTERACTED {weight,
    timestamp}]->(:Item)``, facts relationships of the relation's name. A relation whose name is taken (by the
    interactions or, since the embedded engine has one namespace for both, by a label) is stored with
    ``#relation`` behind it. What a recommender writes back, ``RECOMMENDED`` relationships and vectors, is no part
    of a snapshot.

    Attributes
    ----------
    schema
        How the graph reads, for `snapshot` and for what is written back and searched; may be set at any time.
    """

    def __init__(
        self,
        bolt: Bolt,
        server: embedded.EmbeddedServer | None = None,
        schema: GraphSchema | None = None,
    ) -> None:
        self.schema = schema or GraphSchema()
        self._bolt = bolt
        self._server = server
        self._finalizer = weakref.finalize(self, _shut_down, os.getpid(), bolt, server)

    # -- reading ---------------------------------------------------------------------------------

    def cypher(self, query: str, /, **parameters: Any) -> pd.DataFrame:
        """Run a Cypher query, reading or writing.

        Parameters
        ----------
        query
            The query; values belong into parameters (``$name``), never into its text.
        **parameters
            The parameters by name.

        Returns
        -------
        pandas.DataFrame
            A column for each returned expression. A node is a dict of its properties with its labels under
            ``_labels``, a relationship one with ``_type``; a path is a list of both.

        Raises
        ------
        CypherError
            If the engine refuses the query; the message is the engine's, with the position.
        StoreUnavailableError
            If the store does not answer. Where the connection broke while the query was under way it says so: what a
            query writes is stored whole or not at all, and which only the store can tell.
        """
        return to_frame(*self._bolt.table(query, parameters, foreign=True))

    def explore(
        self, start: str | tuple[str, str], /, *, limit: int = LIMIT, **parameters: Any
    ) -> Exploration:
        """Draw a node and what it is linked to, or what a Cypher query finds; `Exploration.expand` walks on.

        Parameters
        ----------
        start
            A node's id or name in any label, or (label, id); or a query that returns nodes, relationships or paths.
        limit
            Relationships of one node that are drawn: small groups whole, of large ones the first that the store
            gives; a notice says so.
        **parameters
            The query's parameters by name.

        Raises
        ------
        UnknownIdError
            If there is no such node.
        ConfigError
            If the query returns nothing to draw, or parameters are given for a node.
        CypherError
            If the engine refuses the query. Neo4j does so where it writes; the embedded engine runs it.
        """
        around = StoreSurroundings(self._bolt, self.schema)
        if isinstance(start, str) and is_cypher(start):
            return around.query(start, parameters)
        if parameters:
            raise ConfigError(
                f"{next(iter(parameters))} is a parameter, and {start!r} is no query that takes one"
            )
        return explore(around, start, limit)

    def _result(self, query: str, parameters: Mapping[str, Any]) -> tuple[pd.DataFrame, GraphPicture | None]:
        """A query's frame, and a picture where it has nodes or relationships."""
        columns, rows = self._bolt.table(query, dict(parameters))
        return to_frame(columns, rows), StoreSurroundings(self._bolt, self.schema).drawn(rows)

    def snapshot(self, schema: GraphSchema | None = None) -> KnowledgeGraph:
        """The store's content as a frozen `KnowledgeGraph`; equal to what was written.

        A large one is also kept as files, in the embedded store's folder or the user's cache folder, and taken
        from there until anybody writes to the store (see `kgenre.graph.store_state`).

        Parameters
        ----------
        schema
            How the graph reads; None takes the store's own (`schema`).

        Raises
        ------
        ConfigError
            If the schema does not fit; the message names the label, property or query and what is there.
        """
        schema = schema or self.schema
        return cached_snapshot(self._bolt, self._server, schema, lambda: read_graph(self._bolt, schema))

    def export(self, folder: str | Path) -> None:
        """Save the store's content in a folder of its own: Parquet, safetensors and JSON, replaced in one step.

        It is what `snapshot` gives, for `KnowledgeGraph.load` and as a source, and beside it all of the store for
        `import_`: every node and relationship with all properties, what a recommender wrote back, and indexes.

        Raises
        ------
        DataError
            If the folder cannot be written, or holds something else.
        """
        save_graph(
            self.snapshot(), folder, lambda part: dump_store(self._bolt, self._server, self.schema, part)
        )

    # -- writing ---------------------------------------------------------------------------------

    def import_(self, folder: str | Path) -> None:
        """Write what `export` saved, from whichever engine, or a graph that `KnowledgeGraph.save` saved.

        What is there already is found again, as `write` does; a node without an id is made anew.

        Raises
        ------
        DataError
            If there is no saved graph in the folder, or a damaged one.
        """
        part = saved_files(folder)
        if not is_dump(part):
            self.write(KnowledgeGraph.load(folder))
            return
        note_change(self._bolt, GRAPH)
        restore_store(self._bolt, self._server, part)
        note_change(self._bolt, GRAPH)

    def __enter__(self) -> "GraphStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and end the embedded server; a second call does nothing."""
        self._finalizer()

    def __repr__(self) -> str:
        state = ", closed" if self._bolt.closed else ""
        return f"<GraphStore: {self._bolt.place.removeprefix('the ')}{state}>"


def _shut_down(owner: int, bolt: Bolt, server: embedded.EmbeddedServer | None) -> None:
    # A forked child inherits the store but must not end its parent's server.
    if os.getpid() != owner:
        return
    last = None if server is None else transaction_number(server)
    try:
        # First the driver: the server waits 20 to 40 s for open connections.
        bolt.close()
    finally:
        if server is not None:
            server.stop(last)
