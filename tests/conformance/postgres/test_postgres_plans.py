"""The frequent statements touch only the rows they need, for any content of the table and any statistics.

Statistics of a queue are outdated as soon as they are taken. Here they say that every row is pending when nearly none
is, and the other way round. `make test-long` tests a million finished rows.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TypedDict, cast

import psycopg
import pytest
from psycopg import sql
from server_jobs.databases.postgres.connection import positional
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.options import RateLimit
from server_jobs.domain.record import Heartbeat, JobQuery, JobStatus, KnownJob, LeaseAnswer
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.parameters import NO_FILTER, json_of, request_parameters
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import LEASE, completed, failed, job, request
from tests.conformance.postgres_databases import new_database, postgres_connection

FINISHED = 1_000_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 100_000
WAITING = 10_000
BATCH = 100

_COLUMNS = "id, job_name, params, status, scheduled_for, created_at, updated_at, attempt_count, priority"
_ROWS = (
    f"INSERT INTO jobs ({_COLUMNS}) SELECT '%s' || i, 'SendEmail', '{{}}', '%s', now() - interval '1 s' * (i %% 1000),"
    " now(), now(), 0, i %% 3 FROM generate_series(1, %d) AS i"
)
_RUN = (
    "UPDATE jobs SET status = 'running', attempt_count = 1, fencing_token = id, worker_expires_at ="
    " now() + interval '1 s' * (CASE WHEN running.number < 1050 THEN -1 ELSE 60 END)"
    " FROM generate_series(1000, 2999) AS running (number) WHERE id = 'w' || running.number"
)
_STARTS = (
    "INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)"
    f" SELECT i, 'Call', i, now(), now() + interval '1 minute' FROM generate_series(1, {WAITING}) AS i"
)
CALL = KnownJob("Call", 1, rate=RateLimit(limit=5, per=timedelta(minutes=1), by=("/to",)))

Node = Mapping[str, object]


class Keys(TypedDict):
    """The keys of a job with limits."""

    concurrency_key: str
    rate_key: str


@pytest.fixture(scope="module", params=["every row is pending", "no row is pending"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Yield a database with many finished jobs, many pending ones, some running ones, and outdated statistics."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute("ALTER TABLE jobs SET (autovacuum_enabled = false)")
        connection.execute("ALTER TABLE jobs SET UNLOGGED")  # faster, with the same plans
        if request.param == "every row is pending":
            connection.execute((_ROWS % ("p", "pending", WAITING)).encode())
            connection.execute("ANALYZE jobs")
            connection.execute("DELETE FROM jobs")
            connection.execute((_ROWS % ("f", "completed", FINISHED)).encode())
        else:
            connection.execute((_ROWS % ("f", "completed", FINISHED)).encode())
            connection.execute("ANALYZE jobs")
        connection.execute("VACUUM jobs")
        connection.execute((_ROWS % ("w", "pending", WAITING)).encode())
        connection.execute(_RUN)
        yield connection


CLAIM = request_parameters(request()) | {
    "limit": BATCH,
    "slots": None,
    "lease": 30_000,
    "batch": "0" * 32,
    "worker_id": None,
}
ITEMS = json_of(
    {f"w{i}": {"token": f"w{i}", "kind": "completed", "result": "{}", "progress": 1} for i in range(1000, 1000 + BATCH)}
)
MOVE: dict[str, Value] = {
    **NO_FILTER,
    "ids": json_of([f"w{i}" for i in range(1000, 1000 + BATCH)]),
    "audit_id": "0",
    "actor": "ann",
    "detail": None,
}
FIND: dict[str, Value] = {
    **NO_FILTER,
    "after": "f2",
    "limit": BATCH,
    "part": None,
    "needles": "[]",
    "is_number": 0,
}
SEARCH = FIND | {"part": "params", "needles": json_of(["{"]), "longest": 1000, "first": "f20000", "last": "f20009"}
PARAMETERS: dict[str, Mapping[str, Value]] = {
    "CLAIM": CLAIM,
    "DUE": CLAIM,
    "CLAIM_ONE": CLAIM | {"id": "w77"},
    "RENEW": {"items": ITEMS, "lease": 30_000},
    "SETTLE": {"items": ITEMS},
    "COMPLETE": {"items": ITEMS},
    "EXPIRE": {"jitter": 1000, "except_for": "[]"},
    "UPCOMING_WORK": CLAIM,
    "GET": {"id": "w77"},
    "SUMMARY": {"id": "w77"},
    "FIND": FIND,
    "FIND_RANGE": FIND,
    "SEARCH": SEARCH,
    "SEARCH_RANGE": FIND | {"most_bytes": 1_000_000},
    "CANCEL": MOVE,
    "RETRY": MOVE,
    "DELETE": MOVE,
    "STATUSES": MOVE,
    "LIST_GIVEN": MOVE | {"before": None, "limit": BATCH},
    "PRUNE": MOVE | {"rules": "{}", "after": "", "limit": BATCH, "ids": None},
    "PRUNE_RANGE": {"shortest": 0, "after": "", "limit": BATCH},
    "PRUNE_MOVE": {"rules": "{}", "shortest": 0, "limit": BATCH},
    "CLAIM_NEXT": CLAIM | {"after": "w9999"},
    "CANCEL_LATE": {},
    "END_BATCHES": {"batch_ids": None},
    "PENDING_WORK": CLAIM | {"batch_ids": None, "tick_id": None, "tick_known": None, "tick_interval": 0},
    "COUNT_NEWEST": {"since": None, "newest": BATCH},
    "QUEUE_STATES": {"most": BATCH, "most_failed": BATCH},
    "FAILURE_GROUPS": {"queues": None, "most": BATCH},
}
STATEMENTS = statements_of("postgresql")
HOT = [name for name in PARAMETERS if getattr(STATEMENTS, name) is not None]
# The most rows that each may touch: the changed rows twice, because it locks them first, or the rows it reads.
TOUCHED = dict.fromkeys(
    ("CLAIM", "RENEW", "SETTLE", "COMPLETE", "CANCEL", "RETRY", "DELETE", "LIST_GIVEN"), 3 * BATCH
) | {
    "EXPIRE": 60 * BATCH,
    "COUNT_NEWEST": BATCH,
    "FIND": BATCH,
    "FIND_RANGE": BATCH,
    "SEARCH": BATCH,
    "SEARCH_RANGE": BATCH,
    "STATUSES": BATCH,
    "PRUNE": 2 * BATCH,
    "PRUNE_RANGE": BATCH,
    "PRUNE_MOVE": BATCH,
    "CLAIM_NEXT": 3 * BATCH,
    "QUEUE_STATES": 2_000 + 10 * BATCH,  # all running jobs, and at most a batch of each group
}


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", HOT)
def test_a_statement_touches_no_more_rows_than_it_is_about(
    connection: psycopg.Connection, name: str, mode: str
) -> None:
    plan = explain(connection, text_of(name), PARAMETERS[name], mode)

    touched = {
        str(node.get("Index Name", node["Node Type"])): rows_of(node) for node in nodes_of(plan) if is_of_jobs(node)
    }
    assert touched, plan
    assert max(touched.values()) <= TOUCHED.get(name, 10), touched
    assert not [node for node in nodes_of(plan) if node["Node Type"] == "Seq Scan" and is_of_jobs(node)]
    compared = [
        node for node in nodes_of(plan) if cast("float", node.get("Rows Removed by Join Filter", 0)) > 5 * BATCH
    ]
    assert not compared  # each row with each other row


# The planner expects that the groups of jobs are many; people ask for their numbers, workers never do.
@pytest.mark.parametrize("name", [name for name in HOT if name not in ("QUEUE_STATES", "FAILURE_GROUPS")])
def test_no_statement_is_compiled(connection: psycopg.Connection, name: str) -> None:
    """The planner's estimate stays below the cost at which it compiles a statement for longer than it runs."""
    plan = explain(connection, text_of(name), PARAMETERS[name], "force_generic_plan")

    assert cast("float", plan["Total Cost"]) < 75_000  # it compiles above 100,000


