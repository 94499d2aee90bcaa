"""PostgreSQL servers that do not answer: time limits of connects and calls, and dead connections."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from server_jobs.databases.opening import sqlalchemy_url
from server_jobs.databases.postgres import driver as postgres_driver
from server_jobs.databases.postgres import network as postgres_network
from server_jobs.databases.postgres import servers as postgres_servers
from server_jobs.databases.postgres import watchdog as postgres_watchdog
from server_jobs.databases.postgres.connection import PostgresConnection
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.hints import Listener
from server_jobs.databases.postgres.servers import Servers
from server_jobs.databases.postgres.url import PostgresUrl, parse_postgres_url
from server_jobs.databases.postgres.url_options import TcpOptions
from server_jobs.databases.postgres.watchdog import Watchdog
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseError, DatabaseUnreachableError
from sqlalchemy import create_engine, text

from tests.conformance.postgres.pooler import StrictPooler
from tests.conformance.postgres_databases import postgres_connection
from tests.valve import Valve

SECONDS = 8

LOOK = Statement("SELECT 1 AS one", writes=False)


def sleep_for(seconds: float) -> Statement:
    return Statement(f"SELECT pg_sleep({seconds})", writes=False)


@contextmanager
def silent_host() -> Iterator[int]:
    """Yield the port of a host that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield int(listener.getsockname()[1])


def through(url: str, *hosts: str, options: str = "") -> str:
    """Return the URL of the same database at these hosts."""
    parts = urlsplit(url)
    return f"postgresql://{parts.username}@{','.join(hosts)}{parts.path}{options}"


def place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 5432


@asynccontextmanager
async def opened(url: str, *, max_connections: int = 4) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(url, max_connections=max_connections)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
        await nothing_is_under_way()


