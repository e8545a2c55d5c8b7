"""The snapshot at ml-1m, in one run: RDF parsing beside rdflib's, multi-hop answers beside Neo4j's Cypher, bytes an
edge, the doctor.

    python benchmarks/graph.py [--part walks]

Neo4j is the one at NEO4J_URI, else the tests' with Java's own options. With --part only that is measured and replaced
in the result; each part notes the machine's load before it.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rdflib
from cypher import SIMILAR, compare
from data import RESULTS, ml_1m
from store import neo4j

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.doctor import examine
from kgenre.graph.rdf_statements import Statements


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=["files", "memory", "walks", "doctor", "rdf", "beside_cypher"])
    wanted = parser.parse_args().part
    os.environ["KGENRE_PROGRESS"] = "0"
    file = RESULTS / "graph.json"
    result: dict[str, Any] = json.loads(file.read_text()) if wanted else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = ml_1m(work)
        kg = KnowledgeGraph.from_atomic(source)

        def files() -> dict[str, float]:
            return {
                "read_atomic_s": seconds(lambda: KnowledgeGraph.from_atomic(source)),
                "save_s": seconds(lambda: kg.save(work / "saved")),
                "load_s": seconds(lambda: KnowledgeGraph.load(work / "saved")),
            }

        def beside_cypher() -> dict[str, Any]:
            (work / "neo4j").mkdir()
            with neo4j(work / "neo4j") as store:
                return compare(kg, store)

        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "files": files,
            "memory": lambda: memory(kg),
            "walks": lambda: walks(kg),
            "doctor": lambda: {"examine_s": seconds(lambda: examine(kg), times=1)},
            "rdf": lambda: rdf(kg, work),
            "beside_cypher": beside_cypher,
        }
        result |= {"graph": repr(kg), "cores": os.cpu_count()}
        for name in [wanted] if wanted else parts:
            load = round(os.getloadavg()[0], 1)
            result[name] = {**parts[name](), "load_average_before": load}
            print(name, json.dumps(result[name]), flush=True)
            file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
