"""Messages between a worker and its handler processes: one JSON object per line, without pickled objects."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ..domain.record import Outcome
from ..routing import DatabaseOf, Routing
from .import_path import load

LONGEST_LINE = 16 * 1024 * 1024


class Message(BaseModel):
    """The base of all messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HandlerPaths(Message):
    """Import paths of the handler and the models of a job; `result_model` is None if the job has no result."""

    job_name: str
    handler: str
    params_model: str
    result_model: str | None


class Setup(Message):
    """The first message to a process. `levels` are the levels of the worker's loggers, by name.

    `set_ups` are import paths of the set-up functions of the registry. `databases` are the names of several databases
    with their variables, and `database_of` is the import path of the function of the project that chooses one.
    """

    kind: Literal["setup"] = "setup"
    database: str | None = Field(repr=False)
    database_schema: str | None
    databases: dict[str, str] = {}
    database_of: str | None = None
    levels: dict[str, int]
    jobs: list[HandlerPaths]
    set_ups: list[str] = []
    source_folders: list[str] = []
    """The folders whose modules the process compiles from their source."""
    measures_memory: bool = False
    """Whether the process sends `Memory` before each answer."""

    def routing(self) -> Routing | None:
        """Return the names of several databases; None if there is one."""
        choose = None if self.database_of is None else cast("DatabaseOf", load(self.database_of))
        return Routing(self.databases, choose) if self.databases else None


class AttemptFacts(Message):
    """The facts about an attempt that only middleware needs."""

    max_attempts: int
    queue: str
    headers: dict[str, str]


class Call(Message):
    """Call a handler with these params (JSON text). The other fields are for its context and its middleware."""

    kind: Literal["call"] = "call"
    paths: HandlerPaths
    params: str
    redact: list[str]
    job_id: str | None
    attempt: int
    correlation_id: str | None
    idempotency_key: str
    facts: AttemptFacts | None = None


class Stop(Message):
    """Stop the handler: set its context to cancelled, and cancel an async handler. The process ends afterwards.

    `outcome`: the outcome for middleware. `firmly`: the handler did not stop; raise `SystemExit` in it.
    """

    kind: Literal["stop"] = "stop"
    outcome: Outcome = Outcome.RELEASED
    firmly: bool = False


class Began(Message):
    """Imports and params are ready; the timeout of the handler starts."""

    kind: Literal["began"] = "began"


class Progress(Message):
    """The newest progress of the handler."""

    kind: Literal["progress"] = "progress"
    percent: int
    message: str | None


class Memory(Message):
    """The resident memory of the process in bytes, after the handler returned."""

    kind: Literal["memory"] = "memory"
    used: int


class Logged(Message):
    """A log record. `extras` is JSON text."""

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
    """The validated result of the handler as JSON text."""

    kind: Literal["returned"] = "returned"
    result: str


class Snoozed(Message):
    """The handler returned `Snooze`."""

    kind: Literal["snoozed"] = "snoozed"
    delay: timedelta


class Cancelled(Message):
    """The handler returned `Cancel`."""

    kind: Literal["cancelled"] = "cancelled"
    reason: str


class InvalidDocument(Message):
    """Params or result do not fit the spec. `problems` are pairs of pointer and message."""

    kind: Literal["invalid_document"] = "invalid_document"
    part: Literal["params", "result"]
    problems: list[tuple[str, str]]


class Raised(Message):
    """The handler raised an error. `description` is the text to store. `delay` is set for `RetryAfterError`."""

    kind: Literal["raised"] = "raised"
    description: str
    traceback: str
    is_final: bool = False
    delay: timedelta | None = None


Request = Setup | Call | Stop
Answer = Returned | Snoozed | Cancelled | InvalidDocument | Raised
Reply = Began | Progress | Memory | Logged | Answer

_requests: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_replies: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])


def line_of(message: Message) -> bytes:
    """Return the line of a message."""
    return message.model_dump_json().encode() + b"\n"


def read_request(line: bytes) -> Request:
    """Parse a line from the worker."""
    return _requests.validate_json(line)


def read_reply(line: bytes) -> Reply:
    """Parse a line from a handler process. Raises `ValueError` if it is no message."""
    return _replies.validate_json(line)
