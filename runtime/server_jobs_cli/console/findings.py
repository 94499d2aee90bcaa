"""What an examination found: one thing, how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from server_jobs_generator.problems.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; None when there is nothing to do."""

    verdict: Verdict
    message: str
    advice: str | None = None


def ok(message: str) -> Finding:
    """Something that is as it should be."""
    return Finding(Verdict.OK, message)


def warn(message: str, advice: str) -> Finding:
    """Something that works, but may not be meant."""
    return Finding(Verdict.WARN, message, advice)


def fail(message: str, advice: str) -> Finding:
    """Something that has to be mended first."""
    return Finding(Verdict.FAIL, message, advice)
