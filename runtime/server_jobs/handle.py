"""The handle of an enqueued job: its id, with methods that read, wait for and cancel the job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from .binding import JobBackend
from .concurrency.blocking import wait_for
from .domain.record import Cancellation, Inserted, JobRecord, JobStatus, JobSummary
from .errors import JobNotFoundError
from .result import JobProgress, JobResult

if TYPE_CHECKING:
    from .definition import JobDefinition

R = TypeVar("R", bound=BaseModel)

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class JobHandle(str, Generic[R]):
    """The id of an enqueued job, as a `str`, with typed access to the job and its result."""

    __slots__ = ("_backend", "_job", "created")

    created: bool
    """True if this call stored the job. False for an unfinished job with the same unique key, and for a stored id."""

    _job: type[JobDefinition[Any, R, Any]]
    _backend: JobBackend | None

    @classmethod
    def of(cls, job: type[JobDefinition[Any, R, Any]], backend: JobBackend | None, inserted: Inserted) -> JobHandle[R]:
        """Return the handle of a stored job. Without a `backend`, it uses the binding of the class at each call."""
        handle: JobHandle[R] = cls(inserted.id)
        handle._job, handle._backend, handle.created = job, backend, inserted.created
        return handle

    async def record(self) -> JobRecord:
        """Read the stored job. Raises `JobNotFoundError` if this class has no job with the id."""
        backend = await self._open_backend()
        record = await backend.store.get(str(self))
        if record is None or record.job_name != self._job.job_name:
            raise JobNotFoundError(str(self))
        return record

    def record_sync(self) -> JobRecord:
        """Like `record`, for code without an event loop."""
        return wait_for(self._bound_backend(), "record()", self.record)

    async def status(self) -> JobStatus:
        """Read the status of the job. Raises `JobNotFoundError`."""
        return (await self._summary()).status

    def status_sync(self) -> JobStatus:
        """Like `status`, for code without an event loop."""
        return wait_for(self._bound_backend(), "status()", self.status)

    async def cancel(self) -> Cancellation:
        """Cancel a pending job. Ask a running job to stop.

        Returns `CANCELLED`, `REQUESTED` for a running job, or `FINISHED`. Raises `JobNotFoundError`.
        """
        backend = await self._open_backend()
        return await backend.store.cancel(str(self))

    def cancel_sync(self) -> Cancellation:
        """Like `cancel`, for code without an event loop."""
        return wait_for(self._bound_backend(), "cancel()", self.cancel)

    async def result(self, *, timeout: timedelta | None = None) -> JobResult[R]:  # noqa: ASYNC109  the name that callers expect
        """Wait until the job has finished, and return its outcome.

        Raises `TimeoutError` after `timeout`; the job itself continues.

            handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
            outcome = await handle.result(timeout=timedelta(seconds=30))
            print(outcome.data.message_id)
        """
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            record = await self.record()
            pause = _FIRST_PAUSE
            while not record.status.is_finished:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)
                record = await self.record()
        return self._job.result_of(record)

    def result_sync(self, *, timeout: timedelta | None = None) -> JobResult[R]:
        """Like `result`, for code without an event loop."""
        return wait_for(self._bound_backend(), "result()", lambda: self.result(timeout=timeout))

    async def watch(self) -> AsyncIterator[JobProgress]:
        """Yield the progress now and after each change, until the job has finished. The last item has the final status.

        Reads the job four times a second at most, so that shorter changes may be missed. Raises `JobNotFoundError` if
        the job was deleted.

            handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
            async for progress in handle.watch():
                print(progress.status, progress.percent, progress.message)
        """
        last: JobProgress | None = None
        while last is None or not last.status.is_finished:
            progress = JobProgress.of(await self._summary())
            if progress != last:
                last = progress
                yield progress
            else:
                await asyncio.sleep(_LONGEST_PAUSE)

    async def _summary(self) -> JobSummary:
        backend = await self._open_backend()
        summary = await backend.store.summary(str(self))
        if summary is None or summary.job_name != self._job.job_name:
            raise JobNotFoundError(str(self))
        return summary

    async def _open_backend(self) -> JobBackend:
        """Return the open backend. A backend that enqueued the job and was closed since then stays closed."""
        backend = self._bound_backend()
        if self._backend is None:
            await backend.initialize()
        return backend

    def _bound_backend(self) -> JobBackend:
        return self._backend or self._job.current_backend()
