"""Sentry gets the errors that end a job, with the job."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport
from server_jobs import DoNotRetryError, JobContext, JobOptions, Worker, create_job_registry
from server_jobs.memory import InMemoryBackend
from server_jobs_integrations.sentry import SentryMiddleware

from tests.runtime.example_jobs import Text, TextJob, echo, fail, retried_at_once, text_job

PARAMS = {"text": "hello"}


class Kept(Transport):
    """Keeps events instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, object]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(dict(event))


@pytest.fixture
def sent() -> Iterator[list[dict[str, object]]]:
    """Yield the events that Sentry would get."""
    transport = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            "https://key@sentry.example/1",
            transport=transport,
            default_integrations=False,  # others change threads of this process for good
            integrations=[LoggingIntegration()],
        )
        yield transport.events
        sentry_sdk.get_client().close()
        sentry_sdk.init(default_integrations=False)


async def run(job: TextJob, *, every_attempt: bool = False) -> str:
    """Run all attempts of the job, and return its id."""
    registry = create_job_registry().register(job).use(SentryMiddleware(every_attempt=every_attempt))
    backend = InMemoryBackend(job_registry=registry)
    handle = await job.using(backend).later(PARAMS, correlation_id="request 5")
    await Worker(backend, until_empty=True).run()
    return str(handle)


async def test_the_error_of_the_last_attempt_is_reported_once_with_its_job(sent: list[dict[str, object]]) -> None:
    job_id = await run(text_job(fail, options=retried_at_once(3)))
    (event,) = sent
    assert event["tags"] == {
        "job": "Echo",
        "job_id": job_id,
        "queue": "default",
        "attempt": 3,
        "correlation_id": "request 5",
    }
    assert event["transaction"] == "Echo"
    assert "no good: hello" in str(event["exception"])


async def test_the_error_of_every_attempt_is_reported_by_option(sent: list[dict[str, object]]) -> None:
    await run(text_job(fail, options=retried_at_once(3)), every_attempt=True)
    assert len(sent) == 3


async def test_an_error_without_retries_is_reported_in_the_first_attempt(sent: list[dict[str, object]]) -> None:
    async def refuse(params: Text, context: JobContext) -> Text:
        raise DoNotRetryError("closed")

    await run(text_job(refuse))
    assert len(sent) == 1


async def test_events_of_a_handler_have_the_tags_and_others_do_not(sent: list[dict[str, object]]) -> None:
    async def report(params: Text, context: JobContext) -> Text:
        sentry_sdk.capture_message("slow")
        return params

    await run(text_job(report))
    sentry_sdk.capture_message("outside")
    inside, outside = sent
    assert isinstance(inside["tags"], dict)
    assert inside["tags"]["job"] == "Echo"
    assert "tags" not in outside


async def test_redacted_params_are_masked_in_every_event_of_the_attempt(sent: list[dict[str, object]]) -> None:
    async def leak(params: Text, context: JobContext) -> Text:
        copied = {"inner": [params.text]}
        sentry_sdk.get_isolation_scope().set_extra("copied", copied)
        sentry_sdk.get_isolation_scope().set_context("order", {"text": params.text, "trace": params.text})
        logging.getLogger("shop").warning("reading %s", params.text)
        sentry_sdk.capture_message(f"slow: {params.text}")
        raise ValueError(f"no good: {copied}")

    await run(text_job(leak, options=JobOptions(max_attempts=1, redact=("/text",))))
    sentry_sdk.capture_message("hello outside")
    message, error, outside = sent
    assert message["message"] == "slow: •••"
    (exception,) = error["exception"]["values"]  # type: ignore[index]
    assert exception["value"] == "no good: {'inner': ['•••']}"
    assert exception["stacktrace"]["frames"][-1]["vars"]["copied"] == {"inner": ["'•••'"]}
    assert "reading •••" in str(error["breadcrumbs"])
    assert len(error["contexts"]["trace"]["trace_id"]) == 32  # type: ignore[index]
    assert all("hello" not in str(event) for event in (message, error))
    assert outside["message"] == "hello outside"


async def test_redacted_params_are_masked_in_keys_tags_and_users(sent: list[dict[str, object]]) -> None:
    async def leak(params: Text, context: JobContext) -> Text:
        counts = {params.text: 1}
        scope = sentry_sdk.get_isolation_scope()
        scope.set_tag(params.text, "x")
        scope.set_tag("queue", params.text)
        scope.set_user({"id": params.text, params.text: 1})
        scope.set_context(params.text, {params.text: [1]})
        scope.set_extra(params.text, 1)
        scope.set_transaction_name(params.text)
        scope.fingerprint = [params.text]
        raise ValueError(len(counts))

    job_id = await run(text_job(leak, options=JobOptions(max_attempts=1, redact=("/text",))))
    (event,) = sent
    assert "hello" not in str(event)
    assert event["tags"] == {"job": "Echo", "job_id": job_id, "attempt": 1, "correlation_id": "request 5"} | {
        "queue": "•••",
        "•••": "x",
    }
    assert event["user"] == {"id": "•••", "•••": 1}


async def test_a_completed_job_reports_nothing(sent: list[dict[str, object]]) -> None:
    await run(text_job(echo))
    assert sent == []
