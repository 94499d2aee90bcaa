"""A PostgreSQL server with the defaults of a new installation, and our tables in new databases of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from server_jobs.schema import metadata
from sqlalchemy import create_engine

# Rows as a worker leaves them: most completed, some failed or cancelled; a job in 50 belongs to a batch.
_FINISHED = """
INSERT INTO jobs (id, job_name, params, result, status, progress, worker_started_at, attempt_count, scheduled_for,
                  created_at, updated_at, completed_at, queue, worker_id, error, error_class, batch_id, unique_key)
SELECT concat_ws('-', substr(made, 1, 8), substr(made, 9, 4), '7' || substr(hash, 1, 3), '8' || substr(hash, 4, 3),
                 substr(hash, 7, 12)),
       'Note', '{"text": "' || repeat(hash, 8) || '"}', '{"text": "' || hash || '"}', status,
       CASE status WHEN 'completed' THEN 100 ELSE 0 END, moment, 1, moment, moment, moment, moment,
       (ARRAY['default', 'mail', 'reports'])[1 + number %% 3], hash, CASE status WHEN 'failed' THEN 'boom' END,
       CASE status WHEN 'failed' THEN 'ValueError' END,
       CASE WHEN number %% 50 = 0 THEN 'batch ' || number / 5000 END, CASE WHEN number %% 10 = 0 THEN hash END
  FROM (SELECT number, moment, md5(CAST(number AS text)) AS hash,
               lpad(to_hex(CAST(floor(extract(epoch FROM moment) * 1000) AS bigint)), 12, '0') AS made,
               CASE number %% 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'completed' END AS status
          FROM (SELECT number, now() - interval '1 hour' - (%(count)s - number) * interval '1 millisecond' AS moment
                  FROM generate_series(1, %(count)s) AS number) AS numbered) AS finished
"""


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Yield the URL of a new database with our tables."""
    name = f"large_{uuid.uuid4().hex[:8]}"
    url = f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        metadata.create_all(engine)
        engine.dispose()
        try:
            yield url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def add_finished(url: str, count: int) -> None:
    """Add finished jobs, and leave the table as autovacuum does after such a time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FINISHED, {"count": count})
        connection.execute("VACUUM ANALYZE jobs")
        connection.execute("CHECKPOINT")
