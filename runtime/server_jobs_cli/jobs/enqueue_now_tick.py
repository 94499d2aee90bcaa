"""`server-jobs enqueue`, `now` and `tick`: store a job for a worker, run one here, or run all that are due."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import click
from pydantic import BaseModel
from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.enqueue_options import ENQUEUE_OPTIONS, TEXT_OPTIONS, EnqueueOptions
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import JobStatus
from server_jobs.domain.tracebacks import error_place
from server_jobs.errors import (
    HandlerNotImplementedError,
    InvalidParamsError,
    ProjectError,
    ServerJobsError,
    UnknownJobError,
)
from server_jobs.handle import JobHandle
from server_jobs.inspection.shell_command import shell_command
from server_jobs.job import AnyJob
from server_jobs.registry import JobRegistry
from server_jobs.result import JobMetadata, JobResult

from ..console.failures import NO
from ..console.json_option import json_option
from ..console.log import logging_to_stderr
from ..console.options import duration, json_object, moment, with_workspace
from ..console.output import note, print_json, print_result, say
from ..console.workspace import Workspace, actor, run

if TYPE_CHECKING:
    from server_jobs.engine.tick import Tick

_DEFAULT = "By default as in the spec."
_params = click.option(
    "--params",
    metavar="JSON",
    type=json_object,
    default="{}",
    help="The params, a JSON object; @FILE reads a file, - reads stdin.",
)
P = ParamSpec("P")
R = TypeVar("R")


def _help(option: str, more: str = "") -> str:
    return f"{ENQUEUE_OPTIONS[option].about} {more}".rstrip()


_correlation_id = click.option("--correlation-id", help=_help("correlation_id"))


def _texts(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of `EnqueueOptions` that are texts, such as `--unique-key`."""
    for name in reversed([*TEXT_OPTIONS]):
        command = click.option(f"--{name.replace('_', '-')}", help=_help(name))(command)
    return command


