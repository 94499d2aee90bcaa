"""Why a job is where it is: the answer of `server-jobs why`, of a route and of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..domain import lifecycle
from ..domain.clock import exact_length
from ..domain.history import MOST_AHEAD, MOST_HOLDERS, Blockers, WorkerRecord
from ..domain.interfaces import Store
from ..domain.record import JobRecord, JobStatus, KnownJob, PausedQueue
from ..domain.statistics import BatchCounts
from ..errors import JobNotFoundError
from ..registry import JobRegistry
from .shell_command import Command, shell_command


class Cause(StrEnum):
    """The kinds of reasons."""

    FINISHED = "finished"
    PARKED = "parked"
    RUNNING = "running"
    LATE = "late"
    QUEUE_PAUSED = "queue paused"
    UPCASTER_MISSING = "upcaster missing"
    UNKNOWN_HERE = "unknown here"
    NO_WORKER = "no worker"
    BATCH = "batch"
    NOT_DUE = "not due"
    REPLACED_RUNS = "replaced job runs"
    CONCURRENCY = "concurrency limit"
    RATE = "rate limit"
    BUSY = "workers busy"
    AHEAD = "jobs ahead"
    NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason. `text` says it in one line; `advice`, if any, says what to do.

    `jobs` are ids of the jobs that stand in the way. `since` and `until` are times in UTC.
    """

    cause: Cause
    text: str
    advice: str | None = None
    jobs: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


async def why(
    store: Store,
    registry: JobRegistry,
    job_id: str,
    *,
    command: Command = shell_command,
    reads_everything: bool = True,
) -> tuple[JobRecord, Sequence[Reason]]:
    """Return a job and at least one reason why it waits, runs or has ended, the weightiest first.

    `registry` knows the limits of the job. `command` writes the actions in the advice. Raises `JobNotFoundError`.

    Without `reads_everything`, no text names the host and the process of a worker, or counts the batch before a
    completion job, which may be of another queue.
    """
    record = await store.get(job_id)
    if record is None:
        raise JobNotFoundError(job_id)
    if record.status is JobStatus.PENDING and record.waits_for_batch:
        if not reads_everything:
            return record, [Reason(cause=Cause.BATCH, text="it waits until its batch has ended")]
        return record, [_batch(record.id, await store.count_batch(record.id) or BatchCounts(), command)]
    workers = await store.workers()
    if record.status is not JobStatus.PENDING:
        return record, [_settled_or_running(record, workers, command, reads_everything=reads_everything)]
    limits = next((job for job in registry.known_jobs() if job.name == record.job_name), None)
    serving = [worker for worker in workers if worker.is_alive and _serves(worker, record.queue)]
    known = {(record.job_name, record.spec_version), *(one for worker in serving for one in worker.report.known)}
    blockers = await store.blockers(record, limits, sorted(known))
    if lifecycle.is_late(record, blockers.now):
        return record, [_late(record, command)]
    paused = await store.paused_queues()
    return record, list(_waiting(record, registry, limits, blockers, workers, paused, command))


def _settled_or_running(
    record: JobRecord, workers: Sequence[WorkerRecord], command: Command, *, reads_everything: bool
) -> Reason:
    retry = command("retry", record.id)
    if record.is_parked:
        return Reason(
            cause=Cause.PARKED,
            text=f"it is parked, because its params cannot be read: {record.error}",
            advice=f"{command('repair', record.id)} replaces them; {retry} reads them again",
            since=record.completed_at,
        )
    if record.status is not JobStatus.RUNNING:
        error = "" if record.error is None else f": {record.error}"
        advice = f"{retry} runs it again" if record.status is JobStatus.FAILED else None
        return Reason(
            cause=Cause.FINISHED, text=f"it is {record.status}{error}", advice=advice, since=record.completed_at
        )
    worker = next((worker for worker in workers if worker.report.id == record.worker_id), None)
    place = f" on {worker.report.host}, process {worker.report.pid}" if worker is not None and reads_everything else ""
    is_dead = worker is not None and not worker.is_alive
    return Reason(
        cause=Cause.RUNNING,
        text=f"attempt {record.attempt_count} of {record.max_attempts} is running{place}"
        + (", whose worker has died" if is_dead else ""),
        advice="the next worker or tick expires its lease" if is_dead else None,
        since=record.worker_started_at,
        until=record.worker_expires_at,
    )


