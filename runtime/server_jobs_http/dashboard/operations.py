"""Queues, schedules and workers, with the actions of operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from server_jobs.domain.cron import load_zone, next_slot
from server_jobs.domain.history import WorkerRecord
from server_jobs.domain.record import JobStatus, JobSummary, ScheduleRecord
from server_jobs.domain.text_limits import LONGEST_NAME, is_storable
from server_jobs.errors import ServerJobsError
from starlette.responses import Response

from ..problem_document import RefusedError
from .attention import schedule_problem
from .numbers import queue_of, queue_rows, readable_schedules, summaries_of
from .rendering import note_of, show
from .visit import Visit

_SLOTS = 3
_MOST_ASKED = 20


async def queues(visit: Visit) -> Response:
    """Show the queues."""
    rows, _, _ = await queue_rows(visit)
    return show(visit, "queues.html", rows=rows, note=note_of(visit, [row.name for row in rows]))


async def change_queue(visit: Visit) -> Response:
    """Pause or resume a queue. Return to the page with the button: the first page, or the queues."""
    name, action = visit.value("queue"), visit.value("action")
    if not 0 < len(name) <= LONGEST_NAME or not is_storable(name):
        raise RefusedError(422, f"a queue has a name of 1 to {LONGEST_NAME} characters")
    visit.check_operates(name)
    page = "" if visit.value("from") == "overview" else "queues"
    match action:
        case "pause":
            await visit.store.pause_queue(name, by=visit.actor)
            return visit.go(page, note=f"paused:{name}")
        case "resume":
            await visit.store.resume_queue(name, by=visit.actor)
            for notify in visit.backend.inserted:
                notify()
            return visit.go(page, note=f"resumed:{name}")
        case _:
            raise RefusedError(422, "a queue can be paused or resumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A coming time of a schedule: in UTC, and as its own zone writes it."""

    at: datetime
    local: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A schedule with its coming slots, or the reason why there are none."""

    record: ScheduleRecord
    slots: tuple[Slot, ...]
    problem: str
    queue: str | None


async def schedules(visit: Visit) -> Response:
    """Show the schedules."""
    found = await readable_schedules(visit)
    return show(visit, "schedules.html", rows=[_schedule_row(visit, one) for one in found])


def _schedule_row(visit: Visit, record: ScheduleRecord) -> ScheduleRow:
    queue = queue_of(visit, record.job_name)
    problem = schedule_problem(record, visit.now)
    try:
        slots = tuple(_slots(record, visit.now)) if record.enabled else ()
    except (ServerJobsError, ValueError, OSError, OverflowError):
        slots = ()
    return ScheduleRow(record=record, slots=slots, problem=problem, queue=queue)


def _slots(record: ScheduleRecord, now: datetime) -> Iterator[Slot]:
    """Yield the coming slots, the stored one first."""
    zone = load_zone(record.timezone)
    at = record.next_run_at or next_slot(record.cron_expression, record.timezone, now)
    for _ in range(_SLOTS):
        yield Slot(at=at, local=f"{at.astimezone(zone):%a %d %b %H:%M}")
        at = next_slot(record.cron_expression, record.timezone, max(at, now))


async def change_schedule(visit: Visit) -> Response:
    """Pause, resume or remove a schedule, or enqueue its job now."""
    record = await _schedule(visit, visit.value("schedule"))
    queue = queue_of(visit, record.job_name)
    match visit.value("action"):
        case "pause" | "resume" as action:
            visit.check_operates(queue or "")
            await visit.store.enable_schedule(record.id, enabled=action == "resume", by=visit.actor)
            return visit.go("schedules", note=f"schedule-{action}d")
        case "remove":
            visit.check_operates(queue or "")
            if not await visit.store.remove_schedule(record.id, by=visit.actor):
                raise RefusedError(409, "a declared schedule can only be removed from its spec or its code")
            return visit.go("schedules", note="schedule-removed")
        case "run":
            job = visit.registry.find(record.job_name).job
            visit.check_enqueues(job.options)
            new = job.scheduled_job(record, visit.registry.versions_of(job), correlation_id=record.correlation_id)
            inserted = await visit.insert(new)
            return visit.go("jobs", inserted.id, note="enqueued" if inserted.created else "known")
        case _:
            raise RefusedError(422, "a schedule can be paused, resumed, run now, or removed")


async def _schedule(visit: Visit, schedule_id: str) -> ScheduleRecord:
    record = await visit.store.find_schedule(schedule_id)
    if record is None or not visit.reads(queue_of(visit, record.job_name) or ""):
        raise RefusedError(404, "there is no such schedule")
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker, and the jobs that it runs, or held when it died."""

    record: WorkerRecord
    held: Sequence[JobSummary]


async def workers(visit: Visit) -> Response:
    """Show the workers. Dead ones that held jobs come first."""
    if not visit.reads_everything:
        raise RefusedError(403, "your token reads some queues only, and workers belong to all of them")
    found = await visit.store.workers()
    found = sorted(found, key=lambda one: (one.is_alive, one.last_seen_at), reverse=True)
    asked = [one for one in found[:_MOST_ASKED] if one.running or not (one.is_alive or one.report.is_tick)]
    held = {one.report.id: await visit.store.held_jobs(one.report.id) for one in asked}
    summaries = await summaries_of(visit, [job_id for ids in held.values() for job_id in ids])
    rows = [
        WorkerRow(
            record=one,
            held=[
                summaries[job_id]
                for job_id in held.get(one.report.id, ())
                # A living worker that stalled has lost the lease of some.
                if job_id in summaries and (not one.is_alive or summaries[job_id].status is JobStatus.RUNNING)
            ],
        )
        for one in found
    ]
    rows.sort(key=lambda row: not (row.held and not row.record.is_alive))
    return show(visit, "workers.html", rows=rows)
