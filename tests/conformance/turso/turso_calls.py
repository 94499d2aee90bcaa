"""A Turso database on the fake server, calls for it, and injected failures."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import timedelta

from server_jobs.domain.interfaces import Statement, Value
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_turso import database as turso
from server_jobs_turso.database import TursoDatabase

from tests.conformance.hrana_server import (
    HranaServer,
    Trouble,
    cut_off,
    dropped_after,
    dropped_before,
    says,
)
from tests.conformance.stores import TURSO_TOKEN

LOOK = (Statement("SELECT count(*) AS jobs FROM jobs", writes=False), dict[str, Value]())
OTHER_LOOK = (Statement("SELECT 1 AS one", writes=False), dict[str, Value]())
EXPIRED = {"message": "The stream has expired due to inactivity", "code": "STREAM_EXPIRED"}

LOSSES: dict[str, Trouble] = {
    "dropped before": dropped_before,
    "dropped after": dropped_after,
    "cut off": cut_off,
    "502": says(502, "<html>Bad Gateway</html>"),
    "503": says(503, {"error": "starting"}),
    "504": says(504, ""),
    "stream expired": says(400, EXPIRED),
}


def insertion(job_id: str) -> tuple[Statement, Mapping[str, Value]]:
    """Return the statement that stores a job."""
    sql = (
        "INSERT INTO jobs (id, job_name, params, created_at, updated_at) VALUES (:id, 'SendEmail', '{}', 0, 0)"
        " RETURNING id"
    )
    return Statement(sql, writes=True), {"id": job_id}


@asynccontextmanager
async def opened(
    server: HranaServer, *, token: str | None = TURSO_TOKEN, timeout: timedelta = turso.DEFAULT_TIMEOUT
) -> AsyncIterator[TursoDatabase]:
    """Open the database of that server. Injected failures start after it is open."""
    database = TursoDatabase(server.url, auth_token=token, timeout=timeout)
    troubles = tuple(server.troubles)
    server.troubles.clear()
    await database.open()
    server.forget()
    server.troubles += troubles
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def store_on(server: HranaServer) -> AsyncIterator[SqlStore]:
    """Open a store in the database of that server."""
    async with opened(server) as database:
        store = SqlStore(database, FakeClock())
        await store.open()
        yield store


def rows_in(server: HranaServer) -> int:
    """Return how many jobs are stored."""
    with closing(sqlite3.connect(server.path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return int(count)
