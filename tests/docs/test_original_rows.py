"""The statement that copies the rows of the original TypeScript package."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from .pages import ROOT, block

PAGE = ROOT / "docs/how-to/from-typescript.md"
TABLE = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, job_name TEXT NOT NULL, params TEXT NOT NULL, result TEXT,
    status TEXT NOT NULL DEFAULT 'pending', progress INTEGER NOT NULL DEFAULT 0, progress_message TEXT,
    error TEXT, worker_started_at INTEGER, worker_expires_at INTEGER,
    attempt_count INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 3,
    scheduled_for INTEGER, correlation_id TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    completed_at INTEGER
);
INSERT INTO jobs (id, job_name, params, status, worker_expires_at, created_at, updated_at) VALUES
    ('a', 'SendEmail', '{"to": "a@example.com", "subject": "1"}', 'running', 1, 1, 1),
    ('b', 'SendEmail', '{"to": "b@example.com", "subject": "2"}', 'pending', NULL, 1, 1);
"""


def test_rows_of_the_original_are_copied(tutorial: Path, tmp_path: Path) -> None:
    shutil.copy(tutorial / "server-jobs.sqlite3", tmp_path)
    copy = block(PAGE, "sql", "copy").replace("original.sqlite3", f"{tmp_path}/original.sqlite3")
    with closing(sqlite3.connect(tmp_path / "original.sqlite3")) as original:
        original.executescript(TABLE)
    with closing(sqlite3.connect(tmp_path / "server-jobs.sqlite3")) as connection:
        connection.execute("DELETE FROM jobs")
        connection.commit()
        connection.executescript(copy)
        rows = connection.execute("SELECT id, status, params_to FROM send_email_jobs ORDER BY id").fetchall()

    assert rows == [("a", "pending", "a@example.com"), ("b", "pending", "b@example.com")]
