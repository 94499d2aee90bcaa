"""Sentry: report the errors of attempts. Needs the package `sentry-sdk`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from ..domain.outcomes import DoNotRetryError
from ..middleware import Middleware, RunningAttempt


class SentryMiddleware(Middleware):
    """Reports each error that ends a job: of the last attempt, or a `DoNotRetryError`.

    With `every_attempt`, reports errors that a retry follows too. Each attempt has an isolation scope. Its tags are
    also on the events that the handler reports itself. `sentry_sdk.init` is up to the application.

        def setup(registry: JobRegistry) -> None:
            sentry_sdk.init(os.environ.get("SENTRY_DSN"))
            registry.use(SentryMiddleware())
    """

    def __init__(self, *, every_attempt: bool = False) -> None:
        self._every_attempt = every_attempt
        ignore_logger("server_jobs.attempts")  # its records name the same errors again

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        with sentry_sdk.isolation_scope() as scope:
            scope.set_transaction_name(attempt.job_name)
            scope.set_tags(
                {
                    "job": attempt.job_name,
                    "job_id": attempt.job_id,
                    "queue": attempt.queue,
                    "attempt": attempt.attempt,
                    "correlation_id": attempt.correlation_id,
                }
            )
            try:
                yield
            except Exception as error:
                if self._every_attempt or attempt.is_last or isinstance(error, DoNotRetryError):
                    sentry_sdk.capture_exception(error)
                raise
