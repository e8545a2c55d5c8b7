import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import kgenre
from kgenre.graph.errors import ModelError
from kgenre.hybrid.persistence import FORMAT, check_target
from kgenre.hybrid.recommender import HybridRecommender

SCRIPT = Path(__file__).with_name("interrupted_saves.py")


@pytest.fixture
def saved(genre: HybridRecommender, tmp_path: Path) -> Path:
    genre.save(tmp_path / "model")
    return tmp_path / "model"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def find(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"**/{name}")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("name", ["every", "hybrid", "genre"])
def test_a_loaded_model_answers_the_same(name: str, request: pytest.FixtureRequest, tmp_path: Path):
    model: HybridRecommender = request.getfixturevalue(name)
    model.save(tmp_path / "model")
    again = kgenre.load(tmp_path / "model")
    assert again.graph.equals(model.graph)
    assert again.config == model.state.config
    assert again.state.report.notes == model.state.report.notes
    assert again.state.report.text() == model.state.report.text()
    pd.testing.assert_frame_equal(again.honesty, model.honesty, check_exact=True)
    pd.testing.assert_frame_equal(again.recommend_many(k=9), model.recommend_many(k=9), check_exact=True)
    pd.testing.assert_frame_equal(again.similar("query", 5), model.similar("query", 5), check_exact=True)
    liked = {"history": ["query"], "dislikes": ["l0"], "k": 5}
    pd.testing.assert_frame_equal(again.recommend(**liked), model.recommend(**liked), check_exact=True)
    one, two = again.explain("u00", "cousin"), model.explain("u00", "cousin")
    assert one.to_dict() == two.to_dict()
    again.save(tmp_path / "again")
    for kind in ("arrays.safetensors", "description.json", "edges.safetensors", "nodes-1.parquet"):
        assert find(tmp_path / "again", kind).read_bytes() == find(tmp_path / "model", kind).read_bytes()


def test_there_is_no_pickle_in_a_model(every: HybridRecommender, tmp_path: Path):
    every.save(tmp_path / "model")
    assert len(files(tmp_path / "model")) >= 6
    for path in (tmp_path / "model").rglob("*"):
        match path.suffix:
            case ".safetensors":
                assert all(array.dtype != object for array in load_file(path).values())
            case ".json":
                json.loads(path.read_text(encoding="utf-8"))
            case ".parquet":
                content = path.read_bytes()
                assert content[:4] == content[-4:] == b"PAR1"
                assert b"pickle" not in content
            case _:
                assert path.is_dir()


FILES = ["arrays.safetensors", "description.json", "edges.safetensors", "graph.json", "nodes-0.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed(saved: Path, name: str):
    path = find(saved, name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=rf"{name} is not the file that was saved.*save the model again"):
        kgenre.load(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(saved: Path, name: str):
    find(saved, name).unlink()
    with pytest.raises(ModelError, match=rf"the model's file .*{name} is missing; fit and save it again"):
        kgenre.load(saved)


def test_a_file_of_another_model_is_noticed(saved: Path, hybrid: HybridRecommender, tmp_path: Path):
    hybrid.save(tmp_path / "other")
    shutil.copyfile(find(tmp_path / "other", "arrays.safetensors"), find(saved, "arrays.safetensors"))
    with pytest.raises(ModelError, match=r"arrays\.safetensors is not the file that was saved .*swapped"):
        kgenre.load(saved)


def test_a_flipped_bit_is_noticed(saved: Path):
    path = find(saved, "arrays.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not the file that was saved"):
        kgenre.load(saved)


def edit(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**index, **changes}))


def test_a_model_of_a_newer_version_asks_for_an_upgrade(saved: Path):
    edit(saved, format=FORMAT + 1)
    message = rf"saved by a newer kgenre \(format {FORMAT + 1}, this one reads up to {FORMAT}\); upgrade"
    with pytest.raises(ModelError, match=message):
        kgenre.load(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"3"])
def test_a_broken_index_is_named(saved: Path, content: bytes):
    (saved / "model.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.json cannot be read .*fit and save the model again"):
        kgenre.load(saved)


@pytest.mark.parametrize("changes", [{"part": 3}, {"part": None}, {"files": []}, {"files": None}])
def test_an_index_of_wrong_types_is_named(saved: Path, changes: dict[str, object]):
    edit(saved, **changes)
    with pytest.raises(ModelError, match=r"model\.json cannot be read"):
        kgenre.load(saved)


