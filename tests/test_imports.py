"""The front doors stay small, complete and light."""

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import kgenre

PACKAGES = ["kgenre.graph", "kgenre.encoders", "kgenre.hybrid", "kgenre.hybrid.signals"]
MODULES = sorted(module.name for module in pkgutil.walk_packages(kgenre.__path__, "kgenre."))


def loaded_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_walk_finds_every_package() -> None:
    assert set(PACKAGES) <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name: str) -> None:
    assert import_module(name).__name__ == name


def test_root_has_at_most_six_names_and_each_resolves() -> None:
    assert len(kgenre.__all__) <= 6
    for name in kgenre.__all__:
        assert getattr(kgenre, name).__name__ == name


def test_root_offers_what_it_exports_to_completion() -> None:
    assert set(kgenre.__all__) <= set(dir(kgenre))


def test_unknown_root_name_raises() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Recomender'"):
        kgenre.Recomender  # noqa: B018


@pytest.mark.parametrize("name", PACKAGES)
def test_package_has_at_most_twelve_names_and_its_all_is_complete(name: str) -> None:
    package = import_module(name)
    exported = package.__all__
    public = {
        key for key, value in vars(package).items() if key[0] != "_" and not isinstance(value, ModuleType)
    }
    assert len(exported) <= 12
    assert len(set(exported)) == len(exported)
    assert public <= set(exported)
    for key in exported:
        getattr(package, key)


def test_graph_loads_neither_torch_nor_a_model() -> None:
    loaded = loaded_after("from kgenre.graph import *")
    assert "kgenre.graph.knowledge_graph" in loaded
    assert not loaded & {"torch", "torch_geometric", "transformers", "sentence_transformers"}


def test_importing_the_root_loads_no_heavy_library() -> None:
    loaded = loaded_after("import kgenre")
    assert "kgenre" in loaded
    assert not loaded & {"numpy", "pandas", "polars", "torch", "rdflib"}
