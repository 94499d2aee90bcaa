"""The tables as an application sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from server_jobs import schema
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.domain.record import JobRecord
from server_jobs.errors import InvalidOptionError
from server_jobs.schema import JobStatus, Timestamp, attach, cron_jobs, jobs, metadata
from server_jobs.stores.sql.dialect import statements_of
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

NOW = datetime(2026, 3, 29, 1, 30, 0, 123_000, tzinfo=UTC)
MINIMAL = {"id": "1", "job_name": "SendEmail", "params": "{}", "created_at": NOW, "updated_at": NOW}


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_a_row_with_the_columns_of_the_original_package_is_a_pending_job(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO jobs (id, job_name, params, created_at, updated_at) VALUES ('1', 'A', '{}', 1, 1)")
        )
        row = connection.execute(select(jobs)).one()
    assert (row.status, row.progress, row.attempt_count, row.max_attempts) == (JobStatus.PENDING, 0, 0, 3)
    assert (row.queue, row.priority, row.spec_version, row.cancel_requested) == ("default", 0, 1, False)


def test_times_are_milliseconds_since_the_epoch_on_sqlite(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(jobs).values(MINIMAL))
        assert connection.execute(text("SELECT created_at, completed_at FROM jobs")).one() == (1774747800123, None)
        assert connection.execute(select(jobs.c.created_at, jobs.c.completed_at)).one() == (NOW, None)


def test_times_of_every_zone_are_the_same_moment(engine: Engine) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with engine.begin() as connection:
        connection.execute(insert(jobs).values({**MINIMAL, "created_at": there}))
        assert connection.execute(select(jobs.c.id).where(jobs.c.created_at == NOW)).scalar() == "1"


def test_times_are_timestamps_with_zone_on_postgresql() -> None:
    ddl = str(CreateTable(jobs).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    assert "created_at TIMESTAMP WITH TIME ZONE NOT NULL" in ddl
    assert Timestamp().process_bind_param(NOW, postgresql.dialect()) == NOW  # type: ignore[no-untyped-call]  # as above


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "retrying"},
        {"status": "running"},
        {"status": "running", "fencing_token": "t"},
        {"fencing_token": "t"},
        {"worker_expires_at": NOW},
        {"attempt_count": 4},
        {"attempt_count": -1},
        {"progress": 101},
        {"progress": -1},
    ],
    ids=str,
)
def test_the_database_refuses_rows_that_no_move_leads_to(engine: Engine, wrong: dict[str, object]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(jobs).values(MINIMAL))
        with pytest.raises(IntegrityError):
            connection.execute(update(jobs).values(wrong))


def test_a_unique_key_is_free_again_once_its_job_is_finished(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(jobs).values({**MINIMAL, "unique_key": "k"}))
        again = insert(jobs).values({**MINIMAL, "id": "2", "unique_key": "k"})
        with pytest.raises(IntegrityError):
            connection.execute(again)
        connection.execute(update(jobs).values(status=JobStatus.FAILED))
        connection.execute(again)


def test_a_schedule_needs_a_known_misfire_policy(engine: Engine) -> None:
    row = {"id": "1", "job_name": "A", "cron_expression": "* * * * *", "created_at": NOW, "updated_at": NOW}
    with engine.begin() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(insert(cron_jobs).values({**row, "misfire": "never"}))
        connection.execute(insert(cron_jobs).values(row))


def test_attached_tables_are_copies_that_keep_their_names() -> None:
    application = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(constraint_name)s"})
    copies = attach(application)
    assert [table.name for table in copies] == ["jobs", "cron_jobs"]
    assert all(table.metadata is application for table in copies)
    assert application.tables.keys() == metadata.tables.keys()
    engine = create_engine("sqlite://")
    application.create_all(engine)
    assert inspect(engine).get_pk_constraint("jobs")["name"] == "jobs_pkey"
    names = {check["name"] for check in inspect(engine).get_check_constraints("jobs")}
    assert {"jobs_status_check", "jobs_lease_check"} <= names
    assert {index["name"] for index in inspect(engine).get_indexes("jobs")} == {i.name for i in jobs.indexes}
    engine.dispose()


@pytest.mark.parametrize("name", ["jobs", "cron_jobs"])
def test_attaching_to_an_application_with_a_table_of_that_name_is_refused(name: str) -> None:
    application = MetaData()
    Table(name, application, Column("id", Integer))
    with pytest.raises(InvalidOptionError, match=f"a table named '{name}' already"):
        attach(application)


def test_revisions_express_our_type_of_times_by_those_of_sqlalchemy() -> None:
    context = render_context("sqlite")
    rendered = schema.render_item("type", Timestamp(), context)
    assert rendered == 'sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")'
    assert schema.render_item("type", BigInteger(), context) is False
    assert schema.render_item("index", Timestamp(), context) is False


@pytest.mark.parametrize(
    ("dialect", "rendered"), [("sqlite", f'sa.text("({SQLITE_NOW})")'), ("postgresql", 'sa.text("now()")')]
)
def test_revisions_express_the_default_of_a_due_time_in_the_sql_of_their_database(dialect: str, rendered: str) -> None:
    default = jobs.c.scheduled_for.server_default
    assert schema.render_item("server_default", default, render_context(dialect)) == rendered
    assert schema.render_item("server_default", jobs.c.status.server_default, render_context(dialect)) is False


def render_context(dialect: str) -> AutogenContext:
    return AutogenContext(MigrationContext.configure(dialect_name=dialect))


@pytest.mark.parametrize("column", ["", ", scheduled_for"], ids=["without a due time", "with NULL as due time"])
def test_a_job_of_another_program_without_a_due_time_is_due_when_it_is_inserted(engine: Engine, column: str) -> None:
    value = column.replace("scheduled_for", "NULL")
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    with engine.begin() as connection:
        columns = f"id, job_name, params, created_at, updated_at{column}"
        connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ('1', 'A', '{{}}', 1, 1{value})"))
        due = connection.execute(select(jobs.c.scheduled_for)).scalar_one()
    assert before <= due <= datetime.now(UTC) + timedelta(milliseconds=1)


def test_a_store_checks_for_every_table_when_it_opens() -> None:
    probe = statements_of("sqlite").PROBE.sql
    needed = [(table, column) for column, table in re.findall(r"\(SELECT (\w+) FROM (\w+) LIMIT 1\)", probe)]
    assert {"jobs", *dict(needed)} == set(metadata.tables)
    assert all(column in metadata.tables[table].columns for table, column in needed)
    columns = [("jobs", field.name) for field in fields(JobRecord)]
    checked = re.findall(r"regclass '(\w+)', '(\w+)'", statements_of("postgresql").PROBE.sql)
    assert sorted(checked) == sorted([*columns, *needed])
