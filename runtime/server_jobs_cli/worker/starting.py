"""The start of a worker: its settings, the wait for its database, and the first lines of its log."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from server_jobs import __version__
from server_jobs.engine.backend import Backend
from server_jobs.engine.worker import DEFAULT_DRAIN_TIMEOUT
from server_jobs.errors import DatabaseUnreachableError, ServerJobsError
from server_jobs.registry import JobRegistry

from ..console.options import duration
from ..console.output import suggestion
from ..console.workspace import Workspace
from .shutdown import Shutdown
from .worker_log import EVENTS

if TYPE_CHECKING:
    from server_jobs.isolation.limits import ProcessLimits

_logger = logging.getLogger(EVENTS)
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0

drain_timeout_option = click.option(
    "--drain-timeout",
    type=duration,
    default=f"{DEFAULT_DRAIN_TIMEOUT.total_seconds():g}s",
    show_default=True,
    help="Time for running jobs to finish after a signal to stop.",
)
log_level_option = click.option(
    "--log-level",
    metavar="LEVEL",
    type=click.Choice(("debug", "info", "warning", "error"), case_sensitive=False),
    default="info",
    show_default=True,
    help="debug, info, warning or error. Debug logs every job, however many there are.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The settings of one worker."""

    concurrency: int
    queues: tuple[str, ...] | None
    drain_timeout: timedelta
    lease: timedelta
    poll_interval: timedelta
    until_empty: bool
    log_level: str = "info"
    as_json: bool = False
    max_jobs_per_process: int | None = None
    max_memory_per_process: int | None = None
    """In bytes."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    metrics_socket: int | None = None
    """The descriptor of the socket at which a supervisor asks this process for its metrics."""

    @property
    def limits(self) -> ProcessLimits | None:
        """The limits per process, or None."""
        if self.max_jobs_per_process is None and self.max_memory_per_process is None:
            return None
        from server_jobs.isolation.limits import ProcessLimits  # needed with limits only

        return ProcessLimits(max_jobs=self.max_jobs_per_process, max_memory=self.max_memory_per_process)


@asynccontextmanager
async def open_backend(workspace: Workspace, options: WorkerOptions, shutdown: Shutdown) -> AsyncIterator[Backend]:
    """Yield a backend on an open database, after waiting until it can be reached.

    Every other problem is raised at once: a wrong password, missing tables, an error in the project. A signal ends the
    command with status 0.
    """
    _ = workspace.registry  # raise problems of the project before waiting
    workspace.open_database()
    async with AsyncExitStack() as stack:
        starting = _Starting()
        with shutdown.guards(starting):
            try:
                backend = await _wait_for_backend(stack, workspace, options)
            except asyncio.CancelledError:
                if starting.is_stopped:
                    _logger.info("stopped before the database was reached", extra={"event": "worker_stopped"})
                    raise click.exceptions.Exit(0) from None
                raise
        yield backend


async def check_databases(databases: Sequence[Workspace]) -> None:
    """Log which of several databases cannot be used. Raise the first error if none can, for a reason of its own.

    A database that cannot be reached may come back.
    """
    _ = databases[0].registry  # raise problems of the project
    found = await asyncio.gather(*(_problem_of(one) for one in databases))
    if all(error is not None and not isinstance(error, DatabaseUnreachableError) for error in found):
        raise next(error for error in found if error is not None)
    for one, error in zip(databases, found, strict=True):
        if error is not None:
            extra = {"event": "database_away", "database": one.database}
            _logger.error("database %s cannot be used, its processes try again: %s", one.database, error, extra=extra)


async def _problem_of(database: Workspace) -> ServerJobsError | None:
    try:
        async with database.open_store(only_reads=True):
            return None
    except ServerJobsError as error:
        return error


async def _wait_for_backend(stack: AsyncExitStack, workspace: Workspace, options: WorkerOptions) -> Backend:
    pause = _FIRST_PAUSE
    is_away = False
    while True:
        opening = workspace.open_backend(
            concurrency=options.concurrency,
            lease=options.lease,
            poll_interval=options.poll_interval,
        )
        try:
            backend = await stack.enter_async_context(opening)
        except DatabaseUnreachableError as error:
            if not is_away:
                is_away = True
                extra = {"event": "database_away"}
                _logger.error("the database cannot be reached, trying again: %s", error, extra=extra)  # noqa: TRY400  one line
        else:
            if is_away:
                _logger.warning("the database can be reached again", extra={"event": "database_back"})
            return backend
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only
        pause = min(_LONGEST_PAUSE, pause * 2)


class _Starting:
    """The wait for the database, as `Shutdown` sees it."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._task = asyncio.current_task()

    def stop(self) -> None:
        self.is_stopped = True
        if self._task is not None:
            self._task.cancel()

    def orphan(self) -> None:
        _logger.warning("the supervisor is gone", extra={"event": "orphaned"})

    def abandon(self) -> None:
        """Do nothing, because no job is claimed yet."""


def announce(registry: JobRegistry, options: WorkerOptions, database: str, *, processes: int = 1) -> None:
    """Log the database, the concurrency and the registered jobs."""
    known = registry.known_jobs()
    queues = ", ".join(options.queues) if options.queues else "all queues"
    at_a_time = f"{options.concurrency} at a time"
    _logger.info(
        "server-jobs %s on %s, %s from %s",
        __version__,
        database,
        at_a_time if processes == 1 else f"{processes} processes with {at_a_time} each",
        queues,
        extra={
            "event": "worker_started" if processes == 1 else "supervisor_started",
            "database": database,
            "queues": options.queues,
            "processes": processes,
        },
    )
    versions: dict[str, list[int]] = {}
    for job in known:
        versions.setdefault(job.name, []).append(job.version)
    jobs = ", ".join(f"{name} v{newest}{_reads(earlier)}" for name, (newest, *earlier) in versions.items())
    _logger.info("jobs: %s", jobs or "none", extra={"jobs": {name: found[0] for name, found in versions.items()}})
    _warn_of_gaps(registry, options.queues)


def _reads(earlier: Sequence[int]) -> str:
    return f" (and {', '.join(f'v{version}' for version in sorted(earlier))})" if earlier else ""


def _warn_of_gaps(registry: JobRegistry, queues: tuple[str, ...] | None) -> None:
    """Warn about jobs without a handler and queues without jobs. The worker itself warns about stubs."""
    for registration in registry.registrations():
        if registration.handler is None:
            _logger.warning("%s has no handler here; its jobs are not claimed", registration.job.job_name)
    used = sorted({registration.job.options.queue for registration in registry.registrations()})
    for queue in queues or ():
        if queue not in used:
            _logger.warning("no job here uses the queue %r; %s", queue, suggestion(queue, used))
