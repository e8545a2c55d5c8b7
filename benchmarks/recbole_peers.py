"""Knowledge-graph peers out of RecBole, in a virtual environment of their own.

    python benchmarks/recbole_peers.py          builds it: minutes and gigabytes (torch); a no-op once it stands

It lies in .venv-recbole, or where KGENRE_RECBOLE_VENV says, and `benchmarks/bench.py ml-100k` runs the peers in it.
RecBole 1.2.1 does not run on what kgenre runs on: torch above 2.5 refuses to load its checkpoints, scipy above 1.12
lacks what its LightGCN calls, numpy 2 the names it uses. Two libraries are missing on purpose: KGIN wants one function
of torch_scatter and KGAT three of dgl, whose builds are not on the registry, so `stand_ins` provides these few
functions. Further pitfalls: a data set called ml-100k is always read from RecBole's own wheel, and two items that share
an entity end it with a KeyError, so the link of the item that fewer users like is dropped (17 pairs).

The peers read the same training likes, validation part, facts and corrected links as kgenre, rank all items, stop
early by ndcg@20 on the validation part, and end at `cap` CPU seconds, which the result says. Their settings are
RecBole's own but for the learning rate, the better of .003 and .005 on validation (.001 gets nowhere within the cap).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("KGENRE_RECBOLE_VENV", ROOT / ".venv-recbole"))
PYTHON = VENV / "bin" / "python"
PINS = ("recbole==1.2.1", "torch==2.2.2", "numpy<2", "scipy<1.13", "pandas<2.3", "setuptools<70")
DATA = "films"
K = 20


@dataclass(frozen=True)
class Setting:
    """What a model is run with; all else is RecBole's default."""

    learning_rate: float
    patience: int = 10
    cap: float = 600
    """CPU seconds after which the epoch under way is the last."""


RECBOLE = {
    "LightGCN": Setting(0.005),
    "CFKG": Setting(0.005),
    "KGAT": Setting(0.003),
    "KGIN": Setting(0.003, patience=5, cap=1200),
}


class Capped(Exception):
    """The CPU time is used up."""


def build() -> None:
    """Create the environment, unless it can import RecBole already."""
    if (
        PYTHON.exists()
        and not subprocess.run([PYTHON, "-c", "import recbole.quick_start"], check=False).returncode
    ):
        return
    subprocess.run([ROOT / "tools" / "venv.sh", VENV], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PINS], check=True)


def stand_ins() -> None:
    """What KGIN needs of torch_scatter and KGAT of dgl, written with torch and scipy alone."""
    import numpy as np
    import torch
    from scipy import sparse

    def scatter_mean(src: Any, index: Any, dim: int, dim_size: int) -> Any:
        """Mean of the rows of `src` that share an index; zero where there is none."""
        assert dim == 0
        total = src.new_zeros(dim_size, src.shape[1]).index_add(0, index, src)
        count = torch.bincount(index, minlength=dim_size).clamp(min=1)
        return total / count.unsqueeze(1)

    class Graph:
        """Directed edges with a column of data each."""

        def __init__(self, ends: tuple[Any, Any], n_nodes: int | None = None) -> None:
            self.source, self.target = ends
            self.n_nodes = n_nodes or int(torch.cat(ends).max()) + 1
            self.edata: dict[str, Any] = {}

        def filter_edges(self, wanted: Callable[[Any], Any]) -> Any:
            return wanted(types.SimpleNamespace(data=self.edata)).nonzero().ravel()

        def adjacency_matrix(self, transpose: bool, scipy_fmt: str) -> Any:
            assert not transpose
            ends = (self.source.numpy(), self.target.numpy())
            shape = (self.n_nodes, self.n_nodes)
            return sparse.coo_matrix((np.ones(len(ends[0])), ends), shape=shape).asformat(scipy_fmt)

    def edge_subgraph(graph: Graph, edges: Any, preserve_nodes: bool) -> Graph:
        assert preserve_nodes
        return Graph((graph.source[edges], graph.target[edges]), graph.n_nodes)

    for name, parts in (
        ("torch_scatter", {"scatter_mean": scatter_mean}),
        ("dgl", {"graph": Graph, "edge_subgraph": edge_subgraph}),
    ):
        module = types.ModuleType(name)
        module.__dict__.update(parts)
        sys.modules[name] = module


def prepare(folder: Path, work: Path) -> None:
    """The atomic files as RecBole can read them: another name, ids only, an entity for one item at most."""
    import pandas as pd

    def table(kind: str) -> Any:
        return pd.read_csv(folder / f"ml-100k.{kind}", sep="\t", dtype=str)

    target = work / DATA
    target.mkdir()
    likes = table("train.inter").iloc[:, :2]
    users = likes["item_id:token"].value_counts()
    facts, links = table("kg"), table("link")
    known = set(facts["head_id:token"]) | set(facts["tail_id:token"])
    links = links[links["entity_id:token"].isin(known)]
    order = links["item_id:token"].map(users).fillna(0).sort_values(ascending=False, kind="stable").index
    links = links.loc[order].drop_duplicates("entity_id:token")
    parts = {
        "train.inter": likes,
        "valid.inter": table("valid.inter").iloc[:, :2],
        "kg": facts,
        "link": links,
    }
    for kind, part in {**parts, "item": table("item").iloc[:, :1]}.items():
        part.to_csv(target / f"{DATA}.{kind}", sep="\t", index=False)


