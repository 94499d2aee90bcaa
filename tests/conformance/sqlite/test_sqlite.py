"""Behaviour of SQLite alone: rows of other programs, constraints of the tables, and many processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_jobs.databases.opening import open_database
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobQuery, JobStatus, NewJob
from server_jobs.errors import DatabaseError, InvalidOptionError, SchemaMissingError
from server_jobs.stores.sql.parameters import LONG_TEXT
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_turso.database import TursoDatabase

from tests.conformance.claims.claimer import claim_until_empty
from tests.conformance.examples import (
    LEASE,
    START,
    claim_on,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    read,
    reclaim,
    request,
    schedule,
)
from tests.conformance.stores import create_sqlite_file

NOW = int(START.timestamp() * 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file with empty tables."""
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a second connection to the same file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@asynccontextmanager
async def opened(path: Path, clock: FakeClock | None = None) -> AsyncIterator[Store]:
    store = SqlStore(SqliteDatabase(path), clock)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def insert_as_typescript(connection: sqlite3.Connection, job_id: str, *, scheduled_for: int | None = None) -> None:
    """Insert a row as the TypeScript package does: only its own columns, times in milliseconds."""
    connection.execute(
        "INSERT INTO jobs (id, job_name, params, result, status, progress, progress_message, error, worker_started_at,"
        " worker_expires_at, attempt_count, max_attempts, scheduled_for, correlation_id, created_at, updated_at,"
        " completed_at) VALUES (?, 'SendEmail', '{\"to\":\"ada\"}', NULL, 'pending', 0, NULL, NULL, NULL, NULL, 0, 3,"
        " ?, NULL, ?, ?, NULL)",
        (job_id, scheduled_for, NOW - 5000, NOW - 5000),
    )


async def test_a_row_of_the_typescript_package_is_claimed_and_run(path: Path, connection: sqlite3.Connection) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    insert_as_typescript(connection, "ts")

    async with opened(path) as store:
        assert await store.count_due(request()) == 1
        assert (await store.upcoming_work(request())).until_due == timedelta(0)
        (claim,) = await store.claim(request())
        record = await read(store, "ts")
        assert claim == claim_on(record)
        assert claim.params == '{"to":"ada"}'
        assert before <= record.scheduled_for <= datetime.now(UTC)
        assert record.created_at == START - timedelta(seconds=5)
        await store.settle([failed(claim, retry_after=timedelta(0))])
        await store.settle([completed(await reclaim(store, "ts"), '{"ok":true}')])

    row = connection.execute("SELECT status, result, attempt_count FROM jobs").fetchone()
    assert row == ("completed", '{"ok":true}', 2)


async def test_a_row_without_a_due_time_is_claimed_in_the_order_of_its_insert(
    path: Path, connection: sqlite3.Connection
) -> None:
    insert_as_typescript(connection, "a-at-once")
    insert_as_typescript(connection, "c-due", scheduled_for=NOW)
    insert_as_typescript(connection, "d-later", scheduled_for=2**52)

    async with opened(path) as store:
        await store.insert([job("a-urgent", priority=1), job("b", scheduled_for=START + timedelta(seconds=1))])

        assert ids(await store.claim(request())) == ["a-urgent", "c-due", "b", "a-at-once"]


@pytest.mark.parametrize(
    ("moment", "year"), [(8_640_000_000_000_000, 9999), (2**63 - 1, 9999), (-8_640_000_000_000_000, 1), (-(2**63), 1)]
)
async def test_a_moment_that_only_the_database_knows_stops_no_worker(
    path: Path, connection: sqlite3.Connection, clock: FakeClock, moment: int, year: int
) -> None:
    insert_as_typescript(connection, "a", scheduled_for=moment)

    async with opened(path, clock) as store:
        due, wait = (await read(store, "a")).scheduled_for, (await store.upcoming_work(request())).until_due

        assert due.year == year
        assert wait is not None
        assert (wait > timedelta(days=365)) == (year == 9999)
        assert len(await store.claim(request())) == (year == 1)


