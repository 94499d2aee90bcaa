"""Events of structlog name the job that logs them."""

from __future__ import annotations

import structlog
from server_jobs import JobContext, create_job_registry
from server_jobs.memory import InMemoryBackend
from server_jobs_integrations.structlog import StructlogMiddleware
from structlog.testing import LogCapture

from tests.runtime.example_jobs import Text, text_job


async def test_each_event_of_a_handler_names_its_job() -> None:
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])

    async def handler(params: Text, context: JobContext) -> Text:
        structlog.get_logger().info("sent")
        return plain(params, context)

    def plain(params: Text, context: JobContext) -> Text:
        structlog.get_logger().info("sent")
        return params

    try:
        for name, one in (("Async", handler), ("Plain", plain)):
            capture.entries.clear()
            job = text_job(one, name)
            backend = InMemoryBackend(job_registry=create_job_registry().register(job).use(StructlogMiddleware()))
            job_id = (await job.using(backend).now({"text": "x"}, correlation_id="request 5")).metadata.job_id
            structlog.get_logger().info("outside")
            assert capture.entries[0] == {
                "event": "sent",
                "log_level": "info",
                "job_name": name,
                "job_id": job_id,
                "attempt": 1,
                "correlation_id": "request 5",
            }
            assert capture.entries[-1] == {"event": "outside", "log_level": "info"}
    finally:
        structlog.reset_defaults()
