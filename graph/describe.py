"""What is in a snapshot: counts, degrees, relations with an example in words, and the schema as a picture."""

from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from .columns import INTERACTED, RELATION
from .html import table, wrap
from .knowledge_graph import KnowledgeGraph
from .picture import GraphPicture, PictureEdge, PictureNode

_BAR = 9.0
"""Length of the longest bar in rem."""


@dataclass(frozen=True, eq=False)
class Description:
    """What is in a graph; in Jupyter as tables with bars.

    Attributes
    ----------
    labels
        A row a label: label, nodes, named and with_text (shares), degree (relationships of a node, the median),
        highest (the largest degree), largest (the name of the node that has it).
    relations
        A row a relation between two labels, the interactions first: relation, head, tail (labels), facts, heads, tails
        (different ones), example (a sentence).
    """

    labels: pd.DataFrame
    relations: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.labels.to_string(index=False)}\n\n{self.relations.to_string(index=False)}"

    def _repr_html_(self) -> str:
        labels = self.labels.assign(
            **{name: self.labels[name].map("{:.0%}".format) for name in ("named", "with_text")}
        )
        return wrap(
            f"<h4>Nodes</h4>{_bars(self.labels, 'label', 'nodes')}<br>{table(labels)}"
            f"<h4>Relations</h4>{_bars(self.relations, RELATION, 'facts')}<br>{table(self.relations)}"
        )


def describe(kg: KnowledgeGraph) -> Description:
    """Count a graph's nodes and relationships, and say one of each relation in words.

    A degree counts interactions and facts alike, in both directions. The example is the fact whose two ends are
    best known among those that have names: it reads ``Alien: directed by Ridley Scott``.

    Returns
    -------
    Description
    """
    degree = _degrees(kg)
    labels = []
    for table_, first in zip(kg.tables, kg.offsets, strict=False):
        mine = degree[int(first) : int(first) + len(table_)]
        at = int(mine.argmax()) if len(mine) else 0
        labels.append(
            {
                "label": table_.label,
                "nodes": len(table_),
                "named": _share(len(table_) - table_.names.null_count, len(table_)),
                "with_text": _share(len(table_) - table_.texts.null_count, len(table_)),
                "degree": float(np.median(mine)) if len(mine) else 0.0,
                "highest": int(mine[at]) if len(mine) else 0,
                "largest": table_.name(at) if len(mine) else "",
            }
        )
    relations = [
        {
            RELATION: relation,
            "head": kg.labels[source],
            "tail": kg.labels[target],
            "facts": len(heads),
            "heads": len(np.unique(heads)),
            "tails": len(np.unique(tails)),
            "example": _example(kg, relation, heads, tails, degree),
        }
        for relation, source, target, heads, tails in _between_labels(kg)
    ]
    columns = [RELATION, "head", "tail", "facts", "heads", "tails", "example"]
    return Description(pd.DataFrame(labels), pd.DataFrame(relations, columns=columns))


def schema_graph(kg: KnowledgeGraph) -> GraphPicture:
    """The labels of a graph as nodes, the relations between them as relationships, each with its count."""
    nodes = tuple(
        PictureNode(table.label, table.label, None, f"{table.label} ({len(table):,})", {"nodes": len(table)})
        for table in kg.tables
        if len(table)
    )
    edges = tuple(
        PictureEdge(kg.labels[source], kg.labels[target], relation, {"facts": len(heads)})
        for relation, source, target, heads, _ in _between_labels(kg)
    )
    return GraphPicture(nodes, edges)


def relation_words(relation: str) -> str:
    """A relation's name as words: ``film.film.produced_by`` and ``PRODUCED_BY`` give ``produced by``."""
    return relation.rsplit(".", 1)[-1].rsplit("#", 1)[-1].replace("_", " ").casefold()


def _between_labels(
    kg: KnowledgeGraph,
) -> list[tuple[str, int, int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Relation, the places of its two labels, heads and tails; the interactions first."""
    inter = kg.interactions
    ends = [(INTERACTED, inter.user.astype(np.int64), inter.item.astype(np.int64) + kg.n_users)]
    ends += [(facts.relation, facts.head.astype(np.int64), facts.tail.astype(np.int64)) for facts in kg.facts]
    found = []
    for relation, heads, tails in ends:
        pairs = np.stack([np.searchsorted(kg.offsets, side, side="right") - 1 for side in (heads, tails)])
        for source, target in np.unique(pairs, axis=1).T.tolist():
            keep = (pairs[0] == source) & (pairs[1] == target)
            found.append((relation, source, target, heads[keep], tails[keep]))
    return found


def _degrees(kg: KnowledgeGraph) -> npt.NDArray[np.int64]:
    degree = np.zeros(kg.n_nodes, dtype=np.int64)
    for _, _, _, heads, tails in _between_labels(kg):
        degree += np.bincount(heads, minlength=kg.n_nodes) + np.bincount(tails, minlength=kg.n_nodes)
    return degree


def _example(
    kg: KnowledgeGraph,
    relation: str,
    heads: npt.NDArray[np.int64],
    tails: npt.NDArray[np.int64],
    degree: npt.NDArray[np.int64],
) -> str:
    named = np.concatenate(
        [~np.asarray(table.names.is_null().to_numpy(zero_copy_only=False), dtype=bool) for table in kg.tables]
    )
    known = np.minimum(degree[heads], degree[tails]) + named[heads] * kg.n_nodes + named[tails] * kg.n_nodes
    best = int(known.argmax())
    return f"{kg.node_name(int(heads[best]))}: {relation_words(relation)} {kg.node_name(int(tails[best]))}"


def _share(some: int, of: int) -> float:
    return round(some / of, 3) if of else 0.0


def _bars(frame: pd.DataFrame, name: str, value: str) -> str:
    """Bars on a square root scale: a count of ten stays visible beside one of a million."""
    if not len(frame):
        return ""
    largest = float(frame[value].max()) or 1.0
    rows = "".join(
        f"<tr><td>{escape(str(label))}</td><td><span class='kg-bar' "
        f"style='width:{_BAR * (count / largest) ** 0.5:.2f}rem'></span> {count:,}</td></tr>"
        for label, count in zip(frame[name], frame[value], strict=True)
    )
    return f"<table role='img' aria-label='{escape(value)} by {escape(name)}'><tbody>{rows}</tbody></table>"