@pytest.mark.parametrize("packs_rows", [True, False], ids=["packed", "rows"])
@pytest.mark.parametrize(
    "change",
    [
        "params = CAST(x'2261ff6222' AS TEXT)",
        "params = CAST(x'22e2' AS TEXT)",
        "params = CAST(x'22eda08022' AS TEXT)",
        "params = x'7b7d'",
        "params = x'ff'",
        "params = 5",
        "params = '{}' || char(0) || '}'",
        "correlation_id = CAST(x'ff' AS TEXT)",
        "correlation_id = x'ff00'",
        "correlation_id = 0.5",
        "id = CAST(x'ff' AS TEXT)",
        "id = x'ff'",
        "id = 'a\"\\' || char(10) || char(0)",
        "spec_version = 1.0",
        "attempt_count = 0.5",
        "max_attempts = 'many'",
        "max_attempts = x'33'",
        "max_attempts = x'ff'",
        "max_attempts = 9e999",
        "priority = 'high'",
        "priority = x'ff'",
        "scheduled_for = -1e300",
        "scheduled_for = -9e999",
        "scheduled_for = -62135596800001",
        "scheduled_for = 0.5",
    ],
)
async def test_odd_values_of_another_program_keep_no_job_from_being_claimed_and_completed(
    path: Path,
    connection: sqlite3.Connection,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    packs_rows: bool,
) -> None:
    monkeypatch.setattr(SqliteDatabase, "name", "sqlite" if packs_rows else "another")
    async with opened(path, clock) as store:
        await store.insert([job("odd"), job("other")])
        connection.execute(f"UPDATE jobs SET {change} WHERE id = 'odd'")

        claims = await store.claim(request())

        assert len(claims) == 2
        assert "other" in ids(claims)
        assert all(isinstance(value, str | int | datetime | None) for claim in claims for value in claim)
        answers = dict(zip(ids(claims), await store.settle([completed(claim) for claim in claims]), strict=True))
        assert answers["other"] is JobStatus.COMPLETED
        assert (await read(store, "other")).status is JobStatus.COMPLETED


async def test_a_schedule_of_the_typescript_package_is_planned_and_fired(
    path: Path, connection: sqlite3.Connection, clock: FakeClock
) -> None:
    connection.execute(
        "INSERT INTO cron_jobs (id, job_name, cron_expression, params, enabled, last_run_at, next_run_at, last_job_id,"
        " created_at, updated_at) VALUES ('ts', 'SendEmail', '0 * * * *', '{}', 1, NULL, NULL, NULL, ?, ?)",
        (NOW, NOW),
    )

    async with opened(path, clock) as store:
        (due,) = (await store.due_schedules(["SendEmail"])).schedules
        assert (due.name, due.timezone, due.misfire, due.enabled) == ("default", "UTC", "fire_once", True)
        assert due.misfire_limit is None
        assert list(await store.fire(firing(START, schedule_id="ts", next_run_at=START))) == [True]


@pytest.mark.parametrize(
    "change",
    [
        "fencing_token = NULL",
        "worker_expires_at = NULL",
        "status = 'pending'",
        "status = 'completed'",
        "status = 'done'",
        "attempt_count = -1",
        "attempt_count = max_attempts + 1",
        "max_attempts = 0",
        "progress = -1",
        "progress = 101",
        "id = NULL",
        "params = NULL",
        "job_name = NULL",
        "created_at = NULL",
    ],
)
async def test_the_table_refuses_a_row_that_breaks_an_invariant(
    path: Path, connection: sqlite3.Connection, clock: FakeClock, change: str
) -> None:
    async with opened(path, clock) as store:
        await insert_and_claim(store, job("a"))
        running = await read(store, "a")

        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"UPDATE jobs SET {change} WHERE id = 'a'")

        assert await read(store, "a") == running


async def test_the_table_refuses_a_second_unfinished_job_of_a_unique_key(
    path: Path, connection: sqlite3.Connection, clock: FakeClock
) -> None:
    async with opened(path, clock) as store:
        await store.insert([job("a", unique_key="k"), job("b", unique_key="other")])

        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE jobs SET unique_key = 'k' WHERE id = 'b'")


async def test_the_table_refuses_a_lease_or_a_token_on_a_job_that_does_not_run(
    path: Path, connection: sqlite3.Connection, clock: FakeClock
) -> None:
    async with opened(path, clock) as store:
        await store.insert([job("a")])

        for change in ("fencing_token = 't'", "worker_expires_at = 1", "status = 'running'"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"UPDATE jobs SET {change} WHERE id = 'a'")


async def test_a_slot_does_not_fire_again_when_its_job_was_deleted(
    path: Path, connection: sqlite3.Connection, clock: FakeClock
) -> None:
    async with opened(path, clock) as store:
        await store.save_schedules([schedule()])
        slot = firing(START, next_run_at=START + timedelta(hours=1))
        assert list(await store.fire(slot)) == [True]
        connection.execute("DELETE FROM jobs")

        assert list(await store.fire(slot)) == [False]
        assert list(await store.list_jobs(JobQuery())) == []


async def test_without_the_tables_opening_says_how_to_make_them(tmp_path: Path) -> None:
    store = SqlStore(SqliteDatabase(tmp_path / "empty.sqlite3"))

    try:
        with pytest.raises(SchemaMissingError, match="server-jobs migrate"):
            await store.open()
    finally:
        await store.close()


async def test_the_clock_of_the_database_is_used_where_no_test_replaces_it(
    path: Path, connection: sqlite3.Connection
) -> None:
    before = time.time_ns() // 1_000_000
    async with opened(path) as store:
        claim = await insert_and_claim(store, job("a"))
        await store.expire(jitter=timedelta(0))
        await store.settle([completed(claim)])

    (completed_at,) = connection.execute("SELECT completed_at FROM jobs").fetchone()
    assert before - 1 <= completed_at <= time.time_ns() // 1_000_000 + 1


