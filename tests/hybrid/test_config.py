from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.config import CARD, PRESETS, FusionConfig, HybridConfig
from kgenre.hybrid.signals import SIGNALS
from kgenre.hybrid.signals.multihop import MultiHopConfig

CONFIGS = [
    *(HybridConfig.preset(name) for name in PRESETS),
    *(HybridConfig.blend(method, a=0.3) for method in ("cosine", "jaccard", "tfidf")),
    HybridConfig(seed=7, multihop=MultiHopConfig(beta=0.25), signals=("gnn", "multihop")),
]


@pytest.mark.parametrize("config", CONFIGS, ids=[*PRESETS, "cosine", "jaccard", "tfidf", "own"])
def test_a_configuration_survives_yaml_and_plain_values(config: HybridConfig, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    assert HybridConfig.from_yaml(file) == config
    assert HybridConfig.from_dict(config.to_dict()) == config


numbers = st.floats(0.01, 1e6)


@given(
    st.permutations(list(SIGNALS)).flatmap(lambda names: st.integers(1, len(names)).map(lambda n: names[:n])),
    numbers,
    st.floats(0, 1),
    st.one_of(st.none(), numbers),
    st.integers(0, 2**31),
)
def test_any_values_survive_yaml(tmp_path_factory, names, regularization, share, half_life, seed):
    values = {
        "signals": names,
        "seed": seed,
        "closed_form": {"regularization": regularization},
        "multihop": {"fact_share": share},
        "popularity": {"half_life_days": half_life},
        "fusion": {"method": "fixed", "weights": dict.fromkeys(names, regularization)},
    }
    config = HybridConfig.from_dict(values)
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    back = HybridConfig.from_yaml(file)
    assert back == config
    assert back.closed_form.regularization == regularization
    assert back.signals == tuple(names)


def test_a_file_may_start_from_a_preset(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text("preset: genre\nseed: 3\nfusion:\n  weights: {multihop: 1, text: 0, popularity: 2}\n")
    config = HybridConfig.from_yaml(file)
    assert config.signals == CARD
    assert config.seed == 3
    assert config.fusion == FusionConfig(method="fixed", weights={"multihop": 1, "text": 0, "popularity": 2})
    assert not config.tune


def test_an_empty_file_is_the_default(tmp_path: Path):
    (tmp_path / "empty.yaml").touch()
    assert HybridConfig.from_yaml(tmp_path / "empty.yaml") == HybridConfig()


def test_the_preset_genre_is_the_cards_three_with_fixed_weights():
    config = HybridConfig.preset("genre")
    assert config.signals == ("multihop", "text", "popularity")
    assert config.fusion.method == "fixed"
    assert sum(config.fusion.weights.values()) == pytest.approx(1)


def test_the_default_has_everything():
    assert {*HybridConfig().signals} == {*SIGNALS} - {"similarity"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sginals": []}, r"unknown configuration key 'sginals'; nearest: signals"),
        (
            {"closed_form": {"regularisation": 3}},
            r"'closed_form\.regularisation'; nearest: closed_form\.regularization",
        ),
        ({"gnn": {"encoder": {"epoch": 3}}}, r"'gnn\.encoder\.epoch'; nearest: gnn\.encoder\.epochs"),
        ({"fusion": {"methods": "fixed"}}, r"'fusion\.methods'; nearest: fusion\.method"),
        ({"signals": ["mutlihop"]}, r"unknown signal 'mutlihop'; nearest: multihop"),
        ({"fusion": {"weights": {"popularty": 1}}}, r"unknown signal 'popularty'; nearest: popularity"),
        ({"signals": []}, r"signals is empty; name at least one of multihop"),
        ({"signals": ["text", "text"]}, r"signals names one twice: text, text"),
        (
            {"signals": ["text"], "fusion": {"method": "fixed"}},
            r"needs a weight for each signal \(text\), got none",
        ),
        ({"fusion": {"weights": {"text": 1}}}, r"fusion\.weights are given, but the method is 'learned'"),
        (
            {"signals": ["text"], "fusion": {"method": "fixed", "weights": {"text": 0}}},
            r"all weights of fusion 'fixed' are 0; raise one",
        ),
        ({"fusion": {"weights": {"text": -1}}}, r"fusion\.weights\.text=-1: .*greater than or equal to 0"),
        ({"fusion": {"weights": {"text": float("nan")}}}, r"fusion\.weights\.text=nan"),
        ({"closed_form": {"regularization": float("inf")}}, r"closed_form\.regularization=inf: .*finite"),
        ({"closed_form": {"dropout": 1}}, r"closed_form\.dropout=1: .*less than 1"),
        ({"validation": {"share": 0}}, r"validation\.share=0: .*greater than 0"),
        ({"multihop": 3}, r"multihop=3"),
        ({"seed": "x"}, r"seed='x': .*integer"),
        ({"seed": -1}, r"seed=-1: .*greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_remedy(values: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message) as plain:
        HybridConfig.from_dict(values)
    assert "\n" not in str(plain.value)
    with pytest.raises(ConfigError, match=message):
        HybridConfig(**values)


def test_two_faults_are_both_named():
    with pytest.raises(ConfigError, match=r"'sed'; nearest: seed.*'tun'; nearest: tune"):
        HybridConfig.from_dict({"sed": 1, "tun": False})


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'genres'; nearest: genre"):
        HybridConfig.preset("genres")


def test_settings_reach_into_sections():
    config = HybridConfig().with_settings(
        ["gnn.encoder.epochs=3", "popularity.half_life_days=30", "signals=[text, popularity]", "tune=false"]
    )
    assert config.gnn.encoder.epochs == 3
    assert config.popularity.half_life_days == 30
    assert config.signals == ("text", "popularity")
    assert config.tune is False
    assert config.gnn.seeds == HybridConfig().gnn.seeds


@pytest.mark.parametrize("order", [1, -1])
def test_settings_that_need_each_other_may_come_in_any_order(order: int):
    settings = [
        "fusion.method=fixed",
        "fusion.weights={text: 1, popularity: 2}",
        "signals=[text, popularity]",
    ]
    config = HybridConfig().with_settings(settings[::order])
    assert config.fusion.weights == {"text": 1, "popularity": 2}


@pytest.mark.parametrize("order", [1, -1])
def test_a_preset_is_a_setting_below_the_others(order: int):
    config = HybridConfig().with_settings(["preset=fast", "svd.embedding_size=16"][::order])
    assert config.signals == HybridConfig.preset("fast").signals
    assert config.svd.embedding_size == 16
    with pytest.raises(ConfigError, match="unknown preset 'fats'; nearest: fast"):
        HybridConfig().with_settings(["preset=fats"])


def test_a_setting_leaves_the_rest_of_its_section_to_be_tuned():
    config = HybridConfig().with_settings(["closed_form.dropout=0.5"])
    assert config.closed_form.model_fields_set == {"dropout"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gnn.seed=3", r"'gnn\.seed'; nearest: gnn\.seeds"),
        ("gnn", r"--set 'gnn' is not key=value, as in gnn\.seeds=3"),
        ("=3", r"--set '=3' is not key=value"),
        ("gnn.seeds=[", r"--set 'gnn\.seeds=\[': the value is not YAML"),
        ("gnn.seeds=zero", r"gnn\.seeds='zero'"),
        ("gnn.seeds.x=1", r"gnn\.seeds="),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting: str, message: str):
    with pytest.raises(ConfigError, match=message):
        HybridConfig().with_settings([setting])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n", r"a mapping of keys to values, not \[1\]"),
        (b"a: [\n", r"cannot read configuration"),
        (b"a: \xff\n", r"cannot read configuration"),
        (b"preset: genr\n", r"unknown preset 'genr'; nearest: genre"),
        (b"seed: 1\nclosed_fom: {}\n", r"'closed_fom'; nearest: closed_form"),
        (b"1: 2\n", r"'1'"),
    ],
    ids=["a list", "broken YAML", "not UTF-8", "preset", "key", "number for a key"],
)
def test_a_file_that_makes_no_sense_is_refused(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        HybridConfig.from_yaml(tmp_path / "config.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no configuration file .*nowhere\.yaml; check the path"):
        HybridConfig.from_yaml(tmp_path / "nowhere.yaml")


def test_the_seed_reaches_the_gnn_unless_it_has_its_own():
    assert HybridConfig(seed=5).signal("gnn").config.first_seed == 5
    assert HybridConfig(seed=5).with_settings(["gnn.first_seed=2"]).signal("gnn").config.first_seed == 2


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        HybridConfig().seed = 3  # type: ignore[misc]
