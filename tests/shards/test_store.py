"""Four stores as one: where jobs go, how they are found, and answers while a shard is down."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from server_jobs import (
    Backend,
    InvalidOptionError,
    JobFilter,
    JobNotFoundError,
    JobQuery,
    JobStatus,
    SchemaMissingError,
    ShardUnreachableError,
)
from server_jobs.domain.audit import AuditQuery
from server_jobs.domain.record import PruneRule, PruneStep
from server_jobs.domain.search import FindStep
from server_jobs.engine.scheduler import declaration_of
from server_jobs.engine.tick import tick
from server_jobs.stores.sharded import ShardedStore, fan_out, shards_of

from .letters import SHARDS, TABLE, TENANTS, CleanUp, Letter, registry
from .outage import UnreliableStore


@pytest.fixture
def store() -> ShardedStore:
    return ShardedStore({name: UnreliableStore() for name in SHARDS})


@pytest.fixture
def backend(store: ShardedStore) -> Backend:
    return Backend(database=store, job_registry=registry)


def down(store: ShardedStore, shard: str) -> None:
    of_shard = store.stores[shard]
    assert isinstance(of_shard, UnreliableStore)
    of_shard.is_down = True


async def enqueue_everywhere(backend: Backend, text: str = "hello") -> dict[str, str]:
    """Enqueue a letter for a tenant of each shard, and return the ids by shard."""
    letter = Letter.using(backend)
    return {shard: await letter.later({"tenant": tenant, "text": text}) for shard, tenant in TENANTS.items()}


async def test_a_job_goes_to_the_shard_of_its_key_and_is_found_there(backend: Backend, store: ShardedStore) -> None:
    ids = await enqueue_everywhere(backend)
    for shard, job_id in ids.items():
        assert [job.id for job in await store.stores[shard].list_jobs(JobQuery())] == [job_id]
        assert await store.shard_of_id(job_id) == shard
        assert (await Letter.using(backend).handle(job_id).record()).id == job_id


async def test_a_job_without_a_key_is_in_the_first_shard(backend: Backend, store: ShardedStore) -> None:
    assert await store.shard_of_id(await CleanUp.using(backend).later({})) == SHARDS[0]


async def test_a_table_or_a_function_of_the_project_chooses_the_shard() -> None:
    for shard_of in (TABLE, lambda key: TABLE.get(key, "nowhere")):
        store = ShardedStore({name: UnreliableStore() for name in SHARDS}, shard_of)
        letter = Letter.using(Backend(database=store, job_registry=registry))
        assert await store.shard_of_id(await letter.later({"tenant": TENANTS["sa"]})) == "sa"
        with pytest.raises(InvalidOptionError, match="the shard of 'unknown' must be one of asia, eu, sa, us"):
            await letter.later({"tenant": "unknown"})


async def test_a_unique_key_holds_for_each_tenant(backend: Backend) -> None:
    letter = Letter.using(backend)
    first = await letter.later({"tenant": "acme", "text": "a"})
    again = await letter.later({"tenant": "acme", "text": "a"})
    other = await letter.later({"tenant": "initech", "text": "a"})
    assert (first, again.created, other.created) == (again, False, True)


async def test_pages_of_all_shards_have_every_job_once_newest_first(backend: Backend, store: ShardedStore) -> None:
    for number in range(5):
        await enqueue_everywhere(backend, f"letter {number}")
    listed, paged, found = [job.id for job in await store.list_jobs(JobQuery(limit=50))], list[str](), list[str]()
    before, after = None, ""
    while True:
        page = await store.find_page(JobQuery(before=before, limit=3))
        paged += [job.id for job in page.jobs]
        if (before := page.next) is None:
            break
    while True:
        step = await store.find(FindStep(filter=JobFilter(), after=after, limit=2))
        found += [job.id for job in step.jobs]
        if step.after is None:
            break
        after = step.after
    assert len(listed) == 20
    assert listed == sorted(listed, reverse=True) == paged == found[::-1]


async def test_numbers_are_added_up(backend: Backend, store: ShardedStore) -> None:
    await enqueue_everywhere(backend)
    (count,) = await store.count_jobs()
    (state,) = await store.queue_states()
    assert (count.count, state.due, state.versions) == (4, 4, ((1, 4),))
    assert [one.count for one in await store.enqueued_counts()] == [4]
    assert await store.count_due(backend.request(limit=1)) == 4


async def test_a_batch_of_several_shards_is_counted_and_cancelled_as_one(backend: Backend) -> None:
    letter = Letter.using(backend)
    batch = await letter.later_many([{"tenant": tenant} for tenant in TENANTS.values()])
    assert (await batch.counts()).pending == 4
    assert [*await letter.find_batch(batch.id)] == sorted(batch)
    assert await batch.cancel() == 4
    assert (await batch.counts()).cancelled == 4


async def test_a_completion_job_runs_in_the_shard_of_its_batch(backend: Backend, store: ShardedStore) -> None:
    letter, done = Letter.using(backend), CleanUp.using(backend)
    of_one = [{"tenant": TENANTS["us"], "text": text} for text in "ab"]
    batch = await letter.later_many(of_one, then=done.new_job({}))
    assert await store.shard_of_id(batch.id) == "us"
    with pytest.raises(InvalidOptionError, match=r"the jobs are in several shards \(asia, eu, sa, us\)"):
        await letter.later_many([{"tenant": one, "text": "c"} for one in TENANTS.values()], then=done.new_job({}))


async def test_a_completion_job_runs_once_after_its_batch(backend: Backend, store: ShardedStore) -> None:
    of_one = [{"tenant": TENANTS["us"], "text": text} for text in "ab"]
    batch = await Letter.using(backend).later_many(of_one, then=CleanUp.using(backend).new_job({}))
    ticks = [await tick(backend) for _ in range(3)]
    assert [one.completed for one in ticks] == [3, 0, 0]
    record = await store.get(batch.id)
    assert record is not None
    assert (record.job_name, record.status, record.attempt_count) == ("CleanUp", JobStatus.COMPLETED, 1)


async def test_the_jobs_of_a_transaction_are_in_one_shard(backend: Backend) -> None:
    params = [{"tenant": TENANTS[shard]} for shard in ("us", "eu")]
    with closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(InvalidOptionError, match=r"the jobs Letter are in several shards \(eu, us\), and a trans"):
            Letter.using(backend).later_many_in(connection, params)
        with pytest.raises(SchemaMissingError):  # of one shard
            Letter.using(backend).later_many_in(connection, params[:1])


async def test_changes_reach_the_job_where_it_is(backend: Backend, store: ShardedStore) -> None:
    ids = await enqueue_everywhere(backend)
    await store.cancel(ids["sa"])
    await store.retry(ids["sa"])
    assert await store.cancel_many([*ids.values()]) == ["cancelled"] * 4
    assert await store.retry_many([*ids.values()]) == ["retried"] * 4
    assert await store.delete([*ids.values(), "0"]) == [*["deleted"] * 4, "not found"]
    assert {entry.target for entry in await store.audit_log(AuditQuery())} == set(ids.values())
    with pytest.raises(JobNotFoundError):
        await store.cancel(ids["eu"])


async def test_a_paused_queue_is_paused_in_all_shards(store: ShardedStore) -> None:
    assert await store.pause_queue("default")
    assert [[queue.name for queue in await one.paused_queues()] for one in store.stores.values()] == [["default"]] * 4
    assert [queue.name for queue in await store.paused_queues()] == ["default"]
    assert await store.resume_queue("default")


async def test_pruning_scans_one_shard_after_another(backend: Backend, store: ShardedStore) -> None:
    ids = await enqueue_everywhere(backend)
    await store.cancel_many([*ids.values()])
    rules = (PruneRule(status=JobStatus.CANCELLED, age=timedelta(0)),)
    counts, places = list[int](), [""]
    while len(places) < 20:
        step = await store.prune(PruneStep(rules=rules, after=places[-1], limit=1, dry_run=True))
        counts.append(step.count)
        if step.after is None:
            break
        places.append(step.after)
    assert sum(counts) == 4
    assert {place.partition(":")[0] for place in places} == {"", *SHARDS}


async def test_lists_leave_out_a_shard_that_is_down_and_name_it(backend: Backend, store: ShardedStore) -> None:
    ids = await enqueue_everywhere(backend)
    down(store, "eu")
    assert [job.id for job in await store.list_jobs(JobQuery())] == sorted({*ids.values()} - {ids["eu"]}, reverse=True)
    assert [*store.silent] == ["eu"]


async def test_a_job_is_not_missing_while_a_shard_is_down(backend: Backend, store: ShardedStore) -> None:
    ids = await enqueue_everywhere(backend)
    batch = await Letter.using(backend).later_many([{"tenant": TENANTS["us"], "text": "more"}])
    down(store, "eu")
    assert (await store.get(ids["us"])) is not None
    for call in (
        store.get(ids["eu"]),
        store.get("unknown"),
        store.cancel(ids["eu"]),
        store.attempts(ids["eu"]),
        store.list_jobs(JobQuery(ids=(ids["eu"], ids["us"]))),
        store.cancel_many([ids["eu"]]),
        store.find(FindStep(filter=JobFilter())),
        batch.counts(),
        store.pause_queue("default"),
        store.find_schedule("unknown"),
    ):
        with pytest.raises(ShardUnreachableError, match=r"^a shard does not answer: eu: the server is down$"):
            await call


async def test_a_job_of_another_shard_is_stored_while_one_is_down(backend: Backend, store: ShardedStore) -> None:
    down(store, "eu")
    letter = Letter.using(backend)
    await letter.later({"tenant": TENANTS["us"]})
    with pytest.raises(ShardUnreachableError, match=r"^a shard does not answer: eu:"):
        await letter.later_many([{"tenant": tenant, "text": "x"} for tenant in TENANTS.values()])
    assert sum(count.count for count in await store.count_jobs()) == 4


async def test_the_first_call_after_an_outage_is_answered(backend: Backend, store: ShardedStore) -> None:
    down(store, "eu")
    await store.open()
    of_shard = store.stores["eu"]
    assert isinstance(of_shard, UnreliableStore)
    of_shard.is_down = False
    assert await store.shard_of_id(await Letter.using(backend).later({"tenant": TENANTS["eu"]})) == "eu"
    assert store.silent == {}


async def test_lists_leave_out_a_shard_that_let_the_last_call_wait(
    backend: Backend, store: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_everywhere(backend)
    eu = store.stores["eu"]
    assert isinstance(eu, UnreliableStore)
    for long_wait, expected in ((60.0, 4), (0.0, 3)):  # a refusal at once, and one after a time limit
        monkeypatch.setattr(fan_out, "LONG_WAIT", long_wait)
        eu.is_down = True
        assert len(await store.list_jobs(JobQuery())) == 3
        eu.is_down = False
        assert len(await store.list_jobs(JobQuery())) == expected
    assert [*store.silent] == ["eu"]
    monkeypatch.setattr(fan_out, "PAUSE", 0.0)
    assert len(await store.list_jobs(JobQuery())) == 4
    assert store.silent == {}


async def test_the_shards_of_jobs_are_read_without_those_that_do_not_answer(
    backend: Backend, store: ShardedStore
) -> None:
    ids = await enqueue_everywhere(backend)
    eu = store.stores["eu"]
    assert isinstance(eu, UnreliableStore)
    eu.hangs = True
    async with asyncio.timeout(5):
        assert await shards_of(store, [ids["us"]]) == {ids["us"]: "us"}
    eu.hangs, eu.is_down = False, True
    assert len(await store.list_jobs(JobQuery())) == 3
    eu.hangs = True
    async with asyncio.timeout(5):
        assert await shards_of(store, [ids["us"], ids["sa"]]) == {ids["us"]: "us", ids["sa"]: "sa"}


async def test_no_shard_at_all_is_an_error(store: ShardedStore) -> None:
    for shard in SHARDS:
        down(store, shard)
    with pytest.raises(ShardUnreachableError, match=r"^shards do not answer: asia: the server is down; eu:"):
        await store.open()


async def test_schedules_are_in_the_shard_of_their_params_in_a_named_one_or_in_each(
    backend: Backend, store: ShardedStore
) -> None:
    for of_shard in store.stores.values():  # as a migration of each database
        for registration in registry.registrations():
            await of_shard.save_schedules(declaration_of(registration.job).schedules)
    await backend.scheduler.declare()
    places = {shard: {one.name for one in await each.list_schedules()} for shard, each in store.stores.items()}
    assert places == {
        "asia": {"everywhere", "at-home"},
        "eu": {"everywhere"},
        "sa": {"everywhere", "daily"},
        "us": {"everywhere", "in-us"},
    }
    assert [one.name for one in await store.list_schedules()] == ["at-home", "everywhere", "in-us", "daily"]


async def test_a_schedule_of_run_time_is_added_where_its_params_belong(backend: Backend, store: ShardedStore) -> None:
    weekly = Letter.using(backend).schedule("weekly")
    await weekly.add(cron="0 7 * * 1", params={"tenant": TENANTS["us"]})
    assert [len(await one.list_schedules()) for one in store.stores.values()] == [0, 0, 0, 1]
    await weekly.change(params={"tenant": TENANTS["us"], "text": "news"})
    with pytest.raises(InvalidOptionError, match="Letter/weekly is in the shard us, and the new params belong to"):
        await weekly.change(params={"tenant": TENANTS["eu"]})
    await weekly.pause()
    await weekly.remove()
    assert await store.list_schedules() == []
