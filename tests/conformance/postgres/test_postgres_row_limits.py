"""A role that may only insert jobs cannot insert values that no caller may give. The largest allowed ones are taken."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
import pytest
from server_jobs import JobStatus
from server_jobs.contract.row_limits import LONGEST_ID, ROW_LIMITS
from server_jobs.contract.values import MAX_DOCUMENT_BYTES, MAX_ERROR_CHARACTERS, MAX_MESSAGE_CHARACTERS
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS
from server_jobs.domain.record import Ended, Heartbeat, KnownJob, Outcome
from server_jobs.domain.text_limits import LONGEST_CORRELATION_ID, LONGEST_NAME, LONGEST_UNIQUE_KEY
from server_jobs.errors import DatabaseError
from server_jobs.middleware import LONGEST_HEADERS
from server_jobs.schema import jobs
from server_jobs.stores.sql.store import SqlStore
from sqlalchemy import Text

from tests.conformance.examples import LEASE, completed, failed, job, read, request
from tests.conformance.postgres_databases import spoil

WIDE = "\N{GRINNING FACE}"
LONG = ["repeat('x', 2001)", "repeat('x', 2000000)"]
HOSTILE: dict[str, list[str]] = {
    "id": ["'$(SERVER_JOBS_DATABASE_URL)'", "'a;b'", "'`id`'", "E'a\\nb'", "'../a'", "'ä'", *LONG],
    "params": ["repeat('x', 200000000)", f"repeat('x', {MAX_DOCUMENT_BYTES + 1})", "repeat('ä', 524289)"],
    "job_name": LONG,
    "queue": LONG,
    "worker_id": LONG,
    "correlation_id": LONG,
    "headers": LONG[1:],
    "result": LONG[1:],
    "error": LONG[1:],
    "error_class": LONG[1:],
    "progress_message": LONG[1:],
    "max_attempts": ["0", "-1", "10001", "1000000"],
    "priority": ["-101", "101", "2147483647"],
}
KEYS = ("batch_id", "replaced_by", "fencing_token", "unique_key", "concurrency_key", "rate_key")
# No index has these keys while the job is finished.
HOSTILE |= {key: [*LONG[1:], "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)"] for key in KEYS}
GIVEN = {"id": "'a'", "job_name": "'SendEmail'", "params": "'{}'", "created_at": "now()", "updated_at": "now()"}


def test_a_value_that_no_caller_may_give_is_rejected(connection: psycopg.Connection) -> None:
    connection.autocommit = True
    for column, hostile in HOSTILE.items():
        for value in hostile:
            values = {**GIVEN, column: value}
            insert = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})"
            with pytest.raises(psycopg.errors.CheckViolation, match=r"jobs_\w+_check"):
                connection.execute(insert.encode())
    assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_each_column_of_text_has_a_limit() -> None:
    texts = {column.name for column in jobs.columns if isinstance(column.type, Text)}
    assert texts - {"status"} == set(re.findall(r"octet_length\((\w+)\)", ROW_LIMITS))


async def test_a_key_that_no_index_can_have_does_not_keep_workers_from_recovering_jobs(
    url: str, connection: psycopg.Connection
) -> None:
    connection.autocommit = True
    keys = {"concurrency_key": "'k'", "rate_key": HOSTILE["rate_key"][-1]}
    lease = {"status": "'running'", "fencing_token": "'t'", "worker_expires_at": "now() - interval '1 hour'"}
    values = {**GIVEN, **keys, **lease}
    insert = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    with pytest.raises(psycopg.errors.CheckViolation, match="jobs_limits_check"):
        connection.execute(insert.encode())

    spoil(url, "ALTER TABLE jobs DROP CONSTRAINT jobs_limits_check")
    connection.execute(insert.encode())
    store = SqlStore(PostgresDatabase(url))
    await store.open()
    try:
        with pytest.raises(DatabaseError, match="index row"):  # for the jobs of every dead worker
            await store.expire(jitter=timedelta(0))
    finally:
        await store.close()


async def test_the_largest_values_that_callers_and_handlers_may_give_are_stored(url: str) -> None:
    store = SqlStore(PostgresDatabase(url))
    await store.open()
    try:
        document = f'"{"x" * (MAX_DOCUMENT_BYTES - 2)}"'
        new = job(
            "a" * LONGEST_ID,
            WIDE * LONGEST_NAME,
            params=document,
            queue=WIDE * LONGEST_NAME,
            priority=HIGHEST_PRIORITY,
            max_attempts=MOST_ATTEMPTS,
            unique_key=f"{WIDE * LONGEST_NAME}:{WIDE * LONGEST_UNIQUE_KEY}",
            correlation_id=WIDE * LONGEST_CORRELATION_ID,
            headers=WIDE * LONGEST_HEADERS,
            batch_id="b" * LONGEST_ID,
        )
        other = new._replace(id="b", priority=LOWEST_PRIORITY, max_attempts=1, unique_key=None)
        assert [answer.created for answer in await store.insert([new, other])] == [True, True]
        one, two = await store.claim(request(KnownJob(new.job_name, 1)))
        message = WIDE * MAX_MESSAGE_CHARACTERS
        await store.renew([Heartbeat(id=one.id, token=one.token, progress=1, message=message)], LEASE)
        boom = failed(two, WIDE * MAX_ERROR_CHARACTERS, retry_after=timedelta(0))
        ended = boom._replace(ended=Ended(Outcome.FAILED, "E" * 1000))

        assert list(await store.settle([completed(one, document), ended])) == [JobStatus.COMPLETED, JobStatus.FAILED]
        assert (await read(store, one.id)).progress_message == message
    finally:
        await store.close()
