"""Outcomes reach the store in batches, also after an outage, and never after their lease."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from server_jobs import DatabaseError, JobStatus, ValueTooLargeError
from server_jobs.domain.record import ClaimRequest, Completed, KnownJob, NewJob, Released, Settlement
from server_jobs.engine.attempts.settler import Settler
from server_jobs.errors import RowLockedError
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import SECOND, Gate, backend_on, echo, read, text_job, turns

FAR = 1e9


class Desk:
    """A settler, and running jobs whose outcomes it may store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FaultyStore(self.clock)
        self.settler = Settler(self.store, self.clock)

    async def running(self, count: int) -> list[Completed]:
        """Return outcomes of that many running jobs."""
        await self.store.insert([NewJob(id=f"j{number:03}", job_name="Echo", params="{}") for number in range(count)])
        request = ClaimRequest(known=(KnownJob("Echo", 1),), limit=count, lease=timedelta(hours=1))
        claims = await self.store.claim(request)
        return [Completed(id=claim.id, token=claim.token, result="{}") for claim in claims]

    def settle(self, outcome: Settlement, deadline: float = FAR) -> asyncio.Task[JobStatus | None]:
        """Pass an outcome to the settler."""
        answer: asyncio.Future[JobStatus | None] = asyncio.get_running_loop().create_future()

        def stored(status: JobStatus | None, error: BaseException | None) -> None:
            if error is None:
                answer.set_result(status)
            else:
                answer.set_exception(error)

        async def wait() -> JobStatus | None:
            self.settler.put(outcome, deadline=lambda: deadline, stored=stored)
            return await answer

        return asyncio.create_task(wait())

    async def wait(self, seconds: float) -> None:
        """Let time pass, a tenth of a second at a time."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(SECOND / 10)
            await turns(10)


class SlowStore(FaultyStore):
    """A store whose writes wait until the test releases them."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        statuses = await super().settle(settlements)
        await self.gate.wait()
        return statuses


async def test_outcomes_of_the_same_moment_are_written_together() -> None:
    desk = Desk()
    tasks = [desk.settle(outcome) for outcome in await desk.running(100)]
    assert await asyncio.gather(*tasks) == [JobStatus.COMPLETED] * 100
    assert [len(batch) for batch in desk.store.settlements] == [100]


async def test_outcomes_that_come_during_a_write_are_written_together_in_the_next() -> None:
    desk = Desk()
    desk.store = SlowStore(desk.clock)
    desk.settler = Settler(desk.store, desk.clock)
    first, *others = await desk.running(10)
    tasks = [desk.settle(first)]
    await turns()
    tasks += [desk.settle(outcome) for outcome in others]
    await turns()
    desk.store.gate.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in desk.store.settlements] == [1, 9]


async def test_outcomes_that_arrive_a_few_at_a_time_are_written_together() -> None:
    desk = Desk()
    outcomes = await desk.running(300)
    tasks: list[asyncio.Task[JobStatus | None]] = []
    for first in range(0, 300, 10):
        tasks += [desk.settle(outcome) for outcome in outcomes[first : first + 10]]
        await turns(1)
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in desk.store.settlements] == [250, 50]


async def test_an_outcome_alone_is_written_at_once() -> None:
    desk = Desk()
    for outcome in await desk.running(3):
        task = desk.settle(outcome)
        await turns(5)
        assert task.done()


async def test_the_answer_is_the_status_or_none_for_a_claim_that_was_lost() -> None:
    desk = Desk()
    (outcome,) = await desk.running(1)
    stale = Completed(id=outcome.id, token="old", result="{}")
    answers = [desk.settle(stale), desk.settle(outcome)]
    assert [await answer for answer in answers] == [None, JobStatus.COMPLETED]


async def test_outcomes_are_kept_and_written_when_the_database_is_back(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.store.break_down("settle")
    tasks = [desk.settle(outcome) for outcome in await desk.running(3)]
    await desk.wait(60)
    assert not any(task.done() for task in tasks)
    desk.store.mend()
    await desk.wait(5)
    assert await asyncio.gather(*tasks) == [JobStatus.COMPLETED] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "outcomes cannot be stored, trying again: the database is away (settle)",
        "outcomes are being stored again",
    ]


