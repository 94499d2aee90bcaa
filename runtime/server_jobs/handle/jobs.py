"""The handles of enqueued jobs: the id of one job with methods, and the batch of one call of `later_many`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pydantic import BaseModel

from ..binding import JobBackend
from ..concurrency.blocking import wait_for
from ..domain.record import (
    LONGEST_PAGE,
    WAITS,
    Cancellation,
    Inserted,
    JobFilter,
    JobQuery,
    JobRecord,
    JobStatus,
    JobSummary,
    NewJob,
    Retrial,
)
from ..errors import InvalidOptionError, JobNotFoundError
from ..result import JobProgress, JobResult

if TYPE_CHECKING:
    from ..definition import JobDefinition
    from ..domain.statistics import BatchCounts
    from ..security.tokens import Tokens

R = TypeVar("R", bound=BaseModel | None)

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25
_REST = 10  # multiple of the duration of a count of a batch


class _Bound(Generic[R]):
    """The job class of a handle, and the backend that enqueued its jobs, if any."""

    __slots__ = ()

    _job: type[JobDefinition[Any, R, Any]]
    _backend: JobBackend | None

    async def _open_backend(self) -> JobBackend:
        """Return the open backend. A backend that enqueued the jobs and was closed since then stays closed."""
        backend = self.bound_backend()
        if self._backend is None:
            await backend.initialize()
        return backend

    def bound_backend(self) -> JobBackend:
        """Return the backend that enqueued the jobs, or else the one of calls of the class from here."""
        return self._backend or self._job.current_backend()


class JobHandle(str, _Bound[R]):
    """The id of an enqueued job, as a `str`, with typed access to the job and its result."""

    __slots__ = ("_backend", "_job", "created")

    created: bool
    """True if this call stored the job. False for an unfinished job with the same unique key, and for a stored id."""

    @classmethod
    def of(cls, job: type[JobDefinition[Any, R, Any]], backend: JobBackend | None, inserted: Inserted) -> JobHandle[R]:
        """Return the handle of a stored job. Without a `backend`, it uses the binding of the class at each call."""
        handle: JobHandle[R] = cls(inserted.id)
        handle._job, handle._backend, handle.created = job, backend, inserted.created
        return handle

    @classmethod
    def of_many(
        cls, job: type[JobDefinition[Any, R, Any]], backend: JobBackend | None, inserted: Sequence[Inserted]
    ) -> list[JobHandle[R]]:
        """Return the handles of stored jobs, without a call for each."""
        handles: list[JobHandle[R]] = []
        for job_id, created in inserted:
            handle: JobHandle[R] = cls(job_id)
            handle._job, handle._backend, handle.created = job, backend, created
            handles.append(handle)
        return handles

    async def record(self) -> JobRecord:
        """Read the stored job. Raises `JobNotFoundError` if this class has no job with the id."""
        backend = await self._open_backend()
        record = await backend.store.get(str(self))
        if record is None or record.job_name != self._job.job_name:
            raise JobNotFoundError(str(self))
        return record

    def record_sync(self) -> JobRecord:
        """Like `record`, for code without an event loop."""
        return wait_for(self.bound_backend(), "record()", self.record)

    async def status(self) -> JobStatus:
        """Read the status of the job. Raises `JobNotFoundError`."""
        return (await self._summary()).status

    def status_sync(self) -> JobStatus:
        """Like `status`, for code without an event loop."""
        return wait_for(self.bound_backend(), "status()", self.status)

    async def cancel(self) -> Cancellation:
        """Cancel a pending job. Ask a running job to stop.

        Returns `CANCELLED`, `REQUESTED` for a running job, or `FINISHED`. Raises `JobNotFoundError`.
        """
        backend = await self._open_backend()
        return await backend.store.cancel(str(self))

    def cancel_sync(self) -> Cancellation:
        """Like `cancel`, for code without an event loop."""
        return wait_for(self.bound_backend(), "cancel()", self.cancel)

    async def result(self, *, timeout: timedelta | None = None) -> JobResult[R]:  # noqa: ASYNC109  the name that callers expect
        """Wait until the job has finished, and return its outcome.

        Raises `TimeoutError` after `timeout`; the job itself continues.

            handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
            outcome = await handle.result(timeout=timedelta(seconds=30))
            print(outcome.data.message_id)
        """
        async with _time_limit(timeout, f"{self._job.job_name} {self}", f"server-jobs why {self}"):
            record = await self.record()
            pause = _FIRST_PAUSE
            while not record.status.is_finished:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)
                record = await self.record()
        return self._job.result_of(record)

    def result_sync(self, *, timeout: timedelta | None = None) -> JobResult[R]:
        """Like `result`, for code without an event loop."""
        return wait_for(self.bound_backend(), "result()", lambda: self.result(timeout=timeout))

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

    def events_link(
        self, *, base: str = "/_jobs", expires: timedelta = timedelta(minutes=5), tokens: Tokens | None = None
    ) -> str:
        """Return a link to the progress of this job, for `EventSource` in a browser, which cannot send a token.

        Everybody with the link can read status, progress and message of this job until it expires, and nothing else.
        Then an open stream ends, and a new request gets 403. Check first that your user may see the job.

        `base` is the path or the URL of the routes. `expires` is between 1 second and 1 day. The first of `tokens`, by
        default `JOBS_TOKEN`, signs the link. The server of the routes accepts the link while it has that token as
        `JOBS_TOKEN` or `JOBS_TOKEN_PREVIOUS`. Raises `InvalidOptionError`, also if no token is set.

            handle = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
            link = handle.events_link(tokens=Tokens(new_token()))
            assert link.startswith(f"/_jobs/jobs/{handle}/events?expires=")
        """
        from ..security.links import events_link  # imported when used: most processes make no links

        return events_link("jobs", str(self), base, expires, tokens)

    async def _summary(self) -> JobSummary:
        backend = await self._open_backend()
        summary = await backend.store.summary(str(self))
        if summary is None or summary.job_name != self._job.job_name:
            raise JobNotFoundError(str(self))
        return summary


class Batch(Sequence[JobHandle[R]], _Bound[R]):
    """The jobs of one call of `later_many` or `later_many_in`: a sequence of their handles, in the order of the params.

    `find_batch` of the job class finds it again by `id`, also in another process. A job that another call stored under
    the same unique key does not belong to the batch: `results` waits for it, and all other methods leave it out.

        readers = ["ada@example.com", "bob@example.com"]
        batch = await SendEmail.later_many([{"to": reader, "subject": "News"} for reader in readers])
        counts = await batch.wait(timeout=timedelta(minutes=5))
        print(f"{counts.completed} of {counts.total} completed")
    """

    id: str
    """The id of the batch, and of its completion job."""

    def __init__(
        self,
        job: type[JobDefinition[Any, R, Any]],
        backend: JobBackend | None,
        batch_id: str,
        handles: Sequence[JobHandle[R]],
    ) -> None:
        self.id = batch_id
        self._job = job
        self._backend = backend
        self._handles = handles

    def __len__(self) -> int:
        return len(self._handles)

    @overload
    def __getitem__(self, index: int) -> JobHandle[R]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[JobHandle[R]]: ...

    def __getitem__(self, index: int | slice) -> JobHandle[R] | Sequence[JobHandle[R]]:
        return self._handles[index]

    def __iter__(self) -> Iterator[JobHandle[R]]:
        return iter(self._handles)

    def __repr__(self) -> str:
        return f"<Batch {self.id} of {len(self)} {self._job.job_name} jobs>"

    async def counts(self) -> BatchCounts:
        """Count the jobs by status, with one query. `counts.percent` is the progress of the batch."""
        from ..domain.statistics import BatchCounts  # late, because most processes count no batch

        backend = await self._open_backend()
        return await backend.store.count_batch(self.id) or BatchCounts()

    def counts_sync(self) -> BatchCounts:
        """Like `counts`, for code without an event loop."""
        return wait_for(self.bound_backend(), "counts()", self.counts)

    async def watch(self) -> AsyncIterator[BatchCounts]:
        """Yield the counts now and after each change, until all jobs have finished.

        Counts the jobs four times a second at most, and less often while a count takes long.

            batch = await SendEmail.later_many([{"to": "ada@example.com", "subject": "News"}])
            async for counts in batch.watch():
                print(f"{counts.percent} %, {counts.failed} failed")
        """
        last: BatchCounts | None = None
        pause = _FIRST_PAUSE
        while last is None or last.unfinished:
            began = asyncio.get_running_loop().time()
            counts = await self.counts()
            took = asyncio.get_running_loop().time() - began
            if counts != last:
                last = counts
                yield counts
            if counts.unfinished:
                await asyncio.sleep(max(pause, took * _REST))
                pause = min(_LONGEST_PAUSE, pause * 1.5)

    async def wait(self, *, timeout: timedelta | None = None) -> BatchCounts:  # noqa: ASYNC109  as in `JobHandle.result`
        """Wait until all jobs have finished, and return their counts.

        Raises `TimeoutError` after `timeout`; the jobs themselves continue.
        """
        from ..domain.statistics import BatchCounts

        counts = BatchCounts()
        async with self._time_limit(timeout):
            async for counts in self.watch():  # noqa: B007  the last one is returned
                pass
        return counts

    def wait_sync(self, *, timeout: timedelta | None = None) -> BatchCounts:
        """Like `wait`, for code without an event loop."""
        return wait_for(self.bound_backend(), "wait()", lambda: self.wait(timeout=timeout))

    async def results(self, *, timeout: timedelta | None = None) -> list[JobResult[R]]:  # noqa: ASYNC109
        """Wait until all jobs have finished, and return one outcome for each of the params, in their order.

        Raises `TimeoutError` after `timeout`, or `JobNotFoundError` if a job was deleted.

            batch = await SendEmail.later_many([{"to": "ada@example.com", "subject": "News"}])
            for outcome in await batch.results():
                print(outcome.data.message_id if outcome.ok else outcome.error)
        """
        async with self._time_limit(timeout):
            await self.wait()
            records = await self._finished()
        return [self._job.result_of(records[handle]) for handle in self._handles]

    def results_sync(self, *, timeout: timedelta | None = None) -> list[JobResult[R]]:
        """Like `results`, for code without an event loop."""
        return wait_for(self.bound_backend(), "results()", lambda: self.results(timeout=timeout))

    def _time_limit(self, timeout: timedelta | None) -> AbstractAsyncContextManager[None]:
        return _time_limit(timeout, f"the batch {self.id}", f"server-jobs list --batch {self.id}")

    def events_link(
        self, *, base: str = "/_jobs", expires: timedelta = timedelta(minutes=5), tokens: Tokens | None = None
    ) -> str:
        """Return a link to the counts of this batch, for `EventSource` in a browser.

        Everybody with the link can read them until it expires, and nothing else. Otherwise like the link of a handle.

            batch = await SendEmail.later_many([{"to": "ada@example.com", "subject": "News"}])
            link = batch.events_link(tokens=Tokens(new_token()))
            assert link.startswith(f"/_jobs/batches/{batch.id}/events?expires=")
        """
        from ..security.links import events_link

        return events_link("batches", self.id, base, expires, tokens)

    async def cancel(self) -> int:
        """Cancel the pending jobs, and ask the running jobs to stop. Return the number of both.

        The completion job runs once they have ended. To cancel it too, use its handle: `SendReport.handle(batch.id)`.
        """
        backend = await self._open_backend()
        unfinished = JobFilter(batch_id=self.id, status=(JobStatus.PENDING, JobStatus.RUNNING))
        answers = await backend.store.cancel_many(self._handles, among=unfinished, detail=f"batch {self.id}")
        return sum(answer in (Cancellation.CANCELLED, Cancellation.REQUESTED) for answer in answers)

    def cancel_sync(self) -> int:
        """Like `cancel`, for code without an event loop."""
        return wait_for(self.bound_backend(), "cancel()", self.cancel)

    async def retry(self) -> int:
        """Make the failed jobs pending again, with all their attempts. Return their number.

        Leaves out a job whose unique key another unfinished job has. A completion job that has run does not run again.
        """
        backend = await self._open_backend()
        failed = JobFilter(batch_id=self.id, status=JobStatus.FAILED)
        answers = await backend.store.retry_many(self._handles, among=failed, detail=f"batch {self.id}")
        return sum(answer is Retrial.RETRIED for answer in answers)

    def retry_sync(self) -> int:
        """Like `retry`, for code without an event loop."""
        return wait_for(self.bound_backend(), "retry()", self.retry)

    async def _finished(self) -> dict[str, JobRecord]:
        """Return the records of all jobs. Wait for jobs of other batches, and for jobs that were retried in between."""
        store = (await self._open_backend()).store
        records: dict[str, JobRecord] = {}
        waiting: Sequence[str] = list(dict.fromkeys(self._handles))
        while True:
            for start in range(0, len(waiting), LONGEST_PAGE):
                some = tuple(waiting[start : start + LONGEST_PAGE])
                records |= {each.id: each for each in await store.list_jobs(JobQuery(ids=some, limit=len(some)))}
                if missing := next((job_id for job_id in some if job_id not in records), None):
                    raise JobNotFoundError(missing)
            waiting = [job_id for job_id in waiting if not records[job_id].status.is_finished]
            if not waiting:
                return records
            await asyncio.sleep(_LONGEST_PAUSE)


def completion_job(new: NewJob, batch_id: str) -> NewJob:
    """Return the job, changed so that it waits for the end of a batch. Raises `InvalidOptionError`."""
    if new.scheduled_for is not None or new.delay:
        raise InvalidOptionError(
            f"{new.job_name} cannot have scheduled_for or delay: it is due when the batch has ended"
        )
    if new.unique_key is not None:
        raise InvalidOptionError(
            f"{new.job_name} has a unique key, and a completion job may not have one, because a duplicate would be "
            "left out; give another job, which may enqueue this one"
        )
    return new._replace(id=batch_id, batch_id=batch_id, scheduled_for=WAITS)


@asynccontextmanager
async def _time_limit(longest: timedelta | None, what: str, command: str) -> AsyncIterator[None]:
    """Raise a `TimeoutError` that names what has not finished, and a command that shows more."""
    limit = asyncio.timeout(None if longest is None else longest.total_seconds())
    try:
        async with limit:
            yield
    except TimeoutError:
        if longest is None or not limit.expired():  # an error of the database
            raise
        message = f"{what} has not finished after {longest.total_seconds():g} seconds; `{command}` shows more"
        raise TimeoutError(message) from None
