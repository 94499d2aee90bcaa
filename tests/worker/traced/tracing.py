"""Traces every job. Each finished span is a line of the console."""

from __future__ import annotations

import json
from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from server_jobs import JobRegistry
from server_jobs_integrations.opentelemetry import OpenTelemetryMiddleware


class ToConsole(SpanExporter):
    """Prints a line per span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            assert span.context is not None
            parent = None if span.parent is None else span.parent.span_id
            ids = {"trace": span.context.trace_id, "id": span.context.span_id, "parent": parent}
            job_id = (span.attributes or {}).get("messaging.message.id")
            print(json.dumps({"span": span.name, "job_id": job_id, **ids}))
        return SpanExportResult.SUCCESS


def set_up(registry: JobRegistry) -> None:
    """Trace every job."""
    provider = TracerProvider(resource=Resource({}))  # the default resource is collected by threads
    provider.add_span_processor(SimpleSpanProcessor(ToConsole()))
    registry.use(OpenTelemetryMiddleware(parent=True, tracer_provider=provider))
