"""`server-jobs repair`: jobs whose params cannot be read get others, or are read again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
from server_jobs.domain.lifecycle import why_unrepairable
from server_jobs.domain.record import LONGEST_PAGE, JobQuery, JobRecord, JobStatus, Repair
from server_jobs.engine.job_document import ShownParams, parsed, shown_params
from server_jobs.errors import (
    DuplicateJobError,
    JobNotFoundError,
    JobNotRepairableError,
    JobNotRetryableError,
    UpcastError,
)

from ..console.actor import actor
from ..console.arguments import json_object
from ..console.failures import NO
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace

if TYPE_CHECKING:
    from server_jobs.domain.interfaces import Store
    from server_jobs.registry import JobRegistry, Registration

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one parked job: it is pending again, or why it is not."""

    id: str
    problem: str | None


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@click.option(
    "--params",
    metavar="JSON",
    type=json_object,
    help="The params to run it with, a JSON object; @FILE reads a file, - reads stdin.",
)
@click.option("--version", type=click.IntRange(1), help="The version that these params are of; by default the newest.")
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
    """Give the job ID other params than those that cannot be read, and put it back in its queue.

    For jobs that are parked, and for pending ones that no worker of this project can read. The params are checked
    against the spec, those of an earlier version are upcast first, and they are stored only if the job is as it was
    read. Its unique key stays. What the spec redacts is not shown.

    With --all, the params of parked jobs are read again, as after an upcaster was mended; those that can be read are
    pending again with all their attempts, unchanged, and the others stay parked.

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
            answers = run(_read_again(workspace, job_name))
        _answer(job_name, answers, as_json=as_json)
    elif job_id is None or params is None:
        raise click.UsageError("give an ID with --params, or --all JOB")
    else:
        with logging_to_stderr():
            before, after = run(_repair(workspace, job_id, params, version))
        _print(before, after, workspace.registry, as_json=as_json)


async def _repair(
    workspace: Workspace, job_id: str, params: dict[str, object], version: int | None
) -> tuple[JobRecord, JobRecord]:
    """The job before and after."""
    async with workspace.open_store() as store:
        before = await store.get(job_id)
        if before is None:
            raise JobNotFoundError(job_id)
        repair = _checked(workspace.registry.find(before.job_name), before, params, version)
        await store.repair(repair, by=actor())
        return before, await store.get(job_id) or before


def _checked(registration: Registration, before: JobRecord, params: dict[str, object], version: int | None) -> Repair:
    """What is to be stored. Raises what is wrong with the params, or with the job."""
    versions = registration.versions
    if before.status is not JobStatus.PENDING and not before.is_parked:
        raise JobNotRepairableError(before.id, why_unrepairable(before))
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


async def _read_again(workspace: Workspace, name: str) -> list[_Answer]:
    registration = workspace.registry.find(name)
    versions = registration.versions
    answers: list[_Answer] = []
    async with workspace.open_store() as store:
        async for record in _parked(store, registration.job.job_name):
            refusal = versions.refusal(record.params, record.spec_version)
            answers.append(
                await _retried(store, record.id) if refusal is None else _Answer(record.id, _reason(refusal))
            )
    return answers


async def _parked(store: Store, job_name: str) -> AsyncIterator[JobRecord]:
    """Page by page, newest first: a job that is put back meanwhile moves no other one."""
    before: str | None = None
    while page := await store.list_jobs(JobQuery(parked=True, job_name=job_name, before=before, limit=LONGEST_PAGE)):
        for record in page:
            yield record
        before = page[-1].id


async def _retried(store: Store, job_id: str) -> _Answer:
    try:
        await store.retry(job_id, by=actor())
    except (JobNotFoundError, JobNotRetryableError, DuplicateJobError) as error:
        return _Answer(job_id, str(error))
    return _Answer(job_id, None)


def _reason(refusal: Exception) -> str:
    return str(refusal) if isinstance(refusal, UpcastError) else f"{type(refusal).__name__}: {refusal}"


def _answer(job_name: str, answers: list[_Answer], *, as_json: bool) -> None:
    refused = [answer for answer in answers if answer.problem is not None]
    if as_json:
        print_json([asdict(answer) for answer in answers])
    else:
        say(f"{len(answers) - len(refused)} of {len(answers)} parked jobs of {job_name} are pending again")
        for answer in refused[:_SHOWN]:
            note(f"Error: {answer.id} stays parked: {answer.problem}")
        if len(refused) > _SHOWN:
            note(f"and {len(refused) - _SHOWN} more stay parked")
    if refused:
        click.get_current_context().exit(NO)


def _print(before: JobRecord, after: JobRecord, registry: JobRegistry, *, as_json: bool) -> None:
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
