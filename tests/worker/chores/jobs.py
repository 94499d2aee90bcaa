"""The same jobs outside the Worker, for enqueueing and reading results."""

from __future__ import annotations

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, create_job_registry, define_job


class Text(BaseModel):
    text: str


class Stumbling(BaseModel):
    until: int


class Lingering(BaseModel):
    seconds: float


async def _elsewhere(params: BaseModel, context: JobContext) -> Text:
    raise AssertionError(f"{context.job_name} was run outside the Worker")


Shout = define_job(name="Shout", params=Text, result=Text, handler=_elsewhere)
Stumble = define_job(
    name="Stumble", params=Stumbling, result=Text, handler=_elsewhere, options=JobOptions(max_attempts=2)
)
Linger = define_job(name="Linger", params=Lingering, result=Text, handler=_elsewhere)
Plain = define_job(name="Plain", params=Text, result=Text, handler=_elsewhere)
Compute = define_job(name="Compute", params=Text, result=Text, handler=_elsewhere)
REGISTRY = create_job_registry()
REGISTRY.register(Shout).register(Stumble).register(Linger).register(Plain).register(Compute)
