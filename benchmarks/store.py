"""Loading a store and taking its snapshot, over Bolt and from the cache: embedded, and Neo4j where there is one.

    python benchmarks/store.py [--nodes 100000] [--edges 500000] [--engine embedded]

The graph is synthetic: a fifth of the nodes users, two fifths items, two fifths entities; half of the edges
interactions, half facts of five relations. Neo4j is the one at NEO4J_URI, else the tests' with Java's own options.
Each size has a result file of its own, in which a run replaces the engines that it measured.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from data import RESULTS, ROOT

from kgenre.graph import GraphBuilder, GraphSchema, GraphStore, KnowledgeGraph, connect
from kgenre.graph.store_read import read_graph


def synthetic(nodes: int, edges: int) -> KnowledgeGraph:
    """A graph of about that size; ends are drawn with a popularity that falls as 1/rank^0.6."""
    rng = np.random.default_rng(0)
    users, items = nodes // 5, 2 * nodes // 5
    entities = nodes - users - items

    def ends(n: int, of: int, prefix: str) -> list[str]:
        popularity = np.arange(1, of + 1) ** -0.6
        return [f"{prefix}{i}" for i in rng.choice(of, n, p=popularity / popularity.sum())]

    builder = GraphBuilder()
    builder.add_nodes("User", [f"u{i}" for i in range(users)])
    names = [f"Item number {i}" for i in range(items)]
    years = rng.integers(1950, 2026, items).tolist()
    builder.add_nodes("Item", [f"i{i}" for i in range(items)], names, None, {"year": years})
    builder.add_nodes(
        "Entity", [f"e{i}" for i in range(entities)], [f"Entity number {i}" for i in range(entities)]
    )
    # A few more than asked for, since pairs that are drawn twice become one.
    half = int(edges / 2 * 1.01)
    times = rng.integers(10**9, 2 * 10**9, half).astype(float)
    builder.add_interactions(ends(half, users, "u"), ends(half, items, "i"), np.ones(half), times)
    for relation in range(5):
        heads, tails = ends(half // 5, items, "i"), ends(half // 5, entities, "e")
        builder.add_facts(f"RELATION_{relation}", heads, tails, "Item", "Entity")
    return builder.build()


def measure(store: GraphStore, kg: KnowledgeGraph) -> dict[str, Any]:
    """Seconds of each step; `cached` is the median of five."""
    load = os.getloadavg()[0]
    start = time.perf_counter()
    store.write(kg)
    loaded = time.perf_counter()
    print(f"loaded in {loaded - start:.1f} s", flush=True)
    fresh = read_graph(store._bolt, GraphSchema())
    read = time.perf_counter()
    print(f"read in {read - loaded:.1f} s", flush=True)
    assert kg.differences(fresh) == []
    store.snapshot()
    cached = []
    for _ in range(5):
        before = time.perf_counter()
        found = store.snapshot()
        cached.append(time.perf_counter() - before)
    assert found.equals(fresh)
    return {
        "load_s": round(loaded - start, 1),
        "snapshot_over_bolt_s": round(read - loaded, 2),
        "snapshot_cached_s": round(float(np.median(cached)), 3),
        "times_faster": round((read - loaded) / float(np.median(cached)), 1),
        "client_peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
        "load_average_before": round(load, 1),
    }


@contextlib.contextmanager
def neo4j(folder: Path) -> Iterator[GraphStore]:
    """A store on the tests' Neo4j."""
    path = ROOT / "tests" / "neo4j" / "server.py"
    spec = importlib.util.spec_from_file_location("kgenre_neo4j_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        with module.serve(folder, options=()) as (uri, auth), connect(uri, auth=auth) as store:
            yield store
    except module.Unavailable as reason:
        sys.exit(f"no Neo4j: {reason}; leave it out with --engine embedded")


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=500_000)
    parser.add_argument("--engine", choices=["embedded", "neo4j"], action="append", help="one of both")
    options = parser.parse_args()
    os.environ["KGENRE_PROGRESS"] = "0"
    kg = synthetic(options.nodes, options.edges)
    size = "" if options.nodes == 100_000 else f"-{options.nodes}"
    file = RESULTS / f"store{size}.json"
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    result |= {"nodes": kg.n_nodes, "edges": kg.n_interactions + kg.n_facts, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KGENRE_CACHE_DIR"] = folder + "/cache"
        for engine in options.engine or ["embedded", "neo4j"]:
            place = Path(folder, engine)
            place.mkdir()
            with connect(place) if engine == "embedded" else neo4j(place) as store:
                result[engine] = measure(store, kg)
                print(engine, result[engine], flush=True)
                file.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
