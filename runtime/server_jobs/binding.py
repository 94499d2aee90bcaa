"""Which backend the calls of job classes go to: the one bound, or inside a handler the one that executes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from .context import JobContext, current_context
from .record import Inserted, JobRecord, NewJob
from .result import JobMetadata

if TYPE_CHECKING:
    from .job import AnyJob
    from .ports import Store


class JobBackend(Protocol):
    """What a job class needs of the backend it is bound to."""

    @property
    def store(self) -> Store: ...

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store pending jobs, and let waiting workers of this process know."""
        ...

    async def run_new(self, job: AnyJob, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        """Store a job as running, execute it here, settle it."""
        ...

    async def run_stored(self, job: AnyJob, job_id: str, worker_timeout: timedelta) -> JobRecord:
        """Claim that stored job, execute it here, settle it. Raises `JobUnavailableError`."""
        ...

    async def run_unstored(
        self, job: AnyJob, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        """Execute the job here without a trace in the store."""
        ...


current_backend: ContextVar[JobBackend | None] = ContextVar("current_backend", default=None)


@contextmanager
def running_under(backend: JobBackend, context: JobContext) -> Iterator[None]:
    """Inside this block, job classes enqueue into that backend, with the correlation id of that context."""
    backend_token, context_token = current_backend.set(backend), current_context.set(context)
    try:
        yield
    finally:
        current_context.reset(context_token)
        current_backend.reset(backend_token)
