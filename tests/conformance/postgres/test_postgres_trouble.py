"""PostgreSQL in trouble: processes that stop in a transaction, locks of others, fail-over, closed event loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import psycopg
import pytest
from server_jobs.databases.postgres import connection as postgres_connection
from server_jobs.databases.postgres import database as postgres
from server_jobs.databases.postgres import hints as postgres_hints
from server_jobs.databases.postgres import pool as postgres_pool
from server_jobs.databases.postgres.connection import PostgresConnection
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.driver import Session
from server_jobs.databases.postgres.hints import Listener
from server_jobs.databases.postgres.pool import Pool
from server_jobs.databases.postgres.servers import Servers
from server_jobs.databases.postgres.url import parse_postgres_url
from server_jobs.databases.sqlite.connection import Call, Rows
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.record import Claim, Heartbeat, JobQuery, LeaseAnswer, NewJob, Settlement
from server_jobs.errors import DatabaseBusyError, DatabaseError, DatabaseUnreachableError, RowLockedError
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import (
    LEASE,
    START,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    read,
    request,
    schedule,
)
from tests.conformance.postgres.test_postgres import SECONDS, opened, until_waiting
from tests.conformance.postgres_databases import postgres_connection as connected

KEY_IS_TAKEN = (
    "INSERT INTO jobs (id, job_name, params, unique_key, scheduled_for, created_at, updated_at)"
    " VALUES ('winner', 'SendEmail', '{}', 'k', now(), now(), now())"
)
STATEMENTS = statements_of("postgresql")
LOCK = str(STATEMENTS.LOCK_LIMITS and STATEMENTS.LOCK_LIMITS.sql)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@contextmanager
def patience(*, of_statements: str = "50ms", idle: str = "10s") -> Iterator[None]:
    """Set time limits short enough for a test."""

    def shorter(sql: str) -> str:
        assert "'5s'" in sql
        return sql.replace("'5s'", f"'{of_statements}'")

    begin = shorter(postgres_connection.BEGIN)
    assert "'10s'" in begin
    with ExitStack() as patches:
        patches.enter_context(patch.object(postgres_connection, "BEGIN", begin.replace("'10s'", f"'{idle}'")))
        for name in ("INSERT", "INSERT_NEW", "INSERT_ONE", "START", "FIRE", "LOCK_LIMITS"):
            statement: Statement = getattr(STATEMENTS, name)
            shortened = replace(statement, sql=shorter(statement.sql))
            patches.enter_context(patch.dict(vars(STATEMENTS), {name: shortened}))
        yield


@contextmanager
def default_of_the_database(url: str, connection: psycopg.Connection, name: str, value: str) -> Iterator[None]:
    """Set the default of a setting for new connections to the database."""
    database = url.rpartition("/")[2]
    connection.execute(f"ALTER DATABASE {database} SET {name} = '{value}'".encode())
    try:
        yield
    finally:
        connection.execute(f"ALTER DATABASE {database} RESET {name}".encode())


# --- transactions that do not go on -----------------------------------------------------------------------------------


class Stop(dict[str, Value]):
    """Parameters that stop the process between two statements, until `meanwhile` has run elsewhere."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(x="1")
        self._meanwhile = meanwhile

    def __getitem__(self, name: str) -> Value:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return super().__getitem__(name)


async def test_locks_of_a_process_stopped_in_a_transaction_are_soon_free(
    url: str, connection: psycopg.Connection
) -> None:
    def claim_elsewhere() -> None:
        connection.execute("SET statement_timeout = '5s'")
        with connection.transaction():
            connection.execute(LOCK.replace("'5s'", "'4s'").encode())
            taken.append(True)

    taken: list[bool] = []
    database = PostgresDatabase(url)
    await database.open()
    try:
        with patience(of_statements="4s", idle="50ms"):
            lock = Statement(LOCK, writes=True)
            other = Statement("SELECT CAST(:x AS text) AS x", writes=False)
            await database.run((lock, {}), (other, {"x": "1"}))  # prepared from now on
            try:
                await database.run((lock, {}), (other, Stop(claim_elsewhere)))
            except DatabaseError as error:
                assert "was lost" in str(error)  # noqa: PT017  or it was run again, as nothing had been changed
        assert taken == [True]
    finally:
        await database.close()


