import pytest

from kgenre.graph import GraphBuilder, KnowledgeGraph
from kgenre.graph.errors import ConfigError
from kgenre.hybrid import HybridConfig, memory
from kgenre.hybrid.fitting import fit


def catalogue(n_items: int) -> KnowledgeGraph:
    builder = GraphBuilder()
    builder.add_nodes("Item", [str(item) for item in range(n_items)])
    builder.add_interactions(["a", "a", "b"], ["0", "1", "1"])
    return builder.build()


def test_a_fit_that_does_not_fit_is_refused_with_what_takes_most_and_the_remedy():
    kg, config = catalogue(19_000), HybridConfig()
    with pytest.raises(
        ConfigError, match=r"needs about 1\d\.\d GiB and 4\.0 are free.*signal cold.*leave `cold` out"
    ):
        memory.check(kg, config, config.signals, free=4 * memory.GIB)
    without = config.updated({"signals": ["multihop", "text", "popularity", "closed_form"]})
    memory.check(kg, without, without.signals, free=4 * memory.GIB)


def test_a_signal_that_a_large_catalogue_leaves_out_asks_for_no_memory():
    kg, config = catalogue(100_000), HybridConfig()
    memory.check(kg, config, config.signals, free=8 * memory.GIB)


def test_many_validation_users_are_named_where_they_are_what_takes_most():
    kg = catalogue(10_000)
    config = HybridConfig(signals=("popularity", "closed_form"))
    with pytest.raises(ConfigError, match="GiB"):
        memory.check(kg, config, config.signals, free=memory.GIB)


def test_what_is_free_is_known_here_and_less_than_a_petabyte():
    free = memory.available()
    assert free is not None
    assert 0 < free < 2**50


def test_a_fit_asks_before_it_starts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "available", lambda: memory.GIB // 2)
    with pytest.raises(ConfigError, match=r"needs about 1\.\d GiB and 0\.5 are free"):
        fit(catalogue(300), HybridConfig(), None)
