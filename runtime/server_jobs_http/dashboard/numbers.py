"""Numbers of queues for several pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server_jobs.domain.record import LONGEST_PAGE, JobQuery, JobSummary, PausedQueue, ScheduleRecord
from server_jobs.domain.statistics import MOST_COUNTED, MinuteCounts, QueueState

from .charts import Hour, hours_by_queue, start_of
from .visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue: jobs by state, the last hour, and since when it is paused."""

    name: str
    due: int
    oldest_due_at: datetime | None
    scheduled: int
    running: int
    failed: int
    parked: int
    hour: Hour | None
    paused_at: datetime | None


async def all_states(visit: Visit) -> Sequence[QueueState]:
    """Return the states of all queues, whether the caller may read them or not, with counts up to `MOST_COUNTED`."""
    return await visit.recent.get("states", lambda: visit.store.queue_states(most=MOST_COUNTED))


async def queue_rows(visit: Visit) -> tuple[list[QueueRow], Sequence[QueueState], Sequence[MinuteCounts]]:
    """Return the queues that the caller may read, and the states and the counts of the last hour behind them."""
    states = [state for state in await all_states(visit) if visit.reads(state.queue)]
    since = start_of(visit.now)
    found = await visit.recent.get(f"counts {since}", lambda: visit.store.finished_counts(since=since))
    counts = [one for one in found if visit.reads(one.queue)]
    hours = hours_by_queue(counts, visit.now)
    pauses = {queue.name: queue.paused_at for queue in await readable_pauses(visit)}
    names = sorted({state.queue for state in states} | hours.keys() | pauses.keys() | _known_queues(visit))
    return [_row(name, states, hours.get(name), pauses.get(name)) for name in names], states, counts


def _known_queues(visit: Visit) -> set[str]:
    """Return the queues of registered jobs, so that a new project shows them at once."""
    queues = (registration.job.options.queue for registration in visit.registry.registrations())
    return {queue for queue in queues if visit.reads(queue)}


def _row(name: str, states: Sequence[QueueState], hour: Hour | None, paused_at: datetime | None) -> QueueRow:
    found = [state for state in states if state.queue == name]
    return QueueRow(
        name=name,
        due=sum(state.due for state in found),
        oldest_due_at=min((state.oldest_due_at for state in found if state.oldest_due_at is not None), default=None),
        scheduled=sum(state.scheduled for state in found),
        running=sum(state.running for state in found),
        failed=sum(state.failed for state in found),
        parked=sum(state.parked for state in found),
        hour=hour,
        paused_at=paused_at,
    )


async def readable_pauses(visit: Visit) -> list[PausedQueue]:
    """Return the paused queues that the caller may read."""
    return [queue for queue in await visit.store.paused_queues() if visit.reads(queue.name)]


async def readable_schedules(visit: Visit) -> list[ScheduleRecord]:
    """Return the schedules of jobs whose queue the caller may read."""
    return [one for one in await visit.store.list_schedules() if visit.reads(queue_of(visit, one.job_name) or "")]


def queue_of(visit: Visit, job_name: str) -> str | None:
    """Return the queue of a registered job; None for another one, which only a caller of every queue may see."""
    job = visit.registry.get(job_name)
    return None if job is None else job.options.queue


async def summaries_of(visit: Visit, job_ids: Sequence[str]) -> dict[str, JobSummary]:
    """Return the stored jobs among these ids by id, up to `LONGEST_PAGE`, with one query."""
    ids = tuple(dict.fromkeys(job_ids))[:LONGEST_PAGE]
    found = await visit.store.list_summaries(JobQuery(ids=ids, limit=len(ids))) if ids else ()
    return {one.id: one for one in found}
