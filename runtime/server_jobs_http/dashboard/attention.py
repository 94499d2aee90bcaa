"""Findings: the list at the top of the first page, the worst first."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from server_jobs.domain.cron import check_cron, load_zone
from server_jobs.domain.history import WorkerRecord
from server_jobs.domain.record import JobStatus, PausedQueue, ScheduleRecord
from server_jobs.domain.statistics import MinuteCounts, QueueState
from server_jobs.errors import JobNotFoundError, ServerJobsError

from .formats import counted, duration
from .numbers import summaries_of
from .visit import Visit

SLOW = timedelta(minutes=1)
"""A queue whose oldest due job waits longer needs attention."""
_LATE = timedelta(minutes=2)
_MOST_SLOW = 3
_MOST_DEAD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. `level` is "bad" or "warn", and `command` a command to copy.

    `link` and `href` lead to the place, unless a button resumes the queue `resumes`.
    """

    level: str
    text: str
    detail: str = ""
    command: str = ""
    link: str = ""
    href: str = ""
    resumes: str = ""


async def findings(
    visit: Visit,
    states: Sequence[QueueState],
    paused: Sequence[PausedQueue],
    workers: Sequence[WorkerRecord] | None,
    schedules: Sequence[ScheduleRecord],
    counts: Sequence[MinuteCounts],
) -> list[Finding]:
    """Return what needs attention in the queues that the caller may read.

    `workers` None: it may not see them. `counts` has the last hour.
    """
    works = workers is None or any(worker.is_alive for worker in workers)
    found = [
        *(() if works else _missing_workers(states)),
        *await _dead_workers(visit, workers or ()),
        *_parked(visit, states),
        *_paused(visit, states, paused),
        *(await _slow_queues(visit, states, paused) if works else ()),  # otherwise the first line has the reason
        *_schedules(visit, schedules),
        *_failing(visit, counts),
    ]
    return sorted(found, key=lambda one: one.level != "bad")


def jobs(count: int) -> str:
    """Return `1 job`, `1,204 jobs` or `10,000+ jobs`."""
    return "1 job" if count == 1 else f"{counted(count)} jobs"


def _missing_workers(states: Sequence[QueueState]) -> Iterator[Finding]:
    due = sum(state.due for state in states)
    waiting = f", and {jobs(due)} {'waits' if due == 1 else 'wait'}" if due else ""
    yield Finding(
        level="bad" if due else "warn",
        text=f"No worker is alive{waiting}.",
        detail="Start one, or run `server-jobs tick` from cron",
        command="server-jobs worker",
    )


async def _dead_workers(visit: Visit, workers: Sequence[WorkerRecord]) -> list[Finding]:
    """Return the workers that died with jobs that are unfinished. The newest deaths only: each costs a query.

    If no living worker claims from the queue of one of these jobs, say so: nobody takes over the job.
    """
    alive = [one.report.queues for one in workers if one.is_alive]
    is_covered = None in alive
    covered = {queue for queues in alive for queue in queues or ()}
    dead = sorted(
        (one for one in workers if not one.is_alive and not one.report.is_tick),
        key=lambda one: one.last_seen_at,
        reverse=True,
    )
    found: list[Finding] = []
    ids = {worker.report.id: await visit.store.held_jobs(worker.report.id) for worker in dead[:_MOST_DEAD]}
    summaries = await summaries_of(visit, [job_id for held in ids.values() for job_id in held])
    for worker in dead[:_MOST_DEAD]:
        stored = [summaries[job_id] for job_id in ids[worker.report.id] if job_id in summaries]
        held = [one for one in stored if not one.status.is_finished]
        if held:
            alone = () if is_covered else sorted({one.queue for one in held} - covered)
            found.append(
                Finding(
                    level="bad",
                    text=f"Worker {worker.report.host}:{worker.report.pid} died "
                    f"{duration(visit.now - worker.last_seen_at)} ago with {jobs(len(held))}.",
                    detail=f"No living worker claims from {' or '.join(alone)}. Start one"
                    if alone
                    else "A living worker takes over each job when its lease expires.",
                    command=f"server-jobs worker --queues {shlex.quote(','.join(alone))}" if alone else "",
                    link="Show workers",
                    href=visit.url("workers"),
                )
            )
    return found