async def test_a_worker_that_found_an_empty_queue_does_not_read_all_of_the_backlog_that_comes_next() -> None:
    """The server caches a plan, and for an empty table the best plan is to read all of it."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute("VACUUM ANALYZE")
        for table in ("jobs", "job_starts"):
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
        store = SqlStore(PostgresDatabase(url, max_connections=1))
        await store.open()
        for number in range(8):  # the server may cache a plan from the sixth call on
            await live(store, f"few {number}", 2)
            connection.execute("DELETE FROM jobs; DELETE FROM job_starts")
        connection.execute((_ROWS % ("f", "completed", WAITING)).encode())
        connection.execute(_STARTS.encode())
        await live(store, "many", 1000)
        await store.close()

        await _only_session(connection)
        tables = connection.execute("SELECT relname, seq_tup_read FROM pg_stat_user_tables").fetchall()

    assert {name: read for name, read in tables if read > WAITING // 10} == {}


async def test_only_a_count_of_all_jobs_reads_the_table_from_end_to_end() -> None:
    """Reading a whole index would take four times as long."""
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute((_ROWS % ("f", "completed", WAITING)).encode())
        connection.execute((_ROWS % ("w", "pending", BATCH)).encode())
        connection.execute("VACUUM ANALYZE jobs")
        store = SqlStore(PostgresDatabase(url, max_connections=1))
        await store.open()
        before = _scans(connection)
        assert sum(part.count for part in await store.count_jobs()) == WAITING + BATCH
        assert await store.count_due(request()) == BATCH
        await store.close()

        await _only_session(connection)
        assert _scans(connection) == before + 1


async def test_a_list_is_planned_for_the_values_of_its_filter() -> None:
    """A plan for any filter compares each row with all columns of a filter, and cannot run in parallel."""
    with new_database() as url:
        database = PostgresDatabase(url, max_connections=1)
        store = SqlStore(database)
        await store.open()
        assert await store.list_jobs(JobQuery(job_name="Nothing")) == []
        plans = "SELECT sum(custom_plans) AS custom, sum(generic_plans) AS generic FROM pg_prepared_statements"
        listed = f"{plans} WHERE statement LIKE '%ORDER BY id DESC%' AND statement NOT LIKE '%pg_prepared%'"
        ((found,),) = await database.run((Statement(listed, writes=False), {}))
        await store.close()

    assert (found["custom"], found["generic"]) == (1, 0)


async def _only_session(connection: psycopg.Connection) -> None:
    """Wait until the others have ended: the server counts the reads of a session at its end."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while connection.execute(f"{others} AND backend_type = 'client backend'".encode()).fetchone():
        await asyncio.sleep(0.01)


