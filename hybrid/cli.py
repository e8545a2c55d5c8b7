"""The command line: each command is a few lines over the API.

Results go to standard output, progress and warnings to standard error (a pipe or file gets the warnings at the end,
and no progress). Exit status 0, or 2 with one line on standard error that names the bad value and the remedy.
"""

import json
import logging
import os
import sys
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer
from typer import Argument, Option

from kgenre.graph.errors import ConfigError, DataError, KgenreError, StoreError

from .cli_explain import explain, why_not
from .cli_options import Model, Schema, Source, Store, whole
from .cli_worth import worth

app = typer.Typer(
    name="kgenre",
    help="A hybrid recommender on a knowledge graph: text, graph and collaborative signals, measured and explained.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# typer brings click along in its own name space or not, as its version is; its own name leads to both.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]


def _version(value: bool) -> None:
    if value:
        import kgenre

        typer.echo(f"kgenre {kgenre.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A hybrid recommender on a knowledge graph: text, graph and collaborative signals, measured and explained."""


@app.command(epilog="Example: kgenre demo")
def demo(
    model: Annotated[str | None, Option("--model", help="Also save the fitted model in this folder.")] = None,
) -> None:
    """The main job on real data: graph, fit, evaluate, a ranked list with reasons."""
    from .demo import run

    run(typer.echo, model)


@app.command("import", epilog="Example: kgenre import ml-100k/ --store films")
def import_(source: Source, store: Store, schema: Schema = None) -> None:
    """Write a source's graph into a store."""
    from kgenre.graph import GraphBuilder
    from kgenre.graph.saved import is_saved
    from kgenre.graph.source import open_store, read_source

    graph = read_source(source, schema).graph
    if schema is not None:
        # From here on in the layout that needs no schema.
        graph = GraphBuilder().add_graph(graph).build()
    with open_store(store, create=True) as target:
        try:
            # What `kgenre export` made of a store holds more than its graph.
            target.import_(source) if is_saved(Path(source)) else target.write(graph)
        except KeyboardInterrupt:
            raise StoreError(f"interrupted; {store} holds a part of the graph: import it again") from None
    typer.echo(f"{graph!r} is in {store}")


@app.command(
    epilog="""Example: kgenre query "MATCH (i:Item) WHERE i.name CONTAINS \\$word RETURN i.id, i.name" """
    "--store films --param word=Alien".replace("\\$", "$")
)
def query(
    cypher: Annotated[str, Argument(help="The Cypher query; write $NAME for a parameter.")],
    store: Store,
    param: Annotated[list[str] | None, Option("--param", help="A parameter NAME=VALUE; repeat.")] = None,
    format: Annotated[str, Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Ask a store in Cypher."""
    _one_of("--format", format, ("table", "csv", "json"))
    parameters = dict(_parameter(text) for text in param or [])
    from kgenre.graph.source import open_store

    with open_store(store) as target:
        frame = target.cypher(cypher, **parameters)
    if format == "csv":
        typer.echo(frame.to_csv(index=False), nl=False)
    elif format == "json":
        typer.echo(frame.to_json(orient="records", force_ascii=False, default_handler=str))
    else:
        typer.echo(frame.to_string(index=False) if len(frame) else "(no rows)")


@app.command(epilog="Example: kgenre doctor ml-100k/")
def doctor(
    source: Source,
    format: Annotated[str, Option("--format", help="table or json.")] = "table",
    schema: Schema = None,
) -> None:
    """Examine a graph before it costs a training run: exit status 0 healthy, 1 with errors or warnings."""
    _one_of("--format", format, ("table", "json"))
    from kgenre.graph.doctor import examine, is_healthy, report
    from kgenre.graph.source import read_source

    findings = examine(read_source(source, schema).graph)
    if format == "json":
        typer.echo(json.dumps([finding.to_dict() for finding in findings], ensure_ascii=False))
    else:
        typer.echo(report(findings))
    if not is_healthy(findings):
        raise typer.Exit(1)


app.command(epilog="Example: kgenre worth ml-100k/ -o worth.svg")(worth)


@app.command(epilog="Example: kgenre schema bolt://localhost > schema.yaml")
def schema(
    store: Annotated[str, Argument(help="Folder of an embedded store, or bolt:// or neo4j:// address.")],
) -> None:
    """Propose how a store with labels of its own reads: YAML to edit, with the reasons as comments."""
    from kgenre.graph import GraphSchema
    from kgenre.graph.source import open_store

    with open_store(store) as target:
        typer.echo(GraphSchema.infer(target).to_yaml(), nl=False)


@app.command(epilog="Example: kgenre export films backup/")
def export(
    source: Source,
    folder: Annotated[str, Argument(help="Folder to write.")],
    schema: Schema = None,
    format: Annotated[
        str,
        Option(
            "--format", help="parquet, which `kgenre import` reads, or neo4j-csv for neo4j-admin's import."
        ),
    ] = "parquet",
) -> None:
    """Write a store's (or any source's) graph into files; of a store, all that it holds."""
    _one_of("--format", format, ("parquet", "neo4j-csv"))
    from kgenre.graph.source import export_source, read_source

    if format == "parquet":
        graph = export_source(source, folder, schema)
    else:
        graph = read_source(source, schema).graph
        graph.to_neo4j_csv(folder)
    typer.echo(f"{graph!r} is in {folder}")


@app.command(epilog="Example: kgenre stores")
def stores() -> None:
    """The embedded stores that run: folder, the server's process and port, and the processes that have it open."""
    from kgenre.graph.sharing import running_stores

    typer.echo("folder\tpid\tport\tclients")
    for store in running_stores():
        clients = ",".join(map(str, store.clients))
        typer.echo(f"{store.folder}\t{store.pid}\t{store.port}\t{clients}")


@app.command(epilog="Example: kgenre fit ml-100k/ --model model --set gnn.seeds=3")
def fit(
    source: Source,
    model: Annotated[str, Option("--model", help="Folder to save the model in.")],
    config: Annotated[
        str | None, Option("--config", help="YAML file; `preset: genre` in it starts from one.")
    ] = None,
    set_: Annotated[list[str] | None, Option("--set", help="One setting, key=value; repeat.")] = None,
    seed: Annotated[
        int | None, Option("--seed", parser=whole, metavar="INTEGER", help="Seed of all random choices.")
    ] = None,
    schema: Schema = None,
) -> None:
    """Fit a recommender and save it."""
    from kgenre.graph.source import read_source

    from .config import HybridConfig
    from .persistence import check_target
    from .recommender import HybridRecommender

    settings = HybridConfig.from_yaml(config) if config else HybridConfig()
    settings = settings.with_settings(set_ or [])
    if seed is not None:
        settings = settings.updated({"seed": seed})
    check_target(model)
    data = read_source(source, schema)
    recommender = HybridRecommender(settings).fit(data.graph, data.validation, show=False)
    recommender.save(model)
    typer.echo(recommender.state.report.text())
    typer.echo(f"{recommender!r} is in {model}")


@app.command(epilog="Example: kgenre recommend model --all -k 20 --output lists.tsv")
def recommend(
    model: Model,
    users: Annotated[list[str] | None, Argument(help="User ids.", metavar="[USER]...")] = None,
    all_: Annotated[bool, Option("--all", help="Everybody.")] = False,
    k: Annotated[int, Option("-k", parser=whole, metavar="INTEGER", help="Length of a list.")] = 20,
    candidates: Annotated[
        str | None, Option("--candidates", help="File with one item id a line: rank only these.")
    ] = None,
    output: Annotated[str | None, Option("--output", help="A .tsv or .parquet file.")] = None,
    rule: Annotated[
        list[str] | None,
        Option(
            "--rule", help='What lists must obey, as "kind: cap, relation: DIRECTED_BY, most: 2"; repeat.'
        ),
    ] = None,
) -> None:
    """Ranked lists: user_id, item_id, rank, score."""
    if bool(users) == all_:
        raise ConfigError("name some users, or give --all for everybody")
    if output is not None and Path(output).suffix not in (".tsv", ".parquet"):
        raise ConfigError(f"--output {output} ends in neither .tsv nor .parquet")
    only = _lines(candidates) if candidates else None
    from .output import write_lists
    from .recommender import load
    from .rules import rule_from_text

    rules = [rule_from_text(text) for text in rule or []]
    recommender = load(model)
    if users and len(users) == 1:
        # One list is asked for: too short a one is an error, not a warning.
        recommender.recommend(users[0], k, candidates=only, rules=rules)
    blocks = recommender.recommend_blocks(users, k, candidates=only, rules=rules)
    write_lists(blocks, output)


app.command(epilog="Example: kgenre explain model 196 302")(explain)
app.command("why-not", epilog="Example: kgenre why-not model 196 302 -k 10")(why_not)


@app.command(epilog="Example: kgenre similar model 183 -k 5")
def similar(
    model: Model,
    item: Annotated[str, Argument(help="Item id.")],
    k: Annotated[int, Option("-k", parser=whole, metavar="INTEGER", help="Length of the list.")] = 10,
) -> None:
    """The items most like one."""
    from .recommender import load

    frame = load(model).similar(item, k)
    typer.echo(frame.to_csv(sep="\t", index=False), nl=False)


@app.command(epilog="Example: kgenre report model 196 -o report.html")
def report(
    model: Model,
    output: Annotated[str, Option("-o", "--output", help="The .html file to write.")],
    users: Annotated[list[str] | None, Argument(help="User ids.", metavar="[USER]...")] = None,
) -> None:
    """One HTML page: the model's honesty table, and named users' lists with reasons."""
    if Path(output).suffix != ".html":
        raise ConfigError(f"--output {output} does not end in .html")
    from .output import write_text
    from .recommender import load

    write_text(load(model).report(users or []), output)


@app.command(epilog="Example: kgenre evaluate model --test ml-100k/ml-100k.test.inter -k 20")
def evaluate(
    model: Model,
    test: Annotated[str, Option("--test", help="An .inter file of held-out interactions.")],
    k: Annotated[
        list[int] | None, Option("-k", parser=whole, metavar="INTEGER", help="Cut of the list; repeat.")
    ] = None,
    candidates: Annotated[
        str | None, Option("--candidates", help="File with one item id a line: rank only these.")
    ] = None,
    metric: Annotated[
        list[str] | None, Option("--metric", help="A metric, as ndcg, auc or diversity_text; repeat.")
    ] = None,
    by: Annotated[
        str | None, Option("--by", help="user or item: in groups by how many likes they have.")
    ] = None,
) -> None:
    """Full-ranking metrics on held-out interactions."""
    from kgenre.graph.atomic import read_interactions

    held_out = read_interactions(test)
    only = _lines(candidates) if candidates else None
    from .recommender import load

    chosen: Any = {"metrics": metric} if metric else {}
    frame = load(model).evaluate(held_out, k or [10, 20], candidates=only, by=cast(Any, by), **chosen)
    typer.echo(frame.reset_index().to_string(index=False, float_format="{:.4f}".format))


def main() -> NoReturn:
    """Entry point: errors as one line, exit status 2."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("kgenre: %(message)s"))
    # To a script an error is one line: warnings wait for the end, and give way to it.
    held = MemoryHandler(10_000, logging.CRITICAL, flushOnClose=False)
    logging.basicConfig(level=logging.WARNING, handlers=[lines if sys.stderr.isatty() else held])
    if not sys.stderr.isatty():
        # In a file or a pipe a bar is noise.
        os.environ.setdefault("KGENRE_PROGRESS", "0")
    try:
        status = _invoke(sys.argv[1:] or ["--help"])
        sys.stdout.flush()
        held.setTarget(lines)
        held.flush()
    except KgenreError as error:
        _fail(str(error))
    except _ClickError as error:
        place: Any = getattr(error, "ctx", None)
        hint = f" (see {place.command_path} --help)" if place and isinstance(error, _UsageError) else ""
        _fail(getattr(error, "format_message", error.__str__)() + hint)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; nothing was written")
    except BrokenPipeError:
        # The reader of our output has gone (as `head` does): nothing is wrong, and nothing is left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except MemoryError:
        _fail("out of memory; leave out the signals closed_form and slim, or use a machine with more")
    sys.exit(status)


def _invoke(arguments: list[str]) -> int:
    # Not by calling app, which would answer Ctrl-C and a closed pipe in its own way.
    command = typer.main.get_command(app)
    try:
        with command.make_context("kgenre", arguments) as context:
            command.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    return 0


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"kgenre: {' '.join(message.split())}\n")
    sys.exit(2)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option} {value!r} is not one of {', '.join(allowed)}")


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--param {text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _lines(file: str) -> list[str]:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"there is no file {file}; check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise DataError(f"{file} names no item; put one item id on a line")
    return ids
