"""`server-jobs retry`, `cancel` and `repair`: manual changes of stored jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
from server_jobs.domain.lifecycle import unrepairable_reason
from server_jobs.domain.record import LONGEST_PAGE, Cancellation, JobQuery, JobRecord, JobStatus, Repair, Retrial
from server_jobs.domain.search import FIND_STEP
from server_jobs.errors import (
    DuplicateJobError,
    JobNotFoundError,
    JobNotRepairableError,
    JobNotRetryableError,
    UpcastError,
)
from server_jobs.inspection.job_document import ShownParams, parsed, shown_params

from ..console.failures import NO
from ..console.json_option import json_option
from ..console.log import logging_to_stderr
from ..console.options import json_object, with_workspace
from ..console.output import note, print_json, say
from ..console.workspace import Workspace, actor
from .job_filter import BulkAction, FilterCommand, FilterOptions, bulk_options, change_found, filter_options, is_by_id

if TYPE_CHECKING:
    from server_jobs.domain.interfaces import Store
    from server_jobs.registry import JobRegistry, Registration

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome for one job; `ok` is False if nothing was changed."""

    id: str
    ok: bool
    outcome: str


@click.command(cls=FilterCommand)
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@with_workspace
@filter_options()
@bulk_options
@json_option
def retry(
    workspace: Workspace, *, job_ids: tuple[str, ...], options: FilterOptions, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Put failed or cancelled jobs back in their queue, with all their attempts: the jobs ID..., or all of a filter.

    A filter finds failed jobs, unless --status states another status. The command prints how many it found, and asks;
    without a terminal it needs --yes. A job stays if an unfinished job has its unique key.

    \b
    Examples:
      server-jobs retry 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs retry --job SendEmail --error-class ConnectionError --newer-than 2h
      server-jobs retry --queue mail --dry-run

    Exit status: 0 all of them are pending, 1 at least one could not be retried, or nobody confirmed, 2 wrong usage,
    3 project or database cannot be used.
    """
    if is_by_id(job_ids, options, is_bulk=dry_run or yes):
        _change(workspace, job_ids, retry_all, as_json=as_json)
    else:
        change_found(workspace, BulkAction.RETRY, options, dry_run=dry_run, yes=yes, as_json=as_json)


@click.command(cls=FilterCommand)
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@with_workspace
@filter_options()
@bulk_options
@json_option
def cancel(
    workspace: Workspace, *, job_ids: tuple[str, ...], options: FilterOptions, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Cancel pending jobs at once, and ask running ones to stop: the jobs ID..., or all of a filter.

    Parked jobs are cancelled too if their id or --parked is given, and may be pruned then. A running job receives the
    request within seconds. If its handler finishes first, the job is completed. With a filter, the command prints how
    many jobs it found, and asks; without a terminal it needs --yes.

    \b
    Examples:
      server-jobs cancel 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs cancel --queue reports --status pending
      server-jobs cancel --where params.customerId=42 --yes

    Exit status: 0 all of them are cancelled or asked, 1 at least one is finished or unknown, or nobody confirmed,
    2 wrong usage, 3 project or database cannot be used.
    """
    if is_by_id(job_ids, options, is_bulk=dry_run or yes):
        _change(workspace, job_ids, cancel_all, as_json=as_json)
    else:
        change_found(workspace, BulkAction.CANCEL, options, dry_run=dry_run, yes=yes, as_json=as_json)


def _change(
    workspace: Workspace,
    job_ids: Sequence[str],
    change: Callable[[Store, Sequence[str]], Awaitable[list[Answer]]],
    *,
    as_json: bool,
) -> None:
    """Change the jobs, and print the answers. Exit with status 1 if a job could not be changed."""

    async def change_all(store: Store) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(job_ids), FIND_STEP):
            answers += await change(store, job_ids[start : start + FIND_STEP])
        return answers

    with logging_to_stderr():
        answers = workspace.with_store(change_all)
    if as_json:
        print_json([asdict(answer) for answer in answers])
    else:
        for answer in answers:
            if answer.ok:
                say(f"{answer.id}  {answer.outcome}")
            else:
                note(f"Error: {answer.outcome}")
    if not all(answer.ok for answer in answers):
        click.get_current_context().exit(NO)


