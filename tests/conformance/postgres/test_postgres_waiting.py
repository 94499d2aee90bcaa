"""Calls that wait for a connection of the pool: how long, while the server works, hangs or comes back."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from server_jobs.databases import waiting
from server_jobs.databases.postgres import errors as postgres_errors
from server_jobs.databases.postgres import pool as postgres_pool
from server_jobs.databases.postgres import watchdog as postgres_watchdog
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.driver import Session
from server_jobs.databases.postgres.errors import UnsuitableServerError
from server_jobs.databases.postgres.servers import Servers
from server_jobs.databases.postgres.watchdog import Watchdog
from server_jobs.databases.waiting import WaitingCalls
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseError, DatabaseUnreachableError

from tests.conformance.dropping_host import dropping_host
from tests.conformance.postgres.test_postgres_silence import (
    LOOK,
    SECONDS,
    _no_sleepers,  # noqa: F401  a fixture
    impatient,  # noqa: F401  a fixture
    opened,
    place_of,
    sleep_for,
    through,
)
from tests.conformance.postgres_databases import postgres_connection
from tests.slow import slow
from tests.valve import Valve

PATIENCE = 1.5
ANSWER = 8.0  # a wait, then the end of a call that the server does not answer
USUAL = (
    postgres_watchdog.LOOK_AFTER,
    postgres_watchdog.LOOK_SECONDS,
    postgres_watchdog.STUCK_AFTER,
    postgres_watchdog._INTERVAL,
)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("impatient")
    monkeypatch.setattr(postgres_pool, "WAIT_SECONDS", PATIENCE)


SESSION = Statement("SELECT pg_backend_pid() AS pid", writes=False)
SLEEPS = """
FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND wait_event = 'PgSleep' AND datname = current_database()
 AND pid <> pg_backend_pid()
