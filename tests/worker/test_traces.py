"""One trace from an application, or from the caller of a request, to the attempt in a Worker."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from server_jobs import create_job_registry
from server_jobs_cloudflare import CloudflareWorkerBackend
from server_jobs_integrations.opentelemetry import OpenTelemetryMiddleware

from tests.worker.chores.jobs import Shout
from tests.worker.project import WorkerProject
from tests.worker.workerd import RemoteD1, Workerd

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_attempt_continues_the_trace_of_the_application_or_the_request_that_enqueued_it(
    chores_project: WorkerProject, tmp_path: Path
) -> None:
    provider, sent = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(sent))
    registry = create_job_registry().register(Shout)
    registry.use(OpenTelemetryMiddleware(parent=True, tracer_provider=provider))

    with Workerd(traced(chores_project, tmp_path / "chores")) as worker:
        backend = CloudflareWorkerBackend(database=RemoteD1(worker), job_registry=registry)
        job = await Shout.using(backend).later({"text": "hello"})
        worker.tick()
        [attempt] = spans_of(worker, job)
        created = worker.request("POST", "/_jobs/jobs/Shout", document={"params": {"text": "hello"}})
        enqueue, attempt_at_once = spans_of(worker, created.body["id"])
        created = worker.request(
            "POST", "/_jobs/jobs/Shout", headers={"traceparent": TRACEPARENT}, document={"params": {"text": "hello"}}
        )
        continued, attempt_of_caller = spans_of(worker, created.body["id"])

    [producer] = sent.get_finished_spans()
    assert producer.context is not None
    assert attempt["span"] == "process default"
    assert (attempt["trace"], attempt["parent"]) == (producer.context.trace_id, producer.context.span_id)
    assert (enqueue["span"], enqueue["parent"], attempt_at_once["span"]) == ("send default", None, "process default")
    assert (attempt_at_once["trace"], attempt_at_once["parent"]) == (enqueue["trace"], enqueue["id"])
    assert (continued["trace"], continued["parent"]) == (TRACE_ID, SPAN_ID)
    assert (attempt_of_caller["trace"], attempt_of_caller["parent"]) == (TRACE_ID, continued["id"])


def traced(chores: WorkerProject, root: Path) -> WorkerProject:
    """Return a copy of a project that traces its jobs."""
    project = chores.copy(root)
    shutil.copytree(Path(__file__).parent / "traced", root / "traced", ignore=shutil.ignore_patterns("__pycache__"))
    section = "[tool.server-jobs]\n"
    project.edit("pyproject.toml", section, f'{section}setup = "traced.tracing:set_up"\n')
    project.edit("generated/worker/wrangler.jsonc", '"python3 bundle.py"', '"python3 bundle.py traced"')
    project.generate()
    project.install(tests=True)
    project.build()
    return project


def spans_of(worker: Workerd, job_id: str) -> list[Mapping[str, Any]]:
    """Return the spans of a job that has ended."""
    return [line for _, line in worker.lines_of([job_id]) if "span" in line]
