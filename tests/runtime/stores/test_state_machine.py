"""Random lives of jobs, step by step on every store, compared with an independent model.

After every step every column of every row equals the model's, so no job is lost or invented, and finished jobs stay as
they are. Every answer equals the model's too. Every claim is kept and tried again: all except the newest are zombies.
`make test-long` runs far more and longer lives.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, OnConflict, RateLimit, ScheduleSource
from server_jobs.domain.record import (
    UNREADABLE,
    WAITS,
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Ended,
    Failed,
    Firing,
    Heartbeat,
    JobQuery,
    JobRecord,
    JobStatus,
    KnownJob,
    NewJob,
    Outcome,
    PruneRule,
    PruneStep,
    Released,
    Repair,
    Report,
    ScheduleChange,
    ScheduleRecord,
    Settlement,
)
from server_jobs.domain.statistics import BatchCounts
from server_jobs.errors import DuplicateJobError, JobNotFoundError, JobNotRepairableError, JobNotRetryableError
from server_jobs.testing import FakeClock

from tests.conformance.examples import claim_on
from tests.conformance.stores import STORES, OpenStore
from tests.runtime.stores.store_model import Row, StoreModel, moment
from tests.slow import slow

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
_NOBODY = JobRecord(
    id="nobody",
    job_name="Vacuum",
    params="{}",
    status=JobStatus.PENDING,
    scheduled_for=START,
    created_at=START,
    updated_at=START,
)
JOB_IDS = [f"job-{number:02}" for number in range(12)]
BATCH_IDS = JOB_IDS[:2]
BAD_IDS = ["", "nobody", "job-0", "job-01%"]
SCHEDULE_IDS = ["s1", "s2", "s3"]
_COMPUTED = ("last_run_at", "next_run_at", "last_job_id")
NAMES = ["SendEmail", "ImportCsv"]
LIMITED = "ImportCsv"
PERIOD = timedelta(seconds=3)
BOOM = Ended(Outcome.FAILED, "Boom")

moments = st.integers(-5, 20).map(lambda seconds: START + timedelta(seconds=seconds))
delays = st.sampled_from([timedelta(0), timedelta(milliseconds=1), timedelta(seconds=3)])
leases = st.sampled_from([timedelta(milliseconds=1), timedelta(seconds=1), timedelta(seconds=10)])
messages = st.sampled_from([None, "", "half way", "it's 50 %"])
slots = st.integers(0, 6).map(lambda hours: START + timedelta(hours=hours))
new_jobs = st.builds(
    NewJob,
    id=st.sampled_from(JOB_IDS),
    job_name=st.sampled_from(NAMES),
    params=st.sampled_from(["{}", '{"a":[1]}']),
    queue=st.sampled_from(["default", "slow"]),
    priority=st.sampled_from([0, 0, 1, -1]),
    spec_version=st.sampled_from([1, 1, 2]),
    max_attempts=st.integers(1, 3),
    scheduled_for=st.none() | moments,
    delay=delays,
    expires_after=st.sampled_from([None, None, None, timedelta(milliseconds=1), timedelta(seconds=3)]),
    unique_key=st.sampled_from([None, None, "k1", "k2"]),
    correlation_id=st.sampled_from([None, "c"]),
    headers=st.sampled_from([None, None, '{"trace":"1"}']),
    concurrency_key=st.sampled_from(["", "ada"]),
    rate_key=st.sampled_from(["", "host"]),
    batch_id=st.sampled_from([None, None, *BATCH_IDS]),
    on_conflict=st.just(OnConflict.KEEP),
).map(lambda job: _with_keys_of_its_name(_completion(job)))


def _with_keys_of_its_name(job: NewJob) -> NewJob:
    """Return the job as a job class makes it: the name is a part of the unique key, and only limits have keys."""
    if job.unique_key is not None:
        job = job._replace(unique_key=f"{job.job_name}:{job.unique_key}")
    return job if job.job_name == LIMITED else job._replace(concurrency_key=None, rate_key=None)


def _completion(job: NewJob) -> NewJob:
    return job._replace(scheduled_for=WAITS, unique_key=None) if job.id == job.batch_id else job


def _in_both_versions(known: list[KnownJob], is_wanted: bool) -> tuple[KnownJob, ...]:
    """Return the known jobs of a worker that also reads rows of an earlier version."""
    return (*known, *(replace(job, version=3 - job.version) for job in known)) if is_wanted else tuple(known)


limits = st.sampled_from([1, 1, 2])
concurrencies = st.builds(ConcurrencyLimit, limit=limits)
rates = st.builds(RateLimit, limit=limits, per=st.just(PERIOD))
known_jobs = st.builds(
    KnownJob,
    name=st.sampled_from([name for name in [*NAMES, "Vacuum"] if name != LIMITED]),
    version=st.sampled_from([1, 1, 2]),
) | st.builds(
    # Only one of the limits: with both, a claim may take fewer jobs than there is room for.
    lambda version, limit: KnownJob(
        LIMITED,
        version,
        concurrency=limit if isinstance(limit, ConcurrencyLimit) else None,
        rate=limit if isinstance(limit, RateLimit) else None,
    ),
    st.sampled_from([1, 1, 2]),
    concurrencies | rates,
)
requests = st.builds(
    ClaimRequest,
    # One limit for each name, because the effect of two is undefined.
    known=st.tuples(
        st.lists(known_jobs, min_size=1, max_size=3, unique_by=lambda job: job.name),
        st.booleans(),
    ).map(lambda drawn: _in_both_versions(*drawn)),
    limit=st.integers(0, 4),
    lease=leases,
    queues=st.sampled_from([None, None, ("default",), ("slow", "default"), ()]),
    worker_id=st.sampled_from([None, "w1", "w2"]),
)
any_job_id = st.sampled_from(JOB_IDS) | st.sampled_from(BAD_IDS)


def _with_one_meaning_for_each_id(jobs: list[NewJob]) -> list[NewJob]:
    """Remove jobs that share an id with a different job. A batch may contain one job twice, by mistake."""
    first: dict[str, NewJob] = {}
    return [first.setdefault(job.id, job) for job in jobs]


def _given(schedule: ScheduleRecord) -> dict[str, object]:
    """Return the columns that a caller sets."""
    return {name: value for name, value in asdict(schedule).items() if name not in _COMPUTED}


class StoreMachine(RuleBasedStateMachine):
    """One store and its model, driven by one clock."""

    open_store: ClassVar[OpenStore]

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(START)
        self.runner = asyncio.Runner()
        self.context: AbstractAsyncContextManager[Store] = type(self).open_store(self.clock)
        self.store = self.run(self.context.__aenter__())
        self.model = StoreModel()
        self.tokens: set[str] = set()

    def teardown(self) -> None:
        self.run(self.context.__aexit__(None, None, None))
        self.runner.close()

    def run(self, step: Coroutine[object, object, T]) -> T:
        return self.runner.run(step)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @rule(milliseconds=st.sampled_from([1, 500, 1000, 3000, 10_000, 3_600_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.advance(timedelta(milliseconds=milliseconds))

    # --- enqueue and claim

    @rule(
        jobs=st.lists(new_jobs, max_size=4).map(_with_one_meaning_for_each_id), on_conflict=st.sampled_from(OnConflict)
    )
    def insert(self, jobs: list[NewJob], on_conflict: OnConflict) -> None:
        jobs = [job._replace(on_conflict=on_conflict) for job in jobs]
        if on_conflict is not OnConflict.KEEP:  # the jobs of one call have the same due time, and different ids
            jobs = list({job.unique_key: job for job in {job.id: job for job in jobs}.values()}.values())
        expected = [self.model.insert(job.id, self._options(job), self.now, on_conflict) for job in jobs]

        answers = self.run(self.store.insert(jobs))

        assert [(answer.id, answer.created) for answer in answers] == expected

    @rule(target=claims, job=new_jobs, lease=leases)
    def start(self, job: NewJob, lease: timedelta) -> Claim | MultipleResults[Claim]:
        job = job._replace(batch_id=None)  # only inserted jobs belong to a batch
        options = self._options(job._replace(scheduled_for=self.now))
        if job.id not in self.model.jobs and self.model.is_blocked(options):
            with pytest.raises(DuplicateJobError):
                self.run(self.store.start(job, lease))
            return multiple()
        holder, created = self.model.insert(job.id, options, self.now)
        if not created:
            with pytest.raises(DuplicateJobError) as raised:
                self.run(self.store.start(job, lease))
            assert raised.value.job_id in {holder, self.model.key_owner_of(job.unique_key)}
            return multiple()
        claim = self.run(self.store.start(job, lease))
        self._note(claim, lease)
        return claim

    @rule(target=claims, request=requests)
    def claim(self, request: ClaimRequest) -> MultipleResults[Claim]:
        limits = {job.name: job.concurrency.limit for job in request.known if job.concurrency is not None}
        rates = {job.name: (job.rate.limit, job.rate.per) for job in request.known if job.rate is not None}
        expected = self.model.expected_claims(_known(request), request.queues, limits, rates, request.limit, self.now)

        claims = self.run(self.store.claim(request))

        assert [claim.id for claim in claims] == expected
        for claim in claims:
            self._note(claim, request.lease, request.worker_id)
        return multiple(*claims)

    @rule(target=claims, job_id=any_job_id, request=requests)
    def claim_one(self, job_id: str, request: ClaimRequest) -> Claim | MultipleResults[Claim]:
        expected = [row["id"] for row in self.model.claimable(_known(request), request.queues, self.now)]

        claim = self.run(self.store.claim_one(job_id, request))

        assert (claim is not None) == (job_id in expected)
        if claim is None:
            return multiple()
        self._note(claim, request.lease, request.worker_id)
        return claim

    # --- while it runs

    @rule(held=st.lists(st.tuples(claims, st.integers(0, 100), messages), max_size=3), lease=leases)
    def renew(self, held: list[tuple[Claim, int, str | None]], lease: timedelta) -> None:
        beats = [Heartbeat(id=claim.id, token=claim.token, progress=done, message=text) for claim, done, text in held]
        expected = [
            self.model.renew(beat.id, beat.token, beat.progress, beat.message, lease, self.now) for beat in beats
        ]

        assert list(self.run(self.store.renew(beats, lease))) == expected

    @rule(
        outcomes=st.lists(
            st.tuples(
                claims,
                st.sampled_from(["completed", "failed", "gave up", "unreadable", "released", "snoozed", "refused"]),
                delays,
                st.none() | st.builds(Report, st.integers(0, 100), messages),
            ),
            max_size=3,
        )
    )
    def settle(self, outcomes: list[tuple[Claim, str, timedelta, Report | None]]) -> None:
        settlements = [_settlement(*outcome) for outcome in outcomes]
        expected = [self._settle_model(settlement) for settlement in settlements]

        assert list(self.run(self.store.settle(settlements))) == expected

    @rule(claim=claims, job_id=any_job_id)
    def settle_another_job_with_this_token(self, claim: Claim, job_id: str) -> None:
        if job_id != claim.id:
            forged = Completed(id=job_id, token=claim.token, result='"forged"')
            assert list(self.run(self.store.settle([forged]))) == [None]

    @rule(jitter=st.sampled_from([timedelta(0), timedelta(seconds=2)]))
    def expire(self, jitter: timedelta) -> None:
        overdue = self.model.overdue(self.now)

        expired = self.run(self.store.expire(jitter=jitter))

        assert sorted(one.id for one in expired) == sorted(overdue)
        for one in expired:
            record = self.run(self.store.get(one.id))
            assert record is not None
            assert record.error is not None
            assert "lease expired" in record.error
            due = record.scheduled_for
            assert due is not None
            status = self.model.expire(one.id, due, record.error, self.now)
            assert one.status == status
            if status == "pending":
                assert self.now <= due <= self.now + jitter

    # --- batches

    @rule(batch_ids=st.none() | st.lists(any_job_id, max_size=2))
    def end_batches(self, batch_ids: list[str] | None) -> None:
        expected = self.model.end_batches(batch_ids, self.now)

        assert sorted(self.run(self.store.end_batches(batch_ids))) == expected

    @rule(batch_id=st.sampled_from(BATCH_IDS))
    def count_batch(self, batch_id: str) -> None:
        expected = self.model.batch(batch_id)

        counts = self.run(self.store.count_batch(batch_id)) or BatchCounts()

        assert {name: count for name, count in asdict(counts).items() if count} == Counter(expected.values())
        named = [one for one in sorted(expected) if self.model.jobs[one]["job_name"] == LIMITED]
        assert list(self.run(self.store.batch_jobs(batch_id, LIMITED))) == named

    @rule()
    def cancel_late(self) -> None:
        late = sorted(job_id for job_id, row in self.model.jobs.items() if self.model.is_late(row, self.now))

        assert sorted(one.id for one in self.run(self.store.cancel_late())) == late
        for job_id in late:
            self.model.cancel_late(job_id, self.now)

    # --- by hand

    @rule(job_id=any_job_id)
    def cancel(self, job_id: str) -> None:
        expected = self.model.cancel(job_id, self.now)
        if expected == "not found":
            with pytest.raises(JobNotFoundError):
                self.run(self.store.cancel(job_id))
        else:
            assert self.run(self.store.cancel(job_id)) == expected

    @rule(job_id=any_job_id)
    def retry(self, job_id: str) -> None:
        refusals = {
            "not found": JobNotFoundError,
            "not retryable": JobNotRetryableError,
            "duplicate": DuplicateJobError,
        }
        expected = self.model.retry(job_id, self.now)
        if expected in refusals:
            with pytest.raises(refusals[expected]):
                self.run(self.store.retry(job_id))
        else:
            self.run(self.store.retry(job_id))

    @rule(job_id=any_job_id, params=st.sampled_from(["{}", '{"b":2}']), version=st.sampled_from([1, 2]))
    def repair(self, job_id: str, params: str, version: int) -> None:
        self._repair(self.run(self.store.get(job_id)) or _NOBODY, params, version)

    @rule(claim=claims)
    def repair_what_was_read_before(self, claim: Claim) -> None:
        before = replace(
            _NOBODY, id=claim.id, job_name=claim.job_name, params=claim.params, spec_version=claim.spec_version
        )
        self._repair(before, '{"b":2}', 2)

    def _repair(self, before: JobRecord, params: str, version: int) -> None:
        refusals = {
            "not found": JobNotFoundError,
            "not repairable": JobNotRepairableError,
            "duplicate": DuplicateJobError,
        }
        keys = {"concurrency_key": "new", "rate_key": "host"} if before.job_name == LIMITED else {}
        repair = Repair(instead_of=before, params=params, spec_version=version, **keys)
        new = {key: value for key, value in asdict(repair).items() if key != "instead_of"}
        expected = self.model.repair(before.id, asdict(before), new, self.now)
        if expected in refusals:
            with pytest.raises(refusals[expected]):
                self.run(self.store.repair(repair))
        else:
            self.run(self.store.repair(repair))

    @rule(queue=st.sampled_from(["default", "slow", "nobody"]))
    def pause(self, queue: str) -> None:
        assert self.run(self.store.pause_queue(queue)) == self.model.pause(queue)

    @rule(queue=st.sampled_from(["default", "slow", "nobody"]))
    def resume(self, queue: str) -> None:
        assert self.run(self.store.resume_queue(queue)) == self.model.resume(queue)

    @rule(
        status=st.sampled_from([status for status in JobStatus if status.is_finished]),
        job_name=st.none() | st.sampled_from(NAMES),
        age=st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(hours=1)]),
        limit=st.integers(1, 20),
    )
    def prune(self, status: JobStatus, job_name: str | None, age: timedelta, limit: int) -> None:
        rules = (PruneRule(status=status, age=age, job_name=job_name),)
        count, after = 0, ""
        while (
            pruned := self.run(self.store.prune(PruneStep(rules=rules, after=after, limit=limit)))
        ).after is not None:
            count, after = count + pruned.count, pruned.after

        assert count + pruned.count == self.model.prune(status, job_name, age, self.now)

    # --- schedules

    @rule(
        schedule_ids=st.lists(st.sampled_from(SCHEDULE_IDS), max_size=3, unique=True),
        cron=st.sampled_from(["0 * * * *", "0 * * * *", "30 * * * *"]),
        timezone=st.sampled_from(["UTC", "UTC", "Asia/Kathmandu"]),
        misfire_limit=st.sampled_from([None, None, 3]),
        params=st.sampled_from(["{}", '{"a":1}']),
        enabled=st.booleans(),
    )
    def save_schedules(
        self,
        schedule_ids: list[str],
        cron: str,
        timezone: str,
        misfire_limit: int | None,
        params: str,
        enabled: bool,
    ) -> None:
        declared = [
            ScheduleRecord(
                id=schedule_id,
                job_name=NAMES[0],
                name=f"name of {schedule_id}",
                cron_expression=cron,
                timezone=timezone,
                misfire="fire_all",
                misfire_limit=misfire_limit,
                params=params,
                enabled=enabled,
            )
            for schedule_id in schedule_ids
        ]
        for one in declared:
            self.model.save_schedule(_given(one))

        self.run(self.store.save_schedules(declared))

    @rule(schedule_id=st.sampled_from(SCHEDULE_IDS))
    def add_schedule(self, schedule_id: str) -> None:
        added = ScheduleRecord(
            id=schedule_id,
            job_name=NAMES[0],
            name=f"name of {schedule_id}",
            cron_expression="0 * * * *",
            timezone="UTC",
            misfire="fire_all",
            params="{}",
            source=ScheduleSource.ADDED,
            spec_version=1,
        )
        expected = self.model.add_schedule(_given(added))

        assert self.run(self.store.add_schedule(added)) == expected

    @rule(
        schedule_id=st.sampled_from([*SCHEDULE_IDS, "nobody"]), cron=st.sampled_from(["0 * * * *", "30 * * * *", None])
    )
    def change_or_remove_schedule(self, schedule_id: str, cron: str | None) -> None:
        if cron is None:
            expected = self.model.remove_schedule(schedule_id)
            assert self.run(self.store.remove_schedule(schedule_id)) == expected
        else:
            expected = self.model.change_schedule(schedule_id, cron)
            change = ScheduleChange(cron_expression=cron)
            assert self.run(self.store.change_schedule(schedule_id, change)) == expected

    @rule(schedule_id=st.sampled_from([*SCHEDULE_IDS, "nobody"]), enabled=st.booleans())
    def enable_schedule(self, schedule_id: str, enabled: bool) -> None:
        expected = self.model.enable_schedule(schedule_id, enabled)

        assert self.run(self.store.enable_schedule(schedule_id, enabled=enabled)) == expected

    @rule(
        schedule_id=st.sampled_from([*SCHEDULE_IDS, "nobody"]),
        due=st.lists(slots, max_size=3, unique=True).map(sorted),
        next_run_at=slots,
        unique_key=st.sampled_from([None, None, f"{NAMES[0]}:k1"]),
        expires_after=st.sampled_from([None, timedelta(hours=1)]),
        prefix=st.sampled_from(["", "", "other-"]),
        cron=st.sampled_from(["0 * * * *", "0 * * * *", "30 * * * *"]),
    )
    def fire(
        self,
        schedule_id: str,
        due: list[datetime],
        next_run_at: datetime,
        unique_key: str | None,
        expires_after: timedelta | None,
        prefix: str,
        cron: str,
    ) -> None:
        rule = (cron, "UTC")
        jobs = [
            NewJob(
                id=f"{prefix}{schedule_id}@{slot:%H}",
                job_name=NAMES[0],
                params="{}",
                scheduled_for=slot,
                expires_after=expires_after,
                unique_key=unique_key,
            )
            for slot in due
        ]
        expected = self.model.fire(
            schedule_id,
            rule,
            [(slot, job.id, self._options(job)) for slot, job in zip(due, jobs, strict=True)],
            next_run_at,
            self.now,
        )

        slots = tuple(zip(due, jobs, strict=True))
        firing = Firing(schedule_id=schedule_id, rule=rule, slots=slots, next_run_at=next_run_at)
        assert list(self.run(self.store.fire(firing))) == expected

    # --- read

    @rule(
        status=st.none() | st.sampled_from(JobStatus),
        job_name=st.none() | st.sampled_from(NAMES),
        queue=st.none() | st.sampled_from(["default", "slow"]),
        before=st.none() | any_job_id,
        limit=st.integers(1, 5),
    )
    def list_jobs(
        self, status: JobStatus | None, job_name: str | None, queue: str | None, before: str | None, limit: int
    ) -> None:
        queues = None if queue is None else (queue,)
        query = JobQuery(status=status, job_name=job_name, queues=queues, before=before, limit=limit)
        wanted = {"status": status, "job_name": job_name, "queue": queue}
        expected = [
            job_id
            for job_id, row in sorted(self.model.jobs.items(), reverse=True)
            if all(value is None or row[column] == value for column, value in wanted.items())
            and (before is None or job_id < before)
        ]

        assert [record.id for record in self.run(self.store.list_jobs(query))] == expected[:limit]

    @rule(request=requests)
    def look_at_what_is_due(self, request: ClaimRequest) -> None:
        waiting = self.model.waiting(_known(request), request.queues, self.now)
        running = self.model.running(_known(request), request.queues)
        waits, leases = (
            [max(timedelta(0), moment(row[column]) - self.now) for row in rows]
            for column, rows in (("scheduled_for", waiting), ("worker_expires_at", running))
        )

        assert self.run(self.store.count_due(request)) == sum(wait == timedelta(0) for wait in waits)
        upcoming = self.run(self.store.upcoming_work(request))
        assert upcoming.until_due == min(waits, default=None)
        assert upcoming.until_later == min(filter(None, waits), default=None)
        assert upcoming.until_lease_end == min(leases, default=None)

    @rule(since=st.none() | moments)
    def count_jobs(self, since: datetime | None) -> None:
        counts: dict[tuple[object, object], int] = {}
        for row in self.model.jobs.values():
            if since is None or moment(row["created_at"]) >= since:
                key = (row["job_name"], row["status"])
                counts[key] = counts.get(key, 0) + 1

        answers = self.run(self.store.count_jobs(since=since))

        assert {(one.job_name, one.status): one.count for one in answers} == counts

    @rule(names=st.lists(st.sampled_from([*NAMES, "Vacuum"]), max_size=2))
    def look_at_due_schedules(self, names: list[str]) -> None:
        due = self.run(self.store.due_schedules(names))

        assert due.now == self.now
        assert {one.id for one in due.schedules} == self.model.due_schedules(names, self.now)

    # --- after every step

    @invariant()
    def every_column_of_every_job_equals_the_model(self) -> None:
        stored = self.run(self.store.list_jobs(JobQuery(limit=1000)))
        assert {record.id: asdict(record) for record in stored} == self.model.jobs
        _check_soundness(stored)

    @invariant()
    def every_attempt_that_did_not_complete_equals_the_model(self) -> None:
        stored = {job_id: self.run(self.store.attempts(job_id)) for job_id in {*self.model.attempts, JOB_IDS[0]}}
        kept = {job_id: [asdict(attempt) for attempt in attempts] for job_id, attempts in stored.items() if attempts}
        assert kept == self.model.attempts

    @invariant()
    def every_column_of_every_schedule_equals_the_model(self) -> None:
        stored = self.run(self.store.list_schedules())
        assert {record.id: asdict(record) for record in stored} == self.model.schedules

    def _options(self, job: NewJob) -> Row:
        """Return the columns that a job sets."""
        due = self.now + job.delay if job.scheduled_for is None else job.scheduled_for
        return {
            "job_name": job.job_name,
            "params": job.params,
            "queue": job.queue,
            "priority": job.priority,
            "spec_version": job.spec_version,
            "max_attempts": job.max_attempts,
            "scheduled_for": due,
            "start_before": None if job.expires_after is None else due + job.expires_after,
            "unique_key": job.unique_key,
            "correlation_id": job.correlation_id,
            "concurrency_key": job.concurrency_key,
            "rate_key": job.rate_key,
            "headers": job.headers,
            "batch_id": job.batch_id,
        }

    def _note(self, claim: Claim, lease: timedelta, worker_id: str | None = None) -> None:
        """Check that no other claim ever had this token."""
        assert claim.token not in self.tokens
        self.tokens.add(claim.token)
        self.model.claim(claim.id, claim.token, lease, worker_id, self.now)
        record = self.run(self.store.get(claim.id))
        assert record is not None
        assert asdict(record) == self.model.jobs[claim.id]
        assert claim == claim_on(record)

    def _settle_model(self, settlement: Settlement) -> str | None:
        job_id, token = settlement.id, settlement.token
        if settlement.report is not None:
            self.model.report(job_id, token, settlement.report.progress, settlement.report.message)
        match settlement:
            case Completed(result=result):
                return self.model.complete(job_id, token, result, self.now)
            case Failed(error=error, retry_after=retry_after):
                return self.model.fail(job_id, token, error, retry_after, self.now)
            case Released(delay=delay):
                return self.model.release(job_id, token, delay, self.now)
            case Cancelled(reason=reason):
                return self.model.refuse(job_id, token, reason, self.now)


def _check_soundness(records: Sequence[JobRecord]) -> None:
    keys, replaced, running = list[str](), list[str](), list[str]()
    for record in records:
        is_running = record.status is JobStatus.RUNNING
        assert (record.fencing_token is not None) == is_running
        assert (record.worker_expires_at is not None) == is_running
        assert (record.completed_at is not None) == record.status.is_finished
        assert 0 <= record.attempt_count <= record.max_attempts
        assert 0 <= record.progress <= 100
        if record.unique_key is not None and not record.status.is_finished:
            (keys if record.replaced_by is None else replaced).append(record.unique_key)
            running += [record.unique_key] * is_running
    for some in (keys, replaced, running):
        assert len(some) == len(set(some))


def _known(request: ClaimRequest) -> Sequence[tuple[str, int]]:
    return [(job.name, job.version) for job in request.known]


def _settlement(claim: Claim, kind: str, delay: timedelta, report: Report | None) -> Settlement:
    match kind:
        case "completed":
            return Completed(id=claim.id, token=claim.token, result=f'"{claim.token}"', report=report)
        case "failed":
            return Failed(claim.id, claim.token, "boom", delay, report, BOOM)
        case "gave up":
            return Failed(claim.id, claim.token, "hopeless", None, report, BOOM)
        case "unreadable":
            return Failed(claim.id, claim.token, f"{UNREADABLE}why", None, report, BOOM)
        case "snoozed":
            return Released(claim.id, claim.token, delay, report, Ended(Outcome.SNOOZED))
        case "refused":
            return Cancelled(id=claim.id, token=claim.token, reason="no use", report=report)
        case _:
            return Released(id=claim.id, token=claim.token, report=report)


# D1 and Turso use the statements of SQLite.
@pytest.mark.parametrize("name", [slow(name) if name in ("d1", "turso") else name for name in STORES])
def test_a_random_life_of_jobs_is_as_the_model_says(name: str) -> None:
    machine = type(f"{name}_machine", (StoreMachine,), {"open_store": staticmethod(STORES[name])})

    run_state_machine_as_test(machine, settings=_effort(name))


def _effort(name: str) -> settings:
    """Return settings for a run of seconds. A profile of the command line overrides them."""
    if settings.get_current_profile_name() == "long":
        return settings.get_profile("long")
    # Each step on a server is a round trip; Turso and D1 use the statements of SQLite. The usual examples are the same
    # in each run, so more of them find nothing new.
    examples = {"turso": 2, "d1": 5, "worker": 5, "postgresql": 5}.get(name, 10)
    if settings.get_current_profile_name() == "explore":
        examples *= 6
    return settings(max_examples=examples, stateful_step_count=40, deadline=None)
