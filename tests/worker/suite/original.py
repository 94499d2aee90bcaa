"""The same steps in the table of the original TypeScript package, with the best statements for it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from server_jobs.domain.ids import new_job_id

TABLE = """
CREATE TABLE original_jobs (
    id TEXT PRIMARY KEY, job_name TEXT NOT NULL, params TEXT NOT NULL, result TEXT, status TEXT NOT NULL,
    progress INTEGER NOT NULL DEFAULT 0, progress_message TEXT, error TEXT, worker_started_at INTEGER,
    worker_expires_at INTEGER, attempt_count INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 3,
    scheduled_for INTEGER, correlation_id TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    completed_at INTEGER
)
"""
INDEXES = ("status", "job_name", "scheduled_for", "worker_expires_at")
INSERT = """
INSERT INTO original_jobs (id, job_name, params, status, scheduled_for, created_at, updated_at)
SELECT value, 'Measured', '{}', 'pending', 1, 1, 1 FROM json_each(?1)
"""
CLAIM = """
UPDATE original_jobs
   SET status = 'running', worker_started_at = 2, worker_expires_at = 3, attempt_count = attempt_count + 1
 WHERE id IN (SELECT id FROM original_jobs WHERE status = 'pending' AND scheduled_for <= 2 LIMIT CAST(?1 AS INTEGER))
RETURNING id
"""
SETTLE = """
UPDATE original_jobs
   SET status = 'completed', result = '{}', worker_expires_at = NULL, progress = 100, completed_at = 4, updated_at = 4
 WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'running'
"""


class Preparing(Protocol):
    """A binding that prepares statements."""

    def prepare(self, sql: str) -> Any: ...


async def original_life(binding: Preparing, count: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return the steps of that many jobs, on an empty table."""
    for sql in ("DROP TABLE IF EXISTS original_jobs", TABLE, *map(_index, INDEXES)):
        await binding.prepare(sql).all()
    ids = json.dumps([new_job_id() for _ in range(count)])
    steps = {"enqueue": (INSERT, ids), "claim": (CLAIM, count), "settle": (SETTLE, ids)}
    return {name: binding.prepare(sql).bind(value).all for name, (sql, value) in steps.items()}


def _index(column: str) -> str:
    return f"CREATE INDEX original_{column} ON original_jobs ({column})"
