"""The state of one check of one value: what was found, what has been evaluated, and how much may still be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...errors import ServerJobsError

Path = tuple[str | int, ...]

_DEEPEST = 128


@dataclass(frozen=True, slots=True)
class Violation:
    """Where in a value, and why, it does not fit its schema. The message shows names and limits, never a value."""

    path: Path
    message: str


class CheckTooLongError(ServerJobsError):
    """A value that cannot be compared with its schema in a number of steps that is reasonable."""


@dataclass(slots=True)
class Seen:
    """The parts of one object or list that some keyword has evaluated: what `unevaluated…` leaves alone."""

    names: set[str] = field(default_factory=set[str])
    indexes: set[int] = field(default_factory=set[int])

    def add(self, other: Seen) -> None:
        """Also what another keyword has evaluated."""
        self.names |= other.names
        self.indexes |= other.indexes


@dataclass(slots=True)
class Run:
    """One check. `report` collects every violation; without one, the first ends the check."""

    steps: int
    report: list[Violation] | None = None
    depth: int = 0

    def count(self, steps: int = 1) -> None:
        """Raises `CheckTooLongError` when there have been too many."""
        self.steps -= steps
        if self.steps < 0:
            raise CheckTooLongError("takes too long to check against its schema; make the schema or the value simpler")

    def enter(self) -> None:
        """Begin a schema that was referenced; `depth` goes back down behind it."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise CheckTooLongError("is nested too deep to be checked against its schema")

    def fail(self, path: Path, message: str) -> bool:
        """Note a violation. Always False: a check returns it."""
        if self.report is not None:
            self.report.append(Violation(path, message))
        return False


Check = Callable[[object, Path, Seen | None, Run], bool]
"""Whether a value at a path fits; what was evaluated is added to the `Seen`, unless nobody asks."""


def fits(check: Check, value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    """Whether a value fits, without a word about why not; it has evaluated something only if it does."""
    report, run.report = run.report, None
    own = None if seen is None else Seen()
    try:
        result = check(value, path, own, run)
    finally:
        run.report = report
    if result and seen is not None and own is not None:
        seen.add(own)
    return result
