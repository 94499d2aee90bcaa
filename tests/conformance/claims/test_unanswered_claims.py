"""A claim whose answer was lost: its jobs do not wait for their leases, and lose no attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest
from server_jobs import DatabaseError, JobStatus
from server_jobs.domain.interfaces import Row, Statement, Store, Value
from server_jobs.domain.options import ConcurrencyLimit, OnConflict, RateLimit
from server_jobs.domain.record import Ended, KnownJob, Outcome
from server_jobs.stores.sql.claims.execution import LONGEST_CLAIM
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, SECOND, SEND, completed, failed, ids, job, read, request
from tests.conformance.stores import STORES, OpenStore

Call = tuple[Statement, Mapping[str, Value]]

LIMITED = KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=5), rate=RateLimit(limit=5, per=LEASE))


@pytest.fixture(params=[name for name in STORES if name != "memory"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Return a function that opens a store with connections that can break."""
    return STORES[request.param]


@contextmanager
def losing_answers(store: Store, late: list[tuple[Call, ...]] | None = None) -> Iterator[None]:
    """Let the database run claims but lose their answers. It runs the calls in `late` afterwards."""
    assert isinstance(store, SqlStore)
    run = store.database.run

    async def lose(*calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        if not any("batch" in parameters for _, parameters in calls):
            return await run(*calls, look=look)
        if late is None:
            await run(*calls, look=look)
        else:
            late.append(calls)
        raise DatabaseError("the connection was lost")

    with patch.object(store.database, "run", lose):
        yield


@pytest.mark.parametrize("known", [SEND, LIMITED], ids=["without limits", "with limits"])
async def test_the_next_claim_gets_the_jobs_with_no_attempt_lost(
    store: Store, clock: FakeClock, known: KnownJob
) -> None:
    key = None if known is SEND else ""
    await store.insert([job(name, max_attempts=2, concurrency_key=key, rate_key=key) for name in "abc"])
    asked = request(known, limit=2)
    with losing_answers(store), pytest.raises(DatabaseError, match="was lost"):
        await store.claim(asked)
    assert (await read(store, "a")).status is JobStatus.RUNNING

    claims = await store.claim(asked)

    assert [(claim.id, claim.attempt) for claim in claims] == [("a", 1), ("b", 1)]
    assert list(await store.settle([completed(claim) for claim in claims])) == [JobStatus.COMPLETED] * 2


async def test_a_claim_that_the_database_makes_late_is_undone_as_well(store: Store, clock: FakeClock) -> None:
    assert isinstance(store, SqlStore)
    late: list[tuple[Call, ...]] = []
    with losing_answers(store, late), pytest.raises(DatabaseError):
        await store.claim(request())
    assert list(await store.claim(request())) == []
    await store.insert([job("a", max_attempts=1)])
    await store.database.run(*late[0])
    assert (await read(store, "a")).status is JobStatus.RUNNING

    assert list(await store.claim(request())) == []
    clock.advance(LONGEST_CLAIM)

    assert [(claim.id, claim.attempt) for claim in await store.claim(request())] == [("a", 1)]


async def test_a_job_that_is_to_be_cancelled_is_cancelled(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request())
    await store.cancel("a")
    clock.advance(SECOND)

    assert list(await store.claim(request())) == []

    record = await read(store, "a")
    assert (record.status, record.attempt_count, record.completed_at) == (JobStatus.CANCELLED, 0, clock.now())


async def test_a_job_that_another_one_replaced_is_cancelled_and_says_so(store: Store, clock: FakeClock) -> None:
    boom = Ended(Outcome.FAILED, "ValueError")
    await store.insert([job("a", unique_key="k")])
    (claim,) = await store.claim(request())
    await store.settle([failed(claim, retry_after=timedelta(0))._replace(ended=boom)])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request())
    await store.insert([job("b", unique_key="k", on_conflict=OnConflict.REPLACE)])
    clock.advance(SECOND)

    assert ids(await store.claim(request())) == ["b"]

    record = await read(store, "a")
    assert (record.status, record.error, record.error_class) == (JobStatus.CANCELLED, "replaced by the job b", None)
    assert (record.attempt_count, record.completed_at) == (1, clock.now())
    assert (record.fencing_token, record.worker_expires_at) == (None, None)


async def test_a_released_job_keeps_the_error_of_its_last_attempt(store: Store, clock: FakeClock) -> None:
    boom = Ended(Outcome.FAILED, "ValueError")
    await store.insert([job("a")])
    (claim,) = await store.claim(request())
    await store.settle([failed(claim, retry_after=timedelta(0))._replace(ended=boom)])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request())

    assert list(await store.claim(request(SEND, limit=0))) == []

    record = await read(store, "a")
    assert (record.status, record.error, record.error_class) == (JobStatus.PENDING, "boom", "ValueError")


async def test_jobs_leased_to_others_are_left_alone(store: Store, clock: FakeClock) -> None:
    await store.insert([job("mine")])
    (mine,) = await store.claim(request())
    await store.insert([job("a")])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request())

    assert ids(await store.claim(request())) == ["a"]

    assert list(await store.settle([completed(mine)])) == [JobStatus.COMPLETED]


async def test_jobs_are_put_back_once(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    with losing_answers(store), pytest.raises(DatabaseError):
        await store.claim(request())
    (claim,) = await store.claim(request())
    clock.advance(LONGEST_CLAIM)

    assert list(await store.claim(request())) == []

    assert (await read(store, "a")).attempt_count == 1
    assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]
