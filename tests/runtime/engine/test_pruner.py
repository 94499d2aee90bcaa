"""The pruner of a worker works in small steps, pauses between scans, and does nothing if specs keep everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from server_jobs import (
    Backend,
    Job,
    JobNotFoundError,
    JobOptions,
    JobRegistry,
    JobStatus,
    Retention,
    create_job_registry,
)
from server_jobs.domain.record import NewJob, Pruned, PruneRule, PruneStep
from server_jobs.engine.pruner import LONGEST_SCAN_PAUSE, SHORTEST_SCAN_PAUSE, Pruner, retention_rules
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import completed, job, request
from tests.runtime.example_jobs import Text, echo, text_job

DAY = timedelta(days=1)


class WatchedStore(MemoryStore):
    """A store that counts the steps of pruning."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.steps: list[PruneStep] = []

    async def prune(self, step: PruneStep) -> Pruned:
        self.steps.append(step)
        return await super().prune(step)


def registry_with(retention: Retention) -> JobRegistry:
    class SendEmail(Job[Text, Text, Mapping[str, object]]):
        job_name = "SendEmail"
        spec_name = "send_email"
        params_model = Text
        result_model = Text
        options = JobOptions(retention=retention)

    return create_job_registry().register(SendEmail)


async def finished(store: WatchedStore, count: int, *, ran_for: timedelta = timedelta(0)) -> None:
    new: list[NewJob] = [job(f"{number:04}") for number in range(count)]
    await store.insert(new)
    store.clock.advance(ran_for)
    await store.settle([completed(claim) for claim in await store.claim(request(limit=count))])


def test_the_rules_come_from_the_specs() -> None:
    registry = registry_with(Retention(completed=DAY, cancelled=2 * DAY))

    assert retention_rules(registry) == (
        PruneRule(status=JobStatus.COMPLETED, age=DAY, job_name="SendEmail"),
        PruneRule(status=JobStatus.CANCELLED, age=2 * DAY, job_name="SendEmail"),
    )


async def test_where_no_spec_states_a_retention_the_store_is_not_asked() -> None:
    clock = FakeClock()
    store = WatchedStore(clock)
    await finished(store, 3)
    clock.advance(1000 * DAY)

    assert await Pruner(store, registry_with(Retention()), clock).tick() == 0
    assert store.steps == []


async def test_a_tick_continues_while_most_jobs_of_each_step_are_expired() -> None:
    clock = FakeClock()
    store = WatchedStore(clock)
    await finished(store, 2500)
    clock.advance(2 * DAY)
    pruner = Pruner(store, registry_with(Retention(completed=DAY)), clock, budget=timedelta(0))

    assert [await pruner.tick() for _ in range(2)] == [2500, 0]
    assert [step.after for step in store.steps] == ["", "0999", "1999"]


async def test_a_tick_is_one_small_step_where_little_is_expired() -> None:
    clock = FakeClock()
    store = WatchedStore(clock)
    await finished(store, 2500, ran_for=2 * DAY)
    pruner = Pruner(store, registry_with(Retention(completed=DAY)), clock, budget=timedelta(0))

    assert [await pruner.tick() for _ in range(4)] == [0, 0, 0, 0]
    assert [step.after for step in store.steps] == ["", "0999", "1999"]


async def test_a_scan_does_not_follow_the_jobs_that_keep_coming() -> None:
    clock = FakeClock()
    store = WatchedStore(clock)
    await finished(store, 2500)
    pruner = Pruner(store, registry_with(Retention(completed=DAY, failed=2 * DAY)), clock, budget=timedelta(0))

    assert [await pruner.tick() for _ in range(4)] == [0, 0, 0, 0]
    assert [step.after for step in store.steps] == [""]


@pytest.mark.parametrize(
    ("retention", "pause"),
    [
        (DAY, LONGEST_SCAN_PAUSE),
        (timedelta(seconds=5), timedelta(seconds=5)),
        (timedelta(milliseconds=1), SHORTEST_SCAN_PAUSE),
    ],
)
async def test_after_a_scan_it_pauses_no_longer_than_the_shortest_retention(
    retention: timedelta, pause: timedelta
) -> None:
    clock = FakeClock()
    store = WatchedStore(clock)
    pruner = Pruner(store, registry_with(Retention(completed=retention, failed=2 * DAY)), clock)
    await pruner.tick()
    await finished(store, 1)
    clock.advance(pause - timedelta(milliseconds=1))
    await pruner.tick()
    assert len(store.steps) == 1

    clock.advance(DAY)

    assert await pruner.tick() == 1
    assert len(store.steps) == 2


async def test_the_result_of_a_pruned_job_is_an_error_that_names_it() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    echoing = text_job(echo, options=JobOptions(retention=Retention(completed=DAY)))
    registry = create_job_registry().register(echoing)
    backend = Backend(database=store, job_registry=registry, clock=clock)
    echoing.bind(backend)
    job_id = await echoing.later({"text": "x"})
    await echoing.execute_from_database(job_id)
    clock.advance(2 * DAY)

    assert await Pruner(store, registry, clock).tick() == 1

    with pytest.raises(JobNotFoundError, match=job_id):
        await job_id.result()
