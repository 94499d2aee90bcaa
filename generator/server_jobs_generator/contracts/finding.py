"""A finding: the effect of a spec's change on existing rows, workers and readers, and its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from ..problems.problem import printable
from .contract_rules import NEVER_ACCEPTED


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A value in a file. `path` is relative to the project's root; an old place may begin with a revision."""

    path: str
    line: int
    column: int
    pointer: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Severity(StrEnum):
    """Whether the finding stops generation."""

    ERROR = "error"
    WARNING = "warning"


class Direction(StrEnum):
    """The data and the reader that meet.

    `QUEUE`: queued params and the new handler. `ROLLOUT`: new params and an older worker. `STORE`: stored results and a
    new reader. `READER`: new results and an older reader. `META`: none of these, such as a change of options.
    """

    QUEUE = "queue"
    ROLLOUT = "rollout"
    STORE = "store"
    READER = "reader"
    META = "meta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFinding:
    """A change and the data that it breaks. `place` is in the current spec, `old` the place before, if it differed.

    `accepted` is the reason that a user wrote down; an accepted finding stops nothing.
    """

    place: Place
    old: Place | None
    severity: Severity
    rule: str
    job: str
    directions: tuple[Direction, ...]
    message: str
    advice: str
    accepted: str | None = None

    @property
    def stops(self) -> bool:
        """Return whether the finding stops generation."""
        return self.severity is Severity.ERROR and self.accepted is None

    @property
    def entry(self) -> str | None:
        """Return a JSON entry that accepts the finding, without reason and date; None if it cannot be accepted."""
        if self.rule in NEVER_ACCEPTED:
            return None
        about = {"rule": self.rule, "job": self.job, "pointer": self.place.pointer, "change": self.message}
        return json.dumps({**about, "reason": "", "expires": ""}, ensure_ascii=not self.message.isprintable())

    @property
    def sort_key(self) -> tuple[Place, str, str]:
        """Return the key for sorting findings in reading order."""
        return self.place, self.rule, self.message

    @property
    def text(self) -> str:
        """Return the message with its subject, what it breaks, and advice."""
        broken = f" ({', '.join(_BROKEN[direction] for direction in self.directions)})" if self.directions else ""
        advice = f"; {self.advice}" if self.advice else ""
        before = f"; the earlier form is at {self.old}" if self.old else ""
        return f"{self.job}: {self.message}{broken}{advice}{before}"

    def __str__(self) -> str:
        severity = "accepted" if self.accepted is not None else self.severity.value
        return printable(f"{self.place} {self.place.pointer or '(whole file)'} {severity}: {self.text} [{self.rule}]")

    def document(self) -> dict[str, object]:
        """Return the finding as JSON."""
        old = self.old and {
            "path": self.old.path,
            "line": self.old.line,
            "column": self.old.column,
            "pointer": self.old.pointer,
        }
        return {
            "path": self.place.path,
            "line": self.place.line,
            "column": self.place.column,
            "pointer": self.place.pointer,
            "old": old,
            "severity": self.severity.value,
            "rule": self.rule,
            "job": self.job,
            "directions": [direction.value for direction in self.directions],
            "message": self.message,
            "advice": self.advice,
            "accepted": self.accepted,
        }


_BROKEN = {
    Direction.QUEUE: "breaks jobs that are queued",
    Direction.ROLLOUT: "breaks older workers",
    Direction.STORE: "breaks results that are stored",
    Direction.READER: "breaks older readers of results",
    Direction.META: "breaks what there is",
}
