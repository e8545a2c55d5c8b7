import sys

import pytest

from kgenre.graph.errors import MissingDependencyError


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_hetero_data_holds_every_label_and_relation_within_the_labels(small):
    data = small.to_hetero_data()
    assert data["Item"].num_nodes == 3
    assert data["Person"].node_id == ["p1", "p2"]
    assert data["User", "INTERACTED", "Item"].edge_index.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert data["User", "INTERACTED", "Item"].weight.tolist() == [1, -1, 2]
    assert data["Item", "DIRECTED_BY", "Person"].edge_index.tolist() == [[0, 1], [0, 1]]
    assert data["Item", "SEQUEL", "Item"].edge_index.tolist() == [[0], [2]]
    assert data["Item", "SEQUEL", "Item"].weight.tolist() == [0.5]
    data.validate()


def test_networkx_keeps_names_properties_and_parallel_edges(small):
    graph = small.to_networkx()
    assert graph.nodes["Person", "p1"] == {"label": "Person", "name": "Ridley Scott", "born": 1937}
    assert graph["User", "ann"]["Item", "i1"] == {"INTERACTED": {"weight": 1.0, "timestamp": 10.0}}
    assert graph["Item", "i1"]["Item", "i3"]["SEQUEL"] == {"weight": 0.5}
    assert graph["User", "bob"]["Item", "i1"]["INTERACTED"] == {"weight": 2.0}
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (7, 6)


@pytest.mark.parametrize(
    ("module", "export", "package"),
    [("torch_geometric.data", "to_hetero_data", "torch-geometric"), ("networkx", "to_networkx", "networkx")],
)
def test_a_missing_package_is_named(small, monkeypatch, module, export, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"pip install {package}"):
        getattr(small, export)()
