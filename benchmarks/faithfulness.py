"""Are the reasons true? Delete the evidence of 1,000 shown reasons and see whether the score falls.

    python benchmarks/faithfulness.py MODEL

MODEL is a folder; if there is no model in it yet, the default configuration is fitted on the demo's graph first. For
users drawn at random and an item of their top ten, the evidence of the best shown reason of each kind is deleted for
real: something liked from the history, a fact from the graph, after which every signal is given the changed facts (what
was learned from likes is frozen) and everything is scored again. Beside each reason a random other path of its kind and
length, from the user over something liked to the item, is deleted: another item of the history, or another fact that
the item shares with something liked. The baselines are what is said where nothing is measured: the genre that the item
shares with most of what was liked, and a random path through any shared entity.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from data import RESULTS
from scipy import sparse

SEED = 7
EVERY = 4
"""Baselines are looked at for every fourth item."""
KINDS = ("path", "history", "text")
"""Kinds of reasons, each a third of those that are tested: by a fact, by something liked, by its description."""
GENRE = ("film.film.genre", "film.film_genre.films_in_this_genre")


class Deletion:
    """Deletes evidence for one user's history and scores one item again."""

    def __init__(self, state: Any, data: Any, row: int, item: int) -> None:
        weights = state.weights_for(state.histories[row])[0]
        used = [place for place, weight in enumerate(weights) if weight]
        # A signal without weight needs no computing.
        self.state = replace(
            state, signals=tuple(state.signals[place] for place in used), weights=state.weights[used]
        )
        self.data, self.item = data, item
        self.history, self.seen = state.histories[row], state.seen[row]
        self.score = float(self.state.score(self.history, self.seen)[0, item])

    def of_liked(self, place: int) -> float:
        """What the score loses without one item of the history."""
        from kgenre.hybrid.reasons import without_each

        left = without_each(self.history, [place])
        return self.score - float(self.state.score(left, self.seen)[0, self.item])

    def of_fact(self, relation: str, node: int) -> float:
        """What the score loses without one fact of the item."""
        kg, facts = self.state.kg, dict(self.data.facts)
        base = relation.removesuffix("^-1")
        first = kg.n_users
        for name in facts:
            if name != relation and not (
                first <= node < first + kg.n_items and name.removesuffix("^-1") == base
            ):
                continue
            facts[name] = _without(facts[name], self.item, node)
            if first <= node < first + kg.n_items:
                facts[name] = _without(facts[name], node - first, first + self.item)
        after = self.data.with_facts(facts)
        signals = tuple(signal.with_facts(self.data, after) for signal in self.state.signals)
        other = replace(self.state, signals=signals)
        return self.score - float(other.score(self.history, self.seen)[0, self.item])


def _without(matrix: sparse.csr_matrix, row: int, column: int) -> sparse.csr_matrix:
    left = matrix.copy()
    start, end = left.indptr[row : row + 2]
    left.data[start:end][left.indices[start:end] == column] = 0.0
    left.eliminate_zeros()
    return left


def shared_facts(kg: Any, history: sparse.csr_matrix, item: int) -> list[tuple[str, int]]:
    """Facts of the item that something liked has too."""
    found = []
    for relation, matrix in kg.item_facts().items():
        own = matrix.indices[matrix.indptr[item] : matrix.indptr[item + 1]]
        held = np.unique(matrix[history.indices[history.indices != item]].indices)
        found += [(relation, int(node)) for node in np.intersect1d(own, held)]
    return found


