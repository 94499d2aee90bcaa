"""A worker process on a SQLite file: `python -m tests.runtime.processes.worker FILE LOG`.

Every attempt is noted in LOG, one line when its handler begins and one when it is over, so that nothing this process
did is lost when it is killed. SIGTERM stops it in good order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, RetryPolicy, Worker, create_job_registry, define_job
from server_jobs.backend import Backend, WorkerExecutionResult
from server_jobs.databases.sqlite import SqliteDatabase
from server_jobs.record import Claim

LEASE = timedelta(seconds=1)
DRAIN = timedelta(seconds=1)


class Nap(BaseModel):
    """How long the handler takes; every attempt but the first also waits until there is a file `gate`."""

    seconds: float
    gate: Path | None = None


class Done(BaseModel):
    """Which attempt of which process did it."""

    attempt: int
    process: int


async def nap(params: Nap, context: JobContext) -> Done:
    """Take a while."""
    note("begin", context.job_id, context.attempt)
    context.update_progress(50, "napping")
    await asyncio.sleep(params.seconds)
    while params.gate and context.attempt > 1 and not params.gate.exists():
        await asyncio.sleep(0.02)
    return Done(attempt=context.attempt, process=os.getpid())


TakeNap = define_job(
    name="TakeNap",
    params=Nap,
    result=Done,
    handler=nap,
    options=JobOptions(max_attempts=10, retry=RetryPolicy(initial=timedelta(0), jitter=0)),
)


def note(event: str, job_id: str | None, detail: object) -> None:
    """Append a line to the log; complete when this returns, whatever happens to the process then."""
    with Path(sys.argv[2]).open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {event} {job_id} {detail}\n")


def listener(claim: Claim, result: WorkerExecutionResult | None) -> None:
    """Note how each attempt ended."""
    if result is not None:
        note("end", claim.id, "success" if result.success else "failure")


async def main() -> None:
    """Work until SIGTERM."""
    backend = Backend(
        database=SqliteDatabase(sys.argv[1]),
        job_registry=create_job_registry().register(TakeNap),
        max_concurrency=20,
        lock_timeout=LEASE,
        poll_interval=timedelta(milliseconds=50),
    )
    worker = Worker(backend, drain_timeout=DRAIN, listener=listener)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await backend.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
