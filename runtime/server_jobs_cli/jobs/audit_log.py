"""`server-jobs audit`: list manual changes of jobs, queues and schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from server_jobs.domain.audit import AuditAction
from server_jobs.domain.record.audit import LONGEST_AUDIT_PAGE, AuditQuery, AuditRecord

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import last_cell, local, one_line, plain_table, print_json, print_table
from ..console.workspace import Workspace


@click.command()
@click.option("--by", metavar="NAME", help="Only entries of this user or token, such as user:ann or token:shop.")
@click.option("--target", metavar="TARGET", help="Only entries about this job, queue, or schedule (JOB/NAME).")
@click.option("--action", type=click.Choice([str(action) for action in AuditAction]), help="Only this action.")
@click.option(
    "--limit", type=click.IntRange(1, LONGEST_AUDIT_PAGE), default=50, show_default=True, help="How many at most."
)
@click.option("--before", metavar="ENTRY", help="Only entries older than the entry with this id.")
@with_workspace
@json_option
def audit(
    workspace: Workspace,
    *,
    by: str | None,
    target: str | None,
    action: str | None,
    limit: int,
    before: str | None,
    as_json: bool,
) -> None:
    """List who changed jobs, queues and schedules by hand, newest first.

    Entries are kept for 365 days.

    \b
    Examples:
      server-jobs audit --by token:shop
      server-jobs audit --target 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de --json

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    query = AuditQuery(
        actor=by, target=target, action=None if action is None else AuditAction(action), before=before, limit=limit
    )
    entries = workspace.with_store(lambda store: store.audit_log(query), only_reads=True)
    if as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        _print(entries)


def _print(entries: Sequence[AuditRecord]) -> None:
    table = plain_table("at", "by", "action", "target", "")
    for entry in entries:
        table.add_row(
            local(entry.at),
            one_line(entry.actor),
            entry.action,
            one_line(entry.target),
            last_cell(" ".join(filter(None, (entry.job_name, entry.detail)))),
        )
    print_table(table)
