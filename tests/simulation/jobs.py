"""Handlers of every kind: quick, slow, failing, deaf to cancellation, invalid, enqueueing others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import cast

from pydantic import BaseModel
from server_jobs import (
    Cancel,
    DatabaseError,
    DoNotRetryError,
    JobContext,
    JobOptions,
    JobRegistry,
    RetryAfterError,
    RetryPolicy,
    Schedule,
    Snooze,
    create_job_registry,
    define_job,
)
from server_jobs.domain.options import ConcurrencyLimit, Misfire, RateLimit
from server_jobs.job import AnyJob

from .machine import Machine
from .trace import Trace
from .virtual_loop import current_owner
from .witness import FORGOTTEN, Run, Witness

LONGEST_ATTEMPT = 10.0
"""Seconds. No handler here runs longer, even if it is stopped."""


class Work(BaseModel):
    """The work of a job. `call` is unique to the call that enqueues; `seconds` is its duration."""

    call: int | None = None
    seconds: float = 0.0
    key: str = ""


class Done(BaseModel):
    """The run of a handler that made the result."""

    run: int


@dataclass
class Stage:
    """State that handlers and clients share in one simulation."""

    rng: random.Random
    witness: Witness
    trace: Trace
    calls: count[int] = field(default_factory=count)

    def work(self) -> Work:
        """Return params for one call."""
        return Work(
            call=next(self.calls), seconds=round(self.rng.uniform(0, 4), 2), key=self.rng.choice(("a", "b", "c", "d"))
        )


current_stage: ContextVar[Stage] = ContextVar("current_stage")

Body = Callable[[Work, JobContext, Stage], Awaitable[object]]


class CruelError(BaseException):
    """An error that is not even an `Exception`."""


async def be_quick(work: Work, context: JobContext, stage: Stage) -> None:
    """Never wait."""


async def be_slow(work: Work, context: JobContext, stage: Stage) -> None:
    """Wait, and report progress."""
    for step in range(4):
        await asyncio.sleep(work.seconds / 4)
        context.update_progress(25 * (step + 1), f"step {step}")


async def be_flaky(work: Work, context: JobContext, stage: Stage) -> None:
    """Fail every other time, in every possible way."""
    await asyncio.sleep(work.seconds / 8)
    if stage.rng.random() < 0.5:
        raise stage.rng.choice(
            (ValueError("no"), CruelError("no"), SystemExit(3), DatabaseError("mine"), TimeoutError())
        )
    if stage.rng.random() < 0.1:
        raise asyncio.CancelledError


async def be_deaf(work: Work, context: JobContext, stage: Stage) -> None:
    """Continue twice after a cancellation."""
    for _ in range(3):
        try:
            await asyncio.sleep(work.seconds / 2)
        except asyncio.CancelledError:
            continue
        return


async def be_false(work: Work, context: JobContext, stage: Stage) -> object:
    """Return an invalid result."""
    await asyncio.sleep(work.seconds / 8)
    return stage.rng.choice(({"run": "many"}, {}, 7, "done", None)) if stage.rng.random() < 0.7 else ...


async def be_a_parent(work: Work, context: JobContext, stage: Stage) -> None:
    """Enqueue others on the backend that runs it."""
    for _ in range(stage.rng.randrange(3)):
        handle = await Quick.later(stage.work())
        stage.witness.see_handle(handle)


async def be_hasty(work: Work, context: JobContext, stage: Stage) -> None:
    """Take longer than the timeout in many cases."""
    await asyncio.sleep(work.seconds / 4)


async def be_moody(work: Work, context: JobContext, stage: Stage) -> object:
    """Return every outcome that a handler may return instead of a result."""
    await asyncio.sleep(work.seconds / 8)
    match stage.rng.randrange(6):
        case 0:
            return Snooze(timedelta(seconds=work.seconds / 4))
        case 1:
            return Cancel("not today")
        case 2:
            raise DoNotRetryError("never")
        case 3:
            raise RetryAfterError(timedelta(seconds=work.seconds / 2))
        case _:
            return None


async def be_gone(work: Work, context: JobContext, stage: Stage) -> None:
    """Leave the claim to expire: its error is passed on."""
    if stage.rng.random() < 0.5:
        raise GeneratorExit


def _observed(body: Body) -> Callable[[Work, JobContext], Awaitable[Done]]:
    async def handle(work: Work, context: JobContext) -> Done:
        stage = current_stage.get()
        machine = current_owner.get()
        assert isinstance(machine, Machine)
        run = stage.witness.begin(machine, str(context.job_id), context.attempt)
        stage.trace.note(machine.name, f"run {run.number} of {context.job_name} …{run.job_id[-6:]}#{context.attempt}")
        return await _observe(run, stage, body(work, context, stage))

    return handle


async def _observe(run: Run, stage: Stage, doing: Awaitable[object]) -> Done:
    how = "was stopped"
    try:
        value = await doing
        how = "is done"
    except Exception as error:
        how = f"failed: {error!r}"
        raise
    finally:
        stage.trace.note(run.machine.name, f"run {run.number} {how}")
        stage.witness.end(run)
    return Done(run=run.number) if value is None or value is ... else cast("Done", value)


def _job(name: str, body: Body, options: JobOptions, *schedules: Schedule) -> AnyJob:
    return define_job(
        name=name, params=Work, result=Done, handler=_observed(body), options=options, schedules=schedules
    )


LIMITS = {"Narrow": 1}
"""The most jobs of a name that may run at one time, if workers claim them."""

PACE = (1, timedelta(seconds=2))
"""The most jobs of `Paced` that may start within a time, if workers claim them."""

_RETRY = RetryPolicy(initial=timedelta(seconds=0.2), maximum=timedelta(seconds=2))

Quick = _job("Quick", be_quick, JobOptions(retry=_RETRY, priority=1))
Slow = _job("Slow", be_slow, JobOptions(retry=_RETRY))
Flaky = _job("Flaky", be_flaky, JobOptions(retry=_RETRY, max_attempts=4))
Deaf = _job("Deaf", be_deaf, JobOptions(retry=_RETRY))
Liar = _job("Liar", be_false, JobOptions(retry=_RETRY))
Parent = _job("Parent", be_a_parent, JobOptions(retry=_RETRY, queue="other"))
Hasty = _job("Hasty", be_hasty, JobOptions(retry=_RETRY, timeout=timedelta(seconds=0.5)))
Narrow = _job("Narrow", be_slow, JobOptions(retry=_RETRY, concurrency=ConcurrencyLimit(limit=LIMITS["Narrow"])))
Paced = _job("Paced", be_quick, JobOptions(retry=_RETRY, rate=RateLimit(limit=PACE[0], per=PACE[1])))
Moody = _job("Moody", be_moody, JobOptions(retry=_RETRY, queue="other"))
Sole = _job("Sole", be_slow, JobOptions(retry=_RETRY, unique_by=("/key",)))
Vanish = _job(FORGOTTEN, be_gone, JobOptions(retry=_RETRY, max_attempts=2))
Foreign = _job("Foreign", be_quick, JobOptions())
Report = _job(
    "Report",
    be_quick,
    JobOptions(retry=_RETRY),
    *(Schedule(name=policy, cron="* * * * *", timezone="Europe/Berlin", misfire=policy) for policy in Misfire),
)

ALL: tuple[AnyJob, ...] = (Quick, Slow, Paced, Moody, Flaky, Deaf, Liar, Parent, Hasty, Narrow, Sole, Vanish, Foreign)


def registry(*, without: Sequence[AnyJob] = ()) -> JobRegistry:
    """Return the registry of a machine: all jobs except `Foreign` and the given ones."""
    jobs = create_job_registry()
    for job in (*ALL, Report):
        if job not in (Foreign, *without):
            jobs.register(job)
    return jobs
