"""A database with the tables and the views of some jobs: insert rows as JSON text, and read the columns."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server_jobs import schema
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.migrations.declared_state import wanted_objects
from server_jobs_generator.migrations.sql_objects import SqlObject, changes
from server_jobs_generator.sql import identifier, view_name
from sqlalchemy import Connection, Engine, create_engine, event, func, text

from tests.conformance.d1_binding import LIMITS
from tests.generator.databases import postgres_database

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class ViewDatabase:
    """An open transaction in a database with the tables."""

    connection: Connection

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    @property
    def is_sqlite(self) -> bool:
        return self.dialect == "sqlite"

    def make_views(self, *jobs: JobSpec) -> None:
        """Create the views as a revision does."""
        self.run(changes((), wanted_objects(jobs)[self.dialect]))

    def drop_views(self, *jobs: JobSpec) -> None:
        self.run(changes(wanted_objects(jobs)[self.dialect], ()))

    def objects(self, *jobs: JobSpec) -> Sequence[SqlObject]:
        return wanted_objects(jobs)[self.dialect]

    def run(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self.connection.execute(text(statement.replace(":", r"\:")))

    def insert(self, job: JobSpec, params: str, result: str | None = None, **columns: object) -> str:
        """Insert a finished job as a row, and return its id."""
        job_id = f"job-{next(NUMBERS)}"
        now = func.now() if not self.is_sqlite else text("1700000000123")
        values = {"id": job_id, "job_name": job.class_name, "params": params, "result": result, "status": "completed"}
        times = {"created_at": now, "updated_at": now}
        self.connection.execute(schema.jobs.insert().values({**values, **times, **columns}))
        return job_id

    def columns(self, job: JobSpec, job_id: str) -> dict[str, object]:
        """Return the row of a job in its view, by column names."""
        query = text(f"SELECT * FROM {identifier(view_name(job.spec_name))} WHERE id = :id")
        return dict(self.connection.execute(query, {"id": job_id}).mappings().one())

    def plan(self, query: str) -> str:
        """Return the database's plan of a query."""
        if self.is_sqlite:
            rows = self.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")
            return "\n".join(str(row[3]) for row in rows)
        self.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(str(row[0]) for row in self.connection.exec_driver_sql(f"EXPLAIN {query}"))


def _as_d1(driver: sqlite3.Connection, _: object) -> None:
    """Set D1's limits of SQL, because it has the same views; and keep the driver from committing before CREATE."""
    driver.isolation_level = None
    for limit in LIMITS.keys() - {sqlite3.SQLITE_LIMIT_LENGTH}:
        driver.setlimit(limit, LIMITS[limit])


@contextmanager
def view_engine(dialect: str, folder: Path) -> Iterator[Engine]:
    """Yield an engine of a new database with the tables."""
    if dialect == "sqlite":
        engine = create_engine(f"sqlite:///{folder / 'views.sqlite3'}")
        event.listen(engine, "connect", _as_d1)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        schema.metadata.create_all(engine)
        yield engine
        engine.dispose()
        return
    with postgres_database() as url:
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        schema.metadata.create_all(engine)
        yield engine
        engine.dispose()


@contextmanager
def opened(engine: Engine) -> Iterator[ViewDatabase]:
    """Yield a transaction that is rolled back at the end."""
    with engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield ViewDatabase(connection)
        finally:
            transaction.rollback()
