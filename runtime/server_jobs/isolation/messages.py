"""What a worker and the processes of its handlers tell each other: one JSON object a line, never pickled objects."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

LONGEST_LINE = 16 * 1024 * 1024


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HandlerPaths(Message):
    """Where a job's handler and models are, as `import_path_of` writes it."""

    job_name: str
    handler: str
    params_model: str
    result_model: str


class Setup(Message):
    """The first message to a process. `levels` are those of the worker's loggers by name, `""` for the root."""

    kind: Literal["setup"] = "setup"
    database: str | None
    database_schema: str | None
    levels: dict[str, int]
    jobs: list[HandlerPaths]


class Call(Message):
    """Call that handler with these params (JSON text); the rest is for its context."""

    kind: Literal["call"] = "call"
    paths: HandlerPaths
    params: str
    redact: list[str]
    job_id: str | None
    attempt: int
    correlation_id: str | None
    idempotency_key: str


class Stop(Message):
    """The handler is to end: its context says so, and an async one is cancelled. The process ends with it.

    `firmly`: it did not, and `SystemExit` is raised in it.
    """

    kind: Literal["stop"] = "stop"
    firmly: bool = False


class Began(Message):
    """Everything is imported and the params are read: the handler's time runs."""

    kind: Literal["began"] = "began"


class Progress(Message):
    """The newest progress of the handler."""

    kind: Literal["progress"] = "progress"
    percent: int
    message: str | None


class Logged(Message):
    """A log record of whatever logger. `extras` is JSON text."""

    kind: Literal["logged"] = "logged"
    name: str
    level: int
    message: str
    created: float
    path: str
    line: int
    function: str | None
    thread: str | None
    traceback: str | None
    extras: str


class Returned(Message):
    """The handler's result, checked and written as JSON text."""

    kind: Literal["returned"] = "returned"
    result: str


class Snoozed(Message):
    """The handler returned `Snooze`."""

    kind: Literal["snoozed"] = "snoozed"
    delay: timedelta


class Declined(Message):
    """The handler returned `Cancel`."""

    kind: Literal["declined"] = "declined"
    reason: str


class Misfit(Message):
    """Params or result do not fit the spec: pairs of pointer and message."""

    kind: Literal["misfit"] = "misfit"
    part: Literal["params", "result"]
    problems: list[tuple[str, str]]


class Raised(Message):
    """The handler raised. `description` is how the error is stored; `delay` is that of a `RetryAfterError`."""

    kind: Literal["raised"] = "raised"
    description: str
    traceback: str
    is_final: bool = False
    delay: timedelta | None = None


Request = Setup | Call | Stop
Answer = Returned | Snoozed | Declined | Misfit | Raised
Reply = Began | Progress | Logged | Answer

_requests: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_replies: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])


def line_of(message: Message) -> bytes:
    """The message as it travels."""
    return message.model_dump_json().encode() + b"\n"


def read_request(line: bytes) -> Request:
    """A line from the worker."""
    return _requests.validate_json(line)


def read_reply(line: bytes) -> Reply:
    """A line from a handler's process. Raises `ValueError` for anything but a message."""
    return _replies.validate_json(line)
