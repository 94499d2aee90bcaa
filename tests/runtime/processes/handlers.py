"""Handlers that tests run in handler processes, in a module that those processes import."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import multiprocessing
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, Field
from server_jobs import (
    Cancel,
    DoNotRetryError,
    Job,
    JobContext,
    JobOptions,
    JobQuery,
    JobRegistry,
    RetryAfterError,
    RetryPolicy,
    Snooze,
    create_job_registry,
    define_job,
)

EVENTS = logging.getLogger("shop.events")


class Order(BaseModel):
    """Params: a text, and a file through which a test and a handler communicate."""

    text: str = Field(default="", max_length=20)
    path: Path | None = None


class Report(BaseModel):
    """Result: the data that the handler received, and its process."""

    text: str
    pid: int
    more: dict[str, str | int | bool | None] = {}


OrderJob = type[Job[Order, Report, Mapping[str, object]]]


class BadCard(DoNotRetryError):
    """A user's own error without retries."""


def report(text: str, **more: str | int | bool | None) -> Report:
    """Return a result from this process."""
    return Report(text=text, pid=os.getpid(), more=more)


async def echo(order: Order, context: JobContext) -> Report:
    return report(order.text)


def plain_echo(order: Order, context: JobContext) -> Report:
    return report(order.text)


def fail(order: Order, context: JobContext) -> Report:
    raise ValueError(f"no good: {order.text}")


async def fail_late(order: Order, context: JobContext) -> Report:
    await asyncio.sleep(0)
    return fail(order, context)


def end(order: Order, context: JobContext) -> Report:
    sys.exit(3)


async def end_late(order: Order, context: JobContext) -> Report:
    sys.exit("enough")


def run_out(order: Order, context: JobContext) -> Report:
    raise StopIteration(5)


async def await_cancelled(order: Order, context: JobContext) -> Report:
    future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


def close(order: Order, context: JobContext) -> Report:
    raise GeneratorExit(order.text)


async def close_late(order: Order, context: JobContext) -> Report:
    raise GeneratorExit(order.text)


def say_nothing(order: Order, context: JobContext) -> object:
    return None


def misreport(order: Order, context: JobContext) -> object:
    return {"text": 5, "pid": "x"}


def report_much(order: Order, context: JobContext) -> Report:
    return report(order.text * 20_000)


def report_too_much(order: Order, context: JobContext) -> Report:
    return report("x" * 1024 * 1024)


_KEPT: list[bytes] = []


def keep(order: Order, context: JobContext) -> Report:
    """Leak 40 MB."""
    _KEPT.append(b"x" * 40 * 1024 * 1024)
    return report(order.text)


def hold_too_much(order: Order, context: JobContext) -> Report:
    limit = 1024 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return report(str(len(bytearray(limit))))


def exit_at_once(order: Order, context: JobContext) -> NoReturn:
    os._exit(7)


def read_nowhere(order: Order, context: JobContext) -> NoReturn:
    ctypes.string_at(0)
    raise AssertionError


def kill_itself(order: Order, context: JobContext) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave_a_copy(order: Order, context: JobContext) -> NoReturn:
    """Die while another process has a copy of every open file."""
    copy = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    copy.start()
    _note(order, str(copy.pid))
    os._exit(7)


def garble(order: Order, context: JobContext) -> Report:
    """Write bytes that the worker cannot parse to every socket."""
    _write_to_sockets(b"hello\n")
    time.sleep(10)
    return report("")


def forge(order: Order, context: JobContext) -> Report:
    """Write a message that nobody validated to every socket."""
    _write_to_sockets(json.dumps({"kind": "returned", "result": r'{"text":"\u0000","pid":1}'}).encode() + b"\n")
    return report("")


def _write_to_sockets(data: bytes) -> None:
    for descriptor in range(3, 1024):  # as many as a process may have open by default
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, data)


def spin(order: Order, context: JobContext) -> NoReturn:
    """Compute forever, ignoring the context."""
    _note(order, str(os.getpid()))
    while True:
        pass


async def spin_in_the_loop(order: Order, context: JobContext) -> NoReturn:
    spin(order, context)


def spin_with_care(order: Order, context: JobContext) -> Report:
    """Compute until the context asks to stop."""
    _note(order, str(os.getpid()))
    while not context.cancelled:
        pass
    _note(order, "cancelled")
    return report("")


async def wait(order: Order, context: JobContext) -> Report:
    """Wait forever, and clean up at the end."""
    _note(order, str(os.getpid()))
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        _note(order, "tidied up")
        raise
    return report("")


