"""The job that the budget is for, and a registry with it."""

from __future__ import annotations

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, create_job_registry, define_job


class Number(BaseModel):
    """Params and result."""

    number: int


async def return_number(params: Number, context: JobContext) -> Number:
    """Return at once."""
    return Number(number=params.number)


Plain = define_job(name="Plain", params=Number, result=Number, handler=return_number)
registry = create_job_registry().register(Plain)

Sharded = define_job(
    name="Sharded", params=Number, result=Number, handler=return_number, options=JobOptions(shard_by="/number")
)
"""The same, in one of several databases."""
