from pathlib import Path

import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError

CORPUS = Path(__file__).parents[1] / "malformed"
CASES = sorted(path.parent for path in CORPUS.glob("*/ERROR"))


def read(case: Path) -> KnowledgeGraph:
    rdf = list(case.glob("graph.*"))
    return KnowledgeGraph.from_rdf(rdf[0]) if rdf else KnowledgeGraph.from_atomic(case)


def test_the_corpus_is_there():
    assert len(CASES) > 30


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_malformed_source_is_refused_in_one_line_that_names_it(case):
    expected = (case / "ERROR").read_text().strip()
    with pytest.raises(DataError) as refused:
        read(case)
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