def _parked(visit: Visit, states: Sequence[QueueState]) -> Iterator[Finding]:
    for name, count in _sums(states, "parked"):
        yield Finding(
            level="bad",
            text=f"{jobs(count)} of {name} {'is' if count == 1 else 'are'} parked, "
            f"because {'its' if count == 1 else 'their'} params cannot be read.",
            detail="Press Repair on its page, or deploy a version that reads them and press Retry."
            if visit.operates_something
            else "Repair the params, or deploy a version that reads them and retry.",
            link="Show parked jobs",
            href=visit.url("jobs", parked="1", job=name),
        )


def _sums(states: Sequence[QueueState], field: str) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for state in states:
        sums[state.job_name] = sums.get(state.job_name, 0) + int(getattr(state, field))
    return [(name, count) for name, count in sums.items() if count]


def _paused(visit: Visit, states: Sequence[QueueState], paused: Sequence[PausedQueue]) -> Iterator[Finding]:
    for queue in paused:
        waiting = sum(state.due for state in states if state.queue == queue.name)
        yield Finding(
            level="bad" if waiting else "warn",
            text=f"Queue {queue.name} has been paused for {duration(visit.now - queue.paused_at)}.",
            detail=f"{jobs(waiting)} {'waits' if waiting == 1 else 'wait'} for it."
            if waiting
            else "Nothing waits yet.",
            link="Show queues",
            href=visit.url("queues"),
            resumes=queue.name if visit.operates(queue.name) else "",
        )


async def _slow_queues(visit: Visit, states: Sequence[QueueState], paused: Sequence[PausedQueue]) -> list[Finding]:
    """Return the queues with jobs that are due for too long, with the reason of one of these jobs."""
    names = {queue.name for queue in paused}
    oldest: dict[str, tuple[datetime, str]] = {}
    for state in states:
        if state.oldest_due_at is not None and state.oldest_due_id is not None and state.queue not in names:
            found = (state.oldest_due_at, state.oldest_due_id)
            oldest[state.queue] = min(found, oldest.get(state.queue, found))
    slow = [(*found, queue) for queue, found in oldest.items() if visit.now - found[0] > SLOW]
    return [await _slow_queue(visit, queue, since, job_id) for since, job_id, queue in sorted(slow)[:_MOST_SLOW]]


async def _slow_queue(visit: Visit, queue: str, since: datetime, job_id: str) -> Finding:
    text = f"A job in queue {queue} has been due for {duration(visit.now - since)}."
    finding = Finding(level="warn", text=text, link="Show the queue", href=visit.url("jobs", queue=queue))
    try:
        job, (reason, *_) = await visit.recent.get(f"why {job_id}", lambda: visit.why(job_id))
    except JobNotFoundError:
        return finding
    if job.status is not JobStatus.PENDING:
        return finding
    detail = f"{job.job_name} waits because {reason.text}" + (f"; {reason.advice}" if reason.advice else "")
    return replace(finding, detail=detail, link="Why it waits", href=visit.url("jobs", job.id))


def _failing(visit: Visit, counts: Sequence[MinuteCounts]) -> Iterator[Finding]:
    """Yield the job with the most failures of the last hour, and their sum."""
    failed: Counter[str] = Counter()
    for one in counts:
        failed[one.job_name] += one.counts.failed
    total = failed.total()
    if total:
        ((name, most),) = failed.most_common(1)
        yield Finding(
            level="warn",
            text=f"{total:,} failure{'' if total == 1 else 's'} in the last hour.",
            detail=f"{most:,} of them {'is' if most == 1 else 'are'} {name}",
            link="Show failures",
            href=visit.url("failures"),
        )


def _schedules(visit: Visit, schedules: Sequence[ScheduleRecord]) -> Iterator[Finding]:
    for schedule in schedules:
        if not schedule.enabled:
            continue
        problem = schedule_problem(schedule, visit.now)
        if problem:
            yield Finding(
                level="bad",
                text=f"Schedule {schedule.name} of {schedule.job_name} {problem}.",
                link="Show schedules",
                href=visit.url("schedules"),
            )


def schedule_problem(schedule: ScheduleRecord, now: datetime) -> str:
    """Return why an enabled schedule does not fire, or an empty text."""
    try:
        check_cron(schedule.cron_expression, schedule.timezone)
        load_zone(schedule.timezone)
    except (ServerJobsError, ValueError, OSError) as error:
        return f"cannot fire: {error}"
    if schedule.next_run_at is not None and now - schedule.next_run_at > _LATE:
        return f"is {duration(now - schedule.next_run_at)} late: no worker or tick fired it"
    return ""
