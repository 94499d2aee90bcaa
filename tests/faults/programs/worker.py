"""A worker that notes its starts and its reported completions, and ends normally at SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from itertools import cycle
from pathlib import Path

import server_jobs.domain.clock
from server_jobs import Worker, connect
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import Claim, Outcome
from server_jobs.engine.backend import Backend

from tests.faults.jobs import remember, storm_registry
from tests.faults.plans import WorkerPlan, from_text
from tests.faults.sabotage import take_away

FULL = 64 * 1024
"""The size beyond which files do not grow on a full disk."""


def main(text: str) -> None:
    """Work until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))  # until the worker can stop
    plan = from_text(WorkerPlan, text)
    logging.basicConfig(filename=plan.log, format=f"{os.getpid()} %(levelname)s %(message)s")
    take_away(plan.sabotage)
    if plan.clock_error:
        set_clock_wrong(plan.clock_error)
    if plan.dies_before_end_of_batch:
        setattr(Backend, "end_batches", die_before_end_of_batch)  # noqa: B010  not its real signature
    if plan.trouble == "read-only":
        at_each_signal(read_only_connections())
    if plan.trouble == "full disk":
        at_each_signal(fill_disk)
    notes = os.open(plan.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if plan.user is not None:
        os.setuid(plan.user)
    if plan.memory is not None:
        bound_memory(plan.memory)
    try:
        asyncio.run(work(plan, notes))
    except Exception:
        logging.getLogger("server_jobs").exception("the worker ended")
        raise SystemExit(1) from None


async def work(plan: WorkerPlan, notes: int) -> None:
    """Run a worker on the database of the plan."""

    async with opened(plan) as backend:
        worker = Worker(backend, drain_timeout=timedelta(seconds=plan.drain), listener=Notes(notes))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        await worker.run()


class Notes:
    """Writes a line for each start and each end, flushed before the call returns."""

    def __init__(self, file: int) -> None:
        self._file = file

    def started(self, claim: Claim) -> None:
        remember(claim)
        self._write("begin", claim)

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        self._write("success" if outcome is Outcome.COMPLETED else "failure", claim)

    def _write(self, event: str, claim: Claim) -> None:
        line = f"{os.getpid()} {event} {claim.id} {claim.attempt} {claim.token}\n"
        os.write(self._file, line.encode())


@asynccontextmanager
async def opened(plan: WorkerPlan) -> AsyncIterator[Backend]:
    """Open the backend of an application, or one with another time limit for locks."""
    lease, poll = timedelta(seconds=plan.lease), timedelta(seconds=plan.poll)
    if plan.busy_timeout is None:
        async with connect(
            storm_registry(), plan.url, max_concurrency=plan.concurrency, lease=lease, poll_interval=poll
        ) as backend:
            yield backend
        return
    database = SqliteDatabase(plan.url.removeprefix("sqlite:///"), busy_timeout=timedelta(seconds=plan.busy_timeout))
    backend = Backend(
        database=database,
        job_registry=storm_registry(),
        max_concurrency=plan.concurrency,
        lease=lease,
        poll_interval=poll,
    )
    try:
        yield backend
    finally:
        await backend.shutdown()


async def die_before_end_of_batch(backend: Backend, batch_ids: Sequence[str] = ()) -> Sequence[str]:
    """Kill this process once one of the batches has no unfinished job. End no batch."""
    for batch_id in batch_ids:
        counts = await backend.store.count_batch(batch_id)
        if counts is not None and not counts.unfinished:
            os.kill(os.getpid(), signal.SIGKILL)
    return ()


def set_clock_wrong(seconds: float) -> None:
    """Shift Python's wall clocks in this process. The monotonic clock stays correct."""
    real_time, real_time_ns = time.time, time.time_ns

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> WrongDatetime:
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + int(seconds * 1_000_000_000)
    setattr(server_jobs.domain.clock, "datetime", WrongDatetime)  # noqa: B010  not one of its public names


def at_each_signal(switch: Callable[[bool], None]) -> None:
    """Call it with True at the first SIGUSR1, with False at the second, and so on."""
    states = cycle((True, False))
    signal.signal(signal.SIGUSR1, lambda number, frame: switch(next(states)))


def read_only_connections() -> Callable[[bool], None]:
    """Return a switch that makes SQLite connections opened from now on read-only, or writable again."""
    connections: list[sqlite3.Connection] = []
    real_connect = sqlite3.connect

    def connect_and_keep(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = real_connect(*arguments, **{**options, "check_same_thread": False})  # type: ignore[call-overload]
        connections.append(connection)
        return connection

    def switch(is_on: bool) -> None:
        for connection in connections:
            connection.execute(f"PRAGMA query_only = {is_on}")

    setattr(sqlite3, "connect", connect_and_keep)  # noqa: B010  a signature that is not the declared one
    return switch


def fill_disk(is_full: bool) -> None:
    """Limit the size of files to what the notes and the log need, or remove the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL if is_full else most, most))


def bound_memory(more: int) -> None:
    """Let this process use that many bytes more than now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
