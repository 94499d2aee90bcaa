"""A trace goes from the caller to each attempt, through every way to enqueue."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanContext, SpanKind, StatusCode
from server_jobs import Backend, DoNotRetryError, JobContext, JobOptions, Worker, connect, create_job_registry
from server_jobs.job import AnyJob
from server_jobs.memory import InMemoryBackend
from server_jobs_integrations import messaging_conventions
from server_jobs_integrations.opentelemetry import OpenTelemetryMiddleware
from sqlalchemy import create_engine

from tests.conformance.stores import create_sqlite_file
from tests.runtime.example_jobs import Gate, Text, echo, fail, retried_at_once, text_job, turns, until
from tests.runtime.processes import traced
from tests.runtime.processes.handlers import registry_of
from tests.server_jobs_http.caller import Caller

PARAMS = {"text": "hello"}
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Child = text_job(echo, "Child")


async def fail_twice(params: Text, context: JobContext) -> Text:
    """Fail in the first two attempts, then enqueue a child."""
    if context.attempt < 3:
        raise ValueError("no good")
    await Child.later(params)
    return params


class Tracing:
    """A provider whose finished spans a test reads."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The finished spans, in the order of their start."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """The finished spans with this name."""
        return [span for span in self.spans if span.name == name]


def memory(tracing: Tracing, *jobs: AnyJob, parent: bool = False) -> InMemoryBackend:
    """Return a backend with these jobs bound to it."""
    registry = create_job_registry().use(OpenTelemetryMiddleware(parent=parent, tracer_provider=tracing.provider))
    for job in jobs:
        registry.register(job)
    backend = InMemoryBackend(job_registry=registry)
    registry.bind(backend)
    return backend


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def ids(context: object) -> tuple[int, int]:
    """Return the ids of the trace and of the span."""
    assert isinstance(context, SpanContext)
    return context.trace_id, context.span_id


def test_the_names_are_those_of_the_conventions() -> None:
    ours = {name for name in vars(messaging_conventions).values() if isinstance(name, str)}
    known = {name for name in vars(messaging_attributes).values() if isinstance(name, str)}
    assert {name for name in ours if name.startswith("messaging.")} <= known
    assert messaging_conventions.ERROR_TYPE == error_attributes.ERROR_TYPE
    operations = {value.value for value in messaging_attributes.MessagingOperationTypeValues}
    assert {messaging_conventions.SEND, messaging_conventions.PROCESS} <= operations


async def test_an_enqueue_is_a_producer_span_in_the_trace_of_the_caller() -> None:
    tracing, job = Tracing(), text_job(echo)
    memory(tracing, job)
    with tracing.tracer.start_as_current_span("request") as request:
        job_id = await job.later(PARAMS, correlation_id="request 5")
    (send,) = tracing.named("send default")
    assert send.kind is SpanKind.PRODUCER
    assert ids(send.parent) == ids(request.get_span_context())
    assert attributes(send) == {
        "messaging.system": "server_jobs",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.message.id": job_id,
        "messaging.message.conversation_id": "request 5",
        "server_jobs.job": "Echo",
    }


async def test_a_job_continues_the_trace_of_a_request_without_instrumentation() -> None:
    tracing, job = Tracing(), text_job(fail_twice, options=retried_at_once())
    backend = memory(tracing, job, Child, parent=True)
    headers = {"traceparent": TRACEPARENT, "tracestate": "rojo=1,congo=2"}
    reply = await Caller(backend)("POST", "/jobs/Echo", {"params": PARAMS}, headers=headers)
    await Worker(backend, until_empty=True).run()
    send, *later = tracing.spans
    assert send.name == "send default"
    assert ids(send.parent) == (TRACE_ID, SPAN_ID)
    assert [span.name for span in later] == [*["process default"] * 3, "send default", "process default"]
    assert {ids(span.context)[0] for span in later} == {TRACE_ID}
    record = await backend.store.get(reply.json()["id"])
    assert record is not None
    span_id = ids(send.context)[1]
    assert json.loads(record.headers or "") == {
        "traceparent": f"00-{TRACE_ID:032x}-{span_id:016x}-01",
        "tracestate": "rojo=1,congo=2",
    }


async def test_the_decision_of_the_caller_not_to_record_is_kept() -> None:
    tracing, job = Tracing(), text_job(echo)
    backend = memory(tracing, job, parent=True)
    unsampled = {"traceparent": f"{TRACEPARENT[:-2]}00"}
    reply = await Caller(backend)("POST", "/jobs/Echo", {"params": PARAMS}, headers=unsampled)
    await Worker(backend, until_empty=True).run()
    record = await backend.store.get(reply.json()["id"])
    assert record is not None
    assert f"{TRACE_ID:032x}" in (record.headers or "")
    assert tracing.spans == []


