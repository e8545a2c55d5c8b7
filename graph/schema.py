from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from .columns import ID, INTERACTED, ITEM, NAME, TEXT, TIMESTAMP, USER, WEIGHT
from .errors import ConfigError


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
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ID
    name: str | None = NAME
    text: str | tuple[str, ...] | None = TEXT


class InteractionSchema(BaseModel):
    """What an interaction is: a relationship type from users to items, or a Cypher query.

    Parameters
    ----------
    type
        Relationship type, with direction user to item.
    query
        Cypher that returns ``user_id``, ``item_id`` and optionally ``weight`` and ``timestamp``.
    weight, timestamp
        Properties of the relationship, for a type.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str | None = None
    query: str | None = None
    weight: str = WEIGHT
    timestamp: str = TIMESTAMP

    @model_validator(mode="after")
    def _one_of_both(self) -> "InteractionSchema":
        if (self.type is None) == (self.query is None):
            raise ValueError("give either a relationship type or a query")
        return self


class GraphSchema(BaseModel):
    """How a property graph reads as users, items, entities, interactions and facts.

    The default fits what `GraphStore.write` stores. A graph with labels of its own needs only what differs:
    ``GraphSchema(user_label="Customer", item_label="Product", interactions="BOUGHT")``.

    Parameters
    ----------
    user_label, item_label
        The labels of users and items.
    labels
        Per label what is its id, name and text, where it differs from `LabelSchema`'s defaults.
    entity_labels
        Labels of the other nodes to take; None takes all.
    fact_types
        Relationship types that are facts; None takes all but the interactions.
    interactions
        A relationship type, or an `InteractionSchema` with a type or a query.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_label: str = USER
    item_label: str = ITEM
    labels: Mapping[str, LabelSchema] = {}
    entity_labels: tuple[str, ...] | None = None
    fact_types: tuple[str, ...] | None = None
    interactions: InteractionSchema = InteractionSchema(type=INTERACTED)

    @field_validator("interactions", mode="before")
    @classmethod
    def _type_by_name(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _two_labels(self) -> "GraphSchema":
        if self.user_label == self.item_label:
            raise ValueError(f"users and items cannot share the label {self.user_label!r}")
        return self

    def label(self, label: str) -> LabelSchema:
        """What is the id, name and text of a label's nodes."""
        return self.labels.get(label, LabelSchema())

    def to_yaml(self) -> str:
        """The schema as YAML; only what differs from the defaults."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False)

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
        except yaml.YAMLError as error:
            raise ConfigError(f"the schema is not YAML: {' '.join(str(error).split())}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "schema"
            raise ConfigError(f"{where} in the graph schema: {first['msg']}") from None
