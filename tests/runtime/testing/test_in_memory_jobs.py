"""All jobs of a test stay in memory, however they are enqueued, and run when the test wants it."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from server_jobs import (
    Backend,
    InvalidOptionError,
    JobContext,
    JobFailedError,
    JobOptions,
    JobStatus,
    Middleware,
    Snooze,
    create_job_registry,
    redirection,
    tick,
)
from server_jobs.concurrency.handler_threads import calling_thread
from server_jobs.testing import FakeJob, InMemoryJobs

from tests.runtime.example_jobs import Text, echo, fail, text_job
from tests.runtime.testing.jobs_of_tests import EVERY_WAY, PARAMS, Enqueue, Send, Sent, Welcome, new_registry, url

HOUR = timedelta(hours=1)


@pytest.fixture
def jobs() -> Iterator[InMemoryJobs]:
    with InMemoryJobs(new_registry()) as jobs:
        yield jobs


@pytest.mark.parametrize("enqueue", EVERY_WAY)
async def test_every_way_to_enqueue_stays_in_memory(enqueue: Enqueue, jobs: InMemoryJobs, tmp_path: Path) -> None:
    await enqueue(tmp_path)

    assert [job.params.to for job in jobs.all_enqueued(Send)] == ["ada"]
    assert not list(tmp_path.iterdir())
    assert [outcome.ok for outcome in await jobs.run_jobs()] == [True]


async def test_a_job_that_expired_is_cancelled_and_counts_as_ended_for_its_batch(jobs: InMemoryJobs) -> None:
    batch = await Send.later_many([PARAMS], then=Send.new_job({"to": "boss"}), expires_after=HOUR)
    jobs.clock.advance(2 * HOUR)

    outcomes = await jobs.run_jobs()

    assert await batch[0].status() is JobStatus.CANCELLED
    assert [outcome.metadata.job_id for outcome in outcomes] == [batch.id]


async def test_a_completion_job_runs_after_the_jobs_of_its_batch(jobs: InMemoryJobs) -> None:
    batch = await Send.later_many([PARAMS, PARAMS], then=Send.new_job({"to": "boss"}))

    outcomes = await jobs.run_jobs()

    assert [outcome.metadata.job_id for outcome in outcomes] == [*batch, batch.id]
    assert (await batch.counts()).completed == 2


async def test_a_completion_job_runs_at_once_after_the_jobs_of_its_batch(jobs: InMemoryJobs) -> None:
    jobs.eager = True
    batch = await Send.later_many([PARAMS], then=Send.new_job(PARAMS))

    assert (await Send.handle(batch.id).result()).ok


async def test_an_open_backend_has_its_own_jobs_again_afterwards(tmp_path: Path) -> None:
    before = Backend(database=url(tmp_path), job_registry=new_registry())
    real = before.store
    with InMemoryJobs(new_registry()) as jobs:
        during = Backend(database=url(tmp_path), job_registry=new_registry())
        await before.insert([Send.new_job(PARAMS)])
        await during.insert([Send.new_job(PARAMS)])
        assert before.store is during.store is jobs.backend.store
        assert len(jobs.all_enqueued()) == 2

    assert before.store is real
    assert during.store.name == "sqlite"
    assert Send.backend is None


def test_a_redirection_ends_with_its_block() -> None:
    assert redirection.current is None
    with suppress(ValueError), InMemoryJobs(new_registry()), FakeJob(Send):
        assert redirection.current is not None
        raise ValueError("no good")
    assert redirection.current is None


async def test_jobs_are_found_by_some_params_and_options(jobs: InMemoryJobs) -> None:
    at = datetime.now(UTC) + HOUR
    await Send.later({"to": "ada", "subject": "News"}, priority=5)
    await Send.later({"to": "bob"}, scheduled_for=at)

    assert jobs.assert_enqueued(Send, subject="News", priority=5, queue="default").params.to == "ada"
    assert jobs.assert_enqueued(Send, delay=HOUR).params.to == "bob"
    assert jobs.assert_enqueued(Send, scheduled_for=at).record.status is JobStatus.PENDING
    assert len(jobs.all_enqueued(Send)) == len(jobs.all_enqueued()) == 2
    jobs.refute_enqueued(Send, to="ada", subject="Hello")
    jobs.refute_enqueued(Send, delay=2 * HOUR)
    jobs.refute_enqueued(Welcome)


async def test_a_failed_assertion_lists_the_jobs_that_were_enqueued_instead(jobs: InMemoryJobs) -> None:
    with pytest.raises(AssertionError, match="no Send was enqueued, and no other job"):
        jobs.assert_enqueued(Send)
    await Welcome.later(PARAMS, delay=HOUR)
    with pytest.raises(AssertionError) as other:
        jobs.assert_enqueued(Send, to="bob")
    await Send.later(PARAMS)
    with pytest.raises(AssertionError) as same:
        jobs.assert_enqueued(Send, to="bob")
    with pytest.raises(AssertionError, match=r"^unexpected Send:\n  Send\(to='ada', subject='Hello'\) in queue"):
        jobs.refute_enqueued(Send)

    assert str(other.value).splitlines() == [
        "no Send with to='bob' was enqueued, but:",
        "  Welcome(to='ada', subject='Hello') in queue default, delay 1h, pending",
    ]
    assert (
        str(same.value)
        == "no Send with to='bob' was enqueued, but:\n  Send(to='ada', subject='Hello') in queue default, pending"
    )


def test_a_misspelt_name_is_an_error_and_no_missing_job(jobs: InMemoryJobs) -> None:
    with pytest.raises(InvalidOptionError, match="Send has no param or option 'subjct'; did you mean 'subject'"):
        jobs.refute_enqueued(Send, subjct="Hello")


def test_the_name_of_a_job_in_place_of_its_class_is_an_error(jobs: InMemoryJobs) -> None:
    name: Any = "Send"
    for check in (jobs.assert_enqueued, jobs.refute_enqueued, jobs.all_enqueued):
        with pytest.raises(InvalidOptionError, match="pass the job class, such as SendEmail, not 'Send'"):
            check(name)


async def test_now_runs_a_job_and_enqueues_none(jobs: InMemoryJobs) -> None:
    assert (await Send.now(PARAMS)).data == Sent(message_id="<1@ada>")
    assert (await Send.now(PARAMS, persist=False)).ok

    jobs.refute_enqueued()


def test_plain_code_runs_jobs_and_those_that_they_enqueue(jobs: InMemoryJobs) -> None:
    Welcome.later_sync(PARAMS)

    outcomes = jobs.run_jobs()

    assert [outcome.metadata.job_name for outcome in outcomes] == ["Welcome", "Send"]
    assert jobs.assert_enqueued(Send, to="ada").record.status is JobStatus.COMPLETED
    assert jobs.run_jobs() == []


async def test_delayed_jobs_and_retries_run_once_the_clock_reaches_them(jobs: InMemoryJobs) -> None:
    handle = await Send.later(PARAMS, delay=HOUR)

    assert await jobs.run_jobs() == []
    jobs.clock.advance(HOUR)
    assert len(await jobs.run_jobs()) == 1
    assert await handle.status() is JobStatus.COMPLETED


async def test_a_failure_raises_the_error_of_the_handler() -> None:
    failing = text_job(fail, options=JobOptions(max_attempts=2))
    with InMemoryJobs(create_job_registry().register(failing)) as jobs:
        handle = await failing.later({"text": "one"})
        with pytest.raises(ValueError, match="no good: one") as caught:
            await jobs.run_jobs()
        assert await handle.status() is JobStatus.PENDING
        jobs.clock.advance(HOUR)
        (outcome,) = await jobs.run_jobs(raise_errors=False)

    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"
    assert caught.value.__notes__ == [f"in Echo {handle}, attempt 1 of 2"]
    assert "no good" in str(outcome.error)


async def test_params_that_cannot_be_read_are_an_error_too(jobs: InMemoryJobs) -> None:
    await jobs.backend.insert([Send.new_job(PARAMS)._replace(params="[]")])

    with pytest.raises(JobFailedError, match="Send"):
        await jobs.run_jobs()


async def test_a_due_job_that_cannot_run_here_is_an_error(jobs: InMemoryJobs) -> None:
    await text_job(echo).later({"text": "one"})

    with pytest.raises(InvalidOptionError, match="Echo is due and cannot run here: no such job is registered"):
        await jobs.run_jobs()


async def test_a_snoozed_job_waits() -> None:
    async def later(params: Text, context: JobContext) -> Text | Snooze:
        return Snooze(HOUR) if context.attempt == 1 and not context.progress else Text(text="done")

    with InMemoryJobs(create_job_registry().register(job := text_job(later))) as jobs:
        await job.later({"text": "one"})
        (outcome,) = await jobs.run_jobs()
        assert outcome.metadata.status is JobStatus.PENDING


def test_a_forgotten_await_fails_the_test() -> None:
    async def forgetful(jobs: InMemoryJobs) -> None:
        jobs.run_jobs()

    with pytest.raises(AssertionError, match=r"write `await jobs\.run_jobs\(\)`"), InMemoryJobs(new_registry()) as jobs:
        asyncio.run(forgetful(jobs))


def test_plain_handlers_run_in_the_thread_of_the_test_with_its_context() -> None:
    variable = ContextVar[str]("variable", default="unset")
    seen: list[tuple[threading.Thread, str]] = []

    def note(params: Text, context: JobContext) -> Text:
        seen.append((threading.current_thread(), variable.get()))
        return params

    plain = text_job(note)
    with InMemoryJobs(create_job_registry().register(plain)) as jobs:
        variable.set("set")
        plain.later_sync({"text": "one"})
        jobs.run_jobs()
        jobs.eager = True
        plain.later_sync({"text": "two"})

    assert seen == [(threading.main_thread(), "set")] * 2


def test_a_run_beside_django_leaves_the_context_of_the_test_as_it_was(jobs: InMemoryJobs) -> None:
    importlib.import_module("asgiref.sync")  # Django's own loop runs the jobs then, and hands its context back
    Welcome.later_sync(PARAMS)
    jobs.run_jobs()
    assert calling_thread.get() is None


def test_a_plain_handler_may_run_an_event_loop_with_another_plain_handler() -> None:
    inner = text_job(lambda params, context: params, "Inner")

    def nested(params: Text, context: JobContext) -> Text:
        return asyncio.run(inner.now(params)).data

    outer = text_job(nested, "Outer")
    with InMemoryJobs(create_job_registry().register(inner).register(outer)) as jobs:
        outer.later_sync({"text": "one"})
        (outcome,) = jobs.run_jobs()

    assert outcome.data == Text(text="one")


async def test_handlers_that_have_their_own_process_run_here() -> None:
    pids: list[int] = []

    async def note(params: Text, context: JobContext) -> Text:
        pids.append(os.getpid())
        return params

    job = text_job(note, options=JobOptions(run_in="process"))
    with InMemoryJobs(create_job_registry().register(job)) as jobs:
        await job.later({"text": "one"})
        await jobs.run_jobs()

    assert pids == [os.getpid()]


def test_eager_jobs_run_when_they_are_enqueued_due_or_not() -> None:
    failing = text_job(fail)
    with InMemoryJobs(new_registry().register(failing), eager=True) as jobs:
        handle = Welcome.later_sync(PARAMS, delay=HOUR)
        assert handle.result_sync().ok
        assert jobs.assert_enqueued(Send).record.status is JobStatus.COMPLETED
        with pytest.raises(ValueError, match="no good"):
            failing.later_sync({"text": "one"})
        assert jobs.run_jobs() == []


async def test_middleware_surrounds_enqueues_and_runs() -> None:
    calls: list[str] = []

    class Noting(Middleware):
        def around_enqueue(self, enqueue):  # type: ignore[no-untyped-def]
            calls.append("enqueue")
            return super().around_enqueue(enqueue)

        def around_attempt(self, attempt):  # type: ignore[no-untyped-def]
            calls.append("attempt")
            return super().around_attempt(attempt)

    with InMemoryJobs(new_registry().use(Noting())) as jobs:
        await Send.later(PARAMS)
        await jobs.run_jobs()

    assert calls == ["enqueue", "attempt"]


async def test_schedules_fire_in_a_tick(jobs: InMemoryJobs) -> None:
    await tick(jobs.backend)
    jobs.clock.advance(HOUR)
    await tick(jobs.backend)

    assert jobs.assert_enqueued(Send, to="ada").record.status is JobStatus.COMPLETED


@pytest.mark.parametrize("token", [None, "", "a-token-of-a-developer-with-many-characters-1234"])
def test_links_need_no_token_of_the_developer(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("JOBS_TOKEN", token)

    with InMemoryJobs(new_registry()):
        used = os.environ["JOBS_TOKEN"]
        assert Send.handle("1").events_link().startswith("/_jobs/jobs/1/events?")

    assert (used == token) is bool(token)
    assert os.environ.get("JOBS_TOKEN") == token


async def test_the_jobs_of_a_fake_are_among_all_jobs(jobs: InMemoryJobs) -> None:
    with FakeJob(Send, result=Sent(message_id="fake")) as calls:
        await Welcome.later(PARAMS)
        await jobs.run_jobs()
    await Send.later({"to": "bob"})

    assert [call.to for call in calls] == ["ada"]
    assert [job.record.result for job in jobs.all_enqueued(Send)] == ['{"message_id":"fake"}', None]
