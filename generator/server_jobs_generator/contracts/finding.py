"""What a change of a spec does to the rows, workers and readers that there are, as it is reported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from ..problems.problem import printable
from .contract_rules import NEVER_ACCEPTED
from .place import Place


class Severity(StrEnum):
    """Whether generation stops, or it is only said."""

    ERROR = "error"
    WARNING = "warning"


class Direction(StrEnum):
    """Whose data meets whom: queued params the new handler, new params an older worker, stored results a new reader,
    new results an older reader; or none of these, as with a change of options."""

    QUEUE = "queue"
    ROLLOUT = "rollout"
    STORE = "store"
    READER = "reader"
    META = "meta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFinding:
    """One change and whom it breaks. `place` is in the spec as it is now, `old` where it said something else before.

    `accepted` is the reason that somebody wrote down for it; an accepted one stops nothing.
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
        """Whether nothing may be generated because of it."""
        return self.severity is Severity.ERROR and self.accepted is None

    @property
    def entry(self) -> str | None:
        """What accepts it among the accepted findings, with the reason and the day left open; None if nothing does."""
        if self.rule in NEVER_ACCEPTED:
            return None
        about = {"rule": self.rule, "job": self.job, "pointer": self.place.pointer, "change": self.message}
        return json.dumps({**about, "reason": "", "expires": ""}, ensure_ascii=not self.message.isprintable())

    @property
    def sort_key(self) -> tuple[Place, str, str]:
        """In reading order."""
        return self.place, self.rule, self.message

    @property
    def text(self) -> str:
        """The message with what it is about, whom it breaks, and what to do."""
        broken = f" ({', '.join(_BROKEN[direction] for direction in self.directions)})" if self.directions else ""
        advice = f"; {self.advice}" if self.advice else ""
        before = f", before at {self.old}" if self.old else ""
        return f"{self.job}: {self.message}{broken}{advice}{before}"

    def __str__(self) -> str:
        severity = "accepted" if self.accepted is not None else self.severity.value
        return printable(f"{self.place} {self.place.pointer or '(whole file)'} {severity}: {self.text} [{self.rule}]")

    def document(self) -> dict[str, object]:
        """The JSON form."""
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
