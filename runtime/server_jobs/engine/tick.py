"""One round of work for a cron trigger, where no worker runs all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from socket import gethostname

from .. import __version__
from ..domain.ids import tick_id
from ..domain.record import Expired, Outcome, PendingWork
from ..domain.record.reports import WorkerReport
from .attempts.attempt import Attempt
from .backend import Backend
from .chores import Failures
from .execution import Execution, check_limit


@dataclass(frozen=True, slots=True)
class Tick:
    """The result of one tick: expired leases, jobs made by schedules, attempts that completed or failed, late jobs."""

    expired: int
    scheduled: int
    completed: int
    failed: int
    unfired: int = 0
    """Due schedules that could not fire, for example because of an unknown time zone; the log has the reason."""
    late: int = 0
    """Jobs that were cancelled, because they had to start earlier; see `expires_after`."""

    @property
    def has_worked(self) -> bool:
        """Whether the tick changed a job. Otherwise, another one right after it would not either."""
        return any((self.expired, self.scheduled, self.completed, self.failed, self.late))


async def tick(backend: Backend, *, limit: int | None = None, budget: timedelta | None = None) -> Tick:
    """Expire leases, cancel late jobs, fire schedules, claim and run jobs until none is due, and prune.

    Reads the pending work first. Reports itself among the workers, at most once in 5 minutes. All ticks with jobs of
    the same names are one worker, which counts as dead after twice the time between its last two reports, and at the
    earliest after an hour.

    Ends early after `limit` jobs. Once `budget` or the backend's allowance is used up, it claims no more jobs; the rest
    waits for the next tick. Started jobs are finished. If one step fails, the others still run; the tick logs each
    error, and raises the first one at the end.

        async with connect(registry) as backend:
            done = await tick(backend, limit=100, budget=timedelta(seconds=30))
        print(f"{done.completed} completed, {done.failed} failed")
    """
    check_limit(limit or 0)
    until = None if budget is None else backend.clock.monotonic() + budget.total_seconds()
    await backend.initialize()
    execution, store = backend.execution, backend.store
    chores, failures = execution.chores, Failures("tick")
    are_counted = backend.allowance() is not None
    if not are_counted:
        await failures.do("declare", chores.declare())
    report = _report_of(backend)
    found = await store.pending_work(execution.request(limit=1), report)
    if are_counted and found.has_due_report and execution.scheduler.has_schedules_in_code:
        # Where each query counts, migrations store the schedules of specs. The next tick plans these.
        await failures.do("declare", chores.declare(only_code=True))
    if found.has_due_report:
        await failures.do("report", store.report_tick(report))
    expired: Sequence[Expired] = ()
    scheduled: Sequence[str] = ()
    late = 0
    outcomes: list[Outcome] = []
    if found.has_expired:
        expired = await failures.do("expire", chores.expire()) or ()
    if found.has_late:
        late = await failures.do("cancel late", chores.cancel_late()) or 0
    if found.has_due_schedule:
        scheduled = await failures.do("schedule", chores.schedule()) or ()
    is_as_found = not expired and not scheduled and failures.first is None
    await failures.do("run", _run_due(execution, found if is_as_found else None, outcomes, limit, until))
    await failures.do("prune", chores.prune_once())
    if backend.allowance() is None:  # counts are not worth a query there
        await failures.do("count", chores.count())
    if found.has_due_report and backend.allowance() != 0:
        await failures.do("forget workers", chores.forget_workers())
    if found.has_due_report and backend.allowance() is None:
        await failures.do("forget counts", chores.forget_counts())
    if failures.first is not None:
        raise failures.first
    completed = outcomes.count(Outcome.COMPLETED)
    failed = sum(outcome.is_failure for outcome in outcomes)
    unfired = len(execution.scheduler.unfired) if found.has_due_schedule else 0
    return Tick(len(expired), len(scheduled), completed, failed, unfired, late)


def _report_of(backend: Backend) -> WorkerReport:
    known = tuple((job.name, job.version) for job in backend.registry.known_jobs())
    return WorkerReport(
        id=tick_id(name for name, _ in known),
        host=gethostname(),
        pid=None,
        queues=None,
        concurrency=backend.config.max_concurrency,
        version=__version__,
        known=known,
    )


async def _run_due(
    execution: Execution,
    found: PendingWork | None,
    outcomes: list[Outcome],
    limit: int | None,
    until: float | None,
) -> None:
    """End batches, claim and run until no job is due. `found` is still valid, unless something has changed since."""
    request = execution.request(limit=1)
    found = found or await execution.store.pending_work(request)
    while (found.has_due_job or found.has_ended_batch) and (until is None or execution.clock.monotonic() < until):
        ended = await execution.chores.end_batches() if found.has_ended_batch else ()
        ran = await _run(execution, _most(execution.backend, limit, len(outcomes)))
        if not ran and not ended:
            break
        outcomes += ran
        found = await execution.store.pending_work(request)


def _most(backend: Backend, limit: int | None, ran: int) -> int:
    """Return how many jobs may be claimed now."""
    left = None if limit is None else limit - ran
    bounds = (backend.config.max_concurrency, left, backend.allowance())
    return max(0, min(bound for bound in bounds if bound is not None))


async def _run(execution: Execution, most: int) -> list[Outcome]:
    """Claim at most that many jobs, run them to their end, and return their outcomes."""
    if not most:
        return []
    attempts = await execution.take(most)
    waiting = set(attempts)

    async def run(attempt: Attempt) -> Outcome:
        waiting.remove(attempt)
        outcome, _ = await execution.run(attempt)
        return outcome

    try:
        return await asyncio.gather(*(run(attempt) for attempt in attempts))
    except BaseException:
        await asyncio.shield(execution.release(list(waiting)))
        raise
