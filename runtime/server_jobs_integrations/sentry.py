"""Sentry: report the errors of attempts. Needs the package `sentry-sdk`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from server_jobs.contract.masking import masked_value
from server_jobs.domain.outcomes import DoNotRetryError
from server_jobs.domain.tracebacks import Mask, unmasked
from server_jobs.middleware import Middleware, RunningAttempt

if TYPE_CHECKING:
    from sentry_sdk.types import Event

_FACTS = frozenset(
    {
        *("dist", "environment", "event_id", "level", "modules", "platform", "release", "sdk", "server_name"),
        *("start_timestamp", "timestamp", "type"),
    }
)
"""The parts of an event that have no text of a handler, and must keep their format."""

_STRUCTURES = frozenset({"breadcrumbs", "exception", "stacktrace", "threads"})
"""The parts of an event whose numbers belong to Sentry. Variables of frames are texts."""

_IDS = frozenset({"parent_span_id", "span_id", "start_timestamp", "timestamp", "trace_id"})


class SentryMiddleware(Middleware):
    """Reports each error that ends a job: of the last attempt, or a `DoNotRetryError`.

    With `every_attempt`, reports errors that a retry follows too. Each attempt has an isolation scope. Its tags are
    also on the events that the handler reports itself. `sentry_sdk.init` is up to the application.

    Values of redacted params are masked in all events of the attempt: in exceptions with the variables of their frames,
    messages, breadcrumbs, extras, contexts, tags, users and spans, and in their keys.

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
            tags = {
                "job": attempt.job_name,
                "job_id": attempt.job_id,
                "queue": attempt.queue,
                "attempt": attempt.attempt,
                "correlation_id": attempt.correlation_id,
            }
            if attempt.mask is not unmasked:
                scope.add_event_processor(lambda event, _: _mask(event, attempt.mask, tags))
            scope.set_transaction_name(attempt.job_name)
            scope.set_tags(tags)
            try:
                yield
            except Exception as error:
                if self._every_attempt or attempt.is_last or isinstance(error, DoNotRetryError):
                    sentry_sdk.capture_exception(error)
                raise


def _mask(event: Event, mask: Mask, tags: Mapping[str, object]) -> Event:
    """Mask all texts and keys of an event in place, except for ids, the tags of the attempt and facts of this process.

    A short value could be a part of an id, and Sentry needs its format.
    """
    parts = cast("dict[str, object]", event)
    for name in parts.keys() - _FACTS:
        part = parts[name]
        if name in _STRUCTURES:
            parts[name] = _texts(part, mask)
            continue
        parts[name] = shown = masked_value(part, mask)
        if isinstance(part, dict) and isinstance(shown, dict):
            if name == "tags":
                shown |= {key: value for key, value in tags.items() if part.get(key) == value}
            elif name == "contexts" and "trace" in part:
                shown["trace"] = _with_ids(part["trace"], mask)
        elif isinstance(part, list) and name == "spans":
            parts[name] = [_with_ids(span, mask) for span in part]
    return event


def _with_ids(part: object, mask: Mask) -> object:
    shown = masked_value(part, mask)
    if isinstance(part, dict) and isinstance(shown, dict):
        shown |= {key: part[key] for key in _IDS & part.keys()}
    return shown


def _texts(part: object, mask: Mask) -> object:
    """Mask the texts and keys, but not the numbers, such as those of lines."""
    match part:
        case str():
            return mask(part)
        case dict():
            return {_texts(key, mask): _texts(value, mask) for key, value in part.items()}
        case list() | tuple():
            return [_texts(value, mask) for value in part]
        case _:
            return part