def _batch(batch_id: str, counts: BatchCounts, command: Command) -> Reason:
    if not counts.unfinished:
        return Reason(cause=Cause.BATCH, text="its batch has ended; a worker makes it due within a moment")
    return Reason(
        cause=Cause.BATCH,
        text=f"it waits until its batch has ended: {counts.finished:,} of {counts.total:,} jobs have finished",
        advice=f"{command('list --batch', batch_id)} lists them",
    )


def _late(record: JobRecord, command: Command) -> Reason:
    return Reason(
        cause=Cause.LATE,
        text=lifecycle.expiry_reason(record),
        advice=f"a worker or a tick cancels it; {command('retry', record.id)} then runs it without the limit",
        since=record.start_before,
    )


def _waiting(
    record: JobRecord,
    registry: JobRegistry,
    limits: KnownJob | None,
    blockers: Blockers,
    workers: Sequence[WorkerRecord],
    paused: Sequence[PausedQueue],
    command: Command,
) -> Iterator[Reason]:
    """Yield the reasons of a pending job. Several may apply at once."""
    found = [
        *_pauses(record, paused, command),
        *_own_code(record, registry),
        *_missing_workers(record, workers),
        *_times(record, blockers),
        *_replaced(blockers),
        *_limits(limits, blockers),
        *_busy_workers(record, workers),
        *_jobs_ahead(blockers),
    ]
    yield from found
    if not found:
        yield _next(record, workers)


def _next(record: JobRecord, workers: Sequence[WorkerRecord]) -> Reason:
    able = _able(record, workers)
    runs = "a worker claims it within a moment"
    if able and all(worker.report.is_tick for worker in able):
        last = max(worker.last_seen_at for worker in able)
        runs = f"the next tick runs it, and the last one reported at {last:%Y-%m-%d %H:%M} UTC"
    return Reason(cause=Cause.NEXT, text=f"nothing stands in its way; {runs}")


def _pauses(record: JobRecord, paused: Sequence[PausedQueue], command: Command) -> Iterator[Reason]:
    for queue in paused:
        if queue.name == record.queue:
            yield Reason(
                cause=Cause.QUEUE_PAUSED,
                text=f"its queue {queue.name} is paused",
                advice=f"{command('resume', queue.name)} lets its jobs be claimed again",
                since=queue.paused_at,
            )


def _own_code(record: JobRecord, registry: JobRegistry) -> Iterator[Reason]:
    """Yield why this registry could not run the job. An empty registry says nothing."""
    unknown = registry.waiting_reason(record.job_name, record.spec_version)
    if unknown is None or not registry.get_names():
        return
    job = registry.get(record.job_name)
    stubs = () if job is None else registry.versions_of(job).stubs
    if stubs and record.spec_version <= max(stubs):
        yield Reason(
            cause=Cause.UPCASTER_MISSING,
            text=f"{unknown}, and the job has version {record.spec_version}",
            advice="implement the upcaster, and start the workers again",
        )
    else:
        yield Reason(cause=Cause.UNKNOWN_HERE, text=f"it has version {record.spec_version}, and {unknown}")


