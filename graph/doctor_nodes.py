"""Checks of nodes: names, ids, texts, links, dates."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from .columns import ENTITY_ID
from .doctor_finding import Finding, few, quoted, shown
from .knowledge_graph import KnowledgeGraph, NodeTable

_NOTABLE = 0.01
"""Below this share a defect of single rows is noise, not a defect of the data."""
_CONSTANT = 0.1
_REPEATED = 3
_TELLTALE = 0.05
_TEXTS = 5000
_DAY = 86_400.0


def folded(text: str) -> str:
    """Text in one case, with single spaces and none at its ends."""
    return " ".join(text.casefold().split())


def check_names(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Items and entities without a name."""
    for table in kg.tables[1:]:
        missing = np.flatnonzero(table.names.is_null().to_numpy(zero_copy_only=False))
        if not len(missing):
            continue
        # A label without any names comes from a source that has none; gaps among names are a defect.
        everywhere = len(missing) == len(table)
        yield Finding(
            "missing_names",
            "info" if everywhere else "warning",
            f"{'None' if everywhere else f'{len(missing):,}'} of {len(table):,} nodes of label {table.label} "
            f"{'has' if everywhere else 'have no'} {'a ' if everywhere else ''}name: reasons will show their ids.",
            len(missing) / len(table),
            len(missing),
            few(quoted(table.vocabulary[int(row)]) for row in missing),
            "Add a name column (atomic files: NAME, TITLE or a column ending in _name or _title), or merge a graph "
            "that has the names.",
        )


