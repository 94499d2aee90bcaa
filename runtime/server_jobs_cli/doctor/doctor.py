"""`server-jobs doctor`: find problems of the project and its database, and print advice."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict

import click
from server_jobs.contract.job_keys import needs_secret
from server_jobs.errors import KeySecretError, ServerJobsError
from server_jobs.project import Project
from server_jobs.registry import JobRegistry
from server_jobs.security.key_secret import key_secret
from server_jobs.security.variables import KEY_SECRET_VARIABLE
from server_jobs_generator.problems.verdict import Verdict

from ..console.failures import NO
from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import print_json
from ..console.workspace import Workspace, run
from .database_checks import check_databases
from .findings import Finding, fail, ok, print_findings, warn
from .plug_ins import check_with_plug_ins

_SHOWN_FILES = 5


@click.command()
@with_workspace
@json_option
def doctor(workspace: Workspace, *, as_json: bool) -> None:
    """Find problems of the project and its database, and print advice for each.

    Checks the configuration, the generated files, handlers that are still stubs, the database and its revision,
    declared schedules, unfinished jobs that no worker knows or starts, known traps of SQLite, and whether vacuum keeps
    up on PostgreSQL. Plug-ins add checks, such as the one for tenants that a deploy left behind. Changes nothing.

    Exit status: 0 nothing fails, though there may be warnings; 1 something fails; 2 wrong usage.
    """
    findings = list(check_project(workspace))
    of_plug_ins, has_tables = check_with_plug_ins(workspace)
    findings += of_plug_ins
    if has_tables:
        findings += run(_examine_database(workspace))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_findings(findings)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        click.get_current_context().exit(NO)


async def _examine_database(workspace: Workspace) -> list[Finding]:
    return [finding async for finding in check_databases(workspace)]


def check_project(workspace: Workspace) -> Iterator[Finding]:
    """Run every check that needs no database."""
    yield ok(f"Python {platform.python_version()}")
    try:
        project = workspace.project
    except ServerJobsError as error:
        yield fail(str(error), "fix [tool.server-jobs] in pyproject.toml")
        return
    if project is not None:
        yield ok(
            f"project {project.root} (specs: {project.specs}, code: {project.output}, handlers: {project.handlers})"
        )
        yield from _check_generated(project)
    elif workspace.registry_place is None:
        yield fail(f"{workspace.folder.absolute()} is not in a project", "start one with `server-jobs init`")
        return
    yield from _check_registry(workspace)


def _check_generated(project: Project) -> Iterator[Finding]:
    try:
        from server_jobs_generator.pipeline import make_plan  # the generator needs its own extra

        plan = make_plan(project)  # imports the rest of it
    except ModuleNotFoundError as error:
        yield ok(f"the generator is not installed here ({error.name} is missing): generated files are not checked")
        return
    except ServerJobsError as error:
        yield fail(str(error), "fix it, then run `server-jobs generate`")
        return
    if plan.problems:
        yield fail(f"{len(plan.problems)} problems in {project.specs}/", "run `server-jobs check` to see each of them")
    elif plan.findings:
        paths = [finding.path for finding in plan.findings]
        more = f" and {len(paths) - _SHOWN_FILES} more" if len(paths) > _SHOWN_FILES else ""
        yield fail(
            f"generated files differ from the specs: {', '.join(paths[:_SHOWN_FILES])}{more}",
            "run `server-jobs generate`",
        )
    else:
        yield ok("generated files are what the specs ask for")


def _check_registry(workspace: Workspace) -> Iterator[Finding]:
    try:
        registry = workspace.registry
        registry.hooks.set_up()
    except ServerJobsError as error:
        yield fail(str(error), "fix it: no worker can start")
        return
    names = registry.get_names()
    if names:
        yield ok(f"{len(names)} jobs are registered: {', '.join(names)}")
    else:
        yield warn("no jobs are registered", "write a spec, then run `server-jobs generate`")
    yield from _check_handlers(registry)
    yield from check_key_secret(registry)


def _check_handlers(registry: JobRegistry) -> Iterator[Finding]:
    for registration in registry.registrations():
        name = registration.job.job_name
        if registration.is_stub:
            yield warn(
                f"the handler of {name} is still a stub: its jobs are not claimed",
                f"implement it in the module {getattr(registration.handler, '__module__', 'of its handler')}",
            )
        elif registration.handler is None:
            yield warn(f"{name} has no handler here: its jobs are not claimed", "register one, or run it elsewhere")
        for version in registration.versions.stubs:
            yield warn(
                f"the upcaster of {name} from version {version} is still a stub: jobs of that version, and of those "
                "before, are not claimed",
                "implement it, and start the workers again",
            )


def check_key_secret(registry: JobRegistry) -> Iterator[Finding]:
    """Check that this process has the secret for keys of redacted values, if any job has such a key."""
    names = [one.job.job_name for one in registry.registrations() if needs_secret(one.job.options)]
    if not names:
        return
    try:
        key_secret.key(f"a key of {', '.join(names)} covers a redacted value")
    except KeySecretError as error:
        problem, _, advice = str(error).partition("; ")
        yield warn(f"{problem}: such jobs cannot be enqueued here", advice)
    else:
        yield ok(f"{KEY_SECRET_VARIABLE} is set, for the keys of {', '.join(names)}")
