from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kgenre.graph import KnowledgeGraph
from kgenre.graph.snapshot_file import read_snapshot, write_snapshot


@given(st.data())
def test_any_graph_is_read_as_it_was_written(tmp_path_factory, graphs, data):
    kg: KnowledgeGraph = data.draw(graphs)
    folder: Path = tmp_path_factory.mktemp("snapshot")
    write_snapshot(kg, folder)
    again = read_snapshot(folder)
    assert again.differences(kg) == []
    assert not again.interactions.user.flags.writeable


def test_a_small_graph_is_read_as_it_was_written(small: KnowledgeGraph, tmp_path: Path):
    write_snapshot(small, tmp_path)
    assert read_snapshot(tmp_path).differences(small) == []
