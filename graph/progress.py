"""The one place where progress is shown and switched off (environment: ``KGENRE_PROGRESS=0``)."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm


def bar(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    desc: str | None = None,
    unit: str | None = None,
) -> Any:
    """A progress bar for a terminal or a notebook; silent where ``KGENRE_PROGRESS`` is 0.

    Parameters
    ----------
    iterable
        What to run through; without it call `update` on the bar.
    total
        Number of steps, where the iterable does not know its length.
    desc, unit
        What is being done, and what is counted.

    Returns
    -------
    tqdm.auto.tqdm
    """
    return tqdm(iterable, total=total, desc=desc, unit=unit or "it", disable=_off(), leave=False)


def say(text: str) -> None:
    """Show a text where progress is shown: on standard error, beside the bars."""
    if not _off():
        tqdm.write(text, file=sys.stderr)


def _off() -> bool:
    return os.environ.get("KGENRE_PROGRESS", "1").strip().lower() in ("0", "false", "off", "no")
