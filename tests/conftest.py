import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from kgenre.graph import GraphStore, connect

# How long an example takes says more about the machine than about the code.
settings.register_profile("kgenre", deadline=None)
settings.load_profile("kgenre")


@pytest.fixture(scope="session", autouse=True)
def _no_progress_bars() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KGENRE_PROGRESS", os.environ.get("KGENRE_PROGRESS", "0"))
        yield


def _server_module() -> ModuleType:
    # By path: with import mode importlib the tests are no package.
    path = Path(__file__).parent / "neo4j" / "server.py"
    spec = importlib.util.spec_from_file_location("kgenre_tests_neo4j_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def neo4j_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, tuple[str, str]]]:
    """Address and credentials of a real Neo4j; its database is emptied by `store`."""
    module = _server_module()
    serving = module.serve(tmp_path_factory.mktemp("neo4j"))
    try:
        address = serving.__enter__()
    except module.Unavailable as reason:
        if os.environ.get("KGENRE_REQUIRE_NEO4J") == "1":
            pytest.fail(f"KGENRE_REQUIRE_NEO4J=1, but {reason}")
        pytest.skip(str(reason))
    try:
        yield address
    finally:
        serving.__exit__(None, None, None)


@pytest.fixture(scope="session")
def _neo4j_store(neo4j_address: tuple[str, tuple[str, str]]) -> Iterator[GraphStore]:
    uri, auth = neo4j_address
    with connect(uri, auth=auth) as store:
        yield store


@pytest.fixture(scope="session")
def _embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    with connect(tmp_path_factory.mktemp("stores") / "shared") as store:
        yield store


@pytest.fixture
def embedded_store(_embedded_store: GraphStore) -> GraphStore:
    """The session's embedded store, emptied. It keeps the labels and relationship types of earlier tests."""
    return _emptied(_embedded_store)


@pytest.fixture(params=["embedded", "neo4j"])
def store(request: pytest.FixtureRequest) -> GraphStore:
    """An empty store, once for each engine."""
    return _emptied(request.getfixturevalue(f"_{request.param}_store"))


@pytest.fixture
def again(store: GraphStore, request: pytest.FixtureRequest) -> Callable[..., GraphStore]:
    """Connect to the database of `store` once more, as another client."""
    if store._server is not None:
        return functools.partial(connect, store._server.folder)
    uri, auth = request.getfixturevalue("neo4j_address")
    return functools.partial(connect, uri, auth=auth)


def _emptied(store: GraphStore) -> GraphStore:
    store.cypher("MATCH (n) DETACH DELETE n")
    return store
