"""A planted world of which every test knows the right answers.

Users u00..u29 like seven of the ten films s0..s9 (space), u30..u59 seven of l0..l9 (love); nearly everybody likes
``hit``. About ``query`` there are three films, each close to it in one way only:

- ``partner`` is liked by exactly the twenty users who like ``query``, ten of either taste;
- ``cousin`` has the same director, Ada Stone, and nobody has liked it: only facts lead there;
- ``echo`` is about lighthouses and fog as ``query`` is: only its text is close.

``blank`` has neither name, text, facts nor likes; ``lurker`` has no interactions; ``critic`` likes space and
dislikes s8 and s9.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kgenre.encoders import GraphEncoderConfig, TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.hybrid.config import HybridConfig
from kgenre.hybrid.data import SignalData
from kgenre.hybrid.fusion import FusionConfig
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.signals import SIGNALS
from kgenre.hybrid.signals.gnn import GNNConfig

SPACE = [f"s{i}" for i in range(10)]
LOVE = [f"l{i}" for i in range(10)]
OTHERS = ["hit", "query", "partner", "cousin", "echo", "blank"]
WORDS = {
    "s": "A starship crew crosses the galaxy toward planet {} and meets aliens in orbit.",
    "l": "Two lovers marry in Paris after {} letters, a wedding full of tears and kisses.",
    "hit": "The film of the year that everybody talks about.",
    "query": "A lonely lighthouse keeper hears voices in the fog.",
    "partner": "An accountant discovers jazz.",
    "cousin": "Bakers compete for a golden loaf.",
    "echo": "In the fog, a keeper of a lonely lighthouse hears strange voices.",
}
SMALL_GNN = GNNConfig(encoder=GraphEncoderConfig(embedding_size=16, epochs=15, patience=15))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KGENRE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def _likes() -> list[tuple[str, str, float, int]]:
    rng = np.random.default_rng(7)
    rows: list[tuple[str, str, float, int]] = []
    for user in range(60):
        taste = SPACE if user < 30 else LOVE
        liked = [taste[i] for i in rng.choice(10, size=7, replace=False)]
        liked += ["hit"] * (user % 10 != 9) + ["query", "partner"] * (user % 30 < 10)
        liked += ["echo"] * (user % 20 == 15)
        rows += [(f"u{user:02}", item, 1.0, 1000 + 86400 * day) for day, item in enumerate(liked)]
    rows += [("critic", item, 1.0, 5000) for item in ("s0", "s1", "s2", "s3")]
    return [*rows, ("critic", "s8", -1.0, 6000), ("critic", "s9", -2.0, 6000)]


def _items() -> pd.DataFrame:
    rows = []
    for item in (*SPACE, *LOVE, *OTHERS):
        words = WORDS.get(item) or WORDS.get(item[0])
        text = None if item == "blank" or words is None else words.format(item[1:])
        rows.append((item, None if item == "blank" else f"The {item.title()} Film", text))
    return pd.DataFrame(rows, columns=["item_id", "name", "text"])


def _facts() -> pd.DataFrame:
    directed = {"ada": ["query", "cousin"], "ben": SPACE[:5], "cleo": LOVE[:5], "dora": ["hit", "s9", "l9"]}
    rows = [(film, "DIRECTED_BY", person) for person, films in directed.items() for film in films]
    rows += [("s0", "SEQUEL", "s1"), ("echo", "DIRECTED_BY", "emil")]
    return pd.DataFrame(rows, columns=["head_id", "relation", "tail_id"])


def planted_world() -> dict[str, pd.DataFrame]:
    """Frames for `KnowledgeGraph.from_frames`."""
    people = pd.DataFrame(
        {
            "id": ["ada", "ben", "cleo", "dora", "emil"],
            "name": ["Ada Stone", "Ben Reed", "Cleo Fry", "Dora Lind", "Emil Voss"],
        }
    )
    return {
        "interactions": pd.DataFrame(_likes(), columns=["user_id", "item_id", "weight", "timestamp"]),
        "items": _items(),
        "users": pd.DataFrame({"user_id": ["lurker"]}),
        "facts": _facts(),
        "Person": people,
    }


@pytest.fixture(scope="session")
def frames() -> dict[str, pd.DataFrame]:
    return planted_world()


@pytest.fixture(scope="session")
def world(frames: dict[str, pd.DataFrame]) -> KnowledgeGraph:
    return KnowledgeGraph.from_frames(**frames)


@pytest.fixture(scope="session")
def index(world: KnowledgeGraph) -> Callable[[str], int]:
    return world.items.vocabulary.get


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="session")
def data(world: KnowledgeGraph, encoder: TextEncoder) -> SignalData:
    from kgenre.hybrid.fitting import encode_texts

    return SignalData.from_graph(world, *encode_texts(world, encoder))


@pytest.fixture(scope="session")
def genre(world: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    """The preset ``genre``: the card's three with fixed weights."""
    return HybridRecommender("genre", text_encoder=encoder).fit(world)


@pytest.fixture(scope="session")
def hybrid(world: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    """Everything, the GNN included, with learned weights."""
    return HybridRecommender(HybridConfig(gnn=SMALL_GNN), text_encoder=encoder).fit(world)


@pytest.fixture(scope="session")
def every(world: KnowledgeGraph, encoder: TextEncoder) -> HybridRecommender:
    """Every signal there is, each with a weight above 0."""
    weights = {name: 0.2 + 0.1 * place for place, name in enumerate(SIGNALS)}
    config = HybridConfig(
        signals=tuple(SIGNALS),
        fusion=FusionConfig(method="fixed", weights=weights),
        gnn=SMALL_GNN,
        tune=False,
    )
    return HybridRecommender(config, text_encoder=encoder).fit(world)


def _write_atomic(folder: Path, frames: dict[str, pd.DataFrame], **changed: str | None) -> Path:
    """The world as atomic files ``films.*``; keyword ``valid_inter`` is the file ``films.valid.inter``.

    A file given as None is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inter = pl.from_pandas(frames["interactions"])
    items = pl.from_pandas(frames["items"])
    facts = pl.from_pandas(frames["facts"])
    files: dict[str, str | None] = {
        "inter": "user_id:token\titem_id:token\tweight:float\ttimestamp:float\n"
        + inter.write_csv(separator="\t", include_header=False),
        "item": "item_id:token\tname:token_seq\ttext:token_seq\n"
        + items.write_csv(separator="\t", include_header=False, quote_style="never"),
        "user": "user_id:token\tage:float\nlurker\t40\n",
        "kg": "head_id:token\trelation_id:token\ttail_id:token\n"
        + facts.write_csv(separator="\t", include_header=False),
        "link": "item_id:token\tentity_id:token\n"
        + "".join(f"{item}\t{item}\n" for item in sorted({*facts["head_id"], "s1"})),
    }
    for kind, content in {**files, **{key.replace("_", "."): text for key, text in changed.items()}}.items():
        if content is not None:
            (folder / f"films.{kind}").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def write_atomic(frames: dict[str, pd.DataFrame]) -> Callable[..., Path]:
    """``write_atomic(folder, **files)``: see `_write_atomic`."""
    return lambda folder, **changed: _write_atomic(folder, frames, **changed)
