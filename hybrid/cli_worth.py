"""`kgenre worth`: does the graph pay?"""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from kgenre.graph.errors import ConfigError

from .cli_options import Schema, Source, whole


def worth(
    source: Source,
    full: Annotated[
        bool, Option("--full", help="Fit the whole fusion on every variant, not a closed form alone.")
    ] = False,
    relation: Annotated[
        list[str] | None, Option("--relation", help="Look at this relation by itself; repeat.")
    ] = None,
    splits: Annotated[
        int | None, Option("--splits", parser=whole, metavar="INTEGER", help="How often likes are held out.")
    ] = None,
    format: Annotated[str, Option("--format", help="table or json.")] = "table",
    output: Annotated[str | None, Option("-o", "--output", help="A picture: .svg or .html.")] = None,
    config: Annotated[str | None, Option("--config", help="YAML file of a configuration.")] = None,
    schema: Schema = None,
) -> None:
    """Does the graph pay? What its facts, links, relations and texts are worth on held-out likes."""
    if format not in ("table", "json"):
        raise ConfigError(f"--format {format!r} is not one of table, json")
    if output is not None and Path(output).suffix not in (".svg", ".html"):
        raise ConfigError(f"--output {output} ends in neither .svg nor .html")
    from kgenre.graph.source import read_source

    from .config import HybridConfig
    from .output import write_text
    from .worth import kg_worth

    settings = HybridConfig.from_yaml(config) if config else HybridConfig()
    graph = read_source(source, schema).graph
    found = kg_worth(graph, full=full, config=settings, relations=relation or None, splits=splits)
    if output is not None:
        write_text(found.picture() if output.endswith(".svg") else found.to_html(), output)
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False) if format == "json" else found.text)
