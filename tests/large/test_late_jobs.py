"""Workers that were away find many jobs that may not start any more: they cancel these and run the others."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest
from server_jobs import Worker, connect, create_job_registry

from tests.runtime.example_jobs import Text, echo, text_job

from .conftest import IS_LONG

LATE = 1_000_000 if IS_LONG else 20_000
JOBS = 1_000
_LATE_JOBS = """
INSERT INTO jobs (id, job_name, params, scheduled_for, start_before, created_at, updated_at)
SELECT lpad(CAST(number AS text), 9, '0'), 'Note', '{"text": "too late"}', moment, moment + interval '1 minute', moment,
       moment
  FROM (SELECT number, now() - interval '1 hour' AS moment FROM generate_series(1, %s) AS number) AS numbered
"""
_STATUSES = "SELECT status, count(*) FROM jobs GROUP BY status"


@pytest.mark.slow
async def test_due_jobs_run_while_the_late_ones_before_them_are_cancelled(
    url: str, show: Callable[[object], None]
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_LATE_JOBS, [LATE])
        connection.execute("VACUUM ANALYZE jobs")
        job = text_job(echo, "Note")
        async with connect(create_job_registry().register(job), url) as backend:
            await job.later_many([Text(text="in time")] * JOBS)
            for _ in range(3):
                began = time.perf_counter()
                await backend.store.pending_work(backend.execution.request(limit=1))
                show(f"{(time.perf_counter() - began) * 1000:.1f} ms for a look past {LATE:,} late jobs")
            began = time.perf_counter()
            await Worker(backend, until_empty=True).run()
            ran = time.perf_counter() - began
            await backend.execution.chores.cancel_late()
            cancelled = time.perf_counter() - began
        statuses: dict[str, int] = dict(connection.execute(_STATUSES).fetchall())

    show(f"{ran:.1f} s until {JOBS:,} due jobs ran, {cancelled:.1f} s until {LATE:,} late ones were cancelled")
    assert statuses == {"completed": JOBS, "cancelled": LATE}
