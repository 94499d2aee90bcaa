"""What a program is told when it is started: plain values, which travel to the nursery as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol, TypeVar

P = TypeVar("P")


class Plan(Protocol):
    """A frozen dataclass of plain values."""

    @property
    def program(self) -> str:
        """The module of `tests.faults.programs` that runs it."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """A worker on a database. What it did goes to `notes`, what it logs to `log`."""

    url: str
    notes: str
    log: str
    program: str = "worker"
    concurrency: int = 8
    lease: float = 0.6
    poll: float = 0.1
    drain: float = 1.0
    busy_timeout: float | None = None
    """How long it waits for a locked SQLite file; None for the default."""
    memory: int | None = None
    """The most bytes of address space it may use beyond what it has."""
    user: int | None = None
    """The user it becomes once its own files are open."""
    trouble: str | None = None
    """What SIGUSR1 switches on and off there: "read-only" for its SQLite connections, or a "full disk"."""
    clock_error: float = 0.0
    """By how many seconds Python's wall clocks are wrong there."""
    sabotage: Sequence[Sequence[str]] = field(default_factory=tuple)
    """Statement, fragment, what stands in its place: protections that are taken away."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """A worker of one release of an application, which enqueues so many jobs of its own version."""

    url: str
    release: int
    jobs: int
    notes: str
    log: str
    program: str = "release"
    sabotage: Sequence[Sequence[str]] = field(default_factory=tuple)
    """As of a worker."""


@dataclass(frozen=True, kw_only=True)
class EnqueuerPlan:
    """Orders and their jobs, each pair in a transaction, until killed."""

    url: str
    program: str = "enqueuer"


@dataclass(frozen=True, kw_only=True)
class RacerPlan:
    """Enqueues each key once, as soon as there is a file `gate`, and notes the answers."""

    url: str
    gate: str
    notes: str
    keys: Sequence[str]
    program: str = "racer"


@dataclass(frozen=True, kw_only=True)
class CancellerPlan:
    """Cancels these jobs, with short random pauses, and notes the answers."""

    url: str
    notes: str
    seed: int
    pause: float
    job_ids: Sequence[str]
    program: str = "canceller"


@dataclass(frozen=True, kw_only=True)
class ProxyPlan:
    """What comes to the port goes to that server."""

    port: int
    host: str
    target: int
    program: str = "proxy"


def as_text(plan: Plan) -> str:
    """One line of JSON."""
    return json.dumps(asdict(plan))  # type: ignore[call-overload, unused-ignore]  # every plan is a dataclass


def from_text(kind: type[P], text: str) -> P:
    """The plan that `as_text` wrote."""
    return kind(**json.loads(text))
