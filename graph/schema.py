import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .columns import ID, INTERACTED, ITEM, NAME, TEXT, TIMESTAMP, USER, WEIGHT
from .errors import ConfigError

if TYPE_CHECKING:
    from .store import GraphStore

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class _Dumper(yaml.SafeDumper):
    """Writes a query of several lines as such."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


class LabelSchema(BaseModel):
    """Which properties of a label's nodes are the id, the name and the text.

    Parameters
    ----------
    id
        Property that identifies a node within its label.
    name
        Property to show, or None.
    text
        Property with the text; a list of properties, joined by ". "; or a template such as
        ``"{title}, {year}"`` (empty where a property it names is missing).
    properties
        The other properties to take; None takes all but vectors with an index.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ID
    name: str | None = NAME
    text: str | tuple[str, ...] | None = TEXT
    properties: tuple[str, ...] | None = None

    def text_properties(self) -> list[str]:
        """The properties that the text is made of."""
        if self.text is None:
            return []
        if isinstance(self.text, tuple):
            return list(self.text)
        return PLACEHOLDER.findall(self.text) if "{" in self.text else [self.text]


class InteractionSchema(BaseModel):
    """One kind of interaction: a relationship type from users to items, or a Cypher query.

    Parameters
    ----------
    type
        Relationship type, with direction user to item.
    query
        Cypher that returns ``user_id``, ``item_id`` and optionally ``weight`` and ``timestamp``.
    weight, timestamp
        Properties of the relationship, for a type.
    threshold
        Weights from here on are likes (1), those below dislikes (-1). Without it a weight above 0 is a like and
        one below 0 a dislike; an interaction without a weight counts 1.
    factor
        What the kind counts for: every weight is multiplied by it (a view .2 of a purchase, a return -1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: str | None = None
    query: str | None = None
    weight: str = WEIGHT
    timestamp: str = TIMESTAMP
    threshold: float | None = None
    factor: float = 1.0

    @model_validator(mode="after")
    def _one_of_both(self) -> "InteractionSchema":
        if (self.type is None) == (self.query is None):
            raise ValueError("give either a relationship type or a query")
        return self

    @property
    def name(self) -> str:
        """How messages call the kind."""
        return self.type or "query"


class FactSchema(BaseModel):
    """Facts of one relation by a Cypher query.

    Parameters
    ----------
    relation
        Name of the relation.
    query
        Cypher that returns ``head_id``, ``tail_id`` and optionally ``weight`` and ``timestamp``.
    head_label, tail_label
        The labels whose ids these are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    relation: str
    query: str
    head_label: str
    tail_label: str


class GraphSchema(BaseModel):
    """How a property graph reads as users, items, entities, interactions and facts.

    The default fits what `GraphStore.write` stores. A graph with labels of its own needs only what differs:
    ``GraphSchema(user_label="Customer", item_label="Product", interactions="BOUGHT")``; `infer` proposes one.

    Parameters
    ----------
    user_label, item_label
        The labels of users and items.
    labels
        Per label what is its id, name and text, where it differs from `LabelSchema`'s defaults.
    entity_labels
        Labels of the other nodes to take; None takes all.
    fact_types
        Relationship types that are facts; None takes all but the interactions and what was written back.
    facts
        More facts, by Cypher.
    interactions
        A relationship type, an `InteractionSchema`, or several of either. The weights of different kinds add up:
        who viewed (.2) and bought (1) has 1.2.
    reasons
        Why `infer` chose what it chose; comments in YAML.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_label: str = USER
    item_label: str = ITEM
    labels: Mapping[str, LabelSchema] = {}
    entity_labels: tuple[str, ...] | None = None
    fact_types: tuple[str, ...] | None = None
    facts: tuple[FactSchema, ...] = ()
    interactions: tuple[InteractionSchema, ...] = (InteractionSchema(type=INTERACTED),)
    reasons: tuple[str, ...] = Field((), exclude=True, repr=False)

    @field_validator("interactions", mode="before")
    @classmethod
    def _kinds(cls, value: Any) -> Any:
        several = value if isinstance(value, list | tuple) else [value]
        return [{"type": kind} if isinstance(kind, str) else kind for kind in several]

    @model_validator(mode="after")
    def _fits_itself(self) -> "GraphSchema":
        if self.user_label == self.item_label:
            raise ValueError(f"users and items cannot share the label {self.user_label!r}")
        if not self.interactions:
            raise ValueError("give at least one kind of interaction")
        types = [kind.type for kind in self.interactions if kind.type]
        twice = next((name for name in types if types.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the interaction type {twice!r} stands twice; remove one")
        return self

    @classmethod
    def infer(cls, store: "GraphStore") -> "GraphSchema":
        """Propose a schema for a store from its labels, types, properties, constraints and counts.

        Print `to_yaml` of it, with the reasons as comments, edit that and read it with `from_yaml`.

        Raises
        ------
        ConfigError
            If there is nothing in the store that users and items could be.
        """
        from .schema_inference import infer

        return infer(store)

    def label(self, label: str) -> LabelSchema:
        """What is the id, name and text of a label's nodes."""
        return self.labels.get(label, LabelSchema())

    def differs(self, *parts: str) -> bool:
        """Whether the schema, or these fields of it, differ from the layout that `GraphStore.write` makes."""
        mine, written = self.model_dump(), GraphSchema().model_dump()
        return any(mine[part] != written[part] for part in parts or written)

    def unwritable(self) -> str | None:
        """Why an interaction cannot be written as this schema reads them; None where it can."""
        kinds = self.interactions
        if len(kinds) > 1:
            names = ", ".join(kind.name for kind in kinds)
            return f"the schema has several kinds ({names}), and an interaction does not say which it is"
        (kind,) = kinds
        if kind.type is None:
            return "they are what a Cypher query of the schema finds, and that does not say what to store"
        if kind.threshold is not None:
            return f"{kind.type}.{kind.weight} is a rating, a like from {kind.threshold:g} on, and a like says none"
        return None if kind.factor else f"{kind.type} counts for nothing (factor 0)"

    def to_yaml(self) -> str:
        """The schema as YAML, only what differs from the defaults, below the reasons as comments."""
        comments = "".join(f"# {line}\n" for reason in self.reasons for line in textwrap.wrap(reason, 100))
        values = self.model_dump(mode="json", exclude_defaults=True)
        kinds = values.get("interactions", [])
        if len(kinds) == 1:
            values["interactions"] = kinds[0]["type"] if list(kinds[0]) == ["type"] else kinds[0]
        return comments + yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def from_yaml(cls, source: str | Path) -> "GraphSchema":
        """Read a schema from a YAML file (a `Path`) or from YAML text.

        Raises
        ------
        ConfigError
            If it is not YAML, or a key or value does not fit.
        """
        try:
            text = source.read_text("utf-8") if isinstance(source, Path) else source
            return cls.model_validate(yaml.safe_load(text) or {})
        except OSError as error:
            raise ConfigError(f"cannot read the schema {source}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"the schema {source} is not UTF-8 (byte {error.start}); save it as UTF-8"
            ) from None
        except yaml.YAMLError as error:
            raise ConfigError(f"the schema is not YAML: {' '.join(str(error).split())}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "schema"
            raise ConfigError(f"{where} in the graph schema: {first['msg']}") from None
