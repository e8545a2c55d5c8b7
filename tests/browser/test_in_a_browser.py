"""What we draw, in a real browser: no complaint, nothing fetched, text there, a click expands."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kgenre.graph import KnowledgeGraph
from kgenre.graph.explore import Exploration

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def _module() -> Any:
    # By path: with import mode importlib the tests are no package.
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "kgenre_tests_chromium", Path(__file__).parent / "chromium.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab of a browser; without one the test is skipped, or fails where KGENRE_REQUIRE_BROWSER is 1."""
    module = _module()
    starting = module.start(tmp_path_factory.mktemp("browser"))
    try:
        tab = starting.__enter__()
    except module.Unavailable as reason:
        if os.environ.get("KGENRE_REQUIRE_BROWSER") == "1":
            pytest.fail(f"KGENRE_REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(str(reason))
    try:
        yield tab
    finally:
        starting.__exit__(None, None, None)


@pytest.fixture(scope="module")
def films() -> KnowledgeGraph:
    return KnowledgeGraph.from_rdf(ROOT / "examples" / "films.ttl")


def quiet(page: Any) -> bool:
    """Whether a page asked for nothing but itself and complained of nothing."""
    assert page.complaints == []
    assert [address for address in page.requests if not address.startswith("file:")] == []
    return True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_exploration_is_drawn_beside_its_table(
    page: Any, films: KnowledgeGraph, tmp_path: Path, scheme: str
) -> None:
    films.explore("Alien").save(tmp_path / "alien.html")
    page.prefer(scheme)
    page.open((tmp_path / "alien.html").as_uri())
    inside = "document.querySelector('iframe').contentDocument"
    page.wait(f"{inside}.querySelector('canvas') !== null")
    assert page.run("document.querySelector('table').innerText").count("Alien") == 10
    legend = page.wait(f"{inside}.body.innerText.includes('Movie') && {inside}.body.innerText")
    assert "Person" in legend
    # The picture takes the page's own colours.
    ink = page.run(
        f"getComputedStyle({inside}.querySelector('.ndl-theme-dark, .ndl-theme-light') ?? document.body).color"
    )
    light = sum(map(int, re.findall(r"\d+", ink)[:3])) > 384
    assert light == (scheme == "dark")
    assert quiet(page)


def test_hostile_names_are_shown_and_run_nothing(page: Any, tmp_path: Path) -> None:
    items = pd.DataFrame({"item_id": ["i", "j"], "name": [HOSTILE, "مرحبا 🎬"], "text": [HOSTILE, HOSTILE]})
    facts = pd.DataFrame({"head_id": ["i"], "relation": [HOSTILE], "tail_id": ["j"]})
    kg = KnowledgeGraph.from_frames(items=items, facts=facts)
    kg.explore("i").save(tmp_path / "hostile.html")
    page.open((tmp_path / "hostile.html").as_uri())
    page.wait("document.querySelector('iframe').contentDocument.querySelector('canvas') !== null")
    assert page.run("document.title") == "2 nodes, 1 relationships"
    cells = page.run("[...document.querySelectorAll('td')].map(cell => cell.innerText)")
    assert cells == [HOSTILE, HOSTILE, "مرحبا 🎬"]
    assert page.run("document.images.length") == 0
    assert quiet(page)


WIDGET = """
<!DOCTYPE html><meta charset="utf-8"><style>%(css)s</style>
<div id="cell" style="width:900px;height:500px"></div>
<script type="module">
import widget from "./widget.js";
// anywidget's model, whose other end is the Python object of the test.
const state = %(state)s, heard = {};
const model = {
  get: key => state[key],
  set(key, value) { state[key] = value; },
  on(name, call) { (heard[name] ??= []).push(call); },
  off(name, call) { heard[name] = (heard[name] ?? []).filter(other => other !== call); },
  save_changes() { window.kernel(JSON.stringify({last_event: state.last_event})); },
  send() {},
};
window.told = changes => {
  for (const [key, value] of Object.entries(changes)) {
    state[key] = value;
    for (const call of heard["change:" + key] ?? []) call();
  }
};
window.nodes = () => state.nodes.length;
const made = typeof widget === "function" ? await widget() : widget;
await made.initialize?.({model});
await made.render({model, el: document.getElementById("cell")});
window.ready = true;
</script>
"""


def test_a_double_click_on_the_live_widget_expands_the_node(
    page: Any, films: KnowledgeGraph, tmp_path: Path
) -> None:
    import neo4j_viz

    shown = films.explore("Alien")
    # One node, in the middle: what is double clicked there is Alien.
    alone = Exploration(shown.nodes[:1], (), (), shown.limit, shown.source)
    widget = alone.widget()
    assets = Path(neo4j_viz.__file__).parent / "resources" / "nvl_entrypoint"
    shutil.copy(assets / "widget.js", tmp_path)
    keys = [
        key
        for key in widget.keys
        if not key.startswith("_") and key not in ("layout", "comm", "tabbable", "tooltip")
    ]

    def state(*names: str) -> str:
        full = widget.get_state()
        return json.dumps({name: full[name] for name in names}).replace("<", "\\u003c")

    (tmp_path / "widget.html").write_text(
        WIDGET % {"css": (assets / "style.css").read_text("utf-8"), "state": state(*keys)}, encoding="utf-8"
    )

    def kernel(text: str) -> None:
        event = json.loads(text)["last_event"]
        if event:
            widget.last_event = event

    page.bind("kernel", kernel)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline())
        assert port is not None
        page.open(f"http://127.0.0.1:{port[1]}/widget.html")
        page.wait("window.ready && document.querySelector('canvas') !== null")
        centre = "({x, y, width, height}) => [x + width / 2, y + height / 2]"
        box = page.run(f"({centre})(document.querySelector('canvas').getBoundingClientRect())")
        for _ in range(50):
            # The picture settles for a moment before it answers the mouse.
            page.run("new Promise(done => setTimeout(done, 200))")
            page.move(*box)
            page.click(*box, times=2)
            if len(widget.nodes) > 1:
                break
        assert len(widget.nodes) == len(shown.nodes)
        page.run(f"window.told({state('nodes', 'relationships', 'legend')})")
        assert page.run("window.nodes()") == 11
        page.wait("document.body.innerText.includes('Theme')")
        assert page.complaints == [] or all("favicon" in complaint for complaint in page.complaints)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