async def nothing_is_under_way() -> None:
    """Wait until the driver's requests to cancel end, so that their sockets are closed before the event loop."""
    own = {"Connection._cancel", "Pool._finish_in.<locals>.finish"}
    if tasks := [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") in own]:
        await asyncio.wait(tasks, timeout=SECONDS)
        await asyncio.sleep(0.01)  # sockets are closed in the next turn of the loop


@pytest.fixture(autouse=True)
def _no_sleepers(url: str) -> Iterator[None]:
    """End the statements that a test gave up. The server would run them to their end."""
    yield
    end = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    )
    with postgres_connection(url) as other:
        other.execute(end.encode())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client check soon whether the server still works on a call."""
    monkeypatch.setattr(postgres_watchdog, "LOOK_AFTER", 0.2)
    monkeypatch.setattr(postgres_watchdog, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(postgres_watchdog, "STUCK_AFTER", 0.3)
    monkeypatch.setattr(postgres_watchdog, "_INTERVAL", 0.1)


# --- connecting -------------------------------------------------------------------------------------------------------


async def test_a_silent_first_host_does_not_keep_the_second_from_being_tried(url: str) -> None:
    _, port = place_of(url)
    with silent_host() as silent:
        several = through(url, f"127.0.0.1:{silent}", f"127.0.0.1:{port}", options="?connect_timeout=1")
        async with asyncio.timeout(SECONDS), opened(several) as database:
            await database.run((LOOK, {}))


async def test_a_silent_host_delays_one_connection_only(url: str) -> None:
    _, port = place_of(url)
    with Valve(("127.0.0.1", port)) as valve:
        valve.is_shut = True
        several = through(url, f"127.0.0.1:{valve.port}", f"127.0.0.1:{port}", options="?connect_timeout=1")
        servers = Servers(parse_postgres_url(several))
        for _ in range(3):
            async with asyncio.timeout(SECONDS):
                (await servers.connect()).driver.terminate()
        assert valve.connections == 1


async def test_silent_hosts_are_not_waited_for_one_after_the_other(url: str) -> None:
    _, port = place_of(url)
    with silent_host() as first, silent_host() as second:
        hosts = (f"127.0.0.1:{first}", f"127.0.0.1:{second}", f"127.0.0.1:{port}")
        servers = Servers(parse_postgres_url(through(url, *hosts, options="?connect_timeout=60")))
        async with asyncio.timeout(SECONDS):
            (await servers.connect()).driver.terminate()


def test_migrations_have_a_time_limit_for_each_host_too(url: str) -> None:
    _, port = place_of(url)
    with silent_host() as silent:
        several = through(url, f"127.0.0.1:{silent}", f"127.0.0.1:{port}", options="?connect_timeout=2")
        engine = create_engine(sqlalchemy_url(several))
        began = time.monotonic()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        engine.dispose()
    assert time.monotonic() - began < SECONDS


async def test_when_no_host_answers_all_are_named() -> None:
    with silent_host() as silent:
        several = f"postgresql://postgres@127.0.0.1:{silent},127.0.0.1:1/shop?connect_timeout=1"
        async with asyncio.timeout(SECONDS):
            with pytest.raises(DatabaseUnreachableError) as raised:
                await PostgresDatabase(several).open()
    assert f"127.0.0.1:{silent}/" in str(raised.value)
    assert "no answer within 1 s" in str(raised.value)
    assert "Connect call failed" in str(raised.value)


@pytest.mark.parametrize(("hosts", "seconds"), [("h1", 5), ("h1,h2", 3)])
def test_a_host_has_a_time_limit_without_an_option_too(hosts: str, seconds: int) -> None:
    assert parse_postgres_url(f"postgresql://{hosts}/d").connect_seconds == seconds
    assert parse_postgres_url(f"postgresql://{hosts}/d?connect_timeout=7").connect_seconds == 7


async def test_connecting_can_be_cancelled_at_any_moment_without_noise(url: str) -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    servers = Servers(parse_postgres_url(url))
    for turns in range(40):
        connecting = asyncio.create_task(servers.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting])
        if not connecting.cancelled():
            connecting.result().driver.terminate()
    await asyncio.sleep(0.05)
    gc.collect()
    assert noise == []


async def test_every_address_of_a_host_is_tried(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = place_of(url)

    async def resolved(*_: object, **__: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, ("127.0.0.1", silent)), (*kind, ("127.0.0.1", 1)), (*kind, (host, port))]

    with silent_host() as silent:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        async with (
            asyncio.timeout(SECONDS),
            opened(through(url, "db.example", options="?connect_timeout=1")) as database,
        ):
            await database.run((LOOK, {}))


async def test_the_socket_has_options_to_notice_a_dead_peer(url: str) -> None:
    _, port = place_of(url)
    options = "?keepalives_idle=9&keepalives_interval=4&keepalives_count=5&tcp_user_timeout=6000"
    session = await Servers(parse_postgres_url(through(url, f"127.0.0.1:{port}", options=options))).connect()
    try:
        own = session.network._own
        assert own is not None
        endpoint = own[1]
        assert endpoint is not None
        asked = {
            name: endpoint.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            if hasattr(socket, name)
        }
        keeps_alive = endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    finally:
        session.driver.terminate()
        await asyncio.sleep(0)
    assert keeps_alive
    wanted = {"TCP_KEEPIDLE": 9, "TCP_KEEPINTVL": 4, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 6000}
    assert asked == {name: wanted[name] for name in asked}


def test_without_options_the_kernel_notices_within_ten_seconds() -> None:
    usual = TcpOptions()
    assert usual.keepalives_idle + usual.keepalives_interval * usual.keepalives_count <= 11
    assert usual.tcp_user_timeout <= 5000


# --- calls ------------------------------------------------------------------------------------------------------------


async def test_a_call_has_a_time_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_driver, "CALL_SECONDS", 0.3)
    async with opened(url) as database, asyncio.timeout(SECONDS):
        with pytest.raises(DatabaseUnreachableError, match="did not answer in time"):
            await database.run((sleep_for(60), {}))
        await database.run((LOOK, {}))


async def test_a_connection_to_a_server_that_is_gone_is_dropped(url: str, impatient: None) -> None:
    with Valve(place_of(url)) as valve:
        async with opened(through(url, f"127.0.0.1:{valve.port}", options="?connect_timeout=1")) as database:
            await asyncio.gather(*(database.run((LOOK, {})) for _ in range(3)))
            valve.is_shut = True
            async with asyncio.timeout(SECONDS):
                calls = [asyncio.create_task(database.run((LOOK, {}))) for _ in range(3)]
                for call in calls:
                    with pytest.raises(DatabaseUnreachableError):
                        await call
            valve.is_shut = False
            async with asyncio.timeout(SECONDS):
                await database.run((LOOK, {}))


async def test_a_connection_that_a_network_has_forgotten_is_dropped(url: str, impatient: None) -> None:
    """The server runs and accepts new connections. On the old one it waits for a statement that never arrives."""
    with Valve(place_of(url)) as valve:
        async with opened(through(url, f"127.0.0.1:{valve.port}")) as database:
            await database.run((LOOK, {}))
            valve.freeze()
            async with asyncio.timeout(SECONDS):
                with pytest.raises(DatabaseUnreachableError, match="its answer does not arrive"):
                    await database.run((LOOK, {}))
                await database.run((LOOK, {}))


async def test_after_a_loss_it_listens_on_a_new_connection(url: str, impatient: None) -> None:
    woken = asyncio.Event()
    with Valve(place_of(url)) as valve:
        async with opened(through(url, f"127.0.0.1:{valve.port}")) as database, asyncio.timeout(SECONDS):
            end = database.watch(lambda **_: woken.set())
            await woken.wait()  # it listens now
            woken.clear()
            valve.freeze()
            with pytest.raises(DatabaseUnreachableError):
                await database.run((LOOK, {}))
            await woken.wait()  # it listens again
            end()


async def test_a_slow_call_on_a_live_server_continues(
    url: str, connection: psycopg.Connection, impatient: None
) -> None:
    async with opened(url) as database, asyncio.timeout(SECONDS):
        await asyncio.gather(database.run((sleep_for(1.2), {})), database.run((sleep_for(1.2), {}), (LOOK, {})))
        lock = Statement("SELECT pg_advisory_xact_lock(8812) IS NULL AS locked", writes=True, may_wait=True)
        with postgres_connection(url, autocommit=False) as other:
            other.execute("SELECT pg_advisory_xact_lock(8812)")
            waiting = asyncio.create_task(database.run((lock, {}), (lock, {})))
            await asyncio.sleep(1.2)
            other.rollback()
            await waiting


async def test_a_connection_that_closes_during_a_look_is_not_looked_for(url: str) -> None:
    servers = Servers(parse_postgres_url(url))
    asking, closed = await servers.connect(), await servers.connect()
    closed.driver.terminate()
    try:
        assert await postgres_watchdog._backends(asking, [cast("PostgresConnection", closed)]) == ([], [])
    finally:
        asking.driver.terminate()


@pytest.mark.slow
async def test_a_large_statement_on_a_slow_network_continues(url: str, impatient: None) -> None:
    size = 12_000_000
    with Valve(place_of(url)) as valve:
        async with opened(through(url, f"127.0.0.1:{valve.port}")) as database:
            valve.bytes_per_second = 5_000_000
            async with asyncio.timeout(4 * SECONDS):
                echo = Statement("SELECT length(CAST(:x AS text)) AS size", writes=False)
                # Prepared now: the server stays idle until it has received the whole next message.
                await database.run((echo, {"x": ""}))
                ((row,),) = await database.run((echo, {"x": "x" * size}))
    assert row["size"] == size


async def test_a_slow_call_through_a_pooler_continues(url: str, impatient: None) -> None:
    async with StrictPooler(url).serve() as pooled, opened(pooled) as database, asyncio.timeout(SECONDS):
        await database.run((sleep_for(1.2), {}), (LOOK, {}))


async def test_a_server_that_accepts_no_connections_is_alive(url: str, impatient: None) -> None:
    name = url.rpartition("/")[2]
    async with opened(url) as database:
        with postgres_connection(url.replace(name, "postgres")) as other:
            other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            try:
                async with asyncio.timeout(SECONDS):
                    await database.run((sleep_for(1.2), {}))
            finally:
                other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


async def test_a_connection_whose_server_became_read_only_is_replaced(url: str) -> None:
    pid = Statement("SELECT pg_backend_pid() AS pid", writes=False)
    async with opened(url, max_connections=1) as database:
        ((before,),) = await database.run((pid, {}))
        await database.run((Statement("SET default_transaction_read_only = on", writes=False), {}))
        ((after,),) = await database.run((pid, {}))
    assert before["pid"] != after["pid"]


# --- sabotage ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limits of tests that would wait forever."""
    monkeypatch.setattr("tests.conformance.postgres.test_postgres_silence.SECONDS", 2)


