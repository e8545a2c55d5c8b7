"""RecBole atomic files, read as they are.

A folder holds one data set: ``NAME.inter`` or ``NAME.train.inter`` (training), ``NAME.valid.inter``
(validation), ``NAME.item``, ``NAME.user``, ``NAME.kg`` and ``NAME.link``; all but the first may be missing.
The format is described in RecBole's documentation under "Atomic Files".
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from .atomic_table import AtomicTable, read_table
from .builder import GraphBuilder
from .columns import ENTITY, ENTITY_ID, HEAD_ID, ID, ITEM_ID, NAME, TAIL_ID, TEXT, TIMESTAMP, USER_ID, WEIGHT
from .errors import DataError, did_you_mean
from .knowledge_graph import KnowledgeGraph
from .texts import compose_texts, is_description, name_column

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

RATING = "rating"
RELATION_ID = "relation_id"

_PARTS = ("train", "valid", "test")
_WITHOUT = {
    "item": "items have neither names nor texts, so text has nothing to say",
    "user": "users have no properties",
    "kg": "there are no facts, so only interactions connect items",
    "link": "no item is linked to a fact",
}


def read_atomic(
    path: str | Path,
    *,
    text: str | Sequence[str] | None = None,
    weight: str | None = None,
    rating_threshold: float | None = None,
) -> KnowledgeGraph:
    """Read a folder of atomic files into a graph.

    Every row of the interactions is a like unless `weight` or `rating_threshold` says otherwise. The pairs of
    ``NAME.valid.inter`` are no interactions of the graph, but its users and items are part of it;
    ``NAME.test.inter`` is never read. All columns of ``.item`` and ``.user`` become properties (a
    ``token_seq`` that is neither a name nor prose becomes a list of strings). A linked entity is the item
    itself: the facts about it are the item's, and the item keeps its id in the property ``entity_id``;
    entities that are no items get the label Entity.

    Parameters
    ----------
    path
        The folder.
    text
        What an item's text is made of: a template such as ``"{movie_title} ({release_year})"`` or a list of
        columns. By default the name, then the columns of prose, then all other tokens.
    weight
        The ``float`` column that is the weight of an interaction; by default ``weight`` where there is one.
    rating_threshold
        Take the column ``rating`` (or `weight`) as an opinion: a like from this value on, else a dislike.

    Raises
    ------
    DataError
        If the folder or a file cannot be used; the message names the file, the line and the remedy.
    """
    files = _files(Path(path))
    interactions = _interactions(_training(files), weight, rating_threshold)
    builder = GraphBuilder()
    builder.add_interactions(
        interactions[USER_ID],
        interactions[ITEM_ID],
        interactions[WEIGHT] if WEIGHT in interactions.columns else None,
        interactions[TIMESTAMP] if TIMESTAMP in interactions.columns else None,
    )
    catalogue = [interactions[ITEM_ID].unique()]
    if "valid.inter" in files:
        held_out = read_table(files["valid.inter"], ids=(USER_ID, ITEM_ID)).frame
        builder.add_nodes(builder.user_label, held_out[USER_ID].unique())
        builder.add_nodes(builder.item_label, held_out[ITEM_ID].unique())
        catalogue.append(held_out[ITEM_ID].unique())
    if "user" in files:
        _add_nodes(builder, builder.user_label, read_table(files["user"], ids=(USER_ID,)), USER_ID)
    items = read_table(files["item"], ids=(ITEM_ID,)) if "item" in files else None
    if items is not None:
        catalogue.append(items.frame[ITEM_ID].unique())
    links = _links(files, pl.concat(catalogue).unique())
    # Added before the item table, so that the link prevails over an entity_id that may stand there.
    if len(links):
        builder.add_nodes(builder.item_label, links[ITEM_ID], properties=links.select(ENTITY_ID))
    if items is not None:
        _add_nodes(builder, builder.item_label, items, ITEM_ID, text=text)
    elif text is not None:
        raise DataError(f"{path} has no .item file to make a text of; add one or leave text out")
    _add_facts(builder, files, links)
    missing = [kind for kind in _WITHOUT if kind not in files]
    if missing:
        reasons = "; ".join(f"no .{kind} file: {_WITHOUT[kind]}" for kind in missing)
        (log.info if missing == ["user"] else log.warning)("%s: %s", path, reasons)
    return builder.build()


def read_interactions(
    file: str | Path, *, weight: str | None = None, rating_threshold: float | None = None
) -> "pd.DataFrame":
    """Read one ``.inter`` file.

    Returns
    -------
    pandas.DataFrame
        user_id, item_id (strings) and, where the file has them, weight and timestamp.

    Raises
    ------
    DataError
        If the file cannot be used; the message names the line and the remedy.
    """
    return _interactions(Path(file), weight, rating_threshold).to_pandas()


def find_validation(path: str | Path) -> Path | None:
    """The validation file of a folder of atomic files, or None."""
    return _files(Path(path)).get("valid.inter")


def _files(folder: Path) -> dict[str, Path]:
    """The files of the one data set in a folder by what they are ("inter", "train.inter", "kg", ...)."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; give a folder of atomic files (NAME.inter, NAME.item, ...)")
    found: dict[str, dict[str, Path]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}; check its permissions") from None
    for path in paths:
        name, _, kind = path.name.rpartition(".")
        if kind == "inter" and name.rpartition(".")[2] in _PARTS:
            name, _, part = name.rpartition(".")
            kind = f"{part}.inter"
        elif kind != "inter" and kind not in _WITHOUT:
            continue
        if name and not name.startswith("."):
            found.setdefault(name, {})[kind] = path
    if len(found) > 1:
        raise DataError(
            f"{folder} holds several data sets ({', '.join(sorted(found))}); keep one in a folder of its own"
        )
    files = next(iter(found.values()), {})
    if not ({"inter", "train.inter"} & files.keys()):
        raise DataError(
            f"{folder} has no training interactions; it needs a NAME.inter or NAME.train.inter file"
        )
    return files