async def retry_all(store: Store, job_ids: Sequence[str], *, by: str | None = None) -> list[Answer]:
    """Put jobs back in their queue, with the reason for each one that stays.

    `by` is for the audit log; None: the user of this process.
    """
    by = by or actor()
    answers = zip(job_ids, await store.retry_many(job_ids, by=by), strict=True)
    return [await _retry_answer(store, job_id, answer, by) for job_id, answer in answers]


async def _retry_answer(store: Store, job_id: str, answer: Retrial, by: str) -> Answer:
    if answer is Retrial.RETRIED:
        return Answer(job_id, ok=True, outcome="pending")
    problem = await _retry_problem(store, job_id, by)  # tries again, for the reason
    return Answer(job_id, ok=problem is None, outcome=problem or "pending")


async def _retry_problem(store: Store, job_id: str, by: str) -> str | None:
    """Put a job back in its queue. Return the reason if this is not possible."""
    try:
        await store.retry(job_id, by=by)
    except (JobNotFoundError, JobNotRetryableError, DuplicateJobError) as error:
        return str(error)
    return None


async def cancel_all(store: Store, job_ids: Sequence[str], *, by: str | None = None) -> list[Answer]:
    """Cancel jobs, with the reason for each one that stays. `by` as in `retry_all`."""
    answers = zip(job_ids, await store.cancel_many(job_ids, by=by or actor()), strict=True)
    return [_cancel_answer(job_id, answer) for job_id, answer in answers]


def _cancel_answer(job_id: str, answer: Cancellation) -> Answer:
    match answer:
        case Cancellation.CANCELLED:
            return Answer(job_id, ok=True, outcome="cancelled")
        case Cancellation.REQUESTED:
            return Answer(job_id, ok=True, outcome="running, asked to stop")
        case Cancellation.FINISHED:
            return Answer(job_id, ok=False, outcome=f"job {job_id} is finished already; there is nothing to cancel")
        case Cancellation.NOT_FOUND:
            return Answer(job_id, ok=False, outcome=str(JobNotFoundError(job_id)))


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@click.option(
    "--params",
    metavar="JSON",
    type=json_object,
    help="The new params, a JSON object; @FILE reads a file, - reads stdin.",
)
@click.option("--version", type=click.IntRange(1), help="The version of these params; by default the newest.")
@click.option("--all", "job_name", metavar="JOB", help="Put back every parked job of this name that can be read now.")
@with_workspace
@json_option
def repair(
    workspace: Workspace,
    *,
    job_id: str | None,
    params: dict[str, object] | None,
    version: int | None,
    job_name: str | None,
    as_json: bool,
) -> None:
    """Replace the params of the job ID, which cannot be read, and put the job back in its queue.

    For parked jobs, and for pending jobs that no worker of this project can read. The new params are upcast from
    --version and validated against the spec. They are stored only if the job did not change in between. The unique key
    stays. Redacted values are hidden.

    With --all, the command reads the params of parked jobs again, for example after an upcaster was fixed. Jobs that
    can be read become pending with all their attempts; the others stay parked.

    \b
    Examples:
      server-jobs list --parked
      server-jobs repair 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de --params '{"to": "ada@example.com", "subject": "Hello"}'
      server-jobs repair --all SendEmail

    Exit status: 0 done, 1 the params do not fit, or a job could not be put back, 2 wrong usage, 3 project or database
    cannot be used.
    """
    if job_name is not None:
        if job_id is not None or params is not None or version is not None:
            raise click.UsageError("give either --all, or an ID with --params")
        with logging_to_stderr():
            registration = workspace.registry.find(job_name)
            problems = workspace.with_store(lambda store: _read_again(store, registration))
        _print_problems(job_name, problems, as_json=as_json)
    elif job_id is None or params is None:
        raise click.UsageError("give an ID with --params, or --all JOB")
    else:
        with logging_to_stderr():
            before, after = workspace.with_store(lambda store: _repair(store, workspace, job_id, params, version))
        _print_repair(before, after, workspace.registry, as_json=as_json)