async def test_an_outage_is_met_with_growing_pauses() -> None:
    desk = Desk()
    desk.store.break_down("settle")
    (outcome,) = await desk.running(1)
    task = desk.settle(outcome)
    await desk.wait(60)
    assert 30 <= desk.store.calls["settle"] <= 40  # 0.1 s, 0.2 s, … then every 2 s
    desk.store.mend()
    await desk.wait(5)
    assert task.done()


async def test_an_outcome_that_is_always_refused_keeps_no_other_back() -> None:
    class Choosy(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            if any(settlement.id == "j001" for settlement in settlements):
                raise DatabaseError("a value of j001 is out of range")
            return await super().settle(settlements)

    desk = Desk()
    desk.store = Choosy(desk.clock)
    desk.settler = Settler(desk.store, desk.clock)
    *outcomes, late = await desk.running(5)
    before, refused, *after = [desk.settle(outcome, deadline=30) for outcome in outcomes]
    await desk.wait(2)
    joining = desk.settle(late)
    await desk.wait(10)
    assert not refused.done()
    others = [before, *after, joining]
    assert all(task.done() for task in others)
    assert await asyncio.gather(*others) == [JobStatus.COMPLETED] * 4
    await desk.wait(25)
    assert await asyncio.wait_for(refused, 30) is None


async def test_an_outcome_is_dropped_once_its_lease_is_over(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.store.break_down("settle")
    short, long = await desk.running(2)
    dropped, kept = desk.settle(short, deadline=10), desk.settle(long)
    await desk.wait(9)
    assert not dropped.done()
    await desk.wait(10)
    assert dropped.done()
    assert await dropped is None
    assert "the outcome of job j000 was dropped: its lease expired first" in caplog.text
    desk.store.mend()
    await desk.wait(5)
    assert await kept is JobStatus.COMPLETED
    record = await desk.store.get("j000")
    assert record is not None
    assert record.status is JobStatus.RUNNING


async def test_an_unexpected_error_reaches_its_callers_and_later_outcomes_are_written() -> None:
    class BrokenOnce(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            statuses = await super().settle(settlements)
            if self.calls["settle"] == 1:
                raise RuntimeError("a bug")
            return statuses

    desk = Desk()
    desk.store = BrokenOnce(desk.clock)
    desk.settler = Settler(desk.store, desk.clock)
    first, second = await desk.running(2)
    failing = desk.settle(first)
    await turns(2)
    joining = desk.settle(second)
    with pytest.raises(RuntimeError, match="a bug"):
        await failing
    assert await asyncio.wait_for(joining, 30) is JobStatus.COMPLETED


async def test_a_job_whose_outcome_meets_an_outage_is_completed_by_the_same_attempt() -> None:
    clock, gate = FakeClock(), Gate()
    store, job = FaultyStore(clock), text_job(gate)
    backend = backend_on(store, job, clock=clock)
    job_id = await job.later({"text": "a"})
    task = asyncio.create_task(backend.execute((await backend.poll_and_claim()).claimed_jobs[0]))
    await turns()
    store.break_down("settle", "renew", error=DatabaseError("down"))
    gate.opened.set()
    for _ in range(60):
        clock.advance(SECOND)
        await turns()
    store.mend()
    for _ in range(6):
        clock.advance(SECOND)
        await turns()
    assert (await task).success
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.COMPLETED, 1)


class TooBig(FaultyStore):
    """A store whose database rejects results of more than ten characters."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        if any(isinstance(one, Completed) and len(one.result) > 10 for one in settlements):
            raise DatabaseError("string or blob too big")
        return await super().settle(settlements)


async def test_a_result_that_the_database_will_never_take_fails_the_job_and_says_how_long_it_is() -> None:
    clock = FakeClock()
    store, job = TooBig(clock), text_job(echo)
    backend = backend_on(store, job, clock=clock)
    job_id = await job.later({"text": "long enough"})
    task = asyncio.create_task(backend.execute((await backend.poll_and_claim()).claimed_jobs[0]))
    for _ in range(60):
        clock.advance(SECOND)
        await turns()
    assert task.done()
    record = await read(backend, job_id)
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 1)
    assert record.error == "its result of 22 characters could not be stored: string or blob too big"


async def test_a_result_that_is_too_large_fails_its_job_and_delays_no_other() -> None:
    class Narrow(FaultyStore):
        async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
            self.calls["settle"] += 1
            if any(isinstance(one, Completed) and one.id == "j001" for one in settlements):
                raise ValueTooLargeError("a row has at most 10 bytes")
            return await MemoryStore.settle(self, settlements)

    desk = Desk()
    desk.store = Narrow(desk.clock)
    desk.settler = Settler(desk.store, desk.clock)

    answers = await asyncio.gather(*[desk.settle(outcome) for outcome in await desk.running(4)])

    assert sorted(str(answer) for answer in answers) == ["completed", "completed", "completed", "failed"]
    record = await desk.store.get("j001")
    assert record is not None
    assert record.error == "its result of 2 characters could not be stored: a row has at most 10 bytes"
    assert desk.store.calls["settle"] <= 6


async def test_an_outcome_that_is_too_large_even_as_a_failure_is_given_up_at_once() -> None:
    desk = Desk()
    desk.store.break_down("settle", error=ValueTooLargeError("a row has at most 10 bytes"))
    (outcome,) = await desk.running(1)

    with pytest.raises(ValueTooLargeError):
        await desk.settle(outcome)

    assert desk.store.calls["settle"] == 2


async def test_a_full_disk_fails_no_job_however_long_it_lasts() -> None:
    clock = FakeClock()
    store, job = FaultyStore(clock), text_job(echo)
    backend = backend_on(store, job, clock=clock)
    job_id = await job.later({"text": "a"})
    claim = (await backend.poll_and_claim()).claimed_jobs[0]
    store.break_down("settle", "renew", error=DatabaseError("database or disk is full"))
    task = asyncio.create_task(backend.execute(claim))
    for _ in range(200):
        clock.advance(SECOND)
        await turns()
    store.mend()
    for _ in range(10):
        clock.advance(SECOND)
        await turns()
    assert (await task).success
    assert (await read(backend, job_id)).status is JobStatus.COMPLETED


async def test_after_an_outage_outcomes_are_written_in_batches_again() -> None:
    desk = Desk()
    desk.store.break_down("settle")
    tasks = [desk.settle(outcome) for outcome in await desk.running(100)]
    await desk.wait(3)
    desk.store.mend()
    desk.store.settlements.clear()
    await desk.wait(10)
    await asyncio.gather(*tasks)
    sizes = [len(batch) for batch in desk.store.settlements]
    assert sizes[:4] == [1, 2, 4, 8]
    assert sum(sizes) == 100


class LockedRows(FaultyStore):
    """A store with locked rows."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.locked: set[str] = set()

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[JobStatus | None]:
        if any(settlement.id in self.locked for settlement in settlements):
            raise RowLockedError("a row is locked")
        return await super().settle(settlements)


async def test_the_outcome_of_a_locked_row_delays_no_other_one() -> None:
    desk = Desk()
    desk.store = store = LockedRows(desk.clock)
    desk.settler = Settler(store, desk.clock)
    outcomes = await desk.running(20)
    store.locked = {"j005", "j013"}
    tasks = {outcome.id: desk.settle(outcome) for outcome in outcomes}
    await turns(200)
    assert {job_id for job_id, task in tasks.items() if not task.done()} == store.locked
    assert not desk.settler.is_failing
    await desk.wait(5)
    store.locked.clear()
    await desk.wait(1)
    assert {await task for task in tasks.values()} == {JobStatus.COMPLETED}


async def test_the_outcome_of_a_row_that_stays_locked_is_dropped_with_its_lease() -> None:
    desk = Desk()
    desk.store = store = LockedRows(desk.clock)
    desk.settler = Settler(store, desk.clock)
    (outcome,) = await desk.running(1)
    store.locked = {outcome.id}
    task = desk.settle(outcome, deadline=desk.clock.monotonic() + 2)
    await desk.wait(3)
    assert await task is None


@pytest.mark.parametrize("kind", ["release", "outcome"])
async def test_a_release_that_is_refused_again_and_again_does_not_fail_its_job(kind: str) -> None:
    """An outcome that is refused while its lease is renewed becomes a failure. A job that never ran must not."""
    desk = Desk()
    (completed,) = await desk.running(1)
    released = Released(id=completed.id, token=completed.token)
    statuses: list[JobStatus | None] = []
    desk.store.break_down("settle")
    desk.settler.put(
        released if kind == "release" else completed,
        deadline=lambda: desk.clock.monotonic() + 9,
        stored=lambda status, _: statuses.append(status),
    )
    await desk.wait(15)
    desk.store.mend()
    await desk.wait(3)
    assert statuses == [JobStatus.PENDING if kind == "release" else None]
