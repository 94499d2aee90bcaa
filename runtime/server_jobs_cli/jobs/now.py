"""`server-jobs now`: run one job in this process and print what it returns."""

from __future__ import annotations

import json
from datetime import timedelta

import click
from pydantic import BaseModel
from server_jobs.domain.record import JobStatus
from server_jobs.engine.backend import Backend
from server_jobs.errors import HandlerNotImplementedError
from server_jobs.job import AnyJob
from server_jobs.result import JobMetadata, JobResult

from ..console.arguments import duration, json_object
from ..console.failures import NO
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json
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
@click.option("--no-persist", is_flag=True, help="Leave no trace in the database, and need none.")
@click.option(
    "--worker-timeout",
    metavar="DURATION",
    type=duration,
    default="5m",
    show_default=True,
    help="The lease of a persisted run: a worker takes it over that long after a crash.",
)
@click.option("--correlation-id", help="Carried to log lines and to the jobs the handler enqueues.")
@with_workspace
@json_option
def now(
    workspace: Workspace,
    *,
    job: str,
    params: dict[str, object],
    no_persist: bool,
    worker_timeout: timedelta,
    correlation_id: str | None,
    as_json: bool,
) -> None:
    """Run JOB here and now, and print its result as JSON.

    Log lines go to stderr. The run is stored like any other; after a failure with attempts left a worker tries again.

    \b
    Examples:
      server-jobs now DailyDigest --params '{"recipients": ["ann@example.com"]}'
      server-jobs now ImportCsv --params @import.json --no-persist | jq .rows

    Exit status: 0 completed, 1 it failed or the params do not fit, 2 wrong usage, 3 project or database cannot be used.
    """
    with logging_to_stderr():
        registration = workspace.registry.find(job)
        if registration.is_stub:
            raise HandlerNotImplementedError(registration.job.job_name)
        result = run(
            _run_unstored(workspace, registration.job, params)
            if no_persist
            else _run_stored(workspace, registration.job, params, worker_timeout, correlation_id)
        )
    if as_json:
        print_json(_document(result))
    elif result.ok:
        print_json(_plain(result.data))
    else:
        _say_that_it_failed(result.metadata)
    if not result.ok:
        click.get_current_context().exit(NO)


async def _run_unstored(workspace: Workspace, job: AnyJob, params: dict[str, object]) -> JobResult[BaseModel]:
    backend = Backend(database=workspace.url, job_registry=workspace.registry)  # opened only if the handler uses it
    try:
        return await job.using(backend).now(params, persist=False)
    finally:
        await backend.shutdown()


async def _run_stored(
    workspace: Workspace, job: AnyJob, params: dict[str, object], lease: timedelta, correlation_id: str | None
) -> JobResult[BaseModel]:
    async with workspace.open_backend() as backend:
        return await job.using(backend).now(params, worker_timeout=lease, correlation_id=correlation_id)


def _say_that_it_failed(metadata: JobMetadata) -> None:
    note(f"Error: {metadata.job_name} failed: {metadata.error}")
    if metadata.status is JobStatus.PENDING:
        note(f"it has attempts left: a worker will try again, unless you run `server-jobs cancel {metadata.job_id}`")


def _document(result: JobResult[BaseModel]) -> dict[str, object]:
    metadata = result.metadata
    return {
        "id": metadata.job_id,
        "job_name": metadata.job_name,
        "status": metadata.status,
        "attempt_count": metadata.attempt_count,
        "result": _plain(result.data) if result.ok else None,
        "error": result.error,
    }


def _plain(value: BaseModel) -> object:
    return json.loads(value.model_dump_json(by_alias=True))
