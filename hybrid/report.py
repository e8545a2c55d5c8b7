"""A model and its lists as one HTML page: nothing is fetched, every text from the graph is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd

from kgenre.graph.progress import bar

from .adaptation import factors_of, weighted
from .attribution import explaining_data
from .data import SignalData
from .explanation import Explanation, explain, ruled
from .path_picture import reason_picture
from .phrases import Phrases
from .ranking import listable, rank
from .report_changes import what_would_change
from .report_style import STYLE
from .ruler import Ruler
from .state import ModelState
from .taste import preferences, profile
from .wording import Wording

LENGTH = 10
"""Items listed for each user."""
_CHANCE = {True: "beyond chance", False: "may be chance"}


def report(
    state: ModelState,
    users: Sequence[str] = (),
    data: SignalData | None = None,
    ruler: Ruler | None = None,
) -> str:
    """The page: how good the model is and what it is made of, then a section for each user.

    Parameters
    ----------
    state
        The fitted model.
    users
        User ids; nobody else's id, and nobody's name, is on the page.
    data
        See `kgenre.hybrid.attribution.explaining_data`; None takes it without text vectors.
    ruler
        The rules that the lists obey; what would change a list is said of the list without them.

    Raises
    ------
    UnknownIdError
        For an unknown user, with the nearest ids.
    """
    data = explaining_data(state) if data is None else data
    known = dict.fromkeys(str(user) for user in users)
    rows = {user: state.kg.users.vocabulary.get(user) for user in known}
    sections = [
        _user(state, user, row, data, ruler)
        for user, row in bar(rows.items(), total=len(rows), desc="report", unit="user")
    ]
    links = "".join(f'<li><a href="#user-{place}">{escape(user)}</a></li>' for place, user in enumerate(rows))
    contents = f"<nav aria-label='users'>Users <ul>{links}</ul></nav>" if len(rows) > 1 else ""
    body = [_model(state), contents]
    body += [f'<section id="user-{place}">{section}</section>' for place, section in enumerate(sections)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # A second lock beside the escaping: a browser runs no script and loads nothing, whatever the page holds.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>kgenre report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


# -- the model -----------------------------------------------------------------------------------------


def _model(state: ModelState) -> str:
    kg, found = state.kg, state.report
    sizes = {
        "users": kg.n_users,
        "items": kg.n_items,
        "interactions": kg.n_interactions,
        "nodes": kg.n_nodes,
        "facts": kg.n_facts,
        "relations": len(kg.relations),
    }
    tiles = "".join(f"<div><b>{number:,}</b> {name}</div>" for name, number in sizes.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    weights = {name: float(weight) for name, weight in zip(state.names, state.weights, strict=True)}
    return (
        f'<header><h1>kgenre report</h1><div class="tiles">{tiles}</div></header>'
        f"<section><h2>How good it is</h2>{_honesty(state)}{f'<ul>{notes}</ul>' if notes else ''}</section>"
        '<div class="columns">'
        f"<section><h2>Weights of the signals</h2>{_bars(weights, '{:.2f}')}</section>"
        f"<section><h2>Where the time of the fit went</h2>{_bars(found.seconds, '{:.1f} s')}</section></div>"
        f"<details><summary>The configuration, as it was fitted</summary><pre>{escape(state.config.to_yaml())}</pre>"
        "</details>"
    )


def _honesty(state: ModelState) -> str:
    found = state.report
    table = found.honesty
    if not len(table):
        return "<p>Nothing was validated: there was nothing to hold out.</p>"
    ndcg, recall = f"ndcg@{found.k}", f"recall@{found.k}"
    top = float(table[ndcg].max()) or 1.0
    rows = []
    for row in table.to_dict("records"):
        rows.append(
            f'<tr class="{escape(str(row["kind"]))}"><th scope="row">{escape(str(row["name"]))}</th>'
            f"<td>{escape(str(row['kind']))}</td>"
            f'<td class="number"><span class="digits">{_number(row[ndcg])}</span> {_bar(row[ndcg] / top)}</td>'
            f'<td class="number">{_number(row[recall])}</td><td class="number">{_number(row["weight"], 2)}</td>'
            f"<td>{escape(str(row['verdict']))}</td></tr>"
        )
    weights = "the fusion's ndcg is cross-fitted" if found.cross_fitted else "the fusion's weights were given"
    return (
        f"<p>Full ranking of {found.n_pairs:,} held-out likes of {found.n_users:,} users; {weights}, the signals' and "
        "peers' settings were chosen on these same likes. Peers are simple models to beat.</p>"
        + _table(["", "kind", ndcg, recall, "weight", "verdict"], rows)
    )


# -- a user --------------------------------------------------------------------------------------------


def _user(state: ModelState, user: str, row: int, data: SignalData, ruler: Ruler | None) -> str:
    history, seen = state.histories[row], state.seen[row]
    if (factors := factors_of(state, np.array([row]))) is not None:
        state = weighted(state, factors[0])
    length = min(LENGTH, state.kg.n_items)
    ranked = rank(state, history, seen, length, ruler=ruler).items[0]
    found = [(int(item), explain(state, history, seen, int(item), data=data)) for item in ranked[ranked >= 0]]
    if ruler is not None:
        masked = listable(state.score(history, seen), history, seen, None, False)
        found = [
            (
                item,
                replace(why, rules=ruled(ruler.done_to(masked, history, length, item), length, why.language)),
            )
            for item, why in found
        ]
    items = [_item(state, place, item, why) for place, (item, why) in enumerate(found, 1)]
    listed = f'<ol class="list">{"".join(items)}</ol>' if items else "<p>Nothing is left to recommend.</p>"
    changes = what_would_change(state, history, seen, [why for _, why in found], data) if history.nnz else []
    lines = "".join(f"<li>{escape(change)}</li>" for change in changes)
    change = f'<h3>What would change it</h3><ul class="changes">{lines}</ul>' if changes else ""
    return f"<h2>User {escape(user)}</h2>{_taste(state, row)}<h3>Recommended</h3>{listed}{change}"


def _taste(state: ModelState, row: int) -> str:
    kg, history = state.kg, state.histories[row]
    if not history.nnz:
        return "<p>No interactions: the list is by popularity.</p>"
    found = preferences(kg, history.indices[history.data > 0])
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in profile(kg, history, found))
    if not found:
        return words
    rows = [
        f'<tr><th scope="row"><bdi>{escape(one.words)}</bdi></th><td class="number">{one.liked} of {one.of}</td>'
        f'<td class="number">{one.expected:.1f}</td><td>{_CHANCE[one.beyond_chance]}</td></tr>'
        for one in found
    ]
    head = ["more than the catalogue has it", "liked items", "expected by chance", ""]
    return f"{words}{_table(head, rows)}"


def _item(state: ModelState, place: int, item: int, why: Explanation) -> str:
    best = why.best(3)
    reasons = "".join(
        f'<li><span class="adds">{reason.contribution:+.2f}</span> <bdi>{escape(reason.text)}</bdi></li>'
        for reason in best
    )
    rest = len(why.reasons) - len(best)
    if rest:
        adds = why.score - sum(reason.contribution for reason in best)
        others = f"{rest:,} more reason{'s' if rest > 1 else ''}, for and against, together"
        reasons += f'<li class="rest"><span class="adds">{adds:+.2f}</span> {others}</li>'
    picture = reason_picture(state.kg, best, item, Wording(state.kg, Phrases.of("en")))
    return (
        f'<li><h4><span class="rank">{place}</span> <bdi>{escape(why.name)}</bdi> '
        f'<small>{escape(why.item_id)}, score {why.score:.2f}</small></h4><ul class="reasons">{reasons}</ul>'
        f"{picture}<details><summary>Ledger: what each signal adds</summary>{_ledger(why.ledger)}{_beside(why)}"
        "</details></li>"
    )


def _beside(why: Explanation) -> str:
    """What stands below a ledger: what rules did to the item, and what is not taken apart."""
    note = f"<p>{escape(why.note)}</p>" if why.note else ""
    if not len(why.rules):
        return note
    rows = [
        f'<tr><th scope="row"><bdi>{escape(rule)}</bdi></th><td class="number">{_number(adds, 3)}</td>'
        f"<td>{escape(does)}</td></tr>"
        for rule, adds, does in why.rules[["rule", "adds", "does"]].itertuples(index=False)
    ]
    return note + _table(["rule", "adds", "what it does"], rows)


def _ledger(ledger: pd.DataFrame) -> str:
    rows = [
        f'<tr><th scope="row">{escape(str(row["signal"]))}</th>'
        + "".join(f'<td class="number">{_number(row[name], 3)}</td>' for name in ledger.columns[1:])
        + "</tr>"
        for row in ledger.to_dict("records")
    ]
    total = _number(ledger["contribution"].sum(), 3)
    rows.append(
        f'<tr class="fusion"><th scope="row">score</th><td colspan="4" class="number">{total}</td></tr>'
    )
    return _table([str(name) for name in ledger.columns], rows)


# -- small parts ---------------------------------------------------------------------------------------


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _bars(values: Mapping[str, float], form: str) -> str:
    top = max(values.values(), default=0.0) or 1.0
    rows = (
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{form.format(value)} {_bar(value / top)}</td></tr>'
        for name, value in values.items()
    )
    return f'<table class="bars"><tbody>{"".join(rows)}</tbody></table>'


def _bar(share: float) -> str:
    return f'<span class="bar"><span style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></span></span>'


def _number(value: object, digits: int = 4) -> str:
    number = float(str(value))
    return f"{number:.{digits}f}" if np.isfinite(number) else "–"
