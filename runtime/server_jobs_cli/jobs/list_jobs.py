"""`server-jobs list`: stored jobs, newest first."""

from __future__ import annotations

from collections.abc import Sequence

import click
from server_jobs.domain.record import JobQuery, JobRecord, JobStatus, PausedQueue
from server_jobs.engine.job_document import job_document
from server_jobs.errors import ServerJobsError

from ..console.job_table import print_jobs
from ..console.output import note, print_json
from ..console.suggestion import suggestion
from ..console.times import local
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.option("--status", type=click.Choice([str(status) for status in JobStatus]), help="Only jobs in this status.")
@click.option("--parked", is_flag=True, help="Only jobs that failed because their params cannot be read.")
@click.option("--job", metavar="NAME", help="Only jobs of this name.")
@click.option("--queue", metavar="NAME", help="Only jobs of this queue.")
@click.option("--correlation-id", help="Only jobs with this correlation id.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@click.option("--before", metavar="ID", help="Go on after this job, the last one of the page before.")
@with_workspace
@json_option
def list_jobs(
    workspace: Workspace,
    *,
    status: str | None,
    parked: bool,
    job: str | None,
    queue: str | None,
    correlation_id: str | None,
    limit: int,
    before: str | None,
    as_json: bool,
) -> None:
    """List stored jobs, newest first. Params are not shown: see `server-jobs show`.

    \b
    Examples:
      server-jobs list --status failed
      server-jobs list --parked
      server-jobs list --job SendEmail --limit 10
      server-jobs list --status failed --json | jq -r '.[].id' | xargs server-jobs retry

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    query = JobQuery(
        status=JobStatus(status) if status else None,
        job_name=job and _job_name(workspace, job),
        queue=queue,
        correlation_id=correlation_id,
        before=before,
        limit=limit,
        parked=parked,
    )
    records, paused = run(_list(workspace, query))
    if as_json:
        print_json([job_document(record) for record in records])
        return
    if not records:
        note("no jobs")
    else:
        print_jobs(records)
    if len(records) == limit:
        note(f"there may be more: add --before {records[-1].id}")
    note_paused(paused)


async def _list(workspace: Workspace, query: JobQuery) -> tuple[Sequence[JobRecord], Sequence[PausedQueue]]:
    async with workspace.open_store(only_reads=True) as store:
        return await store.list_jobs(query), await store.paused_queues()


def note_paused(paused: Sequence[PausedQueue]) -> None:
    """Say which queues are paused, on stderr: it explains why jobs stay pending."""
    for queue in paused:
        note(f"the queue {queue.name} is paused since {local(queue.paused_at)}")


def _job_name(workspace: Workspace, name: str) -> str:
    """The stored name of that job. A name that is not registered may be that of rows of another version or project."""
    try:
        registry = workspace.registry
    except ServerJobsError:
        return name
    job = registry.get(name)
    if job is None:
        note(f"no job is called {name!r} here; {suggestion(name, registry.get_names())}")
        return name
    return job.job_name
