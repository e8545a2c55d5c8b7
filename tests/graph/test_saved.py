import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError


@given(st.data())
@settings(max_examples=25)
def test_any_graph_is_loaded_as_it_was_saved(tmp_path_factory, graphs, data):
    kg: KnowledgeGraph = data.draw(graphs)
    folder: Path = tmp_path_factory.mktemp("saved") / "graph"
    kg.save(folder)
    assert KnowledgeGraph.load(folder).differences(kg) == []


def test_saving_again_replaces_the_graph_and_leaves_nothing_else(small, tmp_path):
    small.save(tmp_path / "a")
    other = KnowledgeGraph.from_frames(items=small.to_frames()["items"])
    other.save(tmp_path / "a")
    assert KnowledgeGraph.load(tmp_path / "a").differences(other) == []
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_save_that_fails_leaves_the_old_graph_whole(small, tmp_path, monkeypatch):
    small.save(tmp_path / "a")

    def full(*_):
        raise OSError(28, "No space left on device")

    for cut in ("kgenre.graph.saved.write_snapshot", "kgenre.graph.versioned_folder.os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(cut, full)
            with pytest.raises(DataError, match="No space left on device; free space"):
                KnowledgeGraph.from_frames(items=small.to_frames()["items"]).save(tmp_path / "a")
        assert KnowledgeGraph.load(tmp_path / "a").differences(small) == []
        assert len(list((tmp_path / "a").iterdir())) == 2


def test_what_a_killed_save_left_is_no_obstacle(small, tmp_path):
    (tmp_path / "a" / "v-0123456789ab").mkdir(parents=True)
    small.save(tmp_path / "a")
    assert KnowledgeGraph.load(tmp_path / "a").differences(small) == []
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_folder_of_something_else_is_not_touched(small, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="exists and is not a saved graph"):
        small.save(tmp_path)
    with pytest.raises(DataError, match="exists and is not a saved graph"):
        small.save(tmp_path / "letter.txt")
    with pytest.raises(DataError, match="is no saved graph"):
        KnowledgeGraph.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_damage_is_found_and_a_newer_format_refused(small, tmp_path):
    small.save(tmp_path)
    index = tmp_path / "kgenre-graph.json"
    described = json.loads(index.read_text())
    edges = tmp_path / described["part"] / "edges.safetensors"
    whole = edges.read_bytes()
    edges.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"edges\.safetensors is truncated or not the file"):
        KnowledgeGraph.load(tmp_path)
    edges.unlink()
    with pytest.raises(DataError, match=r"edges\.safetensors is missing"):
        KnowledgeGraph.load(tmp_path)
    index.write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(DataError, match="has format 99, this kgenre reads up to 1; update kgenre"):
        KnowledgeGraph.load(tmp_path)
    index.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        KnowledgeGraph.load(tmp_path)
