"""The health of a graph, before it costs a training run; `docs/doctor.md` explains each check."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from .doctor_alignment import check_alignment
from .doctor_facts import check_clashes, check_leaks, check_relations
from .doctor_finding import Finding
from .doctor_nodes import check_dates, check_duplicates, check_ids, check_links, check_names, check_texts
from .knowledge_graph import KnowledgeGraph

__all__ = ["Finding", "examine", "is_healthy", "report"]

_CHECKS: tuple[Callable[[KnowledgeGraph], Iterable[Finding]], ...] = (
    check_alignment,
    check_leaks,
    check_links,
    check_names,
    check_duplicates,
    check_ids,
    check_texts,
    check_dates,
    check_relations,
    check_clashes,
)
_LEVELS = ("error", "warning", "info")


def examine(kg: KnowledgeGraph) -> list[Finding]:
    """Run every check on a graph.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then information; empty for a graph without any.
    """
    found = chain.from_iterable(check(kg) for check in _CHECKS)
    return sorted(found, key=lambda finding: _LEVELS.index(finding.level))


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether there is neither an error nor a warning."""
    return all(finding.level == "info" for finding in findings)


def report(findings: Sequence[Finding]) -> str:
    """The findings to read: what, how many, up to three examples, what to do."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.level}: {finding.check} ({finding.count:,})")
        lines += _wrapped("", finding.message)
        if finding.examples:
            lines += _wrapped("such as: ", "; ".join(finding.examples))
        lines += [*_wrapped("to do: ", finding.remedy), ""]
    counts = [sum(finding.level == level for finding in findings) for level in _LEVELS]
    healthy = "healthy" if is_healthy(findings) else "not healthy"
    lines.append(f"{healthy}; errors: {counts[0]}, warnings: {counts[1]}, for information: {counts[2]}")
    return "\n".join(lines)


def _wrapped(start: str, text: str) -> list[str]:
    indent = "  " + " " * len(start)
    return textwrap.wrap(
        text,
        100,
        initial_indent=f"  {start}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
