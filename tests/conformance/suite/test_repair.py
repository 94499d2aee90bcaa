"""Jobs whose params cannot be read: parked, never pruned, listed, and repaired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, OnConflict, RateLimit
from server_jobs.domain.record import (
    UNREADABLE,
    Cancellation,
    Heartbeat,
    JobCount,
    JobQuery,
    JobRecord,
    JobStatus,
    KnownJob,
    LeaseAnswer,
    Pruned,
    PruneRule,
    PruneStep,
    Repair,
)
from server_jobs.errors import DuplicateJobError, JobNotFoundError, JobNotRepairableError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    SECOND,
    completed,
    failed,
    finish,
    ids,
    insert_and_claim,
    job,
    read,
    request,
)

DAY = timedelta(days=1)
EVERYTHING = PruneStep(
    rules=tuple(PruneRule(status=status, age=timedelta(0)) for status in JobStatus if status.is_finished)
)


async def park(store: Store, job_id: str, *, params: str = '{"old":1}', unique_key: str | None = None) -> JobRecord:
    claim = await insert_and_claim(store, job(job_id, params=params, unique_key=unique_key))
    await store.settle([failed(claim, f"{UNREADABLE}/new: Field required", retry_after=None)])
    record = await read(store, job_id)
    assert record.is_parked
    return record


def repair_of(record: JobRecord, params: str = '{"new":2}') -> Repair:
    return Repair(instead_of=record, params=params, spec_version=2, concurrency_key="c", rate_key="r")


async def test_a_parked_job_is_never_pruned(store: Store, clock: FakeClock) -> None:
    await park(store, "parked")
    await finish(store, await insert_and_claim(store, job("failed")), JobStatus.FAILED)
    clock.advance(365 * DAY)

    assert await store.prune(replace(EVERYTHING, dry_run=True)) == Pruned(1, None)
    assert await store.prune(EVERYTHING) == Pruned(1, None)

    assert (await store.get("failed"), (await read(store, "parked")).is_parked) == (None, True)


async def test_a_parked_job_is_given_up_by_cancelling_it(store: Store, clock: FakeClock) -> None:
    parked = await park(store, "a")
    clock.advance(SECOND)

    assert await store.cancel("a") is Cancellation.CANCELLED

    cancelled = replace(parked, status=JobStatus.CANCELLED, completed_at=clock.now(), updated_at=clock.now())
    assert await read(store, "a") == cancelled
    assert await store.cancel("a") is Cancellation.FINISHED
    clock.advance(DAY)
    assert await store.prune(EVERYTHING) == Pruned(1, None)


async def test_only_the_mark_of_the_engine_parks_a_failed_job(store: Store, clock: FakeClock) -> None:
    errors = ["UNREADABLE", f" {UNREADABLE}", "unreadable: ", f"ValueError: {UNREADABLE}", "", UNREADABLE[:-1]]
    for number, error in enumerate(errors):
        await store.settle([failed(await insert_and_claim(store, job(f"j{number}")), error, retry_after=None)])
    await store.settle([completed(await insert_and_claim(store, job("done")))])

    assert list(await store.list_jobs(JobQuery(parked=True))) == []
    clock.advance(SECOND)
    assert (await store.prune(EVERYTHING)).count == len(errors) + 1


async def test_parked_jobs_are_listed_by_themselves(store: Store, clock: FakeClock) -> None:
    await park(store, "a")
    await store.insert([job("b"), job("c", "ImportCsv")])
    await park(store, "d")

    assert ids(await store.list_jobs(JobQuery(parked=True))) == ["d", "a"]
    assert ids(await store.list_jobs(JobQuery(parked=True, before="d", limit=1))) == ["a"]
    assert ids(await store.list_jobs(JobQuery(parked=True, job_name="ImportCsv"))) == []
    assert ids(await store.list_jobs(JobQuery())) == ["d", "c", "b", "a"]
    assert JobCount("SendEmail", JobStatus.FAILED, 2, parked=2) in await store.count_jobs()


async def test_a_parked_job_gets_other_params_and_is_pending_with_all_its_attempts(
    store: Store, clock: FakeClock
) -> None:
    parked = await park(store, "a", unique_key="k")
    clock.advance(SECOND)

    await store.repair(repair_of(parked))

    assert await read(store, "a") == replace(
        parked,
        status=JobStatus.PENDING,
        params='{"new":2}',
        spec_version=2,
        concurrency_key="c",
        rate_key="r",
        attempt_count=0,
        scheduled_for=clock.now(),
        error=None,
        worker_started_at=None,
        completed_at=None,
        updated_at=clock.now(),
    )
    assert list(await store.claim(request(KnownJob("SendEmail", 1)))) == []
    limited = KnownJob("SendEmail", 2, ConcurrencyLimit(limit=1), RateLimit(limit=1, per=DAY))
    assert ids(await store.claim(request(limited))) == ["a"]


async def test_a_pending_job_that_waits_for_its_version_is_repaired(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", spec_version=7, unique_key="k", delay=DAY)])
    await store.repair(replace(repair_of(await read(store, "a")), concurrency_key=None, rate_key=None))
    record = await read(store, "a")
    assert (record.params, record.spec_version, record.unique_key) == ('{"new":2}', 2, "k")
    assert ids(await store.claim(request(KnownJob("SendEmail", 2)))) == ["a"]


async def claim_it(store: Store) -> None:
    assert ids(await store.claim(request(KnownJob("SendEmail", 1)))) == ["a"]


async def complete_it(store: Store) -> None:
    (claim,) = await store.claim(request(KnownJob("SendEmail", 1)))
    await store.settle([completed(claim)])


async def fail_it(store: Store) -> None:
    (claim,) = await store.claim(request(KnownJob("SendEmail", 1)))
    await store.settle([failed(claim, retry_after=None)])


async def cancel_it(store: Store) -> None:
    await store.cancel("a")


async def repair_it(store: Store) -> None:
    await store.repair(replace(repair_of(await read(store, "a"), '{"other":3}'), spec_version=1))


async def raise_version_it(store: Store) -> None:
    record = await read(store, "a")
    await store.repair(replace(repair_of(record, record.params), spec_version=9))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (claim_it, "it is running"),
        (complete_it, "it is completed"),
        (fail_it, "its params could be read"),
        (cancel_it, "it is cancelled"),
        (repair_it, "its params changed since they were read"),
        (raise_version_it, "its params changed since they were read"),
    ],
)
async def test_a_job_that_has_changed_since_it_was_read_is_not_repaired(
    store: Store, clock: FakeClock, change: Callable[[Store], Awaitable[None]], reason: str
) -> None:
    parked = await park(store, "a")
    await store.retry("a")
    await change(store)
    before = await read(store, "a")

    with pytest.raises(JobNotRepairableError, match=reason) as raised:
        await store.repair(repair_of(parked))

    assert raised.value.job_id == "a"
    assert await read(store, "a") == before


async def test_a_deleted_job_is_not_repaired(store: Store, clock: FakeClock) -> None:
    parked = await park(store, "a")
    with pytest.raises(JobNotFoundError):
        await store.repair(repair_of(replace(parked, id="b")))


async def test_a_job_is_not_repaired_while_another_one_has_its_unique_key(store: Store, clock: FakeClock) -> None:
    parked = await park(store, "a", unique_key="k")
    await store.insert([job("b", unique_key="k")])

    with pytest.raises(DuplicateJobError) as raised:
        await store.repair(repair_of(parked))

    assert raised.value.job_id == "b"
    assert await read(store, "a") == parked


async def test_a_repaired_job_has_its_unique_key_again(store: Store, clock: FakeClock) -> None:
    await store.repair(repair_of(await park(store, "a", unique_key="k")))
    assert list(await store.insert([job("b", unique_key="k")])) == [("a", False)]


async def test_a_late_sign_of_life_of_the_attempt_that_could_not_read_it_changes_nothing(
    store: Store, clock: FakeClock
) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([failed(claim, UNREADABLE, retry_after=None)])
    await store.repair(repair_of(await read(store, "a")))
    before = await read(store, "a")
    assert list(await store.settle([completed(claim)])) == [None]
    beat = Heartbeat(id="a", token=claim.token, progress=1, message=None)
    assert list(await store.renew([beat], LEASE)) == [LeaseAnswer.LOST]
    assert await read(store, "a") == before


# --- several versions of one job -------------------------------------------------------------------------------------

VERSIONS = (1, 2, 3)


@pytest.mark.parametrize("kind", ["concurrency", "rate"])
async def test_jobs_of_all_versions_count_under_the_limit_of_their_name(
    store: Store, clock: FakeClock, kind: str
) -> None:
    concurrency = ConcurrencyLimit(limit=2) if kind == "concurrency" else None
    rate = RateLimit(limit=2, per=DAY) if kind == "rate" else None
    known = [KnownJob("SendEmail", version, concurrency, rate) for version in VERSIONS]
    new = [job(f"{version}-{n}", spec_version=version) for version in VERSIONS for n in "ab"]
    new = [one._replace(concurrency_key="", rate_key="") for one in new]
    await store.insert(new)

    first = await store.claim(request(*known))
    assert len(first) == 2
    assert list(await store.claim(request(*known))) == []

    await store.settle([completed(claim) for claim in first])
    assert len(await store.claim(request(*known))) == (2 if kind == "concurrency" else 0)


async def test_several_versions_of_one_job_are_claimed_once_each_in_their_order(store: Store, clock: FakeClock) -> None:
    known = [KnownJob("SendEmail", version) for version in VERSIONS]
    await store.insert([job(f"j{number}", spec_version=1 + number % 4, priority=-number) for number in range(12)])
    assert await store.count_due(request(*known)) == 9
    claims = await store.claim(request(*known, limit=12))
    assert ids(claims) == [f"j{number}" for number in range(12) if number % 4 < 3]
    assert [claim.spec_version for claim in claims] == [1, 2, 3] * 3


async def test_a_job_that_follows_a_running_one_of_its_unique_key_is_repaired(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a", unique_key="k"))
    await store.insert([job("b", unique_key="k", on_conflict=OnConflict.REPLACE)])

    await store.repair(repair_of(await read(store, "b")))

    assert (await read(store, "b")).params == '{"new":2}'