"""


async def the_server_sleeps(connection: psycopg.Connection) -> None:
    """Wait until the server runs the statement of a call of 30 s."""
    while connection.execute(f"SELECT count(*) {SLEEPS}".encode()).fetchone() == (0,):
        await asyncio.sleep(0.02)


def soon(url: str, port: int | None = None) -> str:
    """Return the URL of the same database at this port, with a short limit for connecting."""
    return through(url, f"127.0.0.1:{port or place_of(url)[1]}", options="?connect_timeout=1")


async def outcome(database: PostgresDatabase, seconds: float | None = None) -> str:
    """Return the name of the error of a call, or "ok"."""
    try:
        await database.run((LOOK if seconds is None else sleep_for(seconds), {}))
    except DatabaseError as error:
        return type(error).__name__
    return "ok"


async def outcomes(database: PostgresDatabase, calls: int) -> Counter[str]:
    return Counter(await asyncio.gather(*(outcome(database) for _ in range(calls))))


def test_the_usual_limits_end_every_call_within_ten_seconds() -> None:
    look, answer, stuck, interval = USUAL
    assert look + interval + 2 * answer < 10  # a call whose connection is dead
    assert waiting.WAIT_SECONDS + interval < 10  # a call that waits for a connection
    # Calls that wait get the connections of calls on connections that a network has forgotten.
    assert look + stuck + 2 * interval < waiting.WAIT_SECONDS


@pytest.mark.parametrize("calls", [60, slow(600)])
async def test_a_server_that_hangs_fails_every_call_in_time(url: str, calls: int) -> None:
    with Valve(place_of(url)) as valve:
        async with opened(soon(url, valve.port)) as database:
            await outcomes(database, 10)
            valve.is_shut = True
            async with asyncio.timeout(ANSWER):
                found = await outcomes(database, calls)
            assert "ok" not in found
            async with asyncio.timeout(ANSWER):  # also while everybody knows about it
                assert "ok" not in await outcomes(database, calls)
            assert valve.connections < 30
            valve.is_shut = False
            async with asyncio.timeout(SECONDS):
                assert await outcomes(database, calls) == {"ok": calls}


@pytest.mark.parametrize("calls", [60, slow(600)])
async def test_a_host_that_drops_packets_fails_every_call_in_time(url: str, calls: int) -> None:
    with dropping_host() as port:
        database = PostgresDatabase(soon(url, port))
        opening = (database.open() for _ in range(calls))
        async with asyncio.timeout(ANSWER):
            errors = await asyncio.gather(*opening, return_exceptions=True)
    # On a busy machine, some calls have waited long enough before the first attempt to connect ends.
    assert all(isinstance(error, DatabaseUnreachableError) for error in errors), errors
    assert "SilentServerError" in {type(error).__name__ for error in errors}


async def test_each_of_them_raises_its_own_error(url: str) -> None:
    with dropping_host() as port:
        database = PostgresDatabase(soon(url, port))
        errors = await asyncio.gather(*(database.open() for _ in range(9)), return_exceptions=True)
    assert len({id(error) for error in errors}) == 9
    assert len({str(error) for error in errors}) == 1


async def test_calls_that_wait_succeed_when_the_server_comes_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_pool, "WAIT_SECONDS", SECONDS)
    with Valve(place_of(url)) as valve:
        async with opened(soon(url, valve.port)) as database:
            await outcomes(database, 10)
            valve.freeze()  # as if the server had started again elsewhere
            async with asyncio.timeout(SECONDS):
                found = await outcomes(database, 60)
    assert found == {"ok": 56, "DatabaseUnreachableError": 4}


async def test_calls_wait_as_long_as_the_server_works_on_others(url: str) -> None:
    async with opened(soon(url), max_connections=2) as database, asyncio.timeout(SECONDS):
        slow = [asyncio.create_task(outcome(database, 2 * PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await outcomes(database, 20) == {"ok": 20}
        assert await asyncio.gather(*slow) == ["ok", "ok"]


async def test_calls_wait_as_long_as_others_are_answered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_watchdog, "LOOK_AFTER", 60)
    async with opened(soon(url), max_connections=2) as database, asyncio.timeout(SECONDS):
        found = await asyncio.gather(*(outcome(database, 0.2) for _ in range(24)))
    assert found == ["ok"] * 24


@pytest.mark.parametrize("is_noticed", [True, False], ids=["noticed", "sabotage"])
async def test_a_server_without_another_connection_fails_only_calls_that_need_one(
    url: str, monkeypatch: pytest.MonkeyPatch, is_noticed: bool
) -> None:
    """Calls that wait get the connections that work. A connection is refused whenever four more calls have ended."""
    connect, opened_ones, ended, refusals = Servers.connect, 0, 0, asyncio.Semaphore(0)

    async def limited(self: Servers) -> Session:
        nonlocal opened_ones
        opened_ones += 1
        if opened_ones <= 2:
            return await connect(self)
        await refusals.acquire()
        raise UnsuitableServerError("too many connections")

    async def call(database: PostgresDatabase) -> str:
        nonlocal ended
        found = await outcome(database, 0.05)
        ended += 1
        if ended % 4 == 0 or ended > 16:
            refusals.release()
        return found

    monkeypatch.setattr(Servers, "connect", limited)
    if not is_noticed:
        monkeypatch.setattr(Watchdog, "is_busy", False)
    async with opened(soon(url)) as database, asyncio.timeout(SECONDS):
        found = Counter(await asyncio.gather(*(call(database) for _ in range(20))))
    assert found.keys() == {"ok", "UnsuitableServerError"}
    assert (found["ok"] > 9) is is_noticed


@contextmanager
def role_with_connections(url: str, most: int) -> Iterator[str]:
    """Yield the URL of a role that may have this number of connections."""
    role = f"few_{uuid.uuid4().hex[:8]}"
    with postgres_connection(url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {most}".encode())
        try:
            yield through(url, f"127.0.0.1:{place_of(url)[1]}").replace("//postgres@", f"//{role}@")
        finally:
            connection.execute(f"DROP ROLE {role}".encode())


async def test_calls_share_the_connections_that_a_full_server_has_left_them(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with role_with_connections(url, 2) as limited, postgres_connection(limited):
        async with opened(limited) as database, asyncio.timeout(SECONDS):
            before = await database.run((SESSION, {}))
            assert await outcomes(database, 60) == {"ok": 60}
            assert await database.run((SESSION, {})) == before
            assert caplog.messages == []
            with pytest.raises(DatabaseUnreachableError, match="takes no more connections: too many connections"):
                await PostgresDatabase(limited).open()


async def test_opening_at_once_opens_no_more_connections_than_allowed(url: str) -> None:
    with Valve(place_of(url)) as valve:
        database = PostgresDatabase(soon(url, valve.port), max_connections=3)
        await asyncio.gather(*(database.open() for _ in range(20)))
        await outcomes(database, 20)
        await database.close()
        assert valve.connections <= 3


async def test_a_silent_server_is_not_waited_for_because_it_answers_now_and_then() -> None:
    calls = WaitingCalls("the server", PATIENCE)
    loop = asyncio.get_running_loop()

    async def wait() -> None:
        async with calls.limited(loop.time()):
            await asyncio.sleep(60)

    waits = asyncio.create_task(wait())
    for _ in range(6):
        await asyncio.sleep(PATIENCE / 4)
        calls.note_life()
    assert not waits.done()
    calls.note_silence()
    with pytest.raises(DatabaseUnreachableError, match=r"no connection to the server within 1\.5 s"):
        await asyncio.wait_for(waits, SECONDS)


async def test_a_call_that_is_cancelled_while_it_waits_leaves_its_place(url: str) -> None:
    async with opened(soon(url), max_connections=1) as database, asyncio.timeout(SECONDS):
        slow = asyncio.create_task(outcome(database, 0.3))
        await asyncio.sleep(0.1)
        waits = asyncio.create_task(outcome(database))
        await asyncio.sleep(0.1)
        waits.cancel()
        await asyncio.wait([waits])
        assert waits.cancelled()
        assert (await slow, await outcome(database)) == ("ok", "ok")


async def test_a_call_that_connects_is_limited_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several hosts, their roles and the resolver have time limits of their own, one after the other."""

    async def endless(_: Servers) -> Session:
        await asyncio.sleep(60)
        raise AssertionError

    database = PostgresDatabase(soon(url))
    monkeypatch.setattr(Servers, "connect", endless)
    async with asyncio.timeout(ANSWER):
        errors = await asyncio.gather(*(database.open() for _ in range(9)), return_exceptions=True)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert {type(error) for error in errors} == {DatabaseUnreachableError}


