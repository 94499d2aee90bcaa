"""The jobs of the tests of shards: letters of tenants, and a clean-up that belongs to no tenant."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, RunIn, Schedule, create_job_registry, define_job
from server_jobs.stores.sharded import rendezvous

SHARDS = ("asia", "eu", "sa", "us")
TENANTS = {shard: next(f"t{n}" for n in range(1000) if rendezvous(f"t{n}", SHARDS) == shard) for shard in SHARDS}
"""A tenant of each shard."""


class LetterParams(BaseModel):
    """A letter of a tenant. `copies` are sent to other tenants by its handler."""

    tenant: str
    text: str = ""
    copies: tuple[str, ...] = ()
    seconds: float = 0


class Sent(BaseModel):
    """The result of a letter."""

    text: str


async def send(params: LetterParams, context: JobContext) -> Sent:
    """Send a letter, and enqueue its copies."""
    for tenant in params.copies:
        await Letter.later({"tenant": tenant, "text": f"copy of {params.text}"})
    await asyncio.sleep(params.seconds)
    return Sent(text=params.text)


class Nothing(BaseModel):
    """No params."""


async def clean(params: Nothing, context: JobContext) -> None:
    """Do nothing."""


Letter = define_job(
    name="Letter",
    params=LetterParams,
    result=Sent,
    handler=send,
    options=JobOptions(shard_by="/tenant", unique_by=("/tenant", "/text")),
    schedules=[Schedule(name="daily", cron="0 3 * * *", params=f'{{"tenant":"{TENANTS["sa"]}"}}')],
)
CleanUp = define_job(
    name="CleanUp",
    params=Nothing,
    result=type(None),
    handler=clean,
    schedules=[
        Schedule(name="everywhere", cron="* * * * *", shard="each"),
        Schedule(name="in-us", cron="0 3 * * *", shard="us"),
        Schedule(name="at-home", cron="0 3 * * *"),
    ],
)
Heavy = define_job(
    name="Heavy",
    params=LetterParams,
    result=Sent,
    handler=send,
    options=JobOptions(shard_by="/tenant", run_in=RunIn.PROCESS),
)
"""A letter whose handler runs in its own process. It is not in the registry."""
InPod = define_job(
    name="InPod",
    params=Nothing,
    result=type(None),
    handler=clean,
    options=JobOptions(run_in=RunIn.KUBERNETES),
)
in_pods = create_job_registry().register(InPod)
"""A registry with a job that runs in a pod."""
registry = create_job_registry().register(Letter).register(CleanUp)

TABLE = {tenant: shard for shard, tenant in TENANTS.items()}
"""The shards of the tenants, as a table of a project."""
