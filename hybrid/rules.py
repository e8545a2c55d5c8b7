"""What a list must obey, as pydantic rules: in the configuration, and in a call."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from kgenre.graph.errors import ConfigError

Value = str | int | float | bool


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_post_init(self, context: Any) -> None:
        # What a rule is must be in every dump, also in one of what was set.
        self.__pydantic_fields_set__.add("kind")


class Selection(_Rule):
    """Items, by any of these; where several are given an item must meet them all.

    Attributes
    ----------
    items
        Their ids.
    relation
        A relation of the graph, in either direction: items that have any fact of it, or with `entities` (ids or names)
        one that leads to one of these, or with `liked` one that leads to an entity of something the user likes.
    property
        A property of the items that has a value; `equals` one of these, at least `at_least`, below `below` (numbers;
        a text that is one counts, and of a date the year).
    cypher
        A query to the recommender's store whose first column is item ids, with its `parameters`.
    """

    items: tuple[str, ...] | None = None
    relation: str | None = None
    entities: tuple[str, ...] | None = None
    liked: bool = False
    property: str | None = None
    equals: tuple[Value, ...] | None = None
    at_least: float | None = None
    below: float | None = None
    cypher: str | None = None
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.items is None and self.relation is None and self.property is None and self.cypher is None:
            raise ValueError(
                "a rule needs items, relation, property or cypher to say which items it is about"
            )
        if (self.entities is not None or self.liked) and self.relation is None:
            raise ValueError("entities and liked need a relation that leads to them")
        ranged = (self.equals, self.at_least, self.below) != (None, None, None)
        if ranged and self.property is None:
            raise ValueError("equals, at_least and below need a property")
        if self.parameters and self.cypher is None:
            raise ValueError("parameters need a cypher query")
        return self

    def which(self) -> str:
        """The selection in words."""
        parts = []
        if self.items is not None:
            parts.append(f"{len(self.items)} named items" if len(self.items) > 3 else ", ".join(self.items))
        if self.relation is not None:
            to = ", ".join(self.entities or ())
            parts.append(f"{self.relation} {to}".strip() + (" of something liked" if self.liked else ""))
        if self.property is not None:
            bounds = [f"is {', '.join(map(str, self.equals))}"] if self.equals is not None else []
            bounds += [f"from {self.at_least:g}"] if self.at_least is not None else []
            bounds += [f"below {self.below:g}"] if self.below is not None else []
            parts.append(" ".join([self.property, *bounds]))
        if self.cypher is not None:
            parts.append("a query's items")
        return " and ".join(parts)


class Only(Selection):
    """List only these items."""

    kind: Literal["only"] = "only"

    def __str__(self) -> str:
        return f"only {self.which()}"


class Exclude(Selection):
    """Never list these items."""

    kind: Literal["exclude"] = "exclude"

    def __str__(self) -> str:
        return f"exclude {self.which()}"


class Boost(Selection):
    """Raise the scores of these items by `amount` standard deviations of the user's scores."""

    kind: Literal["boost"] = "boost"
    amount: float = Field(1.0, gt=0, le=5)

    def __str__(self) -> str:
        return f"boost {self.which()} by {self.amount:g}"


class Bury(Selection):
    """Lower the scores of these items by `amount` standard deviations of the user's scores."""

    kind: Literal["bury"] = "bury"
    amount: float = Field(1.0, gt=0, le=5)

    def __str__(self) -> str:
        return f"bury {self.which()} by {self.amount:g}"


class Cap(_Rule):
    """At most `most` items of a list lead by `relation` to one entity (a director, a genre)."""

    kind: Literal["cap"] = "cap"
    relation: str
    most: int = Field(ge=1)

    def __str__(self) -> str:
        return f"at most {self.most} of one {self.relation}"


class Diversity(_Rule):
    """Items of a list are to be unlike each other.

    Attributes
    ----------
    amount
        0 is the ranking as it is, 1 takes heed of diversity alone.
    method
        ``mmr``: the likeness to the most alike item before it counts against an item (Carbonell & Goldstein 1998).
        ``dpp``: the volume that the items span counts for the list, greedily (Chen, Zhang & Zhou 2018).
    by
        Likeness of ``facts`` (with `relation` of one alone) or ``text``.
    """

    kind: Literal["diversity"] = "diversity"
    amount: float = Field(0.3, ge=0, le=1)
    method: Literal["mmr", "dpp"] = "mmr"
    by: Literal["facts", "text"] = "facts"
    relation: str | None = None

    def __str__(self) -> str:
        what = self.relation or self.by
        return f"diversity of {what} ({self.method}, {self.amount:g})"


class LessPopular(_Rule):
    """Popularity counts against an item: at 1 a deviation of log popularity weighs as one of the score."""

    kind: Literal["less_popular"] = "less_popular"
    amount: float = Field(0.3, ge=0, le=1)

    def __str__(self) -> str:
        return f"less popular ({self.amount:g})"


class Calibrate(_Rule):
    """A list's entities of a relation are distributed as in the user's history (Steck 2018).

    0 is the ranking as it is, 1 takes heed of the divergence alone.
    """

    kind: Literal["calibrate"] = "calibrate"
    relation: str
    amount: float = Field(0.5, ge=0, le=1)

    def __str__(self) -> str:
        return f"calibrated to the history's {self.relation} ({self.amount:g})"


class Explore(_Rule):
    """At least `share` of a list (rounded up) are items with at most `likes` likes."""

    kind: Literal["explore"] = "explore"
    share: float = Field(0.1, gt=0, le=1)
    likes: int = Field(5, ge=0)

    def __str__(self) -> str:
        return f"{self.share:.0%} items with at most {self.likes} likes"


Rule = Annotated[
    Only | Exclude | Boost | Bury | Cap | Diversity | LessPopular | Calibrate | Explore,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Rule)


def as_rules(rules: Sequence[Any]) -> tuple[Any, ...]:
    """Rules given as such or as mappings with a ``kind``.

    Raises
    ------
    ConfigError
        For what is no rule, naming the value and what is expected.
    """
    if isinstance(rules, BaseModel | Mapping | str):
        raise ConfigError(f"rules={rules!r} is one; give a list of rules")
    return tuple(rule if isinstance(rule, Selection | _Rule) else _parsed(rule) for rule in rules)


def rule_from_text(text: str) -> Any:
    """A rule of one line of YAML, as ``{kind: cap, relation: DIRECTED_BY, most: 2}`` (the braces may be left out).

    Raises
    ------
    ConfigError
        If it is none.
    """
    try:
        values = yaml.safe_load(text if text.lstrip().startswith("{") else f"{{{text}}}")
    except yaml.YAMLError:
        raise ConfigError(
            f"--rule {text!r} is not YAML, as kind: cap, relation: DIRECTED_BY, most: 2 is"
        ) from None
    return _parsed(values)


def _parsed(values: Any) -> Any:
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"][1:])
        said = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else detail["msg"]
        raise ConfigError(f"rule {values!r}: {place + ': ' if place else ''}{said}") from None
