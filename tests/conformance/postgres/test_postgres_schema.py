"""Jobs in a separate PostgreSQL schema: each statement finds its tables with any search path."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from server_jobs import SchemaMissingError, create_job_registry
from server_jobs.databases.postgres.connection import positional
from server_jobs.domain.interfaces import Statement
from server_jobs.domain.record import JobQuery, JobStatus
from server_jobs.domain.table_names import TABLES, in_schema
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.schema import metadata
from server_jobs.stores.sql.dialect import statements_of
from sqlalchemy import MetaData, create_engine, text

from tests.conformance.postgres_databases import new_database
from tests.runtime.example_jobs import echo, text_job

SCHEMA = "user"  # a reserved word, which works only in quotes


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Yield the URL of a database with the tables in a schema, and with an application's table `jobs`."""
    with new_database() as location:
        engine = create_engine(location.replace("postgresql://", "postgresql+psycopg://"))
        copies = MetaData()
        for table in metadata.sorted_tables:
            table.to_metadata(copies, schema=SCHEMA)
        with engine.begin() as connection:
            metadata.drop_all(connection)
            connection.execute(text(f'CREATE SCHEMA "{SCHEMA}"'))
            connection.execute(text("CREATE TABLE jobs (id text, number int)"))
            copies.create_all(connection)
        engine.dispose()
        yield location


STATEMENTS = statements_of("postgresql")
PARTS = {
    "{now}": "statement_timestamp()",
    "{view}": "jobs",
    "{column}": "job_name",
    "{ids}": STATEMENTS.fragments["ids_pending"],
}
"""The parts of statements that are known only at run time."""
NO_TABLE = psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName
"""The errors of a statement, and of a CREATE."""


def statements() -> Iterator[tuple[str, str]]:
    """Yield every statement of the store on PostgreSQL, by name."""
    for name, statement in vars(STATEMENTS).items():
        if isinstance(statement, Statement):
            sql = statement.sql
            for place, part in PARTS.items():
                sql = sql.replace(place, part)
            yield name, sql


def test_the_tables_are_those_of_the_metadata() -> None:
    assert set(TABLES) == set(metadata.tables)


def test_every_statement_names_the_schema_of_its_tables(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = ''")
        for name, sql in statements():
            if any(table in sql for table in TABLES):
                with pytest.raises(NO_TABLE):  # as it would be in another project's schema
                    look_up_tables(connection, name, sql)
            look_up_tables(connection, name, in_schema(sql, SCHEMA))


def look_up_tables(connection: psycopg.Connection, name: str, sql: str) -> None:
    """Prepare a statement. PostgreSQL prepares no CREATE, so run that."""
    way = "" if sql.startswith("CREATE") else f"PREPARE {name} AS "
    connection.execute(f"{way}{positional(sql)[0]}".encode())


async def test_a_registry_says_in_which_schema_its_backends_look(url: str) -> None:
    echoed = text_job(echo)
    backend = PollingBackend(database=url, job_registry=create_job_registry(database_schema=SCHEMA).register(echoed))
    await backend.initialize()
    first, *_others = await echoed.using(backend).later_many([{"text": "one"}, {"text": "two"}])
    poll = await backend.poll_and_claim()
    assert len(poll.claimed_jobs) == 2
    assert (await backend.execute(poll.claimed_jobs[0])).success
    assert await first.status() == "completed"
    assert [len((await backend.store.find_page(JobQuery(status=one))).jobs) for one in (None, JobStatus.PENDING)] == [
        2,
        0,
    ]
    await backend.shutdown()

    elsewhere = PollingBackend(database=url, job_registry=create_job_registry().register(echoed))
    with pytest.raises(SchemaMissingError, match='relation "cron_jobs" does not exist'):
        await elsewhere.initialize()
    await elsewhere.shutdown()
