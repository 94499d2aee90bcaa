"""Middleware: code of an application around each enqueue and each attempt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import MappingProxyType
from typing import Protocol, TypeVar, cast

from .domain.outcomes import Cancel, Snooze
from .domain.record import NewJob, Outcome
from .domain.tracebacks import Mask, unmasked
from .errors import InvalidOptionError

T = TypeVar("T")

LONGEST_HEADERS = 8 * 1024
"""Most characters of the headers of one job, as JSON."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
"""The headers of a job, or of a request, that has none."""

_NOT_THE_JOB = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """One call that stores jobs of one name, seen by middleware before the write.

    `job_ids` are the ids of the new rows, one per job. If an unfinished job has the same unique key, that job keeps its
    own id and headers, and nothing is stored.

    `headers` starts empty. Middleware may add texts, such as a trace context. They are stored with each job of the call
    and are readable in every attempt. A job has at most 8,192 characters of headers.

    `request_trace` has the headers `traceparent` and `tracestate` of the HTTP request to the routes that makes this
    call, as the caller sent them: they may be invalid. It is empty without a request. It is not stored.
    """

    job_name: str
    queue: str
    job_ids: tuple[str, ...]
    correlation_id: str | None
    headers: dict[str, str] = field(default_factory=dict)
    request_trace: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)

    @property
    def count(self) -> int:
        """The number of jobs."""
        return len(self.job_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAttempt:
    """One call of a handler, seen by middleware.

    `attempt` counts from 1. `job_id` is None if the run is not stored. `headers` come from the call that
    enqueued the job. `mask` returns a text with the values of redacted params masked, as in the errors and
    tracebacks that are stored, and at most 64 KiB of it.
    """

    job_name: str
    job_id: str | None
    attempt: int
    max_attempts: int
    queue: str
    correlation_id: str | None
    headers: Mapping[str, str]
    mask: Mask = field(default=unmasked, repr=False, compare=False)
    outcome: Outcome | None = None
    """The outcome, once the handler has ended or should stop; None before. The store may still refuse it as stale."""

    @property
    def is_last(self) -> bool:
        """Whether a failure of this attempt is final, also for errors that allow a retry."""
        return self.attempt >= self.max_attempts


class Middleware(Protocol):
    """Code around each enqueue and each attempt. Derive from this class, and override the methods that you need.

    The first middleware of a registry is the outermost. An error of the store or of the handler passes through each
    context manager. Middleware may raise another error instead, but cannot suppress one: the original error is raised
    again. An error that middleware raises counts like an error of the call: the enqueue raises it, or the attempt fails
    with it. `DoNotRetryError` and `RetryAfterError` work as in handlers.

        class Timing(Middleware):
            @asynccontextmanager
            async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
                began = time.perf_counter()
                try:
                    yield
                finally:
                    print(attempt.job_name, attempt.outcome, time.perf_counter() - began)

        registry = create_job_registry().use(Timing())
    """

    def around_enqueue(self, enqueue: Enqueue) -> AbstractContextManager[None]:
        """Surround the write of jobs, after their params are validated.

        The context manager is synchronous, because `later_sync` and `later_in` are. It may run inside an event loop, so
        it must not block. In `later_in`, it ends before the transaction commits. A schedule is fired by every worker
        that sees it due, and one of them stores the job.
        """
        del enqueue
        return nullcontext()

    def around_attempt(self, attempt: RunningAttempt) -> AbstractAsyncContextManager[None]:
        """Surround a call of a handler, in the process that calls it. Handlers see context variables that it sets.

        The timeout of the job does not include the middleware, and a cancellation waits for it: keep it short. Not
        called for jobs whose params cannot be read, or that stop before the start.
        """
        del attempt
        return nullcontext()

    def around_plain_handler(self, attempt: RunningAttempt) -> AbstractContextManager[None]:
        """Surround the call of a handler that is not async, in the thread that calls it, inside of `around_attempt`.

        For objects that belong to a thread, such as the database connections of a web framework. It may block.
        """
        del attempt
        return nullcontext()


def check_middleware(middleware: object) -> None:
    """Raise `InvalidOptionError` unless this is an instance with all methods."""
    names = ("around_enqueue", "around_attempt", "around_plain_handler")
    if isinstance(middleware, type):
        raise InvalidOptionError(f"middleware must be an object, not the class {middleware.__name__}; add ()")
    if not all(callable(getattr(middleware, name, None)) for name in names):
        raise InvalidOptionError(
            f"middleware must have the methods {', '.join(names)}, not be of type {type(middleware).__name__}; "
            "derive its class from server_jobs.Middleware"
        )
    check_decorated("around_enqueue", getattr(middleware, names[0]), "contextmanager")
    check_decorated("around_attempt", getattr(middleware, names[1]), "asynccontextmanager")
    check_decorated("around_plain_handler", getattr(middleware, names[2]), "contextmanager")


def check_decorated(name: str, function: object, decorator: str) -> None:
    """Raise `InvalidOptionError` for a generator or a coroutine function: it lacks the decorator."""
    if isgeneratorfunction(function) or isasyncgenfunction(function) or iscoroutinefunction(function):
        raise InvalidOptionError(f"{name} must return a context manager; add @{decorator} and `yield` once")


def enqueuing(
    middleware: Sequence[Middleware], jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS
) -> AbstractContextManager[Sequence[NewJob]]:
    """Surround a write of these jobs. Yields the jobs to write, with their headers."""
    return _enqueuing(middleware, jobs, request_trace) if middleware and jobs else nullcontext(jobs)


@contextmanager
def _enqueuing(
    middleware: Sequence[Middleware], jobs: Sequence[NewJob], request_trace: Mapping[str, str]
) -> Iterator[Sequence[NewJob]]:
    calls: dict[tuple[str, str, str | None], list[NewJob]] = {}
    for job in jobs:
        calls.setdefault((job.job_name, job.queue, job.correlation_id), []).append(job)
    headers: dict[tuple[str, str, str | None], str | None] = {}
    with ExitStack() as stack:
        for call, those in calls.items():
            name, queue, correlation_id = call
            ids = tuple(job.id for job in those)
            enqueue = Enqueue(
                job_name=name,
                queue=queue,
                job_ids=ids,
                correlation_id=correlation_id,
                request_trace=MappingProxyType(request_trace),
            )
            for one in middleware:
                stack.enter_context(_unsuppressed(one.around_enqueue(enqueue)))
            headers[call] = _headers_text(enqueue.headers)
        yield [job._replace(headers=headers[job.job_name, job.queue, job.correlation_id]) for job in jobs]


@contextmanager
def _unsuppressed(manager: AbstractContextManager[None]) -> Iterator[None]:
    """Like the context manager, but an error that it suppresses is raised again."""
    raised: BaseException | None = None
    with manager:
        try:
            yield
        except BaseException as error:
            raised = error
            raise
    if raised is not None:
        raise raised


def _headers_text(headers: Mapping[str, str]) -> str | None:
    """Return headers as JSON, or None if there are none. Raises `InvalidOptionError`."""
    if not headers:
        return None
    for pair in headers.items():
        if not all(isinstance(text, str) for text in pair):
            raise InvalidOptionError(f"headers of a job must be texts, not {pair!r}")
    text = json.dumps(headers)
    if len(text) > LONGEST_HEADERS:
        raise InvalidOptionError(f"headers of a job must be at most {LONGEST_HEADERS} characters long, not {len(text)}")
    return text


def read_headers(text: str | None) -> Mapping[str, str]:
    """Return stored headers as a read-only mapping. It is empty for a text that middleware did not write."""
    if text is None:
        return NO_HEADERS
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return NO_HEADERS  # a row written by hand must not keep other jobs from running
    is_valid = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return MappingProxyType(cast("dict[str, str]", found)) if is_valid else NO_HEADERS


def note_outcome(attempt: RunningAttempt, outcome: Outcome) -> None:
    """Set the outcome, which is read-only for middleware."""
    object.__setattr__(attempt, "outcome", outcome)


class Entered:
    """The context managers of all middleware around one attempt."""

    def __init__(self, attempt: RunningAttempt) -> None:
        self._attempt = attempt
        self._managers: list[AbstractAsyncContextManager[None]] = []

    @classmethod
    async def enter(cls, middleware: Sequence[Middleware], attempt: RunningAttempt) -> Entered:
        """Enter all middleware. If one raises, leave those before it and raise the error."""
        entered = cls(attempt)
        try:
            for one in middleware:
                manager = one.around_attempt(attempt)
                await manager.__aenter__()
                entered._managers.append(manager)
        except BaseException as error:
            raised = await entered.leave(_own(error))
            if raised is None or raised is error:
                raise
            raise raised from raised.__cause__
        return entered

    async def leave(self, error: BaseException | None, value: object = None) -> BaseException | None:
        """Leave all middleware with the result of the handler, or its error. Return the error that counts."""
        if error is None:
            note_outcome(self._attempt, _outcome_of(value))
        elif self._attempt.outcome is None:
            note_outcome(self._attempt, Outcome.RELEASED if isinstance(error, _NOT_THE_JOB) else Outcome.FAILED)
        for manager in reversed(self._managers):
            try:
                kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
                await manager.__aexit__(kind, error, trace)  # it may not suppress the error
            except BaseException as raised:  # noqa: BLE001  the caller raises it
                error = raised if raised is error else _own(raised)
                if not isinstance(raised, _NOT_THE_JOB):
                    note_outcome(self._attempt, Outcome.FAILED)
        return error


async def surrounded(middleware: Sequence[Middleware], attempt: RunningAttempt, call: Callable[[], Awaitable[T]]) -> T:
    """Call a handler within all middleware, and return its result."""
    entered = await Entered.enter(middleware, attempt)
    value: T | None = None
    error: BaseException | None = None
    try:
        value = await call()
    except BaseException as raised:  # noqa: BLE001  raised again below
        error = raised
    error = await entered.leave(error, value)
    if error is None:
        return value  # type: ignore[return-value]
    try:
        raise error
    finally:
        del error  # it refers to this frame


def called_within(middleware: Sequence[Middleware], attempt: RunningAttempt, call: Callable[[], T]) -> T:
    """Call a plain handler within the part of all middleware that belongs to its thread, and return its result."""
    with ExitStack() as stack:
        for one in middleware:
            stack.enter_context(_unsuppressed(one.around_plain_handler(attempt)))
        return call()


def _own(error: BaseException) -> BaseException:
    """Return an error of middleware. A `CancelledError` without a cancellation of this task is an ordinary error."""
    task = asyncio.current_task()
    if not isinstance(error, asyncio.CancelledError) or (task is not None and task.cancelling()):
        return error
    failure = RuntimeError("the middleware awaited something that was cancelled")
    failure.__cause__ = error
    return failure


def _outcome_of(value: object) -> Outcome:
    match value:
        case Snooze():
            return Outcome.SNOOZED
        case Cancel():
            return Outcome.CANCELLED
        case _:
            return Outcome.COMPLETED