def _scans(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'").fetchone()
    assert row is not None
    scans: int = row[0]
    return scans


async def live(store: SqlStore, prefix: str, count: int) -> None:
    """Store that many jobs of each kind, with and without limits, and take two of each through every transition."""
    await store.insert([job(f"{prefix} email {number}") for number in range(count)])
    await store.insert([job(f"{prefix} call {number}", "Call", **_keys(number)) for number in range(count)])
    for wanted in (request(limit=2), request(CALL, limit=2)):
        claims = await store.claim(wanted)
        assert len(claims) == 2
        renewed = await store.renew(
            [Heartbeat(id=claim.id, token=claim.token, progress=0, message=None) for claim in claims], LEASE
        )
        assert set(renewed) == {LeaseAnswer.RENEWED}
        assert await store.settle([completed(claims[0])]) == [JobStatus.COMPLETED]
        assert await store.settle([failed(claims[1])]) == [JobStatus.PENDING]
        await store.pending_work(wanted)
        await store.upcoming_work(wanted)
    await store.expire(jitter=timedelta(0))


def _keys(number: int) -> Keys:
    return {"concurrency_key": "", "rate_key": f"{number:04x}"}


def text_of(name: str) -> str:
    statement: Statement = getattr(STATEMENTS, name)
    return statement.sql


def explain(connection: psycopg.Connection, statement: str, parameters: Mapping[str, Value], mode: str) -> Node:
    """Return the plan of the statement. The statement runs, and is rolled back."""
    text, names = positional(statement.replace("{now}", PostgresDatabase.now))
    arguments = sql.SQL(", ").join(sql.Literal(parameters[name]) for name in names)
    execute = sql.SQL("EXECUTE hot ({})").format(arguments) if names else sql.SQL("EXECUTE hot")
    connection.execute("DEALLOCATE ALL")
    with connection.transaction(force_rollback=True):
        # Compiling takes seconds, and changes nothing of what a plan reads.
        connection.execute(f"SET LOCAL jit = off; SET LOCAL plan_cache_mode = {mode}".encode())
        connection.execute(f"PREPARE hot AS {text}".encode())
        row = connection.execute(
            sql.SQL("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {}").format(execute)
        ).fetchone()
    assert row is not None
    document = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return cast("Node", document[0]["Plan"])


def nodes_of(node: Node) -> Iterator[Node]:
    yield node
    for child in cast("list[Node]", node.get("Plans", [])):
        yield from nodes_of(child)


def is_of_jobs(node: Node) -> bool:
    if str(node["Node Type"]).startswith("ModifyTable"):
        return False
    return node.get("Relation Name") == "jobs" or str(node.get("Index Name", "")).startswith("jobs_")


def rows_of(node: Node) -> float:
    """Return how many rows the node processed, over all its loops."""
    removed = cast("float", node.get("Rows Removed by Filter", 0)) + cast(
        "float", node.get("Rows Removed by Index Recheck", 0)
    )
    return (cast("float", node["Actual Rows"]) + removed) * cast("float", node["Actual Loops"])
