import contextlib
import logging
import math
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import neo4j
import neo4j.exceptions
import neo4j.graph
import neo4j.time
import pandas as pd

from .cypher_columns import returned_columns
from .errors import ConfigError, CypherError, DataError, StoreError, StoreUnavailableError

# The error that follows says it better, and without a handler Python prints this one.
logging.getLogger("neo4j.pool").addHandler(logging.NullHandler())
# Warnings at every property that a graph might have but lacks.
logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)

_FETCH = 10_000
_RETRY = 10.0
"""Seconds for which a transaction that lost its connection is tried again."""
_WRITING = ("Neo.ClientError.Security.Forbidden", "Neo.ClientError.Statement.AccessMode")
"""What the engines call an attempt to write by who may only read."""
_NOT_SENT = ("Couldn't connect", "Unable to retrieve routing information", "Cannot resolve address")
"""How the driver's errors begin where it never had a connection to send a query on."""
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_ARCADEDB_FORBIDDEN = re.compile(r"[*~,]")
_ARCADEDB_LONGEST = 180


class Bolt:
    """A connection to one database over Bolt; every error it raises is one of kgenre's, on one line.

    Parameters
    ----------
    address
        ``bolt://`` or ``neo4j://`` address, without credentials.
    auth
        User and password, or None.
    database
        Name of the database; None takes the user's default one.
    place
        How messages call the store.
    read_only
        Whether the engine is to refuse all writing.
    """

    def __init__(
        self,
        address: str,
        auth: tuple[str, str] | None,
        database: str | None,
        place: str,
        read_only: bool = False,
    ) -> None:
        parts = urlsplit(address)
        if parts.username or parts.password:
            raise ConfigError("the address holds credentials; pass them as auth=(user, password)")
        self.database = database
        self.place = place
        self.read_only = read_only
        self.user = auth[0] if auth else None
        self.closed = False
        self._bookmark_manager = neo4j.GraphDatabase.bookmark_manager()
        try:
            self.driver = neo4j.GraphDatabase.driver(
                address,
                auth=auth,
                user_agent="kgenre",
                connection_timeout=10.0,
                max_transaction_retry_time=_RETRY,
            )
        except (ValueError, neo4j.exceptions.DriverError) as error:
            raise ConfigError(f"cannot use the address {address}: {_line(str(error))}") from None
        try:
            with self.errors(), self._session() as session:
                self.agent = session.run("RETURN 1").consume().server.agent
        except BaseException:
            self.close()
            raise

    @property
    def arcadedb(self) -> bool:
        """Whether the engine is ArcadeDB: labels and types share one namespace, and names make files."""
        return "arcadedb" in self.agent.lower()

    def close(self) -> None:
        """Close the driver; a second call does nothing."""
        if not self.closed:
            self.closed = True
            self.driver.close()

    def run(self, query: str, **parameters: Any) -> list[list[Any]]:
        """Rows of a query in a transaction of its own."""
        return self.table(query, parameters)[1]

    def table(
        self, query: str, parameters: dict[str, Any], *, read_only: bool = False, foreign: bool = False
    ) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows of a query in a transaction of its own; of a `foreign` one, what it does is unknown."""
        with self.errors(foreign=foreign and not self.read_only), self._session(read_only) as session:
            result = session.run(query, parameters)
            columns, rows = list(result.keys()), result.values()
            # ArcadeDB names the columns only where there are rows.
            return columns if rows or columns else returned_columns(query), rows

    def change(self, query: str, rows: list[Any]) -> int:
        """Run a query over ``$rows`` in one transaction, tried again where the engine says it may succeed.

        Returns
        -------
        int
            How many nodes and relationships were created or deleted.
        """
        self.check_writable()

        def work(transaction: neo4j.ManagedTransaction) -> neo4j.SummaryCounters:
            return transaction.run(query, rows=rows).consume().counters

        with self.errors(writing=True), self._session() as session:
            done = session.execute_write(work)
        return (
            done.nodes_created + done.nodes_deleted + done.relationships_created + done.relationships_deleted
        )

    def update(self, query: str, rows: list[Any]) -> list[list[Any]]:
        """Run a query over ``$rows`` as `change` does, and return its rows."""
        self.check_writable()

        def work(transaction: neo4j.ManagedTransaction) -> list[list[Any]]:
            return transaction.run(query, rows=rows).values()

        with self.errors(writing=True), self._session() as session:
            return session.execute_write(work)

    def bookmarks(self) -> tuple[str | None, list[str]]:
        """Name of the database, and the bookmarks of a read transaction: in Neo4j of the last commit."""
        with self.errors(), self._session(chained=False) as session:
            database = session.run("RETURN 1").consume().database
            found = session.last_bookmarks().raw_values
        self._bookmark_manager.update_bookmarks((), found)
        return database, sorted(found)

    def transaction(self, statements: list[tuple[str, dict[str, Any]]]) -> None:
        """Run queries with their parameters in one transaction: all of them take effect or none."""
        self.check_writable()

        def work(transaction: neo4j.ManagedTransaction) -> None:
            for query, parameters in statements:
                transaction.run(query, parameters).consume()

        with self.errors(writing=True), self._session() as session:
            session.execute_write(work)

    def check_writable(self) -> None:
        """Refuse to go on where the store was opened for reading only."""
        if self.read_only:
            raise StoreError(f"{self.place} is open for reading only; connect without read_only to write")

    def quote(self, name: str, kind: str) -> str:
        """A label, relationship type or property as it stands in a query.

        Raises
        ------
        DataError
            If the engine cannot hold such a name.
        """
        bad = _FORBIDDEN.search(name) or (_ARCADEDB_FORBIDDEN.search(name) if self.arcadedb else None)
        if bad or not name.strip():
            what = f"contains {bad.group()!r}" if bad else "is blank"
            raise DataError(f"the {kind} {name!r} {what}, which the store cannot hold; rename it")
        if self.arcadedb and len(_file_name(name)) > _ARCADEDB_LONGEST:
            raise DataError(f"the {kind} {name[:60]!r}... is too long for the embedded store; rename it")
        return "`" + name.replace("`", "``") + "`"

    def _session(self, read_only: bool = False, chained: bool = True) -> neo4j.Session:
        if self.closed:
            raise StoreUnavailableError(f"{self.place} is closed; connect again")
        mode = neo4j.READ_ACCESS if read_only or self.read_only else neo4j.WRITE_ACCESS
        return self.driver.session(
            database=self.database,
            fetch_size=_FETCH,
            default_access_mode=mode,
            # In a cluster no session sees less than one before it.
            bookmark_manager=self._bookmark_manager if chained else None,
        )

    @contextlib.contextmanager
    def errors(self, writing: bool = False, foreign: bool = False) -> Iterator[None]:
        """Translate the driver's errors; of a transaction that writes, or may write, they say what became of it."""
        try:
            yield
        except neo4j.exceptions.AuthError:
            raise StoreUnavailableError(
                f"{self.place} refused the user or password; pass auth=(user, password)"
            ) from None
        except neo4j.exceptions.IncompleteCommit:
            raise StoreUnavailableError(
                f"the connection to {self.place} broke while a batch was being committed: it is stored whole or not "
                "at all, and those before it are stored; connect again and repeat the call, which adds only what is "
                "missing"
            ) from None
        except (neo4j.exceptions.ServiceUnavailable, neo4j.exceptions.SessionExpired, OSError) as error:
            if foreign and not str(error).startswith(_NOT_SENT):
                raise StoreUnavailableError(
                    f"the connection to {self.place} broke while a query was under way: what it writes is stored whole "
                    "or not at all (of CALL ... IN TRANSACTIONS, each batch), and which cannot be known from here; "
                    "connect again and look in the store, or repeat the query if it may run twice, as MERGE may"
                ) from None
            absent = (
                "; the batch under way is not stored, those before it are: repeat the call" if writing else ""
            )
            raise StoreUnavailableError(
                f"{self.place} does not answer; start it or check the address{absent}"
            ) from None
        except neo4j.exceptions.Neo4jError as error:
            raise self._translated(error) from None
        except neo4j.exceptions.DriverError as error:
            raise StoreError(f"{self.place}: {_line(str(error))}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise CypherError(f"a parameter cannot be sent to {self.place}: {_line(str(error))}") from None

    def _translated(self, error: neo4j.exceptions.Neo4jError) -> StoreError:
        code, message = error.code or "", _line(error.message or str(error))
        if "DatabaseNotFound" in code or "DatabaseUnavailable" in code:
            return StoreUnavailableError(
                f"{self.place} has no database {self.database!r}; check database= ({message})"
            )
        if self.read_only and code.startswith(_WRITING):
            return StoreError(f"{self.place} is open for reading only; connect without read_only to write")
        if code.startswith("Neo.ClientError.Security"):
            return StoreUnavailableError(f"{self.place} refused access: {message}")
        if code.startswith("Neo.ClientError"):
            return CypherError(message)
        return StoreError(f"{self.place}: {message}")


def _file_name(name: str) -> str:
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "._-") else "%xx" * len(c.encode()) for c in name
    )


