"""Whatever a user may point at, opened: atomic files, tables, RDF, a store's folder, a server's address."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic import find_validation, read_interactions
from .embedded import is_store
from .errors import ConfigError, DataError
from .folder import is_table_folder, read_folder
from .knowledge_graph import KnowledgeGraph
from .rdf import read_rdf
from .saved import is_saved, load_graph, save_graph
from .schema import GraphSchema
from .store import GraphStore, connect, is_address

if TYPE_CHECKING:
    import pandas as pd

_RDF = (".ttl", ".nt", ".nq", ".trig", ".jsonld", ".rdf", ".xml", ".owl")


@dataclass(frozen=True, eq=False)
class Source:
    """A graph and, where the source brings one, its validation set (user_id, item_id)."""

    graph: KnowledgeGraph
    validation: "pd.DataFrame | None" = None


def open_store(target: str, *, create: bool = False, schema: GraphSchema | None = None) -> GraphStore:
    """Open a store's folder or a server's address; `schema` says how it reads.

    A server's user and password are taken from the environment: ``NEO4J_USERNAME`` (default neo4j), ``NEO4J_PASSWORD``,
    and ``NEO4J_DATABASE`` for a database other than the user's own.

    Raises
    ------
    StoreUnavailableError
        If it is not running, in use, or refuses the password or database; or the folder is no store.
    """
    if not is_address(target):
        return connect(target, create=create, schema=schema)
    password = os.environ.get("NEO4J_PASSWORD")
    auth = (os.environ.get("NEO4J_USERNAME", "neo4j"), password) if password is not None else None
    return connect(target, auth=auth, database=os.environ.get("NEO4J_DATABASE"), schema=schema)


def read_source(source: str, schema: str | Path | None = None) -> Source:
    """Read the graph that a source holds.

    Parameters
    ----------
    source
        A folder of atomic files, of CSV or Parquet tables (`kgenre.graph.folder`) or of a saved graph, an RDF file, an
        embedded store's folder, or a ``bolt://`` or ``neo4j://`` address.
    schema
        YAML file of a `GraphSchema`, for a store with labels of its own.

    Raises
    ------
    DataError
        If there is nothing there, or nothing that kgenre reads.
    ConfigError
        If the schema cannot be read, does not fit, or is given for what is no store.
    StoreUnavailableError
        See `open_store`.
    """
    path = Path(source)
    if is_address(source) or is_store(path):
        own = None if schema is None else GraphSchema.from_yaml(Path(schema))
        with open_store(source, schema=own) as store:
            return Source(store.snapshot())
    if schema is not None:
        raise ConfigError(f"a schema says how a store reads, and {source} is none; leave it out")
    if is_table_folder(path):
        return Source(read_folder(path))
    if is_saved(path):
        return Source(load_graph(path))
    if path.is_dir():
        graph = KnowledgeGraph.from_atomic(path)
        file = find_validation(path)
        return Source(graph, read_interactions(file) if file else None)
    if path.suffix.lower() in _RDF:
        return Source(read_rdf(path))
    if not path.exists():
        raise DataError(
            f"there is no {source}; give a folder of atomic files or tables, an RDF file, a store or its address"
        )
    raise DataError(
        f"cannot tell what {source} is; give a folder of atomic files or tables, an RDF file ({' '.join(_RDF)}), a "
        "store's folder or a bolt:// or neo4j:// address"
    )


def export_source(source: str, folder: str | Path, schema: str | Path | None = None) -> KnowledgeGraph:
    """Save the graph that a source holds; of a store, all that it holds (`GraphStore.export`). Returns the graph.

    Raises
    ------
    DataError, ConfigError, StoreUnavailableError
        As `read_source`, or if the folder cannot be written.
    """
    if is_address(source) or is_store(Path(source)):
        own = None if schema is None else GraphSchema.from_yaml(Path(schema))
        with open_store(source, schema=own) as store:
            store.export(folder)
        return load_graph(folder)
    graph = read_source(source, schema).graph
    save_graph(graph, folder)
    return graph