def check_duplicates(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Nodes of one label with the same name (and, where known, the same year)."""
    for table in kg.tables[1:]:
        names = [folded(name) if name else None for name in table.names.to_pylist()]
        frame = pl.DataFrame(
            {
                "name": pl.Series(names, dtype=pl.String),
                "year": pl.Series(release_years(table), dtype=pl.Int64),
            }
        )
        groups = (
            frame.with_row_index("row")
            .drop_nulls("name")
            .group_by("name", "year", maintain_order=True)
            .agg("row")
            .filter(pl.col("row").list.len() > 1)["row"]
            .to_list()
        )
        if not groups:
            continue
        count = sum(len(rows) for rows in groups)
        yield Finding(
            "duplicate_names",
            # A catalogue may well hold a thing twice; an entity that is two nodes breaks the paths through it.
            "info" if table is kg.items else "warning",
            f"{count:,} nodes of label {table.label} share their name with another: {len(groups):,} names.",
            count / len(table),
            count,
            few(
                f"{quoted(table.name(rows[0]))}: {', '.join(quoted(table.vocabulary[row]) for row in rows[:3])}"
                for rows in groups
            ),
            "Where they are the same thing, give them one id; where they are not, tell their names apart.",
        )


def check_ids(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Ids of one label that differ only by case or space."""
    for table in kg.tables:
        ids = table.vocabulary.ids.tolist()
        groups: dict[str, list[str]] = {}
        for key in ids:
            groups.setdefault("".join(key.casefold().split()), []).append(key)
        same = [keys for keys in groups.values() if len(keys) > 1]
        if same:
            count = sum(len(keys) for keys in same)
            yield Finding(
                "similar_ids",
                "warning",
                f"{count:,} ids of label {table.label} differ from another only by case or space.",
                count / len(table),
                count,
                few(" and ".join(quoted(key) for key in keys[:3]) for keys in same),
                "Strip spaces and write ids in one case before import, unless they are really different nodes.",
            )


def check_links(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Items linked to an entity that has no facts, and items that nothing leads to."""
    items = kg.items
    with_facts = np.zeros(kg.n_items, dtype=bool)
    for facts in kg.facts:
        for end in (facts.head, facts.tail):
            node = end - kg.n_users
            with_facts[node[(node >= 0) & (node < kg.n_items)]] = True
    if kg.facts and ENTITY_ID in items.properties.column_names:
        entity = items.properties[ENTITY_ID].to_pylist()
        linked = np.array([value not in (None, "") for value in entity], dtype=bool)
        dangling = np.flatnonzero(linked & ~with_facts)
        if len(dangling):
            share = len(dangling) / int(linked.sum())
            yield Finding(
                "dangling_links",
                "warning" if share >= _NOTABLE else "info",
                f"{len(dangling):,} of {int(linked.sum()):,} linked items lead to an entity without facts.",
                share,
                len(dangling),
                few(f"{shown(kg, row + kg.n_users)} -> {quoted(str(entity[row]))}" for row in dangling),
                "Check how the entity ids are written (prefix, case, space) in the links and in the facts.",
            )
    alone = np.ones(kg.n_items, dtype=bool)
    alone[kg.interactions.item] = False
    alone &= ~with_facts
    mute = items.names.is_null().to_numpy(zero_copy_only=False)
    mute = mute & items.texts.is_null().to_numpy(zero_copy_only=False)
    silent, heard = np.flatnonzero(alone & mute), np.flatnonzero(alone & ~mute)
    if len(silent):
        yield Finding(
            "isolated_items",
            "warning",
            f"{len(silent):,} of {kg.n_items:,} items have neither interactions nor facts nor a text, so nothing can "
            "recommend them.",
            len(silent) / kg.n_items,
            len(silent),
            few(shown(kg, row + kg.n_users) for row in silent),
            "Give them facts or a text, or take them out of the catalogue.",
        )
    if len(heard):
        yield Finding(
            "isolated_items",
            "info",
            f"{len(heard):,} of {kg.n_items:,} items have neither interactions nor facts, so only their texts can "
            "recommend them.",
            len(heard) / kg.n_items,
            len(heard),
            few(shown(kg, row + kg.n_users) for row in heard),
            "Link them to the graph where it knows them.",
        )


def check_texts(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Texts of items that are missing, the same, or name other items."""
    texts = kg.items.texts.to_pylist()
    written = [row for row, text in enumerate(texts) if text]
    if len(written) < kg.n_items:
        missing = [row for row, text in enumerate(texts) if not text]
        share = len(missing) / kg.n_items
        yield Finding(
            "missing_texts",
            "warning" if written and share >= _NOTABLE else "info",
            f"{len(missing):,} of {kg.n_items:,} items have no text"
            + (
                ": the text signal has nothing to say about them."
                if written
                else ": the text signal is silent."
            ),
            share,
            len(missing),
            few(shown(kg, row + kg.n_users) for row in missing),
            "Add a description, or name the columns that a text is made of (text=).",
        )
    counts = Counter(folded(texts[row]) for row in written)
    repeated = [row for row in written if counts[folded(texts[row])] >= _REPEATED]
    if repeated and len(repeated) >= _NOTABLE * len(written):
        share = len(repeated) / len(written)
        yield Finding(
            "constant_texts",
            "warning" if share >= _CONSTANT else "info",
            f"{len(repeated):,} of {len(written):,} texts are the text of three or more items: text cannot tell "
            "these items apart.",
            share,
            len(repeated),
            few(
                f"{quoted(text)} {count:,} times"
                for text, count in counts.most_common()
                if count >= _REPEATED
            ),
            "Leave placeholders out, or add what tells the items apart (text=).",
        )
    yield from _leaking(kg, texts, written)


def _leaking(kg: KnowledgeGraph, texts: list[str], written: list[int]) -> Iterator[Finding]:
    names = [_words(_without_year(name)) if name else () for name in kg.items.names.to_pylist()]
    # One word is also just a word.
    titles = {words for words in names if len(words) > 1 and sum(map(len, words)) >= 8}
    lengths = sorted({len(words) for words in titles}, reverse=True)
    if not titles:
        return
    checked = written[:: max(1, len(written) // _TEXTS)]
    found: dict[int, str] = {}
    for row in checked:
        own = names[row]
        words = _cut(_words(texts[row]), own)
        for length in lengths:
            windows = zip(*(words[i:] for i in range(length)), strict=False)
            title = next((window for window in windows if window in titles), None)
            if title is not None:
                found[row] = " ".join(title)
                break
    if len(found) < max(_REPEATED, _TELLTALE * len(checked)):
        return
    yield Finding(
        "leaking_texts",
        "warning",
        f"{len(found):,} of {len(checked):,} texts looked at name other items of the catalogue: whoever wrote them "
        "may have known what is liked together.",
        len(found) / len(checked),
        len(found),
        few(f"{shown(kg, row + kg.n_users)} names {quoted(title)}" for row, title in found.items()),
        "Take comparisons out of the texts, or use texts that were written without knowledge of the interactions.",
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+(?:['’]\w+)*", text))


def _without_year(name: str) -> str:
    return re.sub(r"\s*\(\d{4}\)\s*$", "", name)


def _cut(words: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """The words without an item's own name, in whose place nothing joins."""
    kept: list[str] = []
    at = 0
    while at < len(words):
        if own and words[at : at + len(own)] == own:
            kept.append("")
            at += len(own)
        else:
            kept.append(words[at])
            at += 1
    return tuple(kept)


def check_dates(kg: KnowledgeGraph) -> Iterator[Finding]:
    """Interactions before an item's release."""
    inter = kg.interactions
    released = _release(kg.items)
    if inter.timestamp is None or released is None:
        return
    release = released.to_numpy()[inter.item]
    known = np.isfinite(release) & np.isfinite(inter.timestamp)
    # A day's grace, since a date has no time zone.
    early = np.flatnonzero(known & (inter.timestamp < release - _DAY))
    if not len(early):
        return
    share = len(early) / int(known.sum())
    yield Finding(
        "early_interactions",
        "warning" if share >= _NOTABLE else "info",
        f"{len(early):,} of {int(known.sum()):,} interactions are earlier than their item's release "
        f"({released.name}).",
        share,
        len(early),
        few(
            f"{shown(kg, inter.item[row] + kg.n_users)}: user {quoted(kg.users.vocabulary[inter.user[row]])} on "
            f"{_date(inter.timestamp[row])}, released {_date(release[row])}"
            for row in early
        ),
        "Check the unit of the timestamps (seconds since 1970) and whether the dates are those of the same items.",
    )


def release_years(table: NodeTable) -> list[int | None]:
    """The year of each node's release, where a property tells it."""
    released = _release(table)
    if released is None:
        return [None] * len(table)
    years: npt.NDArray[np.int64] = (
        _datetimes(released.to_numpy()).astype("datetime64[Y]").astype(np.int64) + 1970
    )
    return [int(year) if known else None for year, known in zip(years, released.is_not_nan(), strict=True)]


def _release(table: NodeTable) -> pl.Series | None:
    """When each node was released: seconds since 1970, NaN where unknown; None if no property tells."""
    for column in table.properties.column_names:
        if not re.search(
            r"releas|publish|premier|(^|_)year$", re.sub("(?<=[a-z])(?=[A-Z])", "_", column).casefold()
        ):
            continue
        values = pl.Series(column, table.properties[column])
        if isinstance(values.dtype, (pl.List, pl.Struct, pl.Array)):
            continue
        words = values.cast(pl.String).str.strip_chars()
        year = words.str.extract(r"^(\d{4})(?:\.0)?$") + pl.Series(["-01-01"])
        date = words.str.extract(r"^(\d{4}-\d{2}-\d{2})")
        start = pl.select(pl.coalesce(year, date)).to_series().str.to_datetime("%Y-%m-%d", strict=False)
        if start.null_count() < len(start):
            return start.dt.epoch("s").cast(pl.Float64).fill_null(float("nan")).alias(column)
    return None


def _datetimes(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.datetime64]:
    return np.where(np.isfinite(seconds), seconds, 0).astype("datetime64[s]")


def _date(seconds: float) -> str:
    return str(_datetimes(np.array([seconds])).astype("datetime64[D]")[0])
