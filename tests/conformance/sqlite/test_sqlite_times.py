"""Statements of one transaction find the same jobs, although the time passes between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Row, Statement, Store, Value
from server_jobs.domain.record import Cancellation, Deletion, JobFilter, JobStatus, PruneRule, PruneStep
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.stores.sql.parameters import CallMaker, timestamp
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import LEASE, START, failed, insert_and_claim, job, read
from tests.conformance.stores import create_sqlite_file

Call = tuple[Statement, Mapping[str, Value]]

HOUR, MILLISECOND = timedelta(hours=1), timedelta(milliseconds=1)
OLD = JobFilter(older_than=HOUR)
AROUND = [MILLISECOND * number for number in range(-3, 3)]
"""Each statement of a transaction is the first one behind a limit of time once."""
_PASS = Statement("UPDATE test_time SET now = now + 1", writes=True), dict[str, Value]()


class PassingTime(SqliteDatabase):
    """A database whose time is stored, and passes by a millisecond after each statement."""

    now = "(SELECT now FROM test_time)"

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        rows = await super().run(*(one for call in calls for one in (call, _PASS)), look=look)
        return rows[::2]

    async def execute(self, sql: str, **parameters: Value) -> None:
        """Execute a statement while no time passes."""
        await super().run((Statement(sql, writes=True), parameters))

    async def set_time(self, now: datetime) -> None:
        await self.execute("UPDATE test_time SET now = :now", now=timestamp(now))


@asynccontextmanager
async def passing_time(folder: Path) -> AsyncIterator[tuple[Store, PassingTime]]:
    """Yield a store on such a database, at `START`."""
    create_sqlite_file(folder / "jobs.sqlite3")
    database = PassingTime(folder / "jobs.sqlite3")
    await database.open()
    await database.execute("CREATE TABLE test_time AS SELECT 0 AS now")
    await database.set_time(START)
    yield SqlStore(database), database
    await database.close()


async def _failed_job(store: Store) -> datetime:
    """Store a failed job with an attempt, and return when it failed."""
    await store.settle([failed(await insert_and_claim(store, job("one")), retry_after=None)])
    return (await read(store, "one")).completed_at or START


@pytest.mark.parametrize("step", AROUND)
async def test_each_expired_lease_is_in_the_history(tmp_path: Path, step: timedelta) -> None:
    async with passing_time(tmp_path) as (store, database):
        await insert_and_claim(store, job("long over"))
        await database.set_time(START + LEASE)
        await insert_and_claim(store, job("one"))
        claimed_at = (await read(store, "one")).worker_started_at or START

        await database.set_time(claimed_at + LEASE + step)
        expired = [one.id for one in await store.expire(jitter=timedelta(0))]

        assert "long over" in expired
        assert len(await store.attempts("one")) == expired.count("one")


@pytest.mark.parametrize("step", AROUND)
async def test_no_attempt_outlives_its_pruned_job(tmp_path: Path, step: timedelta) -> None:
    async with passing_time(tmp_path) as (store, database):
        await database.set_time(await _failed_job(store) + HOUR + step)
        pruned = await store.prune(PruneStep(rules=(PruneRule(status=JobStatus.FAILED, age=HOUR),)))

        assert len(await store.attempts("one")) == 1 - pruned.count


@pytest.mark.parametrize("step", AROUND)
async def test_each_deletion_of_old_jobs_is_whole_and_audited(tmp_path: Path, step: timedelta) -> None:
    async with passing_time(tmp_path) as (store, database):
        await database.set_time(await _failed_job(store) + HOUR + step)
        (answer,) = await store.delete(["one"], among=OLD)

        is_deleted = answer is Deletion.DELETED
        assert len(await store.attempts("one")) == 1 - is_deleted
        assert len(await store.audit_log(AuditQuery())) == is_deleted


@pytest.mark.parametrize("step", AROUND)
async def test_each_cancellation_of_old_jobs_is_audited(tmp_path: Path, step: timedelta) -> None:
    async with passing_time(tmp_path) as (store, database):
        await store.insert([job("one")])

        await database.set_time((await read(store, "one")).created_at + HOUR + step)
        (answer,) = await store.cancel_many(["one"], among=OLD)

        assert len(await store.audit_log(AuditQuery())) == (answer is Cancellation.CANCELLED)


@pytest.mark.parametrize(
    "test",
    [
        test_each_expired_lease_is_in_the_history,
        test_each_deletion_of_old_jobs_is_whole_and_audited,
        test_each_cancellation_of_old_jobs_is_audited,
    ],
)
async def test_without_one_time_the_statements_find_different_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: Callable[[Path, timedelta], Awaitable[None]]
) -> None:
    monkeypatch.setattr(CallMaker, "call_at", lambda self, now: self.call)
    noticed = 0
    for number, step in enumerate(AROUND):
        (tmp_path / str(number)).mkdir()
        try:
            await test(tmp_path / str(number), step)
        except AssertionError:
            noticed += 1
    assert noticed


async def test_pruning_deletes_attempts_of_jobs_that_are_gone(tmp_path: Path) -> None:
    async with passing_time(tmp_path) as (store, database):
        for name in "abcd":
            await store.settle([failed(await insert_and_claim(store, job(name)))])
        await database.execute("DELETE FROM jobs WHERE id IN ('b', 'd')")

        async def with_attempts(step: PruneStep) -> str:
            await store.prune(step)
            return "".join([name for name in "abcd" if await store.attempts(name)])

        assert await with_attempts(PruneStep(rules=(), limit=1)) == "abcd"
        assert await with_attempts(PruneStep(rules=(), after="a", limit=1)) == "acd"
        assert await with_attempts(PruneStep(rules=(), ids=("a", "d"), dry_run=True)) == "acd"
        assert await with_attempts(PruneStep(rules=(), ids=("a", "d"))) == "ac"
