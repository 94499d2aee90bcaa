"""Sentry: report the errors of attempts. Needs the package `sentry-sdk`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from ..domain.outcomes import DoNotRetryError
from ..middleware import Middleware, RunningAttempt

if TYPE_CHECKING:
    from sentry_sdk.types import Event

_TEXTS = {"exception", "message", "logentry", "threads", "breadcrumbs", "extra", "contexts"}
"""The parts of an event whose texts come from the application. Others, such as ids, must keep their format."""


class SentryMiddleware(Middleware):
    """Reports each error that ends a job: of the last attempt, or a `DoNotRetryError`.

    With `every_attempt`, reports errors that a retry follows too. Each attempt has an isolation scope. Its tags are
    also on the events that the handler reports itself. `sentry_sdk.init` is up to the application.

    Values of redacted params are masked in all events of the attempt: in exceptions with the variables of their frames,
    messages, breadcrumbs, extras and contexts.

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
            scope.add_event_processor(lambda event, _: _mask(event, attempt.mask))
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


def _mask(event: Event, mask: Callable[[str], str]) -> Event:
    """Mask the texts of an event in place."""
    parts = cast("dict[str, object]", event)
    for name in _TEXTS & parts.keys():
        match parts[name]:
            case {"trace": trace, **others} if name == "contexts":
                parts[name] = {**_masked_values(others, mask), "trace": trace}  # ids
            case part:
                parts[name] = _masked(part, mask)
    return event


def _masked(value: object, mask: Callable[[str], str]) -> object:
    match value:
        case str():
            return mask(value)
        case dict():
            return _masked_values(value, mask)
        case list() | tuple():
            return [_masked(part, mask) for part in value]
        case _:
            return value


def _masked_values(value: dict[object, object], mask: Callable[[str], str]) -> dict[object, object]:
    return {key: _masked(part, mask) for key, part in value.items()}
