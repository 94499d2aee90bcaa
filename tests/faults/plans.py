"""The arguments of programs: plain values, passed to the nursery as JSON."""

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
        """Return the module of `tests.faults.programs` that runs it."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """A worker on a database, with the files for its notes and its log."""

    url: str
    notes: str
    log: str
    program: str = "worker"
    concurrency: int = 8
    lease: float = 0.6
    poll: float = 0.1
    drain: float = 1.0
    busy_timeout: float | None = None
    """Seconds that it waits for a locked SQLite file; None for the default."""
    memory: int | None = None
    """The bytes of address space that it may use in addition to its start."""
    user: int | None = None
    """The user that it becomes once its own files are open."""
    trouble: str | None = None
    """The trouble that SIGUSR1 switches on and off: "read-only" for its SQLite connections, or a "full disk"."""
    dies_before_end_of_batch: bool = False
    """Whether it is killed after the last job of a batch, before the completion job becomes due."""
    clock_error: float = 0.0
    """The error of Python's wall clocks in its process, in seconds."""
    sabotage: Sequence[Sequence[str]] = field(default_factory=tuple)
    """Statement, fragment, replacement: protections to remove."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """A worker of one release of an application, which enqueues that many jobs of its own version."""

    url: str
    release: int
    jobs: int
    notes: str
    log: str
    program: str = "release"
    sabotage: Sequence[Sequence[str]] = field(default_factory=tuple)
    """As in `WorkerPlan`."""


@dataclass(frozen=True, kw_only=True)
class EnqueuerPlan:
    """Stores orders with their jobs, each pair in a transaction, until it is killed."""

    url: str
    program: str = "enqueuer"


@dataclass(frozen=True, kw_only=True)
class RacerPlan:
    """Enqueues each key once, as soon as the file `gate` exists, and notes the answers."""

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
    """Forwards connections from the port to a server."""

    port: int
    host: str
    target: int
    program: str = "proxy"


def as_text(plan: Plan) -> str:
    """One line of JSON."""
    return json.dumps(asdict(plan))  # type: ignore[call-overload, unused-ignore]  # every plan is a dataclass


def from_text(kind: type[P], text: str) -> P:
    """Return the plan that `as_text` wrote."""
    return kind(**json.loads(text))
