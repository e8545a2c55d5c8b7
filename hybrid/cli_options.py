"""Arguments and options that several commands share."""

from typing import Annotated

import typer
from typer import Argument, Option


def whole(text: str) -> int:
    """A whole number; its error names the value."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


Source = Annotated[
    str,
    Argument(
        help="Folder of atomic files or tables, RDF file, store folder, or bolt:// or neo4j:// address."
    ),
]
Store = Annotated[str, Option("--store", help="Folder of an embedded store, or bolt:// or neo4j:// address.")]
Schema = Annotated[
    str | None,
    Option(
        "--schema", help="YAML file that says how a store with labels of its own reads (see kgenre schema)."
    ),
]
Model = Annotated[str, Argument(help="Folder that `kgenre fit` wrote.")]
