"""Which label the head and the tail of a fact have where the fact does not say: one rule for every source."""

from collections.abc import Callable, Collection, Iterable

import polars as pl

from .columns import ENTITY, HEAD_ID, HEAD_LABEL, RELATION, TAIL_ID, TAIL_LABEL
from .knowledge_graph import KnowledgeGraph
from .tables import as_ids, as_strings, check_columns, to_polars

Find = Callable[[str, list[str]], Collection[str]]
"""Those of some ids that nodes of a label have."""


def label_ends(
    table: pl.DataFrame, what: str, labels: Iterable[str], find: Find, *, user_label: str, item_label: str
) -> pl.DataFrame:
    """Facts with the labels of their heads and tails filled in.

    An end without a label is the item of that id, else a node of another label (the alphabetically first), else a
    user, else an Entity.

    Parameters
    ----------
    table
        head_id, relation, tail_id and optionally head_label, tail_label, which may be missing row by row.
    what
        Names the table in messages.
    labels, find
        The labels there are, and a look-up of their ids.
    user_label, item_label
        The labels of users and items.

    Raises
    ------
    DataError
        If a column or an id is missing.
    """
    check_columns(table, what, (HEAD_ID, RELATION, TAIL_ID), open_ended=True)
    order = sorted(labels, key=lambda label: (label == user_label, label != item_label, label))
    for end, column in ((HEAD_ID, HEAD_LABEL), (TAIL_ID, TAIL_LABEL)):
        ids = as_ids(table[end], what)
        given = pl.Series(column, [None], dtype=pl.String).new_from_index(0, len(ids))
        if column in table.columns:
            given = as_strings(table[column], what)
            given = given.set(given == "", None)
        wanted = set(ids.filter(given.is_null()))
        found: dict[str, str] = {}
        for label in order:
            if wanted:
                hits = wanted.intersection(find(label, list(wanted)))
                wanted -= hits
                found |= dict.fromkeys(hits, label)
        guess = ids.replace_strict(found, default=ENTITY, return_dtype=pl.String)
        table = table.with_columns(ids.alias(end), given.fill_null(guess).alias(column))
    return table


def labelled(kg: KnowledgeGraph, frame: object) -> pl.DataFrame:
    """Facts with the labels of their heads and tails filled in from a graph; see `label_ends`."""

    def find(label: str, ids: list[str]) -> list[str]:
        known = kg.table(label).vocabulary
        return [key for key in ids if key in known]

    ends = {"user_label": kg.users.label, "item_label": kg.items.label}
    return label_ends(to_polars(frame, "facts"), "facts", kg.labels, find, **ends)
