"""A fake replaces a job for every call, records its params, and leaves no trace."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from pydantic import BaseModel
from server_jobs import (
    Backend,
    InvalidOptionError,
    InvalidParamsError,
    Job,
    JobContext,
    JobOptions,
    JobQuery,
    JobStatus,
    connect,
    create_job_registry,
    define_job,
    tick,
)
from server_jobs.memory import InMemoryBackend
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock, FakeJob

from generated.jobs import SendEmail
from generated.models.send_email import SendEmailParams, SendEmailResult
from generated.testing.send_email import fake_send_email, send_email_params, send_email_results
from tests.conformance.stores import create_sqlite_file
from tests.runtime.testing.jobs_of_tests import EVERY_WAY, Enqueue, Send, Sent, new_registry, url

MESSAGE = SendEmailParams(to=["ada@example.com"], subject="Hello", body=".")
SENT = SendEmailResult.model_validate_json(
    '{"messageId": "<1@x>", "sentAt": "2026-03-29T08:30:00Z",'
    ' "transport": "smtp", "recipients": ["a@b.c"], "refused": []}'
)


class Nothing(BaseModel):
    pass


class Order(BaseModel):
    number: int


class Ordered(BaseModel):
    job_id: str


async def order(params: Order, context: JobContext) -> Ordered:
    message = {"to": ["ada@example.com"], "subject": f"Order {params.number}", "body": "."}
    return Ordered(job_id=await SendEmail.later(message))  # type: ignore[arg-type]


def order_job() -> type[Job[Order, Ordered, Mapping[str, object]]]:
    """Return a job whose handler sends mail."""
    return define_job(name="Order", params=Order, result=Ordered, handler=order)


async def test_an_enqueued_job_runs_the_fake_at_once() -> None:
    with fake_send_email(SENT) as calls:
        job = await SendEmail.later(MESSAGE)
        await SendEmail.later_many([MESSAGE.model_copy(update={"subject": "Second"})])
        result = await SendEmail.now(MESSAGE)

        assert [one.subject for one in calls] == ["Hello", "Second", "Hello"]
        assert calls[0] == MESSAGE
        assert (await job.result()).data == result.data == SENT
        assert await job.status() is JobStatus.COMPLETED
    assert SendEmail.backend is None


@pytest.mark.parametrize("enqueue", EVERY_WAY)
async def test_no_way_to_enqueue_misses_the_fake(enqueue: Enqueue, tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "real.sqlite3")
    with FakeJob(Send, result=Sent(message_id="fake")) as calls:
        await enqueue(tmp_path)

    assert [call.to for call in calls] == ["ada"]
    async with connect(new_registry(), url(tmp_path)) as backend:
        assert await backend.store.list_jobs(JobQuery(limit=9)) == []


async def test_jobs_that_are_stored_already_and_those_of_schedules_get_the_fake() -> None:
    clock = FakeClock()
    backend = InMemoryBackend(job_registry=new_registry(), clock=clock)
    await Send.using(backend).later({"to": "stored"})
    await tick(backend)  # a first tick notes the next time of the schedule
    await Send.using(backend).later({"to": "stored"})

    with FakeJob(Send, result=Sent(message_id="fake")) as calls:
        clock.advance(timedelta(hours=1))
        assert (await tick(backend)).completed == 2

    assert sorted(call.to for call in calls) == ["ada", "stored"]


async def test_the_fake_of_a_handler_with_its_own_process_runs_here() -> None:
    pids: list[int] = []

    def answer(params: Order) -> Ordered:
        pids.append(os.getpid())
        return Ordered(job_id="1")

    job = define_job(name="Apart", params=Order, result=Ordered, handler=order, options=JobOptions(run_in="process"))
    backend = Backend(database=MemoryStore(), job_registry=create_job_registry().register(job))
    await job.using(backend).later({"number": 1})
    with FakeJob(job, result=answer):
        await tick(backend)

    assert pids == [os.getpid()]
    await backend.shutdown()


def test_plain_code_is_faked_as_well() -> None:
    with fake_send_email(SENT) as calls:
        SendEmail.later_sync(MESSAGE)

    assert calls == [MESSAGE]


async def test_params_that_do_not_fit_are_refused_as_ever() -> None:
    with fake_send_email(SENT) as calls:
        with pytest.raises(InvalidParamsError):
            await SendEmail.later({"to": [], "subject": "", "body": ""})
        assert calls == []


async def test_the_handler_of_another_job_gets_the_fake() -> None:
    backend = InMemoryBackend(job_registry=create_job_registry().register(order_job()).register(SendEmail))
    with fake_send_email(SENT) as calls:
        result = await order_job().using(backend).now({"number": 7})

    assert result.ok, result.error
    assert [one.subject for one in calls] == ["Order 7"]


async def test_outside_of_its_block_the_job_is_bound_as_before() -> None:
    backend = InMemoryBackend(job_registry=create_job_registry().register(SendEmail))
    with SendEmail.bound_to(backend):
        with fake_send_email(SENT), fake_send_email(SENT) as inner:
            await SendEmail.later(MESSAGE)
        await SendEmail.later(MESSAGE)

        assert len(inner) == 1
        assert len(await backend.store.list_jobs(JobQuery(limit=9))) == 1


async def test_a_fake_may_answer_by_its_params_or_fail() -> None:
    def answer(params: SendEmailParams) -> SendEmailResult:
        return SENT.model_copy(update={"recipients": params.to})

    with fake_send_email(answer):
        assert (await SendEmail.now(MESSAGE)).data.recipients == MESSAGE.to
    with fake_send_email(error=OSError("no route to host")) as calls:
        result = await SendEmail.now(MESSAGE)
        assert "no route to host" in str(result.error)
        assert calls == [MESSAGE]


async def test_a_job_whose_fake_fails_raises_from_its_result() -> None:
    with fake_send_email(error=OSError("no route to host")) as calls:
        job = await SendEmail.later(MESSAGE)
        assert await job.status() is JobStatus.FAILED
        result = await job.result()
    assert "no route to host" in str(result.error)
    assert calls == [MESSAGE]


async def test_without_a_result_one_is_found_that_fits() -> None:
    with fake_send_email():
        result = await SendEmail.now(MESSAGE)

    assert result.data.transport == "outbox"


def test_without_a_result_and_without_hypothesis_a_fake_gives_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server_jobs.testing.strategies", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)

    with pytest.raises(InvalidOptionError, match=r"give `result=`, or install server-jobs\[testing\]"):
        fake_send_email()
    empty = define_job(name="Empty", params=Order, result=Nothing, handler=lambda params, context: Nothing())
    assert FakeJob(empty).calls == []


async def test_a_fake_can_be_registered_as_a_handler() -> None:
    fake = fake_send_email(SENT)
    backend = InMemoryBackend(job_registry=create_job_registry().register(SendEmail, fake.handle))

    assert (await SendEmail.using(backend).now(MESSAGE)).data == SENT
    assert fake.calls == [MESSAGE]


@settings(max_examples=10)
@given(send_email_params(), send_email_results())
def test_fakes_and_strategies_go_together(params: SendEmailParams, result: SendEmailResult) -> None:
    with fake_send_email(result) as calls:
        assert asyncio.run(SendEmail.now(params)).data == result

    assert calls == [params]


def test_a_fake_needs_no_secret_for_keys_of_redacted_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_KEY_SECRET", raising=False)

    with FakeJob(SendEmail, result=SENT) as calls:
        asyncio.run(SendEmail.later(MESSAGE))

    assert len(calls) == 1
    with pytest.raises(InvalidOptionError, match="JOBS_KEY_SECRET"):
        SendEmail.new_job(MESSAGE)
