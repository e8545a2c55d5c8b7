import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.paths import relation_words, shared_facts


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    """Three films by one director, two of them a series with an actor in common, and an entity without a name."""
    rows = [
        *((film, "DIRECTED_BY", "d") for film in ("a", "b", "c")),
        *((film, "STARRING", "s") for film in ("a", "b")),
        *((film, "film.film.written_by", "w") for film in ("a", "c")),
        *((film, "HAS_THEME", "t") for film in ("b", "c")),
        *((film, "EDITED_BY", "m.0x") for film in ("b", "c")),
        ("a", "SEQUEL", "b"),
    ]
    return KnowledgeGraph.from_frames(
        pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}),
        items=pd.DataFrame({"item_id": list("abc"), "name": ["Dawn", "Noon", "Dusk"]}),
        facts=pd.DataFrame(rows, columns=["head_id", "relation", "tail_id"]),
        Person=pd.DataFrame({"id": ["d", "s", "w"], "name": ["Dee", "Sol", "Wyn"]}),
        Theme=pd.DataFrame({"id": ["t"], "name": ["{time}"]}),
        Entity=pd.DataFrame({"id": ["m.0x"]}),
    )


def texts(kg: KnowledgeGraph, start: str, end: str, most: int = 9) -> list[str]:
    index = kg.items.vocabulary.get
    return [path.text for path in shared_facts(kg, index(start), index(end), most)]


def test_a_fact_between_the_items_comes_first_then_the_rarest(films: KnowledgeGraph):
    assert texts(films, "a", "b") == [
        "Noon is the sequel of Dawn",
        "both star Sol",
        "both were directed by Dee",
    ]
    assert texts(films, "a", "b", most=1) == ["Noon is the sequel of Dawn"]


def test_a_fact_reads_the_same_from_its_other_end(films: KnowledgeGraph):
    assert texts(films, "b", "a")[0] == "Noon is the sequel of Dawn"


def test_relations_have_words_and_entities_names(films: KnowledgeGraph):
    assert texts(films, "a", "c") == ["both have writer Wyn", "both were directed by Dee"]
    assert texts(films, "b", "c") == ["both are about {time}", "both were directed by Dee"]


def test_a_path_names_its_ends_by_id(films: KnowledgeGraph):
    index = films.items.vocabulary.get
    path = shared_facts(films, index("c"), index("a"))[0]
    assert (path.start, path.relation, path.entity, path.end) == ("c", "film.film.written_by", "w", "a")


@pytest.mark.parametrize(
    ("relation", "words"),
    [
        ("PRODUCED_BY", "produced by"),
        ("film.film.country", "country"),
        ("https://example.org/terms#shotIn", "shotin"),
        ("film.film.actor", "actor"),
    ],
)
def test_a_relation_in_words(relation: str, words: str):
    assert relation_words(relation) == words
