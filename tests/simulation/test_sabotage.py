"""Without a protection, the simulation must find a problem within a few seeds. This proves that it can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from server_jobs import DatabaseError
from server_jobs.domain import cron, lifecycle
from server_jobs.domain.cron import due_slots
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.record import Claim, Heartbeat, Inserted, JobRecord, JobStatus, NewJob, Released, Settlement
from server_jobs.engine import scheduler
from server_jobs.engine.attempts.settler import Settler
from server_jobs.engine.backend import Backend
from server_jobs.engine.execution import Runner
from server_jobs.engine.worker import WorkerHealth
from server_jobs.handle import JobHandle
from server_jobs.stores import memory
from server_jobs.stores.sql.dialect import statements_of

from tests.sabotage import sabotage
from tests.slow import slow

from . import jobs, stores
from .plan import Mode
from .world import simulate

MOST_SEEDS = 60

Sabotage = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Case:
    """A protection, how to remove it, and the problem in the given mode."""

    what: str
    sabotage: Sabotage
    mode: Mode
    noticed_as: str
    store: str = "memory"
    first_seed: int = 0
    """The first seed to try; earlier ones are known to pass, and take time."""

    def __str__(self) -> str:
        return self.what


def with_value(owner: object, name: str, value: object) -> Sabotage:
    """Replace the value of that name, which must exist."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def without_fence_in_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the guard from the statements that have it; it must exist in them."""
    for name, guard in (("SETTLE", "outcome.token"), ("COMPLETE", "outcome.token"), ("RENEW", "beat.token")):
        sabotage(monkeypatch, statements_of("sqlite"), name, f" AND jobs.fencing_token = {guard}")


real_claim = lifecycle.claim
real_renew = lifecycle.renew
real_settle = lifecycle.settle
real_expire = lifecycle.expire
real_cancel = lifecycle.cancel
real_is_expired = lifecycle.is_expired
real_insert = Backend.insert
real_note_failure = Settler._note_failure
real_due_slots = due_slots
real_tables = stores.tables


def held_by_anybody(record: JobRecord, token: str) -> bool:
    return record.status is JobStatus.RUNNING


