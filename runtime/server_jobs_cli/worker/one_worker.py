"""One worker in this process: alone, with a live display, or started by a supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from server_jobs.domain.statistics import MOST_COUNTED
from server_jobs.engine.backend import Backend
from server_jobs.engine.open_places import open_places
from server_jobs.engine.worker import Worker
from server_jobs.errors import DatabaseError, ServerJobsError
from server_jobs.isolation.place_kinds import PlaceSettings

from ..console.failures import exit_status
from ..console.log import logging_through
from ..console.output import stdout_console
from ..console.workspace import Workspace
from ..interpreter import set_up_interpreter
from .shutdown import MARGIN, Lifeline, Shutdown, Word
from .starting import WorkerOptions, announce, open_backend
from .worker_log import EVENTS, WorkerLog, log_handler

if TYPE_CHECKING:
    from .metrics_endpoint import WorkerEndpoint

RELEASE_TIMEOUT = timedelta(seconds=MARGIN - 0.15)
"""Leaves time for the end of the process, before `Shutdown` kills it."""
_LAST_LOOK = 0.08
"""Seconds that a stopping worker waits for its last look at the database."""

_logger = logging.getLogger(EVENTS)


def work(workspace: Workspace, options: WorkerOptions) -> None:
    """Run a worker until it is stopped, and log its jobs."""
    handler = log_handler(as_json=options.as_json)
    with logging_through(handler, options.log_level), Shutdown(options.drain_timeout) as shutdown:
        asyncio.run(_work(workspace, options, shutdown, WorkerLog(catch_up=handler.catch_up)))


def work_live(workspace: Workspace, options: WorkerOptions) -> None:
    """Run a worker with a live display on the terminal."""
    with Shutdown(options.drain_timeout) as shutdown:
        asyncio.run(_work_live(workspace, options, shutdown))


def work_supervised(workspace: Workspace, options: WorkerOptions, number: int) -> int:
    """Run a worker for a supervisor, connected by this process's stdin. Return the exit status."""
    try:
        lifeline = Lifeline.of_this_process()
    except OSError:
        raise click.UsageError(
            "--supervised is for the processes that `server-jobs worker --processes` starts"
        ) from None
    handler = log_handler(as_json=options.as_json, number=number)
    with (
        logging_through(handler, options.log_level),
        Shutdown(options.drain_timeout, lifeline=lifeline) as shutdown,
    ):
        try:
            asyncio.run(_work(workspace, options, shutdown, WorkerLog(catch_up=handler.catch_up), lifeline))
        except ServerJobsError as error:
            _logger.error("cannot start: %s", error, extra={"event": "worker_not_started"})  # noqa: TRY400  one line
            if not isinstance(error, DatabaseError):
                lifeline.say(Word.UNUSABLE)
            return exit_status(error)
        lifeline.say(Word.DONE)
    return 0


async def _work(
    workspace: Workspace, options: WorkerOptions, shutdown: Shutdown, log: WorkerLog, lifeline: Lifeline | None = None
) -> None:
    async with _ready(workspace, options, log, shutdown) as worker:
        with shutdown.guards(_Stopping(worker, options.drain_timeout)):
            await worker.prepare()  # a supervisor replaces a process that was at work
            if lifeline is None:
                announce(worker.backend.registry, options, workspace.shown_url)
            else:
                _report(lifeline)
            await worker.run()
            if lifeline is not None and worker.health.reached_limit is not None:
                lifeline.say(Word.LIMIT)


async def _work_live(workspace: Workspace, options: WorkerOptions, shutdown: Shutdown) -> None:
    # Needed for a terminal only.
    from .worker_display import ConsoleHandler, live_display

    console = stdout_console()
    with logging_through(ConsoleHandler(console), options.log_level):
        log = WorkerLog()
        async with _ready(workspace, options, log, shutdown) as worker, live_display(worker, log, console):
            with shutdown.guards(_Stopping(worker, options.drain_timeout)):
                announce(worker.backend.registry, options, workspace.shown_url)
                await worker.run()


