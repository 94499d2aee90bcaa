"""The history of jobs and workers: attempts that did not complete, workers that report, and what blocks a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from server_jobs.domain.history import ATTEMPTS_KEPT, MOST_HOLDERS, AttemptRecord, Blockers, WorkerRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import (
    LEASE_EXPIRED,
    UNREADABLE,
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Ended,
    Failed,
    Heartbeat,
    JobStatus,
    KnownJob,
    LeaseAnswer,
    Outcome,
    PruneRule,
    PruneStep,
    Released,
    Report,
)
from server_jobs.domain.record.reports import TICK_LEASE, TICK_REPORT_INTERVAL, WORKER_RETENTION, WorkerReport
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    SECOND,
    SEND,
    START,
    completed,
    insert_and_claim,
    job,
    read,
    reclaim,
    request,
)

NOTHING = timedelta(0)
WORKER = WorkerReport(
    id="w1",
    host="machine",
    pid=17,
    queues=("mail", "ünïcode"),
    concurrency=5,
    version="1.2.3",
    known=(("SendEmail", 1), ("SendEmail", 2)),
)
TICK = replace(WORKER, id="t1", pid=None, queues=None)


async def failed_attempt(store: Store, claim: Claim, error: str = "ValueError: no", traceback: str = "") -> None:
    ended = Ended(Outcome.FAILED, "ValueError", traceback or None)
    await store.settle([Failed(claim.id, claim.token, error, NOTHING, ended=ended)])


async def test_a_failed_attempt_is_kept_with_its_error_its_worker_and_its_times(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    (claim,) = await store.claim(request(worker_id="w1"))
    clock.advance(SECOND)

    await failed_attempt(store, claim, "ValueError: é 'no'", 'Traceback:\n  "a", line 1 \N{SNOWMAN}\n')

    assert await store.attempts("a") == [
        AttemptRecord(
            job_id="a",
            attempt=1,
            outcome=Outcome.FAILED,
            error="ValueError: é 'no'",
            error_class="ValueError",
            traceback='Traceback:\n  "a", line 1 \N{SNOWMAN}\n',
            worker_id="w1",
            started_at=START,
            ended_at=START + SECOND,
        )
    ]
    assert (await read(store, "a")).error_class == "ValueError"


async def test_each_outcome_but_completion_is_kept_in_order(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=9))
    await store.settle([Failed("a", claim.token, "slow", NOTHING, ended=Ended(Outcome.TIMED_OUT, "TimeoutError"))])
    claim = await reclaim(store, "a")
    await store.settle([Released("a", claim.token, SECOND, ended=Ended(Outcome.SNOOZED))])
    claim = await reclaim(store, "a")
    await store.settle([Released("a", claim.token, ended=Ended(Outcome.RELEASED))])
    await reclaim(store, "a")
    clock.advance(LEASE + SECOND)
    await store.expire(jitter=NOTHING)
    claim = await reclaim(store, "a")
    await store.settle([Failed("a", claim.token, f"{UNREADABLE}no", None, ended=Ended(Outcome.UNREADABLE, "Bad"))])
    await store.retry("a")
    claim = await reclaim(store, "a")
    await store.settle([Cancelled("a", claim.token, "nobody wants it")])

    assert [(one.attempt, one.outcome, one.error_class) for one in await store.attempts("a")] == [
        (1, Outcome.TIMED_OUT, "TimeoutError"),
        (2, Outcome.SNOOZED, None),
        (2, Outcome.RELEASED, None),
        (2, Outcome.EXPIRED, LEASE_EXPIRED),
        (3, Outcome.UNREADABLE, "Bad"),
        (1, Outcome.CANCELLED, None),
    ]
    errors = [one.error for one in await store.attempts("a")]
    expiry = "the worker died or stalled: its lease expired in attempt 2 of 9"
    assert errors == ["slow", None, None, expiry, f"{UNREADABLE}no", "nobody wants it"]


async def test_an_attempt_that_completes_or_was_not_begun_leaves_nothing(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([Released("a", claim.token)])
    claim = await reclaim(store, "a")
    await store.settle([Completed("a", claim.token, '"ended":1', Report(3, '"ended":'))])
    await store.settle([completed(await insert_and_claim(store, job("b")))])

    assert await store.attempts("a") == await store.attempts("b") == []
    assert await store.attempts("nobody") == await store.attempts("\0") == []


async def test_the_outcome_of_a_stale_claim_is_not_kept(store: Store, clock: FakeClock) -> None:
    stale = await insert_and_claim(store, job("a"))
    clock.advance(LEASE + SECOND)
    await store.expire(jitter=NOTHING)
    current = await reclaim(store, "a")

    late = Failed("a", stale.token, "late", NOTHING)
    current_failure = Failed("a", current.token, "current", NOTHING)
    assert await store.settle([late]) == [None]
    assert await store.settle([late, current_failure]) == [None, JobStatus.PENDING]

    assert [one.outcome for one in await store.attempts("a")] == [Outcome.EXPIRED, Outcome.FAILED]
    assert [one.error for one in await store.attempts("a")][1] == "current"


async def test_a_batch_keeps_the_attempts_of_each_of_its_jobs(store: Store, clock: FakeClock) -> None:
    claims = [await insert_and_claim(store, job(f"{number:03}")) for number in range(40)]
    settlements = [
        completed(claim) if number % 2 else Failed(claim.id, claim.token, f"error {number}", NOTHING)
        for number, claim in enumerate(claims)
    ]

    await store.settle(settlements)

    for number, claim in enumerate(claims):
        kept = [one.error for one in await store.attempts(claim.id)]
        assert kept == ([] if number % 2 else [f"error {number}"])


async def test_only_the_last_attempts_of_a_job_are_kept(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await insert_and_claim(store, job("b"))
    for number in range(ATTEMPTS_KEPT + 3):
        await store.settle([Released("a", claim.token, SECOND, ended=Ended(Outcome.SNOOZED, f"{number}"))])
        claim = await reclaim(store, "a")

    kept = [one.error_class for one in await store.attempts("a")]
    assert kept == [f"{number}" for number in range(3, ATTEMPTS_KEPT + 3)]


async def test_each_job_numbers_its_own_attempts(store: Store, clock: FakeClock) -> None:
    """A number chooses the row that an attempt replaces. Numbers of all jobs together would replace the first ones."""
    await store.insert([job(name) for name in ("fails", "expires", "often")])

    async def fail_often(times: int) -> None:
        for _ in range(times):
            claim = await reclaim(store, "often")
            await store.settle([Released("often", claim.token, SECOND, ended=Ended(Outcome.SNOOZED))])

    async def expire() -> None:
        await reclaim(store, "expires")
        clock.advance(LEASE + SECOND)
        await store.expire(jitter=NOTHING)

    await failed_attempt(store, await reclaim(store, "fails"))
    await expire()
    await fail_often(ATTEMPTS_KEPT - 1)
    await failed_attempt(store, await reclaim(store, "fails"))
    await fail_often(2)
    await expire()

    assert [len(await store.attempts(name)) for name in ("fails", "expires", "often")] == [2, 2, ATTEMPTS_KEPT]


async def test_attempts_replace_those_that_are_not_kept_as_a_whole(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", max_attempts=2 * ATTEMPTS_KEPT)])
    for number in range(ATTEMPTS_KEPT):
        (claim,) = await store.claim(request(worker_id=f"early {number}"))
        clock.advance(MILLISECOND)
        ended = Ended(Outcome.FAILED, f"Early{number}", f"traceback {number}")
        await store.settle([Failed("a", claim.token, f"error {number}", timedelta(0), ended=ended)])
    (claim,) = await store.claim(request(worker_id="snoozed"))
    snoozed_at = clock.now()
    await store.settle([Released("a", claim.token, timedelta(0), ended=Ended(Outcome.SNOOZED))])
    await store.claim(request(worker_id="dead"))
    died_at = clock.now()
    clock.advance(LEASE + SECOND)
    await store.expire(jitter=timedelta(0))

    *_, before, snoozed, expired = await store.attempts("a")

    number = ATTEMPTS_KEPT - 1
    assert (before.error, before.traceback, before.worker_id) == (
        f"error {number}",
        f"traceback {number}",
        f"early {number}",
    )
    assert snoozed == AttemptRecord(
        job_id="a",
        attempt=ATTEMPTS_KEPT + 1,
        outcome=Outcome.SNOOZED,
        error=None,
        error_class=None,
        traceback=None,
        worker_id="snoozed",
        started_at=snoozed_at,
        ended_at=snoozed_at,
    )
    assert expired == AttemptRecord(
        job_id="a",
        attempt=ATTEMPTS_KEPT + 1,
        outcome=Outcome.EXPIRED,
        error=f"the worker died or stalled: its lease expired in attempt {ATTEMPTS_KEPT + 1} of {2 * ATTEMPTS_KEPT}",
        error_class=LEASE_EXPIRED,
        traceback=None,
        worker_id="dead",
        started_at=died_at,
        ended_at=clock.now(),
    )


async def test_retry_keeps_the_attempts_and_their_numbers_start_over(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", max_attempts=1)])
    for _ in range(2):
        (claim,) = await store.claim(request(worker_id="w1"))
        await failed_attempt(store, claim)
        await store.retry("a")

    assert [one.attempt for one in await store.attempts("a")] == [1, 1]
    record = await read(store, "a")
    assert (record.error_class, record.worker_id) == (None, None)


async def test_deleted_and_pruned_jobs_take_their_attempts_with_them(store: Store, clock: FakeClock) -> None:
    for job_id in ("deleted", "pruned", "scanned", "kept"):
        await failed_attempt(store, await insert_and_claim(store, job(job_id, max_attempts=1)))
    await store.retry("kept")
    rules = (PruneRule(status=JobStatus.FAILED, age=timedelta(hours=1)),)

    await store.delete(["deleted"])
    assert await store.attempts("deleted") == []
    clock.advance(timedelta(hours=2))
    assert (await store.prune(PruneStep(rules=rules, dry_run=True))).count == 2
    assert len(await store.attempts("pruned")) == 1
    await store.prune_next(rules, limit=2)
    assert await store.attempts("pruned") == []
    await store.prune(PruneStep(rules=rules))

    assert await store.attempts("scanned") == []
    assert len(await store.attempts("kept")) == 1


async def test_each_kind_of_claim_stores_the_id_of_its_worker(store: Store, clock: FakeClock) -> None:
    limited = KnownJob("Limited", 1, ConcurrencyLimit(limit=5))
    await store.insert([job("a"), job("b", "Limited", concurrency_key="", rate_key=""), job("c"), job("d")])

    await store.claim(request(limit=1, worker_id="w1"))
    await store.claim(request(limited, worker_id="w2"))
    by_id = ClaimRequest(known=(SEND,), limit=1, lease=LEASE, worker_id="w3")
    assert await store.claim_one("c", by_id) is not None
    await store.claim(request())

    assert [(await read(store, each)).worker_id for each in "abcd"] == ["w1", "w2", "w3", None]
    assert (await read(store, (await store.start(job("e"), LEASE)).id)).worker_id is None


async def test_the_row_names_the_worker_of_the_last_claim(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    (claim,) = await store.claim(request(worker_id="w1"))
    await failed_attempt(store, claim)
    assert (await read(store, "a")).worker_id == "w1"
    (claim,) = await store.claim(request(worker_id="w2"))
    await store.settle([completed(claim)])

    record = await read(store, "a")
    assert (record.worker_id, record.error_class) == ("w2", None)
    assert [one.worker_id for one in await store.attempts("a")] == ["w1"]


async def test_a_worker_is_alive_for_a_lease_after_each_report(store: Store, clock: FakeClock) -> None:
    await store.renew([], LEASE, [WORKER])
    assert await store.workers() == [
        WorkerRecord(report=WORKER, started_at=START, last_seen_at=START, is_alive=True, running=0)
    ]

    clock.advance(LEASE)
    (worker,) = await store.workers()
    assert worker.is_alive
    clock.advance(SECOND)
    (worker,) = await store.workers()
    assert not worker.is_alive

    await store.renew([], LEASE, [WORKER])
    (worker,) = await store.workers()
    assert (worker.is_alive, worker.started_at, worker.last_seen_at) == (True, START, START + LEASE + SECOND)


async def test_reports_and_renewals_share_a_transaction(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    (claim,) = await store.claim(request(worker_id="w1"))
    everywhere = replace(WORKER, id="w2", queues=None, known=())
    clock.advance(SECOND)

    beat = Heartbeat(id="a", token=claim.token, progress=3, message=None)
    assert await store.renew([beat], LEASE, [WORKER, everywhere]) == [LeaseAnswer.RENEWED]

    assert [(one.report, one.running) for one in await store.workers()] == [(WORKER, 1), (everywhere, 0)]
    assert (await read(store, "a")).worker_expires_at == START + SECOND + LEASE


async def test_a_worker_that_stops_is_forgotten_and_a_dead_one_a_week_later(store: Store, clock: FakeClock) -> None:
    dead = replace(WORKER, id="w0")
    await store.renew([], LEASE, [WORKER, dead])

    await store.remove_worker("w1")
    await store.remove_worker("nobody")
    assert [one.report.id for one in await store.workers()] == ["w0"]

    clock.advance(LEASE + WORKER_RETENTION)
    assert await store.forget_workers() == 0
    clock.advance(SECOND)
    assert await store.forget_workers() == 1
    assert await store.workers() == []


async def test_a_tick_is_one_worker_with_its_last_report(store: Store, clock: FakeClock) -> None:
    await store.report_tick(TICK)
    clock.advance(SECOND)
    newer = replace(TICK, host="other", concurrency=9, version="2", known=(("SendEmail", 3),))
    await store.report_tick(newer)

    assert await store.workers() == [
        WorkerRecord(report=newer, started_at=START, last_seen_at=START + SECOND, is_alive=True, running=0)
    ]
    assert newer.is_tick
    assert not WORKER.is_tick


async def test_a_tick_is_alive_for_twice_the_time_between_its_last_reports(store: Store, clock: FakeClock) -> None:
    async def is_alive() -> bool:
        (worker,) = await store.workers()
        return worker.is_alive

    for pause, lease in ((SECOND, TICK_LEASE), (6 * TICK_LEASE, 12 * TICK_LEASE), (SECOND, TICK_LEASE)):
        await store.report_tick(TICK)
        clock.advance(pause)
        await store.report_tick(TICK)
        clock.advance(lease)
        assert await is_alive()
        clock.advance(SECOND)
        assert not await is_alive()
        await store.remove_worker(TICK.id)


async def test_a_dead_tick_is_forgotten_after_a_week(store: Store, clock: FakeClock) -> None:
    await store.report_tick(TICK)

    clock.advance(TICK_LEASE + WORKER_RETENTION)
    assert await store.forget_workers() == 0
    clock.advance(SECOND)
    assert await store.forget_workers() == 1


async def test_the_report_of_a_tick_is_due_after_a_while_and_when_its_jobs_change(
    store: Store, clock: FakeClock
) -> None:
    async def is_due(tick: WorkerReport | None) -> bool:
        return (await store.pending_work(request(), tick)).has_due_report

    assert await is_due(TICK)
    assert not await is_due(None)
    await store.report_tick(TICK)
    assert await is_due(replace(TICK, id="t2"))
    assert await is_due(replace(TICK, known=(("SendEmail", 3),)))

    clock.advance(TICK_REPORT_INTERVAL - SECOND)
    assert not await is_due(TICK)
    clock.advance(SECOND)
    assert await is_due(TICK)


async def test_only_a_living_worker_of_the_queue_and_the_version_can_run_a_job(store: Store, clock: FakeClock) -> None:
    await store.renew([], LEASE, [WORKER])
    (worker,) = await store.workers()

    assert worker.can_run("SendEmail", 2, "mail")
    assert not worker.can_run("SendEmail", 3, "mail")
    assert not worker.can_run("SendEmail", 2, "default")
    clock.advance(LEASE + SECOND)
    (worker,) = await store.workers()
    assert not worker.can_run("SendEmail", 2, "mail")


# --- what stands before a pending job

KNOWN = (("SendEmail", 1), ("ImportCsv", 1))


async def blockers_of(
    store: Store, job_id: str, limits: KnownJob | None = None, known: tuple[tuple[str, int], ...] = KNOWN
) -> Blockers:
    return await store.blockers(await read(store, job_id), limits, known)


async def test_jobs_that_are_claimed_first_are_ahead(store: Store, clock: FakeClock) -> None:
    await store.insert([job("b", scheduled_for=START)])
    await store.insert(
        [
            job("a", scheduled_for=START),
            job("d", "ImportCsv", scheduled_for=START - SECOND),
            job("e", priority=1, scheduled_for=START),
            job("f", "ImportCsv", scheduled_for=START - SECOND, concurrency_key="", rate_key=""),
        ]
    )

    assert await blockers_of(store, "b") == Blockers(now=START, ahead=4, holders=(), rate_free_at=None)
    assert (await blockers_of(store, "b", known=KNOWN[:1])).ahead == 2
    assert (await blockers_of(store, "b", known=())).ahead == 0
    assert (await blockers_of(store, "e")).ahead == 0


async def test_later_lower_and_other_jobs_are_not_ahead(store: Store, clock: FakeClock) -> None:
    await store.insert([job("b", scheduled_for=START, priority=1)])
    await store.insert(
        [
            job("c", scheduled_for=START, priority=1),
            job("low", scheduled_for=START - SECOND),
            job("early", scheduled_for=START + SECOND, priority=2),
            job("other queue", queue="slow", scheduled_for=START - SECOND, priority=2),
            job("other version", spec_version=2, scheduled_for=START - SECOND, priority=2),
        ]
    )
    await insert_and_claim(store, job("running", scheduled_for=START - SECOND, priority=2))

    assert (await blockers_of(store, "b")).ahead == 0


async def test_running_jobs_with_the_same_key_hold_a_full_limit(store: Store, clock: FakeClock) -> None:
    limits = KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=2, by=("/to",)))
    first = await insert_and_claim(store, job("a", concurrency_key="ada", rate_key=""))
    await insert_and_claim(store, job("other key", concurrency_key="bob", rate_key=""))
    await insert_and_claim(store, job("other name", "ImportCsv", concurrency_key="ada", rate_key=""))
    await store.insert([job("z", concurrency_key="ada", rate_key="")])
    assert (await blockers_of(store, "z", limits)).holders == ()

    await insert_and_claim(store, job("b", concurrency_key="ada", rate_key=""))
    assert (await blockers_of(store, "z", limits)).holders == ("a", "b")
    assert (await blockers_of(store, "z", KnownJob("SendEmail", 1))).holders == ()
    assert (await blockers_of(store, "z")).holders == ()

    await store.settle([completed(first)])
    assert (await blockers_of(store, "z", limits)).holders == ()


async def test_only_the_first_holders_of_a_large_limit_are_named(store: Store, clock: FakeClock) -> None:
    limits = KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=MOST_HOLDERS + 2))
    for number in range(MOST_HOLDERS + 2):
        assert await blockers_of(store, f"{number - 1:02}", limits) if number else True
        await insert_and_claim(store, job(f"{number:02}", concurrency_key="", rate_key=""))
    await store.insert([job("z", concurrency_key="", rate_key="")])

    assert (await blockers_of(store, "z", limits)).holders == tuple(f"{number:02}" for number in range(MOST_HOLDERS))


async def test_a_rate_is_free_when_its_oldest_start_leaves_the_period(store: Store, clock: FakeClock) -> None:
    minute = timedelta(minutes=1)
    limits = KnownJob("SendEmail", 1, rate=RateLimit(limit=2, per=minute))
    others = KnownJob("ImportCsv", 1, rate=RateLimit(limit=9, per=minute))
    await store.insert(
        [
            job("other name", "ImportCsv", concurrency_key="", rate_key="", scheduled_for=START, priority=1),
            job("other key", concurrency_key="", rate_key="other", scheduled_for=START, priority=1),
        ]
    )
    assert len(await store.claim(request(limits, others))) == 2
    await store.insert([job(name, concurrency_key="", rate_key="", scheduled_for=START) for name in "abcz"])
    await store.claim(request(limits, limit=1))
    assert (await blockers_of(store, "z", limits)).rate_free_at is None

    clock.advance(SECOND)
    await store.claim(request(limits, limit=1))
    found = await blockers_of(store, "z", limits)
    assert (found.rate_free_at, found.ahead) == (START + minute, 1)
    assert (await blockers_of(store, "z", SEND)).rate_free_at is None

    clock.advance(minute)
    assert (await blockers_of(store, "z", limits)).rate_free_at is None


async def test_the_jobs_of_a_dead_worker_are_those_that_run_or_whose_lease_expired(
    store: Store, clock: FakeClock
) -> None:
    await store.insert([job("failed", max_attempts=1)])
    await failed_attempt(store, (await store.claim(request(worker_id="w1")))[0])
    await store.insert([job("expired"), job("done"), job("other")])
    (expired, done) = await store.claim(request(limit=2, worker_id="w1"))
    await store.claim(request(worker_id="w2"))
    await store.settle([completed(done)])
    assert await store.held_jobs("w1") == [expired.id]
    clock.advance(LEASE + SECOND)
    await store.expire(jitter=timedelta(0))
    await store.insert([job("running")])
    await store.claim(request(limit=1, worker_id="w1", lease=LEASE))

    assert set(await store.held_jobs("w1")) <= {"expired", "done", "running", "other"}
    assert expired.id in await store.held_jobs("w1")
    assert done.id not in await store.held_jobs("w1")
    assert await store.held_jobs("nobody") == await store.held_jobs("\0") == []
