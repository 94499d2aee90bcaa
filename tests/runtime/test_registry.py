"""Registered jobs, and the jobs that a worker can run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from server_jobs import (
    ConcurrencyLimit,
    DuplicateRegistrationError,
    HandlerMissingError,
    HandlerNotImplementedError,
    Job,
    JobContext,
    JobNotBoundError,
    JobOptions,
    UnknownJobError,
    create_job_registry,
)
from server_jobs.domain.record import KnownJob
from server_jobs.stores.memory import MemoryStore

from tests.runtime.example_jobs import Text, backend_on, echo, fail, text_job


class SendEmail(Job[Text, Text, Mapping[str, object]]):
    """A job as the generator writes it, without a handler."""

    job_name = "SendEmail"
    spec_name = "send_email"
    params_model = Text
    result_model = Text
    options = JobOptions(version=3, concurrency=ConcurrencyLimit(limit=2))


async def stub(params: Text, context: JobContext) -> Text:
    """A stub as the generator writes it."""
    raise HandlerNotImplementedError("SendEmail")


async def begun(params: Text, context: JobContext) -> Text:
    """A handler that is no stub any more, although a part is still missing."""
    if params.text:
        return Text(text=params.text)
    raise HandlerNotImplementedError("SendEmail")


def test_registering_is_chained_and_keeps_its_order() -> None:
    registry = (
        create_job_registry().register(text_job(echo, "B")).register(SendEmail, echo).register(text_job(echo, "A"))
    )
    assert registry.get_names() == ["B", "SendEmail", "A"]


def test_a_second_job_of_the_same_name_is_refused() -> None:
    registry = create_job_registry().register(text_job(echo))
    with pytest.raises(DuplicateRegistrationError, match="'Echo' is registered already"):
        registry.register(text_job(fail))
    assert registry.handler_of(text_job(fail, "Echo")) is echo


def test_jobs_are_found_by_job_name_and_by_spec_name() -> None:
    registry = create_job_registry().register(SendEmail, echo)
    assert registry.get("SendEmail") is registry.get("send_email") is SendEmail
    assert registry.has("SendEmail")
    assert registry.has("send_email")
    assert registry.find("send_email").handler is echo


def test_an_unknown_name_gives_none_or_an_error_that_lists_the_names() -> None:
    registry = create_job_registry().register(SendEmail, echo)
    assert registry.get("SendMail") is None
    assert not registry.has("SendMail")
    with pytest.raises(UnknownJobError, match="no job named 'SendMail' is registered; registered: SendEmail"):
        registry.find("SendMail")


def test_a_job_without_a_handler_is_known_but_cannot_be_run_here() -> None:
    registry = create_job_registry().register(SendEmail)
    assert registry.known_jobs() == ()
    assert not registry.find("SendEmail").is_stub
    with pytest.raises(HandlerMissingError, match=r"SendEmail has no handler here; register one with"):
        registry.handler_of(SendEmail)


def test_a_worker_knows_names_versions_and_limits() -> None:
    registry = create_job_registry().register(SendEmail, echo).register(text_job(echo))
    assert registry.known_jobs() == (KnownJob("SendEmail", 3, ConcurrencyLimit(limit=2)), KnownJob("Echo", 1))


def test_a_stub_is_recognized_and_a_started_handler_is_not() -> None:
    registry = create_job_registry().register(SendEmail, stub)
    assert registry.find("SendEmail").is_stub
    assert registry.known_jobs() == ()
    assert not create_job_registry().register(SendEmail, begun).find("SendEmail").is_stub


def test_binding_reaches_every_job_and_can_be_undone() -> None:
    first, second = text_job(echo, "First"), text_job(echo, "Second")
    backend = backend_on(MemoryStore(), first, second)
    assert first.backend is second.backend is backend
    assert backend.registry.bind(None) is backend.registry
    assert first.backend is None


async def test_a_run_that_is_not_stored_needs_no_backend() -> None:
    seen: list[JobContext] = []

    async def handler(params: Text, context: JobContext) -> Text:
        seen.append(context)
        return Text(text=params.text.upper())

    job = text_job(handler)
    assert (await job.now({"text": "a"}, persist=False, correlation_id="c")).data == Text(text="A")
    assert (seen[0].job_id, seen[0].correlation_id, seen[0].database) == (None, "c", None)
    assert [result.data.text for result in await job.now_many([{"text": "b"}], persist=False)] == ["B"]
    with pytest.raises(JobNotBoundError):
        await job.now({"text": "a"})


async def test_a_run_that_is_not_stored_finds_the_handler_in_the_registry() -> None:
    class Bare(Job[Text, Text, dict[str, object]]):
        job_name = spec_name = "Bare"
        params_model = result_model = Text

    with pytest.raises(HandlerMissingError, match="import the registry"):
        await Bare.now({"text": "a"}, persist=False)
    registry = create_job_registry().register(Bare, echo)
    assert (await Bare.now({"text": "a"}, persist=False)).data == Text(text="a")
    assert registry.has("Bare")


async def test_an_unbound_job_raises_an_error_with_advice() -> None:
    ways = r"Echo is not bound to a backend: .*connect.*set_database.registry.*Echo\.set_database"
    with pytest.raises(JobNotBoundError, match=ways):
        await text_job(echo).later({"text": "a"}, delay=timedelta(seconds=1))
