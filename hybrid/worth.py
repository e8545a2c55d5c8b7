"""Does the graph pay? What its facts, links, relations and texts are worth, on held-out likes."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, DataError, UnknownIdError, did_you_mean

from .config import HybridConfig
from .data import SignalData
from .fitting import encode_texts
from .worth_closed import closed_form_rows
from .worth_picture import worth_picture
from .worth_refits import refit_rows
from .worth_verdict import Answer, answer, paying_relations, sentence

_COLUMNS = ["variant", "group", "ndcg", "difference", "low", "high"]


@dataclass(frozen=True, eq=False)
class KgWorth:
    """What a graph is worth.

    Attributes
    ----------
    rows
        One row a variant and group of users; `table` is its first columns. ``sure`` says whether a relation's interval
        excludes 0 even when it is widened for the number of relations, ``users`` how many there are, ``compared`` which
        two models' difference it is.
    verdict
        One sentence.
    answer
        ``pays``, ``pays for cold items``, ``no better than random links``, ``does not pay`` or ``no facts``.
    seconds
        What it cost, wall time.
    k
        Cut of the ndcg.
    splits
        How often likes were held out.
    full
        Whether the whole fusion was fitted, or the closed form alone.
    """

    rows: pd.DataFrame = field(repr=False)
    verdict: str
    answer: Answer
    seconds: float
    k: int
    splits: int
    full: bool

    @property
    def table(self) -> pd.DataFrame:
        """Columns variant, group, ndcg, difference, low, high.

        `ndcg` is the variant's own. `difference` is what the thing that the variant is about is worth: with it minus
        without it (for ``no facts`` the graph as it is minus this variant; for ``only R`` this variant minus likes
        alone), with its 95 % interval by bootstrap over users.
        """
        return self.rows[_COLUMNS].copy()

    @property
    def relations(self) -> list[str]:
        """Relations that pay by themselves for all users, the best first."""
        return paying_relations(self.rows)

    @property
    def cost(self) -> str:
        """What was fitted, on what, and in which time."""
        what = "the whole fusion" if self.full else "a closed form"
        return f"{what}, {self.splits} held-out splits, {self.seconds:.1f} s"

    @property
    def text(self) -> str:
        """Verdict, table and cost for a terminal."""
        table = self.table.to_string(index=False, float_format="{:.4f}".format, na_rep="-")
        return f"{self.verdict}\n\n{table}\n\n{self.cost}"

    def picture(self) -> str:
        """The differences and their intervals as an SVG element that stands alone."""
        return worth_picture(self.rows, f"What is worth how much ndcg@{self.k} ({self.cost})")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "verdict": self.verdict,
            "answer": self.answer,
            "relations": self.relations,
            "seconds": round(self.seconds, 3),
            "k": self.k,
            "splits": self.splits,
            "full": self.full,
            "table": json.loads(self.rows.to_json(orient="records")),
        }

    def to_html(self) -> str:
        """Verdict, picture and table as one page that fetches nothing."""
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Does the graph pay?</title>'
            "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
            "svg{max-width:100%;height:auto}table{border-collapse:collapse;font-size:.85rem}"
            "td,th{padding:.15rem .8rem .15rem 0;text-align:left;border:0}</style>"
            f"{self._repr_html_()}</html>"
        )

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, float_format="{:.4f}".format, border=0)
        return (
            f"<p><b>{escape(self.verdict)}</b></p>{self.picture()}"
            f"<details><summary>All figures ({escape(self.cost)})</summary>{table}</details>"
        )

    def __repr__(self) -> str:
        return self.text


def kg_worth(
    kg: KnowledgeGraph,
    *,
    full: bool = False,
    config: HybridConfig | None = None,
    text_encoder: TextEncoder | None = None,
    relations: Sequence[str] | None = None,
    splits: int | None = None,
    users: int = 2000,
) -> KgWorth:
    """Measure what the facts, links, relations and texts of a graph are worth to recommendations.

    Likes are held out at random several times. Each time every variant of the graph is fitted: as it is; without
    facts; with the links shuffled (items that have facts swap them: the control, as a model can profit from features
    that mean nothing); without texts; with likes alone; with one relation alone and without it. Each variant chooses
    its own settings from the same values, for each fold of the users by the others, so neither the number of tries nor
    the choice favours one. Intervals are of the mean over users of their mean over splits. A third of the users, those
    with the shortest histories, are a group of their own; and items are held out with all their likes and ranked among
    each other (``cold items``).

    Parameters
    ----------
    kg
        The graph; what it holds as likes is held out and learned from, nothing else is read.
    full
        Fit the whole fusion of `config` instead of a closed form: minutes to hours instead of seconds.
    config
        For the cut and share of validation, the seed, the text encoder and, with `full`, the signals, which choose
        their settings anew.
    text_encoder
        Encodes names and texts; by default one made of `config`.
    relations
        Relations to look at one by one; by default the twenty of the most facts, with `full` none.
    splits
        How often likes are held out; by default 3, with `full` 1.
    users
        At most so many users are ranked for, drawn at random.

    Raises
    ------
    DataError
        If there are too few likes to hold any out.
    UnknownIdError
        If there is no such relation.
    ConfigError
        For a number below 1, or without `full` for more items than the closed form allows.
    """
    config = config or HybridConfig()
    for name, number in (("splits", splits), ("users", users)):
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number} is below 1; take at least one")
    for relation in relations or ():
        if relation not in kg.relations:
            raise UnknownIdError(f"no relation {relation!r}{did_you_mean(relation, kg.relations)}")
    if min(kg.n_users, kg.n_items) < 2 or not kg.likes.nnz:
        raise DataError("the graph has no likes to hold out; add interactions with a weight above 0")
    start = time.perf_counter()
    encoder = text_encoder or TextEncoder(config.text_encoder)
    named = None if relations is None else tuple(dict.fromkeys(relations))
    if full:
        splits = splits or 1
        rows = refit_rows(kg, config, encoder, relations=named or (), splits=splits, users=users)
    else:
        splits = splits or 3
        rows = closed_form_rows(
            SignalData.from_graph(kg, *encode_texts(kg, encoder)),
            kg.dislikes,
            k=config.validation.k,
            share=config.validation.share,
            splits=splits,
            relations=named,
            users=users,
            rng=config.seed,
        )
    found = answer(rows, bool(kg.item_facts()))
    return KgWorth(
        rows=rows,
        verdict=sentence(rows, found, config.validation.k),
        answer=found,
        seconds=time.perf_counter() - start,
        k=config.validation.k,
        splits=splits,
        full=full,
    )
