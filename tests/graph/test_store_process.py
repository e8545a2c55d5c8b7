"""The embedded server as a process, and stores that cannot be opened."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kgenre.graph import GraphBuilder, GraphStore, connect
from kgenre.graph.errors import ConfigError, StoreError, StoreUnavailableError
from kgenre.graph.sharing import running_stores

SCRIPT = """
import sys, time
from kgenre.graph import GraphBuilder, connect
store = connect(sys.argv[1])
store.write(GraphBuilder().add_interactions(["u"], ["i"]).build())
print(store._server.pid, flush=True)
{then}
"""


def start(folder: Path, then: str) -> tuple["subprocess.Popen[str]", int]:
    """A Python process that holds a store, and the process group of its server."""
    command = [sys.executable, "-c", SCRIPT.format(then=then), str(folder)]
    # The locale and the folder's letters are a pair that Java stumbles over.
    env = {**os.environ, "LC_ALL": "C"}
    python = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert python.stdout is not None
    return python, int(python.stdout.readline())


def assert_group_ends(group: int, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("the server outlived its owner")


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("raise RuntimeError('boom')", None),
        ("time.sleep(60)", signal.SIGINT),
        ("time.sleep(60)", signal.SIGTERM),
        ("time.sleep(60)", signal.SIGKILL),
    ],
    ids=["exception", "Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_no_server_outlives_python_and_nothing_written_is_lost(
    tmp_path: Path, then: str, number: signal.Signals | None
) -> None:
    python, group = start(tmp_path / "store", then)
    if number is not None:
        python.send_signal(number)
    python.communicate(timeout=60)
    assert python.returncode != 0
    if number == signal.SIGKILL:
        # Opened at once, while the orphan still closes its files.
        with connect(tmp_path / "store") as store:
            assert store.snapshot().n_interactions == 1
    assert_group_ends(group)


def test_store_left_open_ends_with_python(tmp_path: Path) -> None:
    python, group = start(tmp_path / "stö re", "pass")
    _, errors = python.communicate(timeout=60)
    assert (python.returncode, errors) == (0, "")
    assert_group_ends(group)


def test_killed_server_is_a_clear_error(tmp_path: Path) -> None:
    store = connect(tmp_path / "store")
    assert store._server is not None
    assert store._server.pid is not None
    os.killpg(store._server.pid, signal.SIGKILL)
    with pytest.raises(StoreUnavailableError, match=r"embedded store in .*store (does not answer|broke)"):
        store.cypher("RETURN 1")
    store.close()


def test_two_stores_at_once_keep_apart(embedded_store: GraphStore, tmp_path: Path) -> None:
    with connect(tmp_path / "other") as other:
        embedded_store.write(GraphBuilder().add_nodes("Item", ["here"]).build())
        other.write(GraphBuilder().add_nodes("Item", ["there"]).build())
        assert embedded_store.snapshot().items.vocabulary.ids.tolist() == ["here"]
        assert other.snapshot().items.vocabulary.ids.tolist() == ["there"]
    with pytest.raises(StoreUnavailableError, match=r"is closed; connect again"):
        other.cypher("RETURN 1")
    other.close()


ATTACHED = """
import os, sys
from kgenre.graph import GraphBuilder, connect
store = connect(sys.argv[1])
store.write(GraphBuilder().add_interactions(["from afar"], ["i"]).build())
print(store._server.pid, flush=True)
sys.stdin.readline()
print(store.snapshot().n_interactions, flush=True)
os._exit(1)
"""


def test_second_process_attaches_and_keeps_the_server_when_the_first_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    first, group = start(folder, "time.sleep(60)")
    second = subprocess.Popen(
        [sys.executable, "-c", ATTACHED, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert second.stdin is not None
    assert second.stdout is not None
    assert int(second.stdout.readline()) == group
    (running,) = [store for store in running_stores() if store.folder == folder]
    assert (running.pid, set(running.clients)) == (group, {first.pid, second.pid})
    first.kill()
    first.communicate()
    with connect(folder) as third:
        assert third._server is not None
        assert third._server.pid == group
        assert third.snapshot().n_interactions == 2
    # Still the second's; it leaves without a word.
    output, _ = second.communicate("\n", timeout=60)
    assert output == "2\n"
    assert_group_ends(group)
    assert folder not in [store.folder for store in running_stores()]


def test_server_is_gone_when_the_last_of_a_process_s_stores_is_closed(tmp_path: Path) -> None:
    one = connect(tmp_path)
    two = connect(tmp_path)
    assert two._server is not None
    group = two._server.pid
    assert group is not None
    one.close()
    two.write(GraphBuilder().add_interactions(["u"], ["i"]).build())
    child = os.fork()
    if child == 0:
        # Whatever a forked child does, it neither ends the server nor keeps it.
        two.close()
        os.execvp("sleep", ["sleep", "60"])
    two.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_read_only_store_refuses_writing_by_method_and_by_cypher(
    store: GraphStore, again: Callable[..., GraphStore]
) -> None:
    store.write(GraphBuilder().add_interactions(["u"], ["i"]).build())
    before = store.snapshot()
    with again(read_only=True) as reader:
        for write in (
            lambda: reader.write(GraphBuilder().add_nodes("Item", ["new"]).build()),
            lambda: reader.remove_nodes("User", ["u"]),
            lambda: reader.cypher("MATCH (u:User) SET u.x = 1"),
            lambda: reader.cypher("MATCH (n) DETACH DELETE n"),
            lambda: reader.cypher("CREATE (:New)"),
            lambda: reader.cypher("CREATE INDEX sneaky FOR (u:User) ON (u.x)"),
            lambda: reader.create_index("fulltext", "User", "name"),
            lambda: reader.write_vectors("User", ["u"], [[1.0, 0.0]]),
            lambda: reader.remove_recommendations(),
        ):
            with pytest.raises(StoreError, match=r"is open for reading only; connect without read_only"):
                write()
        assert before.equals(reader.snapshot())
    assert before.equals(store.snapshot())


def test_stores_that_run_are_listed(embedded_store: GraphStore) -> None:
    server = embedded_store._server
    assert server is not None
    command = [sys.executable, "-c", "from kgenre.hybrid.cli import main; main()", "stores"]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert listing.splitlines()[0] == "folder\tpid\tport\tclients"
    assert f"{server.folder}\t{server.pid}\t{server.port}\t{os.getpid()}\n" in listing


def test_read_only_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="no graph store in"):
        connect(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def test_password_is_private_and_never_shown(embedded_store: GraphStore) -> None:
    server = embedded_store._server
    assert server is not None
    file = server.folder / "password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text()
    assert len(secret) >= 20
    assert secret not in repr(embedded_store)
    assert str(server.folder) in repr(embedded_store)
    listing = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "ArcadeDBServer" in listing
    assert secret not in listing
    assert secret not in server.log.read_text()


def test_server_listens_on_this_machine_only(embedded_store: GraphStore) -> None:
    assert embedded_store._server is not None
    assert f"/127.0.0.1:{embedded_store._server.port}" in embedded_store._server.log.read_text()


# -- what cannot be opened -------------------------------------------------------------------------


def test_folder_that_is_no_store_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreUnavailableError, match=r"is not a graph store; name a store's folder"):
        connect(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(StoreUnavailableError, match="is not a graph store"):
        connect(tmp_path / "thesis.txt")


def test_missing_store_is_not_made_where_none_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"no graph store in .*typo"):
        connect(tmp_path / "typo", create=False)
    assert not (tmp_path / "typo").exists()


def test_store_of_a_newer_kgenre_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kgenre-store.json").write_text('{"format": 99}')
    with pytest.raises(
        StoreUnavailableError, match=r"has format 99, this kgenre reads format 1; upgrade kgenre"
    ):
        connect(tmp_path)


def test_default_store_lies_in_the_user_s_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform == "darwin":
        pytest.skip("macOS keeps user data in ~/Library")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with connect() as store:
        assert str(tmp_path / "kgenre" / "store") in repr(store)


def test_nothing_listens_at_the_address() -> None:
    with pytest.raises(StoreUnavailableError, match=r"bolt://127.0.0.1:1 does not answer; start it or check"):
        connect("bolt://127.0.0.1:1", auth=("neo4j", "secret"))


def test_wrong_password(neo4j_address: tuple[str, tuple[str, str]], embedded_store: GraphStore) -> None:
    assert embedded_store._server is not None
    for address in (neo4j_address[0], f"bolt://127.0.0.1:{embedded_store._server.port}"):
        for auth in (("neo4j", "wr0ng-pass"), None):
            with pytest.raises(
                StoreUnavailableError, match="refused the user or password; pass auth="
            ) as caught:
                connect(address, auth=auth)
            assert "wr0ng-pass" not in str(caught.value)


def test_wrong_database(neo4j_address: tuple[str, tuple[str, str]], embedded_store: GraphStore) -> None:
    server = embedded_store._server
    assert server is not None
    for address, auth in (neo4j_address, (f"bolt://127.0.0.1:{server.port}", ("root", server.password))):
        with pytest.raises(StoreUnavailableError, match=r"has no database 'nowhere'; check database="):
            connect(address, auth=auth, database="nowhere")


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("http://localhost", {}, "unknown scheme 'http'"),
        ("bolt://neo4j:hunter2@localhost", {}, "pass them as auth="),
        ("some/folder", {"auth": ("a", "b")}, "an embedded store takes neither"),
        ("some/folder", {"database": "x"}, "an embedded store takes neither"),
    ],
)
def test_arguments_that_do_not_go_together(target: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        connect(target, **options)  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
