"""Behaviour of PostgreSQL alone: races of open transactions, broken connections, and the mapping of errors."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from unittest.mock import patch

import psycopg
import pytest
from server_jobs.databases.opening import open_database
from server_jobs.databases.postgres import database as postgres
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.servers import Servers
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.domain.record import Heartbeat, JobQuery, JobStatus
from server_jobs.errors import DatabaseError, DuplicateJobError, InvalidOptionError, SchemaMissingError
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import (
    LEASE,
    completed,
    failed,
    ids,
    insert_and_claim,
    job,
    read,
    request,
)
from tests.conformance.postgres_databases import empty_database, postgres_connection
from tests.postgres import postgres_url

SECONDS = 10


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(PostgresDatabase(url))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def until_waiting(connection: psycopg.Connection, *, of: int = 1) -> None:
    """Wait until exactly that many statements of other sessions wait for a lock."""
    async with asyncio.timeout(SECONDS):
        while True:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
            if row is not None and row[0] == of:
                return
            await asyncio.sleep(0.005)


def kill_the_others(connection: psycopg.Connection) -> int:
    """Break every other connection to the database."""
    return len(
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    )


def kill_who_waits(connection: psycopg.Connection) -> None:
    """Break the connections of the statements that wait for a lock, before the lock is released."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


# --- unique keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commits", [True, False])
async def test_who_loses_the_race_for_a_unique_key_waits_and_learns_the_winner(
    url: str, connection: psycopg.Connection, commits: bool
) -> None:
    async with opened(url) as store, opened(url) as watcher:
        with postgres_connection(url, autocommit=False) as winner:
            winner.execute(
                "INSERT INTO jobs (id, job_name, params, unique_key, scheduled_for, created_at, updated_at)"
                " VALUES ('winner', 'SendEmail', '{}', 'k', now(), now(), now())"
            )
            losing = asyncio.create_task(store.insert([job("loser", unique_key="k"), job("other")]))
            await until_waiting(connection)
            assert not losing.done()
            if commits:
                winner.commit()
            else:
                winner.rollback()
            async with asyncio.timeout(SECONDS):
                first, second = await losing

        assert (first.id, first.created) == (("winner", False) if commits else ("loser", True))
        assert (second.id, second.created) == ("other", True)
        assert len(await watcher.list_jobs(JobQuery())) == 2


async def test_a_key_that_becomes_free_during_the_search_for_its_job_is_taken(
    url: str, connection: psycopg.Connection
) -> None:
    class Ending(PostgresDatabase):
        """Lets the other job end between our two statements."""

        async def run(
            self,
            *calls: tuple[Statement, Mapping[str, Value]],
            look: tuple[Statement, Mapping[str, Value]] | None = None,
        ) -> Sequence[Sequence[Row]]:
            if "UNION ALL" in calls[0][0].sql:
                connection.execute("UPDATE jobs SET status = 'cancelled' WHERE id LIKE 'holder%'")
            return await super().run(*calls, look=look)

    store = SqlStore(Ending(url))
    await store.open()
    try:
        await store.insert([job("holder-a", unique_key="a"), job("holder-b", unique_key="b")])

        answers = await store.insert([job("a", unique_key="a"), job("new"), job("a2", unique_key="a")])
        connection.execute("UPDATE jobs SET status = 'pending' WHERE id = 'holder-b'")
        claim = await store.start(job("b", unique_key="b"), LEASE)
    finally:
        await store.close()

    assert [(answer.id, answer.created) for answer in answers] == [("a", True), ("new", True), ("a", False)]
    assert claim.id == "b"


async def test_a_retry_that_loses_the_race_for_its_key_names_the_winner(
    url: str, connection: psycopg.Connection
) -> None:
    async with opened(url) as store:
        claim = await insert_and_claim(store, job("old", unique_key="k"))
        await store.settle([failed(claim, retry_after=None)])
        with postgres_connection(url, autocommit=False) as winner:
            winner.execute(
                "INSERT INTO jobs (id, job_name, params, unique_key, scheduled_for, created_at, updated_at)"
                " VALUES ('new', 'SendEmail', '{}', 'k', now(), now(), now())"
            )
            retrying = asyncio.create_task(store.retry("old"))
            await until_waiting(connection)
            winner.commit()
            async with asyncio.timeout(SECONDS):
                with pytest.raises(DuplicateJobError) as raised:
                    await retrying

        assert raised.value.job_id == "new"
        assert (await read(store, "old")).status is JobStatus.FAILED


