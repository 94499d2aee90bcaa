"""Servers and proxies that refuse advisory locks, LISTEN and NOTIFY: what works there, and how workers fall back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus
from server_jobs import ConcurrencyLimit, JobOptions, Worker, connect, create_job_registry
from server_jobs.databases.postgres import hints
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement
from server_jobs.schema import metadata
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.store import SqlStore
from server_jobs.transactions import storing, wake_ups
from server_jobs_django import database as django_database
from sqlalchemy import create_engine

from tests.conformance.examples import job
from tests.conformance.postgres.refusals import RefusingDatabase, refusing_database
from tests.runtime.example_jobs import Text, echo, text_job
from tests.slow import slow

from tests.docs.pages import ROOT  # isort: skip

PARAMS = Text(text="hello")
Echo = text_job(echo)
Limited = text_job(echo, "Limited", JobOptions(concurrency=ConcurrencyLimit(limit=1)))
# Parts of PostgreSQL that YugabyteDB lacks, or has only in new versions.
MISSING_ELSEWHERE = (
    r"(?i)\b(c?tid|[cx]m(in|ax)|\w*advisory\w*|pg_notify|listen|notify|lock table|txid_\w+|\w*_xact_id)\b"
)


@pytest.fixture(scope="module")
def database() -> Iterator[RefusingDatabase]:
    with refusing_database() as database:
        engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        engine.dispose()
        yield database


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the answers of other tests."""
    monkeypatch.setattr(wake_ups, "_open_to_everybody", set())
    monkeypatch.setattr(wake_ups, "_told", set())


def test_no_statement_of_the_store_needs_what_relatives_lack() -> None:
    statements = vars(statements_of("postgresql"))
    texts = {name: statement.sql for name, statement in statements.items() if isinstance(statement, Statement)}
    assert len(texts) > 50
    assert {name: found[0] for name, text in texts.items() if (found := re.search(MISSING_ELSEWHERE, text))} == {}


async def test_a_worker_polls_and_runs_jobs_with_and_without_limits(
    database: RefusingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server_jobs")
    database.refused.clear()
    registry = create_job_registry().register(Echo).register(Limited)
    async with connect(registry, database.url, poll_interval=timedelta(milliseconds=50)) as backend:
        worker = Worker(backend)
        running = asyncio.create_task(worker.run())
        handles = [await Limited.later(PARAMS) for _ in range(3)] + [await Echo.later(PARAMS)]
        results = [await handle.result(timeout=timedelta(seconds=20)) for handle in handles]
        worker.stop()
        await running

    assert [result.data for result in results] == [PARAMS] * 4
    assert sum("does not allow LISTEN" in message for message in caplog.messages) == 1
    assert sum("because they are not announced" in message for message in caplog.messages) == 1
    assert len(database.refused) == 1


def test_a_transaction_of_the_application_stores_jobs_and_announces_none(
    database: RefusingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database.url) as connection:
        handles = [Limited.later_in(connection, PARAMS) for _ in range(2)]
        connection.commit()
        stored = connection.execute("SELECT count(*) FROM jobs WHERE id = ANY(%s)", [[str(one) for one in handles]])
        assert stored.fetchone() == (2,)
    assert sum("may not execute pg_notify" in message for message in caplog.messages) == 1


def test_without_the_question_the_transaction_would_fail(
    database: RefusingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "column_of", lambda _: wake_ups.NOTIFICATION)
    with psycopg.connect(database.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        Limited.later_in(connection, PARAMS)


@pytest.mark.parametrize("asks", [True, False], ids=["asks", "sabotage"])
def test_an_announcement_through_django_does_not_end_the_transaction(
    database: RefusingDatabase, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    if not asks:
        monkeypatch.setattr(django_database, "column_of", lambda _: wake_ups.NOTIFICATION)
    with psycopg.connect(database.url) as connection:
        wrapper = SimpleNamespace(alias="default", needs_rollback=False, connection=connection)
        django_database._announce(cast("BaseDatabaseWrapper", wrapper))
        status = connection.info.transaction_status
    assert status is (TransactionStatus.INTRANS if asks else TransactionStatus.INERROR)


@pytest.mark.parametrize("is_noticed", [True, slow(False)], ids=["noticed", "sabotage"])
async def test_a_refused_statement_is_not_repeated(
    database: RefusingDatabase, monkeypatch: pytest.MonkeyPatch, is_noticed: bool
) -> None:
    monkeypatch.setattr(hints, "FIRST_PAUSE", 0.01)
    if not is_noticed:
        monkeypatch.setattr(hints, "is_refused", lambda _: False)
    database.refused.clear()
    store = SqlStore(PostgresDatabase(database.url))
    await store.open()
    end = store.watch(lambda: None)
    async with asyncio.timeout(20):
        while len(database.refused) < (1 if is_noticed else 3):
            await store.insert([])
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    end()
    await store.close()
    assert (len(database.refused) == 1) is is_noticed


async def test_new_jobs_are_announced_in_vain_once(
    database: RefusingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "server_jobs")
    store = SqlStore(PostgresDatabase(database.url))
    await store.open()
    for number in range(5):
        await store.insert([job(f"announced {number}")])
        await asyncio.sleep(0.05)
    await store.close()
    assert sum("not announced" in message for message in caplog.messages) == 1


@pytest.mark.slow
def test_the_commands_migrate_enqueue_and_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    with refusing_database() as database:

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, "SERVER_JOBS_DATABASE_URL": database.url}
            command = [sys.executable, "-m", "server_jobs_cli", *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done

        shop = ("--registry", "tests.cli.shop_jobs:registry")
        first, second = run("migrate"), run("migrate")
        job_id = run("enqueue", "Shout", *shop, "--params", json.dumps({"text": "hello"})).stdout.strip()
        run("worker", *shop, "--until-empty")
        shown = json.loads(run("show", job_id, *shop, "--json").stdout)

    assert "the server refuses advisory locks (permission denied" in first.stderr
    assert "upgrade server_jobs_0001" in first.stdout
    assert "upgrade" not in second.stdout
    assert shown["status"] == "completed"


@pytest.mark.slow
def test_the_conformance_suite_passes() -> None:
    plugin = ("-p", "tests.conformance.postgres.refusing_stores", "-p", "no:xdist")
    command = (sys.executable, "-m", "pytest", "-q", *plugin, "tests/conformance/suite")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