async def test_the_span_of_an_instrumented_application_is_the_parent() -> None:
    tracing, job = Tracing(), text_job(echo)
    backend = memory(tracing, job)
    with tracing.tracer.start_as_current_span("request") as request:
        await Caller(backend)("POST", "/jobs/Echo", {"params": PARAMS}, headers={"traceparent": TRACEPARENT})
    (send,) = tracing.named("send default")
    assert ids(send.parent) == ids(request.get_span_context())


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        TRACEPARENT[:-1],
        f"{TRACEPARENT}-more",
        TRACEPARENT.upper(),
        f"ff{TRACEPARENT[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        f"01{TRACEPARENT[2:]}-{'x' * 1000}",
        f"{TRACEPARENT},{TRACEPARENT}",
    ],
)
async def test_an_invalid_header_starts_a_new_trace(traceparent: str, caplog: pytest.LogCaptureFixture) -> None:
    tracing, job = Tracing(), text_job(echo)
    backend = memory(tracing, job)
    headers = {"traceparent": traceparent, "tracestate": "x" * 2000}
    reply = await Caller(backend)("POST", "/jobs/Echo", {"params": PARAMS}, headers=headers)
    assert reply.status_code == 201
    (send,) = tracing.spans
    assert send.parent is None
    assert ids(send.context)[0] != TRACE_ID
    assert caplog.records == []


