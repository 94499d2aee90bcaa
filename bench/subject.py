"""The interface of a measured queue. Each queue has a module in `bench.subjects` with a function `subject`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module

from .work import Params

Ran = Callable[[str, str], None]
"""Every handler calls this once in each run, with `to` and `subject` of its params."""


class StoreKind(StrEnum):
    """The kind of store of a subject."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
    REDIS = "redis"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The facts about a subject for the harness and for readers of the results."""

    store: StoreKind
    packages: tuple[str, ...] = ()
    """The packages to list with their versions."""
    promises: str
    """A description of its guarantees in this work, and of missing ones."""
    bulk_calls: tuple[str, ...] = ()
    """Its ways to enqueue many jobs. The first one also fills the queue for the drains."""
    unfinished: str = ""
    """A question to the store: the number of unfinished jobs. `{jobs}` stands for the number of enqueued jobs."""
    results: str = ""
    """A question to the store: the number of results. Empty if the subject stores no results."""
    is_flushed: bool = True
    """Whether a commit is on the disk when the call returns."""
    is_analyzed: bool = False
    """PostgreSQL: whether to run `ANALYZE` when the queue is full, for subjects that are faster with it."""
    worker: tuple[str, ...] = ()
    """The command that runs jobs, such as `server-jobs worker`. If empty, `Subject.work` runs them."""
    hold: str = ""
    """SQL that pauses the queue, for workers that connect only after "go"."""
    release: str = ""
    """SQL that resumes the queue and wakes idle workers. Like `hold`, it returns a number."""
    uses_uvloop: bool = False
    """Whether it runs on uvloop. True for subjects whose command does."""


class Subject(ABC):
    """A queue on one store, in a separate process. Its working directory belongs to this subject alone."""

    description: Description

    @abstractmethod
    async def create_tables(self) -> None:
        """Prepare an empty store. The harness makes no other call in this process."""

    @abstractmethod
    async def open(self) -> None:
        """Connect. This is not measured."""

    async def close(self) -> None:
        """Disconnect."""
        return

    @abstractmethod
    async def put(self, params: Params) -> None:
        """Enqueue one job, and commit it before returning."""

    async def announce(self) -> None:
        """Wake idle workers if `put` does not. The harness calls this after each `put` whose pick-up it measures."""
        return

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        """Enqueue many jobs with one of the `bulk_calls`."""
        raise NotImplementedError(f"{type(self).__name__} has no way to enqueue many named {call!r}, for {len(jobs)}")

    async def work(self, ran: Ran) -> None:
        """Run jobs until the harness ends the process."""
        raise NotImplementedError(f"{type(self).__name__} has a command for that, and cannot call {ran!r}")

    async def add_finished(self, count: int) -> None:
        """Add this number of completed jobs to the store, as if they had run long ago."""
        raise NotImplementedError(f"{type(self).__name__} cannot add {count} finished jobs")


@dataclass(frozen=True, slots=True)
class Remainder:
    """The unfinished jobs and the results in a memory store after a drain. The harness queries other stores itself."""

    unfinished: int
    results: int


class MemorySubject(Subject):
    """A queue whose store ends with its process. `work` returns when no job is left."""

    @abstractmethod
    async def remainder(self) -> Remainder:
        """Return the numbers of unfinished jobs and results in the store."""


@dataclass(frozen=True, slots=True)
class SubjectName:
    """`NAME` or `NAME:VARIANT`. A name with dots is the path of a module outside `bench.subjects`."""

    text: str
    module: str = field(init=False)
    variant: str = field(init=False)

    def __post_init__(self) -> None:
        name, _, variant = self.text.partition(":")
        module = name if "." in name else f"bench.subjects.{name.replace('-', '_')}"
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "variant", variant)

    def load(self, url: str) -> Subject:
        """Return the subject on the store at this URL, which is a path for SQLite."""
        made = import_module(self.module).subject(self.variant, url)
        if not isinstance(made, Subject):
            raise TypeError(f"{self.module}.subject returned {made!r}, which is no Subject")
        return made
