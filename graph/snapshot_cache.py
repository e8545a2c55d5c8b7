"""Snapshots of a store kept as files, found again while the store's state is what it was."""

import contextlib
import hashlib
import importlib.metadata
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .cache import user_cache_dir
from .errors import KgenreError
from .knowledge_graph import KnowledgeGraph
from .saved import load_graph, save_graph
from .schema import GraphSchema
from .store_state import CACHE, state_of

if TYPE_CHECKING:
    from .bolt import Bolt
    from .embedded import EmbeddedServer

log = logging.getLogger(__name__)

AT_LEAST = 5_000
"""Nodes and edges below which reading anew takes no time to speak of."""

_VOLATILE = re.compile(r"\b((local)?(date|time)+|timestamp|rand|randomuuid)\b[\w.\s]*\(", re.IGNORECASE)
"""Functions of Cypher whose value changes though the store does not."""


def cached_snapshot(
    bolt: "Bolt",
    server: "EmbeddedServer | None",
    schema: GraphSchema,
    read: Callable[[], KnowledgeGraph],
) -> KnowledgeGraph:
    """A snapshot from the cache, else a fresh one, which is kept if nobody wrote while it was read.

    Parameters
    ----------
    bolt, server
        The store. Where it has no key for its state (see `kgenre.graph.store_state`) nothing is cached.
    schema
        What the snapshot is read through; each has its own place in the cache.
    read
        Reads a fresh one.
    """
    described = schema.model_dump_json()
    if _VOLATILE.search(described):
        return read()
    state = state_of(bolt, server)
    if state is None:
        return read()
    if server is not None:
        folder = server.folder / CACHE
    else:
        folder = user_cache_dir() / "snapshots" / _digest(f"{bolt.user} {bolt.place}")
    reader = f"{importlib.metadata.version('kgenre')} {described}"
    place = folder / f"{_digest(reader)}-{_digest(state)}"
    with contextlib.suppress(KgenreError, OSError):
        return load_graph(place)
    kg = read()
    size = kg.n_nodes + kg.n_interactions + kg.n_facts
    if size >= AT_LEAST and state_of(bolt, server) == state:
        _keep(kg, place)
    return kg


def _keep(kg: KnowledgeGraph, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_graph(kg, place)
    except (KgenreError, OSError) as error:
        # Another process may be at it, or the disk be full: the next snapshot is read anew, that is all.
        log.info("the snapshot is not cached: %s", error)
        shutil.rmtree(place, ignore_errors=True)
        return
    for other in place.parent.glob(place.name.split("-")[0] + "-*"):
        if other != place:
            shutil.rmtree(other, ignore_errors=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]