def _missing_workers(record: JobRecord, workers: Sequence[WorkerRecord]) -> Iterator[Reason]:
    """Yield why no living worker can run the job: the first of alive, queue, name and version that none has."""
    alive = [worker for worker in workers if worker.is_alive]
    serving = [worker for worker in alive if _serves(worker, record.queue)]
    versions = {version for worker in serving for name, version in worker.report.known if name == record.job_name}
    start = "start one with `server-jobs worker`"
    if not alive:
        died = max((worker.last_seen_at for worker in workers), default=None)
        yield Reason(
            cause=Cause.NO_WORKER,
            text="no worker is alive",
            advice=f"{start}, or run `server-jobs tick` from cron",
            since=died,
        )
    elif not serving:
        yield Reason(
            cause=Cause.NO_WORKER,
            text=f"no living worker claims from its queue {record.queue}",
            advice=f"{start} whose `--queues` has {record.queue}",
        )
    elif not versions:
        yield Reason(
            cause=Cause.NO_WORKER,
            text=f"no living worker of its queue can run {record.job_name} now",
            advice=f"{start} of a release that has it, or see the log of one that has it and waits",
        )
    elif record.spec_version not in versions:
        yield Reason(
            cause=Cause.NO_WORKER,
            text=f"it has version {record.spec_version} of {record.job_name}, and living workers know "
            f"{', '.join(map(str, sorted(versions)))}",
            advice=f"{start} of a release that knows version {record.spec_version}",
        )


def _times(record: JobRecord, blockers: Blockers) -> Iterator[Reason]:
    if record.scheduled_for <= blockers.now:
        return
    failed = f"attempt {record.attempt_count} of {record.max_attempts} did not succeed, and the next one is not due yet"
    yield Reason(
        cause=Cause.NOT_DUE,
        text=failed if record.attempt_count else "it is not due yet",
        until=record.scheduled_for,
    )


def _replaced(blockers: Blockers) -> Iterator[Reason]:
    if blockers.replaced is not None:
        yield Reason(
            cause=Cause.REPLACED_RUNS,
            text=f"it replaced {blockers.replaced}, which still runs, and starts afterwards",
            jobs=(blockers.replaced,),
        )


def _limits(limits: KnownJob | None, blockers: Blockers) -> Iterator[Reason]:
    if limits is not None and limits.concurrency is not None and blockers.holders:
        key = " with the same values at " + ", ".join(limits.concurrency.by) if limits.concurrency.by else ""
        more = " and others" if limits.concurrency.limit > MOST_HOLDERS else ""
        jobs = "job" if limits.concurrency.limit == 1 else "jobs"
        yield Reason(
            cause=Cause.CONCURRENCY,
            text=f"its limit of {limits.concurrency.limit} running {jobs}{key} is used up by "
            f"{', '.join(blockers.holders)}{more}",
            jobs=blockers.holders,
        )
    if limits is not None and limits.rate is not None and blockers.rate_free_at is not None:
        key = " with the same values at " + ", ".join(limits.rate.by) if limits.rate.by else ""
        yield Reason(
            cause=Cause.RATE,
            text=f"its rate of {limits.rate.limit} starts in {exact_length(limits.rate.per)}{key} is used up",
            until=blockers.rate_free_at,
        )


def _busy_workers(record: JobRecord, workers: Sequence[WorkerRecord]) -> Iterator[Reason]:
    """Yield whether all slots are taken. A tick has free ones in its next round."""
    able = _able(record, workers)
    if any(worker.report.is_tick for worker in able):
        return
    running, slots = sum(worker.running for worker in able), sum(worker.report.concurrency for worker in able)
    if able and running >= slots:
        yield Reason(
            cause=Cause.BUSY,
            text=f"the {slots} slots of the {len(able)} workers that can run it are taken",
            advice="start more workers, or raise `--concurrency`",
        )


def _jobs_ahead(blockers: Blockers) -> Iterator[Reason]:
    if blockers.ahead:
        count = f"{MOST_AHEAD:,} or more" if blockers.ahead >= MOST_AHEAD else f"{blockers.ahead:,}"
        noun = "job is" if blockers.ahead == 1 else "jobs are"
        yield Reason(cause=Cause.AHEAD, text=f"{count} {noun} ahead of it in the queue")


def _able(record: JobRecord, workers: Sequence[WorkerRecord]) -> list[WorkerRecord]:
    return [worker for worker in workers if worker.can_run(record.job_name, record.spec_version, record.queue)]


def _serves(worker: WorkerRecord, queue: str) -> bool:
    return worker.report.queues is None or queue in worker.report.queues
