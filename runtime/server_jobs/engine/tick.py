"""One round of work for a cron trigger, where no worker runs all the time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from ..domain.record import Expired, Survey
from .backend import Backend, WorkerExecutionResult, check_limit

_logger = logging.getLogger("server_jobs")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tick:
    """The result of one tick: expired leases, jobs made by schedules, and attempts that completed or failed."""

    expired: int
    scheduled: int
    completed: int
    failed: int
    unfired: int = 0
    """Schedules that are due and could not fire, as for a time zone that nobody knows; the log says why."""


async def tick(backend: Backend, *, limit: int | None = None, budget: timedelta | None = None) -> Tick:
    """Expire, schedule, then claim and run until nothing is due, and prune. What there is to do is asked first.

    Ends early after `limit` jobs; once `budget` is used up, or what the backend allows, no more are claimed, and what
    is left waits for the next tick. Jobs that were begun are finished. What goes wrong in one of these keeps the others
    from nothing: it is logged, and the first error is raised when all the rest is done.
    """
    check_limit(limit or 0)
    until = None if budget is None else backend.clock.monotonic() + budget.total_seconds()
    await backend.initialize()
    chores = _Chores()
    if backend.allowance() is None:  # where each query counts, as on D1, migrations store the schedules
        await chores.do("declare", backend.scheduler.declare())
    found = await backend.store.survey(backend.request(limit=1))
    expired: Sequence[Expired] = ()
    scheduled: Sequence[str] = ()
    results: list[WorkerExecutionResult] = []
    if found.has_expired:
        expired = await chores.do("expire", backend.handle_expired_locks()) or ()
    if found.has_due_schedule:
        scheduled = await chores.do("schedule", backend.scheduler.tick(allowance=backend.allowance)) or ()
    is_as_found = not expired and not scheduled and not chores.errors
    await chores.do("run", _run_due(backend, found if is_as_found else None, results, limit, until))
    await chores.do("prune", backend.pruner.resume(backend.allowance))
    if chores.errors:
        raise chores.errors[0]
    completed = sum(result.success for result in results)
    failed = sum(result.outcome.is_failure for result in results)
    unfired = len(backend.scheduler.unfired) if found.has_due_schedule else 0
    return Tick(len(expired), len(scheduled), completed, failed, unfired)


class _Chores:
    """What a tick does one after another, and what went wrong in it."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    async def do(self, name: str, chore: Awaitable[T]) -> T | None:
        """Its answer; None if it failed, which is logged and kept."""
        try:
            return await chore
        except Exception as error:  # noqa: BLE001  raised at the end of the tick
            self.errors.append(error)
            _logger.error("tick (%s) failed: %s", name, error)  # noqa: TRY400  the trace goes to whoever called it
            return None


async def _run_due(
    backend: Backend,
    found: Survey | None,
    results: list[WorkerExecutionResult],
    limit: int | None,
    until: float | None,
) -> None:
    """Claim and run until nothing is due. What was found is known already, unless something has changed since."""
    request = backend.request(limit=1)
    found = found or await backend.store.survey(request)
    while found.has_due_job and (until is None or backend.clock.monotonic() < until):
        ran = await _run(backend, _most(backend, limit, len(results)))
        if not ran:
            break
        results += ran
        found = await backend.store.survey(request)


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
