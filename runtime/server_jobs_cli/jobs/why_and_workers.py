"""`server-jobs why` and `workers`: why a job waits, and which workers there are."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.text import Text
from server_jobs import __version__
from server_jobs.domain.history import WorkerRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobRecord
from server_jobs.errors import ServerJobsError
from server_jobs.inspection.history_document import why_document, worker_document
from server_jobs.inspection.why import Reason, why
from server_jobs.registry import JobRegistry

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import age, last_cell, local, note, one_line, plain_table, print_json, print_table, say
from ..console.workspace import Workspace


@click.command("why")
@click.argument("job_id", metavar="ID")
@with_workspace
@json_option
def explain_job(workspace: Workspace, *, job_id: str, as_json: bool) -> None:
    """Say why the job ID waits, runs or has ended, and what to do.

    For a pending job: a paused queue, a limit and the jobs that use it up, a time that has not come, missing or busy
    workers, an unknown version, the jobs ahead of it. The weightiest reason comes first.

    \b
    Example:
      server-jobs why 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de

    Exit status: 0 done, 1 there is no such job, 2 wrong usage, 3 project or database cannot be used.
    """
    registry = registry_or_none(workspace)

    async def read(store: Store) -> tuple[JobRecord, Sequence[Reason]]:
        return await why(store, registry or JobRegistry(), job_id)

    record, reasons = workspace.with_store(read, only_reads=True)
    if as_json:
        print_json(why_document(record, reasons))
        return
    status = "parked" if record.is_parked else record.status
    say(f"{one_line(record.job_name)} {one_line(record.id)} is {status}:")
    for reason in reasons:
        say(f"- {one_line(line_of(reason))}")
        if reason.advice is not None:
            say(f"  {one_line(reason.advice)}")


def registry_or_none(workspace: Workspace) -> JobRegistry | None:
    """Return the registry, or None with a warning: limits, upcasters and secret params are unknown then."""
    try:
        return workspace.registry
    except ServerJobsError as error:
        note(f"the registry cannot be used, so limits, upcasters and secret params are unknown: {error}")
        return None


def line_of(reason: Reason) -> str:
    """Return a reason with its times, in one line."""
    times = [
        f"{word} {local(moment)}, {age(moment)}"
        for word, moment in (("since", reason.since), ("until", reason.until))
        if moment is not None
    ]
    return f"{reason.text} ({'; '.join(times)})" if times else reason.text


@click.command()
@with_workspace
@json_option
def workers(workspace: Workspace, *, as_json: bool) -> None:
    """List the workers and ticks that are alive, or died within a week.

    A worker reports while it renews its leases. It counts as dead when it has not reported for a whole lease; a worker
    that stops in order leaves the list. All ticks with the same jobs are one line, with `tick` as the process. They
    count as dead after twice the time between their last two reports, and at the earliest after an hour.

    \b
    Example:
      server-jobs workers

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    found = workspace.with_store(lambda store: store.workers(), only_reads=True)
    if as_json:
        print_json([worker_document(worker) for worker in found])
    elif found:
        _print_workers(found)
    else:
        note("no worker has reported; start one with `server-jobs worker`")


def _print_workers(found: Sequence[WorkerRecord]) -> None:
    table = plain_table("id", "host", "pid", "state", "running", "started", "last seen", "version", "queues")
    for worker in found:
        report = worker.report
        table.add_row(
            Text(one_line(report.id)),
            Text(one_line(report.host, 40)),
            Text("tick" if report.is_tick else str(report.pid)),
            Text("alive", style="green") if worker.is_alive else Text("dead", style="red"),
            Text(f"{'-' if report.is_tick else worker.running}/{report.concurrency}"),
            Text(age(worker.started_at)),
            Text(age(worker.last_seen_at)),
            Text(one_line(report.version, 20), style="" if report.version == __version__ else "yellow"),
            last_cell("all" if report.queues is None else ", ".join(report.queues)),
        )
    print_table(table)
