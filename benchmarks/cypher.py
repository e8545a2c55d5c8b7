"""Multi-hop answers beside the same questions in Cypher on a Neo4j, their numbers compared: both sides of one run.

What `kgenre` keeps with a snapshot (the degrees of users, items and entities) stands on the nodes and relationships in
Neo4j, and the planner is given statistics, so that Cypher has no more to do than walk and multiply.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.paths import _model, _user_scale

ALPHA, BETA, SHARE = 1.0, 0.6, 0.2
SIMILAR = "User-LIKED->Item<-LIKED-User-LIKED->Item"

PATHS = """
CALL () {
    MATCH (t:Item {id: $item}) MATCH (u:User {id: $user})-[:INTERACTED]->(i:Item) WHERE i <> t
    MATCH (i)<-[:INTERACTED]-(v:User)-[:INTERACTED]->(t)
    RETURN i, 'LIKED' AS relation, v AS via, $users / i.degree / v.degree * t.discount AS contribution
    UNION ALL
    MATCH (t:Item {id: $item}) MATCH (u:User {id: $user})-[:INTERACTED]->(i:Item) WHERE i <> t
    MATCH (i)-[f:!INTERACTED]->(e:Entity)<-[g:!INTERACTED]-(t) WHERE type(f) = type(g) AND f.holders < $n_items
    RETURN i, type(f) AS relation, e AS via, $facts / i.facts / f.holders AS contribution
}
RETURN i.id AS item_id, i.name AS name, relation, labels(via)[0] AS via_label, via.id AS via_id, via.name AS via_name,
    contribution ORDER BY contribution DESC LIMIT 20
