"""What a queue must offer to be measured. One module of `bench.subjects` for each, with a function `subject`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module

from .work import Params

Ran = Callable[[str, str], None]
"""To be called by every handler, once a run, with `to` and `subject` of its params."""


class StoreKind(StrEnum):
    """Where the jobs of a subject are."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
    REDIS = "redis"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the harness needs to know of a subject, and what a reader should."""

    store: StoreKind
    packages: tuple[str, ...] = ()
    """Those whose versions are shown."""
    promises: str
    """What it does and does not do in this work."""
    bulk_calls: tuple[str, ...] = ()
    """Its ways to enqueue many; the first one also fills the queue for the drains."""
    unfinished: str = ""
    """Asks the store for one number: jobs that are not settled. `{jobs}` stands for those enqueued."""
    results: str = ""
    """Asks the store for one number: results. Empty where none are stored."""
    is_flushed: bool = True
    """Whether a commit is on the disk when the call returns."""
    is_analyzed: bool = False
    """PostgreSQL: whether the planner's statistics are taken when the queue is full, for those that are faster so."""
    worker: tuple[str, ...] = ()
    """The arguments of its own command that run jobs, such as `server-jobs worker`; else `Subject.work` runs them."""
    hold: str = ""
    """SQL that pauses the queue, for workers that connect only after "go"."""
    release: str = ""
    """SQL that resumes the queue and wakes idle workers. Both return a number."""
    uses_uvloop: bool = False
    """Whether it runs on uvloop, for those whose own command does."""


class Subject(ABC):
    """A queue on one store, in a process of its own, whose working directory is a folder of this subject alone."""

    description: Description

    @abstractmethod
    async def create_tables(self) -> None:
        """Make an empty store ready. Nothing else is called in this process."""

    @abstractmethod
    async def open(self) -> None:
        """Connect; not measured."""

    async def close(self) -> None:
        """Disconnect."""
        return

    @abstractmethod
    async def put(self, params: Params) -> None:
        """Enqueue one job; when this returns, it is committed."""

    async def announce(self) -> None:
        """Wake idle workers, where `put` does not; called after each `put` whose pick-up is measured."""
        return

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        """Enqueue many by one of `bulk_calls`."""
        raise NotImplementedError(f"{type(self).__name__} has no way to enqueue many named {call!r}, for {len(jobs)}")

    async def work(self, ran: Ran) -> None:
        """Run jobs until the process is ended from outside."""
        raise NotImplementedError(f"{type(self).__name__} has a command for that, and cannot call {ran!r}")

    async def add_finished(self, count: int) -> None:
        """Put that many completed jobs into the store, as if they had run long ago."""
        raise NotImplementedError(f"{type(self).__name__} cannot add {count} finished jobs")


@dataclass(frozen=True, slots=True)
class Remainder:
    """What a store in memory holds after a drain; others are asked from outside."""

    unfinished: int
    results: int


class MemorySubject(Subject):
    """A queue whose store ends with its process. `work` returns when nothing is left."""

    @abstractmethod
    async def remainder(self) -> Remainder:
        """What is in the store."""


@dataclass(frozen=True, slots=True)
class SubjectName:
    """`NAME` or `NAME:VARIANT`; a name with dots is that of a module outside `bench.subjects`."""

    text: str
    module: str = field(init=False)
    variant: str = field(init=False)

    def __post_init__(self) -> None:
        name, _, variant = self.text.partition(":")
        module = name if "." in name else f"bench.subjects.{name.replace('-', '_')}"
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "variant", variant)

    def load(self, url: str) -> Subject:
        """The subject on the store of that URL (a path, for SQLite)."""
        made = import_module(self.module).subject(self.variant, url)
        if not isinstance(made, Subject):
            raise TypeError(f"{self.module}.subject returned {made!r}, which is no Subject")
        return made