@pytest.mark.parametrize("database", [SqliteDatabase, D1Database, TursoDatabase])
def test_the_clock_of_the_database_is_exact_and_needs_no_new_sqlite(
    connection: sqlite3.Connection, database: type[SqliteDatabase] | type[D1Database] | type[TursoDatabase]
) -> None:
    connection.create_function("unixepoch", -1, lambda *_: None)  # as before SQLite 3.42, for 'subsec'
    at = database.now.replace("'now'", ":now / 1000.0, 'unixepoch'")

    for now in range(NOW, NOW + 10**12, 10**9 + 7):
        assert connection.execute(f"SELECT {at}", {"now": now}).fetchone() == (now,)


async def test_a_sqlite_that_is_too_old_is_refused_by_its_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.37.2")

    with pytest.raises(DatabaseError, match=r"SQLite 3\.37\.2 is too old: 3\.38 or newer is needed"):
        await SqliteDatabase(path).open()


async def test_closing_twice_at_the_same_time_is_harmless(path: Path) -> None:
    database = SqliteDatabase(path)
    await database.open()

    await asyncio.gather(database.close(), database.close())

    await database.open()
    await database.close()


@pytest.mark.parametrize("name", ["a#b.sqlite3", "a b.sqlite3", "a?b.sqlite3"])
def test_the_name_of_the_file_is_taken_whole_from_a_url(name: str) -> None:
    database = open_database(f"sqlite:///folder/{name.replace('?', '%3F')}")

    assert isinstance(database, SqliteDatabase)
    assert database.path == f"folder/{name}"


def test_options_in_the_url_of_a_sqlite_file_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"jobs\.sqlite3\?mode=\*\*\*' has options, and SQLite takes none"):
        open_database("sqlite:///jobs.sqlite3?mode=ro")


async def test_stores_on_one_file_claim_every_job_once(path: Path) -> None:
    async with opened(path) as first, opened(path) as second, opened(path) as third:
        await first.insert([NewJob(id=f"{number:04}", job_name="SendEmail", params="{}") for number in range(1000)])

        batches = await asyncio.gather(*(claim_until_empty(store) for store in (first, second, third)))

    claimed = Counter(job_id for batch in batches for job_id in batch)
    assert len(claimed) == 1000
    assert set(claimed.values()) == {1}


async def test_processes_on_one_file_claim_every_job_once_and_never_find_it_locked(path: Path) -> None:
    async with opened(path) as store:
        await store.insert([NewJob(id=f"{number:04}", job_name="SendEmail", params="{}") for number in range(1000)])

        answers = claim_in_processes(path, count=4)

        counts = await store.count_jobs()
    claimed = Counter(answer for job_ids in answers for answer in job_ids.split())
    assert len(claimed) == 1000
    assert set(claimed.values()) == {1}
    assert [(count.status, count.count) for count in counts] == [(JobStatus.COMPLETED, 1000)]


def claim_in_processes(path: Path, count: int) -> list[str]:
    """Return the claims of each process. All start at the same time, and none may print an error."""
    with ExitStack() as stack:
        processes = [stack.enter_context(start_claimer(path)) for _ in range(count)]
        assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * count
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=60) for process in processes]
    assert [(process.returncode, output[1]) for process, output in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * count
    return [output[0] for output in outputs]


def start_claimer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.conformance.claims.claimer", str(path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_write_waits_for_the_transaction_of_another_process(path: Path, connection: sqlite3.Connection) -> None:
    async with opened(path) as store:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE jobs SET priority = 0")

        insertion = asyncio.create_task(store.insert([job("a")]))
        await asyncio.sleep(0.05)
        assert not insertion.done()
        connection.execute("COMMIT")

        assert [answer.created for answer in await insertion] == [True]


async def test_a_reader_does_not_wait_for_the_transaction_of_another_process(
    path: Path, connection: sqlite3.Connection
) -> None:
    async with opened(path) as store:
        await store.insert([job("a")])
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM jobs")

        record = await asyncio.wait_for(store.get("a"), timeout=30)

        connection.execute("ROLLBACK")
    assert record is not None


async def test_a_committed_job_survives_in_the_file(path: Path) -> None:
    async with opened(path) as store:
        await store.start(job("a"), LEASE)

    async with opened(path) as store:
        assert (await read(store, "a")).status is JobStatus.RUNNING


async def test_long_params_are_claimed_without_packing_them(path: Path) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    for turn in range(2):
        await store.insert([job(f"{turn}", params=json.dumps("x" * LONG_TEXT))])
        await store.claim(request())
        assert not store._claims._execution._packing.is_on
    await store.insert([job("short")])
    await store.claim(request())
    assert store._claims._execution._packing.is_on
    await store.close()
