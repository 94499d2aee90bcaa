"""`server-jobs enqueue`: check params against the spec, and store a job for a worker."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
from pydantic import BaseModel
from server_jobs.domain.enqueue_options import EnqueueOptions
from server_jobs.handle import JobHandle

from ..console.arguments import duration, json_object, moment
from ..console.output import note, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.argument("job")
@click.option(
    "--params",
    metavar="JSON",
    type=json_object,
    default="{}",
    help="The params, a JSON object; @FILE reads a file, - reads stdin.",
)
@click.option("--delay", metavar="DURATION", type=duration, help="Due that long from now, such as 30s, 5m or 1h30m.")
@click.option("--at", "scheduled_for", metavar="TIME", type=moment, help="Due then, such as 2026-01-31T09:00:00+01:00.")
@click.option("--priority", type=int, help="-100 to 100, higher first; by default as in the spec.")
@click.option("--max-attempts", type=int, help="How often it is tried at most; by default as in the spec.")
@click.option("--unique-key", help="Store nothing if an unfinished job of that name has this key.")
@click.option("--correlation-id", help="Carried to log lines and to the jobs the handler enqueues.")
@with_workspace
@json_option
def enqueue(
    workspace: Workspace,
    *,
    job: str,
    params: dict[str, object],
    as_json: bool,
    delay: timedelta | None,
    scheduled_for: datetime | None,
    priority: int | None,
    max_attempts: int | None,
    unique_key: str | None,
    correlation_id: str | None,
) -> None:
    """Queue JOB for a worker and print the id.

    JOB is the name of a job or of its spec: SendEmail or send_email. Params that do not fit the spec are refused, each
    problem on a line of its own with its JSON pointer, and nothing is stored.

    \b
    Examples:
      server-jobs enqueue SendEmail --params '{"to": ["ann@example.com"], "subject": "Hi", "body": "..."}'
      server-jobs enqueue ImportCsv --params @import.json --delay 5m
      jq .order job.json | server-jobs enqueue ShipOrder --params - --unique-key order-17

    Exit status: 0 stored, or there already; 1 the params do not fit; 2 wrong usage; 3 project or database cannot be
    used.
    """
    if delay is not None and scheduled_for is not None:
        raise click.UsageError("give either --delay or --at, not both")
    options = EnqueueOptions(
        delay=delay,
        scheduled_for=scheduled_for,
        priority=priority,
        max_attempts=max_attempts,
        unique_key=unique_key,
        correlation_id=correlation_id,
    )
    handle = run(_enqueue(workspace, job, params, options))
    registration = workspace.registry.find(job)
    if as_json:
        print_json({"id": str(handle), "job_name": registration.job.job_name, "created": handle.created})
        return
    say(handle)
    if not handle.created:
        note("that job was there already: it is unfinished and has the same unique key")
    if not registration.is_runnable:
        note(f"no worker runs it yet: the handler of {registration.job.job_name} is not implemented")


async def _enqueue(
    workspace: Workspace, name: str, params: dict[str, object], options: EnqueueOptions
) -> JobHandle[BaseModel]:
    job = workspace.registry.find(name).job
    job.new_job(params, **options)  # checked before the database is looked at
    async with workspace.open_backend():
        handle: JobHandle[BaseModel] = await job.later(params, **options)
    return handle