async def test_transactions_count_committed_rows_under_any_default_of_the_server(
    url: str, connection: psycopg.Connection
) -> None:
    with default_of_the_database(url, connection, "default_transaction_isolation", "repeatable read"):
        database = PostgresDatabase(url)
        await database.open()
        try:
            look = Statement("SELECT current_setting('transaction_isolation') AS level", writes=False)
            (first,), (second,) = await database.run((look, {}), (look, {}))
        finally:
            await database.close()
    assert (first["level"], second["level"]) == ("read committed", "read committed")


@pytest.mark.parametrize("way", ["insert", "start", "fire"])
async def test_waiting_too_long_for_a_unique_key_is_a_busy_error(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    async def enqueue(store: SqlStore) -> object:
        match way:
            case "insert":
                return await store.insert([job("loser", unique_key="k")])
            case "start":
                return await store.start(job("loser", unique_key="k"), LEASE)
            case _:
                fired = firing(START, next_run_at=START + timedelta(hours=1), unique_key="k")
                return await store.fire(fired)

    async with opened(url) as watcher:
        await watcher.save_schedules([schedule()])
        with patience(), connected(url, autocommit=False) as winner:
            async with opened(url) as store:
                winner.execute(KEY_IS_TAKEN)
                async with asyncio.timeout(SECONDS):
                    with pytest.raises(DatabaseBusyError, match="waited too long"):
                        await enqueue(store)
                assert await watcher.list_jobs(JobQuery()) == []
                winner.rollback()
                await enqueue(store)
        assert len(await watcher.list_jobs(JobQuery())) == 1
    assert caplog.messages == []  # the connection is as good as before


async def test_a_claim_that_waits_too_long_for_the_limits_is_a_busy_error(
    url: str, connection: psycopg.Connection
) -> None:
    lock = Statement(LOCK.replace("'5s'", "'50ms'"), writes=True)
    database = PostgresDatabase(url)
    await database.open()
    try:
        with connection.transaction():
            connection.execute(LOCK.encode())
            async with asyncio.timeout(SECONDS):
                with pytest.raises(DatabaseBusyError):
                    await database.run((lock, {}), (lock, {}))
        await database.run((lock, {}), (lock, {}))
    finally:
        await database.close()


async def test_a_transaction_waits_for_no_row_forever(url: str, connection: psycopg.Connection) -> None:
    async with opened(url) as store:
        await store.insert([job("a")])
        lock = Statement("SELECT id FROM jobs FOR UPDATE", writes=True)
        with patience(), connected(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs FOR UPDATE")
            async with asyncio.timeout(SECONDS):
                with pytest.raises(DatabaseBusyError):
                    await store.database.run((lock, {}), (lock, {}))


async def test_a_row_that_somebody_has_locked_costs_no_other_lease(url: str) -> None:
    async with opened(url) as store:
        await store.insert([job(f"j{number}") for number in range(20)])
        claims = await store.claim(request(limit=20))
        beats = [Heartbeat(id=claim.id, token=claim.token, progress=7, message=None) for claim in claims]
        stale = Heartbeat(id="j6", token="of another claim", progress=9, message=None)
        with connected(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs WHERE id IN ('j5', 'j6') FOR UPDATE")
            async with asyncio.timeout(SECONDS):
                holds = dict(zip([claim.id for claim in claims], await store.renew(beats, LEASE), strict=True))
                assert await store.renew([stale], LEASE) == [LeaseAnswer.LOST]
            other.rollback()  # a closed connection releases its locks a moment later
        assert holds == {
            claim.id: LeaseAnswer.BUSY if claim.id in ("j5", "j6") else LeaseAnswer.RENEWED for claim in claims
        }
        assert await store.renew(beats, LEASE) == [LeaseAnswer.RENEWED] * 20


@pytest.mark.parametrize("settle", [completed, failed])
async def test_outcomes_do_not_wait_long_for_a_locked_row(url: str, settle: Callable[[Claim], Settlement]) -> None:
    async with opened(url) as store:
        await store.insert([job("j1"), job("j2")])
        outcomes = [settle(claim) for claim in await store.claim(request(limit=2))]
        with connected(url, autocommit=False) as other:
            other.execute("SELECT id FROM jobs WHERE id = 'j2' FOR UPDATE")
            async with asyncio.timeout(SECONDS):
                with pytest.raises(RowLockedError):
                    await store.settle(outcomes)
                assert None not in await store.settle(outcomes[:1])
            other.rollback()
        assert None not in await store.settle(outcomes[1:])


@pytest.mark.parametrize("jobs", [1, 2])
async def test_leases_are_renewed_while_any_number_of_inserts_waits_for_a_unique_key(
    url: str, connection: psycopg.Connection, jobs: int
) -> None:
    def batch(number: int) -> list[NewJob]:
        return [job(f"{number}{key}", unique_key=key) for key in ("k", f"k{number}")[:jobs]]

    async with opened(url) as store:
        claim = await insert_and_claim(store, job("runs"))
        with connected(url, autocommit=False) as winner:
            winner.execute(KEY_IS_TAKEN)
            waiting = [asyncio.create_task(store.insert(batch(number))) for number in range(8)]
            try:
                await until_waiting(connection, of=3)
                async with asyncio.timeout(SECONDS):
                    beat = Heartbeat(id=claim.id, token=claim.token, progress=1, message=None)
                    assert await store.renew([beat], LEASE) == [LeaseAnswer.RENEWED]
            finally:
                winner.rollback()
                async with asyncio.timeout(SECONDS):
                    answers = await asyncio.gather(*waiting)
        assert len({answer.id for answer, *_ in answers}) == 1


@pytest.mark.parametrize("key", ["k", None])
async def test_a_call_says_that_it_may_wait_for_others_if_it_has_a_unique_key(
    url: str, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    async with opened(url) as store:
        run, told = store.database.run, list[bool]()

        async def noted(*calls: Call, look: Call | None = None) -> Rows:
            if any("INSERT" in statement.sql for statement, _ in calls):  # not the hint that follows
                told.append(any(statement.may_wait for statement, _ in calls))
            return await run(*calls, look=look)

        await store.save_schedules([schedule()])
        monkeypatch.setattr(store.database, "run", noted)
        await store.insert([job("one", unique_key=key)])
        await store.insert([job("first"), job("second", unique_key=key and "second")])
        await store.start(job("here", unique_key=key and "here"), LEASE)
        await store.fire(firing(START, next_run_at=START + timedelta(hours=1), unique_key=key and "fired"))
        assert told == [key is not None] * 4


async def test_batches_of_the_same_unique_keys_in_any_order_do_not_deadlock(url: str) -> None:
    chance = random.Random(23)
    keys = [f"{number:04}" for number in range(1500)]

    def batch(prefix: str) -> list[str]:
        return [f"{prefix}{key}" for key in chance.sample(keys, len(keys))]

    async with opened(url) as store, opened(url) as other:
        with patch.object(postgres, "_TRIES", 1):  # with one try, a deadlock is an error of the call
            for number in range(3):
                await asyncio.gather(
                    store.insert([job(f"a{number}{key}", unique_key=key) for key in batch(str(number))]),
                    other.insert([job(f"b{number}{key}", unique_key=key) for key in batch(str(number))]),
                )


# --- servers and rows of others ---------------------------------------------------------------------------------------


async def test_a_server_that_became_read_only_is_left(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with default_of_the_database(url, connection, "default_transaction_read_only", "on"):
        store = SqlStore(PostgresDatabase(url))
        await store.open()
    caplog.set_level(logging.INFO, "server_jobs")
    try:
        with pytest.raises(DatabaseError, match="takes no writes"):
            await store.insert([job("a")])
        await store.insert([job("a")])
        assert ids(await store.claim(request())) == ["a"]
    finally:
        await store.close()
    assert len(caplog.messages) == 2
    assert "is back" in caplog.messages[1]


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        ("-infinity", FIRST),
        ("infinity", LAST),
        ("4713-01-01 BC", FIRST),
        ("20000-01-01", LAST),
        ("0001-01-01 00:00:00Z", FIRST),
        ("1999-12-31 23:59:59.999999Z", datetime(1999, 12, 31, 23, 59, 59, 999999, UTC)),
        ("9999-12-31 23:59:59.999999Z", LAST),
    ],
)
async def test_a_time_that_python_does_not_know_breaks_nothing(
    url: str, connection: psycopg.Connection, moment: str, known: datetime
) -> None:
    connection.execute(
        "INSERT INTO jobs (id, job_name, params, scheduled_for, created_at, updated_at)"
        " VALUES ('theirs', 'SendEmail', '{}', '-infinity', %s, now())",
        [moment],
    )
    async with opened(url) as store:
        await store.insert([job("ours")])
        assert sorted(ids(await store.claim(request()))) == ["ours", "theirs"]
        assert (await read(store, "theirs")).created_at == known


# --- event loops ------------------------------------------------------------------------------------------------------


NOTICED_WITHIN = 5.0


def until_disconnected(connection: psycopg.Connection, condition: str = "") -> None:
    """Wait until the server has no connection of ours any more, which it notices a moment after their end.

    No event loop runs in the meantime, so only connections that were already closed count.
    """
    ours = "application_name = 'server-jobs' AND datname = current_database()"
    deadline = time.monotonic() + NOTICED_WITHIN
    while connection.execute(f"SELECT 1 FROM pg_stat_activity WHERE {ours} {condition}".encode()).fetchone():
        assert time.monotonic() < deadline, "a connection of ours is still there"
        time.sleep(0.005)


def test_event_loops_may_use_a_database_one_after_another_and_leave_nothing_behind(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqlStore(PostgresDatabase(url))
    connection.execute("LISTEN server_jobs")

    async def enqueue(job_id: str) -> None:
        await store.open()
        await asyncio.gather(*(store.insert([job(f"{job_id}{number}")]) for number in range(6)))

    for job_id in "abc":
        asyncio.run(enqueue(job_id), debug=True)
        # The last message of the loop, if it was not sent before.
        assert list(connection.notifies(timeout=0.5, stop_after=1))
        gc.collect()
        until_disconnected(connection, "AND wait_event_type IS DISTINCT FROM 'Client'")
    asyncio.run(store.close())
    assert [message for message in caplog.messages if "took" not in message] == []


def test_an_event_loop_ends_without_noise_although_the_server_is_slow(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_hints, "FINISH_SECONDS", 0.05)
    monkeypatch.setattr(postgres, "NOTIFY", Statement("SELECT pg_sleep(1)", writes=False))

    async def announce() -> None:
        database = PostgresDatabase(url)
        await database.open()
        database.announce()

    asyncio.run(announce())
    gc.collect()
    assert caplog.messages == []


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_call_that_is_under_way_when_its_event_loop_ends_leaves_nothing_behind(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, *, is_closed: bool
) -> None:
    async def main() -> asyncio.Task[object]:
        database = PostgresDatabase(url)
        await database.open()
        call = asyncio.create_task(database.run((Statement("SELECT pg_sleep(1)", writes=False), {})))
        await asyncio.sleep(0.05)  # so that the server sleeps
        if is_closed:
            await database.close()
        return call

    assert asyncio.run(main()).cancelled()
    gc.collect()
    until_disconnected(connection)  # the server notices after its sleep
    assert caplog.messages == []


def test_a_server_that_ignores_a_cancellation_leaves_no_task(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(connection: PostgresConnection) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)  # the driver may need a few more turns of the event loop
            connection.terminate()

    monkeypatch.setattr(postgres_pool, "_close", close)
    monkeypatch.setattr(postgres_pool, "_CLOSE_SECONDS", 0.05)

    async def main() -> asyncio.Task[object]:
        database = PostgresDatabase(url, max_connections=1)
        await database.open()
        call = asyncio.create_task(database.run((Statement("SELECT pg_sleep(1)", writes=False), {})))
        await asyncio.sleep(0.05)
        return call

    assert asyncio.run(main()).cancelled()
    gc.collect()
    until_disconnected(connection)  # the server notices after its sleep
    assert caplog.messages == []


def test_an_event_loop_that_was_closed_without_a_farewell_is_not_used_again(url: str) -> None:
    store = SqlStore(PostgresDatabase(url))
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(store.open())
        second.run_until_complete(store.ping())  # while the other loop could continue
        first.run_until_complete(store.ping())
    finally:
        first.run_until_complete(store.close())
        for loop in (first, second):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def test_the_slot_of_a_cancelled_call_is_free_when_its_connection_is_closed(
    url: str, connection: psycopg.Connection
) -> None:
    sessions: list[Session] = []
    connect = Servers.connect

    async def counted(servers: Servers) -> Session:
        until_disconnected(connection)
        sessions.append(await connect(servers))
        return sessions[-1]

    database = PostgresDatabase(url, max_connections=1)
    with patch.object(Servers, "connect", counted):
        await database.open()
        try:
            sleep = Statement(f"SELECT pg_sleep({2 * SECONDS})", writes=False)
            look = Statement("SELECT 1 AS one", writes=False)
            call = asyncio.create_task(database.run((sleep, {})))
            await asyncio.sleep(0.05)  # so that the server sleeps
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(SECONDS):
                await database.run((look, {}))
        finally:
            await database.close()
    assert len(sessions) == 2


async def test_without_a_slot_kept_to_the_end_there_are_too_many_connections(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free_at_once(pool: Pool, slot: AsyncExitStack, work: Callable[[], Coroutine[object, object, None]]) -> None:
        pool._finishing.add(asyncio.create_task(work()))

    monkeypatch.setattr("tests.conformance.postgres.test_postgres_trouble.NOTICED_WITHIN", 0.2)
    monkeypatch.setattr(Pool, "_finish_in", free_at_once)
    with pytest.raises(AssertionError, match="still there"):
        await test_the_slot_of_a_cancelled_call_is_free_when_its_connection_is_closed(url, connection)


async def test_calls_that_are_cancelled_while_they_connect_make_no_noise(url: str) -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    database = PostgresDatabase(url)
    look = (Statement("SELECT 1 AS one", writes=False), dict[str, Value]())
    for turns in range(40):
        database = PostgresDatabase(url)
        await database.open()
        calls = [asyncio.create_task(database.run(look)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await database.run(look)
        await database.close()
    gc.collect()
    assert noise == []


async def test_a_connection_that_fails_after_its_call_was_cancelled_makes_no_noise(url: str) -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    begun, refused = asyncio.Event(), asyncio.Event()

    async def connect(_: Servers) -> Session:
        begun.set()
        await refused.wait()
        raise DatabaseUnreachableError("refused")

    database = PostgresDatabase(url)
    await database.open()
    sleep = asyncio.create_task(database.run((Statement("SELECT pg_sleep(0.2)", writes=False), {})))
    await asyncio.sleep(0)  # it takes the only connection
    with patch.object(Servers, "connect", connect):
        call = asyncio.create_task(database.run((Statement("SELECT 1 AS one", writes=False), {})))
        async with asyncio.timeout(SECONDS):
            await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        refused.set()
        await sleep
    await database.close()
    assert noise == []


def listener_of(url: str) -> Listener:
    return Listener(Servers(parse_postgres_url(url)))


# --- hints ------------------------------------------------------------------------------------------------------------


async def test_who_watches_again_at_once_is_woken(url: str, connection: psycopg.Connection) -> None:
    listener, woken = listener_of(url), asyncio.Event()
    try:
        end = listener.watch(lambda **_: woken.set())
        async with asyncio.timeout(SECONDS):
            await woken.wait()  # it listens now
            end()
            woken.clear()
            listener.watch(lambda **_: woken.set())
            await woken.wait()  # it listens again
            woken.clear()
            connection.execute("SELECT pg_notify('server_jobs', '')")
            await woken.wait()
    finally:
        await listener.stop()


async def test_a_server_that_refuses_listen_is_asked_less_and_less_often(url: str) -> None:
    pauses: list[float] = []
    enough, sleep = asyncio.Event(), asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            enough.set()
        await sleep(0)

    async def connect_and_close(servers: Servers) -> Session:
        session = await connect(servers)
        await session.driver.close()
        return session  # connects, but then rejects everything

    connect = Servers.connect
    listener = listener_of(url)
    with patch.object(Servers, "connect", connect_and_close), patch.object(asyncio, "sleep", noted):
        listener.watch(lambda **_: None)
        async with asyncio.timeout(SECONDS):
            await enough.wait()
        await listener.stop()
    assert pauses[4] > 4 * pauses[0]
