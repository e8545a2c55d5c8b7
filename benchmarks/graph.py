"""The snapshot: RDF parsing beside rdflib's, bytes an edge, paths and metapaths, at ml-1m, in one run.

python benchmarks/graph.py
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rdflib
from data import RESULTS, ml_1m

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.rdf_statements import Statements

SIMILAR = "User-LIKED->Item<-LIKED-User-LIKED->Item"


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """Wall time of the quickest run."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return round(best, 3)


def rdf(kg: KnowledgeGraph, work: Path) -> dict[str, float]:
    """Parsing N-Triples and Turtle, ours (to statements, and on to a graph) and rdflib's, the same files."""
    rows = slice(0, 120_000)
    inter = kg.interactions
    builder = GraphBuilder().add_graph(
        KnowledgeGraph(
            kg.tables,
            type(inter)(*(column[:0] for column in (inter.user, inter.item, inter.weight))),
            kg.facts,
        )
    )
    users, items = kg.users.vocabulary.ids[inter.user[rows]], kg.items.vocabulary.ids[inter.item[rows]]
    graph = builder.add_interactions(users.tolist(), items.tolist()).build()
    found: dict[str, float] = {}
    for suffix in ("nt", "ttl"):
        path = work / f"graph.{suffix}"
        found[f"write_{suffix}_s"] = seconds(lambda path=path: graph.write_rdf(path))
        found[f"parse_{suffix}_s"] = seconds(lambda path=path: Statements.read(path))
        found[f"read_{suffix}_s"] = seconds(lambda path=path: KnowledgeGraph.from_rdf(path))
        found[f"rdflib_parse_{suffix}_s"] = seconds(lambda path=path: rdflib.Graph().parse(path), times=1)
        found[f"times_rdflib_{suffix}"] = round(
            found[f"rdflib_parse_{suffix}_s"] / found[f"parse_{suffix}_s"], 1
        )
    found["triples"] = sum(1 for _ in (work / "graph.nt").open("rb"))
    found["sparql_load_s"] = seconds(lambda: graph.sparql("ASK {}"), times=1)
    return found


def memory(kg: KnowledgeGraph) -> dict[str, float]:
    """Bytes an edge of the edge arrays, and with the cached CSR views that fitting and paths use."""

    def size(*arrays: Any) -> int:
        return sum(array.nbytes for array in arrays if array is not None)

    inter, edges = kg.interactions, kg.n_interactions + kg.n_facts
    arrays = size(inter.user, inter.item, inter.weight, inter.timestamp)
    arrays += sum(size(f.head, f.tail, f.weight, f.timestamp) for f in kg.facts)
    views = sum(size(m.data, m.indices, m.indptr) for m in (kg.likes, *kg.item_facts().values()))
    stamped = (
        GraphBuilder()
        .add_graph(kg)
        .add_interactions(
            kg.users.vocabulary.ids[inter.user].tolist(),
            kg.items.vocabulary.ids[inter.item].tolist(),
            inter.weight,
            np.arange(len(inter), dtype=np.float64),
        )
        .build()
        .interactions
    )
    return {
        "edges": edges,
        "bytes_an_edge": round(arrays / edges, 2),
        "with_views": round((arrays + views) / edges, 2),
        "bytes_a_timed_interaction": round(
            size(stamped.user, stamped.item, stamped.weight, stamped.timestamp) / len(stamped), 2
        ),
    }


def latency(work: Callable[[str, str], Any], pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Milliseconds for each (user, item), p50 and p99."""
    times = []
    for user, item in pairs:
        start = time.perf_counter()
        work(user, item)
        times.append((time.perf_counter() - start) * 1000)
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def walks(kg: KnowledgeGraph, n: int = 300) -> dict[str, Any]:
    """Paths between random users and items, and metapaths from random users."""
    rng = np.random.default_rng(0)
    users, items = rng.choice(kg.users.vocabulary.ids, n), rng.choice(kg.items.vocabulary.ids, n)
    pairs = list(zip(users.tolist(), items.tolist(), strict=True))
    relation = max(kg.facts, key=len).relation
    by_fact = f"User-LIKED->Item-`{relation}`->*<-`{relation}`-Item"
    found: dict[str, Any] = {
        "first_paths_s": seconds(lambda: kg.paths(*pairs[0]), times=1),
        "paths": float(np.median([len(kg.paths(*pair)) for pair in pairs[:50]])),
        "top_20_paths": latency(lambda user, item: kg.paths(user, item, limit=20), pairs),
        "all_paths": latency(lambda user, item: kg.paths(user, item), pairs),
    }
    for name, expression in (("metapath_facts", by_fact), ("metapath_users", SIMILAR)):
        kg.metapath(expression, user=pairs[0][0])
        found[name] = latency(
            lambda user, _, expression=expression: kg.metapath(expression, user=user), pairs
        )
    return found


def main() -> None:
    """Measure and write the result."""
    os.environ["KGENRE_PROGRESS"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = ml_1m(work)
        kg = KnowledgeGraph.from_atomic(source)
        result = {
            "graph": repr(kg),
            "read_atomic_s": seconds(lambda: KnowledgeGraph.from_atomic(source)),
            "save_s": seconds(lambda: kg.save(work / "saved")),
            "load_s": seconds(lambda: KnowledgeGraph.load(work / "saved")),
            "memory": memory(kg),
            "walks": walks(kg),
            "rdf": rdf(kg, work),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "graph.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