def claim_uncounted(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return replace(
        real_claim(record, token=token, lease=lease, now=now, worker_id=worker_id), attempt_count=record.attempt_count
    )


def settle_burning_released_attempts(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    settled = real_settle(record, settlement, now)
    return replace(settled, attempt_count=record.attempt_count) if isinstance(settlement, Released) else settled


def expire_burning(record: JobRecord, *, due: datetime, now: datetime) -> JobRecord:
    expired = real_expire(record, due=due, now=now)
    return replace(expired, attempt_count=min(record.max_attempts, record.attempt_count + 1))


def expired_early(record: JobRecord, now: datetime) -> bool:
    return real_is_expired(record, now + timedelta(seconds=1))


def due_at_any_time(record: JobRecord, now: datetime) -> bool:
    return True


def cancel_the_finished(record: JobRecord, now: datetime) -> JobRecord:
    return real_cancel(replace(record, status=JobStatus.PENDING), now)


async def insert_again_under_new_ids(self: Backend, new: Iterable[NewJob]) -> Sequence[Inserted]:
    jobs = list(new)
    try:
        return await real_insert(self, jobs)
    except DatabaseError:
        return await real_insert(self, [one._replace(id=new_job_id()) for one in jobs])


def only_the_newest_slot(*given: object, misfire_limit: int | None) -> object:
    slots, following = real_due_slots(*given, misfire_limit=misfire_limit)  # type: ignore[arg-type]  # as they came
    return slots[-1:], following


def fire_slots_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "slot_job_id", lambda schedule_id, slot: new_job_id())
    monkeypatch.setattr(memory.schedules, "_is_new_slot", lambda schedule, slot: True)


def all_waiting_completions(self: memory.MemoryStore, batch_ids: Sequence[str] | None = None) -> list[JobRecord]:
    stored = self._records.values()
    return [one for one in stored if one.status is JobStatus.PENDING and one.waits_for_batch]


def tables_without_unique_keys() -> str:
    kept = [statement for statement in real_tables().split(";\n") if "jobs_unique_key" not in statement]
    return ";\n".join(kept)


def drop_what_fails(self: Settler, batch: Sequence[object], error: DatabaseError) -> None:
    for waiting in batch:
        waiting.stored(None, None)  # type: ignore[attr-defined]  # what waits there is private


def renew_without_lease(record: JobRecord, heartbeat: Heartbeat, *, lease: timedelta, now: datetime) -> JobRecord:
    return replace(real_renew(record, heartbeat, lease=lease, now=now), worker_expires_at=record.worker_expires_at)


async def pause_nothing(self: memory.MemoryStore, name: str, *, by: str) -> bool:
    return True


async def release_nothing(self: Runner, claims: Sequence[Claim]) -> None:
    """Release nothing."""


async def release_nothing_for_a_cancelled_caller(self: Runner, claiming: object) -> object:
    return await claiming  # type: ignore[misc]  # a coroutine, of whatever claims


def never_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: set[Settler] = set()

    def note(self: Settler, batch: Sequence[object], error: DatabaseError) -> None:
        failed.add(self)
        real_note_failure(self, batch, error)  # type: ignore[arg-type]  # what waits there is private

    monkeypatch.setattr(Settler, "_note_failure", note)
    monkeypatch.setattr(Settler, "is_failing", property(lambda self: self in failed))


def give_up(self: WorkerHealth, error: DatabaseError) -> None:
    raise error


async def result_of_what_runs(self: JobHandle[jobs.Done], *, timeout: object = None) -> object:
    return self._job.result_of(await self.record())


CASES = [
    Case(
        "the fence of every write",
        with_value(lifecycle, "is_leased", held_by_anybody),
        Mode.SAFETY,
        "without the newest",
        first_seed=33,
    ),
    Case(
        "the fence of every write, in SQL",
        without_fence_in_sql,
        Mode.SAFETY,
        "without the newest token",
        "sqlite",
        first_seed=53,
    ),
    Case("attempts counted at claim", with_value(lifecycle, "claim", claim_uncounted), Mode.SAFETY, "attempt_count"),
    Case(
        "no attempt counted at release",
        with_value(lifecycle, "settle", settle_burning_released_attempts),
        Mode.SAFETY,
        "attempt_count",
    ),
    Case("one attempt for an expiry", with_value(lifecycle, "expire", expire_burning), Mode.SAFETY, "attempt_count"),
    Case("leases that last", with_value(lifecycle, "is_expired", expired_early), Mode.SAFETY, "its lease lasts until"),
    Case("due times", with_value(lifecycle, "is_due", due_at_any_time), Mode.SAFETY, "before it was due"),
    Case(
        "finished jobs stay", with_value(lifecycle, "cancel", cancel_the_finished), Mode.SAFETY, "cancel made cancelled"
    ),
    Case(
        "concurrency limit",
        with_value(jobs.Narrow, "options", jobs.Slow.options),
        Mode.SAFETY,
        "is one of 2 that run",
        first_seed=17,
    ),
    Case(
        "rate limit",
        with_value(jobs.Paced, "options", jobs.Quick.options),
        Mode.SAFETY,
        "jobs of Paced were started",
        first_seed=4,
    ),
    Case(
        "paused queues",
        with_value(memory.MemoryStore, "pause_queue", pause_nothing),
        Mode.SAFETY,
        "which is paused",
        first_seed=12,
    ),
    Case(
        "one unfinished job for a unique key",
        with_value(stores, "tables", tables_without_unique_keys),
        Mode.SAFETY,
        "unfinished jobs have the unique key",
        "sqlite",
        first_seed=6,
    ),
    Case("one job for a slot", fire_slots_again, Mode.SAFETY, "was fired a second time", first_seed=39),
    Case(
        "one job for a call whose reply was lost",
        with_value(Backend, "insert", insert_again_under_new_ids),
        Mode.SAFETY,
        "the call that made it also made",
    ),
    Case(
        "results of finished jobs", with_value(JobHandle, "result", result_of_what_runs), Mode.SAFETY, "was waited for"
    ),
    Case(
        "a worker outlives failures",
        with_value(WorkerHealth, "note_failure", give_up),
        Mode.SAFETY,
        "had answered before",
    ),
    Case(
        "outcomes are tried again",
        with_value(Settler, "_note_failure", drop_what_fails),
        Mode.LIVENESS,
        "expired, although",
    ),
    Case(
        "leases are renewed",
        with_value(lifecycle, "renew", renew_without_lease),
        Mode.LIVENESS,
        "expired, although",
        first_seed=13,
    ),
    Case(
        "unfinished jobs are released",
        with_value(Runner, "release", release_nothing),
        Mode.LIVENESS,
        "expired, although",
        first_seed=45,
    ),
    Case(
        "claims of a caller that went away",
        with_value(Runner, "claim", release_nothing_for_a_cancelled_caller),
        Mode.LIVENESS,
        "expired, although",
        first_seed=19,
    ),
    Case("an outage ends for a worker too", never_forget, Mode.LIVENESS, "unfinished work", first_seed=30),
    Case(
        "a batch ends after its jobs",
        with_value(memory.MemoryStore, "_ended_batches", all_waiting_completions),
        Mode.SAFETY,
        "its batch has ended, and it is",
        first_seed=2,
    ),
    Case(
        "each slot that passed",
        with_value(cron, "due_slots", only_the_newest_slot),
        Mode.LIVENESS,
        "fire each slot",
    ),
]


# These take most of the time, and the cheaper ones show that the simulation can fail in both modes and on SQLite.
SLOW = {
    *("one unfinished job for a unique key", "each slot that passed", "an outage ends for a worker too"),
    *("outcomes are tried again", "results of finished jobs", "unfinished jobs are released"),
    "one job for a call whose reply was lost",
}


@pytest.mark.parametrize("case", [slow(case) if str(case) in SLOW else case for case in CASES], ids=str)
def test_a_protection_that_is_missing_is_noticed(
    case: Case, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    case.sabotage(monkeypatch)
    for seed in range(case.first_seed, case.first_seed + MOST_SEEDS):
        outcome = simulate(seed, case.mode, store=case.store)
        if outcome.problem and case.noticed_as in outcome.problem:
            record_property("figure", f"without {case.what}: noticed in seed {seed}, looked for from {case.first_seed}")
            return
    pytest.fail(f"none of {MOST_SEEDS} simulations noticed that this is missing: {case.what}")
