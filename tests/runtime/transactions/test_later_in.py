"""Enqueueing in the caller's transaction: the job is stored if and only if the data is."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from server_jobs import (
    Enqueue,
    InvalidOptionError,
    InvalidParamsError,
    JobHandle,
    JobNotBoundError,
    JobOptions,
    JobStatus,
    Middleware,
    Worker,
    connect,
    create_job_registry,
)
from server_jobs.schema import jobs
from server_jobs.transactions import storing
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import Text, echo, text_job

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


def stored(engine: Engine) -> list[str]:
    """Return the ids of the committed jobs."""
    with engine.connect() as connection:
        return list(connection.scalars(select(jobs.c.id).order_by(jobs.c.id)))


def test_a_job_is_there_once_the_session_commits(engine: Engine) -> None:
    with Session(engine) as session:
        job_id = Invoice.later_in(session, PARAMS)
        assert stored(engine) == []
        session.commit()
    assert stored(engine) == [job_id]


def test_a_job_disappears_when_the_session_rolls_back(engine: Engine) -> None:
    with Session(engine) as session:
        Invoice.later_in(session, PARAMS)
        session.rollback()
        job_id = Invoice.later_in(session, Text(text="second"))
        session.commit()
    assert stored(engine) == [job_id]


def test_a_connection_does_as_well_as_a_session(engine: Engine) -> None:
    with engine.begin() as connection:
        job_id = Invoice.later_in(connection, PARAMS)
    with engine.connect() as connection:
        Invoice.later_in(connection, PARAMS)
        connection.rollback()
    assert stored(engine) == [job_id]


def test_a_rollback_to_a_savepoint_takes_the_job_with_it(engine: Engine) -> None:
    with Session(engine) as session:
        kept = Invoice.later_in(session, PARAMS)
        savepoint = session.begin_nested()
        Invoice.later_in(session, PARAMS)
        savepoint.rollback()
        session.commit()
    assert stored(engine) == [kept]


def test_the_row_is_as_later_would_have_stored_it(engine: Engine) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    with Session(engine) as session:
        Invoice.later_in(session, PARAMS, correlation_id="request-7", unique_key="k", delay=timedelta(hours=1))
        session.commit()
    with engine.connect() as connection:
        row = connection.execute(select(jobs)).one()
    assert (row.job_name, row.params, row.queue, row.priority) == ("Invoice", '{"text":"hello"}', "bills", 7)
    assert (row.max_attempts, row.spec_version, row.correlation_id) == (2, 1, "request-7")
    assert (row.unique_key, row.status, row.attempt_count) == ("Invoice:k", JobStatus.PENDING, 0)
    assert before < row.created_at == row.updated_at < before + timedelta(minutes=1)
    assert row.scheduled_for == row.created_at + timedelta(hours=1)


def test_a_job_may_be_due_at_a_given_time(engine: Engine) -> None:
    due = datetime(2030, 5, 1, 12, tzinfo=UTC)
    with engine.begin() as connection:
        Invoice.later_in(connection, PARAMS, scheduled_for=due)
        assert connection.scalar(select(jobs.c.scheduled_for)) == due


def test_params_that_do_not_fit_leave_the_transaction_usable(engine: Engine) -> None:
    with engine.begin() as connection:
        with pytest.raises(InvalidParamsError, match="/text: Field required"):
            Invoice.later_in(connection, {})
        job_id = Invoice.later_in(connection, PARAMS)
    assert stored(engine) == [job_id]


def test_an_unfinished_job_with_the_same_unique_key_is_the_answer(engine: Engine) -> None:
    with Session(engine) as session:
        first = OnceOnly.later_in(session, PARAMS)
        assert OnceOnly.later_in(session, PARAMS) == first
        session.commit()
    with Session(engine) as session:
        assert OnceOnly.later_in(session, PARAMS) == first
        other = OnceOnly.later_in(session, {"text": "other"})
        session.execute(jobs.update().where(jobs.c.id == first).values(status="completed"))
        again = OnceOnly.later_in(session, PARAMS)
        session.commit()
    assert stored(engine) == sorted([first, other, again])


def test_the_job_with_a_unique_key_may_finish_between_our_statements(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        first = OnceOnly.later_in(connection, PARAMS)
    lost_races = 0

    def finish_it(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        nonlocal lost_races
        if statement.startswith("INSERT") and lost_races == 0:
            lost_races += 1
            with engine.begin() as other:
                other.exec_driver_sql("UPDATE jobs SET status = 'completed'")

    with engine.connect() as connection:
        event.listen(connection, "after_cursor_execute", finish_it)
        second = OnceOnly.later_in(connection, PARAMS)
        connection.commit()
    assert lost_races == 1
    assert stored(engine) == sorted([first, second])
    engine.dispose()


async def test_the_job_runs_like_any_other(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        job_id = Invoice.later_in(session, PARAMS)
        session.commit()
    engine.dispose()
    async with connect(create_job_registry().register(Invoice), sqlite_url):
        result = await Invoice.execute_from_database(job_id)
    assert (result.data, result.metadata.attempt_count) == (Text(text="hello"), 1)


def test_async_sessions_and_connections_commit_and_roll_back(async_engine: AsyncEngine) -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        async with AsyncSession(async_engine) as session:
            committed: list[str] = [await Invoice.later_in(session, PARAMS)]
            await session.commit()
            await Invoice.later_in(session, PARAMS)
            await session.rollback()
        async with async_engine.begin() as connection:
            committed.append(await Invoice.later_in(connection, PARAMS))
        async with async_engine.connect() as connection:
            await Invoice.later_in(connection, PARAMS)
            await connection.rollback()
        found = await ids_in(async_engine)
        await async_engine.dispose()
        return committed, found

    committed, found = asyncio.run(scenario())
    assert found == sorted(committed)


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


def test_middleware_surrounds_the_insert_and_its_headers_are_stored(engine: Engine) -> None:
    marking = Marking()
    registry = create_job_registry().register(Invoice).use(marking)
    with Session(engine) as session:
        Invoice.later_in(session, PARAMS)
        assert marking.notes == ["Invoice", "stored"]
        session.commit()
        assert json.loads(session.scalars(select(jobs.c.headers)).one() or "") == {"note": "hello"}
    assert not registry.hooks.is_empty


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
        monkeypatch.setattr(storing, "_announces", lambda _: False)
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


def test_of_transactions_that_begin_together_one_announces(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL commits transactions with notifications one after another."""
    engine, said = create_engine(postgres_url), 0

    def count(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        nonlocal said
        said += "pg_notify" in statement

    event.listen(engine, "after_cursor_execute", count)
    monkeypatch.setattr(storing, "_APART", 60)
    monkeypatch.setattr(storing, "_announced", {})
    for _ in range(5):
        with engine.begin() as connection:
            Invoice.later_in(connection, PARAMS)
    assert said == 1
    monkeypatch.setattr(storing, "_APART", 0)
    with engine.begin() as connection:
        Invoice.later_in(connection, PARAMS)
    assert said == 2
    engine.dispose()


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


def test_any_other_value_is_refused_with_valid_ones() -> None:
    with pytest.raises(InvalidOptionError, match=r"takes a session .* not builtins\.str"):
        Invoice.later_in("sqlite:///jobs.sqlite3", PARAMS)


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
