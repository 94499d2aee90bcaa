"""structlog: every event of a handler names its job. Needs the package `structlog`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server_jobs.middleware import Middleware, RunningAttempt
from structlog.contextvars import bound_contextvars


class StructlogMiddleware(Middleware):
    """Binds `job_name`, `job_id`, `attempt` and `correlation_id` to structlog's context variables in each attempt.

    The configuration of structlog needs the processor `structlog.contextvars.merge_contextvars`, a default of it.

        def setup(registry: JobRegistry) -> None:
            registry.use(StructlogMiddleware())
    """

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        with bound_contextvars(
            job_name=attempt.job_name,
            job_id=attempt.job_id,
            attempt=attempt.attempt,
            correlation_id=attempt.correlation_id,
        ):
            yield
