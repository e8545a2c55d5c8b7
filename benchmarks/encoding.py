"""Encoding texts: CPU time and vectors against sentence-transformers' default, in one run on one thread.

    python benchmarks/encoding.py ml-100k
    python benchmarks/encoding.py ml-1m --texts 150

The default is `SentenceTransformer(model).encode(texts)`. A path is measured by its CPU time against the default's and
by how many of each text's 20 nearest texts (cosine) it shares with the default. Beside `TextEncoder`, without its
cache, the same batches are run in lower precision by torch, to see what it would cost in neighbours and give in time;
which of the instructions that make it fast (amx_bf16, amx_int8, avx512_fp16, ...) the CPU has stands in the result, and
so does `bound`: how many times as fast as the default float32 would be if all its matrix products ran at the speed of
a large one and nothing else took any time.
Goes to benchmarks/results/encoding-NAME.json.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from data import RESULTS, shared

from kgenre.encoders import TextEncoder
from kgenre.encoders.text_model import TextModel
from kgenre.graph.demo import demo_folder

K = 20
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")


def texts_of(name: str, n: int | None) -> list[str]:
    """Item texts: ml-1m's descriptions of some 230 tokens, ml-100k's titles of some 8."""
    path = shared("ml-1m") / "ml-1m.item" if name == "ml-1m" else demo_folder() / "ml-100k.item"
    texts = pd.read_csv(path, sep="\t", dtype=str, quoting=3, keep_default_na=False).iloc[:, 1].tolist()
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[place] for place in order[:n]]


def neighbours(vectors: np.ndarray) -> np.ndarray:
    """The K nearest of each row, itself left out."""
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1, kind="stable")[:, :K]


def batched(model: TextModel, texts: Sequence[str]) -> np.ndarray:
    """All batches of a model, as `TextEncoder` runs them."""
    vectors = np.empty((len(texts), model.dimension), dtype=np.float32)
    for rows, part in model.batches(texts, 4096):
        vectors[rows] = part
    return vectors


def lower(model: TextModel, how: str) -> Callable[[Sequence[str]], np.ndarray]:
    """The model in another precision: ``bfloat16``, ``float16`` (both by autocast) or ``int8`` (dynamic)."""
    other = TextModel(model.path, None, "cpu")
    if how == "int8":
        torch.backends.quantized.engine = "onednn"
        linear = {torch.nn.Linear}
        other.__dict__["_transformer"] = torch.ao.quantization.quantize_dynamic(model._transformer, linear)
        return lambda texts: batched(other, texts)

    def run(texts: Sequence[str]) -> np.ndarray:
        with torch.autocast("cpu", dtype=getattr(torch, how)):
            return batched(other, texts)

    return run


def operations(model: TextModel, lengths: np.ndarray) -> float:
    """Floating point operations of the matrix products that texts of so many tokens take."""
    layers = [part for part in model._transformer.encoder.modules() if isinstance(part, torch.nn.Linear)]
    config = model._transformer.config
    weights = sum(layer.weight.numel() for layer in layers)
    attention = 2 * config.num_hidden_layers * config.hidden_size * lengths
    return float(2 * ((weights + attention) * lengths).sum())


def speed() -> float:
    """Operations a CPU second of a float32 product of the model's shapes, the best of many."""
    left, right = torch.randn(2048, 384), torch.randn(1536, 384)
    best = 0.0
    for _ in range(50):
        started = time.process_time()
        torch.nn.functional.linear(left, right)
        best = max(best, 2 * 2048 * 384 * 1536 / (time.process_time() - started))
    return best


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=["ml-100k", "ml-1m"])
    parser.add_argument("--texts", type=int, help="so many of the items, drawn at random; all if left out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    texts = texts_of(options.data, options.texts)
    encoder = TextEncoder(cache=False)
    from sentence_transformers import SentenceTransformer

    default = SentenceTransformer(str(encoder._model.path), device="cpu")
    paths: dict[str, Callable[[Sequence[str]], Any]] = {
        "sentence-transformers": lambda part: default.encode(list(part), show_progress_bar=False),
        "TextEncoder": encoder.encode,
        **{how: lower(encoder._model, how) for how in ("bfloat16", "float16", "int8")},
    }
    rows: dict[str, dict[str, float]] = {}
    reference, base = np.empty(0), 0.0
    for name, path in paths.items():
        path(texts[:8])
        started = time.process_time()
        vectors = np.asarray(path(texts))
        seconds = time.process_time() - started
        if not rows:
            reference, base = vectors, seconds
        pairs = zip(neighbours(vectors), neighbours(reference), strict=True)
        shared_20 = np.mean([len(np.intersect1d(one, other)) / K for one, other in pairs])
        rows[name] = {
            "cpu_seconds": round(seconds, 2),
            "ratio": round(base / seconds, 2),
            "overlap": round(float(shared_20), 4),
            "lowest_cosine": round(float((vectors * reference).sum(axis=1).min()), 5),
        }
        print(f"{name:22} {rows[name]}", flush=True)
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    read = encoder._model._tokenizer(texts, truncation=True, max_length=encoder._model.max_length)[
        "input_ids"
    ]
    lengths = np.array([len(text) for text in read])
    bound = base * speed() / operations(encoder._model, lengths)
    machine = {"torch": torch.__version__, "cpu": [flag for flag in FLAGS if flag in flags]}
    texts_read = {"data": options.data, "texts": len(texts), "tokens": int(lengths.sum())}
    result = {**texts_read, **machine, "bound": round(bound, 2), "paths": rows}
    print(f"at most {bound:.2f} times the default in float32")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"encoding-{options.data}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
