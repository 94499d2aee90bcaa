"""Why a job is where it is: one test for each reason makes the situation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs import ConcurrencyLimit, JobNotFoundError, JobOptions, RateLimit, UpcastNotImplementedError
from server_jobs.contract.upcasts import EarlierVersion
from server_jobs.domain.record import UNREADABLE, Ended, Failed, Outcome
from server_jobs.domain.record.reports import TICK_LEASE, WorkerReport
from server_jobs.engine.tick import tick
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.inspection.why import Cause, Reason, why
from server_jobs.registry import JobRegistry
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.runtime.example_jobs import SECOND, Text, TextJob, backend_on, echo, retried_at_once, text_job

PARAMS = {"text": "hello"}
LEASE = timedelta(minutes=1)
WORKER = WorkerReport(
    id="w1", host="machine", pid=17, queues=None, concurrency=2, version="1", known=(("Echo", 1), ("Other", 1))
)


class Situation:
    """A backend on a fake clock with one job class, and a living worker that knows it unless told otherwise."""

    def __init__(self, options: JobOptions | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.job: TextJob = text_job(echo, options=options)
        self.backend: PollingBackend = backend_on(self.store, self.job, clock=self.clock)

    async def report(self, worker: WorkerReport = WORKER) -> None:
        await self.store.renew([], LEASE, [worker])

    async def reasons(self, job_id: str) -> Sequence[Reason]:
        return (await why(self.store, self.backend.registry, job_id))[1]

    async def reason(self, job_id: str) -> Reason:
        (reason,) = await self.reasons(job_id)
        return reason


async def test_a_job_that_nothing_blocks_is_next() -> None:
    here = Situation()
    await here.report()
    job_id = str(await here.job.later(PARAMS))

    assert (await here.reason(job_id)).cause is Cause.NEXT


async def test_a_paused_queue_is_named_with_the_time_of_the_pause() -> None:
    here = Situation()
    await here.report()
    job_id = str(await here.job.later(PARAMS))
    await here.store.pause_queue("default")

    reason = await here.reason(job_id)
    assert (reason.cause, reason.since) == (Cause.QUEUE_PAUSED, here.clock.now())
    assert reason.advice == "`server-jobs resume default` lets its jobs be claimed again"


async def test_a_job_for_later_is_not_due() -> None:
    here = Situation()
    await here.report()
    job_id = str(await here.job.later(PARAMS, delay=timedelta(hours=2)))

    reason = await here.reason(job_id)
    assert (reason.cause, reason.text) == (Cause.NOT_DUE, "it is not due yet")
    assert reason.until == here.clock.now() + timedelta(hours=2)


async def test_a_job_between_two_attempts_waits_for_the_next_one() -> None:
    here = Situation(JobOptions(max_attempts=4))
    await here.report()
    job_id = str(await here.job.later(PARAMS))
    (claim,) = (await here.backend.poll_and_claim(1)).claimed_jobs
    await here.store.settle([Failed(claim.id, claim.token, "no", SECOND)])

    reason = await here.reason(job_id)
    assert reason.text == "attempt 1 of 4 did not succeed, and the next one is not due yet"
    assert (reason.cause, reason.until) == (Cause.NOT_DUE, here.clock.now() + SECOND)


async def test_a_late_job_says_by_when_it_had_to_start() -> None:
    here = Situation()
    job_id = str(await here.job.later(PARAMS, expires_after=SECOND))
    here.clock.advance(2 * SECOND)

    reason = await here.reason(job_id)
    assert (reason.cause, reason.since) == (Cause.LATE, here.clock.now() - SECOND)
    assert reason.text.startswith("expired: it had to start by 20")


async def test_a_job_that_follows_a_running_one_names_it() -> None:
    here = Situation()
    await here.report()
    first = str(await here.job.later(PARAMS, unique_key="k"))
    await here.backend.poll_and_claim(1)
    job_id = str(await here.job.later(PARAMS, unique_key="k", on_conflict="replace"))

    reason = await here.reason(job_id)
    assert (reason.cause, reason.jobs) == (Cause.REPLACED_RUNS, (first,))
    assert reason.text == f"it replaced {first}, which still runs, and starts afterwards"


async def test_a_full_limit_names_the_jobs_that_use_it_up() -> None:
    here = Situation(JobOptions(concurrency=ConcurrencyLimit(limit=1, by=("/text",))))
    await here.report()
    first = str(await here.job.later(PARAMS))
    other = str(await here.job.later({"text": "other"}))
    await here.backend.poll_and_claim(1)
    job_id = str(await here.job.later(PARAMS))

    reasons = {reason.cause: reason for reason in await here.reasons(job_id)}
    assert reasons[Cause.CONCURRENCY].jobs == (first,)
    assert reasons[Cause.CONCURRENCY].text == (
        f"its limit of 1 running job with the same values at /text is used up by {first}"
    )
    assert {reason.cause for reason in await here.reasons(other)} == {Cause.NEXT}


async def test_an_exceeded_rate_says_until_when() -> None:
    here = Situation(JobOptions(rate=RateLimit(limit=1, per=timedelta(minutes=5))))
    await here.report()
    await here.job.later(PARAMS)
    began = here.clock.now()
    (claim,) = (await here.backend.poll_and_claim(1)).claimed_jobs
    await here.backend.execute(claim)
    here.clock.advance(SECOND)
    await here.report()
    job_id = str(await here.job.later(PARAMS))

    reason = await here.reason(job_id)
    assert (reason.cause, reason.until) == (Cause.RATE, began + timedelta(minutes=5))
    assert reason.text == "its rate of 1 starts in 5m is used up"


async def test_without_a_living_worker_the_last_one_is_remembered() -> None:
    here = Situation()
    job_id = str(await here.job.later(PARAMS))
    assert (await here.reason(job_id)).text == "no worker is alive"

    await here.report()
    seen = here.clock.now()
    here.clock.advance(LEASE + SECOND)
    reason = await here.reason(job_id)
    assert (reason.cause, reason.text, reason.since) == (Cause.NO_WORKER, "no worker is alive", seen)


@pytest.mark.parametrize(
    ("worker", "text"),
    [
        (replace(WORKER, queues=("mail",)), "no living worker claims from its queue default"),
        (replace(WORKER, known=(("Other", 1),)), "no living worker of its queue can run Echo now"),
        (replace(WORKER, known=(("Echo", 2), ("Echo", 3))), "it has version 1 of Echo, and living workers know 2, 3"),
    ],
)
async def test_workers_that_cannot_run_the_job_are_told_apart(worker: WorkerReport, text: str) -> None:
    here = Situation()
    await here.report(worker)
    job_id = str(await here.job.later(PARAMS))

    reason = await here.reason(job_id)
    assert (reason.cause, reason.text) == (Cause.NO_WORKER, text)
    await here.report(replace(WORKER, id="w2"))
    assert (await here.reason(job_id)).cause is Cause.NEXT


async def test_where_ticks_run_the_jobs_the_next_tick_runs_it() -> None:
    here = Situation()
    await tick(here.backend)
    reported = here.clock.now()
    job_id = str(await here.job.later(PARAMS))
    here.clock.advance(timedelta(minutes=20))

    reason = await here.reason(job_id)
    assert reason.cause is Cause.NEXT
    assert reason.text == (
        f"nothing stands in its way; the next tick runs it, and the last one reported at {reported:%Y-%m-%d %H:%M} UTC"
    )
    await here.report()
    assert (await here.reason(job_id)).text == "nothing stands in its way; a worker claims it within a moment"


async def test_ticks_that_stopped_long_ago_are_missed_since_their_last_report() -> None:
    here = Situation()
    await tick(here.backend)
    reported = here.clock.now()
    job_id = str(await here.job.later(PARAMS))
    here.clock.advance(TICK_LEASE + SECOND)

    reason = await here.reason(job_id)
    assert (reason.cause, reason.text, reason.since) == (Cause.NO_WORKER, "no worker is alive", reported)


async def test_a_tick_that_lacks_the_version_of_a_job_is_no_worker_for_it() -> None:
    here = Situation(JobOptions(version=2))
    job_id = str(await here.job.later(PARAMS))
    await tick(backend_on(here.store, text_job(echo), clock=here.clock))

    reason = (await why(here.store, JobRegistry(), job_id))[1][0]
    assert (reason.cause, reason.text) == (Cause.NO_WORKER, "it has version 2 of Echo, and living workers know 1")


async def test_workers_without_a_free_slot_are_no_reason_while_ticks_run_jobs() -> None:
    here = Situation()
    await here.report()
    await tick(here.backend)
    handles = await here.job.later_many([PARAMS] * 3)
    await here.backend.execution.take(2, worker_id=WORKER.id)

    assert (await here.reason(str(handles[-1]))).cause is Cause.NEXT


def stub(params: Text) -> Text:
    raise UpcastNotImplementedError("Echo", 1)


async def test_an_upcaster_that_is_a_stub_is_named() -> None:
    here = Situation()
    await here.report()
    job_id = str(await here.job.later(PARAMS))
    newer = text_job(echo, options=JobOptions(version=2))
    registry = backend_on(here.store).registry.register(newer, earlier=[EarlierVersion(1, Text, stub)])

    reasons = (await why(here.store, registry, job_id))[1]
    assert [reason.cause for reason in reasons] == [Cause.UPCASTER_MISSING]
    assert reasons[0].text == "the upcaster from version 1 is still a stub, and the job has version 1"


async def test_a_version_or_name_that_this_registry_lacks_is_unknown_here() -> None:
    here = Situation(JobOptions(version=2))
    job_id = str(await here.job.later(PARAMS))
    await here.report(replace(WORKER, known=(("Echo", 2),)))
    older = backend_on(here.store, text_job(echo)).registry
    other = backend_on(here.store, text_job(echo, name="Other")).registry

    texts = [(await why(here.store, registry, job_id))[1][0].text for registry in (older, other)]
    assert texts == ["it has version 2, and here is version 1", "it has version 2, and no such job is registered here"]
    assert (await why(here.store, JobRegistry(), job_id))[1][0].cause is Cause.NEXT


async def test_workers_without_a_free_slot_are_busy_and_jobs_ahead_are_counted() -> None:
    here = Situation()
    await here.report()
    handles = await here.job.later_many([PARAMS] * 5)
    await here.backend.execution.take(2, worker_id=WORKER.id)

    reasons = await here.reasons(str(handles[-1]))
    assert [reason.cause for reason in reasons] == [Cause.BUSY, Cause.AHEAD]
    assert reasons[0].text == "the 2 slots of the 1 workers that can run it are taken"
    assert reasons[1].text == "2 jobs are ahead of it in the queue"


async def test_a_parked_job_says_what_could_not_be_read() -> None:
    here = Situation()
    job_id = str(await here.job.later(PARAMS))
    (claim,) = (await here.backend.poll_and_claim(1)).claimed_jobs
    ended = Ended(Outcome.UNREADABLE, "InvalidParamsError")
    await here.store.settle([Failed(claim.id, claim.token, f"{UNREADABLE}/text is missing", None, ended=ended)])

    reason = await here.reason(job_id)
    assert reason.cause is Cause.PARKED
    assert reason.text == f"it is parked, because its params cannot be read: {UNREADABLE}/text is missing"
    assert reason.advice is not None
    assert f"server-jobs repair {job_id}" in reason.advice


async def test_a_running_job_names_its_worker_and_says_if_that_died() -> None:
    here = Situation()
    await here.report()
    job_id = str(await here.job.later(PARAMS))
    await here.backend.execution.take(1, worker_id=WORKER.id)

    reason = await here.reason(job_id)
    assert (reason.cause, reason.text) == (Cause.RUNNING, "attempt 1 of 3 is running on machine, process 17")
    here.clock.advance(LEASE + SECOND)
    reason = await here.reason(job_id)
    assert reason.text == "attempt 1 of 3 is running on machine, process 17, whose worker has died"


async def test_a_finished_job_says_how_it_ended() -> None:
    here = Situation(retried_at_once(1))
    completed, failed = str(await here.job.later(PARAMS)), str(await here.job.later(PARAMS))
    first, second = (await here.backend.poll_and_claim(2)).claimed_jobs
    await here.backend.execute(first)
    await here.store.settle([Failed(second.id, second.token, "ValueError: no", None)])

    assert (await here.reason(completed)).text == "it is completed"
    reason = await here.reason(failed)
    assert (reason.cause, reason.text) == (Cause.FINISHED, "it is failed: ValueError: no")
    assert reason.advice == f"`server-jobs retry {failed}` runs it again"


async def test_several_reasons_apply_at_once_the_weightiest_first() -> None:
    here = Situation()
    job_id = str(await here.job.later(PARAMS, delay=SECOND))
    await here.store.pause_queue("default")

    causes = [reason.cause for reason in await here.reasons(job_id)]
    assert causes == [Cause.QUEUE_PAUSED, Cause.NO_WORKER, Cause.NOT_DUE]


async def test_an_unknown_job_is_an_error() -> None:
    with pytest.raises(JobNotFoundError):
        await Situation().reason("nobody")


async def test_a_completion_job_waits_for_its_batch() -> None:
    here = Situation()
    await here.report()
    batch = await here.job.later_many([PARAMS] * 3, then=here.job.new_job(PARAMS))
    await here.job.execute_from_database(batch[0])

    reason = await here.reason(batch.id)
    assert (reason.cause, reason.advice) == (Cause.BATCH, f"`server-jobs list --batch {batch.id}` lists them")
    assert reason.text == "it waits until its batch has ended: 1 of 3 jobs have finished"
    await batch.cancel()
    assert (await here.reason(batch.id)).text.startswith("its batch has ended")
