"""The rows of a worth report in one sentence."""

from typing import Any, Literal

import pandas as pd

from .worth_outcomes import (
    ALL,
    COLD_ITEMS,
    LIKES_ALONE,
    NO_FACTS,
    NO_TEXT,
    ONLY,
    RANDOM_LINKS,
    RANDOM_LINKS_NO_TEXT,
)

Answer = Literal["pays", "pays for cold items", "no better than random links", "does not pay", "no facts"]
_NAMED = 3
"""Relations named in the sentence."""


def answer(table: pd.DataFrame, has_facts: bool) -> Answer:
    """What the intervals say.

    The facts pay where they beat both no facts and the same facts with their links shuffled, beside the texts or
    without them; else for cold items where they do so among these.
    """
    if not has_facts:
        return "no facts"
    if any(pays(table, pair, ALL) for pair in _PAIRS):
        return "pays"
    if any(pays(table, pair, COLD_ITEMS) for pair in _PAIRS):
        return "pays for cold items"
    links = [row(table, pair[1], ALL) for pair in _PAIRS]
    if not any(one is not None and one.low > 0 for one in links):
        return "no better than random links"
    return "does not pay"


def paying_relations(table: pd.DataFrame) -> list[str]:
    """Relations that alone lift the ndcg of all users, surely so for their number; the best first."""
    found = table[(table["group"] == ALL) & table["variant"].str.startswith(ONLY) & table["sure"]]
    found = found[found["difference"] > 0].sort_values("difference", ascending=False, kind="stable")
    return [name.removeprefix(ONLY) for name in found["variant"]]


def sentence(table: pd.DataFrame, found: Answer, k: int) -> str:
    """The verdict."""
    if found == "no facts":
        return "The graph has no facts that items share, so there is nothing that could pay."
    beside, apart = _PAIRS
    metric = f"ndcg@{k}"
    if found in ("pays", "pays for cold items"):
        group = ALL if found == "pays" else COLD_ITEMS
        pair = beside if pays(table, beside, group) else apart
        to = "likes and texts" if pair is beside and row(table, NO_TEXT, group) is not None else "likes"
        gain, over = (row(table, name, group) for name in pair)
        among = "" if found == "pays" else ", but only among items that nobody has liked"
        text = (
            f"The graph pays{among}: its facts add {amount(gain)} {metric} to {to}, and "
            f"{amount(over)} more than the same facts with their links shuffled"
        )
        if pair is apart and (rest := row(table, beside[0], group)) is not None:
            text += f" ({amount(rest)} where there are texts too)"
        cold = row(table, beside[0], COLD_ITEMS)
        if found == "pays" and cold is not None and pays(table, beside, COLD_ITEMS):
            text += f"; among items that nobody has liked they add {amount(cold)}"
    else:
        # Where there are no texts, only the rows beside them are there.
        gain, over = (row(table, name, ALL) for name in (apart if row(table, apart[0], ALL) else beside))
        if found == "no better than random links":
            text = (
                f"The graph does not pay: its links are no better than random links "
                f"({amount(over)} {metric} over the same facts with their links shuffled)"
            )
        else:
            text = (
                f"The graph does not pay: its links are better than random ones ({amount(over)} {metric}), but its "
                f"facts add nothing sure ({amount(gain)})"
            )
    return text + _relations(table) + "."


def _relations(table: pd.DataFrame) -> str:
    n = int((table["variant"].str.startswith(ONLY) & (table["group"] == ALL)).sum())
    if n < 2:
        return ""
    paying = paying_relations(table)
    if not paying:
        return f"; none of its {n} relations surely pays alone"
    named = ", ".join(paying[:_NAMED])
    if len(paying) > _NAMED:
        named += f" and {len(paying) - _NAMED} more"
    return f"; of its {n} relations {f'only {named} surely pays' if len(paying) == 1 else f'{named} surely pay'} alone"


_PAIRS = ((NO_FACTS, RANDOM_LINKS), (LIKES_ALONE, RANDOM_LINKS_NO_TEXT))
"""Without facts, and with shuffled links: beside the texts, and with neither text."""


def pays(table: pd.DataFrame, pair: tuple[str, str], group: str) -> bool:
    """Whether both intervals lie above 0."""
    found = [row(table, name, group) for name in pair]
    return all(one is not None and one.low > 0 for one in found)


def row(table: pd.DataFrame, variant: str, group: str) -> Any:
    """A row by name, None if there is none."""
    found = table[(table["variant"] == variant) & (table["group"] == group)]
    return next(found.itertuples(index=False), None)


def amount(found: Any) -> str:
    """A difference with its interval."""
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
