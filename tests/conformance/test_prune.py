"""Pruning: finished jobs are deleted in small steps, by rules; nothing else ever is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs.ports import Store
from server_jobs.record import JobQuery, JobStatus, Pruned, PruneRule, PruneStep
from server_jobs.testing import FakeClock

from tests.conformance.examples import (
    MILLISECOND,
    START,
    completed,
    failed,
    finish,
    firing,
    insert_and_claim,
    job,
    read,
    request,
    schedule,
)

DAY = timedelta(days=1)
FINISHED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


def rule(status: JobStatus = JobStatus.COMPLETED, age: timedelta = DAY, job_name: str | None = None) -> PruneRule:
    return PruneRule(status=status, age=age, job_name=job_name)


async def stored(store: Store) -> list[str]:
    return sorted(record.id for record in await store.list_jobs(JobQuery(limit=1000)))


async def complete(store: Store, *names: str, job_name: str = "SendEmail") -> None:
    for name in names:
        await finish(store, await insert_and_claim(store, job(name, job_name)), JobStatus.COMPLETED)


async def test_a_job_is_deleted_when_it_ended_longer_ago_than_its_rule_says(store: Store, clock: FakeClock) -> None:
    await complete(store, "a")
    clock.advance(DAY)
    assert await store.prune(PruneStep(rules=(rule(),))) == Pruned(0, None)

    clock.advance(MILLISECOND)
    assert await store.prune(PruneStep(rules=(rule(),))) == Pruned(1, None)

    assert await store.get("a") is None


async def test_what_counts_is_when_a_job_ended_not_when_it_was_made(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    clock.advance(10 * DAY)
    await store.settle([completed(claim)])
    clock.advance(DAY)

    assert (await store.prune(PruneStep(rules=(rule(),)))).count == 0


async def test_unfinished_jobs_are_never_deleted(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b", delay=100 * DAY)])
    await insert_and_claim(store, job("c"))
    clock.advance(50 * DAY)

    pruned = await store.prune(PruneStep(rules=tuple(rule(status, timedelta(0)) for status in FINISHED)))

    assert pruned.count == 0
    assert await stored(store) == ["a", "b", "c"]


@pytest.mark.parametrize("status", FINISHED)
async def test_each_status_has_a_rule_of_its_own(store: Store, clock: FakeClock, status: JobStatus) -> None:
    for one in FINISHED:
        await finish(store, await insert_and_claim(store, job(one)), one)
    clock.advance(2 * DAY)

    assert (await store.prune(PruneStep(rules=(rule(status),)))).count == 1

    assert await stored(store) == sorted(one for one in FINISHED if one is not status)


async def test_each_job_has_rules_of_its_own(store: Store, clock: FakeClock) -> None:
    await complete(store, "a")
    await complete(store, "b", job_name="ImportCsv")
    clock.advance(2 * DAY)

    rules = (rule(age=5 * DAY, job_name="SendEmail"), rule(job_name="ImportCsv"))

    assert (await store.prune(PruneStep(rules=rules))).count == 1
    assert await stored(store) == ["a"]


async def test_without_rules_everything_is_kept(store: Store, clock: FakeClock) -> None:
    await complete(store, "a")
    clock.advance(1000 * DAY)

    assert (await store.prune(PruneStep(rules=()))).count == 0
    assert await stored(store) == ["a"]


async def test_a_step_looks_at_so_many_jobs_and_says_where_to_go_on(store: Store, clock: FakeClock) -> None:
    await complete(store, "a", "c", "e")
    await store.insert([job("b"), job("d")])
    clock.advance(2 * DAY)

    first = await store.prune(PruneStep(rules=(rule(),), limit=2))
    second = await store.prune(PruneStep(rules=(rule(),), limit=2, after=first.after or ""))
    third = await store.prune(PruneStep(rules=(rule(),), limit=2, after=second.after or ""))

    assert (first, second, third) == (Pruned(1, "b"), Pruned(1, "d"), Pruned(1, None))
    assert await stored(store) == ["b", "d"]


async def test_a_dry_run_counts_and_deletes_nothing(store: Store, clock: FakeClock) -> None:
    await complete(store, "a", "b")
    clock.advance(2 * DAY)

    assert await store.prune(PruneStep(rules=(rule(),), dry_run=True)) == Pruned(2, None)
    assert await stored(store) == ["a", "b"]


async def test_a_job_that_was_put_back_is_kept(store: Store, clock: FakeClock) -> None:
    await finish(store, await insert_and_claim(store, job("a")), JobStatus.FAILED)
    clock.advance(2 * DAY)
    await store.retry("a")

    assert (await store.prune(PruneStep(rules=(rule(JobStatus.FAILED),)))).count == 0
    assert (await read(store, "a")).status is JobStatus.PENDING


async def test_a_slot_whose_job_was_pruned_stays_fired(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    fired = firing(START, next_run_at=START + timedelta(hours=1))
    await store.fire(fired)
    (claim,) = await store.claim(request())
    await store.settle([completed(claim)])
    clock.advance(2 * DAY)
    assert (await store.prune(PruneStep(rules=(rule(),)))).count == 1

    assert list(await store.fire(fired)) == [False]
    assert await stored(store) == []


async def test_a_unique_key_is_free_after_pruning_and_held_by_others_as_before(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", unique_key="k"))
    await store.settle([completed(claim)])
    await store.insert([job("b", unique_key="k")])
    clock.advance(2 * DAY)

    await store.prune(PruneStep(rules=(rule(),)))

    (held,) = await store.insert([job("c", unique_key="k")])
    assert (held.id, held.created) == ("b", False)


async def test_a_claim_whose_job_was_pruned_is_lost(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([failed(claim, retry_after=None)])
    clock.advance(2 * DAY)
    await store.prune(PruneStep(rules=(rule(JobStatus.FAILED),)))

    assert list(await store.settle([completed(claim)])) == [None]


def test_rules_and_steps_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="only finished jobs can be pruned"):
        rule(JobStatus.RUNNING)
    with pytest.raises(InvalidOptionError, match="limit must be between 1 and 10000, not 0"):
        PruneStep(rules=(), limit=0)
