"""What stands between the benchmark's data and RecBole; RecBole itself runs in an environment of its own."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "recbole_peers.py"


@pytest.fixture(scope="module")
def peers() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("recbole_peers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # Its dataclass looks its module up.
        patch.setitem(sys.modules, "recbole_peers", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def stand_ins(
    peers: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> tuple[types.ModuleType, types.ModuleType]:
    for name in ("torch_scatter", "dgl"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    peers.stand_ins()
    return sys.modules["torch_scatter"], sys.modules["dgl"]


def write(folder: Path, kind: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    header = [f"{column}:token" for column in columns]
    pd.DataFrame(rows, columns=header).to_csv(folder / f"ml-100k.{kind}", sep="\t", index=False)


def test_an_entity_stays_with_the_item_that_more_users_like(peers: types.ModuleType, tmp_path: Path):
    likes = [("u", "1"), ("u", "2"), ("v", "2"), ("v", "3")]
    write(tmp_path, "train.inter", ["user_id", "item_id"], likes)
    write(tmp_path, "valid.inter", ["user_id", "item_id"], [("u", "3")])
    write(tmp_path, "item", ["item_id", "name"], [(str(item), "x") for item in range(1, 5)])
    write(tmp_path, "kg", ["head_id", "relation_id", "tail_id"], [("a", "by", "p"), ("b", "by", "p")])
    write(tmp_path, "link", ["item_id", "entity_id"], [("1", "a"), ("2", "a"), ("3", "b"), ("4", "nowhere")])
    peers.prepare(tmp_path, tmp_path)
    links = pd.read_csv(tmp_path / peers.DATA / f"{peers.DATA}.link", sep="\t", dtype=str)
    assert sorted(links.itertuples(index=False, name=None)) == [("2", "a"), ("3", "b")]
    items = pd.read_csv(tmp_path / peers.DATA / f"{peers.DATA}.item", sep="\t")
    assert items.columns.tolist() == ["item_id:token"]
    assert len(items) == 4


def test_the_mean_of_rows_with_one_index(stand_ins: tuple[types.ModuleType, types.ModuleType]):
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    mean = stand_ins[0].scatter_mean(src=rows, index=torch.tensor([2, 0, 2]), dim=0, dim_size=4)
    assert mean.tolist() == [[3, 4], [0, 0], [3, 4], [0, 0]]
    mean.sum().backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [[0.5, 0.5], [1, 1], [0.5, 0.5]]


def test_the_edges_of_one_relation_keep_all_nodes(stand_ins: tuple[types.ModuleType, types.ModuleType]):
    dgl = stand_ins[1]
    graph = dgl.graph((torch.tensor([0, 1, 0]), torch.tensor([1, 3, 2])))
    graph.edata["relation_id"] = torch.tensor([1, 2, 1])
    edges = graph.filter_edges(lambda edge: edge.data["relation_id"] == 1)
    part = dgl.edge_subgraph(graph, edges, preserve_nodes=True)
    matrix = part.adjacency_matrix(transpose=False, scipy_fmt="coo").toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[0, 2] = 1
    np.testing.assert_array_equal(matrix, expected)
