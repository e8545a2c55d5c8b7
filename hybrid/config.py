"""Configuration: one frozen object, defaults stated once, YAML in and out, a misspelt key is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kgenre.encoders import TextEncoderConfig
from kgenre.graph.errors import ConfigError, did_you_mean

from .fusion import FusionConfig
from .rules import Rule
from .signals import SIGNALS, Signal, SignalConfig
from .signals.closed_form import ClosedFormConfig, SlimConfig
from .signals.cold import ColdConfig
from .signals.cold_gnn import ColdGNNConfig
from .signals.facts import FactsConfig
from .signals.gnn import GNNConfig
from .signals.multihop import MultiHopConfig
from .signals.popularity import PopularityConfig
from .signals.similarity import SimilarityConfig
from .signals.svd import ScaledSVDConfig
from .signals.text import TextConfig

CARD = ("multihop", "text", "popularity")
"""The three that always stand in the ledger, with weight 0 where validation gives them none."""
PRESETS = ("default", "genre", "fast")


class ValidationConfig(BaseModel):
    """How the fit validates.

    Attributes
    ----------
    share
        Share of each user's likes that is held out where no validation set is given: the latest ones if they have
        timestamps, else drawn at random.
    k
        Cut of the ndcg that everything is chosen by.
    users
        At most so many users are looked at while choosing.
    cold_items
        Whether to validate also on items that nobody is known to like, a share of the items held out with all their
        likes, and give such items weights of their own: ``auto`` where they are 5 % of the catalogue, ``always`` or
        ``never``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    share: float = Field(0.1, gt=0, lt=1)
    k: int = Field(20, ge=1)
    users: int = Field(3000, ge=1)
    cold_items: Literal["auto", "always", "never"] = "auto"


class RefitConfig(BaseModel):
    """From when on a model is due to learn again; see `HybridRecommender.refit_due`.

    Attributes
    ----------
    likes
        Share of the likes that have changed since something learned them.
    items
        Share of the items that came after the fit.
    gram
        Relative change of the items' Gram matrix, ``||dG|| / ||G||`` (Frobenius), since tables were computed.
    forgotten
        Whether one forgotten user whose trace is left is enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    likes: float = Field(0.1, gt=0)
    items: float = Field(0.1, gt=0)
    gram: float = Field(0.2, gt=0)
    forgotten: bool = True


class AdaptationConfig(BaseModel):
    """How the weights of the signals follow what a user has just liked; see `kgenre.hybrid.adaptation`.

    Attributes
    ----------
    when
        ``auto`` where the weights were learned, ``always`` or ``never``.
    rate, decay
        How far a like moves them, and what is left of that after the next one.
    events
        How many of the last likes count.
    bound
        The most that a weight is multiplied with or divided by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    when: Literal["auto", "always", "never"] = "auto"
    rate: float = Field(1.0, gt=0)
    decay: float = Field(0.7, gt=0, le=1)
    events: int = Field(5, ge=1)
    bound: float = Field(10.0, gt=1)