def measure(model: Any, wanted: int) -> dict[str, Any]:
    """Delete the evidence of so many shown reasons, and of what stands beside them."""
    from kgenre.graph.progress import bar
    from kgenre.hybrid.attribution import shares
    from kgenre.hybrid.explanation import measured, shown, strength
    from kgenre.hybrid.ranking import rank
    from kgenre.hybrid.reasons import drafts

    state, data = model.state, model._data(model.state)
    rng = np.random.default_rng(SEED)
    left = {kind: wanted // len(KINDS) for kind in KINDS}
    left["path"] += wanted - sum(left.values())
    rows: list[dict[str, Any]] = []
    genre: list[tuple[bool, bool]] = []
    walks: list[bool] = []
    progress = bar(total=wanted, desc="reasons", unit="reason")
    for number, row in enumerate(_people(state, rng)):
        if not any(left.values()):
            break
        history, seen = state.histories[row], state.seen[row]
        item = int(rng.choice(rank(state, history, seen, 10).items[0]))
        found = shares(state, history, seen, item, data)
        drafted = drafts(state.kg, history, item, found)
        felt = measured(state, history, seen, item, found, drafted)
        told = shown((strength(draft, felt.get(id(draft))), draft) for draft in drafted)
        told = [draft for draft in told if draft.kind != "popularity"]
        trial = Deletion(state, data, int(row), item)
        facts = shared_facts(state.kg, history, item)
        best: dict[str, int] = {}
        for place, draft in enumerate(told):
            best.setdefault(_kind(draft), place)
        for kind in KINDS:
            if kind not in best or not left[kind]:
                continue
            draft = told[best[kind]]
            loss, beside = _deleted(trial, draft, facts, history, rng)
            said = felt[id(draft)]
            rows.append({"kind": kind, "place": best[kind], "loss": loss, "beside": beside, "said": said})
            left[kind] -= 1
            progress.update()
        if number % EVERY or not told:
            continue
        # What only the graph knows is computed again for each fact, so these are fewer.
        genres = [fact for fact in facts if fact[0].removesuffix("^-1") in GENRE]
        if genres:
            counts = [_holders(state.kg, fact, history) for fact in genres]
            loss = trial.of_fact(*genres[int(np.argmax(counts))])
            genre.append((loss > 0, loss > felt[id(told[0])]))
        if facts:
            walks.append(trial.of_fact(*facts[int(rng.integers(len(facts)))]) > 0)
    first = [row for row in rows if row["place"] < 3]
    return {**figures(rows), "first_three": figures(first), "baselines": baselines(genre, walks)}


def _people(state: Any, rng: np.random.Generator) -> Iterator[int]:
    """Users with five likes or more, in a drawn order, again and again."""
    known = np.flatnonzero(np.diff(state.histories.indptr) >= 5)
    while True:
        yield from rng.permutation(known).tolist()


def _kind(draft: Any) -> str:
    return "text" if draft.kind == "described" else str(draft.kind)


def _deleted(
    trial: Deletion,
    draft: Any,
    facts: list[tuple[str, int]],
    history: sparse.csr_matrix,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """What the score loses without a reason's evidence, and without that of a random other path of its kind."""
    if draft.kind == "path":
        others = [fact for fact in facts if fact != draft.fact]
        beside = trial.of_fact(*others[int(rng.integers(len(others)))]) if others else float("nan")
        return trial.of_fact(*draft.fact), beside
    places = np.delete(np.arange(history.nnz), draft.place)
    return trial.of_liked(draft.place), trial.of_liked(int(rng.choice(places)))


def _holders(kg: Any, fact: tuple[str, int], history: sparse.csr_matrix) -> int:
    matrix = kg.item_facts()[fact[0]][history.indices]
    return int((matrix.indices == fact[1]).sum())


def baselines(genre: list[tuple[bool, bool]], walks: list[bool]) -> dict[str, Any]:
    """What deleting lowers where nothing was measured."""
    return {
        "same_genre": {
            "reasons": len(genre),
            "deleting_lowers": round(float(np.mean([one for one, _ in genre])), 4),
            "lowers_more_than_our_best": round(float(np.mean([more for _, more in genre])), 4),
        },
        "random_shared_entity": {"reasons": len(walks), "deleting_lowers": round(float(np.mean(walks)), 4)},
    }


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of some reasons: how often deleting lowers the score, and how often more than deleting a random other path."""
    loss = np.array([row["loss"] for row in rows])
    beside = np.array([row["beside"] for row in rows])
    said = np.array([row["said"] for row in rows])
    kinds = np.array([row["kind"] for row in rows])
    compared = ~np.isnan(beside)

    def share(hits: npt.NDArray[np.bool_]) -> float:
        return round(float(hits.mean()), 4)

    return {
        "reasons": len(rows),
        "deleting_lowers": share(loss > 0),
        "random_other_lowers_less": share((beside < loss)[compared]),
        "median_loss": round(float(np.median(loss)), 4),
        "median_loss_of_random_other": round(float(np.median(beside[compared])), 4),
        "said_against_measured_correlation": round(float(np.corrcoef(said, loss)[0, 1]), 4),
        "by_kind": {
            kind: {
                "reasons": int((kinds == kind).sum()),
                "deleting_lowers": share((loss > 0)[kinds == kind]),
                "random_other_lowers_less": share((beside < loss)[compared & (kinds == kind)]),
            }
            for kind in sorted(set(kinds.tolist()))
        },
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("-n", type=int, default=1000, help="reasons to test")
    parser.add_argument("--output", default=str(RESULTS / "faithfulness.json"))
    options = parser.parse_args()
    import kgenre
    from kgenre.graph.demo import demo_graph

    if not Path(options.model, "model.json").exists():
        kgenre.HybridRecommender().fit(demo_graph()).save(options.model)
    os.environ.setdefault("KGENRE_PROGRESS", "0")
    model = kgenre.load(options.model)
    start = time.perf_counter()
    found: dict[str, Any] = {"data": "the demo's graph, default configuration", **measure(model, options.n)}
    found["weights"] = {
        name: round(float(weight), 4)
        for name, weight in zip(model.state.names, model.state.weights, strict=True)
    }
    found["seconds"] = round(time.perf_counter() - start)
    Path(options.output).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
