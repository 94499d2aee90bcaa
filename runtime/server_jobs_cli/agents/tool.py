"""A tool for agents: its schemas, its effects, and the function behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from server_jobs.contract.json_schema import Schema
from server_jobs.http.jobs import Text

Arguments = Mapping[str, JsonValue]


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
