"""The long-lived worker: claims jobs, runs them and stores their outcomes until `stop` is called.

`prefetch` claims, `slots` runs, `maintenance` expires leases, fires schedules and prunes. The worker is the loop that
drives the three, and knows its own health.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from socket import gethostname
from typing import TYPE_CHECKING

from .. import __version__
from ..domain.ids import new_job_id
from ..domain.option_kinds import check_duration, check_range
from ..domain.record.reports import WorkerReport
from ..errors import DatabaseError, InvalidOptionError, PrivilegeMissingError, ServerJobsError
from ..registry import JobRegistry
from .attempts.attempt import Attempt
from .backend import Backend
from .execution import Execution
from .maintenance import MAINTENANCE_INTERVAL, Maintenance
from .prefetch import Prefetcher
from .slots import Listener, Slots

if TYPE_CHECKING:
    from ..isolation.limits import ProcessLimits

_logger = logging.getLogger("server_jobs")

DEFAULT_DRAIN_TIMEOUT = timedelta(seconds=8)
"""Docker kills a container 10 s after SIGTERM. Releasing the jobs takes up to another second."""
DEFAULT_RELEASE_TIMEOUT = timedelta(seconds=5)
"""Longer than the release of a thousand jobs takes. Only a database that does not answer needs more."""
NEARLY_DUE = timedelta(minutes=1)
_LONGEST_PAUSE = 2.0
_LATE = 10.0
"""Seconds without a look for jobs after which a worker is not ready. It looks every second or two."""


class Worker:
    """Run the jobs of one backend until `stop` is called.

    Runs at most `concurrency` jobs at a time (default: the backend's `max_concurrency`), from `queues` if given. With
    `until_empty`, the worker ends when no job runs here, none is due within a minute, and no lease of a running job
    elsewhere ends within a minute. It calls `listener` for every attempt.

    `limits` are for the handler processes of the backend, which it replaces, and for this process: when it reaches one,
    the worker claims no more jobs, and `run` ends when the running ones have ended, however long they take. Start a new
    process then.

    While jobs are short, the worker prefetches: it claims more jobs than it can run at once. It renews the leases of
    waiting claims, and releases a claim that waited longer than a second.

    After `stop`, the worker ends at the latest at `drain_timeout` plus `release_timeout`, even if the database does not
    answer. Jobs that it could not release then wait until their leases expire.

        async with connect(registry) as backend:
            worker = Worker(backend, concurrency=20, queues=("mail",))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
            await worker.run()
    """

    def __init__(
        self,
        backend: Backend,
        *,
        concurrency: int | None = None,
        queues: tuple[str, ...] | None = None,
        drain_timeout: timedelta = DEFAULT_DRAIN_TIMEOUT,
        release_timeout: timedelta = DEFAULT_RELEASE_TIMEOUT,
        until_empty: bool = False,
        listener: Listener | None = None,
        limits: ProcessLimits | None = None,
    ) -> None:
        if concurrency is not None:
            check_range("concurrency", concurrency, 1, 10_000)
        check_duration("drain_timeout", drain_timeout)
        check_duration("release_timeout", release_timeout)
        if isinstance(queues, str):
            raise InvalidOptionError(f"queues must be a tuple of names such as ({queues!r},), not {queues!r}")
        backend.execution.request(limit=1, queues=queues)  # raises for a bad name here instead of at the first claim
        self.backend = backend
        self.queues = queues
        self.id: str = new_job_id()
        """The id of this worker in the database, also in the rows of the jobs that it claims."""
        self.concurrency = concurrency or backend.config.max_concurrency
        self._drain_timeout = drain_timeout
        self._release_timeout = release_timeout
        self._until_empty = until_empty
        self._wake = asyncio.Event()
        self._is_over = asyncio.Event()
        self._drains_until: float | None = None
        self._limits = limits
        self._listener = listener
        self._stops = 0
        self._use(backend.execution)

    def _use(self, execution: Execution) -> None:
        """Work with this execution, which a forked process and a shutdown of the backend replace."""
        self._execution = execution
        execution.attempt_factory.process_limits = self._limits
        self._unready = execution.attempt_factory.unready
        self._prefetcher = Prefetcher(execution, self.queues, self.id)
        most_here = None if self._limits is None else self._limits.max_jobs
        self._slots = Slots(execution, self._prefetcher, self.concurrency, self._listener, most_here=most_here)
        self._maintenance = Maintenance(execution, self._look_again)
        self.health = WorkerHealth(execution, self._slots, is_stopping=self._stops > 0)
        """Whether the worker claims jobs, and why not."""

    def stop(self) -> None:
        """Stop claiming, let running jobs finish within the drain timeout, and release the rest.

        A second call releases them now.
        """
        self._stops += 1
        self.health.is_stopping = True
        self._begin_drain()
        self._slots.close()
        self._wake.set()
        self._is_over.set()

    def _begin_drain(self) -> None:
        if self._drains_until is None:
            self._drains_until = time.monotonic() + self._drain_timeout.total_seconds()

    def attempts(self) -> list[Attempt]:
        """The running attempts of this worker, with their progress."""
        return self._slots.attempts()

    async def prepare(self) -> None:
        """Open the database and the lifespans, and check all handlers. `run` does this first, and raises its errors."""
        await self.backend.initialize()
        if self._execution is not self.backend.execution:
            self._use(self.backend.execution)
        if self._execution.attempt_factory.jobs_elsewhere():
            from .open_places import check_places  # few workers need more places

            check_places(self._execution.attempt_factory, self.backend.name)
        self._execution.check_handlers()
        await self._execution.open_resources()
        self._execution.attempt_factory.check_dependencies()

    async def run(self) -> None:
        """Work until `stop` is called, a limit is reached or, with `until_empty`, the queue is empty.

        Stopping uses up no attempt.

        If the database goes away later, the worker waits for it with growing pauses. Raises `DatabaseError` at the
        start only, as `PrivilegeMissingError` if the first claim is not permitted. Raises `SetupError` if a lifespan
        does not open, and `DependencyError` if a handler needs a resource that no lifespan yields. After an unexpected
        error of the store, logs it, drains, and raises it: a new process may work.
        """
        await self.prepare()
        _report_stubs(self.backend.registry)
        self._start_reports()
        self._wake, self._is_over = asyncio.Event(), asyncio.Event()
        if not self._stops:
            self._drains_until = None
        self._slots.open(self._wake.set)
        self._prefetcher.may_be_more = True
        self.health.note_look()
        wake = _from_any_thread(self._look_again)
        self.backend.inserted.append(wake)
        unwatch = self._execution.store.watch(self._look_again)
        working = asyncio.create_task(self._work(), name="server-jobs-worker")
        working.add_done_callback(lambda _: self._note_over())
        try:
            await self._is_over.wait()
        except BaseException:
            working.cancel()
            raise
        finally:
            unwatch()
            self.backend.inserted.remove(wake)
            await self._maintenance.stop()
            await self._drain(working)
            await self._leave(working)
        if working.done() and not working.cancelled():
            working.result()  # raises its error

    async def _work(self) -> None:
        try:
            while not self._stops and not await self._step():
                await self._wait()
        except ServerJobsError:
            raise
        except Exception:
            _logger.exception("the worker ends because of an unexpected error")
            raise

    def _note_over(self) -> None:
        self._is_over.set()
        self._wake.set()

    def _report(self) -> WorkerReport:
        factory = self._execution.attempt_factory
        self._unready = factory.unready
        elsewhere = self._unready | factory.unplaced
        known = (job for job in self.backend.registry.known_jobs() if job.name not in elsewhere)
        return WorkerReport(
            id=self.id,
            host=gethostname(),
            pid=os.getpid(),
            queues=self.queues,
            concurrency=self.concurrency,
            version=__version__,
            known=tuple((job.name, job.version) for job in known),
        )

    def _start_reports(self) -> None:
        self._execution.runner.leases.add_worker(self._report(), self.backend.config.lease)

    def _look_again(self) -> None:
        self._prefetcher.may_be_more = True
        self._wake.set()

    async def _step(self) -> bool:
        """Claim jobs for the free slots and run maintenance. Return whether the work is done."""
        self._wake.clear()
        try:
            if self.health.pause:
                await self._execution.store.ping()
            self._slots.report_stuck()
            if self._unready != self._execution.attempt_factory.unready:
                self._start_reports()  # jobs have a place to run now
            self._check_limits()
            self._prefetcher.release_late()
            await self._claim()
            self.health.has_claimed = True
            if not self._stops:
                self._maintenance.tick()  # after the claim, which it would delay
            is_finished = await self._is_finished()
        except DatabaseError as error:
            if isinstance(error, PrivilegeMissingError) and not self.health.has_claimed:
                raise
            self.health.note_failure(error)
            return False
        finally:
            self.health.note_look()
        self.health.note_success()
        return is_finished

    def _check_limits(self) -> None:
        if self._limits is None or self.health.reached_limit is not None:
            return
        from ..isolation.limits import resident_memory  # needed only with limits

        self.health.reached_limit = self._limits.reached(self._slots.ran_here, resident_memory)
        if self.health.reached_limit is not None:
            _logger.info("this worker ends when its running jobs have ended: %s", self.health.reached_limit)
            self._prefetcher.release()

    async def _claim(self) -> None:
        """Claim jobs and start as many as there are free slots."""
        wanted = self._wanted()
        if not wanted:
            return
        await self._prefetcher.claim(wanted, self._slots.free)
        if self._wanted():
            self._wake.set()  # the next claim runs while these jobs start
            self._slots.fill_soon()
            return
        self._slots.fill()
        await asyncio.sleep(0)  # so that `attempts` lists them from now on

    def _wanted(self) -> int:
        is_over = self.health.reached_limit is not None
        return 0 if is_over or self._slots.is_blocked() else self._prefetcher.wanted(self._slots.free)

    async def _is_finished(self) -> bool:
        if self.health.reached_limit is not None:
            return not self._slots.is_busy
        if not self._until_empty or self._is_busy():
            return False
        await self._maintenance.finish()
        if self._is_busy():
            return False
        work = await self._execution.store.upcoming_work(self._execution.request(limit=1, queues=self.queues))
        return all(wait is None or wait > NEARLY_DUE for wait in (work.until_due, work.until_lease_end))

    def _is_busy(self) -> bool:
        return self._prefetcher.may_be_more or len(self._prefetcher) > 0 or self._slots.is_busy

    async def _wait(self) -> None:
        """Wait for a free slot, a new job, a stop, or the next maintenance or poll."""
        if self._stops:
            return  # `_drain` may have cleared the event
        poll_interval = self.backend.config.poll_interval.total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.health.pause or min(poll_interval, MAINTENANCE_INTERVAL.total_seconds())):
                await self._wake.wait()
        self._prefetcher.poll_after(poll_interval)

    async def _drain(self, working: asyncio.Task[None]) -> None:
        """Wait for the last claim and for running jobs, until the drain timeout or a second stop."""
        self._begin_drain()
        self._slots.close()
        self._prefetcher.release()
        await asyncio.sleep(0)  # jobs claimed just now start
        while (self._slots.is_busy or not working.done()) and self._stops < 2:
            self._prefetcher.release()  # the jobs of a claim that was on its way
            self._wake.clear()
            try:
                async with asyncio.timeout(self._left_to_drain()):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _left_to_drain(self) -> float:
        return max(0, (self._drains_until or 0) - time.monotonic())

    async def _leave(self, working: asyncio.Task[None]) -> None:
        """Release the jobs that still run and the jobs of the last claim. A released job keeps its attempt.

        Forget this worker. If the database does not answer in time, the leases of the jobs expire.
        """
        self._prefetcher.release()  # claims that came during the drain
        working.cancel()  # a claim that is answered later is released then
        try:
            async with asyncio.timeout(self._release_timeout.total_seconds()):
                await self._slots.stop()
                await asyncio.wait([working])
                await self._execution.runner.remove_worker(self.id)
        except TimeoutError:
            _logger.error(  # noqa: TRY400  one line, no trace
                "the database did not answer within %g s: the worker ends, and its claims expire with their leases",
                self._release_timeout.total_seconds(),
            )
        except Exception:
            _logger.exception("an unexpected error at the end of the worker; its claims expire with their leases")
        finally:
            self._execution.runner.leases.stop_reporting(self.id)  # also if the time was up before


class WorkerHealth:
    """The state of a worker for health checks: its last look for jobs, its limits, and outages of its database.

    Any thread may read it.
    """

    def __init__(self, execution: Execution, slots: Slots, *, is_stopping: bool) -> None:
        self._execution = execution
        self._slots = slots
        self.is_stopping = is_stopping
        self.reached_limit: str | None = None
        """Which of its limits this process has reached, as a sentence."""
        self.has_claimed = False
        """Whether the database has permitted a claim."""
        self.pause = 0.0
        """Seconds until the worker tries the database again; 0 while the database can be used."""
        self._looked: float | None = None

    def note_look(self) -> None:
        """Note that the worker starts, or has looked for jobs."""
        self._looked = self._execution.clock.monotonic()

    def note_failure(self, error: DatabaseError) -> None:
        """Lengthen the pause, and log the first error."""
        if not self.pause:
            _logger.error("the database cannot be used, trying again: %s", error)
        self.pause = min(_LONGEST_PAUSE, self.pause * 2 or 0.1)

    def note_success(self) -> None:
        """End the pause after a claim and the chores, if outcomes can be stored too."""
        if self.pause and not self._execution.runner.is_failing:
            _logger.warning("the database is back")
            self.pause = 0.0

    def unready(self) -> str | None:
        """Return why the worker claims no jobs, as a sentence; None while it claims them."""
        if self.is_stopping:
            return f"the worker is stopping; jobs that still run: {len(self._slots.attempts())}"
        if self.reached_limit is not None:
            return f"the worker claims no more jobs, because {self.reached_limit}"
        if self._looked is None or not (self.has_claimed or self.pause):
            return "the worker is starting"
        if self.pause:
            return "the database cannot be used; the log of the worker has the error"
        if self._execution.runner.is_failing:
            return "outcomes cannot be stored; the log of the worker has the error"
        if (late := self._late()) > _LATE:
            return f"the worker has not looked for jobs for {late:.0f} s"
        return self.stuck()

    def stuck(self) -> str | None:
        """Return why only a restart helps the worker, as a sentence; None while it works.

        A worker is stuck if it has not looked for jobs for a whole lease: a handler blocks its event loop, or the
        database never answers. It is also stuck if handlers in threads that do not return occupy all slots.
        """
        if self.is_stopping or self._looked is None:
            return None
        if self._slots.is_stuck:
            return "handlers that did not return in time occupy all slots"
        late = self._late()
        if late > max(_LATE, self._execution.config.lease.total_seconds()):
            return f"the worker has not looked for jobs for {late:.0f} s"
        return None

    def _late(self) -> float:
        return 0.0 if self._looked is None else self._execution.clock.monotonic() - self._looked


def _report_stubs(registry: JobRegistry) -> None:
    """Log the jobs that nobody claims because their handlers, or upcasters, are not written yet."""
    for registration in registry.registrations():
        name = registration.job.job_name
        if registration.is_stub:
            _logger.warning("the handler of %s is still a stub; its jobs are not claimed", name)
        for version in registration.versions.stubs:
            _logger.warning(
                "the upcaster of %s from version %d is still a stub; its jobs of that version, and of those before, "
                "are not claimed",
                name,
                version,
            )


def _from_any_thread(call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that makes the call in this event loop. Any thread may call it, such as that of a handler."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call)

    return ask
