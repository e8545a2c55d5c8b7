import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from .columns import ENTITY, HEAD_LABEL, ID, ITEM, NAME, RELATION, TAIL_LABEL, TEXT, TIMESTAMP, USER, WEIGHT
from .errors import DataError
from .knowledge_graph import Facts, Interactions, KnowledgeGraph, NodeTable
from .vocabulary import Vocabulary

log = logging.getLogger(__name__)

_INTERACTION = {"user": pl.String, "item": pl.String, WEIGHT: pl.Float32, TIMESTAMP: pl.Float64}
_FACT = {
    RELATION: pl.String,
    HEAD_LABEL: pl.String,
    "head": pl.String,
    TAIL_LABEL: pl.String,
    "tail": pl.String,
    WEIGHT: pl.Float32,
    TIMESTAMP: pl.Float64,
}


class GraphBuilder:
    """Collects nodes, interactions and facts by external id and builds the canonical `KnowledgeGraph`.

    Every source goes through it, so that the same graph comes out whichever way it came in: nodes sorted by
    id within their label, duplicates merged and counted in the log, ids that only a fact or an interaction
    names made nodes. Where a node is added twice the first value that is not null wins, property by property;
    where a pair interacts twice the latest row wins.

    Parameters
    ----------
    user_label, item_label
        The labels that stand for users and items.
    """

    def __init__(self, user_label: str = USER, item_label: str = ITEM) -> None:
        if user_label == item_label:
            raise DataError(f"users and items cannot share the label {user_label!r}; name two labels")
        self.user_label = user_label
        self.item_label = item_label
        self._nodes: dict[str, list[pl.DataFrame]] = {user_label: [], item_label: []}
        self._notes: dict[tuple[str, str], dict[str, str]] = {}
        self._interactions: list[pl.DataFrame] = []
        self._facts: list[pl.DataFrame] = []

    def add_nodes(
        self,
        label: str,
        ids: Sequence[str] | pl.Series,
        names: Any = None,
        texts: Any = None,
        properties: Mapping[str, Any] | pl.DataFrame | None = None,
        notes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> "GraphBuilder":
        """Add nodes of one label; `names`, `texts` and each property are columns as long as `ids`.

        `notes` are remarks on properties, such as a datatype, and become the metadata of their Arrow fields;
        where not all that is added to a property has the same it gets none.
        """
        frame = pl.DataFrame({ID: pl.Series(ID, ids, dtype=pl.String)})
        _check_ids(frame[ID], label)
        columns: list[pl.Series] = []
        if names is not None:
            columns.append(pl.Series(NAME, names, dtype=pl.String))
        if texts is not None:
            columns.append(pl.Series(TEXT, texts, dtype=pl.String))
        if properties is not None:
            for key in properties if isinstance(properties, Mapping) else properties.columns:
                if key in (ID, NAME, TEXT):
                    raise DataError(f"a property of {label} cannot be called {key!r}; pass it as the {key}")
                if not key or "\0" in key:
                    raise DataError(f"a property of {label} cannot be called {key!r}; rename it")
                columns.append(pl.Series(key, properties[key]))
                if columns[-1].null_count() < len(columns[-1]):
                    note = dict((notes or {}).get(key, {}))
                    known = self._notes.setdefault((label, key), note)
                    self._notes[label, key] = note if known == note else {}
        for column in columns:
            if len(column) != len(frame):
                raise DataError(
                    f"{len(column)} values of {column.name!r} for {len(frame)} nodes of label {label!r}"
                )
        self._nodes.setdefault(label, []).append(frame.with_columns(columns))
        return self

    def add_interactions(
        self,
        users: Sequence[str] | pl.Series,
        items: Sequence[str] | pl.Series,
        weight: Any = None,
        timestamp: Any = None,
    ) -> "GraphBuilder":
        """Add (user, item) pairs; a missing weight counts 1, a missing timestamp is unknown."""
        frame = _frame({"user": users, "item": items, WEIGHT: weight, TIMESTAMP: timestamp}, _INTERACTION)
        _check_ids(frame["user"], self.user_label)
        _check_ids(frame["item"], self.item_label)
        frame = frame.with_columns(pl.col(WEIGHT).fill_null(1.0))
        bad = frame.filter(~pl.col(WEIGHT).is_finite())
        if len(bad):
            user, item, value = bad.row(0)[:3]
            raise DataError(
                f"the weight of user {user!r} on item {item!r} is {value}; give a finite number "
                "(above 0 a like, below 0 a dislike)"
            )
        self._interactions.append(frame)
        return self

    def add_facts(
        self,
        relation: str | Sequence[str] | pl.Series,
        heads: Sequence[str] | pl.Series,
        tails: Sequence[str] | pl.Series,
        head_label: str | Sequence[str] | pl.Series = ENTITY,
        tail_label: str | Sequence[str] | pl.Series = ENTITY,
        weight: Any = None,
        timestamp: Any = None,
    ) -> "GraphBuilder":
        """Add triples; a single string for the relation or a label holds for all of them."""
        columns = {
            RELATION: relation,
            HEAD_LABEL: head_label,
            "head": heads,
            TAIL_LABEL: tail_label,
            "tail": tails,
            WEIGHT: weight,
            TIMESTAMP: timestamp,
        }
        frame = _frame(columns, _FACT)
        for column, kind in (("head", "head"), ("tail", "tail"), (RELATION, "relation")):
            _check_ids(frame[column], kind)
        weights = frame[WEIGHT].drop_nulls()
        if len(weights) and not weights.is_finite().all():
            raise DataError("a fact's weight is NaN or infinite; give a finite number or none")
        self._facts.append(frame)
        return self

    def add_graph(self, kg: KnowledgeGraph) -> "GraphBuilder":
        """Add everything a graph holds."""
        names = {kg.users.label: self.user_label, kg.items.label: self.item_label}
        for table in kg.tables:
            ids = pl.Series(ID, table.vocabulary.ids.tolist(), dtype=pl.String)
            properties = pl.DataFrame(table.properties) if table.properties.num_columns else None
            names_of, texts_of = pl.Series(NAME, table.names), pl.Series(TEXT, table.texts)
            notes = {
                field.name: {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
                for field in table.properties.schema
            }
            self.add_nodes(names.get(table.label, table.label), ids, names_of, texts_of, properties, notes)
        inter = kg.interactions
        if len(inter):
            users = pl.Series(kg.users.vocabulary.ids[inter.user].tolist(), dtype=pl.String)
            items = pl.Series(kg.items.vocabulary.ids[inter.item].tolist(), dtype=pl.String)
            self.add_interactions(users, items, inter.weight, inter.timestamp)
        if kg.facts:
            node_ids = np.concatenate([table.vocabulary.ids for table in kg.tables])
            # As objects: numpy's own strings lose a NUL at their end.
            shown = np.array([names.get(label, label) for label in kg.labels], dtype=object)
            labels = np.repeat(shown, np.diff(kg.offsets))
            for facts in kg.facts:
                self.add_facts(
                    facts.relation,
                    node_ids[facts.head].tolist(),
                    node_ids[facts.tail].tolist(),
                    labels[facts.head].tolist(),
                    labels[facts.tail].tolist(),
                    facts.weight,
                    facts.timestamp,
                )
        return self

    def build(self) -> KnowledgeGraph:
        """The frozen graph of all that was added."""
        interactions = _latest(self._interactions)
        facts = _unique_facts(self._facts)
        frames = self._node_frames(interactions, facts)
        others = sorted(label for label in frames if label not in (self.user_label, self.item_label))
        labels = [self.user_label, self.item_label, *others]
        tables = tuple(self._node_table(label, frames[label]) for label in labels)
        offsets = np.concatenate(([0], np.cumsum([len(table) for table in tables])))
        index = {
            label: pl.DataFrame(
                {ID: frames[label][ID], "node": np.arange(len(frames[label]), dtype=np.int32)}
            )
            for label in labels
        }
        for column, label in (("user", self.user_label), ("item", self.item_label)):
            interactions = _lookup(interactions, column, index[label])
        interactions = interactions.sort("user", "item")
        nodes = pl.concat(
            [
                index[label].with_columns(
                    pl.lit(label).alias("label"), (pl.col("node") + int(start)).cast(pl.Int32).alias("node")
                )
                for label, start in zip(labels, offsets, strict=False)
            ]
        )
        for column, label_column in (("head", HEAD_LABEL), ("tail", TAIL_LABEL)):
            facts = (
                facts.join(nodes, left_on=[label_column, column], right_on=["label", ID], how="left")
                .drop(column)
                .rename({"node": column})
            )
        facts = facts.sort(RELATION, "head", "tail")
        groups = [] if facts.is_empty() else facts.partition_by(RELATION, maintain_order=True)
        return KnowledgeGraph(
            tables=tables,
            interactions=Interactions(
                user=_array(interactions["user"], np.int32),
                item=_array(interactions["item"], np.int32),
                weight=_array(interactions[WEIGHT], np.float32),
                timestamp=_optional(interactions[TIMESTAMP], np.float64),
            ),
            facts=tuple(
                Facts(
                    relation=group[RELATION][0],
                    head=_array(group["head"], np.int32),
                    tail=_array(group["tail"], np.int32),
                    weight=_optional(group[WEIGHT].fill_null(1.0), np.float32)
                    if group[WEIGHT].null_count() < len(group)
                    else None,
                    timestamp=_optional(group[TIMESTAMP], np.float64),
                )
                for group in groups
            ),
        )

    def _node_table(self, label: str, frame: pl.DataFrame) -> NodeTable:
        blank = (pl.col(NAME, TEXT) == "").fill_null(True)
        frame = frame.with_columns(pl.when(~blank).then(pl.col(NAME, TEXT)))
        columns = [_arrow(frame[key]) for key in frame.columns if key not in (ID, NAME, TEXT)]
        fields = [
            pa.field(key, column.type, metadata=self._notes.get((label, key)) or None)
            for key, column in zip(frame.columns[3:], columns, strict=True)
        ]
        return NodeTable(
            label=label,
            vocabulary=Vocabulary(frame[ID].to_list(), kind=label.lower()),
            names=_arrow(frame[NAME]),
            texts=_arrow(frame[TEXT]),
            properties=pa.table(columns, schema=pa.schema(fields)),
        )

    def _node_frames(self, interactions: pl.DataFrame, facts: pl.DataFrame) -> dict[str, pl.DataFrame]:
        named: dict[str, list[pl.DataFrame]] = {label: list(frames) for label, frames in self._nodes.items()}
        named[self.user_label].append(pl.DataFrame({ID: interactions["user"].unique()}))
        named[self.item_label].append(pl.DataFrame({ID: interactions["item"].unique()}))
        for label_column, column in ((HEAD_LABEL, "head"), (TAIL_LABEL, "tail")):
            if facts.is_empty():
                continue
            for (label,), group in facts.select(label_column, column).unique().group_by(label_column):
                named.setdefault(str(label), []).append(group.select(pl.col(column).alias(ID)))
        merged = {label: _merge_nodes(label, frames) for label, frames in named.items()}
        # Nor is a label that no node has a label.
        kept = (self.user_label, self.item_label)
        return {label: frame for label, frame in merged.items() if label in kept or len(frame)}


def _check_ids(ids: pl.Series, kind: str) -> None:
    if ids.null_count() or (ids == "").any():
        raise DataError(f"a {kind} id is missing or empty; every node needs an id")


def _frame(columns: Mapping[str, Any], schema: Mapping[str, Any]) -> pl.DataFrame:
    lengths = {len(value) for value in columns.values() if value is not None and not isinstance(value, str)}
    if len(lengths) > 1:
        raise DataError(f"columns of different lengths: {sorted(lengths)}")
    length = lengths.pop() if lengths else 1
    series = []
    for name, dtype in schema.items():
        value = columns[name]
        if value is None or isinstance(value, str):
            series.append(pl.Series(name, [value], dtype=dtype).new_from_index(0, length))
        else:
            column = value if isinstance(value, pl.Series) else pl.Series(name, value, strict=False)
            series.append(column.cast(dtype).alias(name))
    return pl.DataFrame(series)


def _latest(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    frame = pl.concat([pl.DataFrame(schema=_INTERACTION), *frames])
    frame = frame.with_columns(pl.col(TIMESTAMP).fill_nan(None))
    latest = frame.sort(TIMESTAMP, nulls_last=False, maintain_order=True).unique(
        ["user", "item"], keep="last", maintain_order=True
    )
    if len(latest) < len(frame):
        log.info(
            "merged %d duplicate interactions, keeping the latest of each pair", len(frame) - len(latest)
        )
    return latest


def _unique_facts(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    frame = pl.concat([pl.DataFrame(schema=_FACT), *frames])
    unique = frame.unique(
        [RELATION, HEAD_LABEL, "head", TAIL_LABEL, "tail"], keep="first", maintain_order=True
    )
    if len(unique) < len(frame):
        log.info("merged %d duplicate facts", len(frame) - len(unique))
    return unique


def _merge_nodes(label: str, frames: list[pl.DataFrame]) -> pl.DataFrame:
    frames = [frame for frame in frames if frame.width]
    try:
        frame = pl.concat([pl.DataFrame(schema={ID: pl.String}), *frames], how="diagonal_relaxed")
    except pl.exceptions.SchemaError as error:
        raise DataError(f"a property of {label} has values of different types: {error}") from None
    if frame[ID].n_unique() < len(frame):
        frame = frame.group_by(ID, maintain_order=True).agg(pl.all().drop_nulls().first())
    for column in (NAME, TEXT):
        if column not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(column))
    properties = sorted(set(frame.columns) - {ID, NAME, TEXT})
    # A property that no node has is no property: a store cannot tell it from an absent one.
    kept = [key for key in properties if frame[key].null_count() < len(frame)]
    # By series: to polars a column called * or ^...$ is a pattern.
    return pl.DataFrame([frame[column] for column in (ID, NAME, TEXT, *kept)]).sort(ID)


def _arrow(series: pl.Series) -> pa.Array:
    """A plain arrow array: 32-bit string offsets and lists, as every arrow reader knows them."""
    array = series.to_arrow()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    elif pa.types.is_large_list(array.type):
        inner = array.type.value_type
        array = array.cast(pa.list_(pa.string() if pa.types.is_large_string(inner) else inner))
    elif pa.types.is_integer(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_floating(array.type):
        array = array.cast(pa.float64())
    return array


def _lookup(frame: pl.DataFrame, column: str, index: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.join(index, left_on=column, right_on=ID, how="left", maintain_order="left")
        .drop(column)
        .rename({"node": column})
    )


def _array(series: pl.Series, dtype: Any) -> Any:
    array = np.ascontiguousarray(series.to_numpy(), dtype=dtype)
    if array.flags.writeable is True:
        array.flags.writeable = False
    return array


def _optional(series: pl.Series, dtype: Any) -> Any:
    if series.null_count() == len(series):
        return None
    if series.dtype.is_float():
        series = series.fill_null(float("nan"))
    array = _array(series, dtype)
    return None if series.dtype.is_float() and np.isnan(array).all() else array