def _training(files: dict[str, Path]) -> Path:
    if "inter" in files and "train.inter" in files:
        raise DataError(
            f"both {files['inter']} and {files['train.inter'].name} could be the training data; remove one"
        )
    return files["inter"] if "inter" in files else files["train.inter"]


def _interactions(path: Path, weight: str | None, threshold: float | None) -> pl.DataFrame:
    """user_id, item_id and, where known, weight and timestamp."""
    source = weight or (RATING if threshold is not None else WEIGHT)
    table = read_table(path, ids=(USER_ID, ITEM_ID), floats=(source, TIMESTAMP))
    if table.frame.is_empty():
        raise DataError(f"{path} has a header but no rows; a training or test file needs interactions")
    if source not in table.types and source != WEIGHT:
        known = [name for name, kind in table.types.items() if kind == "float"]
        raise DataError(f"{path}: no column {source!r} to weigh by{did_you_mean(source, known)}")
    frame = table.frame.select(
        USER_ID, ITEM_ID, *([pl.col(source).alias(WEIGHT)] if source in table.types else []), *_time(table)
    )
    if source in table.types:
        _check_finite(table, source, "a finite number (above 0 a like, below 0 a dislike)")
        if threshold is not None:
            opinion = (
                pl.when(pl.col(WEIGHT) >= threshold).then(1.0).when(pl.col(WEIGHT) < threshold).then(-1.0)
            )
            frame = frame.with_columns(opinion.alias(WEIGHT))
    elif RATING in table.types:
        log.info(
            "%s: ratings are ignored, every row is a like; weight='rating' or rating_threshold keeps them",
            path,
        )
    return frame


def _check_finite(table: AtomicTable, column: str, remedy: str) -> None:
    bad = ~table.frame[column].is_finite()
    if bad.any():
        line = table.line(bad)
        raise DataError(
            f"{table.path} line {line}: {column} is {table.frame[column][line - 2]}; give {remedy}"
        )


def _time(table: AtomicTable) -> list[str]:
    return [TIMESTAMP] if TIMESTAMP in table.types else []


