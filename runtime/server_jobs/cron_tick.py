"""One round of work for a cron trigger, where no worker runs all the time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from .backend import Backend, WorkerExecutionResult, check_limit


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did: leases that had run out, jobs made by schedules, and how the jobs it ran ended."""

    expired: int
    scheduled: int
    completed: int
    failed: int


async def tick(backend: Backend, *, limit: int | None = None, budget: timedelta | None = None) -> Tick:
    """Expire, schedule, then claim and run until nothing is due. What there is to do is asked first, by one read.

    Ends early after `limit` jobs; once `budget` is used up, or what the backend allows, no more are claimed, and what
    is left waits for the next tick. Jobs that were begun are finished.
    """
    check_limit(limit or 0)
    began = backend.clock.monotonic()
    await backend.initialize()
    request = backend.request(limit=1)
    found = await backend.store.survey(request)
    expired = await backend.handle_expired_locks() if found.has_expired else ()
    scheduled = await backend.scheduler.tick(most=backend.allowance()) if found.has_due_schedule else []
    if expired or scheduled:
        found = await backend.store.survey(request)
    results: list[WorkerExecutionResult] = []
    while found.has_due_job and (budget is None or backend.clock.monotonic() - began < budget.total_seconds()):
        ran = await _run(backend, _most(backend, limit, len(results)))
        if not ran:
            break
        results += ran
        found = await backend.store.survey(request)
    await backend.pruner.resume(backend.allowance)
    completed = sum(result.success for result in results)
    return Tick(len(expired), len(scheduled), completed, len(results) - completed)


def _most(backend: Backend, limit: int | None, ran: int) -> int:
    """How many jobs may be claimed now."""
    left = None if limit is None else limit - ran
    bounds = (backend.config.max_concurrency, left, backend.allowance())
    return max(0, min(bound for bound in bounds if bound is not None))


async def _run(backend: Backend, most: int) -> list[WorkerExecutionResult]:
    """Claim so many jobs at most and run them to their ends; what happened, nothing if there was none."""
    if not most:
        return []
    claims = await backend.claim(most)
    try:
        return await asyncio.gather(*(backend.execute(claim) for claim in claims))
    except BaseException:
        await asyncio.shield(backend.give_back(claims))
        raise
