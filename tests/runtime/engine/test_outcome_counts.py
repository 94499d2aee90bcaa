"""Outcomes are counted by workers and ticks, and reach the store once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs import DatabaseError, JobContext, JobOptions, RetryPolicy
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record.reports import Counts, JobCounts
from server_jobs.engine.tick import tick
from server_jobs.engine.worker import Worker
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import SECOND, Text, backend_on, echo, fail, retried_at_once, text_job

PARAMS = {"text": "hello"}
_TWICE = retried_at_once(2)


async def totals(store: Store) -> dict[str, Counts]:
    return {one.job_name: one.counts for one in await store.finished_counts(since=None)}


async def test_a_worker_counts_what_completes_fails_and_is_retried() -> None:
    store = MemoryStore()
    good, bad = text_job(echo, "Good"), text_job(fail, "Bad", retried_at_once(3))
    backend = backend_on(store, good, bad)
    await good.later_many([PARAMS] * 4)
    await bad.later_many([PARAMS] * 2)

    await Worker(backend, until_empty=True).run()

    assert await totals(store) == {"Good": Counts(completed=4), "Bad": Counts(failed=2, retried=4)}


async def test_a_tick_counts_too() -> None:
    store = MemoryStore()
    backend = backend_on(store, job := text_job(echo))
    await job.later(PARAMS)

    await tick(backend)

    assert await totals(store) == {"Echo": Counts(completed=1)}


async def test_releases_snoozes_and_cancellations_are_not_counted() -> None:
    async def cancelled(params: Text, context: JobContext) -> Text:
        await backend.store.cancel(str(context.job_id))
        raise ValueError("late")

    store = MemoryStore()
    backend = backend_on(store, job := text_job(cancelled))
    await job.later(PARAMS)

    await tick(backend)

    assert await totals(store) == {}


async def test_an_expired_lease_counts_as_a_failure_or_a_retry() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    options = JobOptions(max_attempts=2, queue="mail", retry=RetryPolicy(initial=timedelta(0)))
    backend = backend_on(store, job := text_job(echo, options=options), clock=clock, lease=SECOND)
    await job.later(PARAMS)
    for _ in range(2):
        await store.claim(backend.execution.request(limit=1))
        clock.advance(3 * SECOND)
        await backend.handle_expired_locks()
        clock.advance(3 * SECOND)

    await backend.execution.runner.counts.store(store)

    assert await totals(store) == {"Echo": Counts(failed=1, retried=1)}
    assert {one.queue for one in await store.finished_counts(since=None)} == {"mail"}


async def test_outcomes_count_for_the_queue_of_the_row() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    before = text_job(echo, "Good", JobOptions(queue="old")), text_job(fail, "Bad", replace(_TWICE, queue="old"))
    backend_on(store, *before, clock=clock)
    for job in before:
        await job.later(PARAMS)
    await before[1].later(PARAMS)
    after = text_job(echo, "Good", JobOptions(queue="new")), text_job(fail, "Bad", replace(_TWICE, queue="new"))
    backend = backend_on(store, *after, clock=clock, lease=SECOND)
    await store.claim(backend.execution.request(limit=1))
    clock.advance(3 * SECOND)
    await backend.handle_expired_locks()
    clock.advance(3 * SECOND)

    await Worker(backend, until_empty=True).run()

    counts = {(one.queue, one.job_name): one.counts for one in await store.finished_counts(since=None)}
    assert counts.keys() == {("old", "Good"), ("old", "Bad")}
    assert sum(one.completed for one in counts.values()) == 1
    assert sum(one.retried for one in counts.values()) == 3


async def test_counts_that_could_not_be_stored_are_stored_later() -> None:
    class Away(MemoryStore):
        is_away = True

        async def add_counts(self, counts: Sequence[JobCounts]) -> None:
            if self.is_away:
                raise DatabaseError("away")
            await super().add_counts(counts)

    store = Away()
    backend = backend_on(store, job := text_job(echo))
    await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim(1)).claimed_jobs
    await backend.execute(claim)
    with pytest.raises(DatabaseError):
        await backend.execution.runner.counts.store(store)
    store.is_away = False

    for _ in range(2):
        await backend.execution.runner.counts.store(store)

    assert await totals(store) == {"Echo": Counts(completed=1)}