def _add_nodes(
    builder: GraphBuilder,
    label: str,
    table: AtomicTable,
    key: str,
    *,
    text: str | Sequence[str] | None = None,
) -> None:
    if ID in table.types:
        raise DataError(f"{table.path} line 1: a property cannot be called {ID!r}; rename the column")
    columns = [name for name in table.types if name != key]
    name = name_column(column for column in columns if table.types[column] in ("token", "token_seq"))
    prose = [
        column
        for column in columns
        if column != name and table.types[column] == "token_seq" and is_description(table.frame[column])
    ]
    tags = [c for c in columns if table.types[c] == "token_seq" and c != name and c not in prose]
    texts = None
    if label == builder.item_label:
        tokens = [
            c for c in columns if c not in prose and c != name and not table.types[c].startswith("float")
        ]
        order = [*([name] if name else []), *prose, *tokens]
        texts = compose_texts(table.frame, order if text is None else text)
    frame = table.frame
    properties = pl.DataFrame(
        [_property(frame[c], table.types[c], c in tags) for c in columns if c not in (NAME, TEXT)]
    )
    builder.add_nodes(label, frame[key], frame[name] if name else None, texts, properties)


def _property(column: pl.Series, kind: str, tags: bool) -> pl.Series:
    """Words as a list; not a number is no value, so that graphs with the same gaps are equal."""
    if tags:
        return column.str.split(" ")
    if kind == "float_seq":
        return column.list.eval(pl.element().fill_nan(None))
    return column.fill_nan(None) if kind == "float" else column


def _links(files: dict[str, Path], catalogue: pl.Series) -> pl.DataFrame:
    """item_id, entity_id: one entity an item of the catalogue."""
    if "link" not in files:
        return pl.DataFrame(schema={ITEM_ID: pl.String, ENTITY_ID: pl.String})
    path = files["link"]
    table = read_table(path, ids=(ITEM_ID, ENTITY_ID)).frame
    links = table.select(ITEM_ID, ENTITY_ID).unique(maintain_order=True)
    twice = links.filter(pl.col(ITEM_ID).is_duplicated())
    if len(twice):
        item = twice[ITEM_ID][0]
        entities = twice.filter(pl.col(ITEM_ID) == item)[ENTITY_ID].to_list()
        line = int(((table[ITEM_ID] == item) & (table[ENTITY_ID] == entities[1])).arg_max() or 0) + 2
        raise DataError(
            f"{path} line {line}: item {item!r} is linked to two entities, {entities[0]!r} and "
            f"{entities[1]!r}; keep one"
        )
    known = links.filter(pl.col(ITEM_ID).is_in(catalogue.implode()))
    if len(known) < len(links):
        log.warning(
            "%s: ignored %d links of items that are not in the catalogue", path, len(links) - len(known)
        )
    return known


def _add_facts(builder: GraphBuilder, files: dict[str, Path], links: pl.DataFrame) -> None:
    facts = pl.DataFrame(schema={HEAD_ID: pl.String, TAIL_ID: pl.String})
    if "kg" in files:
        table = read_table(files["kg"], ids=(HEAD_ID, RELATION_ID, TAIL_ID), floats=(WEIGHT, TIMESTAMP))
        if WEIGHT in table.types:
            _check_finite(table, WEIGHT, "a finite number or nothing")
        facts = table.frame
    named = pl.concat([facts[HEAD_ID], facts[TAIL_ID].alias(HEAD_ID)]).unique()
    idle = links.filter(~pl.col(ENTITY_ID).is_in(named.implode()))
    if len(idle):
        log.warning("%s: %d links lead to an entity without facts", files["link"], len(idle))
    if facts.is_empty():
        return
    for end in (HEAD_ID, TAIL_ID):
        # An entity that two items are linked to stands for both: the join repeats its facts.
        facts = facts.join(
            links.rename({ITEM_ID: f"{end}_item"}), left_on=end, right_on=ENTITY_ID, how="left"
        ).with_columns(
            pl.coalesce(f"{end}_item", end).alias(end),
            pl.when(pl.col(f"{end}_item").is_null())
            .then(pl.lit(ENTITY))
            .otherwise(pl.lit(builder.item_label))
            .alias(f"{end}_label"),
        )
    builder.add_facts(
        facts[RELATION_ID],
        facts[HEAD_ID],
        facts[TAIL_ID],
        facts[f"{HEAD_ID}_label"],
        facts[f"{TAIL_ID}_label"],
        facts[WEIGHT] if WEIGHT in facts.columns else None,
        facts[TIMESTAMP] if TIMESTAMP in facts.columns else None,
    )
