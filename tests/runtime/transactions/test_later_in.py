"""Enqueueing in the caller's transaction: the job is stored if and only if the data is."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from server_jobs import (
    Enqueue,
    InvalidOptionError,
    JobHandle,
    JobNotBoundError,
    JobOptions,
    JobStatus,
    Middleware,
    SchemaMissingError,
    Worker,
    connect,
    create_job_registry,
)
from server_jobs.schema import jobs
from server_jobs.transactions import storing
from sqlalchemy import CursorResult, Engine, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.django_settings import configure_django
from tests.runtime.example_jobs import Text, echo, text_job

from .seats import path_of

PARAMS = {"text": "hello"}
Invoice = text_job(echo, "Invoice", JobOptions(queue="bills", priority=7, max_attempts=2))
OnceOnly = text_job(echo, "OnceOnly", JobOptions(unique_by=("/text",)))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    return f"sqlite:///{tmp_path}/jobs.sqlite3"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with empty_database() as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Yield an engine with empty tables on each database."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    engine = create_engine(request.getfixturevalue(fixture))
    yield engine
    engine.dispose()


@pytest.fixture
def async_engine(postgres_url: str) -> AsyncEngine:
    """Return an async engine with empty tables."""
    return create_async_engine(postgres_url)


async def test_the_job_runs_like_any_other(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        job_id = Invoice.later_in(session, PARAMS)
        session.commit()
    engine.dispose()
    async with connect(create_job_registry().register(Invoice), sqlite_url):
        result = await Invoice.execute_from_database(job_id)
    assert (result.data, result.metadata.attempt_count) == (Text(text="hello"), 1)


class Marking(Middleware):
    """Adds a header, and records what it surrounds."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        self.notes.append(enqueue.job_name)
        enqueue.headers["note"] = "hello"
        yield
        self.notes.append("stored")


def test_middleware_surrounds_an_async_insert_when_it_is_awaited(async_engine: AsyncEngine) -> None:
    marking = Marking()
    registry = create_job_registry().register(Invoice).use(marking)

    async def scenario() -> str | None:
        async with AsyncSession(async_engine) as session:
            inserting = Invoice.later_in(session, PARAMS)
            assert marking.notes == []
            await inserting
            assert marking.notes == ["Invoice", "stored"]
            stored: str | None = (await session.scalars(select(jobs.c.headers))).one()
        await async_engine.dispose()
        return stored

    assert json.loads(asyncio.run(scenario()) or "") == {"note": "hello"}
    assert not registry.hooks.is_empty


def test_a_unique_key_is_kept_among_concurrent_async_transactions(async_engine: AsyncEngine) -> None:
    async def enqueue() -> str:
        async with AsyncSession(async_engine) as session:
            job_id = await OnceOnly.later_in(session, PARAMS)
            await asyncio.sleep(0.02)
            await session.commit()
            return job_id

    async def scenario() -> tuple[list[str], list[str]]:
        answers = await asyncio.gather(*(enqueue() for _ in range(5)))
        found = await ids_in(async_engine)
        await async_engine.dispose()
        return answers, found

    answers, found = asyncio.run(scenario())
    assert answers == found * 5


async def ids_in(engine: AsyncEngine) -> list[str]:
    """Return the ids of the committed jobs."""
    async with engine.connect() as connection:
        return list(await connection.scalars(select(jobs.c.id).order_by(jobs.c.id)))


@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "sabotage"])
def test_a_commit_wakes_the_workers(engine: Engine, monkeypatch: pytest.MonkeyPatch, is_announced: bool) -> None:
    """Without a notification, a worker on PostgreSQL has to poll; on SQLite it watches the file."""
    if not is_announced:
        monkeypatch.setattr(storing, "column_of", lambda _: "NULL")
    url = engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=False)

    def enqueue() -> JobHandle[Text]:
        with Session(engine) as session:
            handle = Invoice.later_in(session, PARAMS)
            session.commit()
        return handle

    async def scenario() -> bool:
        registry = create_job_registry().register(Invoice)
        async with connect(registry, url, poll_interval=timedelta(hours=1)) as backend:
            worker = Worker(backend)
            task = asyncio.create_task(worker.run())
            await asyncio.sleep(0.3)  # it listens, and has looked for jobs once
            handle = await asyncio.to_thread(enqueue)
            try:
                return (await handle.result(timeout=timedelta(seconds=5 if is_announced else 0.5))).ok
            except TimeoutError:
                return False
            finally:
                worker.stop()
                await task

    assert asyncio.run(scenario()) is (is_announced or engine.dialect.name == "sqlite")


