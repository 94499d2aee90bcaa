"""The state of one validation: violations, evaluated parts and the remaining steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...errors import ServerJobsError

Path = tuple[str | int, ...]

_DEEPEST = 128


@dataclass(frozen=True, slots=True)
class Violation:
    """A place in a value, and why it breaks the schema. The message shows names and limits, never a value."""

    path: Path
    message: str


class CheckTooLongError(ServerJobsError):
    """Validating this value takes too many steps."""


@dataclass(slots=True)
class Seen:
    """The properties or items that some keyword has evaluated. `unevaluated…` skips them."""

    names: set[str] = field(default_factory=set[str])
    indexes: set[int] = field(default_factory=set[int])

    def add(self, other: Seen) -> None:
        """Add the parts that another keyword evaluated."""
        self.names |= other.names
        self.indexes |= other.indexes


@dataclass(slots=True)
class Run:
    """One validation. `report` collects every violation; without it, the first violation ends the validation."""

    steps: int
    report: list[Violation] | None = None
    depth: int = 0

    def count(self, steps: int = 1) -> None:
        """Count steps. Raises `CheckTooLongError` once the limit is exceeded."""
        self.steps -= steps
        if self.steps < 0:
            raise CheckTooLongError("takes too long to check against its schema; make the schema or the value simpler")

    def enter(self) -> None:
        """Enter a referenced schema. The caller decrements `depth` afterwards."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise CheckTooLongError("is nested too deep to be checked against its schema")

    def fail(self, path: Path, message: str) -> bool:
        """Record a violation and return False, so that a check can return the call."""
        if self.report is not None:
            self.report.append(Violation(path, message))
        return False


Check = Callable[[object, Path, Seen | None, Run], bool]
"""Return whether the value at a path is valid. Evaluated parts are added to the `Seen`, if there is one."""


def fits(check: Check, value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    """Return whether a value is valid, without a report. A value that is invalid evaluates nothing."""
    report, run.report = run.report, None
    own = None if seen is None else Seen()
    try:
        result = check(value, path, own, run)
    finally:
        run.report = report
    if result and seen is not None and own is not None:
        seen.add(own)
    return result
