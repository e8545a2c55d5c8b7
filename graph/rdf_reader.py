import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from .builder import GraphBuilder
from .columns import ENTITY, ID, ITEM, NAME, TEXT, USER
from .errors import DataError, did_you_mean
from .knowledge_graph import KnowledgeGraph
from .rdf_columns import apart, as_written, languages, preferred, property_columns
from .rdf_graphs import LIST, statement_rows
from .rdf_statements import NIL, Literal, Statements, Term
from .rdf_terms import (
    GRAPHS,
    HAS_ID,
    INTERACTED_WITH,
    ITEM_CLASS,
    LABEL_NS,
    NAME_PREDICATES,
    NODE_NS,
    NS,
    OWL,
    PROPERTY_NS,
    RDF,
    RDFS,
    RELATION_NS,
    STATEMENT_GRAPHS,
    TEXT_PREDICATES,
    USER_CLASS,
    Note,
    local_name,
    short_names,
    urn,
)

log = logging.getLogger(__name__)

URI = "uri"
"""Property of a node: its IRI, where its id is another."""

_UNTELLING = frozenset([OWL + "Thing", OWL + "NamedIndividual", RDFS + "Resource"])


class Reader:
    """Makes a graph of RDF statements; `kgenre.graph.rdf.read_rdf` says how and explains the parameters."""

    def __init__(
        self,
        statements: Statements,
        *,
        item_type: str | None,
        user_type: str | None,
        item_id: str | None,
        interacted: str | None,
        relations: Mapping[str, str],
    ) -> None:
        self.statements = statements
        self.classes = short_names(
            {kind for kinds in statements.types.values() for kind in kinds} | statements.sub_classes.keys(),
            statements.prefixes,
        )
        self.item_classes, item_label = self._classes(item_type, ITEM_CLASS, ITEM)
        self.user_classes, user_label = self._classes(user_type, USER_CLASS, USER)
        self.builder = GraphBuilder(user_label=user_label, item_label=item_label)
        known = {*statements.literals, *statements.links}
        self.interacted = {p for p in statements.links if INTERACTED_WITH in self._properties(p)}
        if interacted is not None:
            self.interacted.add(_find(interacted, statements.links, "predicate between resources"))
        self.item_key = None if item_id is None else _find(item_id, statements.literals, "literal property")
        self.relations = {_find(name, known, "predicate"): relation for name, relation in relations.items()}
        self.labels = self._labels()
        self.ids = self._ids()
        keys = [(node, key, self.labels[node]) for node, keys in self.ids.items() for key in keys]
        self.nodes = pl.DataFrame(
            keys, schema=dict.fromkeys(("node", "id", "label"), pl.String), orient="row"
        )

    def build(self) -> KnowledgeGraph:
        """The graph of all statements."""
        self._add_nodes()
        self._add_links()
        return self.builder.build()

    # -- what the vocabulary means ----------------------------------------------------------------

    def _properties(self, predicate: str) -> set[str]:
        return self.statements.ancestors(predicate, self.statements.sub_properties)

    def _classes(self, asked: str | None, ours: str, default: str) -> tuple[set[str], str]:
        """The classes whose members are items (or users), and their label."""
        if asked is not None:
            found = {_find(asked, self.classes, "class")}
        else:
            table = self.statements.sub_classes
            found = {kind for kind in self.classes if ours in self.statements.ancestors(kind, table)}
            found = found or {kind for kind, label in self.classes.items() if label == default}
        return found, self.classes[next(iter(found))] if len(found) == 1 else default

    def _labels(self) -> dict[str, str]:
        statements, labels = self.statements, {}
        for node, kinds in statements.types.items():
            if not self.item_classes.isdisjoint(kinds):
                labels[node] = self.builder.item_label
            elif not self.user_classes.isdisjoint(kinds):
                labels[node] = self.builder.user_label
            else:
                labels[node] = min((self.classes[k] for k in kinds if k not in _UNTELLING), default=ENTITY)
        for predicate in self.interacted:
            for user, item in statements.links[predicate]:
                labels.setdefault(user, self.builder.user_label)
                labels.setdefault(item, self.builder.item_label)
        for pairs in statements.literals.values():
            for node, _ in pairs:
                labels.setdefault(node, ENTITY)
        for links in statements.links.values():
            for head, tail in links:
                labels.setdefault(head, ENTITY)
                ends: list[Term] = statements.members(tail) if statements.is_list(tail) else [tail]
                for end in ends:
                    if isinstance(end, str):
                        labels.setdefault(end, ENTITY)
        return labels

    def _ids(self) -> dict[str, list[str]]:
        """The ids of each node; an item that has several is as many items."""
        found: dict[str, list[str]] = defaultdict(list)
        for predicate, pairs in self.statements.literals.items():
            general = HAS_ID in self._properties(predicate)
            for node, value in pairs:
                item = self.labels[node] == self.builder.item_label
                if predicate == self.item_key if item and self.item_key is not None else general:
                    found[node].append(value.value)
        owner: dict[tuple[str, str], str] = {}
        without = 0
        for node, label in self.labels.items():
            if node not in found:
                without += label == self.builder.item_label
                found[node] = [node]
            for key in found[node]:
                other = owner.setdefault((label, key), node)
                if other != node:
                    raise DataError(
                        f"{other} and {node} are both the {label} {key!r}; give each an id of its own"
                    )
        if self.item_key is not None and without:
            log.warning("%d items have no %s; their IRI is their id", without, local_name(self.item_key))
        return found

    # -- nodes ------------------------------------------------------------------------------------

    def _add_nodes(self) -> None:
        nodes: dict[str, list[str]] = defaultdict(list)
        for node, label in self.labels.items():
            nodes[label].append(node)
        words = {
            NAME: self._first_of(NAME_PREDICATES),
            TEXT: self._first_of(TEXT_PREDICATES),
        }
        properties, lists = self._values()
        placed = self._statement_rows() if self.statements.graphs else {}
        for label, members in nodes.items():
            columns: dict[str, tuple[pl.Series, Note]] = {}
            for key, values in properties.items():
                if any(node in values for node in members):
                    rows = [values.get(node) for node in members]
                    ordered = [(key, node) in lists for node in members]
                    for name, column, note in property_columns(key, rows, ordered):
                        # Main properties prevail over what is called as one of another's.
                        if note.main is None or name not in properties:
                            columns[name] = column, note
            for key, found in words.items():
                rows = [found.get(node) for node in members]
                for name, column, note in apart(key, rows, languages(rows)):
                    if name not in properties:
                        columns[name] = column, note
            uris = [
                None if node.startswith(NODE_NS) or self.ids[node] == [node] else node for node in members
            ]
            if any(uris):
                columns[URI] = pl.Series(uris, dtype=pl.String), Note()
            if self.statements.graphs:
                graphs = {node: sorted(self.statements.graphs[node]) for node in members}
                _add_lists(GRAPHS, members, graphs, columns)
                _add_lists(STATEMENT_GRAPHS, members, placed, columns)
            best = {
                key: [preferred(found[node])[0].value if node in found else None for node in members]
                for key, found in words.items()
            }
            frame = pl.DataFrame(
                {
                    NAME: pl.Series(best[NAME], dtype=pl.String),
                    TEXT: pl.Series(best[TEXT], dtype=pl.String),
                    **{f"p:{key}": column for key, (column, _) in columns.items()},
                }
            )
            ids = [key for node in members for key in self.ids[node]]
            frame = frame[[row for row, node in enumerate(members) for _ in self.ids[node]]]
            self.builder.add_nodes(
                label,
                ids,
                frame[NAME],
                frame[TEXT],
                {key: frame[f"p:{key}"] for key in columns},
                notes={key: note.metadata() for key, (_, note) in columns.items()},
            )

    def _statement_rows(self) -> dict[str, list[str] | None]:
        """The property ``statement_graphs`` of each node."""
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        relations = self._relation_names()
        for (node, predicate, value), graphs in self.statements.places.items():
            if node in self.labels and self.statements.graphs.get(node):
                for statement in self._written(node, predicate, value, relations):
                    found[node][statement] |= graphs
        return {node: statement_rows(self.statements.graphs[node], of) for node, of in found.items()}

    def _written(self, node: str, predicate: str, value: Term, relations: Mapping[str, str]) -> Iterator[str]:
        """Predicate and object of a statement as `kgenre.graph.rdf_writer` writes it; a list may be several."""
        label = self.labels[node]
        if predicate == RDF + "type":
            ours = {self.builder.item_label: self.item_classes, self.builder.user_label: self.user_classes}
            if value in ours.get(label, ()) or self.classes.get(str(value)) == label:
                yield f"<{predicate}> <{urn(LABEL_NS, label)}>"
        elif isinstance(value, Literal):
            for predicates in (NAME_PREDICATES, TEXT_PREDICATES):
                if predicate in predicates:
                    yield f"<{predicates[0]}> {as_written(value)}"
            name = self.property_names.get(predicate)
            if name is not None:
                yield f"<{urn(PROPERTY_NS, name)}> {as_written(value)}"
        elif predicate in relations:
            name = INTERACTED_WITH if predicate in self.interacted else urn(RELATION_NS, relations[predicate])
            listed = self.statements.is_list(value)
            for end in self.statements.members(value) if listed else [value]:
                if isinstance(end, str):
                    for key in self.ids[end]:
                        yield f"<{name}> <{urn(NODE_NS, self.labels[end], key)}>"
            if listed and self.property_names.get(predicate, GRAPHS) not in (GRAPHS, STATEMENT_GRAPHS):
                yield f"<{urn(PROPERTY_NS, self.property_names[predicate])}> {LIST}"

    def _first_of(self, predicates: Sequence[str]) -> dict[str, list[Literal]]:
        """The values of the first of some predicates that a node has."""
        found: dict[str, list[Literal]] = {}
        for predicate in predicates:
            values: dict[str, list[Literal]] = defaultdict(list)
            for node, value in self.statements.literals.get(predicate, []):
                values[node].append(value)
            found = values | found
        return found

    def _values(self) -> tuple[dict[str, dict[str, list[Literal]]], set[tuple[str, str]]]:
        """The values of each property by node, and which (property, node) has an RDF list."""
        statements = self.statements
        given: dict[str, dict[str, list[Literal]]] = {}
        for predicate, pairs in statements.literals.items():
            if predicate in (*NAME_PREDICATES, *TEXT_PREDICATES, self.item_key):
                continue
            if HAS_ID in self._properties(predicate):
                continue
            values: dict[str, list[Literal]] = defaultdict(list)
            for node, value in pairs:
                values[node].append(value)
            given[predicate] = dict(values)
        ordered = set()
        for predicate, links in statements.links.items():
            for node, head in links:
                if statements.is_list(head):
                    members = [value for value in statements.members(head) if isinstance(value, Literal)]
                    if members or head == NIL:
                        given.setdefault(predicate, {})[node] = members
                        ordered.add((predicate, node))
        reserved = (ID, NAME, TEXT, URI, GRAPHS, STATEMENT_GRAPHS)
        names = self.property_names = short_names(given, statements.prefixes, reserved)
        return {names[p]: values for p, values in given.items()}, {(names[p], node) for p, node in ordered}

    # -- interactions and facts -------------------------------------------------------------------

    def _add_links(self) -> None:
        statements = self.statements
        names = self._relation_names()
        for predicate, links in statements.links.items():
            heads: list[str] = []
            tails: list[str] = []
            for head, tail in links:
                for end in statements.members(tail) if statements.is_list(tail) else [tail]:
                    if isinstance(end, str):
                        heads.append(head)
                        tails.append(end)
            if heads:
                self._add(predicate, names, heads, tails)

    def _add(self, predicate: str, names: Mapping[str, str], heads: list[str], tails: list[str]) -> None:
        notes = [
            self.statements.annotations.get((h, predicate, t)) for h, t in zip(heads, tails, strict=True)
        ]
        frame = pl.DataFrame(
            {
                "head_node": heads,
                "tail_node": tails,
                "weight": pl.Series([note and note.get("weight") for note in notes], dtype=pl.Float64),
                "timestamp": pl.Series([note and note.get("timestamp") for note in notes], dtype=pl.Float64),
            }
        )
        # A node of two ids stands for two: the join repeats its facts.
        for end in ("head", "tail"):
            nodes = self.nodes.rename({"id": end, "label": f"{end}_label"})
            frame = frame.join(nodes, left_on=f"{end}_node", right_on="node")
        if predicate not in self.interacted:
            self.builder.add_facts(
                names[predicate],
                frame["head"],
                frame["tail"],
                frame["head_label"],
                frame["tail_label"],
                frame["weight"],
                frame["timestamp"],
            )
            return
        user_label, item_label = self.builder.user_label, self.builder.item_label
        wrong = frame.filter((pl.col("head_label") != user_label) | (pl.col("tail_label") != item_label))
        if len(wrong):
            head, tail, head_label, tail_label = wrong.select("head", "tail", "^.*_label$").row(0)
            raise DataError(
                f"{local_name(predicate)} leads from {head_label} {head!r} to {tail_label} {tail!r}; an "
                f"interaction leads from {user_label} to {item_label}; give user_type and item_type"
            )
        self.builder.add_interactions(frame["head"], frame["tail"], frame["weight"], frame["timestamp"])

    def _relation_names(self) -> dict[str, str]:
        names = dict(self.relations)
        for predicate in self.statements.links:
            ours = {p for p in self._properties(predicate) if p.startswith(RELATION_NS)}
            if ours:
                names.setdefault(predicate, local_name(min(ours)))
        others = self.statements.links.keys() - names.keys()
        return short_names(others, self.statements.prefixes, reserved=names.values()) | names


