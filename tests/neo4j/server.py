"""A real Neo4j for the tests: the one at NEO4J_URI, else one from Maven's jars on the Java at hand."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import neo4j

HERE = Path(__file__).parent
PASSWORD = "only-for-tests"
START_TIMEOUT = 120.0


class Address(NamedTuple):
    uri: str
    auth: tuple[str, str]


class Unavailable(Exception):
    """Why there is no Neo4j to test with."""


QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java options for a quick start; a server that is measured goes without."""


@contextlib.contextmanager
def serve(folder: Path, options: tuple[str, ...] = QUICK) -> Iterator[Address]:
    """A running, empty Neo4j; one started here keeps its data in `folder`."""
    given = os.environ.get("NEO4J_URI")
    if given:
        auth = (os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD", "neo4j"))
        with neo4j.GraphDatabase.driver(given, auth=auth) as driver:
            if driver.execute_query("MATCH (n) RETURN count(n) AS n").records[0]["n"]:
                raise Unavailable("the database at NEO4J_URI is not empty, and the tests would empty it")
        yield Address(given, auth)
        return
    java, jars = _java(), _jars()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "serve.log"
    command = [
        java,
        *options,
        "-cp",
        f"{jars}/*",
        str(HERE / "Serve.java"),
        str(folder),
        str(port),
    ]
    with open(log, "wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while "ready" not in log.read_text("utf-8", "replace").split():
            if server.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"Neo4j did not start: {log.read_text('utf-8', 'replace')[-500:]}")
            time.sleep(0.1)
        address = Address(f"bolt://127.0.0.1:{port}", ("neo4j", PASSWORD))
        with (
            neo4j.GraphDatabase.driver(address.uri, auth=("neo4j", "neo4j")) as driver,
            driver.session(database="system") as session,
        ):
            change = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
            session.run(change, old="neo4j", new=PASSWORD).consume()
        yield address
    finally:
        # Its data is of no use to anybody: no orderly end.
        server.kill()
        server.communicate()


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise Unavailable("no NEO4J_URI and no Java (17 or newer) to run a Neo4j on")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version.group(1)) < 17:
        raise Unavailable(f"no NEO4J_URI, and {java} is not Java 17 or newer")
    return java


def _jars() -> Path:
    """Neo4j's jars, from the user's cache or, once, from Maven."""
    pom = (HERE / "pom.xml").read_text("utf-8")
    (version,) = re.findall(r"<artifactId>neo4j</artifactId>\s*<version>([\d.]+)</version>", pom)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kgenre"
    jars = cache / f"neo4j-{version}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("no NEO4J_URI and no Maven to get Neo4j's jars with")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        command = [maven, "-B", "-q", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={fresh}/lib"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"Maven could not get Neo4j's jars: {(done.stdout + done.stderr)[-500:]}")
        with contextlib.suppress(OSError):
            # Another run may have been quicker; its jars are the same.
            Path(fresh, "lib").rename(jars)
    return jars
