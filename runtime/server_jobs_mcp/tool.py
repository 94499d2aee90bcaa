"""A tool for agents: its schemas, its effects, and the function behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from server_jobs.contract.json_schema import Schema
from server_jobs.errors import Problem
from server_jobs.registry import JobRegistry
from server_jobs_cli.console.output import suggestion
from server_jobs_cli.jobs.queues import unknown_queue
from server_jobs_http.problem_document import RefusedError
from server_jobs_http.reading import Text
from server_jobs_http.reading import checked as checked_request
from server_jobs_http.routes.jobs import FilterFields

Arguments = Mapping[str, JsonValue]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a tool as a JSON object, and a remark for the agent."""

    document: Mapping[str, object]
    remark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The annotations of the protocol.

    `is_destructive`: it may remove or undo something. `is_idempotent`: a second call changes nothing more.
    `is_open`: it may reach anything outside of the database.
    """

    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    is_open: bool = False


READS = Effects(is_read_only=True, is_idempotent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool. `call` raises `ServerJobsError` or `RefusedError` for an error of the tool."""

    name: str
    description: str
    input_schema: Schema
    call: Callable[[Arguments], Awaitable[Answer]]
    effects: Effects
    output_schema: Schema | None = None


def checked(model: type[M], arguments: Arguments) -> M:
    """Return the arguments as a model. Raises `RefusedError`, which names each problem and a likely name."""
    unknown = [name for name in arguments if name not in model.model_fields]
    if unknown:
        raise RefusedError(
            422,
            "the tool has no such argument",
            [Problem(f"/{name}", suggestion(name, model.model_fields)) for name in unknown],
        )
    return checked_request(model, arguments)


def misspelled(registry: JobRegistry, chosen: FilterFields) -> str | None:
    """Return a remark on a job or a queue that is unknown here; None if both are known or not given."""
    names = registry.get_names()
    if chosen.job_name is not None and chosen.job_name not in names:
        return f"there is no job {chosen.job_name!r} here; {suggestion(chosen.job_name, names)}"
    return None if chosen.queue is None else unknown_queue(registry, chosen.queue)


class Nothing(BaseModel):
    """No arguments."""

    model_config = ConfigDict(extra="forbid")


class JobId(BaseModel):
    """The job of a call."""

    model_config = ConfigDict(extra="forbid")

    id: Text = Field(description="The id of the job.")


class QueueName(BaseModel):
    """The queue of a call."""

    model_config = ConfigDict(extra="forbid")

    queue: Text = Field(description="The name of the queue.")


class SpecName(BaseModel):
    """The spec of a call."""

    model_config = ConfigDict(extra="forbid")

    job_name: Text = Field(description="The name of the job, such as SendEmail.")
