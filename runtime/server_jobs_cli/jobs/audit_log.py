"""`server-jobs audit`: who changed jobs and queues by hand."""

from __future__ import annotations

from collections.abc import Sequence

import click
from server_jobs.domain.audit import LONGEST_AUDIT_PAGE, AuditAction, AuditQuery, AuditRecord

from ..console.output import last_cell, one_line, plain_table, print_json, stdout_console
from ..console.times import local
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.option("--by", metavar="NAME", help="Only entries of this user or token, such as user:ann or token:shop.")
@click.option("--target", metavar="ID|QUEUE", help="Only entries about this job or queue.")
@click.option("--action", type=click.Choice([str(action) for action in AuditAction]), help="Only this action.")
@click.option(
    "--limit", type=click.IntRange(1, LONGEST_AUDIT_PAGE), default=50, show_default=True, help="How many at most."
)
@click.option("--before", metavar="ENTRY", help="Only entries older than the one with this id.")
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
    """List who cancelled, retried, repaired or deleted jobs and paused or resumed queues, newest first.

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
    entries = run(_read(workspace, query))
    if as_json:
        print_json([_document(entry) for entry in entries])
    else:
        _print(entries)


async def _read(workspace: Workspace, query: AuditQuery) -> Sequence[AuditRecord]:
    async with workspace.open_store(only_reads=True) as store:
        return await store.audit_log(query)


def _document(entry: AuditRecord) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "job_name": entry.job_name,
        "detail": entry.detail,
    }


def _print(entries: Sequence[AuditRecord]) -> None:
    table = plain_table("at", "by", "action", "job or queue", "")
    for entry in entries:
        table.add_row(
            local(entry.at),
            one_line(entry.actor),
            entry.action,
            one_line(entry.target),
            last_cell(" ".join(filter(None, (entry.job_name, entry.detail)))),
        )
    stdout_console().print(table)
