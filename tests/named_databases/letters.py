"""The jobs of these tests: letters of tenants in the databases `eu` and `us`, and a clean-up that has no tenant."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from server_jobs import Job, JobContext, JobOptions, Schedule, create_job_registry, define_job
from server_jobs.registry import JobRegistry
from server_jobs.routing import DatabaseOf, rendezvous

NAMES = ("eu", "us")
VARIABLES = {"eu": "EU_TEST_DATABASE_URL", "us": "US_TEST_DATABASE_URL"}
TENANTS = {name: next(f"t{n}" for n in range(1000) if rendezvous(f"t{n}", NAMES) == name) for name in NAMES}
"""A tenant of each database."""
EU, US = TENANTS["eu"], TENANTS["us"]


class LetterParams(BaseModel):
    """A letter of a tenant. Its handler sends copies to other tenants, and cleans up."""

    tenant: str
    text: str = ""
    copies: tuple[str, ...] = ()
    cleans: bool = False


class Sent(BaseModel):
    """The result of a letter: the ids of its copies."""

    ids: tuple[str, ...] = ()


class Nothing(BaseModel):
    """No params."""


async def send(params: LetterParams, context: JobContext) -> Sent:
    """Send a letter, and enqueue its copies."""
    handles = [await Letter.later({"tenant": each, "text": f"copy of {params.text}"}) for each in params.copies]
    if params.cleans:
        await CleanUp.later({})
    return Sent(ids=tuple(map(str, handles)))


def send_plainly(params: LetterParams, context: JobContext) -> Sent:
    """As `send`, without an event loop."""
    return Sent(ids=tuple(str(PlainLetter.later_sync({"tenant": each})) for each in params.copies))


async def clean(params: Nothing, context: JobContext) -> None:
    """Do nothing."""


async def report(params: LetterParams, context: JobContext) -> Sent:
    """Return the ids of the jobs of the batch whose completion job this is."""
    return Sent(ids=tuple(map(str, await Letter.find_batch(context.job_id))))


TypedLetter = type[Job[LetterParams, Sent, Mapping[str, object]]]

Letter = define_job(
    name="Letter",
    params=LetterParams,
    result=Sent,
    handler=send,
    options=JobOptions(shard_by="/tenant", unique_by=("/tenant", "/text")),
    schedules=[Schedule(name="daily", cron="0 3 * * *", params=f'{{"tenant":"{US}"}}')],
)
PlainLetter = define_job(
    name="PlainLetter",
    params=LetterParams,
    result=Sent,
    handler=send_plainly,
    options=JobOptions(shard_by="/tenant"),
)
Report = define_job(
    name="Report", params=LetterParams, result=Sent, handler=report, options=JobOptions(shard_by="/tenant")
)
CleanUp = define_job(
    name="CleanUp",
    params=Nothing,
    result=type(None),
    handler=clean,
    schedules=[Schedule(name="nightly", cron="0 3 * * *")],
)
Heavy = define_job(
    name="Heavy",
    params=LetterParams,
    result=Sent,
    handler=send,
    options=JobOptions(shard_by="/tenant", run_in="process"),
)
"""A letter whose handler runs in a process of its own."""


def new_registry(database_of: DatabaseOf | None = None) -> JobRegistry:
    """Return a registry with the databases `eu` and `us`."""
    registry = create_job_registry(databases=VARIABLES, database_of=database_of)
    return registry.register(Letter).register(PlainLetter).register(Report).register(CleanUp)