@pytest.mark.slow
async def test_without_a_limit_for_connecting_the_second_host_is_never_tried(
    url: str, monkeypatch: pytest.MonkeyPatch, short: None
) -> None:
    monkeypatch.setattr(PostgresUrl, "connect_seconds", 1000)
    with pytest.raises(TimeoutError):
        await test_when_no_host_answers_all_are_named()
    monkeypatch.setattr(postgres_servers, "STAGGER", 1000)
    with pytest.raises(TimeoutError):
        await test_a_silent_first_host_does_not_keep_the_second_from_being_tried(url)


@pytest.mark.slow
async def test_without_a_memory_each_connection_waits_for_the_silent_host(
    url: str, monkeypatch: pytest.MonkeyPatch, short: None
) -> None:
    monkeypatch.setattr(Servers, "_rank", lambda *_: 0)
    with pytest.raises((AssertionError, TimeoutError)):
        await test_a_silent_host_delays_one_connection_only(url)


@pytest.mark.slow
async def test_without_a_limit_of_calls_one_never_ends(url: str, monkeypatch: pytest.MonkeyPatch, short: None) -> None:
    connect = asyncpg.connect

    async def unlimited(*arguments: object, command_timeout: float, **options: object) -> object:
        return await connect(*arguments, **options)

    monkeypatch.setattr(asyncpg, "connect", unlimited)
    with pytest.raises(TimeoutError):
        await test_a_call_has_a_time_limit(url, monkeypatch)


