"""What the graph encoder's parts are worth: each left out in turn, several seeds, on validation data alone.

    python benchmarks/ablation.py [--seeds 5] [--variants typed untyped ...]

Every variant is trained on ml-100k's training likes with as many seeds. A run stops on the validation likes of one half
of the users and is judged on those of the other half; odd and even seeds swap the halves. A user counts with the mean
over the runs that judge them, and a difference is the mean over users, with a 95 % interval by paired bootstrap. The
test part is not looked at. Results go to benchmarks/results/ablation.json, and `benchmarks/figures.py` makes the table
in docs/how_good.md of them.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from data import RESULTS, ml_100k
from scipy import sparse

import kgenre
from kgenre import KnowledgeGraph
from kgenre.encoders import GraphEncoder, TextEncoder
from kgenre.graph.atomic import find_validation, read_interactions
from kgenre.hybrid.evaluation import held_out_likes
from kgenre.hybrid.fitting import encode_texts
from kgenre.hybrid.intervals import bootstrap
from kgenre.hybrid.metrics import hits_of, mask, ndcg, top_k

K = 20
Facts = Mapping[str, sparse.csr_matrix]
Texts = np.ndarray | None
Inputs = tuple[Facts, Texts, Texts]


def untyped(facts: Facts) -> Facts:
    """All relations as one."""
    merged = sparse.csr_matrix(sum(facts.values()))
    merged.data[:] = 1.0
    return {"any": merged}


def permuted(facts: Facts, seed: int) -> Facts:
    """The items that have facts swap them at random."""
    rng = np.random.default_rng(seed)
    linked = np.flatnonzero(sum(np.diff(matrix.indptr) for matrix in facts.values()))
    rows = np.arange(next(iter(facts.values())).shape[0])
    rows[linked] = rng.permutation(linked)
    return {name: sparse.csr_matrix(matrix[rows]) for name, matrix in facts.items()}


def two_hops(kg: KnowledgeGraph, facts: Facts) -> Facts:
    """The nodes of an item's nodes too, as one more relation."""
    size = kg.n_nodes
    links = sparse.csr_matrix((size, size), dtype=np.float32)
    for part in kg.facts:
        ones = np.ones(len(part), dtype=np.float32)
        links = links + sparse.csr_matrix((ones, (part.head, part.tail)), shape=(size, size))
    links = sparse.csr_matrix(links + links.T)
    near = sparse.csr_matrix(sum(facts.values()))
    far = sparse.csr_matrix(near @ links)
    items = slice(kg.n_users, kg.n_users + kg.n_items)
    far = sparse.lil_matrix(far)
    far[:, items] = 0
    far = sparse.csr_matrix(far, dtype=np.float32)
    far.eliminate_zeros()
    far.data[:] = 1.0
    return {**facts, "two hops": far}


def neighbours_text(facts: Facts, item_text: np.ndarray, node_text: np.ndarray) -> np.ndarray:
    """Each item's text beside the mean of its nodes' texts: a sum of neighbours, without propagation."""
    near = sparse.csr_matrix(sum(facts.values()))
    known = ~np.isnan(node_text[:, 0])
    counts = np.maximum(near @ known.astype(np.float32), 1.0)
    mean = (near @ np.nan_to_num(node_text)) / counts[:, None]
    return np.hstack([item_text, mean]).astype(np.float32)


def variants(
    kg: KnowledgeGraph, item_text: np.ndarray, node_text: np.ndarray
) -> dict[str, tuple[str, Callable[[int], Inputs]]]:
    """By name: what is left out or changed, and the inputs for a seed."""
    facts = kg.item_facts()
    return {
        "typed": (
            "as it is: text, typed relations, node to item to user",
            lambda seed: (facts, item_text, node_text),
        ),
        "no text": ("without any text", lambda seed: (facts, None, None)),
        "untyped": ("all relations as one", lambda seed: (untyped(facts), item_text, node_text)),
        "no facts": ("text alone", lambda seed: ({}, item_text, None)),
        "likes alone": ("neither text nor facts", lambda seed: ({}, None, None)),
        "random links": (
            "facts swapped among items",
            lambda seed: (permuted(facts, seed), item_text, node_text),
        ),
        "two hops": ("the nodes of nodes too", lambda seed: (two_hops(kg, facts), item_text, node_text)),
        "sum of neighbours": (
            "instead of propagation the mean text of an item's nodes, beside its own",
            lambda seed: ({}, neighbours_text(facts, item_text, node_text), None),
        ),
    }


def judged(kg: KnowledgeGraph, held_out: sparse.csr_matrix, inputs: Inputs, seed: int) -> np.ndarray:
    """The ndcg of the half of the users that training did not stop on, float64 (n_users,); NaN for the others."""
    halves = np.random.default_rng(0).permutation(kg.n_users) % 2 == seed % 2
    stopping = sparse.csr_matrix(sparse.diags(halves.astype(np.float32)) @ held_out)
    stopping.eliminate_zeros()
    encoder = GraphEncoder().fit(kg.likes, *inputs, validation=stopping, rng=seed)
    users = np.flatnonzero(~halves & (np.diff(held_out.indptr) > 0))
    scores = np.nan_to_num(encoder.score(kg.likes[users]), nan=-np.inf)
    relevant = sparse.csr_matrix(held_out[users])
    hits = hits_of(top_k(mask(scores, sparse.csr_matrix(kg.likes[users])), K), relevant)
    found = np.full(kg.n_users, np.nan)
    found[users] = ndcg(hits, np.diff(relevant.indptr).astype(np.int64))
    return found


def interval(values: np.ndarray) -> list[float]:
    """Mean and bootstrap 95 % interval of its mean."""
    return [round(float(value), 4) for value in (values.mean(), *bootstrap(values, samples=5000))]


def main() -> None:
    """Train every variant, write and print what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", help="some of them only; typed is always there")
    options = parser.parse_args()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        folder = ml_100k(Path(scratch))
        kg = KnowledgeGraph.from_atomic(folder)
        held_out = held_out_likes(kg, read_interactions(find_validation(folder)), "validation").likes
    item_text, node_text = encode_texts(kg, TextEncoder())
    rows, usual = [], None
    for name, (what, inputs) in variants(kg, item_text, node_text).items():
        if options.variants and name not in ("typed", *options.variants):
            continue
        runs = np.array([judged(kg, held_out, inputs(seed), seed) for seed in range(options.seeds)])
        each = np.nanmean(runs[:, ~np.isnan(runs).all(axis=0)], axis=0)
        usual = each if usual is None else usual
        by_seed = np.nanmean(runs, axis=1)
        rows.append(
            {
                "variant": name,
                "what": what,
                "ndcg": interval(each),
                "by_seed": by_seed.round(4).tolist(),
                "difference": None if usual is each else interval(usual - each),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    result = {
        "data": "ml-100k, validation",
        "seeds": options.seeds,
        "users": len(usual),
        "rows": rows,
        "cpu_seconds": round(time.process_time() - started),
        "kgenre": kgenre.__version__,
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ablation.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
