"""The command line: as a process where a process is the point, else through its entry point in this one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import kgenre
from kgenre.hybrid import cli
from kgenre.hybrid.recommender import HybridRecommender

ROOT = Path(__file__).parents[2]
MALFORMED = sorted(path.parent for path in (ROOT / "tests" / "malformed").glob("*/ERROR"))
COMMANDS = [
    "demo",
    "import",
    "export",
    "stores",
    "query",
    "fit",
    "recommend",
    "explain",
    "similar",
    "report",
    "evaluate",
]
Run = Callable[..., tuple[int, str, str]]
COMMAND = [sys.executable, "-P", "-c", "from kgenre.hybrid.cli import main; main()"]
"""``kgenre`` of this Python, whether or not its script is on the path."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command in this process, in a folder of its own; returns status, stdout and stderr."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kgenre", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capfd.readouterr()
        code = leaving.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), captured.out, captured.err

    return call


def refused(run: Run, *arguments: object) -> str:
    """The one line of a command that must be refused, with nothing written."""
    status, out, err = run(*arguments)
    assert status == 2, (out, err)
    assert out == ""
    assert err.startswith("kgenre: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert list(Path.cwd().iterdir()) == []
    return err


def process(*arguments: object, cwd: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def source(write_atomic: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_atomic(tmp_path_factory.mktemp("cli") / "films")


@pytest.fixture(scope="module")
def model(genre: HybridRecommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "model"
    genre.save(folder)
    return folder


# -- real processes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(
    source: Path, tmp_path_factory: pytest.TempPathFactory
) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """What `kgenre fit` does in a process of its own."""
    cwd = tmp_path_factory.mktemp("fit")
    (cwd / "config.yaml").write_text("preset: fast\nclosed_form:\n  dropout: 0.2\n")
    done = process(
        *("fit", source, "--model", "model", "--config", "config.yaml"),
        *("--set", "fusion.folds=3", "--set", "signals=[multihop, text, popularity, closed_form, gnn]"),
        *("--set", "gnn={seeds: 1, encoder: {epochs: 5, embedding_size: 8}}", "--seed", "4"),
        cwd=cwd,
    )
    return cwd, done


def test_fit_prints_the_honesty_table_and_saves_the_model(
    fitted: "tuple[Path, subprocess.CompletedProcess[str]]",
):
    cwd, done = fitted
    assert done.returncode == 0, done.stderr
    for name in ("multihop", "gnn", "ItemKNN", "EASE", "fusion", "what you get", "fit: text"):
        assert name in done.stdout
    assert done.stdout.rstrip().endswith("is in model")
    # A pipe is no terminal: no bars, and whatever is said is said in lines of our own.
    assert all(line.startswith("kgenre: ") for line in done.stderr.splitlines()), done.stderr
    assert sorted(path.name for path in cwd.iterdir()) == ["config.yaml", "model"]


def test_fit_obeys_file_settings_and_seed(fitted: "tuple[Path, subprocess.CompletedProcess[str]]"):
    state = kgenre.load(fitted[0] / "model").state
    assert state.config.seed == 4
    assert state.config.fusion.folds == 3
    assert state.config.closed_form.dropout == 0.2
    assert state.config.gnn.first_seed == 4
    assert state.kg.n_items == 26
    assert state.report.n_pairs > 0


def test_a_list_from_a_process_is_the_one_from_python(
    fitted: "tuple[Path, subprocess.CompletedProcess[str]]",
):
    cwd, _ = fitted
    done = process("recommend", "model", "u00", "critic", "lurker", "-k", "4", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "kgenre: 1 users have no interactions: their lists are by popularity\n"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == ["user_id", "item_id", "rank", "score"]
    expected = kgenre.load(cwd / "model").recommend_many(["u00", "critic", "lurker"], k=4)
    assert [line[:3] for line in lines[1:]] == expected[["user_id", "item_id", "rank"]].astype(
        str
    ).values.tolist()
    assert [float(line[3]) for line in lines[1:]] == pytest.approx(expected["score"].tolist())


def test_a_process_refuses_in_one_line(tmp_path: Path):
    done = process("import", "films", "--store", "store", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("kgenre: there is no films; give a folder of atomic files")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_one_line_even_after_warnings(tmp_path: Path):
    """The folder lacks .item, .kg and .link, which is worth a warning, and has one user, which is an error."""
    folder = source_of(tmp_path / "films", "a\tx\t1\na\ty\t1\n")
    done = process("fit", folder, "--model", "model", "--set", "signals=[popularity]", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "kgenre: the graph has only 1 user; a recommender needs at least 2, so add some\n"


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "fit", "--help"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def interrupt(
    cwd: Path, when: "Callable[[subprocess.Popen[str]], object]", *arguments: object
) -> tuple[int, str]:
    """Start a command in a session of its own, interrupt it, and see that no process of it is left."""
    command = [*COMMAND, *map(str, arguments)]
    environment = {**os.environ, "KGENRE_PROGRESS": "1"}
    started = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    when(started)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert out == ""
    with pytest.raises(ProcessLookupError):
        os.killpg(started.pid, 0)
    return started.returncode, err


def test_ctrl_c_during_a_fit_leaves_everything_as_it_was(source: Path, model: Path, tmp_path: Path):
    shutil.copytree(model, tmp_path / "model")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def in_the_middle(started: "subprocess.Popen[str]") -> None:
        assert started.stderr is not None
        seen = ""
        while "signals" not in seen:
            character = started.stderr.read(1)
            assert character, seen
            seen += character

    status, err = interrupt(
        tmp_path,
        in_the_middle,
        *("fit", source, "--model", "model", "--set", "signals=[slim]", "--set", "slim.steps=100000000"),
    )
    assert status == 2
    assert err.endswith("kgenre: interrupted; nothing was written\n")
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_ctrl_c_while_it_starts_is_no_traceback(source: Path, tmp_path: Path):
    status, err = interrupt(tmp_path, lambda started: time.sleep(1.0), "fit", source, "--model", "model")
    assert (status, err) == (2, "kgenre: interrupted; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


# -- what it says of itself ------------------------------------------------------------------------------


def test_without_arguments_it_helps(run: Run):
    status, out, err = run()
    assert (status, err) == (0, "")
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(run: Run, command: str):
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert f"Example: kgenre {command}" in " ".join(out.split())


def test_it_tells_its_version(run: Run):
    assert run("--version") == (0, f"kgenre {kgenre.__version__}\n", "")


# -- answers ---------------------------------------------------------------------------------------------


def test_everybody_into_a_file(run: Run, model: Path, genre: HybridRecommender):
    for name, read in (
        ("lists.tsv", lambda file: pd.read_csv(file, sep="\t")),
        ("lists.parquet", pd.read_parquet),
    ):
        assert run("recommend", model, "--all", "-k", 3, "--output", name) == (0, "", "")
        frame = read(name)
        expected = genre.recommend_many(k=3)
        pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["lists.parquet", "lists.tsv"]


def test_only_candidates_are_ranked(run: Run, model: Path):
    Path("only.txt").write_text("l1\n\n cousin \ns8\n")
    status, out, _ = run("recommend", model, "lurker", "u00", "-k", 2, "--candidates", "only.txt")
    assert status == 0
    assert {line.split("\t")[1] for line in out.splitlines()[1:]} <= {"l1", "cousin", "s8"}


def test_explain_in_words_and_as_json(run: Run, model: Path, genre: HybridRecommender):
    expected = genre.explain("u00", "cousin")
    status, out, err = run("explain", model, "u00", "cousin")
    assert (status, err) == (0, "")
    assert out.startswith(expected.text + "\n")
    assert "multihop" in out
    assert "contribution" in out
    status, out, err = run("explain", model, "u00", "blank", "--format", "json")
    assert (status, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(genre.explain("u00", "blank").to_dict()))
    status, out, _ = run("explain", model, "u00", "cousin", "--language", "zh")
    assert (status, out.split("\n")[0]) == (
        0,
        genre.explain("u00", "cousin", language="zh").text.split("\n")[0],
    )
    assert run("explain", model, "u00", "cousin", "--language", "fr")[::2] == (
        2,
        "kgenre: --language 'fr' is not one of en, zh\n",
    )


def test_why_not_in_words_and_as_json(run: Run, model: Path, genre: HybridRecommender):
    expected = genre.why_not("u00", "l5", k=3)
    assert run("why-not", model, "u00", "l5", "-k", 3) == (0, expected.text + "\n", "")
    status, out, _ = run("why-not", model, "u00", "l5", "-k", 3, "--format", "json")
    assert status == 0
    assert json.loads(out) == json.loads(json.dumps(expected.to_dict()))


def test_similar_items(run: Run, model: Path):
    status, out, err = run("similar", model, "query", "-k", 2)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "rank\titem_id\tname\tscore"
    assert out.splitlines()[1].startswith("1\tcousin\tThe Cousin Film\t")
    assert len(out.splitlines()) == 3


def test_evaluate(run: Run, model: Path, genre: HybridRecommender):
    Path("test.inter").write_text("user_id:token\titem_id:token\nu00\ts1\nlurker\thit\n")
    Path("only").write_text("s1\nhit\n")
    status, out, err = run("evaluate", model, "--test", "test.inter", "-k", 1, "-k", 5)
    assert (status, err) == (0, "")
    frame = genre.evaluate(pd.DataFrame({"user_id": ["u00", "lurker"], "item_id": ["s1", "hit"]}), [1, 5])
    assert out == frame.reset_index().to_string(index=False, float_format="{:.4f}".format) + "\n"
    status, out, _ = run("evaluate", model, "--test", "test.inter", "-k", 1, "--candidates", "only")
    assert status == 0
    assert out.split()[:3] == ["k", "recall", "ndcg"]


def test_a_validation_file_beside_the_training_file_is_tuned_on_and_the_test_file_never_read(
    run: Run, write_atomic: Callable[..., Path], frames: dict[str, pd.DataFrame], tmp_path: Path
):
    rows = frames["interactions"]
    held = rows[rows["item_id"].isin(["partner", "s3", "l3"]) & (rows["weight"] > 0)]
    head = "user_id:token\titem_id:token\n"
    text = {
        "train_inter": head
        + rows.drop(held.index)[["user_id", "item_id"]].to_csv(sep="\t", index=False, header=False),
        "valid_inter": head + held[["user_id", "item_id"]].to_csv(sep="\t", index=False, header=False),
        "test_inter": "this is not even an atomic file",
    }
    folder = write_atomic(tmp_path / "split", inter=None, **text)
    Path("genre.yaml").write_text("preset: genre\n")
    status, out, _ = run("fit", folder, "--model", "m", "--config", "genre.yaml")
    assert status == 0
    assert f"{len(held):,} held-out likes of {held['user_id'].nunique()} users" in out
    assert kgenre.load("m").state.report.n_pairs == len(held)


def test_import_fit_and_query_a_store(run: Run, source: Path, tmp_path: Path):
    store = tmp_path / "store"
    status, out, _ = run("import", source, "--store", store)
    assert status == 0
    assert out.startswith("KnowledgeGraph(62 users, 26 items")
    assert out.endswith(f" is in {store}\n")
    question = "MATCH (i:Item) WHERE i.name CONTAINS $word RETURN i.id AS id, i.name AS name"
    ask = ("query", question, "--store", store, "--param", "word=Cousin")
    assert run(*ask, "--format", "csv") == (0, "id,name\ncousin,The Cousin Film\n", "")
    message = refused(run, "query", "MATCH (n) RETRUN n", "--store", store)
    assert "RETRUN" in message
    assert run("export", store, "backup")[0] == 0
    again = run("import", "backup", "--store", tmp_path / "again")[1]
    assert again.replace(str(tmp_path / "again"), str(store)) == out
    assert run("export", store, "csv", "--format", "neo4j-csv")[0] == 0
    assert list(Path("csv").glob("*.csv"))
    Path("genre.yaml").write_text("preset: genre\nbaselines: false\n")
    status, out, err = run("fit", store, "--model", "m", "--config", "genre.yaml")
    assert (status, err) == (0, "")
    assert kgenre.load("m").graph.n_interactions == 523
    shutil.rmtree("m")
    Path("genre.yaml").unlink()


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_a_malformed_source_is_refused_before_anything_is_written(run: Run, case: Path):
    rdf = list(case.glob("graph.*"))
    given = rdf[0] if rdf else case
    assert (case / "ERROR").read_text().strip() in refused(run, "fit", given, "--model", "model")


def source_of(folder: Path, inter: str, **files: str) -> Path:
    folder.mkdir()
    for kind, content in {"inter": "user_id:token\titem_id:token\tweight:float\n" + inter, **files}.items():
        (folder / f"films.{kind}").write_text(content)
    return folder


@pytest.mark.parametrize(
    ("inter", "message"),
    [
        ("a\tx\t1\nb\tx\t1\n", "the graph has only 1 item"),
        ("a\tx\t1\na\ty\t1\n", "the graph has only 1 user"),
        ("a\tx\t-1\nb\ty\t0\n", "the graph has no likes"),
        ("a\tx\tnan\nb\ty\t1\n", "films.inter line 2: weight is"),
        ("a\tx\t1\nb\ty\t-inf\n", "films.inter line 3: weight is -inf"),
    ],
)
def test_too_little_or_not_a_number_is_refused(run: Run, tmp_path: Path, inter: str, message: str):
    assert message in refused(run, "fit", source_of(tmp_path / "source", inter), "--model", "model")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "gnn.sead=3"], "unknown configuration key 'gnn.sead'; nearest: gnn.seeds"),
        (
            ["--set", "closed_form.regularization=-1"],
            "closed_form.regularization=-1: Input should be greater than 0",
        ),
        (["--set", "signals=[genn]"], "unknown signal 'genn'; nearest: gnn"),
        (["--set", "seed"], "--set 'seed' is not key=value, as in gnn.seeds=3"),
        (["--seed", "-1"], "seed=-1: Input should be greater than or equal to 0"),
        (["--seed", "x"], "Invalid value for '--seed': 'x' is not a whole number (see kgenre fit --help)"),
        (["--config", "nowhere.yaml"], "no configuration file nowhere.yaml; check the path"),
        (["--bogus"], "No such option: --bogus (see kgenre fit --help)"),
    ],
)
def test_a_bad_setting_is_refused(run: Run, source: Path, options: list[str], message: str):
    assert message in refused(run, "fit", source, "--model", "model", *options)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.ttl", "notes.txt"])
def test_a_source_that_is_none_is_named(run: Run, tmp_path: Path, name: str):
    (tmp_path / "notes.txt").write_text("mine")
    assert name in refused(run, "fit", tmp_path / name, "--model", "model")


def test_a_place_that_holds_something_else_is_refused_before_the_fit(run: Run, source: Path, tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1.tex").write_text("years of work")
    message = refused(run, "fit", source, "--model", tmp_path / "thesis")
    assert message.endswith("thesis exists and is not a model; choose another folder\n")
    assert (tmp_path / "thesis" / "chapter-1.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("recommend MODEL u0", "unknown user 'u0' (of 62 known); nearest: u"),
        ("recommend MODEL u00 lurkr", "unknown user 'lurkr' (of 62 known); nearest: lurker"),
        ("recommend MODEL u00 -k 0", "k=0 is not a whole number of at least 1"),
        ("recommend MODEL --all -k -5", "k=-5 is not a whole number of at least 1"),
        ("recommend MODEL u00 -k 3.5", "Invalid value for '-k': '3.5' is not a whole number"),
        ("recommend MODEL u00 -k 999", "k=999 but only"),
        ("recommend MODEL", "name some users, or give --all for everybody"),
        ("recommend MODEL u00 --all", "name some users, or give --all for everybody"),
        ("recommend MODEL --all --output lists.csv", "--output lists.csv ends in neither .tsv nor .parquet"),
        (
            "recommend MODEL --all --output no/lists.tsv",
            "cannot write no/lists.tsv: No such file or directory",
        ),
        ("recommend MODEL u00 --candidates nowhere", "there is no file nowhere; check the path"),
        ("recommend MODEL u00 --candidates EMPTY", "names no item; put one item id on a line"),
        ("recommend MODEL u00 --candidates BYTES", "is not UTF-8 (byte 1); save it as UTF-8"),
        ("recommend MODEL u00 --candidates TEST", "unknown item 'user_id:token"),
        ("recommend MODEL u00 --candidates CWD", "Is a directory"),
        ("recommend nowhere u00", "no model folder nowhere; check the path, or make one with `kgenre fit`"),
        ("recommend CWD u00", "is not a model: it has no model.json"),
        ("explain MODEL u00 qurey", "unknown item 'qurey' (of 26 known); nearest: query"),
        ("explain MODEL nobody query", "unknown user 'nobody'"),
        ("explain MODEL u00 query --format xml", "--format 'xml' is not one of text, json"),
        ("explain MODEL u00", "Missing argument 'item'"),
        ("similar MODEL S0", "unknown item 'S0' (of 26 known); nearest: s0"),
        ("similar MODEL s0 -k 26", "k=26 but only 25 other items"),
        ("evaluate MODEL --test nowhere.inter", "nowhere.inter"),
        ("evaluate MODEL --test TEST -k 0", "k=0 is not a whole number of at least 1"),
        ("evaluate MODEL --test STRANGERS", "none of the 1 pairs of the test set is of a known user"),
        ("evaluate MODEL --test EMPTY", "EMPTY"),
        ("evaluate MODEL", "Missing option '--test'"),
        ("query RETURN --store bolt://127.0.0.1:1", "127.0.0.1:1"),
        ("query RETURN --store CWD", "store"),
        ("query RETURN --store nowhere", "nowhere"),
        ("query RETURN --store ftp://x", "unknown scheme 'ftp'"),
        ("query RETURN --store nowhere --format yaml", "--format 'yaml' is not one of table, csv, json"),
        ("query RETURN --store nowhere --param word", "--param 'word' is not NAME=VALUE"),
        ("import nowhere --store store", "there is no nowhere"),
        ("import SOURCE --store bolt://127.0.0.1:1", "127.0.0.1:1"),
        ("recomend MODEL u00", "No such command 'recomend'. Did you mean 'recommend'? (see kgenre --help)"),
    ],
)
def test_bad_input_is_named_in_one_line(
    run: Run, model: Path, source: Path, tmp_path: Path, arguments: str, message: str
):
    files = tmp_path / "files"
    files.mkdir()
    (files / "EMPTY").touch()
    (files / "BYTES").write_bytes(b"a\xff\n")
    (files / "TEST").write_text("user_id:token\titem_id:token\nu00\ts1\n")
    (files / "STRANGERS").write_text("user_id:token\titem_id:token\nx\ts1\n")
    places = {"MODEL": model, "CWD": Path.cwd(), "SOURCE": source}
    places |= {path.name: path for path in files.iterdir()}
    assert message in refused(run, *(places.get(word, word) for word in arguments.split()))


def test_a_damaged_model_is_refused(run: Run, model: Path, tmp_path: Path):
    shutil.copytree(model, tmp_path / "damaged")
    (path,) = (tmp_path / "damaged").glob("v-*/arrays.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    message = refused(run, "recommend", tmp_path / "damaged", "u00")
    assert "arrays.safetensors is not the file that was saved (truncated or swapped)" in message
    index = json.loads((tmp_path / "damaged" / "model.json").read_text())
    (tmp_path / "damaged" / "model.json").write_text(json.dumps({**index, "format": 99}))
    assert "saved by a newer kgenre (format 99" in refused(run, "similar", tmp_path / "damaged", "s0")


def test_a_file_that_could_not_be_written_is_not_there_and_the_old_one_is(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
):
    """An unknown user is found out while the file is written."""
    Path("lists.tsv").write_text("old")
    status, _, err = run("recommend", model, "u00", "nobody", "--output", "lists.tsv")
    assert status == 2
    assert "unknown user 'nobody'" in err
    assert [path.name for path in Path.cwd().iterdir()] == ["lists.tsv"]
    assert Path("lists.tsv").read_text() == "old"


# -- what is said and goes on ------------------------------------------------------------------------------


def test_warnings_name_the_count(
    run: Run, model: Path, write_atomic: Callable[..., Path], tmp_path: Path, caplog
):
    links = "item_id:token\tentity_id:token\nquery\tquery\ncousin\tcousin\npartner\tm.nowhere\n"
    folder = write_atomic(tmp_path / "films", link=links)
    Path("genre.yaml").write_text("preset: genre\nbaselines: false\n")
    assert run("fit", folder, "--model", "m", "--config", "genre.yaml")[0] == 0
    assert "1 links lead to an entity without facts" in caplog.text
    caplog.clear()
    assert run("recommend", "m", "lurker", "-k", 3)[0] == 0
    assert "user 'lurker' has no interactions: the list is by popularity" in caplog.text
