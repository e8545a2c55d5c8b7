"""The HTML report: what it says is what the API says, and nothing in the graph can break out of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import ConfigError, UnknownIdError
from kgenre.hybrid import FactPath, cli
from kgenre.hybrid.path_picture import path_picture
from kgenre.hybrid.ranking import rank
from kgenre.hybrid.recommender import HybridRecommender
from kgenre.hybrid.taste import Preference, preferences

VOID = {"meta", "br", "hr", "img", "link", "input"}
SCRIPT = "<script>document.title = 'owned'</script>"
IMAGE = "\"'><img src=x onerror=\"document.title='owned'\">"
CLOSING = "</title></text></svg></style></main><iframe src='https://example.org/'></iframe>"
BOSS, ENTITY = "<b>boss</b>", SCRIPT + IMAGE
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Parses a page strictly: every element is closed by its own tag."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.pieces: list[tuple[tuple[str, ...], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append((tuple(f"{tag}.{given.get('class')}" for tag, given in self.open), data))

    def within(self, *places: str) -> list[str]:
        """The texts of elements of a place such as ``h4`` or ``span.adds``, piece by piece."""
        wanted = [place if "." in place else place + "." for place in places]
        return [
            text
            for path, text in self.pieces
            if all(
                any(step == want or (want[-1] == "." and step.startswith(want)) for step in path)
                for want in wanted
            )
        ]

    @property
    def text(self) -> str:
        return " ".join(" ".join(text for _, text in self.pieces).split())


@pytest.fixture(scope="module")
def page(genre: HybridRecommender) -> str:
    return genre.report(["u00", "critic", "lurker"])


@pytest.fixture(scope="module")
def hostile(encoder: TextEncoder) -> HybridRecommender:
    """A world in which every text that comes from outside tries to break out.

    <b>boss</b> likes the first eight items. Two users stand in it as nodes of facts: someone1 has reviewed what boss
    likes and three of the four items that share an entity with it, someone2 the rest.
    """
    items = [
        SCRIPT,
        IMAGE,
        CLOSING,
        "a&amp;b",
        *(f"{SCRIPT}{i}" for i in range(4, 12)),
        *(f"x{i}" for i in range(12)),
    ]
    rng = np.random.default_rng(3)
    likes = [(BOSS, item) for item in items[:8]] + [("<i>aide</i>", item) for item in items[8:11]]
    likes += [(f"someone{i}", item) for i in range(12) for item in rng.choice(items, size=5, replace=False)]
    relation = f"BY{CLOSING}"
    facts = [(item, "Item", relation, "q" if n < 12 else "p", "Person") for n, item in enumerate(items)]
    facts += [(f"someone{1 + (n > 10)}", "User", "REVIEWED", item, "Item") for n, item in enumerate(items)]
    columns = ["head_id", "head_label", "relation", "tail_id", "tail_label"]
    kg = KnowledgeGraph.from_frames(
        pd.DataFrame(likes, columns=["user_id", "item_id"]),
        items=pd.DataFrame({"item_id": items, "name": items, "text": items}),
        users=pd.DataFrame({"user_id": ["someone1", "someone2"], "name": ["Secret Name", "Secret Too"]}),
        facts=pd.DataFrame(facts, columns=columns),
        Person=pd.DataFrame({"id": ["p", "q"], "name": ["Someone Else", ENTITY]}),
    )
    return HybridRecommender("genre", text_encoder=encoder).fit(kg, show=False)


@pytest.fixture(scope="module")
def attacked(hostile: HybridRecommender) -> str:
    return hostile.report([BOSS, "<i>aide</i>"])


# -- what it says --------------------------------------------------------------------------------------


def test_the_list_is_the_one_of_recommend_with_its_scores(genre: HybridRecommender):
    page = Page(genre.report(["u00"]))
    expected = genre.recommend("u00", k=10)
    assert page.within("h4", "bdi") == expected["name"].tolist()
    small = [text.rsplit(", score ", 1) for text in page.within("h4", "small")]
    assert [item for item, _ in small] == expected["item_id"].tolist()
    assert [float(score) for _, score in small] == pytest.approx(expected["score"].tolist(), abs=0.006)


def test_the_reasons_shown_and_the_rest_sum_to_the_score(genre: HybridRecommender):
    html = genre.report(["u00"])
    blocks = html.split('<ol class="list">')[1].split("<h4>")[1:]
    assert len(blocks) == 10
    for block in blocks:
        score = float(re.search(r"score (-?[\d.]+)", block)[1])  # type: ignore[index]
        adds = [float(text) for text in re.findall(r'class="adds">([+-][\d.]+)', block)]
        assert 2 <= len(adds) <= 4
        assert sum(adds) == pytest.approx(score, abs=0.03)
        assert float(re.search(r'colspan="4" class="number">(-?[\d.]+)', block)[1]) == pytest.approx(  # type: ignore[index]
            score, abs=0.006
        )


def test_the_best_reasons_stand_in_words_and_paths_as_pictures(genre: HybridRecommender):
    page = Page(genre.report(["u00"]))
    pictures = 0
    for item in genre.recommend("u00", k=10)["item_id"]:
        best = genre.explain("u00", item).best(3)
        pictures += any(reason.paths or reason.kind in ("history", "text") for reason in best)
        for reason in best:
            assert reason.text in page.within("ul.reasons", "bdi")
    assert pictures
    assert page.tags.count("svg") == pictures
    assert page.tags.count("details") == 10 + 1


def paths_of(genre: HybridRecommender, item: str, history: list[str]) -> tuple[FactPath, ...]:
    reasons = genre.explain(item=item, history=history).reasons
    return next(reason.paths for reason in reasons if reason.kind == "path")


def test_a_picture_leads_from_what_was_liked_through_the_shared_entity(
    world: KnowledgeGraph, genre: HybridRecommender
):
    svg = ElementTree.fromstring(path_picture(world, paths_of(genre, "s4", ["s2", "s3"])))
    boxes = [(group.get("class"), group.findtext("title")) for group in svg.iter("g")]
    assert boxes == [
        ("liked", "The S2 Film"),
        ("liked", "The S3 Film"),
        ("entity", "Ben Reed"),
        ("goal", "The S4 Film"),
    ]
    left, _, middle, right = (float(str(rect.get("x"))) for rect in svg.iter("rect"))
    assert left < middle < right
    assert len(list(svg.iter("path"))) == 3
    assert {text.text for text in svg.iter("text") if text.get("class") == "relation"} == {"directed by"}


def test_a_fact_between_two_items_is_drawn_without_an_entity(world: KnowledgeGraph, genre: HybridRecommender):
    svg = ElementTree.fromstring(path_picture(world, paths_of(genre, "s1", ["s0"])))
    assert [group.get("class") for group in svg.iter("g")] == ["liked", "goal"]
    assert [text.text for text in svg.iter("text") if text.get("class") == "relation"] == ["sequel"]


def test_a_long_name_is_cut_in_its_box_and_whole_in_its_tooltip(encoder: TextEncoder):
    name = "A Film with a Name that is Longer than any Box could Hold"
    kg = KnowledgeGraph.from_frames(
        pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]}),
        items=pd.DataFrame({"item_id": ["x", "y"], "name": [name, "Y"]}),
        facts=pd.DataFrame(
            {"head_id": ["x"], "relation": ["SEQUEL"], "tail_id": ["y"], "tail_label": ["Item"]}
        ),
    )
    svg = ElementTree.fromstring(path_picture(kg, [FactPath("x", "SEQUEL", None, "y", "")]))
    box = next(svg.iter("g"))
    assert box.findtext("title") == name
    assert box.findtext("text") == "A Film with a Name that…"


def test_taste_is_what_stands_out_against_the_catalogue(world: KnowledgeGraph, index: Callable[[str], int]):
    """Sixteen films have a director, five of them Ben Reed: all five in five draws has a chance of 1 in 4368."""
    liked = np.array([index(f"s{i}") for i in range(5)])
    assert preferences(world, liked) == [
        Preference("directed by Ben Reed", liked=5, of=5, expected=25 / 16, beyond_chance=True)
    ]


def test_taste_is_silent_where_chance_would_do(world: KnowledgeGraph, index: Callable[[str], int]):
    """Both films of Ada Stone among three liked ones have a chance of 14/560, above 1 %."""
    assert preferences(world, np.array([index(item) for item in ("query", "cousin", "l0")])) == []
    assert preferences(world, np.array([], dtype=np.int32)) == []


def test_the_page_tells_the_taste(genre: HybridRecommender):
    kg = genre.graph
    ben = kg.items.vocabulary.index([f"s{i}" for i in range(5)])
    fan = next(
        user
        for user in kg.users.vocabulary
        if any(
            "Ben Reed" in one.words
            for one in preferences(kg, kg.likes[kg.users.vocabulary.get(user)].indices)
        )
    )
    row = kg.likes[kg.users.vocabulary.get(fan)].indices
    page = Page(genre.report([fan]))
    assert "directed by Ben Reed" in page.within("tbody", "th", "bdi")
    assert f"{np.isin(row, ben).sum()} of " in page.text


def test_the_page_says_what_would_change_the_list(genre: HybridRecommender):
    page = Page(genre.report(["u00"]))
    changes = page.within("ul.changes", "li")
    listed = genre.recommend("u00", k=11)["name"].tolist()
    assert changes[0].startswith(f"{listed[10]} is at place 11")
    (without,) = [line for line in changes if " in the history: " in line]
    ids = dict(zip(genre.graph.items.names.to_pylist(), genre.graph.items.vocabulary, strict=True))
    dropped = ids[without.removeprefix("Without ").split(" in the history")[0]]
    row, seen = genre._history("u00", None, ())
    left = sparse.csr_matrix(row.copy())
    left.data[left.indices == genre.graph.items.vocabulary.get(dropped)] = 0
    left.eliminate_zeros()
    after = rank(genre.state, left, seen, 10).items[0]
    came = [
        genre.graph.items.name(int(item))
        for item in after
        if genre.graph.items.name(int(item)) not in listed[:10]
    ]
    assert all(name in without for name in came[:3])
    assert "the same" in without or came


def test_dislikes_are_counted_and_a_stranger_is_served_by_popularity(page: str):
    text = Page(page).text
    assert "Dislikes 2 items." in text
    assert "No interactions: the list is by popularity." in text
    assert "liked by" in text


def test_the_model_page_has_everything_the_fit_found(hybrid: HybridRecommender):
    page = Page(hybrid.report())
    assert "h4" not in page.tags
    assert not any(name == "id" for _, name, _ in page.attributes)
    for name in (*hybrid.honesty["name"], *hybrid.honesty["verdict"], *hybrid.state.report.seconds):
        assert str(name) in page.text
    for ndcg in hybrid.honesty["ndcg@20"]:
        assert f"{ndcg:.4f}" in page.text
    for note in hybrid.state.report.notes:
        assert note in page.within("li")
    assert "cross-fitted" in page.text


def test_a_list_is_as_long_as_what_is_left(encoder: TextEncoder):
    likes = [("all", item) for item in "abcd"] + [("some", "a"), ("some", "b")]
    kg = KnowledgeGraph.from_frames(pd.DataFrame(likes, columns=["user_id", "item_id"]))
    rec = HybridRecommender("genre", text_encoder=encoder).fit(kg, show=False)
    assert "Nothing is left to recommend." in rec.report(["all"])
    assert Page(rec.report(["some"])).tags.count("h4") == 2


def test_a_report_is_a_function_of_its_model(genre: HybridRecommender):
    assert genre.report(["u00", "u00"]) == genre.report(["u00"])


def test_unknown_users_and_a_bare_string_are_refused(genre: HybridRecommender):
    with pytest.raises(UnknownIdError, match=r"nearest: .*u00"):
        genre.report(["u000"])
    with pytest.raises(ConfigError, match="is one string"):
        genre.report("u00")


# -- what it must never do -----------------------------------------------------------------------------


def test_nothing_on_the_page_is_fetched_or_run(page: str, attacked: str):
    for html in (page, attacked):
        parsed = Page(html)
        assert not {"script", "link", "img", "iframe", "object", "base", "form", "i"} & set(parsed.tags)
        assert parsed.tags.count("b") == 6
        for tag, name, value in parsed.attributes:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "action", "data"), (tag, name)
            assert name != "href" or str(value).startswith("#user-")
        (style,) = parsed.within("style")
        assert not re.search(r"url\(|@import|//", style)
    assert "//" not in page


def test_hostile_names_are_text(hostile: HybridRecommender, attacked: str):
    page = Page(attacked)
    assert page.within("h2")[-2:] == ["User <b>boss</b>", "User <i>aide</i>"]
    assert page.within("nav", "a") == ["<b>boss</b>", "<i>aide</i>"]
    listed = pd.concat([hostile.recommend(user, k=10) for user in (BOSS, "<i>aide</i>")])
    assert page.within("h4", "bdi") == listed["name"].tolist()
    liked = page.within("g.liked", "title")
    assert SCRIPT in {*liked, *listed["name"]}
    assert CLOSING in {*liked, *listed["name"]}
    assert ENTITY in page.within("g.entity", "title")
    assert any(ENTITY in words for words in page.within("tbody", "th", "bdi"))
    assert "<script" not in attacked


def test_nobody_else_is_on_the_page(page: str, attacked: str):
    assert set(re.findall(r"\bu\d\d\b", page)) == {"u00"}
    assert "someone" not in attacked
    assert "Secret" not in attacked


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path")
def test_a_real_browser_shows_it_and_runs_nothing(attacked: str, tmp_path: Path):
    assert BROWSER is not None
    file = tmp_path / "report.html"
    file.write_text(attacked, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = Page(re.sub(r"<!DOCTYPE[^>]*>", "", done.stdout))
    sent = Page(attacked)
    assert seen.within("head", "title") == ["kgenre report"]
    assert seen.tags.count("svg") == sent.tags.count("svg") > 0
    assert seen.within("h4", "bdi") == sent.within("h4", "bdi")
    assert not {"script", "img", "iframe"} & set(seen.tags)


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def call(
    genre: HybridRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int | str | None]:
    """Run ``kgenre report MODEL ...`` in a folder of its own and return its exit status."""
    genre.save(tmp_path / "model")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["kgenre", "report", str(tmp_path / "model"), *arguments])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        return leaving.value.code

    return run


def test_the_command_writes_the_page_of_the_api(call: Callable[..., int], genre: HybridRecommender):
    Path("page.html").write_text("an older page")
    assert call("u00", "critic", "-o", "page.html") in (0, None)
    assert Path("page.html").read_text(encoding="utf-8") == genre.report(["u00", "critic"])
    assert [path.name for path in Path.cwd().iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "-o", "page.html"], "unknown user|unknown id|nobody"),
        (["-o", "page.txt"], "--output page.txt does not end in .html"),
        (["-o", "none/page.html"], "cannot write none/page.html: No such file"),
        (["-o", "folder.html"], "cannot write folder.html: Is a directory"),
        ([], "Missing option"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_old_page(
    call: Callable[..., int], capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    Path("page.html").write_text("an older page")
    Path("folder.html").mkdir()
    assert call(*arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert Path("page.html").read_text() == "an older page"
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["folder.html", "page.html"]
