from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from .columns import ENTITY_ID
from .errors import UnknownIdError, did_you_mean
from .vocabulary import IntArray, Vocabulary

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    import rdflib
    import torch_geometric.data

    from .describe import Description
    from .explore import Exploration
    from .picture import GraphPicture

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NodeTable:
    """The nodes of one label, a column each; row i is the label's i-th node.

    Attributes
    ----------
    label
        The label ("User", "Item", "Person").
    vocabulary
        External ids, unique within the label, sorted.
    names, texts
        Arrow string arrays of shape (n,), null where there is none.
    properties
        Arrow table of n rows: everything else the source said about these nodes.
    """

    label: str
    vocabulary: Vocabulary
    names: pa.StringArray
    texts: pa.StringArray
    properties: pa.Table

    def __len__(self) -> int:
        return len(self.vocabulary)

    def name(self, index: int) -> str:
        """Name of a node; where it has none, what it is and its id ("Entity m.06pj8")."""
        name = self.names[index].as_py()
        return name if name else f"{self.label} {self.vocabulary[index]}"

    def equals(self, other: "NodeTable") -> bool:
        """Whether both hold the same nodes, names, texts and properties."""
        return (
            self.label == other.label
            and list(self.vocabulary.ids) == list(other.vocabulary.ids)
            and self.names.equals(other.names)
            and self.texts.equals(other.texts)
            and self.properties.equals(other.properties)
        )


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who interacted with what: one row a (user, item) pair, sorted by user, then item.

    Attributes
    ----------
    user, item
        int32 of shape (n,); indices within the users and within the items.
    weight
        float32 of shape (n,); above 0 a like, below 0 a dislike, 0 seen without an opinion.
    timestamp
        float64 of shape (n,), seconds since 1970 (NaN where unknown), or None if no row has one.
    """

    user: IntArray
    item: IntArray
    weight: FloatArray
    timestamp: TimeArray | None = None

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, eq=False)
class Facts:
    """The triples of one relation, sorted by head, then tail.

    Attributes
    ----------
    relation
        The relation's name.
    head, tail
        int32 of shape (n,); indices in the graph's one node space.
    weight
        float32 of shape (n,), or None where every fact counts 1.
    timestamp
        float64 of shape (n,), seconds since 1970, NaN where unknown, or None.
    """

    relation: str
    head: IntArray
    tail: IntArray
    weight: FloatArray | None = None
    timestamp: TimeArray | None = None

    def __len__(self) -> int:
        return len(self.head)


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """A frozen, columnar snapshot of users, items, entities, interactions and facts.

    All nodes share one contiguous int32 space: users first, then items, then the entities label by label, so
    that each label is a slice. Within a label nodes are sorted by id, so that two snapshots of the same graph
    are equal array by array, wherever they came from. The arrays are read-only.

    Build one with `from_atomic`, `from_frames`, `from_rdf` or `GraphStore.snapshot`; for a source of your own
    use `kgenre.graph.GraphBuilder`.

    Attributes
    ----------
    tables
        The node tables in the order of the node space; the first two are the users and the items.
    interactions
        The (user, item) pairs.
    facts
        One `Facts` for each relation, sorted by the relation's name.
    """

    tables: tuple[NodeTable, ...]
    interactions: Interactions
    facts: tuple[Facts, ...]
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    # -- counts and node space ------------------------------------------------------------------

    @property
    def users(self) -> NodeTable:
        """The users."""
        return self.tables[0]

    @property
    def items(self) -> NodeTable:
        """The catalogue: every item, with or without interactions."""
        return self.tables[1]

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.tables[0])

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.tables[1])

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all labels."""
        return int(self.offsets[-1])

    @property
    def n_interactions(self) -> int:
        """Number of (user, item) pairs, dislikes included."""
        return len(self.interactions)

    @property
    def n_facts(self) -> int:
        """Number of facts over all relations."""
        return sum(len(facts) for facts in self.facts)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the node space."""
        return tuple(table.label for table in self.tables)

    @property
    def relations(self) -> tuple[str, ...]:
        """Names of the relations, sorted."""
        return tuple(facts.relation for facts in self.facts)

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each label's slice starts; int64 of shape (n_labels + 1,)."""
        offsets = np.concatenate(([0], np.cumsum([len(table) for table in self.tables]))).astype(np.int64)
        offsets.flags.writeable = False
        return offsets

    def table(self, label: str) -> NodeTable:
        """The node table of a label.

        Raises
        ------
        UnknownIdError
            If there is no such label.
        """
        for table in self.tables:
            if table.label == label:
                return table
        raise UnknownIdError(
            f"unknown label {label!r}; the graph has {', '.join(self.labels)}"
            f"{did_you_mean(label, self.labels)}"
        )

    def slice(self, label: str) -> slice:
        """The label's nodes in the node space."""
        index = self.labels.index(self.table(label).label)
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def relation(self, name: str) -> Facts:
        """The facts of one relation.

        Raises
        ------
        UnknownIdError
            If there is no such relation; the message offers the nearest ones.
        """
        for facts in self.facts:
            if facts.relation == name:
                return facts
        raise UnknownIdError(f"unknown relation {name!r}{did_you_mean(name, self.relations)}")

    def locate(self, node: int) -> tuple[NodeTable, int]:
        """The table that holds a node of the node space, and its row there."""
        if not 0 <= node < self.n_nodes:
            raise UnknownIdError(f"node {node} is outside 0..{self.n_nodes - 1}")
        label = int(np.searchsorted(self.offsets, node, side="right")) - 1
        return self.tables[label], int(node - self.offsets[label])

    def node_name(self, node: int) -> str:
        """Name of a node of the node space (see `NodeTable.name`)."""
        table, row = self.locate(node)
        return table.name(row)

    def node_id(self, node: int) -> str:
        """External id of a node of the node space."""
        table, row = self.locate(node)
        return table.vocabulary[row]

    def __iter__(self) -> Iterator[NodeTable]:
        return iter(self.tables)

    # -- views ----------------------------------------------------------------------------------

    def _matrix(self, keep: npt.NDArray[np.bool_], data: FloatArray) -> sparse.csr_matrix:
        matrix = sparse.csr_matrix(
            (data[keep], (self.interactions.user[keep], self.interactions.item[keep])),
            shape=(self.n_users, self.n_items),
            dtype=np.float32,
        )
        matrix.sort_indices()
        return matrix

    @cached_property
    def likes(self) -> sparse.csr_matrix:
        """Liked items: float32 CSR of shape (n_users, n_items) holding 1 where the weight is above 0."""
        return self._matrix(self.interactions.weight > 0, np.ones(self.n_interactions, dtype=np.float32))

    @cached_property
    def seen(self) -> sparse.csr_matrix:
        """Everything a user has interacted with, dislikes included: CSR of ones, (n_users, n_items)."""
        ones = np.ones(self.n_interactions, dtype=np.float32)
        return self._matrix(np.ones(self.n_interactions, dtype=bool), ones)

    @cached_property
    def dislikes(self) -> sparse.csr_matrix:
        """Disliked items: CSR (n_users, n_items) holding the size of the negative weight."""
        return self._matrix(self.interactions.weight < 0, -self.interactions.weight)

    def item_facts(self) -> dict[str, sparse.csr_matrix]:
        """For each relation that touches items, which nodes they are linked to.

        A fact whose head is an item stands under its relation's name, one whose tail is an item under the
        name with ``^-1`` behind it (so a fact between two items stands under both). Of two relations that
        hold the same pairs (a relation and its stored inverse) only the first is kept.

        Returns
        -------
        dict of str to CSR
            float32 of shape (n_items, n_nodes), the fact's weight or 1; node columns in the node space.
        """
        if "item_facts" not in self._cache:
            self._cache["item_facts"] = self._item_facts()
        return dict(self._cache["item_facts"])

    def _item_facts(self) -> dict[str, sparse.csr_matrix]:
        first, last = self.n_users, self.n_users + self.n_items
        found: dict[str, sparse.csr_matrix] = {}
        shapes: set[tuple[int, bytes]] = set()
        for facts in self.facts:
            weight = np.ones(len(facts), dtype=np.float32) if facts.weight is None else facts.weight
            for name, item, other in (
                (facts.relation, facts.head, facts.tail),
                (facts.relation + "^-1", facts.tail, facts.head),
            ):
                keep = (item >= first) & (item < last)
                if not keep.any():
                    continue
                matrix = sparse.csr_matrix(
                    (weight[keep], (item[keep] - first, other[keep])),
                    shape=(self.n_items, self.n_nodes),
                    dtype=np.float32,
                )
                matrix.sort_indices()
                key = (matrix.nnz, matrix.indptr.tobytes() + matrix.indices.tobytes() + matrix.data.tobytes())
                if key not in shapes:
                    shapes.add(key)
                    found[name] = matrix
        return found

    # -- comparison and description --------------------------------------------------------------

    def equals(self, other: "KnowledgeGraph") -> bool:
        """Whether both graphs hold the same nodes, names, texts, properties, interactions and facts."""
        return not self.differences(other)

    def differences(self, other: "KnowledgeGraph") -> list[str]:
        """What differs from another graph, one sentence each; empty where the graphs are equal."""
        found: list[str] = []
        if self.labels != other.labels:
            return [f"labels {self.labels} against {other.labels}"]
        for mine, theirs in zip(self.tables, other.tables, strict=True):
            if not mine.equals(theirs):
                found.append(f"nodes of label {mine.label} differ ({len(mine)} against {len(theirs)})")
        if not _same_columns(self.interactions, other.interactions, ("user", "item", "weight", "timestamp")):
            found.append(f"interactions differ ({len(self.interactions)} against {len(other.interactions)})")
        if self.relations != other.relations:
            return [*found, f"relations {self.relations} against {other.relations}"]
        for one, two in zip(self.facts, other.facts, strict=True):
            if not _same_columns(one, two, ("head", "tail", "weight", "timestamp")):
                found.append(f"facts of relation {one.relation} differ ({len(one)} against {len(two)})")
        return found

    def __repr__(self) -> str:
        return (
            f"KnowledgeGraph({self.n_users:,} users, {self.n_items:,} items, {self.n_nodes:,} nodes, "
            f"{self.n_interactions:,} interactions, {self.n_facts:,} facts of {len(self.facts)} relations)"
        )

    # -- ways in and out (each in a module of its own) --------------------------------------------

    @classmethod
    def from_atomic(cls, path: str | Path, **options: Any) -> "KnowledgeGraph":
        """Read a folder of RecBole atomic files; see `kgenre.graph.atomic.read_atomic`."""
        from .atomic import read_atomic

        return read_atomic(path, **options)

    @classmethod
    def from_frames(cls, interactions: Any = None, **tables: Any) -> "KnowledgeGraph":
        """Take pandas, polars or arrow tables; see `kgenre.graph.frames.from_frames`."""
        from .frames import from_frames

        return from_frames(interactions, **tables)

    @classmethod
    def from_folder(cls, path: str | Path, **options: Any) -> "KnowledgeGraph":
        """Read a folder of CSV or Parquet tables; see `kgenre.graph.folder.read_folder`."""
        from .folder import read_folder

        return read_folder(path, **options)

    @classmethod
    def from_rdf(cls, source: "str | Path | rdflib.Graph", **options: Any) -> "KnowledgeGraph":
        """Read RDF; see `kgenre.graph.rdf.read_rdf`."""
        from .rdf import read_rdf

        return read_rdf(source, **options)

    @classmethod
    def load(cls, folder: str | Path) -> "KnowledgeGraph":
        """Load a graph that `save` saved; see `kgenre.graph.saved.load_graph`."""
        from .saved import load_graph

        return load_graph(folder)

    def save(self, folder: str | Path) -> None:
        """Save the graph in a folder of its own; see `kgenre.graph.saved.save_graph`."""
        from .saved import save_graph

        save_graph(self, folder)

    def merge(self, other: "KnowledgeGraph") -> "KnowledgeGraph":
        """The union of two graphs; nodes with the same label and id become one.

        Where both name a node or have a property, text or name for it, `other` prevails.
        """
        from .builder import GraphBuilder
        from .merging import merged

        if (small := merged(self, other)) is not None:
            return small
        builder = GraphBuilder(self.users.label, self.items.label).add_graph(other).add_graph(self)
        # Of a node's values the first prevails, of a pair's interactions without a time the last.
        builder._interactions.reverse()
        return builder.build()

    def to_frames(self) -> "dict[str, pd.DataFrame]":
        """Interactions, facts and a frame per label, as `from_frames` takes them."""
        from .frames import to_frames

        return to_frames(self)

    def to_rdf(self) -> "rdflib.Graph":
        """The graph as an rdflib graph; see `kgenre.graph.rdf_writer.to_rdf`."""
        from .rdf_writer import to_rdf

        return to_rdf(self)

    def write_rdf(self, path: str | Path) -> None:
        """Write RDF in the format that the suffix names; see `kgenre.graph.rdf_writer.write_rdf`."""
        from .rdf_writer import write_rdf

        write_rdf(self, path)

    def sparql(self, query: str) -> "pd.DataFrame":
        """Ask the graph in SPARQL; see `kgenre.graph.sparql.sparql`."""
        from .sparql import sparql

        return sparql(self, query)

    def paths(self, user: str, item: str, max_hops: int = 3, **options: Any) -> "pd.DataFrame":
        """Typed walks from a user to an item and their contributions; see `kgenre.graph.paths.paths`."""
        from .paths import paths

        return paths(self, user, item, max_hops, **options)

    def metapath(
        self, expression: str, *, user: str | None = None, item: str | None = None
    ) -> "pd.DataFrame":
        """Where random walks along a metapath end; see `kgenre.graph.metapath.metapath`."""
        from .metapath import metapath

        return metapath(self, expression, user=user, item=item)

    def explore(self, start: str | tuple[str, str], **options: Any) -> "Exploration":
        """Draw a node and what it is linked to; see `kgenre.graph.kg_explore.explore_graph`."""
        from .kg_explore import explore_graph

        return explore_graph(self, start, **options)

    def describe(self) -> "Description":
        """What is in the graph: counts, degrees, an example of each relation; see `kgenre.graph.describe`."""
        from .describe import describe

        return describe(self)

    def schema_graph(self) -> "GraphPicture":
        """The labels and what links them, drawn; see `kgenre.graph.describe.schema_graph`."""
        from .describe import schema_graph

        return schema_graph(self)

    def to_atomic(self, folder: str | Path) -> None:
        """Write RecBole atomic files; see `kgenre.graph.atomic_writer.write_atomic`."""
        from .atomic_writer import write_atomic

        write_atomic(self, folder)

    def to_neo4j_csv(self, folder: str | Path) -> None:
        """Write the CSV files of neo4j-admin's import; see `kgenre.graph.neo4j_csv.write_neo4j_csv`."""
        from .neo4j_csv import write_neo4j_csv

        write_neo4j_csv(self, folder)

    def to_hetero_data(self) -> "torch_geometric.data.HeteroData":
        """The graph as PyG `HeteroData`; see `kgenre.graph.export.to_hetero_data`."""
        from .export import to_hetero_data

        return to_hetero_data(self)

    def to_networkx(self) -> "networkx.MultiDiGraph":
        """The graph as a networkx multigraph; see `kgenre.graph.export.to_networkx`."""
        from .export import to_networkx

        return to_networkx(self)

    def entity_id(self, item: int) -> str | None:
        """The knowledge-graph id of an item (by index), or None where it is linked to none."""
        if ENTITY_ID not in self.items.properties.column_names:
            return None
        value = self.items.properties.column(ENTITY_ID)[item].as_py()
        return None if value is None else str(value)


def _same_columns(one: Any, two: Any, columns: tuple[str, ...]) -> bool:
    for column in columns:
        a, b = getattr(one, column), getattr(two, column)
        if (a is None) != (b is None):
            return False
        if a is not None and not (len(a) == len(b) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")):
            return False
    return True
