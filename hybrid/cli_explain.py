"""`kgenre explain` and `kgenre why-not`: an item's score for a user, and what it lacks."""

import json
from typing import Annotated

import typer
from typer import Argument, Option

from kgenre.graph.errors import ConfigError

from .cli_options import Model, whole

User = Annotated[str, Argument(help="User id.")]
Item = Annotated[str, Argument(help="Item id.")]
Format = Annotated[str, Option("--format", help="text or json.")]
Language = Annotated[str, Option("--language", help="Of the sentences: en or zh.")]

_ROWS = 3
"""Pieces of evidence that are printed of each signal."""


def explain(model: Model, user: User, item: Item, format: Format = "text", language: Language = "en") -> None:
    """Why an item has its score for a user: reasons, ledger, and each signal's evidence."""
    _check(format, language)
    from .recommender import load

    found = load(model).explain(user, item, language=language)
    if format == "json":
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    typer.echo(found.text)
    typer.echo()
    typer.echo(found.ledger.to_string(index=False, float_format="{:.4f}".format))
    if len(found.evidence):
        typer.echo(f"\nthe strongest evidence of each signal (of {len(found.evidence):,} pieces):")
        shown = found.evidence.groupby("signal", sort=False).head(_ROWS)
        columns = ["signal", "kind", "contribution", "name", "relation", "people", "how"]
        shown = shown[columns].astype({"people": object}).fillna("")
        typer.echo(shown.to_string(index=False, float_format="{:.4f}".format))


def why_not(
    model: Model,
    user: User,
    item: Item,
    k: Annotated[int, Option("-k", parser=whole, metavar="INTEGER", help="Length of the list.")] = 10,
    format: Format = "text",
    language: Language = "en",
) -> None:
    """Why an item is not in a user's list, and what would bring it there."""
    _check(format, language)
    from .recommender import load

    found = load(model).why_not(user, item, k=k, language=language)
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False) if format == "json" else found.text)


def _check(format: str, language: str) -> None:
    for option, value, allowed in (
        ("--format", format, ("text", "json")),
        ("--language", language, ("en", "zh")),
    ):
        if value not in allowed:
            raise ConfigError(f"{option} {value!r} is not one of {', '.join(allowed)}")