NOTEBOOK = """
# %% [markdown]
# # A heading

# %%
import kgenre
kg = kgenre.KnowledgeGraph.from_rdf(FILMS)
kg.explore("Alien")

# %%
kg.describe()

# %%
kg.schema_graph()
"""


def test_an_executed_notebook_shows_its_pictures_as_html(page: Any, tmp_path: Path) -> None:
    source = NOTEBOOK.replace("FILMS", repr(str(ROOT / "examples" / "films.ttl")))
    (tmp_path / "short.py").write_text(source, encoding="utf-8")
    for command in (
        ["jupytext", "--quiet", "--to", "ipynb", "--set-kernel", "python3", "short.py"],
        [
            "jupyter",
            "nbconvert",
            "--log-level=ERROR",
            "--execute",
            "--to",
            "html",
            # They would be fetched from elsewhere.
            "--HTMLExporter.mathjax_url=",
            "--HTMLExporter.require_js_url=",
            "short.ipynb",
        ],
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    page.prefer("light")
    page.open((tmp_path / "short.html").as_uri())
    pictures = (
        "[...document.querySelectorAll('iframe')].filter(one => one.contentDocument.querySelector('canvas'))"
    )
    page.wait(f"{pictures}.length === 2")
    text = page.run("document.body.innerText")
    assert "A heading" in text
    assert "starring Woody Allen" in text
    assert page.complaints == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation's site, built strictly."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_front_page_of_the_documentation_leads_to_every_page(page: Any, site: Path) -> None:
    page.open((site / "index.html").as_uri())
    text = page.run("document.body.innerText")
    assert "what brings you?" in text
    links = page.run("[...document.querySelectorAll('article a')].map(one => one.href)")
    assert len(links) > 12
    for link in {link.split("#")[0] for link in links if link.startswith("file:")}:
        file = Path(link.removeprefix("file://"))
        assert (file / "index.html" if file.is_dir() or not file.suffix else file).exists(), link
    assert page.complaints == []
    assert [address for address in page.requests if not address.startswith("file:")] == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_the_site_s_search_finds_the_answer_and_asks_nobody_else(page: Any, site: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        here = f"http://127.0.0.1:{server.server_address[1]}"
        page.open(f"{here}/index.html")
        page.run(
            "(() => { const box = document.querySelector('[data-md-component=search-query]'); box.focus();"
            " box.value = 'dislike'; for (const name of ['input', 'keyup'])"
            " box.dispatchEvent(new KeyboardEvent(name, {bubbles: true})) })()"
        )
        found = "[...document.querySelectorAll('.md-search-result__item a')].map(one => one.href)"
        page.wait(f"{found}.length > 0")
        assert page.run(found)[0].startswith(f"{here}/questions/")
        assert [address for address in page.requests if not address.startswith(here)] == []
        assert page.complaints == []
    finally:
        server.shutdown()
        server.server_close()
