"""A transaction of the application wakes workers at its commit, whatever other transactions and roles do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import asyncpg
import psycopg
import pytest
from server_jobs.domain.interfaces import POSTGRES_CHANNEL
from server_jobs.transactions import wake_ups
from server_jobs.transactions.address import address_of
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conformance.postgres_databases import empty, empty_database, new_database
from tests.runtime.example_jobs import echo, text_job

Invoice = text_job(echo, "Invoice")
PARAMS = {"text": "hello"}
FUNCTION = "FUNCTION pg_notify(text, text)"


@pytest.fixture(scope="module")
def hardened() -> Iterator[tuple[str, str, str]]:
    """Yield a database in which one role may notify and one may not: the URL, and the names of the roles."""
    may, may_not = (f"{name}_{uuid.uuid4().hex[:8]}" for name in ("may", "may_not"))
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"REVOKE EXECUTE ON {FUNCTION} FROM PUBLIC".encode())
        for role in (may, may_not):
            connection.execute(f"CREATE ROLE {role} LOGIN; GRANT ALL ON jobs TO {role}".encode())
        connection.execute(f"GRANT EXECUTE ON {FUNCTION} TO {may}".encode())
        yield url, may, may_not
        for role in (may, may_not):
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the answers of other tests."""
    monkeypatch.setattr(wake_ups, "_open_to_everybody", set())
    monkeypatch.setattr(wake_ups, "_told", set())


@pytest.fixture
def open_url() -> Iterator[str]:
    with empty_database() as url:
        yield url


def notifications(url: str, work: Callable[[], object]) -> int:
    """Return how many notifications arrive while this works."""
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {POSTGRES_CHANNEL}".encode())
        work()
        return len(list(listener.notifies(timeout=0.2)))


def with_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


# --- each library, as a function that enqueues and uses the transaction afterwards -----------------------------------


def in_psycopg(url: str) -> None:
    with psycopg.connect(url) as connection:
        Invoice.later_in(connection, PARAMS)
        connection.execute("SELECT 1")


def in_asyncpg(url: str) -> None:
    async def work() -> None:
        connection: Any = await asyncpg.connect(url)
        async with connection.transaction():
            await Invoice.later_in(connection, PARAMS)
            await connection.fetch("SELECT 1")
        await connection.close()

    asyncio.run(work())


def in_sqlalchemy(url: str) -> None:
    """The host is in the query of the URL, as for a socket."""
    place = make_url(url)
    query = {"host": f"{place.host}:{place.port or 5432}"}
    engine = create_engine(place.set(drivername="postgresql+psycopg", host=None, port=None, query=query))
    with engine.begin() as connection:
        Invoice.later_in(connection, PARAMS)
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()


def in_async_sqlalchemy(url: str) -> None:
    async def work() -> None:
        engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
        async with engine.begin() as connection:
            await Invoice.later_in(connection, PARAMS)
            await connection.exec_driver_sql("SELECT 1")
        await engine.dispose()

    asyncio.run(work())


LIBRARIES = (in_psycopg, in_asyncpg, in_sqlalchemy, in_async_sqlalchemy)


# --- roles and servers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enqueue", LIBRARIES)
def test_the_privilege_of_one_role_is_not_taken_for_the_one_of_another(
    hardened: tuple[str, str, str], enqueue: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    url, may, may_not = hardened
    empty(url)
    found = [notifications(url, partial(enqueue, with_role(url, role))) for role in (may, may_not, may)]
    assert found == [1, 0, 1]
    assert sum("may not execute pg_notify" in message for message in caplog.messages) == 1
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (3,)


def test_a_change_of_the_role_in_one_connection_is_noticed(hardened: tuple[str, str, str]) -> None:
    url, may, may_not = hardened

    with psycopg.connect(url) as connection:

        def enqueue(role: str) -> None:
            connection.execute(f"SET ROLE {role}".encode())
            Invoice.later_in(connection, PARAMS)
            connection.commit()

        found = [notifications(url, partial(enqueue, role)) for role in (may, may_not, may)]
    assert found == [1, 0, 1]


def test_databases_of_one_name_on_two_servers_are_two_databases(hardened: tuple[str, str, str], open_url: str) -> None:
    def of_asyncpg(place: object, database: str = "shop") -> object:
        return SimpleNamespace(_addr=place, _params=SimpleNamespace(database=database))

    def of_psycopg(host: str, port: int) -> object:
        return SimpleNamespace(info=SimpleNamespace(host=host, port=port, dbname="shop"))

    others = (("db1", 5432), ("db2", 5432), ("db1", 5433), "/run/one/.s.PGSQL.5432", "/run/two/.s.PGSQL.5432")
    assert len({address_of(of_asyncpg(place)) for place in others}) == 5
    assert len({address_of(of_psycopg(*place)) for place in others[:3] if isinstance(place, tuple)}) == 3
    assert address_of(of_asyncpg(("db1", 5432), "shop")) != address_of(of_asyncpg(("db1", 5432), "archive"))


def test_where_the_database_is_unknown_each_statement_asks(open_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_jobs.transactions.storing.address_of", lambda _: None)
    assert [notifications(open_url, lambda: in_psycopg(open_url)) for _ in range(2)] == [1, 1]
    assert wake_ups._open_to_everybody == set()


def test_a_privilege_that_is_lost_ends_one_transaction_of_a_process(hardened: tuple[str, str, str]) -> None:
    url, _, may_not = hardened
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"GRANT EXECUTE ON {FUNCTION} TO PUBLIC".encode())
        in_psycopg(with_role(url, may_not))
        owner.execute(f"REVOKE EXECUTE ON {FUNCTION} FROM PUBLIC".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_psycopg(with_role(url, may_not))
        in_psycopg(with_role(url, may_not))


# --- other transactions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enqueue", LIBRARIES)
def test_a_transaction_that_was_rolled_back_or_is_open_wakes_nobody_for_others(
    open_url: str, enqueue: Callable[[str], None]
) -> None:
    enqueue(open_url)  # it learns that everybody may notify
    with psycopg.connect(open_url) as rolled_back, psycopg.connect(open_url) as still_open:
        for other in (rolled_back, still_open):
            Invoice.later_in(other, PARAMS)
        rolled_back.rollback()
        assert notifications(open_url, lambda: enqueue(open_url)) == 1


# --- costs ------------------------------------------------------------------------------------------------------------


def test_a_wake_up_costs_no_statement_of_its_own_except_the_first(
    hardened: tuple[str, str, str], open_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, may, may_not = hardened
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def counted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(str(query))
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)

    def count(place: str) -> int:
        with psycopg.connect(place) as connection:
            statements.clear()
            Invoice.later_in(connection, PARAMS)
            return len(statements)

    assert [count(open_url) for _ in range(3)] == [2, 1, 1]
    assert [count(with_role(url, may_not)) for _ in range(2)] == [1, 1]
    assert [count(with_role(url, may)) for _ in range(2)] == [2, 2]
