"""Jobs that are hard on a worker, each in a queue of its name."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from contextlib import suppress

from server_jobs import JobContext, JobOptions, create_job_registry, define_job

from tests.cli.shop_jobs import Nap, NoteParams, NoteResult, hang


async def block(params: NoteParams, context: JobContext) -> NoteResult:
    """Sleep in the event loop repeatedly, so that nothing else runs there."""
    while True:
        time.sleep(60)


async def stay(params: NoteParams, context: JobContext) -> NoteResult:
    """Swallow every cancellation."""
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def match(params: NoteParams, context: JobContext) -> NoteResult:
    """Keep the interpreter for a long time, so that no other thread runs."""
    re.match(r"(a+)+$", "a" * 200 + "b")
    raise AssertionError


async def compute(params: NoteParams, context: JobContext) -> NoteResult:
    """Compute in C for a long time: other threads run, but no signal handler does."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    raise AssertionError


async def prattle(params: NoteParams, context: JobContext) -> NoteResult:
    """Log more than a pipe without a reader can hold."""
    for _ in range(100):
        context.log.info("x" * 10_000)
    await asyncio.sleep(params.seconds or 60)
    return NoteResult(text="all said")


async def leave(params: NoteParams, context: JobContext) -> NoteResult:
    """End the process with status 0."""
    os._exit(0)


_KEPT: list[bytes] = []


async def leak(params: NoteParams, context: JobContext) -> NoteResult:
    """Keep 40 MB, and return the process."""
    _KEPT.append(b"x" * 40 * 1024 * 1024)
    return NoteResult(text=str(os.getpid()))


def _own_queue(name: str) -> JobOptions:
    return JobOptions(queue=name.lower())


Block = define_job(name="Block", params=NoteParams, result=NoteResult, handler=block, options=_own_queue("Block"))
Stay = define_job(name="Stay", params=NoteParams, result=NoteResult, handler=stay, options=_own_queue("Stay"))
Hang = define_job(name="Hang", params=NoteParams, result=NoteResult, handler=hang, options=_own_queue("Hang"))
Match = define_job(name="Match", params=NoteParams, result=NoteResult, handler=match, options=_own_queue("Match"))
Compute = define_job(
    name="Compute", params=NoteParams, result=NoteResult, handler=compute, options=_own_queue("Compute")
)
Prattle = define_job(
    name="Prattle", params=NoteParams, result=NoteResult, handler=prattle, options=_own_queue("Prattle")
)
Leave = define_job(name="Leave", params=NoteParams, result=NoteResult, handler=leave, options=_own_queue("Leave"))

Leak = define_job(name="Leak", params=NoteParams, result=NoteResult, handler=leak, options=_own_queue("Leak"))

registry = create_job_registry()
for job in (Nap, Block, Stay, Hang, Match, Compute, Prattle, Leave, Leak):
    registry.register(job)