@pytest.mark.slow
async def test_without_a_watchdog_a_dead_connection_is_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch, impatient: None, short: None
) -> None:
    monkeypatch.setattr(Watchdog, "begin", lambda *_: None)
    with pytest.raises(TimeoutError):
        await test_a_connection_that_a_network_has_forgotten_is_dropped(url, None)


@pytest.mark.slow
async def test_without_a_word_of_the_loss_it_listens_on_the_dead_connection(
    url: str, monkeypatch: pytest.MonkeyPatch, impatient: None, short: None
) -> None:
    monkeypatch.setattr(Listener, "connect_again", lambda _: None)
    with pytest.raises(TimeoutError):
        await test_after_a_loss_it_listens_on_a_new_connection(url, None)


@pytest.mark.slow
async def test_without_a_question_to_the_server_a_slow_call_is_ended(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    async def none_is_there(_: object, connections: list[object]) -> tuple[list[object], list[object]]:
        return [], connections

    monkeypatch.setattr(postgres_watchdog, "_backends", none_is_there)
    with pytest.raises(DatabaseError):
        await test_a_slow_call_on_a_live_server_continues(url, connection, None)


@pytest.mark.slow
async def test_without_the_check_of_unsent_bytes_a_large_statement_is_ended(
    url: str, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr(postgres_network.Network, "unsent", lambda _: 0)
    with pytest.raises(DatabaseError):
        await test_a_large_statement_on_a_slow_network_continues(url, None)


async def test_without_socket_options_the_kernel_is_asked_for_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_network, "set_options", lambda *_: None)
    with pytest.raises(AssertionError):
        await test_the_socket_has_options_to_notice_a_dead_peer(url)