def _line(message: str) -> str:
    """The telling first line; the ones below it draw the query with a caret."""
    return next((line.strip() for line in message.splitlines() if line.strip()), "no message")


def plain(value: Any) -> Any:
    """A driver's value as plain Python: nodes and relationships as dicts of their properties.

    A node's dict has its labels under ``"_labels"``, a relationship's has ``"_type"``; a path is the list of
    its nodes and relationships in turn; times are `datetime` objects and durations ISO 8601 strings.
    """
    if isinstance(value, neo4j.graph.Node):
        return {"_labels": sorted(value.labels), **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, neo4j.graph.Relationship):
        return {"_type": value.type, **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, neo4j.graph.Path):
        steps: list[Any] = [plain(value.nodes[0])]
        for relationship, node in zip(value.relationships, value.nodes[1:], strict=True):
            steps += [plain(relationship), plain(node)]
        return steps
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, neo4j.time.Duration):
        return value.iso_format()
    if hasattr(value, "to_native"):
        return value.to_native()
    return value


def to_frame(columns: list[str], rows: list[list[Any]]) -> pd.DataFrame:
    """Rows as a frame, values made plain."""
    return pd.DataFrame([[plain(value) for value in row] for row in rows], columns=columns)


def seconds(value: Any) -> float:
    """A number or a point in time as seconds since 1970; NaN for null."""
    if value is None:
        return math.nan
    value = plain(value)
    return float(value.timestamp() if hasattr(value, "timestamp") else value)
