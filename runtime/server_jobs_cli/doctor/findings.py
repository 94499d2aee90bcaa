"""What `server-jobs doctor` finds: a fact, its severity, and advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from server_jobs_generator.problems.verdict import Verdict

from ..console.output import one_line, stdout_console

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `advice` is None if there is nothing to do."""

    verdict: Verdict
    message: str
    advice: str | None = None


def ok(message: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(Verdict.OK, message)


def warn(message: str, advice: str) -> Finding:
    """Return a finding for something that works but may be unintended."""
    return Finding(Verdict.WARN, message, advice)


def fail(message: str, advice: str) -> Finding:
    """Return a finding for something that must be fixed."""
    return Finding(Verdict.FAIL, message, advice)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each finding on a line, with its advice below. Neighbours with the same advice have it once."""
    from rich.text import Text

    console = stdout_console()
    for finding, following in zip_longest(findings, findings[1:]):
        mark = Text(f"{finding.verdict:<6}", style=_STYLES[finding.verdict])
        console.print(mark + Text(one_line(finding.message)), soft_wrap=True)
        if finding.advice is not None and (following is None or following.advice != finding.advice):
            console.print(Text(f"      {one_line(finding.advice)}", style="dim"), soft_wrap=True)