def test_what_is_no_model_is_named(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"no model folder .*nowhere; check the path, or make one with `kgenre fit`"
    ):
        kgenre.load(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"is not a model: it has no model\.json"):
        kgenre.load(tmp_path)
    with pytest.raises(ModelError, match=r"is not a model: it has no model\.json"):
        kgenre.load(tmp_path / "notes.txt")


def test_a_new_model_takes_the_place_of_the_old_one(saved: Path, hybrid: HybridRecommender):
    (saved / "notes.txt").write_text("mine")
    before = files(saved)
    hybrid.save(saved)
    assert kgenre.load(saved).state.names == hybrid.state.names
    after = files(saved)
    assert before & after == {"model.json", "notes.txt"}
    assert len({name.split("/")[0] for name in after}) == 3


def test_a_model_is_saved_in_folders_that_do_not_exist_yet(genre: HybridRecommender, tmp_path: Path):
    genre.save(tmp_path / "a" / "b" / "model")
    assert kgenre.load(tmp_path / "a" / "b" / "model").state.names == genre.state.names


def test_an_empty_folder_will_do(genre: HybridRecommender, tmp_path: Path):
    genre.save(tmp_path)
    assert kgenre.load(str(tmp_path)).state.names == genre.state.names


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_model_is_not_overwritten(genre: HybridRecommender, tmp_path: Path, kind: str):
    target = tmp_path / "thesis"
    if kind == "folder":
        target.mkdir()
        (target / "chapter-1.tex").write_text("years of work")
    else:
        target.write_text("years of work")
    for ask in (lambda: genre.save(target), lambda: check_target(target)):
        with pytest.raises(ModelError, match="thesis exists and is not a model; choose another folder"):
            ask()
    assert files(tmp_path) == {"thesis/chapter-1.tex" if kind == "folder" else "thesis"}


def test_a_place_that_cannot_be_written_is_named(genre: HybridRecommender, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ModelError, match=r"cannot write the model to .*: Not a directory; free space or choose"
    ):
        genre.save(tmp_path / "file" / "model")
    assert files(tmp_path) == {"file"}


def test_the_old_model_survives_a_full_disk_and_a_kill(genre: HybridRecommender, tmp_path: Path):
    """Real ones, in a process of its own: a limit on the size of files, and SIGKILL at chosen steps of a save."""
    genre.save(tmp_path / "model")
    before = contents(tmp_path / "model")
    expected = genre.recommend_many(k=5)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(SCRIPT), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert len(outcome["full"]) == 3
    for fresh, report in outcome["full"].items():
        assert report["over"].startswith(f"cannot write the model to {tmp_path / 'model'}: "), fresh
        assert "File too large" in report["over"] or "os error 27" in report["over"]
        assert report["over"].endswith("; free space or choose another folder")
        assert report["left"] == sorted(before)
        assert report["fresh left"] is False
    assert outcome["killed"] == {"arrays": -9, "description": -9, "index": -9, "rename": -9}
    # What killed saves left is no part of the model, which still is what it was.
    assert before.items() <= contents(tmp_path / "model").items()
    left = {path.name for path in (tmp_path / "model").iterdir()}
    assert len(left) > 2
    pd.testing.assert_frame_equal(kgenre.load(tmp_path / "model").recommend_many(k=5), expected)
    # A first save that was killed is in nobody's way, and the next save cleans up.
    assert files(tmp_path / "fresh")
    with pytest.raises(ModelError, match="is not a model"):
        kgenre.load(tmp_path / "fresh")
    for folder in (tmp_path / "model", tmp_path / "fresh"):
        genre.save(folder)
        assert len(list(folder.iterdir())) == 2
        assert kgenre.load(folder).state.names == genre.state.names


def test_an_unfinished_save_leaves_the_state_as_it_was(
    genre: HybridRecommender, saved: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ctrl-C while the files are synced to the disk."""

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    before = contents(saved)
    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        genre.save(saved)
    with pytest.raises(KeyboardInterrupt):
        genre.save(saved.parent / "fresh")
    assert contents(saved) == before
    assert not (saved.parent / "fresh").exists()


def test_weights_and_masks_keep_their_types(saved: Path, genre: HybridRecommender):
    state: Callable[[HybridRecommender], object] = lambda model: model.state  # noqa: E731
    one, two = kgenre.load(saved).state, state(genre)
    assert one.weights.dtype == np.float64
    assert one.histories.dtype == np.float32
    for mine, theirs in zip(one.signals, two.signals, strict=True):
        for name, array in mine.arrays().items():
            assert array.dtype == theirs.arrays()[name].dtype, f"{mine.name} {name}"