@asynccontextmanager
async def _ready(
    workspace: Workspace, options: WorkerOptions, log: WorkerLog, shutdown: Shutdown
) -> AsyncIterator[Worker]:
    """Yield a worker on an open database. At its end, log its totals."""
    with _metrics(workspace, options) as endpoint:
        async with (
            open_backend(workspace, options, shutdown) as backend,
            open_places(_place_settings(backend, options)),
        ):
            set_up_interpreter()
            worker = Worker(
                backend,
                queues=options.queues,
                drain_timeout=options.drain_timeout,
                release_timeout=RELEASE_TIMEOUT,
                until_empty=options.until_empty,
                listener=log if endpoint is None else endpoint.listener(backend, log),
                limits=options.limits,
            )
            if endpoint is not None:
                endpoint.watch(worker)
            yield worker
            # Before the end of the database, which may take longer than `Shutdown` allows if it does not answer.
            log.finish(await _leased_elsewhere(worker, _LAST_LOOK if shutdown.is_stopping else None))


@contextmanager
def _metrics(workspace: Workspace, options: WorkerOptions) -> Iterator[WorkerEndpoint | None]:
    """Serve metrics and health, also while the database cannot be reached; None if no option asks for them."""
    if options.metrics_port is None and options.metrics_socket is None:
        yield None
        return
    from .metrics_endpoint import WorkerEndpoint  # an extra
    from .metrics_server import serving

    endpoint = WorkerEndpoint(workspace.name)
    with serving(_listening(options), endpoint):
        yield endpoint


def _place_settings(backend: Backend, options: WorkerOptions) -> PlaceSettings:
    return PlaceSettings(
        backend=backend,
        queues=options.queues,
        drain_timeout=options.drain_timeout,
        poll_interval=options.poll_interval,
        log_level=options.log_level,
        logs_json=options.as_json,
    )


def _listening(options: WorkerOptions) -> socket.socket:
    from .metrics_server import listen_for_users  # needed with the option only

    if options.metrics_socket is None:
        return listen_for_users(options.metrics_host, options.metrics_port or 0)
    listening = socket.socket(fileno=options.metrics_socket)
    listening.set_inheritable(False)
    return listening


def _report(lifeline: Lifeline) -> None:
    """Log that this process works. The supervisor has logged the settings of all processes."""
    lifeline.say(Word.READY)
    _logger.info("at work, pid %d", os.getpid(), extra={"event": "worker_started", "pid": os.getpid()})


async def _leased_elsewhere(worker: Worker, seconds: float | None) -> int:
    """Return how many known jobs still run elsewhere: in other workers, or claimed by one that died.

    0 if the database does not answer within that time.
    """
    try:
        async with asyncio.timeout(seconds):
            states = await worker.backend.store.queue_states(most=MOST_COUNTED)
    except (DatabaseError, TimeoutError):
        return 0
    known = worker.backend.registry.get_names()
    return sum(state.running for state in states if state.job_name in known)


class _Stopping:
    """A worker as `Shutdown` sees it, with log lines about the stop."""

    def __init__(self, worker: Worker, drain_timeout: timedelta) -> None:
        self._worker = worker
        self._drain_timeout = drain_timeout.total_seconds()
        self._is_logged = False

    def stop(self) -> None:
        running = len(self._worker.attempts())
        if running and not self._is_logged:
            _logger.info(
                "stopping: %d still running, with %g s to finish; a second signal releases them at once",
                running,
                self._drain_timeout,
                extra={"event": "stopping"},
            )
        self._is_logged = True
        self._worker.stop()

    def orphan(self) -> None:
        _logger.warning("the supervisor is gone", extra={"event": "orphaned"})

    def abandon(self) -> None:
        claims = [attempt.claim for attempt in self._worker.attempts()]
        _logger.error(
            "a handler does not end, or the database does not answer; others take over when the leases expire: %s",
            ", ".join(f"{claim.job_name} {claim.id}" for claim in claims) or "none",
            extra={"event": "abandoned", "jobs": [claim.id for claim in claims]},
        )