async def test_many_jobs_of_one_call_are_one_batch() -> None:
    tracing, job = Tracing(), text_job(echo)
    backend = memory(tracing, job)
    await job.later_many([PARAMS, PARAMS, PARAMS])
    (send,) = tracing.spans
    assert attributes(send)["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes(send)
    await Worker(backend, until_empty=True).run()
    assert [len(span.links) for span in tracing.named("process default")] == [1, 1, 1]


async def test_an_attempt_is_a_consumer_span_with_a_link_to_the_producer() -> None:
    tracing, job = Tracing(), text_job(echo)
    backend = memory(tracing, job)
    job_id = await job.later(PARAMS)
    await Worker(backend, until_empty=True).run()
    send, process = tracing.spans
    assert process.name == "process default"
    assert process.kind is SpanKind.CONSUMER
    assert process.parent is None
    assert [ids(link.context) for link in process.links] == [ids(send.context)]
    assert attributes(process) == {
        "messaging.system": "server_jobs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": job_id,
        "server_jobs.job": "Echo",
        "server_jobs.attempt": 1,
        "server_jobs.max_attempts": 3,
        "server_jobs.outcome": "completed",
    }
    assert process.status.status_code is StatusCode.UNSET


async def test_one_trace_goes_from_a_request_through_retries_into_a_child_job() -> None:
    tracing, job = Tracing(), text_job(fail_twice, options=retried_at_once())
    backend = memory(tracing, job, Child, parent=True)
    with tracing.tracer.start_as_current_span("request"):
        await job.later(PARAMS)
    await Worker(backend, until_empty=True).run()
    assert len({ids(span.context)[0] for span in tracing.spans}) == 1
    assert len(tracing.spans) == 7
    attempts = [span for span in tracing.named("process default") if attributes(span)["server_jobs.job"] == "Echo"]
    (send, child_send) = tracing.named("send default")
    assert [attributes(span)["server_jobs.attempt"] for span in attempts] == [1, 2, 3]
    assert [ids(span.parent) for span in attempts] == [ids(send.context)] * 3
    assert ids(child_send.parent) == ids(attempts[2].context)
    (child,) = [span for span in tracing.named("process default") if attributes(span)["server_jobs.job"] == "Child"]
    assert ids(child.parent) == ids(child_send.context)


async def test_a_failed_attempt_has_the_error() -> None:
    tracing, job = Tracing(), text_job(fail, options=retried_at_once(1))
    backend = memory(tracing, job)
    await job.later(PARAMS)
    await Worker(backend, until_empty=True).run()
    (process,) = tracing.named("process default")
    assert process.status.status_code is StatusCode.ERROR
    assert process.status.description == "ValueError: no good: hello"
    assert attributes(process)["error.type"] == "ValueError"
    assert attributes(process)["server_jobs.outcome"] == "failed"
    (event,) = process.events
    assert (event.attributes or {})["exception.message"] == "no good: hello"


@pytest.mark.parametrize("is_stored", [True, False])
async def test_redacted_params_are_masked_in_the_error(is_stored: bool) -> None:
    tracing, job = Tracing(), text_job(fail, options=JobOptions(max_attempts=1, redact=("/text",)))
    backend = memory(tracing, job)
    if is_stored:
        await job.later({"text": "my-secret"})
        await Worker(backend, until_empty=True).run()
    else:
        assert not (await job.now({"text": "my-secret"})).ok
    (process,) = tracing.named("process default")
    assert process.status.description == "ValueError: no good: •••"
    (event,) = process.events
    facts = event.attributes or {}
    assert facts["exception.message"] == "no good: •••"
    assert "Traceback" in str(facts["exception.stacktrace"])
    assert "my-secret" not in process.to_json()


async def test_a_redacted_value_is_masked_in_the_class_of_the_error() -> None:
    async def handler(params: Text, context: JobContext) -> Text:
        raise type(params.text, (DoNotRetryError,), {})("no good")

    tracing, job = Tracing(), text_job(handler, options=JobOptions(max_attempts=1, redact=("/text",)))
    memory(tracing, job)
    assert not (await job.now({"text": "MySecret"})).ok
    (process,) = tracing.named("process default")
    assert process.status.description == "•••: no good"
    assert attributes(process)["error.type"] == "•••"
    assert "MySecret" not in process.to_json()


async def test_a_released_attempt_is_no_error() -> None:
    tracing, gate = Tracing(), Gate()
    job = text_job(gate)
    backend = memory(tracing, job)
    await job.later(PARAMS)
    (claim,) = (await backend.poll_and_claim()).claimed_jobs
    running = asyncio.create_task(backend.execute(claim))
    await turns()
    await backend.release_lock(claim.id)
    await until(running)
    (process,) = tracing.named("process default")
    assert process.status.status_code is StatusCode.UNSET
    assert attributes(process)["server_jobs.outcome"] == "released"


@pytest.mark.parametrize("is_plain", [False, True])
async def test_spans_of_a_handler_are_inside_of_its_attempt(is_plain: bool) -> None:
    tracing = Tracing()

    def plain(params: Text, context: JobContext) -> Text:
        with tracing.tracer.start_as_current_span("work"):
            return params

    async def handler(params: Text, context: JobContext) -> Text:
        return plain(params, context)

    job = text_job(plain if is_plain else handler)
    memory(tracing, job)
    assert (await job.now(PARAMS)).ok
    (work,), (process,) = tracing.named("work"), tracing.named("process default")
    assert ids(work.parent) == ids(process.context)
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_trace_goes_through_later_in_and_the_rows_of_a_database(tmp_path: Path) -> None:
    tracing, job = Tracing(), text_job(echo)
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    registry = create_job_registry().register(job)
    registry.use(OpenTelemetryMiddleware(parent=True, tracer_provider=tracing.provider))
    engine = create_engine(f"sqlite:///{tmp_path}/jobs.sqlite3")
    with tracing.tracer.start_as_current_span("request") as request, engine.begin() as connection:
        job.later_in(connection, PARAMS)
    engine.dispose()
    async with connect(registry, f"sqlite:///{tmp_path}/jobs.sqlite3") as backend:
        await Worker(backend, until_empty=True).run()
    (process,) = tracing.named("process default")
    assert ids(process.context)[0] == ids(request.get_span_context())[0]


async def test_a_trace_goes_through_handler_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(traced.SPANS, str(tmp_path / "spans"))
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    registry = registry_of(traced.Parent, traced.Child)
    registry.set_up(traced.set_up)
    backend = Backend(database=f"sqlite:///{tmp_path}/jobs.sqlite3", job_registry=registry)
    await traced.Parent.using(backend).later({})
    await Worker(backend, until_empty=True).run()
    await backend.shutdown()
    spans = traced.spans()
    assert sorted(span.name for span in spans) == [
        *("process Child", "process Parent", "send Child", "send Parent", "work"),
    ]
    assert len({span.trace for span in spans}) == 1
    by_id = {span.id: span.name for span in spans}
    assert {span.name: by_id.get(span.parent or "") for span in spans} == {
        "send Parent": None,
        "process Parent": "send Parent",
        "work": "process Parent",
        "send Child": "work",
        "process Child": "send Child",
    }
    assert [span.name for span in spans if span.pid == os.getpid()] == ["send Parent"]
