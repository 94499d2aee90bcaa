"""A job that was enqueued in a transaction disappears from memory if the transaction is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import cast

import pytest
from server_jobs.testing import FakeJob, InMemoryJobs
from server_jobs.transactions.joining import on_rollback
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.django_settings import configure_django
from tests.postgres import postgres_url
from tests.runtime.testing.jobs_of_tests import PARAMS, Send, Sent, new_registry


class Rollback(Exception):
    pass


@pytest.fixture
def jobs() -> Iterator[InMemoryJobs]:
    with InMemoryJobs(new_registry()) as jobs:
        yield jobs


@pytest.fixture
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://", poolclass=StaticPool).connect() as connection:
        yield connection


def enqueue(transaction: Connection | Session, name: str) -> None:
    Send.later_in(transaction, {"to": name})


def names(jobs: InMemoryJobs) -> list[str]:
    return [job.params.to for job in jobs.all_enqueued(Send)]


def test_a_job_is_visible_in_the_transaction_and_after_its_commit(jobs: InMemoryJobs, connection: Connection) -> None:
    with connection.begin():
        enqueue(connection, "committed")
        assert names(jobs) == ["committed"]
    with suppress(Rollback), connection.begin():
        raise Rollback

    assert names(jobs) == ["committed"]


@pytest.mark.parametrize("end", [Connection.rollback, Connection.close])
def test_the_end_without_a_commit_withdraws_it(
    end: Callable[[Connection], None], jobs: InMemoryJobs, connection: Connection
) -> None:
    enqueue(connection, "rolled back")
    end(connection)

    assert names(jobs) == []
    assert jobs.run_jobs() == []


def test_the_rollback_of_a_savepoint_withdraws_the_jobs_in_it(jobs: InMemoryJobs, connection: Connection) -> None:
    with connection.begin():
        enqueue(connection, "before")
        with suppress(Rollback), connection.begin_nested():
            enqueue(connection, "in it")
            with connection.begin_nested():
                enqueue(connection, "deeper")
            raise Rollback
        enqueue(connection, "after")

    assert names(jobs) == ["before", "after"]


def test_a_session_that_is_closed_withdraws_it(jobs: InMemoryJobs, connection: Connection) -> None:
    with Session(connection.engine) as session:
        enqueue(session, "closed")
    with Session(connection.engine) as session, session.begin():
        enqueue(session, "committed")

    assert names(jobs) == ["committed"]


def test_a_unique_key_is_free_again_after_the_rollback(jobs: InMemoryJobs, connection: Connection) -> None:
    Send.later_in(connection, PARAMS, unique_key="once")
    connection.rollback()

    assert Send.later_sync(PARAMS, unique_key="once").created


async def test_async_sessions_withdraw_it_too(jobs: InMemoryJobs) -> None:
    engine = create_async_engine(postgres_url().replace("postgresql:", "postgresql+asyncpg:"))
    async with AsyncSession(engine) as session:
        await Send.later_in(session, {"to": "rolled back"})
        await session.rollback()
        await Send.later_in(session, {"to": "committed"})
        await session.commit()
    await engine.dispose()

    assert names(jobs) == ["committed"]


def test_a_fake_forgets_the_call(connection: Connection) -> None:
    with FakeJob(Send, result=Sent(message_id="1")) as calls:
        enqueue(connection, "rolled back")
        assert [call.to for call in calls] == ["rolled back"]
        connection.rollback()
        enqueue(connection, "kept")

        assert [call.to for call in calls] == ["kept"]


def test_django_withdraws_at_the_rollback_of_a_block_and_of_a_savepoint() -> None:
    configure_django()
    from django.db import connection, transaction

    withdrawn: list[str] = []

    def atomic() -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", transaction.atomic())

    def enqueue(name: str) -> None:
        on_rollback(connection, lambda: withdrawn.append(name))

    enqueue("without a transaction")
    with atomic():
        enqueue("committed")
        with suppress(Rollback), atomic():
            enqueue("in a savepoint")
            raise Rollback
        assert withdrawn == ["in a savepoint"]
    with suppress(Rollback), atomic():
        on_rollback("default", lambda: withdrawn.append("by alias"))
        raise Rollback

    assert withdrawn == ["in a savepoint", "by alias"]