def refuse_to_end(order: Order, context: JobContext) -> NoReturn:
    """Ignore every request to end, with another program started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    program = subprocess.Popen(["sleep", "60"])
    _note(order, f"{os.getpid()} {program.pid}")
    while True:
        time.sleep(0.01)


def clean_up_when_terminated(order: Order, context: JobContext) -> NoReturn:
    """Compute forever, and clean up at the end."""
    _note(order, str(os.getpid()))
    try:
        while True:
            pass
    finally:
        _note(order, "cleaned up")


def progress(order: Order, context: JobContext) -> Report:
    """Report progress a thousand times, wait for the test, and report once more."""
    for number in range(1000):
        context.update_progress(number % 60, f"step {number}")
    while order.path is not None and not order.path.exists():
        time.sleep(0.01)
    context.update_progress(99, "nearly")
    return report("")


async def log(order: Order, context: JobContext) -> Report:
    context.log.info("from the context", {"number": 5, "path": Path("a")})  # noqa: PLE1205  its second argument is data
    EVENTS.debug("too quiet")
    EVENTS.warning("from %s", "elsewhere", extra={"shop": "north"})
    try:
        fail(order, context)
    except ValueError:
        logging.getLogger().exception("from the root, with a trace \ud800")
    return report("")


def describe(order: Order, context: JobContext) -> Report:
    """Return the attempt's values from the context."""
    return report(
        "",
        job_id=context.job_id,
        attempt=context.attempt,
        correlation_id=context.correlation_id,
        slot=str(context.slot),
        idempotency_key=context.idempotency_key,
        database=str(context.database),
        jobs=context.jobs is not None,
        folder=str(Path.cwd()),
    )


async def enqueue(order: Order, context: JobContext) -> Report:
    """Enqueue one job, run another one, and read both."""
    assert context.jobs is not None
    later = await Echo.later({"text": "later"})
    now = await PlainEcho.now({"text": "now"})
    found = await context.jobs.list_jobs(JobQuery(correlation_id=context.correlation_id))
    return report(now.data.text, later=str(later), pid_of_now=now.data.pid, found=len(found))


def enqueue_plainly(order: Order, context: JobContext) -> Report:
    asyncio.run(Echo.later({"text": "in a loop"}))
    return report("", later=str(Echo.later_sync({"text": "plainly"})))


async def snooze(order: Order, context: JobContext) -> Report | Snooze | Cancel:
    return Snooze(timedelta(hours=1, microseconds=5))


def cancel(order: Order, context: JobContext) -> Report | Snooze | Cancel:
    return Cancel("not any more")


def refuse_for_good(order: Order, context: JobContext) -> Report:
    raise BadCard("stolen")


async def ask_for_time(order: Order, context: JobContext) -> Report:
    raise RetryAfterError(timedelta(minutes=7), "too many")


def fail_once(order: Order, context: JobContext) -> Report:
    """Die in the first attempt, succeed in the second."""
    if context.attempt == 1:
        kill_itself(order, context)
    return report(f"attempt {context.attempt}")


def _note(order: Order, text: str) -> None:
    if order.path is not None:
        with order.path.open("a", encoding="utf-8") as notes:
            notes.write(f"{text}\n")


def order_job(
    handler: Callable[..., object],
    name: str = "TakeOrder",
    *,
    run_in: str = "process",
    seconds: float | None = None,
) -> OrderJob:
    """Return a job with that handler."""
    options = JobOptions(
        run_in=run_in,
        timeout=None if seconds is None else timedelta(seconds=seconds),
        retry=RetryPolicy(initial=timedelta(0), jitter=0),
        redact=("/text",) if name == "Secret" else (),
    )
    return define_job(name=name, params=Order, result=Report, handler=handler, options=options)  # type: ignore[arg-type]


Echo = order_job(echo, "Echo")
PlainEcho = order_job(plain_echo, "PlainEcho")
Enqueue = order_job(enqueue, "Enqueue")
EnqueuePlainly = order_job(enqueue_plainly, "EnqueuePlainly")
Describe = order_job(describe, "Describe")
FailOnce = order_job(fail_once, "FailOnce")
Spin = order_job(spin, "Spin")


def registry_of(*jobs: OrderJob) -> JobRegistry:
    """Return a registry with these jobs."""
    registry = create_job_registry()
    for job in jobs:
        registry.register(job)
    return registry