# --- locks ------------------------------------------------------------------------------------------------------------


async def test_concurrent_claims_take_different_jobs_without_waiting(url: str) -> None:
    async with opened(url) as store:
        await store.insert([job(f"{number:03}") for number in range(100)])
        with postgres_connection(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs WHERE id < '050' FOR UPDATE")
            async with asyncio.timeout(SECONDS):
                claims = await store.claim(request(limit=30))
            assert ids(claims) == [f"{number:03}" for number in range(50, 80)]
            other.rollback()

        both = await asyncio.gather(*(store.claim(request(limit=40)) for _ in range(2)))

        assert sorted(ids(both[0]) + ids(both[1])) == [
            *(f"{n:03}" for n in range(50)),
            *(f"{n:03}" for n in range(80, 100)),
        ]


async def test_batches_over_the_same_jobs_in_any_order_do_not_deadlock(url: str) -> None:
    random.seed(17)
    async with opened(url) as store:
        await store.insert([job(f"{number:03}") for number in range(200)])
        claims = list(await store.claim(request(limit=200)))
        beats = [Heartbeat(id=claim.id, token=claim.token, progress=1, message=None) for claim in claims]
        # With one try, a deadlock is an error of the call.
        with patch.object(postgres, "_TRIES", 1):
            for _ in range(10):
                await asyncio.gather(*(store.renew(random.sample(beats, len(beats)), LEASE) for _ in range(4)))


async def test_a_transaction_that_the_server_undid_for_another_is_run_again(
    url: str, connection: psycopg.Connection
) -> None:
    for code in ("40P01", "40001"):
        connection.execute(
            "CREATE OR REPLACE FUNCTION undo_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'undone' USING ERRCODE = '{code}'; END IF;"
            " RETURN NEW; END $$"
        )
        connection.execute("DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries")
        connection.execute(
            "CREATE OR REPLACE TRIGGER undo BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION undo_first()"
        )
        try:
            async with opened(url) as store:
                (answer,) = await store.insert([job(code)])
        finally:
            connection.execute("DROP TRIGGER undo ON jobs")
        assert (answer.id, answer.created) == (code, True)


async def test_a_lease_that_is_renewed_at_this_moment_does_not_expire(url: str) -> None:
    async with opened(url) as store:
        await store.insert([job("a"), job("b")])
        await store.claim(request(lease=timedelta(milliseconds=1)))
        with postgres_connection(url, autocommit=False) as renewing:
            renewing.execute("UPDATE jobs SET worker_expires_at = now() + interval '1 minute' WHERE id = 'a'")
            async with asyncio.timeout(SECONDS):
                expired = await store.expire(jitter=timedelta(0))
            renewing.commit()

        assert [one.id for one in expired] == ["b"]
        assert list(await store.expire(jitter=timedelta(0))) == []


async def test_any_number_of_leases_expires_in_one_call(url: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO jobs (id, job_name, params, status, fencing_token, worker_expires_at, attempt_count,"
        " scheduled_for, created_at, updated_at) SELECT lpad(i::text, 5, '0'), 'SendEmail', '{}', 'running', i::text,"
        " now() - interval '1 s', 1, now(), now(), now() FROM generate_series(1, 2500) AS i"
    )
    async with opened(url) as store:
        assert len(await store.expire(jitter=timedelta(0), except_for=["7"])) == 2499


# --- connections ------------------------------------------------------------------------------------------------------


async def test_a_broken_connection_fails_its_call_and_the_next_one_has_a_new_one(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server_jobs")
    async with opened(url) as store:
        await store.insert([job("a")])
        with postgres_connection(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs WHERE id = 'a' FOR UPDATE")
            calls = [asyncio.create_task(store.cancel("a")) for _ in range(3)]
            await until_waiting(connection, of=3)
            kill_who_waits(connection)
            for call in calls:
                with pytest.raises(DatabaseError, match="was lost"):
                    await call

        assert ids(await store.claim(request())) == ["a"]
    said = [record.getMessage().partition(" ")[0] for record in caplog.records]
    assert len(said) == 2, caplog.text
    assert "was lost" in caplog.messages[0]
    assert "is back" in caplog.messages[1]


async def test_connections_that_broke_while_idle_are_replaced_silently(
    url: str, connection: psycopg.Connection
) -> None:
    async with opened(url) as store:
        await asyncio.gather(*(store.ping() for _ in range(4)))
        assert kill_the_others(connection) >= 1
        await asyncio.sleep(0.05)  # wait for the notification

        await store.ping()


async def test_an_insert_may_be_repeated_when_its_connection_was_lost(url: str, connection: psycopg.Connection) -> None:
    """The jobs are stored once, whether or not the lost call was committed."""
    jobs = [job(f"{number:02}", unique_key=f"k{number}") for number in range(20)]
    async with opened(url) as store:
        await store.insert(jobs[:10])
        with postgres_connection(url, autocommit=False) as other:
            other.execute("LOCK TABLE jobs")
            lost = asyncio.create_task(store.insert(jobs))
            await until_waiting(connection)
            kill_who_waits(connection)
            with pytest.raises(DatabaseError):
                await lost
        answers = await store.insert(jobs)

        assert [answer.id for answer in answers] == [one.id for one in jobs]
        assert len(await store.list_jobs(JobQuery())) == 20


async def test_a_call_that_is_cancelled_leaves_a_database_that_works(url: str, connection: psycopg.Connection) -> None:
    async with opened(url) as store:
        await store.insert([job("a")])
        with postgres_connection(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs WHERE id = 'a' FOR UPDATE")
            for _ in range(6):  # more than the pool has connections
                call = asyncio.create_task(store.cancel("a"))
                await until_waiting(connection)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await until_waiting(connection, of=0)  # the server has given up as well
        assert ids(await store.claim(request())) == ["a"]


async def test_no_more_connections_are_opened_than_allowed(url: str, connection: psycopg.Connection) -> None:
    database = PostgresDatabase(url, max_connections=2)
    await database.open()
    try:
        sleep: tuple[Statement, Mapping[str, Value]] = (Statement("SELECT pg_sleep(0.01)", writes=False), {})
        await asyncio.gather(*(database.run(sleep) for _ in range(10)))
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'server-jobs' AND datname = current_database()"
        ).fetchone()
    finally:
        await database.close()
    assert row == (2,)


async def test_a_statement_runs_on_a_connection_that_has_planned_it(url: str) -> None:
    """Otherwise each connection of a worker would plan the claim, which takes as long as to claim a hundred jobs."""
    one, two = (Statement(f"SELECT pg_sleep(0.01), {number}, pg_backend_pid() AS pid", False) for number in (1, 2))
    database = PostgresDatabase(url)

    async def process_of(statement: Statement) -> Value:
        ((row,),) = await database.run((statement, {}))
        return row["pid"]

    await database.open()
    try:
        processes = await asyncio.gather(process_of(one), process_of(two))
        again = [await process_of(statement) for statement in (one, two, two, one, one)]
    finally:
        await database.close()

    first, second = processes
    assert first != second
    assert again == [first, second, second, first, first]


# --- hints ------------------------------------------------------------------------------------------------------------


async def test_who_watches_is_woken_by_jobs_of_another_process_and_after_a_lost_connection(
    url: str, connection: psycopg.Connection
) -> None:
    woken = asyncio.Event()

    async def wake() -> None:
        async with asyncio.timeout(SECONDS):
            await woken.wait()
        woken.clear()

    async with opened(url) as watching, opened(url) as other:
        end = watching.watch(woken.set)
        await wake()  # it listens now
        await other.insert([job("a")])
        await wake()
        kill_the_others(connection)
        await wake()  # it listens again
        await other.insert([job("b")])
        await wake()
        end()


async def test_many_announcements_are_few_messages_and_the_last_one_is_sent(
    url: str, connection: psycopg.Connection
) -> None:
    connection.execute("LISTEN server_jobs")
    async with opened(url) as store:
        for number in range(200):
            store.database.announce()
            if number % 20 == 0:
                await asyncio.sleep(0)
    messages = list(connection.notifies(timeout=0.1))

    assert 1 <= len(messages) <= 5
    assert all(message.payload == "" for message in messages)


async def test_nothing_is_announced_where_nothing_was_stored(url: str, connection: psycopg.Connection) -> None:
    connection.execute("LISTEN server_jobs")
    async with opened(url) as store:
        await store.insert([])
    assert list(connection.notifies(timeout=0.05)) == []


async def test_a_failed_announcement_raises_no_error(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(url) as store:
        with patch.object(Servers, "connect", side_effect=DatabaseError("away")):
            kill_the_others(connection)
            await asyncio.sleep(0.05)
            store.database.announce()
            await asyncio.sleep(0.05)
        await store.ping()


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_without_the_tables_opening_says_how_to_make_them() -> None:
    store = SqlStore(PostgresDatabase(postgres_url()))
    try:
        with pytest.raises(SchemaMissingError, match="server-jobs migrate"):
            await store.open()
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("/postgres", "/no_such_database"), 'database "no_such_database" does not exist; create it first'),
        (("//postgres@", "//nobody_at_all:secret@"), 'role "nobody_at_all" does not exist; check the user'),
        (("//postgres@", "//postgres:secret@127.0.0.1:1/x?host="), "no PostgreSQL server answers at"),
    ],
)
async def test_a_database_that_cannot_be_opened_is_named_with_the_reason(change: tuple[str, str], message: str) -> None:
    url = postgres_url()
    head, found, tail = url.rpartition(change[0]) if change[0].startswith("/p") else url.partition(change[0])
    assert found
    store = SqlStore(
        PostgresDatabase(f"{head}{change[1]}{tail if '?' not in change[1] else ''}".removesuffix("?host="))
    )

    with pytest.raises(DatabaseError) as raised:
        await store.open()

    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
async def test_every_usual_form_of_the_url_is_understood(url: str, scheme: str) -> None:
    database = open_database(
        f"{scheme}://{url.partition('://')[2]}?sslmode=disable&application_name=me&connect_timeout=3"
    )
    await database.open()
    try:
        ((row,),) = await database.run((Statement("SELECT current_setting('application_name') AS name", False), {}))
    finally:
        await database.close()
    assert row["name"] == "me"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:secret@h/d?sslmod=require", "unknown option 'sslmod'; did you mean 'sslmode'?"),
        ("postgresql://u:secret@h/d?zzz=1", "unknown option 'zzz'; there are application_name"),
        ("postgresql://u:secret@h:port/d", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(InvalidOptionError) as raised:
        open_database(url)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


def test_without_the_driver_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for module in [name for name in sys.modules if name.startswith("server_jobs.databases.postgres")]:
        monkeypatch.delitem(sys.modules, module)

    with pytest.raises(DatabaseError, match=r"pip install 'server-jobs\[postgres\]'"):
        open_database("postgresql://localhost/x")


async def test_a_value_that_cannot_be_stored_is_an_error_that_breaks_nothing(url: str) -> None:
    async with opened(url) as store:
        for text in ("\0", "\ud800"):
            with pytest.raises(DatabaseError):
                await store.insert([job("a", params=text)])
        assert await store.get("a") is None


async def test_times_are_those_of_the_server_and_as_exact_as_it_keeps_them(
    url: str, connection: psycopg.Connection
) -> None:
    async with opened(url) as store:
        claim = await insert_and_claim(store, job("a"))
        await store.settle([completed(claim)])
        record = await read(store, "a")

    row = connection.execute("SELECT created_at, completed_at, clock_timestamp() FROM jobs").fetchone()
    assert row is not None
    assert (record.created_at, record.completed_at) == row[:2]
    assert row[2] - row[0] < timedelta(seconds=SECONDS)


@pytest.mark.parametrize(
    ("moment", "year"), [("infinity", 9999), ("294276-12-31", 9999), ("-infinity", 1), ("4713-01-01 BC", 1)]
)
async def test_a_moment_that_only_the_database_knows_stops_no_worker(
    url: str, connection: psycopg.Connection, moment: str, year: int
) -> None:
    async with opened(url) as store:
        await store.insert([job("a")])
        connection.execute("UPDATE jobs SET scheduled_for = CAST(%s AS timestamptz)", [moment])

        due, wait = (await read(store, "a")).scheduled_for, (await store.upcoming_work(request())).until_due

        assert due is not None
        assert due.year == year
        assert wait is not None
        assert (wait > timedelta(days=365)) == (year == 9999)
        assert len(await store.claim(request())) == (year == 1)


def test_ids_are_compared_byte_by_byte_whatever_the_language_of_the_database() -> None:
    with empty_database() as url, postgres_connection(url) as connection:
        columns = connection.execute("""
            SELECT table_name, column_name FROM information_schema.columns
             WHERE table_schema = current_schema() AND collation_name = 'C' ORDER BY 1, 2
        """).fetchall()
    assert columns == [
        ("cron_jobs", "id"),
        ("cron_jobs", "last_job_id"),
        ("job_attempts", "job_id"),
        ("job_audit", "id"),
        ("job_starts", "id"),
        ("job_workers", "id"),
        ("jobs", "batch_id"),
        ("jobs", "fencing_token"),
        ("jobs", "id"),
        ("jobs", "replaced_by"),
    ]
