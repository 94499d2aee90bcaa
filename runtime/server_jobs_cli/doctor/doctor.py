"""`server-jobs doctor`: look for what is wrong, and say what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from server_jobs_generator.problems.verdict import Verdict

from ..console.failures import NO
from ..console.findings import Finding
from ..console.output import one_line, print_json, stdout_console
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace
from .database_checks import check_database
from .project_checks import check_project

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@click.command()
@with_workspace
@json_option
def doctor(workspace: Workspace, *, as_json: bool) -> None:
    """Look for what is wrong with project and database, and say what to do about it.

    Looks at the configuration, the generated files, handlers that are still stubs, the database and its revision,
    declared schedules, unfinished jobs that nobody knows or begins, and what is known to go wrong with SQLite. Changes
    nothing.

    Exit status: 0 nothing fails, though there may be warnings; 1 something fails; 2 wrong usage.
    """
    findings = [*check_project(workspace), *run(_examine_database(workspace))]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        click.get_current_context().exit(NO)


async def _examine_database(workspace: Workspace) -> list[Finding]:
    return [finding async for finding in check_database(workspace)]


def _print(findings: Sequence[Finding]) -> None:
    from rich.text import Text

    console = stdout_console()
    for finding in findings:
        mark = Text(f"{finding.verdict:<6}", style=_STYLES[finding.verdict])
        console.print(mark + Text(one_line(finding.message)), soft_wrap=True)
        if finding.advice is not None:
            console.print(Text(f"      {one_line(finding.advice)}", style="dim"), soft_wrap=True)