def scores_of(model: Any, users: Any, n_items: int) -> Any:
    """Scores of all items, of shape (len(users), n_items)."""
    import torch
    from recbole.data.interaction import Interaction

    with torch.no_grad():
        if hasattr(model, "full_sort_predict"):
            try:
                return model.full_sort_predict(Interaction({"user_id": users})).view(-1, n_items)
            except NotImplementedError:
                pass
        items = torch.arange(n_items)
        pairs = {"user_id": users.repeat_interleave(n_items), "item_id": items.repeat(len(users))}
        return model.predict(Interaction(pairs)).view(-1, n_items)


def one(name: str, folder: Path, lists: Path) -> dict[str, Any]:
    """Fit one model here, write its lists; what it took."""
    import logging

    import numpy as np
    import pandas as pd
    import recbole
    import torch

    stand_ins()
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    sys.argv = sys.argv[:1]
    setting = RECBOLE[name]
    prepare(folder, Path.cwd())
    config = Config(
        model=name,
        dataset=DATA,
        config_dict={
            "data_path": str(Path.cwd()),
            "benchmark_filename": ["train", "valid", "valid"],
            "load_col": {
                "inter": ["user_id", "item_id"],
                "item": ["item_id"],
                "kg": ["head_id", "relation_id", "tail_id"],
                "link": ["item_id", "entity_id"],
            },
            "use_gpu": False,
            "learning_rate": setting.learning_rate,
            "stopping_step": setting.patience,
            "metrics": ["NDCG"],
            "topk": [K],
            "valid_metric": f"NDCG@{K}",
            "eval_args": {"mode": "full", "order": "RO", "split": None, "group_by": "user"},
            "show_progress": False,
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    data = create_dataset(config)
    training, validation, _ = data_preparation(config, data)
    started = time.process_time()
    model = get_model(name)(config, training._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    found: dict[str, Any] = {"epochs": 0, "validation_ndcg": 0.0}

    def after_epoch(epoch: int, value: float) -> None:
        spent = time.process_time() - started
        found["epochs"] = epoch + 1
        if value > found["validation_ndcg"]:
            found.update(validation_ndcg=value, best_epoch=epoch + 1, best_at_cpu_seconds=round(spent, 2))
        print(f"{name} epoch {epoch + 1}: {value:.4f} on validation, CPU {spent:.0f} s", file=sys.stderr)
        if spent > setting.cap:
            raise Capped

    capped = False
    try:
        trainer.fit(training, validation, verbose=False, callback_fn=after_epoch)
    except Capped:
        capped = True
    best = torch.load(trainer.saved_model_file)
    model.load_state_dict(best["state_dict"])
    # KGIN does not keep its vectors with its parameters: without this the last epoch's would be ranked by.
    for name_of in ("restore_user_e", "restore_entity_e"):
        if hasattr(model, name_of):
            setattr(model, name_of, None)
    model.load_other_parameter(best["other_parameter"])
    model.eval()

    users, items = data.field2id_token["user_id"], data.field2id_token["item_id"]
    seen = np.zeros((len(users), len(items)), dtype=bool)
    for part in (training._dataset, validation._dataset):
        seen[part.inter_feat["user_id"].numpy(), part.inter_feat["item_id"].numpy()] = True
    seen[:, 0] = True
    ranked = []
    for block in torch.arange(1, len(users)).split(64):
        scores = scores_of(model, block, len(items)).numpy().astype(np.float64)
        scores[seen[block.numpy()]] = -np.inf
        ranked.append(np.argsort(-scores, axis=1, kind="stable")[:, :K])
    ranks = np.concatenate(ranked)
    table = {"user_id": np.repeat(users[1:], K), "item_id": items[ranks.ravel()]}
    table["rank"] = np.tile(np.arange(1, K + 1), len(ranks))
    pd.DataFrame(table).to_csv(lists, sep="\t", index=False)
    chosen = {"learning_rate": setting.learning_rate, "patience": setting.patience, **found}
    return {
        "method": name,
        "version": f"recbole {recbole.__version__}, torch {torch.__version__.partition('+')[0]}",
        "cpu_seconds": round(time.process_time() - started, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "trials": 1,
        "capped_at": setting.cap if capped else None,
        "chosen": chosen | {"validation_ndcg": round(found["validation_ndcg"], 4)},
    }


def main() -> None:
    """Build the environment, or (within it) run one model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "FOLDER", "LISTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.one:
        build()
        return
    name, folder, lists = options.one
    folder, lists = Path(folder).resolve(), Path(lists).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        result = one(name, folder, lists)
        os.chdir(ROOT)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
