"""`server-jobs delete` and `prune`: delete jobs by id, all jobs of a filter, or all past their retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import click
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Deletion, JobFilter, JobStatus, PruneRule, PruneStep
from server_jobs.domain.search import FIND_STEP, FindStep
from server_jobs.engine.pruner import retention_rules

from ..console.failures import NO
from ..console.json_option import json_option
from ..console.log import logging_to_stderr
from ..console.options import with_workspace
from ..console.output import note, print_json, print_result, say
from ..console.workspace import Workspace, actor
from .job_filter import (
    RUNNING_STAYS,
    SHOWN,
    BulkAction,
    FilterCommand,
    FilterOptions,
    bulk_options,
    change_found,
    filter_options,
    is_by_id,
    jobs_were,
)

_FINISHED = [status for status in JobStatus if status.is_finished]


@click.command(cls=FilterCommand)
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@with_workspace
@filter_options()
@bulk_options
@json_option
def delete(
    workspace: Workspace, *, job_ids: tuple[str, ...], options: FilterOptions, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete the jobs ID..., or all jobs of a filter.

    Deletes pending and finished jobs. A running job stays: cancel it, and delete it once it has stopped. The audit log
    (`server-jobs audit`) records each deletion without the value of --where.

    A place is params or result, followed by property names with dots between them, or a JSON pointer. In a list, any
    element may have the value. 42 means the number 42 and the string "42"; in JSON quotes, '"42"', only the string. The
    search includes values that a spec redacts. With a filter, the command prints how many jobs it found and asks before
    it deletes them; without a terminal it needs --yes.

    \b
    Examples:
      server-jobs delete 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs delete --where params.customerId=42 --dry-run
      server-jobs delete --where params.customerId=42 --yes
      server-jobs delete --where /result/contact/email=ada@example.com --job SendEmail

    Exit status: 0 all of them are deleted, 1 some are not, because they run, cannot be read, are unknown, or were not
    confirmed, 2 wrong usage, 3 project or database cannot be used.
    """
    if not is_by_id(job_ids, options, is_bulk=dry_run or yes):
        change_found(workspace, BulkAction.DELETE, options, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    with logging_to_stderr():
        answers = workspace.with_store(lambda store: _delete_ids(store, job_ids))
    ids = {answer: [job_id for job_id in job_ids if answers[job_id] is answer] for answer in Deletion}
    if as_json:
        print_json({answer.replace(" ", "_"): some for answer, some in ids.items()})
    else:
        say(f"{jobs_were(len(ids[Deletion.DELETED]))} deleted")
        _note_each(ids[Deletion.RUNNING], RUNNING_STAYS)
        _note_each(ids[Deletion.NOT_FOUND], "is not stored")
    if len(ids[Deletion.DELETED]) < len(job_ids):
        click.get_current_context().exit(NO)


async def _delete_ids(store: Store, job_ids: Sequence[str]) -> dict[str, Deletion]:
    answers: dict[str, Deletion] = {}
    for start in range(0, len(job_ids), FIND_STEP):
        some = job_ids[start : start + FIND_STEP]
        answers |= zip(some, await store.delete(some, by=actor()), strict=True)
    return answers


def _note_each(job_ids: Sequence[str], what: str) -> None:
    for job_id in job_ids[:SHOWN]:
        note(f"Error: {job_id} {what}")
    if len(job_ids) > SHOWN:
        note(f"Error: and {len(job_ids) - SHOWN} more: each {what}")


@click.command(cls=FilterCommand)
@click.option("--dry-run", is_flag=True, help="Count them, and delete nothing.")
@with_workspace
@filter_options(_FINISHED)
@json_option
def prune(workspace: Workspace, *, options: FilterOptions, dry_run: bool, as_json: bool) -> None:
    """Delete finished jobs past the `retention` of their specs, or older than --older-than.

    Pending, running and parked jobs are never deleted. Workers prune continuously in small steps if a spec sets a
    retention. Entries of the audit log are deleted after 365 days.

    \b
    Examples:
      server-jobs prune --dry-run
      server-jobs prune --older-than 30d --status completed
      server-jobs prune --older-than 1h --job SendEmail

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    age = options.older_than
    among = options.filter(workspace)
    rules = _stated(workspace, among) if age is None else _given(age, among)
    if not rules:
        raise click.UsageError("the specs keep these jobs forever; give an age, such as --older-than 30d")
    step = PruneStep(rules=rules, dry_run=dry_run, among=among)
    count = workspace.with_store(lambda store: _prune(store, step), only_reads=dry_run)
    text = f"{count} {'job' if count == 1 else 'jobs'} would be deleted" if dry_run else f"{jobs_were(count)} deleted"
    print_result({"count": count, "deleted": not dry_run}, text, as_json=as_json)


async def _prune(store: Store, step: PruneStep) -> int:
    """Prune step by step, so that no transaction blocks others for long."""
    count = 0
    after: str | None = ""
    while after is not None:
        if step.among.where:
            find = FindStep(filter=step.among, after=after)
            found = await store.find(find)
            ids = tuple(job.id for job in found.jobs if job.is_readable)
            pruned = await store.prune(replace(step, after=after, limit=find.size, ids=ids))
            after = found.after
        else:
            pruned = await store.prune(replace(step, after=after))
            after = pruned.after
        count += pruned.count
    if not step.dry_run:
        await store.forget_audit()
    return count


def _stated(workspace: Workspace, among: JobFilter) -> tuple[PruneRule, ...]:
    """Return the retention rules of the specs, for this job and status if given."""
    name = among.job_name and workspace.registry.find(among.job_name).job.job_name
    return tuple(
        rule
        for rule in retention_rules(workspace.registry)
        if name in (None, rule.job_name) and among.status in (None, rule.status)
    )


def _given(age: timedelta, among: JobFilter) -> tuple[PruneRule, ...]:
    return tuple(PruneRule(status=one, age=age, job_name=among.job_name) for one in among.statuses or _FINISHED)
