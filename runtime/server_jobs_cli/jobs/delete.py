"""`server-jobs delete`: delete single jobs, or all jobs with a value, such as those of one person."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import click
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Deletion, JobStatus
from server_jobs.domain.search import Condition, FoundJob, SearchStep, condition_in
from server_jobs.errors import InvalidOptionError

from ..console.actor import actor
from ..console.failures import NO
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.stored_name import stored_name
from ..project.workspace import Workspace

_AT_ONCE = 500
_SHOWN = 20
_HINT = "cancel it with `server-jobs cancel`, and delete it once its worker has stopped it"


@dataclass(slots=True)
class _Outcome:
    """What was found, and what became of it."""

    found: list[FoundJob] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    is_dry_run: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing that was asked for is left."""
        return not (self.running or self.unreadable or self.missing)

    def document(self) -> dict[str, object]:
        """The answer to programs."""
        return {
            "found": len(self.found),
            "dry_run": self.is_dry_run,
            "deleted": self.deleted,
            "running": self.running,
            "unreadable": self.unreadable,
            "not_found": self.missing,
        }


@click.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--where",
    "conditions",
    metavar="PLACE=VALUE",
    multiple=True,
    help="All jobs with that value at that place, such as params.customerId=42. Several must all hold.",
)
@click.option("--job", metavar="NAME", help="With --where: only jobs of this name.")
@click.option("--dry-run", is_flag=True, help="Say how many there are, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before jobs found by --where are deleted.")
@with_workspace
@json_option
def delete(
    workspace: Workspace,
    *,
    job_ids: tuple[str, ...],
    conditions: tuple[str, ...],
    job: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete the jobs ID..., or all jobs with a value in their params or result.

    Pending and finished jobs are deleted. A running job is left: cancel it first, and delete it once it has stopped.
    Each deletion is entered in the audit log (`server-jobs audit`), without the value.

    A place is params or result, and names of properties with dots between them, or a JSON pointer. In a list, any
    element may have the value. 42 means the number 42 and the string "42"; in JSON quotes, '"42"', only the string.
    What a spec redacts is found as well. With --where, the command says how many jobs there are and asks before it
    deletes them; without a terminal it needs --yes.

    \b
    Examples:
      server-jobs delete 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs delete --where params.customerId=42 --dry-run
      server-jobs delete --where params.customerId=42 --yes
      server-jobs delete --where /result/contact/email=ada@example.com --job SendEmail

    Exit status: 0 all of them are deleted, 1 some are not, because they run, cannot be read or are unknown, or nobody
    confirmed, 2 wrong usage, 3 project or database cannot be used.
    """
    if bool(job_ids) == bool(conditions):
        raise click.UsageError("give either IDs or --where")
    if job_ids and (job is not None or dry_run):
        raise click.UsageError("--job and --dry-run are for --where")
    with logging_to_stderr():
        if job_ids:
            outcome = run(_delete_ids(workspace, job_ids))
        else:
            name = job and stored_name(workspace, job)
            outcome = _delete_found(workspace, _parsed(conditions), name, dry_run=dry_run, yes=yes, as_json=as_json)
    _print(outcome, as_json=as_json)
    if not outcome.is_complete and not dry_run:
        click.get_current_context().exit(NO)


def _parsed(conditions: Sequence[str]) -> tuple[Condition, ...]:
    try:
        return tuple(condition_in(text) for text in conditions)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error


async def _delete_ids(workspace: Workspace, job_ids: Sequence[str]) -> _Outcome:
    async with workspace.open_store() as store:
        outcome = _Outcome()
        _note_answers(outcome, job_ids, await store.delete(job_ids, by=actor()))
        return outcome


def _delete_found(
    workspace: Workspace, conditions: tuple[Condition, ...], job: str | None, *, dry_run: bool, yes: bool, as_json: bool
) -> _Outcome:
    found = run(_search(workspace, conditions, job))
    outcome = _Outcome(found=[one for one in found if one.is_readable], is_dry_run=dry_run)
    outcome.unreadable = [one.id for one in found if not one.is_readable]
    wanted = [one.id for one in outcome.found if one.status is not JobStatus.RUNNING]
    outcome.running = [one.id for one in outcome.found if one.status is JobStatus.RUNNING]
    if not as_json:
        say(_counts(outcome.found))
    if dry_run or not wanted:
        return outcome
    if not yes and (as_json or not sys.stdin.isatty()):
        note("Error: nothing was deleted; confirm it with --yes")
        click.get_current_context().exit(NO)
    if not yes and not click.confirm(f"Delete {len(wanted)} of them?"):
        click.get_current_context().exit(NO)
    outcome.running.clear()
    run(_delete(workspace, outcome, conditions))
    return outcome


async def _search(workspace: Workspace, conditions: tuple[Condition, ...], job: str | None) -> list[FoundJob]:
    async with workspace.open_store(only_reads=True) as store:
        return [one async for one in _found(store, conditions, job)]


async def _found(store: Store, conditions: tuple[Condition, ...], job: str | None) -> AsyncIterator[FoundJob]:
    after: str | None = ""
    while after is not None:
        step = await store.search(SearchStep(conditions, job_name=job, after=after))
        for one in step.jobs:
            yield one
        after = step.after


async def _delete(workspace: Workspace, outcome: _Outcome, conditions: Sequence[Condition]) -> None:
    """Delete what was found, running jobs included: what was running then may have ended, and the reverse."""
    detail = "found by " + ", ".join(one.place for one in conditions)
    ids = [one.id for one in outcome.found]
    async with workspace.open_store() as store:
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            _note_answers(outcome, some, await store.delete(some, by=actor(), detail=detail))
    outcome.missing.clear()  # somebody else has deleted them meanwhile


def _note_answers(outcome: _Outcome, job_ids: Sequence[str], answers: Sequence[Deletion]) -> None:
    lists = {
        Deletion.DELETED: outcome.deleted,
        Deletion.RUNNING: outcome.running,
        Deletion.NOT_FOUND: outcome.missing,
    }
    for job_id, answer in zip(job_ids, answers, strict=True):
        lists[answer].append(job_id)


def _counts(found: Sequence[FoundJob]) -> str:
    counts = Counter((one.job_name, one.status) for one in found)
    shown = ", ".join(f"{count} {status} {name}" for (name, status), count in sorted(counts.items()))
    jobs = "job was" if len(found) == 1 else "jobs were"
    return f"{len(found)} {jobs} found" + (f": {shown}" if shown else "")


def _print(outcome: _Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(outcome.document())
        return
    if outcome.is_dry_run:
        say("nothing was deleted (dry run)")
    else:
        jobs = "job was" if len(outcome.deleted) == 1 else "jobs were"
        say(f"{len(outcome.deleted)} {jobs} deleted")
    _note_each(outcome.running, f"is running, and was not deleted; {_HINT}")
    _note_each(outcome.missing, "is not stored")
    _note_each(
        outcome.unreadable, "was not searched: its params or result are no JSON; look at it, and delete it by id"
    )


def _note_each(job_ids: Sequence[str], what: str) -> None:
    for job_id in job_ids[:_SHOWN]:
        note(f"Error: {job_id} {what}")
    if len(job_ids) > _SHOWN:
        note(f"Error: and {len(job_ids) - _SHOWN} more: each {what}")
