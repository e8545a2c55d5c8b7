import sys

import numpy as np
import pytest

from kgenre.graph import GraphBuilder
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


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated", "ignore:.*is deprecated:DeprecationWarning"
)
def test_a_hetero_gnn_of_pyg_trains_on_the_data_as_it_is():
    import torch
    from torch_geometric.nn import HeteroConv, SAGEConv
    from torch_geometric.transforms import RandomLinkSplit, ToUndirected

    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(30), 8)
    items = (users % 2) * 10 + rng.integers(0, 10, len(users))
    builder = GraphBuilder()
    builder.add_interactions([f"u{u}" for u in users], [f"i{i}" for i in items])
    heads = [f"i{i}" for i in range(20)]
    builder.add_facts("GENRE", heads, [f"g{i // 10}" for i in range(20)], "Item", "Genre")
    data = builder.build().to_hetero_data()

    torch.manual_seed(0)
    likes = ("User", "INTERACTED", "Item")
    split = RandomLinkSplit(
        num_val=0.0, num_test=0.2, edge_types=[likes], rev_edge_types=[("Item", "rev_INTERACTED", "User")]
    )
    train, _, test = split(ToUndirected()(data))
    embeddings = torch.nn.ModuleDict(
        {label: torch.nn.Embedding(data[label].num_nodes, 16) for label in data.node_types}
    )
    conv = HeteroConv({edge: SAGEConv((-1, -1), 16) for edge in train.edge_types}, aggr="sum")

    def logits(graph):
        out = conv({label: table.weight for label, table in embeddings.items()}, graph.edge_index_dict)
        user, item = graph[likes].edge_label_index
        return (out["User"][user] * out["Item"][item]).sum(-1)

    with torch.no_grad():
        logits(train)
    optimizer = torch.optim.Adam([*embeddings.parameters(), *conv.parameters()], lr=0.05)
    losses = []
    for _ in range(2):
        for _ in range(20):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits(train), train[likes].edge_label
            )
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0] < 0.7
    with torch.no_grad():
        scores, truth = logits(test), test[likes].edge_label
    assert scores[truth == 1].mean() > scores[truth == 0].mean()
