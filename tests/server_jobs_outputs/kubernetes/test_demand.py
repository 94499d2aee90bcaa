"""KEDA counts exactly the jobs that ask for a slot of a worker, fast among many others, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs_outputs.kubernetes.settings import WorkerGroup

from tests.conformance.postgres_databases import new_database, postgres_connection

from .cluster_database import WORKERS, ClusterDatabase, cluster_database

FEW = 300 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 12
HOUR = timedelta(hours=1)
MAIL = WorkerGroup(name="mail", queues=("mail", "it's"))
Steps = Callable[[ClusterDatabase], Awaitable[object]]


async def due_and_future(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    await database.enqueue("Send", 5, delay=HOUR)


async def paused(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    await database.enqueue("Load", 1)
    await database.backend.store.pause_queue("mail", by="ann")


async def running(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    assert len(await database.claim()) == 3


async def over_a_concurrency(database: ClusterDatabase) -> None:
    await database.enqueue("Load", 5, "a")
    await database.enqueue("Load", 1, "b")


async def up_to_a_concurrency(database: ClusterDatabase) -> None:
    await database.enqueue("Load", 5)
    assert len(await database.claim()) == 2


async def over_a_rate(database: ClusterDatabase) -> None:
    await database.enqueue("Call", 5)
    await database.complete(await database.claim())


async def expired(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    database.change("UPDATE jobs SET start_before = now() - interval '1 second'")


async def replaced(database: ClusterDatabase) -> None:
    for _ in range(2):
        await database.jobs["Send"].later({"text": "a"}, unique_key="a", on_conflict="replace")
        await database.claim()


async def of_another_release(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    await database.enqueue("Load", 2)
    database.change("UPDATE jobs SET spec_version = 2")


async def of_another_queue(database: ClusterDatabase) -> None:
    await database.enqueue("Send", 3)
    await database.enqueue("Load", 1)
    await database.enqueue("Call", 1)
    await database.claim(("default",))


async def schedules(database: ClusterDatabase) -> None:
    database.change(
        """INSERT INTO cron_jobs (id, job_name, name, cron_expression, enabled, next_run_at, created_at, updated_at)
           SELECT i, job_name, i, '* * * * *', i <> '4', next_run_at, now(), now() FROM (VALUES
             ('1', 'Send', NULL), ('2', 'Load', now()), ('3', 'Send', now() + interval '1 hour'),
             ('4', 'Send', now()), ('5', 'Gone', now())) AS each (i, job_name, next_run_at)"""
    )


async def old_ones(database: ClusterDatabase) -> None:
    await database.enqueue("Send", delay=timedelta(minutes=-3))
    await database.enqueue("Load", delay=timedelta(0))
    database.change("UPDATE jobs SET scheduled_for = now() - interval '3 days' WHERE job_name = 'Load'")


CASES: list[tuple[Steps, WorkerGroup, float, str, str]] = [
    # The steps, the group, the demand, and a part of the query with its sabotage.
    (due_and_future, WORKERS, 3, "scheduled_for <= now()", "true"),
    (paused, WORKERS, 1, "AND queue NOT IN (SELECT name FROM paused_queues)", ""),
    (
        running,
        WORKERS,
        3,
        "(SELECT count(*) FROM jobs WHERE status = 'running' AND worker_expires_at IS NOT NULL)",
        "0",
    ),
    (over_a_concurrency, WORKERS, 3, "concurrency - (", "NULL - ("),
    (up_to_a_concurrency, WORKERS, 2, "concurrency - (", "concurrency + 0 * ("),
    (over_a_rate, WORKERS, 0, "rate - (", "NULL - ("),
    (expired, WORKERS, 0, "start_before >= now()", "true"),
    (replaced, WORKERS, 1, "jobs.unique_key <> ALL", "true OR jobs.unique_key <> ALL"),
    (of_another_release, WORKERS, 0, "('Send', 1,", "('Send', 2,"),
    (of_another_queue, MAIL, 3, " AND queue IN ('mail', 'it''s')", ""),
    (schedules, WORKERS, 2, "enabled AND", ""),
    (schedules, MAIL, 1, "job_name IN ('Send')", "true"),
    (old_ones, WORKERS, 3 + 10, "GREATEST(1, EXTRACT(epoch FROM now() - since) / 60)", "1"),
    (old_ones, WORKERS, 3 + 10, "LEAST(10, GREATEST", "LEAST(100000, GREATEST"),
]


@pytest.mark.parametrize(("steps", "group", "expected", "part", "instead"), CASES)
async def test_the_demand_of_jobs_and_without_a_part_of_the_query_another_one(
    steps: Steps, group: WorkerGroup, expected: float, part: str, instead: str
) -> None:
    async with cluster_database() as database:
        await steps(database)

        assert database.demand(group) == pytest.approx(expected, abs=0.1)
        assert database.demand(group, without=part, instead=instead) != pytest.approx(expected, abs=0.1)


async def test_running_jobs_keep_their_pod_until_they_end_and_then_nothing_does() -> None:
    async with cluster_database() as database:
        await database.enqueue("Send", 2)
        claims = await database.claim()
        await database.complete(claims[:1])
        assert database.demand() == 1

        await database.complete(claims[1:])
        assert database.demand() == 0


async def test_jobs_of_a_dead_worker_start_a_pod_before_and_after_their_lease() -> None:
    async with cluster_database() as database:
        await database.enqueue("Send", 2)
        await database.claim()
        database.change("UPDATE jobs SET worker_expires_at = now() - interval '1 hour'")
        assert database.demand() == 2

        await database.backend.execution.chores.expire()
        database.change("UPDATE jobs SET scheduled_for = now()")
        assert database.demand() == 2


async def test_counting_stops_at_the_jobs_of_the_most_pods() -> None:
    group = WorkerGroup(name="few", max_replicas=2, concurrency=3)
    async with cluster_database() as database:
        await database.enqueue("Send", 20)
        await database.enqueue("Load", 20, delay=timedelta(0))

        assert database.demand(group) == 6


NAMES = st.sampled_from(["Send", "Load", "Call", "Both"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), NAMES, st.sampled_from("abc"), st.sampled_from([0, 0, 0, 60])),
        st.tuples(st.just("claim")),
        st.tuples(st.just("complete"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["pause", "resume"]), st.sampled_from(["mail", "default"])),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=FEW, deadline=None)
@given(MOVES)
def test_the_demand_is_what_runs_and_what_a_worker_could_claim(moves: list[tuple[object, ...]]) -> None:
    asyncio.run(_compare(moves))


async def _compare(moves: list[tuple[object, ...]]) -> None:
    async with cluster_database() as database:
        claims = []
        for move in moves:
            match move:
                case ("enqueue", str(name), str(text), int(seconds)):
                    await database.enqueue(name, 1, text, timedelta(seconds=seconds))
                case ("claim",):
                    claims += await database.claim()
                case ("complete", int(count)):
                    await database.complete(claims[:count])
                    claims = claims[count:]
                case (str(action), str(queue)):
                    pause = (
                        database.backend.store.pause_queue if action == "pause" else database.backend.store.resume_queue
                    )
                    await pause(queue, by="ann")
        found = database.demand()
        # The rate of `Both` may let more jobs start in the meantime.
        ready = await database.claim()
        assert len(claims) <= found <= len(claims) + len(ready)
        assert found == pytest.approx(len(claims) + len(ready)) or any(one.job_name == "Both" for one in ready)


def test_the_plan_reads_no_table_of_jobs_whatever_the_statistics_say() -> None:
    with new_database() as url, postgres_connection(url) as connection:
        rows = """INSERT INTO jobs (id, job_name, params, status, scheduled_for, created_at, updated_at)
                  SELECT '%s' || i, 'Send', '{}', '%s', now() + interval '1 hour', now(), now()
                    FROM generate_series(1, 20000) AS i"""
        connection.execute((rows % ("a", "pending")).encode())
        connection.execute("ANALYZE jobs")
        connection.execute((rows % ("b", "completed")).encode())
        specs = asyncio.run(_query())
        plan = "\n".join(str(line) for (line,) in connection.execute(b"EXPLAIN (ANALYZE, COSTS OFF) " + specs))

        assert "Seq Scan on jobs" not in plan
        assert "Sort" not in plan


async def _query() -> bytes:
    async with cluster_database() as database:
        return database.query().encode()


async def test_the_tables_may_be_in_a_schema_of_their_own() -> None:
    from server_jobs_outputs.kubernetes.demand import demand

    async with cluster_database() as database:
        query = demand(WORKERS, database.specs, {}, "user")
    with new_database() as url, postgres_connection(url) as connection:
        connection.execute('CREATE SCHEMA "user"')
        for table in ("jobs", "cron_jobs", "job_starts", "paused_queues"):
            connection.execute(f'ALTER TABLE {table} SET SCHEMA "user"'.encode())

        assert connection.execute(query.encode()).fetchone() == (0.0,)
