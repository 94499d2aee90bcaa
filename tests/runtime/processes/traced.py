"""Jobs in their own processes whose spans go to the file in `SPANS`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from server_jobs import JobContext, JobRegistry
from server_jobs_integrations.opentelemetry import OpenTelemetryMiddleware

from tests.runtime.processes.handlers import Order, Report, order_job, report

SPANS = "SERVER_JOBS_TEST_SPANS"

provider = TracerProvider()


class WrittenSpan(NamedTuple):
    """A line of the file. `name` contains the job instead of the queue."""

    name: str
    trace: int
    id: str
    parent: str | None
    pid: int


class ToFile(SpanExporter):
    """Writes a line per span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ[SPANS]).open("a", encoding="utf-8") as file:
            for span in spans:
                job = str((span.attributes or {}).get("server_jobs.job", ""))
                assert span.context is not None
                parent = None if span.parent is None else f"{span.parent.span_id:016x}"
                name = f"{span.name.split()[0]} {job}".strip()
                written = WrittenSpan(name, span.context.trace_id, f"{span.context.span_id:016x}", parent, os.getpid())
                file.write(json.dumps(written) + "\n")
        return SpanExportResult.SUCCESS


def spans() -> list[WrittenSpan]:
    """Return all spans."""
    return [WrittenSpan(*json.loads(line)) for line in Path(os.environ[SPANS]).read_text(encoding="utf-8").splitlines()]


def set_up(registry: JobRegistry) -> None:
    """Trace every job."""
    provider.add_span_processor(SimpleSpanProcessor(ToFile()))
    registry.use(OpenTelemetryMiddleware(parent=True, tracer_provider=provider))


async def enqueue(order: Order, context: JobContext) -> Report:
    """Enqueue a child within a span."""
    with provider.get_tracer("tests").start_as_current_span("work"):
        await Child.later({})
    return report(str(trace.get_current_span().is_recording()))


def plain(order: Order, context: JobContext) -> Report:
    return report("")


Parent = order_job(enqueue, "Parent")
Child = order_job(plain, "Child")