async def test_after_a_loss_the_next_call_is_checked_at_once(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Valve(place_of(url)) as valve:
        async with opened(soon(url, valve.port)) as database, asyncio.timeout(SECONDS):
            valve.is_shut = True
            assert await outcome(database) == "DatabaseUnreachableError"
            monkeypatch.setattr(postgres_watchdog, "LOOK_AFTER", 60)
            valve.is_shut = False
            slow = asyncio.create_task(outcome(database, 30))
            await the_server_sleeps(connection)
            valve.is_shut = True
            assert await slow == "DatabaseUnreachableError"
            valve.is_shut = False


async def test_only_a_server_that_does_not_answer_counts_as_silent(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[object] = []
    monkeypatch.setattr(WaitingCalls, "note_silence", lambda calls: noted.append(calls))
    with Valve(place_of(url)) as valve:
        async with opened(soon(url, valve.port)) as database, asyncio.timeout(SECONDS):
            slow = asyncio.create_task(outcome(database, 30))
            await the_server_sleeps(connection)
            connection.execute(f"SELECT pg_terminate_backend(pid) {SLEEPS}".encode())
            assert await slow == "DatabaseUnreachableError"
            assert noted == []
            await outcome(database)
            valve.is_shut = True
            assert await outcome(database) == "DatabaseUnreachableError"
            assert len(noted) == 1
            valve.is_shut = False


# --- sabotage ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_without_a_common_end_the_calls_fail_in_waves(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def unlimited(*_: object) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(WaitingCalls, "limited", unlimited)
    for test in (
        test_a_server_that_hangs_fails_every_call_in_time,
        test_a_host_that_drops_packets_fails_every_call_in_time,
    ):
        with pytest.raises(TimeoutError):
            await test(url, 60)


@pytest.mark.slow
async def test_without_the_signs_of_life_a_slow_server_is_taken_for_a_dead_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WaitingCalls, "note_life", lambda _: None)
    with pytest.raises(AssertionError):
        await test_calls_wait_as_long_as_the_server_works_on_others(url)
    with pytest.raises(AssertionError):
        await test_calls_wait_as_long_as_others_are_answered(url, monkeypatch)


async def test_without_the_word_of_a_full_server_calls_fail_and_connections_are_dropped(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_errors, "FullServerError", UnsuitableServerError)
    with pytest.raises(AssertionError):
        await test_calls_share_the_connections_that_a_full_server_has_left_them(url, caplog)
