"""Pruning deletes finished jobs by rules, in small steps, and no other jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, Retention, create_job_registry, define_job, tick
from server_jobs.domain.ids import slot_job_id
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import UNREADABLE, JobQuery, JobStatus, Pruned, PruneRule, PruneStep
from server_jobs.engine.backend import Backend
from server_jobs.engine.pruner import Pruner
from server_jobs.errors import InvalidOptionError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
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


class Nothing(BaseModel):
    """Params and result."""


async def _idle(params: Nothing, context: JobContext) -> Nothing:
    del context
    return params


KEPT_A_DAY = define_job(
    name="SendEmail",
    params=Nothing,
    result=Nothing,
    handler=_idle,
    options=JobOptions(retention=Retention(completed=DAY)),
)
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


async def test_the_age_counts_from_the_end_of_a_job(store: Store, clock: FakeClock) -> None:
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
async def test_each_status_has_its_own_rule(store: Store, clock: FakeClock, status: JobStatus) -> None:
    for one in FINISHED:
        await finish(store, await insert_and_claim(store, job(one)), one)
    clock.advance(2 * DAY)

    assert (await store.prune(PruneStep(rules=(rule(status),)))).count == 1

    assert await stored(store) == sorted(one for one in FINISHED if one is not status)


async def test_each_job_has_its_own_rules(store: Store, clock: FakeClock) -> None:
    await complete(store, "a")
    await complete(store, "b", job_name="ImportCsv")
    clock.advance(2 * DAY)

    rules = (rule(age=5 * DAY, job_name="SendEmail"), rule(job_name="ImportCsv"))

    assert (await store.prune(PruneStep(rules=rules))).count == 1
    assert await stored(store) == ["a"]


@pytest.mark.parametrize("rules", [(rule(age=5 * DAY), rule()), (rule(), rule(age=5 * DAY))], ids=["long", "short"])
@pytest.mark.parametrize("job_name", ["SendEmail", None])
async def test_the_shortest_of_several_rules_counts(
    store: Store, clock: FakeClock, rules: tuple[PruneRule, PruneRule], job_name: str | None
) -> None:
    await complete(store, "a")
    clock.advance(2 * DAY)

    assert (await store.prune(PruneStep(rules=(replace(rules[0], job_name=job_name), rules[1])))).count == 1


@pytest.mark.parametrize("job_name", ['"', 'a"b', "$.a", "[0]", "*", "", "'"])
async def test_a_foreign_job_name_does_not_stop_pruning(store: Store, clock: FakeClock, job_name: str) -> None:
    claims = [await insert_and_claim(store, job("a", job_name)), await insert_and_claim(store, job("b"))]
    await store.settle([completed(claim) for claim in claims])
    clock.advance(2 * DAY)

    assert (await store.prune_next((rule(job_name="SendEmail"),))).count == 1
    assert await stored(store) == ["a"]


async def test_without_rules_everything_is_kept(store: Store, clock: FakeClock) -> None:
    await complete(store, "a")
    clock.advance(1000 * DAY)

    assert (await store.prune(PruneStep(rules=()))).count == 0
    assert await stored(store) == ["a"]


async def test_a_step_scans_a_number_of_jobs_and_returns_the_cursor(store: Store, clock: FakeClock) -> None:
    await complete(store, "a", "c", "e")
    await store.insert([job("b"), job("d")])
    clock.advance(2 * DAY)

    first = await store.prune(PruneStep(rules=(rule(),), limit=2))
    second = await store.prune(PruneStep(rules=(rule(),), limit=2, after=first.after or ""))
    third = await store.prune(PruneStep(rules=(rule(),), limit=2, after=second.after or ""))

    assert (first, second, third) == (Pruned(1, "b"), Pruned(1, "d"), Pruned(1, None))
    assert await stored(store) == ["b", "d"]


async def test_the_scan_ends_at_jobs_that_are_all_too_new_for_any_rule(store: Store, clock: FakeClock) -> None:
    await complete(store, "a", "b", "c")
    clock.advance(2 * DAY)
    await complete(store, "d", "e", "f", "g")
    rules = (rule(), rule(age=10 * DAY, job_name="SendEmail"))

    dry = [await store.prune(PruneStep(rules=rules, after=after, limit=2, dry_run=True)) for after in ("", "b", "d")]
    moved = [await store.prune_next(rules, limit=2) for _ in range(4)]

    assert dry == [Pruned(2, "b"), Pruned(1, "d"), Pruned(0, None)]
    assert moved == [Pruned(2, ""), Pruned(1, ""), Pruned(0, None), Pruned(0, None)]
    assert await stored(store) == ["d", "e", "f", "g"]


async def test_the_scan_goes_on_behind_new_jobs_of_old_slots(store: Store, clock: FakeClock) -> None:
    old = [slot_job_id("s", START - slot * DAY) for slot in (1, 2)]
    ended = slot_job_id("s", START)
    await complete(store, ended)
    clock.advance(2 * DAY)
    await complete(store, *old)

    dry = await store.prune(PruneStep(rules=(rule(),), limit=2, dry_run=True))
    moved = [await store.prune_next((rule(),), limit=2) for _ in range(2)]

    assert dry == Pruned(0, max(old))
    assert moved == [Pruned(0, max(old)), Pruned(1, max(old))]
    assert await stored(store) == sorted(old)


async def test_consecutive_calls_scan_every_job_and_then_start_over(store: Store, clock: FakeClock) -> None:
    await complete(store, "d", "e")
    await store.insert([job(name, delay=100 * DAY) for name in ("a", "b", "c", "f")])
    clock.advance(2 * DAY)

    first = [await store.prune_next((rule(),), limit=2) for _ in range(5)]

    assert first == [Pruned(0, "b"), Pruned(1, "b"), Pruned(1, "b"), Pruned(0, "f"), Pruned(0, None)]
    assert await stored(store) == ["a", "b", "c", "f"]

    await complete(store, "0")
    clock.advance(2 * DAY)

    assert [await store.prune_next((rule(),), limit=2) for _ in range(2)] == [Pruned(1, ""), Pruned(0, "b")]


async def test_a_parked_job_and_one_without_a_rule_are_passed_by(store: Store, clock: FakeClock) -> None:
    await complete(store, "a", job_name="ImportCsv")
    claim = await insert_and_claim(store, job("b"))
    await store.settle([failed(claim, error=f"{UNREADABLE}no", retry_after=None)])
    clock.advance(2 * DAY)
    rules = tuple(rule(status, job_name="SendEmail") for status in FINISHED)

    assert [await store.prune_next(rules, limit=1) for _ in range(3)] == [
        Pruned(0, "a"),
        Pruned(0, "b"),
        Pruned(0, None),
    ]
    assert await stored(store) == ["a", "b"]


async def test_ticks_of_processes_that_come_and_go_delete_what_lies_behind_many_jobs_that_are_kept(
    store: Store, clock: FakeClock
) -> None:
    await store.insert([job(f"a{number:04}", delay=100 * DAY) for number in range(3500)])
    await complete(store, "z1", "z2", "z3")
    clock.advance(2 * DAY)

    for _ in range(5):
        backend = Backend(database=store, job_registry=create_job_registry().register(KEPT_A_DAY), clock=clock)
        backend.execution.pruner = Pruner(store, backend.registry, clock, budget=timedelta(0))  # one step in each tick
        await tick(backend)

    assert [await store.get(name) for name in ("z1", "z2", "z3")] == [None] * 3


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


async def test_pruning_frees_a_unique_key_only_of_the_deleted_job(store: Store, clock: FakeClock) -> None:
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