async def _repair(
    store: Store, workspace: Workspace, job_id: str, params: dict[str, object], version: int | None
) -> tuple[JobRecord, JobRecord]:
    """Return the job before and after."""
    before = await store.get(job_id)
    if before is None:
        raise JobNotFoundError(job_id)
    repair = _checked(workspace.registry.find(before.job_name), before, params, version)
    await store.repair(repair, by=actor())
    return before, await store.get(job_id) or before


def _checked(registration: Registration, before: JobRecord, params: dict[str, object], version: int | None) -> Repair:
    """Return the repair to store. Raises an error if the params or the job do not allow it."""
    versions = registration.versions
    if before.status is not JobStatus.PENDING and not before.is_parked:
        raise JobNotRepairableError(before.id, unrepairable_reason(before))
    if not before.is_parked and versions.refusal(before.params, before.spec_version) is None:
        raise JobNotRepairableError(before.id, "it is pending, and its params can be read")
    if version is not None:
        params = json.loads(versions.current_params(json.dumps(params), version))
    new = registration.job.new_job(params)
    return Repair(
        instead_of=before,
        params=new.params,
        spec_version=new.spec_version,
        concurrency_key=new.concurrency_key,
        rate_key=new.rate_key,
    )


async def _read_again(store: Store, registration: Registration) -> dict[str, str | None]:
    """Put back the parked jobs that can be read now. Return the problem of each job by id, or None."""
    problems: dict[str, str | None] = {}
    async for record in _parked(store, registration.job.job_name):
        refusal = registration.versions.refusal(record.params, record.spec_version)
        if refusal is None:
            problems[record.id] = await _retry_problem(store, record.id, actor())
        else:
            problems[record.id] = _reason(refusal)
    return problems


async def _parked(store: Store, job_name: str) -> AsyncIterator[JobRecord]:
    """Yield parked jobs page by page, newest first. A repaired job does not shift the following pages."""
    before: str | None = None
    while page := await store.list_jobs(JobQuery(parked=True, job_name=job_name, before=before, limit=LONGEST_PAGE)):
        for record in page:
            yield record
        before = page[-1].id


def _reason(refusal: Exception) -> str:
    return str(refusal) if isinstance(refusal, UpcastError) else f"{type(refusal).__name__}: {refusal}"


def _print_problems(job_name: str, problems: dict[str, str | None], *, as_json: bool) -> None:
    refused = [(job_id, problem) for job_id, problem in problems.items() if problem is not None]
    if as_json:
        print_json([{"id": job_id, "problem": problem} for job_id, problem in problems.items()])
    else:
        say(f"{len(problems) - len(refused)} of {len(problems)} parked jobs of {job_name} are pending again")
        for job_id, problem in refused[:_SHOWN]:
            note(f"Error: {job_id} stays parked: {problem}")
        if len(refused) > _SHOWN:
            note(f"and {len(refused) - _SHOWN} more stay parked")
    if refused:
        click.get_current_context().exit(NO)


def _print_repair(before: JobRecord, after: JobRecord, registry: JobRegistry, *, as_json: bool) -> None:
    shown = [(record, shown_params(record, registry)) for record in (before, after)]
    if as_json:
        old, new = (_document(record, params) for record, params in shown)
        print_json({"id": after.id, "job_name": after.job_name, "status": after.status, "before": old, "after": new})
        return
    say(f"{after.id}  {after.status}")
    for word, (record, params) in zip(("before", "after"), shown, strict=True):
        say(f"  {word:<6} (version {record.spec_version})  {params.text or f'hidden: {params.reason}'}")


def _document(record: JobRecord, params: ShownParams) -> dict[str, object]:
    return {
        "spec_version": record.spec_version,
        "params": parsed(params.text),
        "params_hidden": params.reason,
    }
