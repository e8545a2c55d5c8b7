"""Ranked lists (a block of users at a time) and pages into files, which appear whole or not at all."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kgenre.graph.errors import ConfigError


def write_lists(blocks: Iterable[pd.DataFrame], output: str | None) -> None:
    """Write frames of equal columns as one TSV or Parquet file (by suffix), or as TSV to standard output.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    if output is None:
        for index, block in enumerate(blocks):
            sys.stdout.write(block.to_csv(sep="\t", index=False, header=index == 0))
        return
    with _replacing(output) as temporary:
        if temporary.suffix == ".parquet":
            _parquet(blocks, temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                for index, block in enumerate(blocks):
                    block.to_csv(file, sep="\t", index=False, header=index == 0)


def write_text(text: str, output: str) -> None:
    """Write a text as one UTF-8 file; raises `ConfigError` if it cannot be written."""
    with _replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _replacing(output: str) -> Iterator[Path]:
    """A file beside `output` to write, which takes its place in the end; of a failure nothing is left."""
    target = Path(output)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}; choose another file") from None
    finally:
        temporary.unlink(missing_ok=True)


def _parquet(blocks: Iterable[pd.DataFrame], file: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for block in blocks:
            table = pa.Table.from_pandas(block, preserve_index=False)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
