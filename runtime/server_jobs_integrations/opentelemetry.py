"""OpenTelemetry: a span per enqueue and per attempt, in the trace of the caller. Needs the extra `otel`."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from server_jobs.domain.tracebacks import mask_of_names
from server_jobs.middleware import Enqueue, Middleware, RunningAttempt

from .messaging_conventions import (
    ATTEMPT,
    BATCH_COUNT,
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    MAX_ATTEMPTS,
    MESSAGE_ID,
    OUTCOME,
    PROCESS,
    SEND,
    attributes,
    span_name,
)


class OpenTelemetryMiddleware(Middleware):
    """Records a producer span per enqueue and a consumer span per attempt, with OpenTelemetry's names for messaging.

    The context of the producer span travels with the job, in the format of the global propagator: W3C Trace Context by
    default. Each attempt links to it. With `parent`, it is the parent of each attempt instead, so that a request, its
    jobs and their jobs form one trace. The default provider is the global one at the first span.

    The exception of an attempt is recorded with the values of redacted params masked. Spans of the handler are not.

    Without a current span, a producer span continues the trace of the request to the HTTP routes that enqueues.

        def setup(registry: JobRegistry) -> None:
            registry.use(OpenTelemetryMiddleware(parent=True))
    """

    def __init__(self, *, parent: bool = False, tracer_provider: TracerProvider | None = None) -> None:
        self._parent = parent
        self._tracer = trace.get_tracer("server_jobs", tracer_provider=tracer_provider)

    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        facts = attributes(SEND, enqueue.job_name, enqueue.queue, enqueue.correlation_id)
        facts |= {MESSAGE_ID: enqueue.job_ids[0]} if enqueue.count == 1 else {BATCH_COUNT: enqueue.count}
        name = span_name(SEND, enqueue.queue)
        parent = context.get_current()
        if not trace.get_current_span(parent).get_span_context().is_valid:
            parent = propagate.extract(enqueue.request_trace, parent)
        with self._tracer.start_as_current_span(name, parent, kind=SpanKind.PRODUCER, attributes=facts) as span:
            propagate.inject(enqueue.headers)
            try:
                yield
            except Exception as error:
                span.set_attribute(ERROR_TYPE, type(error).__qualname__)
                raise

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        facts = attributes(PROCESS, attempt.job_name, attempt.queue, attempt.correlation_id)
        facts |= {ATTEMPT: attempt.attempt, MAX_ATTEMPTS: attempt.max_attempts}
        if attempt.job_id is not None:
            facts[MESSAGE_ID] = attempt.job_id
        sent = propagate.extract(attempt.headers, context.Context())
        producer = trace.get_current_span(sent).get_span_context()
        with self._tracer.start_as_current_span(
            span_name(PROCESS, attempt.queue),
            context=sent if self._parent and producer.is_valid else None,
            kind=SpanKind.CONSUMER,
            attributes=facts,
            links=[Link(producer)] if producer.is_valid and not self._parent else None,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                _record(error, span, attempt.mask)
                raise
            finally:
                span.set_attribute(OUTCOME, str(attempt.outcome))


def _record(error: Exception, span: Span, mask: Callable[[str], str]) -> None:
    """Record an exception as OpenTelemetry does, with masked texts."""
    name = mask_of_names(mask)(type(error).__qualname__)
    stacktrace = "".join(map(mask, traceback.format_exception(error)))  # each part of it may be long
    texts = {EXCEPTION_TYPE: name, EXCEPTION_MESSAGE: mask(str(error)), EXCEPTION_STACKTRACE: stacktrace}
    span.set_attribute(ERROR_TYPE, name)
    span.record_exception(error, attributes=texts)
    span.set_status(Status(StatusCode.ERROR, mask(f"{type(error).__name__}: {error}")))
