"""`server-jobs prune`: delete finished jobs that need not be kept, all of them at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click
from server_jobs.domain.record import JobStatus, PruneRule, PruneStep
from server_jobs.engine.pruner import retention_rules

from ..console.arguments import duration
from ..console.output import print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.stored_name import stored_name
from ..project.workspace import Workspace

_FINISHED = [status for status in JobStatus if status.is_finished]


@click.command()
@click.option(
    "--older-than",
    "age",
    metavar="DURATION",
    type=duration,
    help="Those that ended longer ago, such as 30d, whatever specs say.",
)
@click.option("--job", metavar="NAME", help="Only jobs of this name.")
@click.option("--status", type=click.Choice([str(status) for status in _FINISHED]), help="Only jobs in this status.")
@click.option("--dry-run", is_flag=True, help="Count them, and delete nothing.")
@with_workspace
@json_option
def prune(
    workspace: Workspace, *, age: timedelta | None, job: str | None, status: str | None, dry_run: bool, as_json: bool
) -> None:
    """Delete finished jobs: those that their specs do not keep any longer (`retention`), or those --older-than.

    Pending and running jobs are never deleted, nor are those that are parked because nobody could read them. Workers do
    the same by themselves, a little at a time, where specs state a retention. Entries of the audit log are deleted
    after 365 days.

    \b
    Examples:
      server-jobs prune --dry-run
      server-jobs prune --older-than 30d --status completed
      server-jobs prune --older-than 1h --job SendEmail

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    rules = _stated(workspace, job, status) if age is None else _given(workspace, age, job, status)
    if not rules:
        raise click.UsageError("the specs keep these jobs for ever; say how old they must be, such as --older-than 30d")
    count = run(_prune(workspace, PruneStep(rules=rules, dry_run=dry_run)))
    if as_json:
        print_json({"count": count, "deleted": not dry_run})
    else:
        jobs, were = ("job", "was") if count == 1 else ("jobs", "were")
        say(f"{count} {jobs} {'would be' if dry_run else were} deleted")


async def _prune(workspace: Workspace, step: PruneStep) -> int:
    """Step by step, so that nobody else waits for long."""
    count, after = 0, ""
    async with workspace.open_store(only_reads=step.dry_run) as store:
        while True:
            pruned = await store.prune(replace(step, after=after))
            count += pruned.count
            if pruned.after is None:
                if not step.dry_run:
                    await store.forget_audit()
                return count
            after = pruned.after


def _stated(workspace: Workspace, job: str | None, status: str | None) -> tuple[PruneRule, ...]:
    """What the specs say, of this job and status if given."""
    name = job and workspace.registry.find(job).job.job_name
    return tuple(
        rule
        for rule in retention_rules(workspace.registry)
        if name in (None, rule.job_name) and status in (None, rule.status)
    )


def _given(workspace: Workspace, age: timedelta, job: str | None, status: str | None) -> tuple[PruneRule, ...]:
    name = job and stored_name(workspace, job)
    statuses = _FINISHED if status is None else [JobStatus(status)]
    return tuple(PruneRule(status=one, age=age, job_name=name) for one in statuses)