"""
SIMILAR_IN_CYPHER = """
MATCH (u:User {id: $user})-[:INTERACTED]->(i:Item) WITH i, 1.0 / u.degree AS p
MATCH (i)<-[:INTERACTED]-(v:User) WITH v, sum(p / i.degree) AS p
MATCH (v)-[:INTERACTED]->(t:Item) WITH t, sum(p / v.degree) AS score
RETURN t.id AS item_id, t.name AS name, score ORDER BY score DESC
"""
BY_FACT_IN_CYPHER = """
MATCH (u:User {id: $user})-[:INTERACTED]->(i:Item) WITH i, 1.0 / u.degree AS p
MATCH (i)-[f:`%s`]->(e:Entity) WITH e, f.holders AS holders, sum(p / f.siblings) AS p
MATCH (e)<-[:`%s`]-(t:Item) WITH t, sum(p / holders) AS score
RETURN t.id AS item_id, t.name AS name, score ORDER BY score DESC
"""


def prepare(store: GraphStore, kg: KnowledgeGraph) -> None:
    """Store the graph and its degrees."""
    store.write(kg)
    likes = "MATCH (n:{}) WITH n, COUNT {{ (n)-[:INTERACTED]-() }} AS degree SET n.degree = toFloat(degree)"
    for label in ("User", "Item"):
        store.cypher(likes.format(label))
    store.cypher(
        f"MATCH (i:Item) SET i.discount = CASE WHEN i.degree > 1 THEN i.degree ^ -{BETA} ELSE 1.0 END"
    )
    for relation in kg.relations:
        edge = f"[f:`{relation}`]"
        store.cypher(
            f"MATCH (e:Entity) WITH e, COUNT {{ (e)<-[:`{relation}`]-(:Item) }} AS n WHERE n > 0 "
            f"MATCH (e)<-{edge}-() SET f.holders = toFloat(n)"
        )
        store.cypher(
            f"MATCH (i:Item) WITH i, COUNT {{ (i)-[:`{relation}`]->() }} AS n WHERE n > 0 "
            f"MATCH (i)-{edge}->() SET f.siblings = toFloat(n)"
        )
    # What a single item has leads nowhere, and is none of its features.
    store.cypher(
        "MATCH (i:Item) WITH i, COUNT { (i)-[f:!INTERACTED]->(:Entity) WHERE 1 < f.holders < $n } AS n "
        "SET i.facts = toFloat(n)",
        n=kg.n_items,
    )
    store.cypher("CALL db.prepareForReplanning()")


def side_by_side(
    ours: Callable[[str, str], pd.DataFrame],
    theirs: Callable[[str, str], pd.DataFrame],
    column: str,
    pairs: list[tuple[str, str]],
    n_cypher: int,
) -> dict[str, Any]:
    """Milliseconds of both over the first `n_cypher` (user, item), in turn; ours over all; and that they agree."""
    ours(*pairs[0])
    for pair in pairs[: min(5, n_cypher)]:
        theirs(*pair)
    times: dict[str, list[float]] = {"kgenre": [], "cypher": []}
    cpu: list[float] = []
    worst = 0.0
    for number, pair in enumerate(pairs):
        found = {}
        for name, ask in (("kgenre", ours), ("cypher", theirs)):
            if name == "kgenre" or number < n_cypher:
                start, busy = time.perf_counter(), time.process_time()
                found[name] = ask(*pair)
                times[name].append((time.perf_counter() - start) * 1000)
                if name == "kgenre":
                    cpu.append((time.process_time() - busy) * 1000)
        if "cypher" in found:
            worst = max(worst, difference(found["kgenre"], found["cypher"], column))
    assert worst < 1e-6, worst
    (p50, p99), (cypher, slow) = (np.percentile(times[name], [50, 99]) for name in ("kgenre", "cypher"))
    return {
        "kgenre_p50_ms": round(float(p50), 2),
        "kgenre_p99_ms": round(float(p99), 2),
        "kgenre_p50_cpu_ms": round(float(np.median(cpu)), 2),
        "cypher_p50_ms": round(float(cypher), 1),
        "cypher_p99_ms": round(float(slow), 1),
        "times_faster": round(float(cypher / p50), 1),
        "largest_difference": float(f"{worst:.1e}"),
        "asked": [len(times["kgenre"]), len(times["cypher"])],
    }


def difference(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> float:
    """Largest difference of two answers' numbers relative to the largest number, row by row as each has sorted them.

    Rows of the same number may stand in any order; all above the least are also compared by what they name.
    """
    assert len(ours) == len(theirs), (len(ours), len(theirs))
    if not len(ours):
        return 0.0
    mine, other = ours[column].to_numpy(float), theirs[column].to_numpy(float)
    names = [name for name in ("item_id", "relation", "via_id") if name in theirs and name in ours]
    clear = mine > mine.min() * (1 + 1e-9)
    sets = [set(frame[clear][names].itertuples(index=False, name=None)) for frame in (ours, theirs)]
    assert sets[0] == sets[1], sets[0] ^ sets[1]
    return float(np.abs(mine - other).max() / np.abs(mine).max())


def compare(kg: KnowledgeGraph, store: GraphStore, n: int = 300) -> dict[str, Any]:
    """Every question on both sides."""
    prepare(store, kg)
    rng = np.random.default_rng(0)
    users, items = rng.choice(kg.users.vocabulary.ids, n), rng.choice(kg.items.vocabulary.ids, n)
    pairs = list(zip(users.tolist(), items.tolist(), strict=True))
    scales = {
        "users": (1 - SHARE) * _user_scale(kg, ALPHA, BETA),
        "facts": SHARE * _model(kg).fact_scale,
        "n_items": kg.n_items,
    }
    relation = max(kg.facts, key=len).relation
    by_fact = f"User-LIKED->Item-`{relation}`->*<-`{relation}`-Item"
    return {
        "top_20_paths": side_by_side(
            lambda user, item: kg.paths(user, item, limit=20, alpha=ALPHA, beta=BETA, fact_share=SHARE),
            lambda user, item: store.cypher(PATHS, user=user, item=item, **scales),
            "contribution",
            pairs,
            100,
        ),
        "all_items_through_users": side_by_side(
            lambda user, _: kg.metapath(SIMILAR, user=user),
            lambda user, _: store.cypher(SIMILAR_IN_CYPHER, user=user),
            "score",
            pairs,
            20,
        ),
        "all_items_through_facts": side_by_side(
            lambda user, _: kg.metapath(by_fact, user=user),
            lambda user, _: store.cypher(BY_FACT_IN_CYPHER % (relation, relation), user=user),
            "score",
            pairs,
            50,
        ),
    }
