"""A `GraphSchema` proposed from a database's own labels, types, properties, constraints and counts."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log10
from typing import TYPE_CHECKING, Any

from .bolt import Bolt, plain
from .columns import ID, INTERACTED, ITEM, NAME, TEXT, TIMESTAMP, USER, WEIGHT
from .errors import ConfigError
from .relation_names import WRITTEN_BACK, label_of, relation_of
from .schema import GraphSchema, InteractionSchema, LabelSchema
from .store_catalogue import labels_used, quoted, types_used
from .store_index import vector_properties
from .texts import DESCRIPTION_ENDINGS, DESCRIPTION_WORDS, NAME_ENDINGS

if TYPE_CHECKING:
    from .store import GraphStore

_NODES = 1_000
"""Nodes of a label that are looked at for its properties."""
_EDGES = 20_000
"""Relationships of a type that are looked at for what they connect."""

_USERS = "user customer member account client visitor listener viewer reader subscriber patron shopper person"
_ITEMS = (
    "item product movie film book song track album artist article news video game recipe course post page "
    "show series podcast paper restaurant hotel place event listing"
)
_VIEWS = "viewed clicked saw opened visited browsed impression view click"
_TAKES = "interacted bought purchased ordered played listened watched read liked likes played rented borrowed"
_RATES = "rated reviewed rating review"
_DISLIKES = "disliked hid hidden blocked returned refunded skipped dismissed reported"
_WEIGHTS = "weight rating stars score rate value count plays times quantity qty amount n"
_RATINGS = "rating stars score rate"
_TIMES = "timestamp time at date datetime when ts created createdat updatedat day"
_VIEW_FACTOR = 0.2
_DISLIKE_FACTOR = -1.0


def _words(name: str) -> list[str]:
    """The words of a name in camel case, snake case or with a colon, in lower case."""
    return re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower())


def _hints(name: str, words: str) -> bool:
    known = words.split()
    return any(word in known or word.removesuffix("s") in known for word in _words(name))


@dataclass
class _Label:
    """What is known of a label: its schema, or why it has none."""

    name: str
    stored: str
    count: int
    schema: LabelSchema | None = None
    reason: str = ""


@dataclass
class _Pattern:
    """(head)-[type]->(tail), from a sample of the type's relationships."""

    head: str
    type: str
    tail: str
    count: int
    heads: int
    tails: int
    keys: dict[str, list[Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"(:{self.head})-[:{self.type}]->(:{self.tail})"


def infer(store: "GraphStore") -> GraphSchema:
    """Propose a schema; see `GraphSchema.infer`."""
    bolt = store._bolt
    labels = _labels(bolt)
    if not labels:
        raise ConfigError("the store is empty; write a graph first")
    patterns = _patterns(bolt, labels)
    chosen = _choose(bolt, labels, patterns)
    if chosen is None:
        raise ConfigError(
            f"nothing in the store looks like users and items: it has the labels {', '.join(sorted(labels))} and "
            f"{', '.join(map(str, patterns)) or 'no relationships'}; write a GraphSchema by hand"
        )
    user, item, kinds, events, reasons = chosen
    if (user, item, len(kinds), kinds[0].type) == (USER, ITEM, 1, INTERACTED) and all(
        of.schema is not None
        and of.schema.id == ID
        and of.schema.name in (None, NAME)
        and of.schema.text in (None, TEXT)
        for of in labels.values()
    ):
        return GraphSchema(reasons=("the graph is one that kgenre wrote: the defaults fit",))
    used = {kind.type for kind in kinds} | {
        pattern.type for pattern in patterns if events & {pattern.head, pattern.tail}
    }
    kept = [name for name, of in labels.items() if of.schema is not None and name not in events]
    dropped = [of.reason for name, of in labels.items() if of.schema is None and name not in events]
    facts = sorted(
        {relation_of(p.type) for p in patterns if p.type not in used and {p.head, p.tail} <= set(kept)}
    )
    schemas = {name: schema for name in sorted(kept) if (schema := labels[name].schema) is not None}
    reasons += [f"{name}: {labels[name].reason}" for name in (user, item)]
    reasons += [f"left out {reason}" for reason in dropped]
    if facts:
        reasons.append(f"facts: what else connects nodes that have ids: {', '.join(facts)}")
    return GraphSchema(
        user_label=user,
        item_label=item,
        labels={name: schema for name, schema in schemas.items() if schema != LabelSchema()},
        entity_labels=tuple(name for name in schemas if name not in (user, item)),
        fact_types=tuple(facts),
        interactions=tuple(kinds),
        reasons=tuple(reasons),
    )


# -- labels and their properties ------------------------------------------------------------------


def _labels(bolt: Bolt) -> dict[str, _Label]:
    unique = _unique_properties(bolt)
    vectors = vector_properties(bolt)
    found = {}
    for stored in labels_used(bolt):
        node = quoted(bolt, stored)
        label = _Label(label_of(stored), stored, bolt.run(f"MATCH (n:{node}) RETURN count(n)")[0][0])
        rows = bolt.run(f"MATCH (n:{node}) WITH n LIMIT {_NODES} RETURN properties(n)")
        values: dict[str, list[Any]] = defaultdict(list)
        for (properties,) in rows:
            for key, value in properties.items():
                if value is not None and key not in vectors.get(stored, ()):
                    values[key].append(plain(value))
        _describe(bolt, label, values, len(rows), unique.get(stored, []))
        found[label.name] = label
    return found


def _unique_properties(bolt: Bolt) -> dict[str, list[str]]:
    rows = bolt.run("SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties")
    found: dict[str, list[str]] = defaultdict(list)
    for kind, labels, properties in rows:
        if kind in ("UNIQUENESS", "NODE_KEY") and len(properties) == 1:
            found[labels[0]].append(properties[0])
    return found


def _describe(bolt: Bolt, label: _Label, values: dict[str, list[Any]], n: int, unique: list[str]) -> None:
    complete = [
        key
        for key, column in values.items()
        if len(column) == n and all(isinstance(v, str | int) and not isinstance(v, bool) for v in column)
    ]
    constrained = [key for key in unique if key in complete]
    # A description may well be there once on every node, and still nobody would call a thing by it.
    short = [key for key in complete if not _is_prose(values[key])]
    wanted = sorted(constrained, key=_id_rank) or sorted(short, key=lambda key: (_id_rank(key), key))
    for key in wanted:
        counts = bolt.run(
            f"MATCH (n:{quoted(bolt, label.stored)}) RETURN count(n.{bolt.quote(key, 'property')}), "
            f"count(DISTINCT n.{bolt.quote(key, 'property')})"
        )[0]
        if counts == [label.count, label.count]:
            why = "has a uniqueness constraint" if key in constrained else "is there once on every node"
            # A slug or a log-in may be read; a number may not.
            name = _name(values, key) or (key if _id_rank(key) > 1 and _is_text(values[key]) else None)
            text = _text(values, {key, name})
            label.schema = LabelSchema(id=key, name=name, text=text)
            label.reason = (
                f"id {key!r} {why} ({label.count} nodes); name {name or 'none'}; "
                f"text {', '.join([text] if isinstance(text, str) else text) if text else 'none'}"
            )
            return
    label.reason = (
        f"{label.name} ({label.count} nodes): no property is there once on every node, so none is an id"
    )


def _id_rank(key: str) -> int:
    words = _words(key)
    if words == ["id"]:
        return 0
    if words and (
        words[-1] in ("id", "uuid", "uri", "key", "code", "sku", "nr", "isbn") or key.lower().endswith("id")
    ):
        return 1
    return 3 if words and words[-1] in NAME_ENDINGS else 2


def _name(values: dict[str, list[Any]], key: str) -> str | None:
    named = [
        other
        for other, column in values.items()
        if _words(other) and _words(other)[-1] in (*NAME_ENDINGS, "label", "headline") and _is_text(column)
    ]
    return min(named, key=lambda other: (-len(values[other]), len(other), other), default=None)


def _text(values: dict[str, list[Any]], taken: set[str | None]) -> str | tuple[str, ...] | None:
    found = []
    for key in sorted(values):
        column = values[key]
        if key in taken or not _is_text(column):
            continue
        if _is_prose(column) or (
            _words(key) and _words(key)[-1] in (*DESCRIPTION_ENDINGS, "body", "content")
        ):
            found.append(key)
    return None if not found else found[0] if len(found) == 1 else tuple(found)


def _is_prose(column: list[Any]) -> bool:
    return _is_text(column) and sum(len(value.split()) for value in column) / len(column) > DESCRIPTION_WORDS


def _is_text(column: list[Any]) -> bool:
    return bool(column) and all(isinstance(value, str) for value in column)


# -- relationships --------------------------------------------------------------------------------


def _patterns(bolt: Bolt, labels: dict[str, _Label]) -> list[_Pattern]:
    names = {of.stored: name for name, of in labels.items()}
    found = []
    for type_ in types_used(bolt):
        if type_ in WRITTEN_BACK:
            continue
        of_type = quoted(bolt, type_)
        total = bolt.run(f"MATCH ()-[r:{of_type}]->() RETURN count(r)")[0][0]
        rows = bolt.run(
            f"MATCH (h)-[r:{of_type}]->(t) WITH h, r, t LIMIT {_EDGES} "
            "RETURN labels(h), labels(t), elementId(h), elementId(t), properties(r)"
        )
        groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for heads, tails, *rest in rows:
            for head in heads:
                for tail in tails:
                    if head in names and tail in names:
                        groups[names[head], names[tail]].append(rest)
        for (head, tail), edges in groups.items():
            keys: dict[str, list[Any]] = defaultdict(list)
            for *_, properties in edges:
                for key, value in properties.items():
                    keys[key].append(plain(value))
            n_heads, n_tails = (len({edge[end] for edge in edges}) for end in (0, 1))
            count = round(total * len(edges) / len(rows))
            found.append(_Pattern(head, type_, tail, count, n_heads, n_tails, dict(keys)))
    return found


_Choice = tuple[str, str, list[InteractionSchema], set[str], list[str]]


def _choose(bolt: Bolt, labels: dict[str, _Label], patterns: list[_Pattern]) -> _Choice | None:
    """Users, items, kinds of interactions, labels that only stand between them, and the reasons."""
    candidates = [_one_hop(labels, pattern) for pattern in patterns]
    candidates += [_two_hops(bolt, labels, first, second) for first in patterns for second in patterns]
    possible = [candidate for candidate in candidates if candidate is not None]
    if not possible:
        return None
    best = max(possible, key=lambda candidate: candidate.score)
    user, item, kinds, reasons, events = best.user, best.item, [best.kind], [best.reason], {best.event} - {""}
    # Other kinds of interactions of the same users with the same items, if they are called so: who acted in a film
    # and who reviewed it may both be persons.
    for other in sorted(possible, key=lambda candidate: -candidate.score):
        same = (other.user, other.item) == (user, item) and other.kind not in kinds and other.named
        if same and (not other.event or other.event not in events):
            kinds.append(other.kind)
            reasons.append(other.reason)
            events |= {other.event} - {""}
    return user, item, kinds, events, reasons


@dataclass
class _Candidate:
    """What could be the interactions; an event is a label that only stands between, or empty."""

    score: float
    user: str
    item: str
    kind: InteractionSchema
    named: bool
    event: str
    reason: str


def _is_interaction(types: Iterable[str]) -> bool:
    return any(_hints(type_, f"{_VIEWS} {_TAKES} {_RATES} {_DISLIKES}") for type_ in types)


def _value(user: str, item: str, types: list[str], keys: Iterable[str], count: int) -> float:
    measured = any(_hints(key, f"{_WEIGHTS} {_TIMES}") for key in keys)
    users, items = _hints(user, _USERS) - _hints(user, _ITEMS), _hints(item, _ITEMS) - _hints(item, _USERS)
    return 3.0 * users + 2.0 * items + 2.0 * _is_interaction(types) + measured + log10(max(count, 1)) / 2


def _one_hop(labels: dict[str, _Label], pattern: _Pattern) -> _Candidate | None:
    if pattern.head == pattern.tail or not _have_ids(labels, pattern.head, pattern.tail):
        return None
    # Where every tail has one head only, nobody shares anything: an order, a session, a playlist.
    if pattern.tails >= pattern.count and pattern.tails > 1:
        return None
    score = _value(pattern.head, pattern.tail, [pattern.type], pattern.keys, pattern.count)
    kind, notes = _kind(pattern)
    reason = (
        f"interactions: {pattern}, {pattern.count} of {pattern.heads} {pattern.head} with {pattern.tails} "
        f"{pattern.tail}{notes}"
    )
    named = _is_interaction([pattern.type])
    return _Candidate(score, pattern.head, pattern.tail, kind, named, "", reason)


def _have_ids(labels: dict[str, _Label], *names: str) -> bool:
    return all(labels[name].schema is not None for name in names)


def _kind(pattern: _Pattern) -> tuple[InteractionSchema, str]:
    settings: dict[str, Any] = {"type": pattern.type}
    notes = ""
    weight = _pick(pattern.keys, _WEIGHTS, numbers=True)
    if weight:
        if weight != WEIGHT:
            settings["weight"] = weight
        numbers = [value for value in pattern.keys[weight] if isinstance(value, int | float)]
        low, high = min(numbers), max(numbers)
        notes += f"; weight is {weight!r} ({low:g} to {high:g})"
        if _hints(weight, _RATINGS) and low > 0 and high > low:
            settings["threshold"] = (low + high) / 2
            notes += f", a rating: a like from the middle, {settings['threshold']:g}, on, a dislike below"
    elif _hints(pattern.type, _DISLIKES):
        settings["factor"] = _DISLIKE_FACTOR
        notes += f"; a dislike: factor {_DISLIKE_FACTOR:g}"
    elif _hints(pattern.type, _VIEWS):
        settings["factor"] = _VIEW_FACTOR
        notes += f"; a view says less than a choice: factor {_VIEW_FACTOR}"
    time = _pick(pattern.keys, _TIMES, numbers=False)
    if time:
        if time != TIMESTAMP:
            settings["timestamp"] = time
        notes += f"; timestamp is {time!r}"
    return InteractionSchema(**settings), notes


def _pick(keys: dict[str, list[Any]], hints: str, *, numbers: bool) -> str | None:
    """The property that a hint names, earlier hints first, whose values are numbers or else times."""
    order = hints.split()
    fitting = []
    for key, column in keys.items():
        known = [order.index(word) for word in (*_words(key), key.lower()) if word in order]
        usual = all(isinstance(v, int | float) and not isinstance(v, bool) for v in column)
        if known and (usual or (not numbers and all(hasattr(v, "timestamp") for v in column))):
            fitting.append((min(known), key))
    return min(fitting)[1] if fitting else None


def _two_hops(bolt: Bolt, labels: dict[str, _Label], first: _Pattern, second: _Pattern) -> _Candidate | None:
    """(user)-[first]-(event)-[second]-(item), in any direction, where every event is of one user."""
    for event, user, one_user in (
        (first.tail, first.head, first.tails >= first.count),
        (first.head, first.tail, first.heads >= first.count),
    ):
        item = second.tail if second.head == event else second.head if second.tail == event else None
        if not one_user or item is None or first is second or len({user, event, item}) < 3:
            continue
        # Events that hold nothing but the user's one item share nothing either, unless items are shared.
        shared = second.tails if item == second.tail else second.heads
        if (
            shared >= second.count
            or not _have_ids(labels, user, item)
            or labels[event].count < labels[user].count
        ):
            continue
        types = [first.type, second.type]
        score = _value(user, item, types, [*first.keys, *second.keys], second.count) - 0.5
        kind = InteractionSchema(query=_query(bolt, labels, first, second, (user, event, item)))
        reason = (
            f"interactions: {first} and {second}, since every {event} is of one {user} and so no more than what "
            f"stands between {user} and {item}"
        )
        return _Candidate(score, user, item, kind, _is_interaction(types), event, reason)
    return None


def _query(
    bolt: Bolt, labels: dict[str, _Label], first: _Pattern, second: _Pattern, nodes: tuple[str, str, str]
) -> str:
    def step(pattern: _Pattern, name: str, start: str) -> str:
        of = f"[{name}:{quoted(bolt, pattern.type)}]"
        return f"-{of}->" if pattern.head == start else f"<-{of}-"

    def key(label: str) -> str:
        schema = labels[label].schema or LabelSchema()
        return bolt.quote(schema.id, "property")

    user, event, item = nodes
    u, e, i = (quoted(bolt, labels[name].stored) for name in nodes)
    returned = [f"u.{key(user)} AS user_id", f"i.{key(item)} AS item_id"]
    times = {"a": _pick(first.keys, _TIMES, numbers=False), "b": _pick(second.keys, _TIMES, numbers=False)}
    name = next((f"{edge}.{bolt.quote(key, 'property')}" for edge, key in times.items() if key), None)
    if name is None:
        rows = bolt.run(f"MATCH (n:{e}) WITH n LIMIT {_NODES} RETURN properties(n)")
        columns: dict[str, list[Any]] = defaultdict(list)
        for (properties,) in rows:
            for property_, value in properties.items():
                columns[property_].append(plain(value))
        time = _pick(columns, _TIMES, numbers=False)
        name = f"e.{bolt.quote(time, 'property')}" if time else None
    if name:
        returned.append(f"{name} AS timestamp")
    return (
        f"MATCH (u:{u}){step(first, 'a', user)}(e:{e}){step(second, 'b', event)}(i:{i})\n"
        f"RETURN {', '.join(returned)}"
    )
