"""Each page with many jobs in a database, under a bound, from its first view on. Long form: 1,000,000 jobs.

On a busy machine a page may be late, so that it gets several first views: each application counts the jobs anew.
"""

from __future__ import annotations

import html
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
from server_jobs.domain.record import JobStatus
from server_jobs.engine.backend import Backend
from server_jobs.stores.sql import pages
from server_jobs_http import create_app
from server_jobs_http.app import under_prefix

from tests.conformance.postgres_databases import new_database
from tests.conformance.stores import create_sqlite_file
from tests.slow import slow

from .example import example_registry
from .site import PLACE, TOKENS, Client

JOBS = 1_000_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 20_000
MOST_SECONDS = 0.3
ROUNDS = 5
EARLY = "0195c2a4-77a0-7cc1-a1f3-000000002000"

# Of ten jobs, seven are completed, one failed, one is due for long, and one is for later. Times count back from now.
_ROWS = """
INSERT INTO jobs
  (id, job_name, queue, params, status, attempt_count, error, error_class,
   created_at, updated_at, scheduled_for, completed_at, correlation_id)
SELECT
  '0195c2a4-77a0-7cc1-a1f3-' || {digits},
  CASE i % 3 WHEN 0 THEN 'SendEmail' WHEN 1 THEN 'ImportRows' ELSE 'Digest' END,
  CASE i % 3 WHEN 0 THEN 'mail' WHEN 1 THEN 'imports' ELSE 'default' END,
  '{{"to": ["ada@example.com"], "subject": "hello", "file": "x"}}',
  CASE WHEN i % 10 < 7 THEN 'completed' WHEN i % 10 = 7 THEN 'failed' ELSE 'pending' END,
  CASE WHEN i % 10 < 8 THEN 1 ELSE 0 END,
  CASE WHEN i % 10 = 7 THEN 'ValueError: no ' || i END,
  CASE WHEN i % 10 = 7 THEN 'Error' || i % 40 END,
  {now}, {now}, CASE WHEN i % 10 = 9 THEN {later} ELSE {earlier} END,
  CASE WHEN i % 10 < 8 THEN {now} END,
  'order-' || i / 10
FROM {numbers}
"""


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[Backend]:
    """Yield a backend on a SQLite file with many jobs."""
    path = folder / "jobs.sqlite3"
    create_sqlite_file(path)
    numbers = f"(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS}) SELECT i FROM n)"
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            _ROWS.format(digits="printf('%012x', i)", now=now, later=now + 10**7, earlier=now - 10**6, numbers=numbers)
        )
        connection.commit()
    backend = Backend(database=f"sqlite:///{path}", job_registry=example_registry())
    yield backend
    await backend.shutdown()


@asynccontextmanager
async def on_postgresql(_folder: Path) -> AsyncIterator[Backend]:
    """Yield a backend on a PostgreSQL database with many jobs."""
    with new_database() as url:
        statement = _ROWS.format(
            digits="lpad(to_hex(i), 12, '0')",
            now="now()",
            later="now() + interval '3 h'",
            earlier="now() - interval '17 min'",
            numbers=f"generate_series(1, {JOBS}) AS i",
        )
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = on")  # VACUUM marks no page whose commit is not on disk
            connection.execute(statement.encode())
            connection.execute("VACUUM ANALYZE")
        backend = Backend(database=url, job_registry=example_registry())
        yield backend
        await backend.shutdown()


DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
}
PATHS = (
    *("/", "/jobs", "/failures", "/queues", "/schedules", "/workers", "/contracts", "/enqueue/SendEmail"),
    *(f"/jobs?status={status}" for status in (*JobStatus, "parked")),
    "/jobs?job=SendEmail&queue=mail&status=failed",
    *(f"/jobs?queue=mail&status={status}&before={EARLY}" for status in ("pending", "failed", "completed")),
    *(
        f"/jobs?{where}"
        for where in ("correlation_id=order-77", "worker=nobody", "error_class=None", "job=ImportRows&queue=mail")
    ),
    f"/jobs?queue=mail&before={EARLY}",
    "/jobs/0195c2a4-77a0-7cc1-a1f3-000000000007",
    "/jobs/0195c2a4-77a0-7cc1-a1f3-000000000012",
    "/jobs/0195c2a4-77a0-7cc1-a1f3-000000000012/cancel",
)


@pytest.mark.parametrize("database", ["sqlite", slow("postgresql")])
async def test_each_page_is_fast_with_many_jobs(
    tmp_path: Path, database: str, record_property: Callable[[str, object], None]
) -> None:
    async with DATABASES[database](tmp_path) as backend:
        first: dict[str, float] = {}
        least: dict[str, float] = {}
        for _ in range(ROUNDS):
            client = Client(under_prefix(create_app(backend, TOKENS)))
            await client.signs_in()
            for path in PATHS if not least else [path for path in PATHS if least[path] >= MOST_SECONDS]:
                began = time.perf_counter()
                answer = await client("GET", PLACE + path)
                taken = time.perf_counter() - began
                assert answer.status_code == 200
                first.setdefault(path, taken)
                least[path] = min(taken, least.get(path, taken))
    record_property("figure", f"{JOBS:,} jobs: first views {_shown(first)}")
    record_property("figure", f"{JOBS:,} jobs: least of them {_shown(least)}")
    assert {path: taken for path, taken in least.items() if taken >= MOST_SECONDS} == {}


async def test_a_page_without_a_match_leads_to_older_jobs(tmp_path: Path) -> None:
    with patch.object(pages, "MOST_SCANNED", JOBS // 2 + 1):
        async with on_sqlite(tmp_path) as backend:
            client = Client(under_prefix(create_app(backend, TOKENS)))
            await client.signs_in()
            newest = await client("GET", f"{PLACE}/jobs?worker=nobody")
            (path,) = re.findall(r'rel="next" href="([^"]+)"', newest.text)
            last = await client("GET", html.unescape(path).removeprefix("http://localhost"))

    assert "older jobs may" in newest.text
    assert "No job has these values" in last.text


def _shown(times: Mapping[str, float]) -> str:
    """Return the slowest pages with their times."""
    slowest = sorted(times.items(), key=lambda one: -one[1])[:4]
    return ", ".join(f"{path} {taken * 1000:.0f} ms" for path, taken in slowest)