class HybridConfig(BaseModel):
    """Everything that shapes a `HybridRecommender`.

    `signals` names the signals to fit, in the order of the ledger; each has a section of its own below. A setting
    that is given is kept; the others are chosen on validation where a signal has values worth trying (`tune`).

    Raises
    ------
    ConfigError
        For an unknown key (naming the nearest one) or a value out of range, with its place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    signals: tuple[str, ...] = (
        "multihop",
        "text",
        "popularity",
        "closed_form",
        "slim",
        "svd",
        "gnn",
        "facts",
        "cold",
        "cold_gnn",
    )
    fusion: FusionConfig = FusionConfig()
    validation: ValidationConfig = ValidationConfig()
    tune: bool = True
    baselines: bool = True
    """Score Pop, ItemKNN, P3a and EASE on the same validation set at every fit."""
    seed: int = Field(0, ge=0)
    rules: tuple[Rule, ...] = ()
    """What every list must obey; see `kgenre.hybrid.rules`."""
    history_half_life_days: float | None = Field(None, gt=0)
    """What a user liked counts half for every such time that it is older than their newest like; None: all alike."""
    review_weight: float = Field(0.5, ge=0)
    """What is said of an item counts so much in its text vector as its own text does; see `kgenre.hybrid.spoken`."""
    search: Literal["auto", "exact", "approximate"] = "auto"
    """Whether a list is searched for or every item scored; see `kgenre.hybrid.searching`."""
    refit: RefitConfig = RefitConfig()
    adaptation: AdaptationConfig = AdaptationConfig()
    text_encoder: TextEncoderConfig = TextEncoderConfig()
    multihop: MultiHopConfig = MultiHopConfig()
    text: TextConfig = TextConfig()
    popularity: PopularityConfig = PopularityConfig()
    closed_form: ClosedFormConfig = ClosedFormConfig()
    slim: SlimConfig = SlimConfig()
    svd: ScaledSVDConfig = ScaledSVDConfig()
    gnn: GNNConfig = GNNConfig()
    facts: FactsConfig = FactsConfig()
    cold: ColdConfig = ColdConfig()
    cold_gnn: ColdGNNConfig = ColdGNNConfig()
    similarity: SimilarityConfig = SimilarityConfig()

    if not TYPE_CHECKING:
        # Out of the type checker's sight, so that it goes on checking the names and types of the settings.
        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(_explain(error)) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in (*self.signals, *self.fusion.weights):
            if name not in SIGNALS:
                raise ConfigError(f"unknown signal {name!r}{did_you_mean(name, SIGNALS)}")
        if not self.signals:
            raise ConfigError("signals is empty; name at least one of " + ", ".join(SIGNALS))
        if len(set(self.signals)) < len(self.signals):
            raise ConfigError(f"signals names one twice: {', '.join(self.signals)}")
        if self.fusion.method == "learned" and self.fusion.weights:
            raise ConfigError(
                "fusion.weights are given, but the method is 'learned'; set fusion.method to fixed or blend"
            )
        if self.fusion.method != "learned" and set(self.fusion.weights) != set(self.signals):
            raise ConfigError(
                f"fusion {self.fusion.method!r} needs a weight for each signal ({', '.join(self.signals)}), "
                f"got {', '.join(self.fusion.weights) or 'none'}"
            )
        if self.fusion.method == "blend" and self.adaptation.when == "always":
            raise ConfigError(
                "adaptation.when='always' needs standardised signals, which fusion 'blend' has not"
            )
        if self.fusion.method != "learned" and not any(self.fusion.weights.values()):
            raise ConfigError(f"all weights of fusion {self.fusion.method!r} are 0; raise one")
        return self

    @classmethod
    def preset(cls, name: Literal["default", "genre", "fast"] | str) -> "HybridConfig":
        """``default``: everything; ``genre``: the card's three with fixed weights; ``fast``: no GNN, no SLIM."""
        if name == "default":
            return cls()
        if name == "genre":
            weights = {"multihop": 0.5, "text": 0.3, "popularity": 0.2}
            return cls(signals=CARD, fusion=FusionConfig(method="fixed", weights=weights), tune=False)
        if name == "fast":
            return cls(signals=("multihop", "text", "popularity", "closed_form", "svd", "facts"))
        raise ConfigError(f"unknown preset {name!r}{did_you_mean(name, PRESETS)}")

    @classmethod
    def blend(cls, similarity: str = "cosine", a: float = 0.5) -> "HybridConfig":
        """GENRE's ``R = a s + (1 - a) Popularity`` with s ``cosine``, ``jaccard`` or ``tfidf``."""
        if not 0 <= a <= 1:
            raise ConfigError(f"a={a} is outside [0, 1]")
        return cls.from_dict(
            {
                "signals": ["similarity", "popularity"],
                "similarity": {"method": similarity},
                "fusion": {"method": "blend", "weights": {"similarity": a, "popularity": 1 - a}},
                "tune": False,
            }
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "HybridConfig":
        """Build from plain values.

        Raises
        ------
        ConfigError
            For an unknown key (naming the nearest one) or a value out of range, with its place.
        """
        return cls(**{str(key): value for key, value in values.items()})

    @classmethod
    def from_yaml(cls, path: str | Path) -> "HybridConfig":
        """Read a YAML file; ``preset: NAME`` in it starts from a preset. Raises `ConfigError`."""
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"no configuration file {path}; check the path") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read configuration {path}: {' '.join(str(error).split())}") from None
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: a configuration is a mapping of keys to values, not {values!r}")
        base = cls.preset(str(values.pop("preset", "default")))
        return base.updated(values)

    def updated(self, values: Mapping[str, Any]) -> "HybridConfig":
        """A copy with some values replaced, section by section."""
        merged = _merge(self.model_dump(exclude_unset=True), values)
        return HybridConfig.from_dict(merged)

    def with_settings(self, settings: list[str]) -> "HybridConfig":
        """A copy with ``key=value`` settings applied; a dotted key reaches into a section, the value is YAML.

        ``preset=NAME`` is a preset's values below all that are given.
        """
        merged = self.model_dump(exclude_unset=True)
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals or not key.strip():
                raise ConfigError(f"--set {setting!r} is not key=value, as in gnn.seeds=3")
            try:
                value: Any = yaml.safe_load(text)
            except yaml.YAMLError:
                raise ConfigError(f"--set {setting!r}: the value is not YAML") from None
            if key.strip() == "preset":
                merged = _merge(HybridConfig.preset(str(value)).model_dump(exclude_unset=True), merged)
                continue
            for part in reversed(key.strip().split(".")):
                value = {part: value}
            merged = _merge(merged, value)
        # Together: a method may need weights that another setting gives.
        return HybridConfig.from_dict(merged)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, complete."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """As YAML, complete; `from_yaml` of it gives an equal configuration, with nothing left to tune."""
        return str(yaml.safe_dump(self.to_dict(), sort_keys=False))

    def signal(self, name: str) -> Signal:
        """An unfitted signal with the settings of its section; `seed` is passed on where the section has none."""
        section = self.section(name)
        if isinstance(section, GNNConfig) and "first_seed" not in section.model_fields_set:
            section = section.model_copy(update={"first_seed": self.seed})
        return SIGNALS[name](section)

    def section(self, name: str) -> SignalConfig:
        """The settings of one signal."""
        section: SignalConfig = getattr(self, name)
        return section


def _merge(base: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in values.items():
        old = merged.get(key)
        # Weights by signal are one value: a new set replaces the old one.
        nested = isinstance(old, dict) and isinstance(value, Mapping) and key != "weights"
        merged[key] = _merge(old, value) if nested and isinstance(old, dict) else value
    return merged


def _explain(error: ValidationError) -> str:
    problems = []
    for detail in error.errors():
        place = [str(part) for part in detail["loc"]]
        where = ".".join(place) or "configuration"
        if detail["type"] == "extra_forbidden":
            siblings = [".".join([*place[:-1], key]) for key in _known_keys(place[:-1])]
            problems.append(f"unknown configuration key {where!r}{did_you_mean(where, siblings)}")
        elif detail["type"] == "value_error":
            problems.append(str(detail["ctx"]["error"]))
        else:
            problems.append(f"{where}={detail['input']!r}: {detail['msg']}")
    return "; ".join(problems)


def _known_keys(place: list[str]) -> list[str]:
    model: Any = HybridConfig
    for part in place:
        if part not in getattr(model, "model_fields", {}):
            return []
        model = model.model_fields[part].annotation
    return list(getattr(model, "model_fields", {}))