def _add_lists(
    key: str,
    members: Sequence[str],
    found: Mapping[str, list[str] | None],
    columns: dict[str, tuple[pl.Series, Note]],
) -> None:
    """Lists as a property, where none of ours with its name says more."""
    given = columns[key][0] if key in columns else None
    if given is not None and given.dtype != pl.List(pl.String):
        return
    stated = given.to_list() if given is not None else [None] * len(members)
    rows = [
        names
        if set(found.get(node) or ()) <= set(names or ())
        else sorted({*(found[node] or ()), *(names or ())})
        for node, names in zip(members, stated, strict=True)
    ]
    if any(row is not None for row in rows):
        columns[key] = pl.Series(rows, dtype=pl.List(pl.String)), Note()


def _find(name: str, known: Iterable[str], what: str) -> str:
    """The IRI that is meant: given whole, or by its local name where only one has it."""
    known = list(known)
    if name in known:
        return name
    found = [iri for iri in known if local_name(iri) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{name!r} could be any {what} of {', '.join(sorted(found))}; give the whole IRI")
    names = sorted({local_name(iri) for iri in known if not iri.startswith(NS)})
    raise DataError(
        f"no {what} {name!r}; there are {', '.join(names[:10]) or 'none'}"
        f"{did_you_mean(local_name(name), names)}"
    )
