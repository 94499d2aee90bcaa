"""`server-jobs worker`: run queued jobs until stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import click

from ..errors import DatabaseError
from ..record import JobStatus
from ..worker import Worker
from .arguments import duration, names
from .log_lines import logging_through
from .options import json_option, with_workspace
from .output import stdout_console
from .shutdown import Shutdown
from .worker_log import WorkerLog, log_handler
from .workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What the command was given."""

    concurrency: int
    queues: tuple[str, ...] | None
    drain_timeout: timedelta
    lock_timeout: timedelta
    poll_interval: timedelta
    until_empty: bool


@click.command()
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Jobs that run at a time."
)
@click.option("--queues", metavar="NAME,...", type=names, help="Only jobs of these queues; by default of all.")
@click.option(
    "--drain-timeout",
    metavar="DURATION",
    type=duration,
    default="30s",
    show_default=True,
    help="How long running jobs may go on after a signal to stop.",
)
@click.option(
    "--lock-timeout",
    metavar="DURATION",
    type=duration,
    default="5m",
    show_default=True,
    help="The lease of a job, renewed while it runs: others take it over that long after this process died.",
)
@click.option(
    "--poll-interval",
    metavar="DURATION",
    type=duration,
    default="1s",
    show_default=True,
    help="How often to look for jobs when there are none.",
)
@click.option("--until-empty", is_flag=True, help="Exit when nothing runs and nothing is due within a minute.")
@click.option("--live", is_flag=True, help="Show the running jobs on a terminal, with their progress.")
@with_workspace
@json_option
def worker(
    workspace: Workspace,
    *,
    concurrency: int,
    queues: tuple[str, ...] | None,
    drain_timeout: timedelta,
    lock_timeout: timedelta,
    poll_interval: timedelta,
    until_empty: bool,
    live: bool,
    as_json: bool,
) -> None:
    """Run queued jobs until stopped.

    Only jobs that the registry knows are claimed, in the version it knows, and only those whose handler is
    implemented. Schedules are fired, and jobs of workers that died are taken over.

    SIGTERM and Ctrl-C let the running jobs finish within the drain timeout; what does not finish is given back, and
    its attempt does not count. A second signal gives everything back at once.

    \b
    Examples:
      server-jobs worker --concurrency 20 --queues mail,default
      server-jobs worker --until-empty --live

    Exit status: 0 stopped or empty, whether or not a job failed; 2 wrong usage; 3 project or database cannot be used.
    """
    options = WorkerOptions(
        concurrency=concurrency,
        queues=queues,
        drain_timeout=drain_timeout,
        lock_timeout=lock_timeout,
        poll_interval=poll_interval,
        until_empty=until_empty,
    )
    if live and not as_json and stdout_console().is_terminal:
        asyncio.run(_work_live(workspace, options))
    else:
        with logging_through(log_handler(as_json=as_json)):
            asyncio.run(_work(workspace, options))


async def _work(workspace: Workspace, options: WorkerOptions) -> None:
    log = WorkerLog()
    async with _ready(workspace, options, log) as worker:
        await _run(worker, options)


async def _work_live(workspace: Workspace, options: WorkerOptions) -> None:
    # Imported for a terminal only.
    from .worker_display import ConsoleHandler, live_display

    console, log = stdout_console(), WorkerLog(with_reasons=True)
    with logging_through(ConsoleHandler(console)):
        async with _ready(workspace, options, log) as worker, live_display(worker, log, console):
            await _run(worker, options)


@asynccontextmanager
async def _ready(workspace: Workspace, options: WorkerOptions, log: WorkerLog) -> AsyncIterator[Worker]:
    """A worker on an open database, its beginning and its end logged."""
    async with workspace.open_backend(
        concurrency=options.concurrency, lock_timeout=options.lock_timeout, poll_interval=options.poll_interval
    ) as backend:
        worker = Worker(
            backend,
            queues=options.queues,
            drain_timeout=options.drain_timeout,
            until_empty=options.until_empty,
            listener=log.note,
        )
        log.began(worker, workspace.shown_url)
        yield worker
        held = await _held_elsewhere(worker)
    log.ended(held)


async def _held_elsewhere(worker: Worker) -> int:
    """How many of the jobs known here still run: in other workers, or claimed by one that died."""
    try:
        counts = await worker.backend.store.count_jobs()
    except DatabaseError:
        return 0
    known = worker.backend.registry.get_names()
    return sum(count.count for count in counts if count.status is JobStatus.RUNNING and count.job_name in known)


async def _run(worker: Worker, options: WorkerOptions) -> None:
    with Shutdown(worker, options.drain_timeout):
        await worker.run()
