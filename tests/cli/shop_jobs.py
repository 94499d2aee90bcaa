"""The jobs for tests of the command line, written in code, so that nothing has to be generated."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field
from server_jobs import (
    HandlerNotImplementedError,
    JobContext,
    JobOptions,
    Retention,
    RetryPolicy,
    Schedule,
    Snooze,
    create_job_registry,
    define_job,
)


class NoteParams(BaseModel):
    """The params of every job here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(max_length=20)
    secret: str = ""
    seconds: float = 0


class NoteResult(BaseModel):
    """The result of every job here."""

    text: str


class BadDayError(Exception):
    """Raised on demand."""


async def shout(params: NoteParams, context: JobContext) -> NoteResult | Snooze:
    """Return the text in capitals, unless it is "fail", "huge" or "snooze"."""
    await context.update_progress(50, "half of it")
    if params.text == "snooze":
        return Snooze(timedelta(hours=1))
    if params.text == "huge":
        raise BadDayError("x" * 10_000_000) from BadDayError("y" * 10_000_000)
    if params.text == "fail":
        raise BadDayError("a \x1b[31mbad\x1b[0m day, [bold]truly[/bold]")
    context.log.info("shouted")
    return NoteResult(text=params.text.upper())


async def nap(params: NoteParams, context: JobContext) -> NoteResult:
    """Wait for the given time, in the event loop."""
    await context.update_progress(10, "[red]napping[/red]\x1b]0;title\x07")
    await asyncio.sleep(params.seconds)
    return NoteResult(text="rested")


def hang(params: NoteParams, context: JobContext) -> NoteResult:
    """Never return, and ignore every request to stop."""
    threading.Event().wait()
    return NoteResult(text=params.text)


async def block(params: NoteParams, context: JobContext) -> NoteResult:
    """Block the event loop: nothing else runs, and no task can be cancelled."""
    time.sleep(600)
    return NoteResult(text=params.text)


async def stub(params: NoteParams, context: JobContext) -> NoteResult:
    """A stub as the generator writes it."""
    raise HandlerNotImplementedError("Stub")


Shout = define_job(
    name="Shout",
    params=NoteParams,
    result=NoteResult,
    handler=shout,
    options=JobOptions(
        queue="mail", max_attempts=2, redact=("/secret",), retry=RetryPolicy(initial=timedelta(milliseconds=1))
    ),
    schedules=[
        Schedule(name="morning", cron="0 9 * * *", timezone="Europe/Berlin", params='{"text":"good morning"}'),
    ],
)
Nap = define_job(name="Nap", params=NoteParams, result=NoteResult, handler=nap)
Hang = define_job(name="Hang", params=NoteParams, result=NoteResult, handler=hang)
Block = define_job(name="Block", params=NoteParams, result=NoteResult, handler=block)
Brief = define_job(
    name="Brief",
    params=NoteParams,
    result=NoteResult,
    handler=shout,
    options=JobOptions(retention=Retention(completed=timedelta(hours=1))),
)
Stub = define_job(name="Stub", params=NoteParams, result=NoteResult, handler=stub)

registry = (
    create_job_registry().register(Shout).register(Nap).register(Hang).register(Block).register(Brief).register(Stub)
)

not_a_registry = 17
