"""The jobs of the storms. Every result and every error contains the token of its claim."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from server_jobs import (
    ConcurrencyLimit,
    JobContext,
    JobOptions,
    JobRegistry,
    RetryPolicy,
    create_job_registry,
    define_job,
)
from server_jobs.domain.record import Claim

AT_ONCE = RetryPolicy(initial=timedelta(0), jitter=0)

tokens: dict[tuple[str, int], str] = {}
"""The token of each attempt that started in this process, by job and attempt."""


def remember(claim: Claim) -> None:
    """Record the token of a claim for its handler."""
    tokens[claim.id, claim.attempt] = claim.token


def token_of(context: JobContext) -> str:
    """Return the token of the handler's claim."""
    return tokens[context.job_id or "", context.attempt]


class Nap(BaseModel):
    """How long the handler takes, which attempts fail, and the file that later attempts wait for."""

    seconds: float
    failures: int = 0
    gate: Path | None = None
    padding: str = ""


class Done(BaseModel):
    """The attempt, process and claim that made the result."""

    attempt: int
    process: int
    token: str


async def nap(params: Nap, context: JobContext) -> Done:
    """Wait for a while, and fail in some attempts."""
    token = token_of(context)
    context.update_progress(50, f"token {token}")
    await asyncio.sleep(params.seconds)
    while params.gate and context.attempt > 1 and not params.gate.exists():
        await asyncio.sleep(0.02)
    if context.attempt <= params.failures:
        raise RuntimeError(f"token {token}")
    return Done(attempt=context.attempt, process=os.getpid(), token=token)


RELAY_DELAY = timedelta(milliseconds=300)


async def relay(params: Nap, context: JobContext) -> Done:
    """Enqueue another job that is due a little later."""
    await TakeNap.later(params, delay=RELAY_DELAY, correlation_id=context.job_id)
    return Done(attempt=context.attempt, process=os.getpid(), token=token_of(context))


class Poison(BaseModel):
    """How the handler kills its worker."""

    kind: str


async def swallow(params: Poison, context: JobContext) -> Done:
    """Kill or stop the worker."""
    match params.kind:
        case "exit":
            os._exit(9)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            hoard: list[bytes] = []
            while True:
                hoard.append(bytes(64 * 1024 * 1024))
        case "spin":
            while True:
                time.sleep(0)
    raise AssertionError(f"no such poison: {params.kind}")


def hang(params: Poison, context: JobContext) -> Done:
    """Never return, and ignore every request to stop."""
    while True:
        time.sleep(0.05)


TakeNap = define_job(
    name="TakeNap", params=Nap, result=Done, handler=nap, options=JobOptions(max_attempts=12, retry=AT_ONCE)
)
MOST_NARROW = 4
NarrowNap = define_job(
    name="NarrowNap",
    params=Nap,
    result=Done,
    handler=nap,
    options=JobOptions(max_attempts=12, retry=AT_ONCE, concurrency=ConcurrencyLimit(limit=MOST_NARROW)),
)
Relay = define_job(name="Relay", params=Nap, result=Done, handler=relay)
Swallow = define_job(
    name="Swallow", params=Poison, result=Done, handler=swallow, options=JobOptions(max_attempts=2, retry=AT_ONCE)
)
Hang = define_job(
    name="Hang",
    params=Poison,
    result=Done,
    handler=hang,
    options=JobOptions(max_attempts=2, retry=AT_ONCE, timeout=timedelta(seconds=0.3)),
)
OnceAtATime = define_job(
    name="OnceAtATime",
    params=Nap,
    result=Done,
    handler=nap,
    options=JobOptions(max_attempts=12, retry=AT_ONCE, unique_by=("/padding",)),
)


def storm_registry() -> JobRegistry:
    """Return a registry with every job of this module."""
    harmless = create_job_registry().register(TakeNap).register(NarrowNap).register(Relay).register(OnceAtATime)
    return harmless.register(Swallow).register(Hang)
