"""Whether the facts of films.ttl agree with two sources that were made by others.

    python tools/check_films.py [MOVIES.json]

Freebase, as it ships in the demo's graph: its entities have no names, but a person of two films or more must be one
entity in all of them. MOVIES.json is `data/movies.json` of the npm package vega-datasets: titles, years and directors
by name.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from kgenre.graph import KnowledgeGraph
from kgenre.graph.demo import FILMS, demo_folder

RELATIONS = {"DIRECTED_BY": "film.film.directed_by", "STARRING": "film.film.actor"}
SPELT = {
    "Andy Wachowski": "Lana Wachowski",
    "Milos Forman": "Miloš Forman",
    "Jan De Bont": "Jan de Bont",
    "Paul Anderson": "Paul W.S. Anderson",
    "Sir Richard Attenborough": "Richard Attenborough",
    "Lasse Hallstrom": "Lasse Hallström",
}
"""Directors whom movies.json spells otherwise; of the two Wachowskis it names one, by the name of then."""


def in_freebase(films: KnowledgeGraph, graph: Path) -> dict[str, tuple[int, int]]:
    """By relation, how many persons have two films or more there, and how many of them are one entity in all."""
    linked: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in RELATIONS.values()}
    with graph.open(encoding="utf-8") as lines:
        for line in lines:
            head, relation, tail = line.rstrip("\n").split("\t")
            if relation in linked:
                linked[relation][head].add(tail)
    ids = films.items.properties.column("freebaseId").to_pylist()
    found = {}
    for name, relation in RELATIONS.items():
        matrix = films.item_facts()[name]
        of_person: dict[int, list[set[str]]] = defaultdict(list)
        for item, key in enumerate(ids):
            if key in linked[relation]:
                for person in matrix.indices[slice(*matrix.indptr[item : item + 2])].tolist():
                    of_person[person].append(linked[relation][key])
        several = [entities for entities in of_person.values() if len(entities) > 1]
        found[name] = len(several), sum(bool(set.intersection(*entities)) for entities in several)
    return found


def in_movies(films: KnowledgeGraph, rows: list[dict[str, Any]]) -> Counter[str]:
    """How many films stand there, of how many it knows the director, and how many directors are the same."""
    known = defaultdict(list)
    for row in rows:
        known[_plain(row["Title"])].append(row)
    years = films.items.properties.column("datePublished").to_pylist()
    matrix, count = films.item_facts()["DIRECTED_BY"], Counter[str]()
    for item, year in enumerate(years):
        same = [
            row
            for row in known[_plain(films.items.name(item))]
            if (when := re.search(r"\d{4}", str(row["Release Date"]))) and abs(int(when[0]) - int(year)) <= 1
        ]
        if not same:
            continue
        count["films"] += 1
        if director := same[0]["Director"]:
            nodes = matrix.indices[slice(*matrix.indptr[item : item + 2])]
            count["with director"] += 1
            count["same director"] += SPELT.get(director, director) in map(films.node_name, nodes.tolist())
    return count


def _plain(title: object) -> str:
    words = re.sub(r"^(the|a|an) |, (the|a|an)$", "", str(title).casefold().replace("&", "and"))
    return re.sub(r"[^a-z0-9]", "", words)


def main() -> None:
    """Print what agrees."""
    films = KnowledgeGraph.from_rdf(FILMS)
    links = sum(map(bool, films.items.properties.column("freebaseId").to_pylist()))
    print(f"{films.n_items} items, {links} with a Freebase id")
    for relation, (several, agree) in in_freebase(films, demo_folder() / "ml-100k.kg").items():
        print(
            f"{relation}: of {several} persons with two films or more {agree} are one entity of Freebase in all"
        )
    if len(sys.argv) > 1:
        print(dict(in_movies(films, json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
