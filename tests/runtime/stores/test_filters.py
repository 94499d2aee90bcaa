"""Random filters find the same jobs on every store as in memory, and select the same jobs for a change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    UNREADABLE,
    Cancellation,
    Ended,
    Failed,
    JobFilter,
    JobQuery,
    JobStatus,
    KnownJob,
    NewJob,
    Outcome,
)
from server_jobs.domain.search import FindStep, condition_in
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.conformance.conftest import SLOW
from tests.conformance.examples import completed, request
from tests.conformance.stores import STORES
from tests.slow import slow

LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
NAMES, QUEUES, IDS = ("SendEmail", "ImportCsv"), ("default", "slow"), ("c", None)
PARAMS = ('{"to":"ann","n":1}', '{"to":["ann","bob"],"n":"1"}', '{"n":1.0}', '{"to":')
SECOND = timedelta(seconds=1)
SQL_STORES = [slow(name) if name in SLOW else name for name in STORES if name != "memory"]

Stores = tuple[asyncio.Runner, Store, Store]

texts = st.sampled_from
conditions = st.sampled_from(("params.to=ann", "params.n=1", 'params.n="1"', "result.ok=true", "params.to=zoe"))
filters = st.builds(
    JobFilter,
    status=st.none() | st.sampled_from(JobStatus) | st.lists(st.sampled_from(JobStatus), max_size=3).map(tuple),
    parked=st.sampled_from([False, False, True]),
    job_name=st.none() | texts((*NAMES, "sendemail", "' OR 1=1 --", "%")),
    spec_version=st.none() | st.integers(1, 3),
    queues=st.none() | st.lists(texts((*QUEUES, "none")), max_size=2).map(tuple),
    error_class=st.none() | texts(("ValueError", "valueerror", "")),
    correlation_id=st.none() | texts(("c", "C", "")),
    worker_id=st.none() | texts(("w1", "w2")),
    older_than=st.none() | st.integers(0, 40).map(lambda count: count * SECOND),
    newer_than=st.none() | st.integers(0, 40).map(lambda count: count * SECOND),
    where=st.lists(conditions, max_size=2, unique=True).map(lambda found: tuple(map(condition_in, found))),
)


async def fill(store: Store, clock: FakeClock) -> None:
    """Store a job for each mix of columns, in every status, a second after each other."""
    for number, (name, queue, correlation_id, params) in enumerate(product(NAMES, QUEUES, IDS, PARAMS)):
        version, job_id = 1 + number % 2, f"{number:02}"
        clock.advance(SECOND)
        await store.insert(
            [
                NewJob(
                    job_id,
                    params,
                    job_name=name,
                    queue=queue,
                    correlation_id=correlation_id,
                    spec_version=version,
                )
            ]
        )
        if number % 6 == 0:
            continue
        if number % 6 == 1:
            await store.cancel(job_id)
            continue
        wanted = request(KnownJob(name, version), worker_id=f"w{1 + number % 2}", lease=timedelta(hours=1))
        claim = await store.claim_one(job_id, wanted)
        assert claim is not None
        ended = Ended(Outcome.FAILED, "ValueError")
        if number % 6 == 3:
            await store.settle([completed(claim, '{"ok":true}')])
        elif number % 6 > 3:
            error = "boom" if number % 6 == 4 else f"{UNREADABLE}no"
            await store.settle([Failed(job_id, claim.token, error, None, ended=ended)])


def _close(runner: asyncio.Runner, context: AbstractAsyncContextManager[Store]) -> None:
    runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module", params=SQL_STORES)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Yield a store and one in memory, with the same jobs."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        opened: list[Store] = []
        for name in (request.param, "memory"):
            clock = FakeClock()
            context = STORES[name](clock)
            opened.append(runner.run(context.__aenter__()))
            stack.callback(_close, runner, context)
            runner.run(fill(opened[-1], clock))
        yield runner, opened[0], opened[1]


@given(wanted=filters, limit=st.integers(1, 40), newest_first=st.booleans())
@settings(
    max_examples=400 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_filter_finds_the_same_jobs_as_in_memory(
    stores: Stores, wanted: JobFilter, limit: int, newest_first: bool
) -> None:
    runner, store, memory = stores
    assert isinstance(memory, MemoryStore)

    after: str | None = ""
    while after is not None:
        step = FindStep(filter=wanted, after=after, limit=limit, newest_first=newest_first)
        found, expected = runner.run(store.find(step)), runner.run(memory.find(step))
        assert found == expected
        after = found.after
    if not wanted.where:
        query = JobQuery.of(wanted, limit=limit)
        listed = [one.id for one in runner.run(store.list_jobs(query))]
        assert listed == [one.id for one in runner.run(memory.list_jobs(query))]
        assert [one.id for one in runner.run(store.find_page(query)).jobs] == listed


@given(wanted=filters.filter(lambda wanted: not wanted.where))
@settings(max_examples=100 if LONG else 10, deadline=None)
def test_a_filter_selects_the_same_finished_jobs_for_a_change_as_in_memory(stores: Stores, wanted: JobFilter) -> None:
    """Cancelling changes no finished job, so that each filter meets the same jobs."""
    runner, store, memory = stores
    finished = (JobStatus.COMPLETED, JobStatus.CANCELLED)
    ids = [one.id for one in runner.run(memory.list_jobs(JobQuery(status=finished, limit=100)))]

    answers = runner.run(store.cancel_many(ids, among=wanted))

    assert set(answers) <= {Cancellation.FINISHED, Cancellation.NOT_FOUND}
    assert list(answers) == list(runner.run(memory.cancel_many(ids, among=wanted)))
