"""The documented roles of PostgreSQL: each may do its work, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest
from pydantic import BaseModel
from server_jobs import (
    ConcurrencyLimit,
    DatabaseError,
    JobContext,
    JobOptions,
    JobStatus,
    RateLimit,
    Retention,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.domain.ids import schedule_id
from server_jobs.domain.record import PruneRule, PruneStep
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.schema import metadata
from server_jobs.stores.sql.dialect import statements_of
from sqlalchemy import MetaData, create_engine, text

from tests.conformance.examples import schedule
from tests.conformance.new_columns import NEW_COLUMNS
from tests.conformance.postgres.postgres_roles import documented_roles
from tests.conformance.postgres_databases import new_database

SECOND = timedelta(seconds=1)
PARAMS = '{"text": "scheduled"}'


class Text(BaseModel):
    text: str


def echo(params: Text, _context: JobContext) -> Text:
    return params


Echo = define_job(
    name="Echo",
    params=Text,
    result=Text,
    handler=echo,
    options=JobOptions(
        unique_by=("/text",),
        concurrency=ConcurrencyLimit(limit=2),
        rate=RateLimit(limit=5, per=SECOND),
        retention=Retention(completed=SECOND),
    ),
    database_schema="jobs",
)


@pytest.fixture(scope="module")
def urls() -> Iterator[Mapping[str, str]]:
    """The URLs of a database with tables in the schema `jobs`, by the roles of the documentation."""
    with new_database() as owner:
        engine = create_engine(owner.replace("postgresql://", "postgresql+psycopg://"))
        copies = MetaData()
        for table in metadata.sorted_tables:
            table.to_metadata(copies, schema="jobs")
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA jobs"))
            copies.create_all(connection)
            connection.execute(text("CREATE TABLE jobs.server_jobs_version (version_num text)"))
        engine.dispose()
        with documented_roles(owner) as found:
            yield found


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PollingBackend]:
    backend = PollingBackend(database=url, job_registry=create_job_registry(database_schema="jobs").register(Echo))
    await backend.initialize()
    try:
        yield backend
    finally:
        await backend.shutdown()


async def test_a_role_that_enqueues_can_do_that_and_no_more(urls: Mapping[str, str]) -> None:
    async with opened(urls["jobs_enqueuer"]) as backend:
        job = Echo.using(backend)
        first = await job.later({"text": "one"})
        assert await job.later({"text": "one"}) == first
        await job.later_many([{"text": "two"}, {"text": "three"}])
        with pytest.raises(DatabaseError, match="permission denied"):
            await backend.store.get(first)
        with pytest.raises(DatabaseError, match="permission denied"):
            await backend.store.cancel(first)
        with pytest.raises(DatabaseError, match="permission denied"):
            await backend.poll_and_claim()
    engine = create_engine(urls["jobs_enqueuer"].replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        assert Echo.later_in(connection, {"text": "one"}) == first
        Echo.later_in(connection, {"text": "four"})
    engine.dispose()


def test_a_role_that_enqueues_writes_the_columns_of_an_enqueue_and_starts_nothing(urls: Mapping[str, str]) -> None:
    with psycopg.connect(urls["jobs_enqueuer"], autocommit=True) as connection:
        granted = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'jobs.jobs'::regclass AND attnum > 0"
            " AND has_column_privilege('jobs.jobs', attname, 'INSERT')"
        )
        assert {name for (name,) in granted} == set(NEW_COLUMNS.split(", "))
        # A row that seems to run would hold a limit.
        given = "'a', 'Echo', '{}', now(), now(), 'running'"
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO jobs.jobs (id, job_name, params, created_at, updated_at, status)"
                f" VALUES ({given})".encode()
            )


async def test_a_role_for_workers_can_do_all_that_a_worker_does(urls: Mapping[str, str]) -> None:
    async with opened(urls["jobs_worker"]) as backend:
        await Echo.using(backend).later({"text": "five"})
        await backend.store.save_schedules([schedule(schedule_id("Echo", "always"), "Echo", params=PARAMS)])
        await tick(backend)
        await backend.store.prune(PruneStep(rules=(PruneRule(status=JobStatus.COMPLETED, age=timedelta(0)),)))
        with pytest.raises(DatabaseError, match="permission denied"):
            await backend.store.pause_queue("default")


async def test_the_probe_that_reads_the_tables_needs_more(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(statements_of("postgresql")), "PROBE", statements_of("sqlite").PROBE)
    with pytest.raises(DatabaseError, match="permission denied"):
        async with opened(urls["jobs_enqueuer"]):
            pass