@click.command()
@click.argument("job")
@_params
@click.option("--delay", type=duration, help=_help("delay", "Such as 30s, 5m or 1h30m."))
@click.option(
    "--at",
    "scheduled_for",
    metavar="TIME",
    type=moment,
    help=_help("scheduled_for", "Such as 2026-01-31T09:00:00+01:00."),
)
@click.option("--expires-after", type=duration, help=_help("expires_after", "Such as 10m."))
@click.option("--priority", type=int, help=_help("priority", _DEFAULT))
@click.option("--max-attempts", type=int, help=_help("max_attempts", _DEFAULT))
@click.option(
    "--on-conflict",
    type=click.Choice([str(one) for one in OnConflict]),
    help=_help("on_conflict", _DEFAULT),
)
@_texts
@with_workspace
@json_option
def enqueue(
    workspace: Workspace,
    /,
    *,
    job: str,
    params: dict[str, object],
    as_json: bool,
    delay: timedelta | None,
    scheduled_for: datetime | None,
    expires_after: timedelta | None,
    priority: int | None,
    max_attempts: int | None,
    on_conflict: str | None,
    **texts: str | None,
) -> None:
    """Queue JOB for a worker and print the id.

    JOB is the name of a job or of its spec: SendEmail or send_email. If the params do not fit the spec, the command
    stores nothing and prints each problem on a line with its JSON pointer.

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
        expires_after=expires_after,
        priority=priority,
        max_attempts=max_attempts,
        on_conflict=None if on_conflict is None else OnConflict(on_conflict),
    )
    options.update(cast("EnqueueOptions", texts))
    with _note_on_changed_specs(workspace):
        registry = workspace.registry_for(job)
        registration = registry.find(job)
        new = registration.job.new_job(params, **options)  # validate before the database is opened
        handle = run(_enqueue(workspace.of_job(registry, new), registry, registration.job, params, options))
    if as_json:
        print_json({"id": str(handle), "job_name": registration.job.job_name, "created": handle.created})
        return
    say(handle)
    if not handle.created:
        kept = (options.get("on_conflict") or registration.job.options.on_conflict) is OnConflict.KEEP
        note(f"an unfinished job with the same unique key {'exists already' if kept else 'was there, and is replaced'}")
    if not registration.is_runnable:
        note(f"no worker runs it yet: the handler of {registration.job.job_name} is not implemented")


async def _enqueue(
    workspace: Workspace, registry: JobRegistry, job: AnyJob, params: dict[str, object], options: EnqueueOptions
) -> JobHandle[BaseModel]:
    async with workspace.open_backend(registry) as backend:
        with _errors_of_middleware(registry), enqueuing_as(actor()):
            handle: JobHandle[BaseModel] = await job.using(backend).later(params, **options)
    return handle


@contextmanager
def _note_on_changed_specs(workspace: Workspace) -> Iterator[None]:
    """Advise to generate if a job is unknown or its params do not fit, and the specs changed since `generate`."""
    try:
        yield
    except (InvalidParamsError, UnknownJobError):
        from server_jobs_generator.files.cache_folder import has_changed  # only after this mistake

        if workspace.registry_place is None and workspace.project is not None and has_changed(workspace.project):
            note("the generated code may be older than the specs; run `server-jobs generate`")
        raise


@contextmanager
def _errors_of_middleware(registry: JobRegistry) -> Iterator[None]:
    """Raise an error of middleware around an enqueue as `ProjectError`, with its place. Other errors pass."""
    try:
        yield
    except ServerJobsError:
        raise
    except Exception as error:
        if not registry.hooks.middleware:
            raise
        message = f"the middleware failed: {type(error).__name__}: {error}{error_place(error)}"
        raise ProjectError(message) from error


@click.command()
@click.argument("job")
@_params
@click.option("--no-persist", is_flag=True, help="Use no database and store nothing.")
@click.option(
    "--worker-timeout",
    type=duration,
    default="5m",
    show_default=True,
    help="The lease of the run: after a crash, a worker takes it over once this time has passed.",
)
@_correlation_id
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
    """Run JOB in this process, and print its result as JSON.

    Log lines go to stderr. The run is stored like any other. After a failure, a worker makes the remaining attempts.

    \b
    Examples:
      server-jobs now DailyDigest --params '{"recipients": ["ann@example.com"]}'
      server-jobs now ImportCsv --params @import.json --no-persist | jq .rows

    Exit status: 0 completed, 1 it failed or the params do not fit, 2 wrong usage, 3 project or database cannot be used.
    """
    with logging_to_stderr(), _note_on_changed_specs(workspace):
        registry = workspace.registry_for(job)
        registration = registry.find(job)
        if registration.is_stub:
            raise HandlerNotImplementedError(registration.job.job_name)
        chosen = workspace.of_job(registry, registration.job.new_job(params))
        result = run(
            _run_unstored(chosen, registry, registration.job, params)
            if no_persist
            else _run_stored(chosen, registry, registration.job, params, worker_timeout, correlation_id)
        )
    if as_json:
        print_json(_document(result))
    elif result.ok:
        print_json(_plain(result.data))
    else:
        _say_that_it_failed(result.metadata)
    if not result.ok:
        click.get_current_context().exit(NO)


async def _run_unstored(
    workspace: Workspace, registry: JobRegistry, job: AnyJob, params: dict[str, object]
) -> JobResult[BaseModel | None]:
    async with workspace.unopened_backend(registry) as backend:
        return await job.using(backend).now(params, persist=False)


async def _run_stored(
    workspace: Workspace,
    registry: JobRegistry,
    job: AnyJob,
    params: dict[str, object],
    lease: timedelta,
    correlation_id: str | None,
) -> JobResult[BaseModel | None]:
    async with workspace.open_backend(registry) as backend:
        with _errors_of_middleware(registry):
            return await job.using(backend).now(params, worker_timeout=lease, correlation_id=correlation_id)


def _say_that_it_failed(metadata: JobMetadata) -> None:
    note(f"Error: {metadata.job_name} failed: {metadata.error}")
    if metadata.status is JobStatus.PENDING:
        cancel = shell_command("cancel", str(metadata.job_id))
        note(f"it has attempts left: a worker will try again, unless you run {cancel}")


def _document(result: JobResult[BaseModel | None]) -> dict[str, object]:
    metadata = result.metadata
    return {
        "id": metadata.job_id,
        "job_name": metadata.job_name,
        "status": metadata.status,
        "attempt_count": metadata.attempt_count,
        "result": _plain(result.data) if result.ok else None,
        "error": result.error,
    }


def _plain(value: BaseModel | None) -> object:
    return None if value is None else json.loads(value.model_dump_json(by_alias=True))


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="How many jobs to run at most; by default all due jobs.")
@click.option("--budget", type=duration, help="Start no job after this time, such as 25s.")
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Jobs that run at a time."
)
@click.option(
    "--lease",
    type=duration,
    default="60s",
    show_default=True,
    help="The lease of a job: if this process dies, others take it over once this time has passed.",
)
@with_workspace
@json_option
def tick(
    workspace: Workspace,
    *,
    limit: int | None,
    budget: timedelta | None,
    concurrency: int,
    lease: timedelta,
    as_json: bool,
) -> None:
    """Take over expired jobs, fire schedules, run due jobs, and exit.

    For a cron line or another timer, instead of a worker that runs all the time. Started jobs are finished.

    \b
    Example, for crontab:
      * * * * *  cd /srv/shop && server-jobs tick --budget 50s

    Exit status: 0 done, whether or not a job failed; 1 a schedule could not fire; 2 wrong usage; 3 project or database
    cannot be used.
    """
    with logging_to_stderr():
        done = run(_tick(workspace, concurrency, lease, limit=limit, budget=budget))
    text = (
        f"{done.completed} completed, {done.failed} failed; "
        f"{done.scheduled} made by schedules, {done.expired} with an expired lease"
    )
    if done.late:
        text += f"; {done.late} cancelled, because they had to start earlier"
    print_result(asdict(done), text, as_json=as_json)
    if done.unfired:
        note(f"{done.unfired} schedules could not fire; the log says why, and `server-jobs schedules` lists them")
        click.get_current_context().exit(NO)


async def _tick(
    workspace: Workspace, concurrency: int, lease: timedelta, *, limit: int | None, budget: timedelta | None
) -> Tick:
    from server_jobs.engine.open_places import check_places  # `enqueue` does without
    from server_jobs.engine.tick import tick as run_tick

    async with workspace.open_backend(concurrency=concurrency, lease=lease) as backend:
        check_places(backend.execution.attempt_factory, backend.name)
        return await run_tick(backend, limit=limit, budget=budget)