async def test_the_handle_knows_the_job_once_it_is_committed(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        handle, again = OnceOnly.later_in(session, PARAMS), OnceOnly.later_in(session, PARAMS)
        session.commit()
    engine.dispose()
    assert (handle, handle.created, again.created) == (again, True, False)
    with pytest.raises(JobNotBoundError):
        await handle.status()
    async with connect(create_job_registry().register(OnceOnly), sqlite_url) as backend:
        assert await handle.status() is JobStatus.PENDING
        await Worker(backend, until_empty=True).run()
        assert (await handle.result(timeout=timedelta(seconds=5))).data == Text(text="hello")


def test_any_other_object_is_refused_with_the_accepted_ones() -> None:
    engine = create_engine("sqlite://")
    with closing(sqlite3.connect(":memory:")) as connection:
        for other in (engine, connection.cursor(), None, Path("jobs.sqlite3")):
            message = (
                rf"takes a session .* of django, .* or aiosqlite, not {type(other).__module__}.*{type(other).__name__}"
                ".*insert_job"
            )
            with pytest.raises(InvalidOptionError, match=message):
                Invoice.later_in(other, PARAMS)  # type: ignore[call-overload]  # on purpose
    engine.dispose()


def test_a_text_is_an_alias_of_django_where_django_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_django()
    with pytest.raises(InvalidOptionError, match="DATABASES of Django has no alias 'other'; there are default"):
        Invoice.later_in("other", PARAMS)
    monkeypatch.delitem(sys.modules, "django")
    with pytest.raises(InvalidOptionError, match=r"takes a session .* not builtins\.str"):
        Invoice.later_in("sqlite:///jobs.sqlite3", PARAMS)


def test_a_subclass_of_another_module_counts_as_its_base(sqlite_url: str) -> None:
    class OwnConnection(sqlite3.Connection):
        pass

    with closing(sqlite3.connect(path_of(sqlite_url), factory=OwnConnection)) as connection:
        assert Invoice.later_in(connection, PARAMS).created


def test_a_connection_in_a_proxy_of_instrumentation_is_taken(sqlite_url: str) -> None:
    with closing(sqlite3.connect(path_of(sqlite_url))) as connection:
        members = {
            "__class__": property(lambda _self: sqlite3.Connection),  # as wrapt does
            "__getattr__": lambda _self, name: getattr(connection, name),
        }
        traced: Any = type("Traced", (), members)()
        assert Invoice.later_in(traced, PARAMS).created


def test_errors_of_psycopg2_in_sqlalchemy_are_understood(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    """Its errors have the code of PostgreSQL in another attribute."""

    class UndefinedTableError(Exception):
        pgcode = "42P01"

    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        execute = connection.exec_driver_sql

        def fail_to_insert(sql: str, parameters: Any) -> CursorResult[Any]:
            if "INSERT" in sql:
                raise DBAPIError("INSERT", {}, UndefinedTableError())
            return execute(sql, parameters)

        monkeypatch.setattr(connection, "exec_driver_sql", fail_to_insert)
        with pytest.raises(SchemaMissingError, match="run `server-jobs migrate`"):
            Invoice.later_in(connection, PARAMS)
    engine.dispose()


def test_errors_of_a_library_are_not_changed(sqlite_url: str) -> None:
    with (
        closing(sqlite3.connect(path_of(sqlite_url), timeout=0)) as writer,
        closing(sqlite3.connect(path_of(sqlite_url), timeout=0)) as other,
    ):
        Invoice.later_in(writer, PARAMS)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            Invoice.later_in(other, PARAMS)


def test_another_kind_of_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("sqlite://")
    monkeypatch.setattr(engine.dialect, "name", "mysql")
    with (
        engine.connect() as connection,
        pytest.raises(InvalidOptionError, match="on SQLite and PostgreSQL, not on mysql"),
    ):
        Invoice.later_in(connection, PARAMS)
    engine.dispose()


def test_the_clock_of_an_older_sqlite_is_used_too(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.create_function("unixepoch", -1, lambda *_: None)  # as before SQLite 3.42, for 'subsec'
        Invoice.later_in(connection, PARAMS)
        created_at = connection.scalars(select(jobs.c.created_at)).one()
    engine.dispose()
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


def test_a_sync_application_needs_no_greenlet(tmp_path: Path) -> None:
    """SQLAlchemy's asyncio part needs greenlet, but an install without it must work."""
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    program = f"""
import sys
sys.modules["greenlet"] = None
from sqlalchemy import create_engine
from tests.runtime.example_jobs import echo, text_job

with create_engine("sqlite:///{tmp_path}/jobs.sqlite3").begin() as connection:
    print(text_job(echo).later_in(connection, {{"text": "hello"}}))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (finished.returncode, len(finished.stdout.strip())) == (0, 36), finished.stderr
