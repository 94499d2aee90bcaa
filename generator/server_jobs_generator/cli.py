"""The commands of the generator: `generate`, `check` and `init`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import click
from server_jobs.cli.failures import AS_JSON, NO
from server_jobs.cli.findings import Verdict
from server_jobs.cli.output import note, say
from server_jobs.cli.suggestion import suggestion
from server_jobs.errors import ProjectError
from server_jobs.project import Project, find_project

from . import report, stamp
from .plan import Plan
from .worker_lint.finding import CodeFinding

_TARGETS = ("cloudflare",)

_folder = click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project, or a folder inside it; this folder by default.",
)


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    ctx.meta[AS_JSON] = value
    return value


_as_json = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json, help="Print JSON, errors included."
)


@click.command()
@_folder
@click.option("--force", is_flag=True, help="Overwrite generated files that were changed by hand; revisions stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written and removed.")
@click.option("--diff", is_flag=True, help="Like --dry-run, and show every change line by line.")
@_as_json
def generate(folder: Path, *, force: bool, dry_run: bool, diff: bool, as_json: bool) -> None:
    """Write the code, the migrations and the Worker that follow from the specs.

    Your own files are never touched: handlers, wrangler.jsonc, and whatever else the generator did not write. A
    generated file that you changed by hand is not overwritten: the run stops and names it. Nothing is written while
    any spec has a problem.

    Exit status: 0 done, 1 a spec or a changed file is in the way, 3 the project cannot be used.
    """
    with _explained():
        project = find_project(folder)
        write = not (dry_run or diff)
        is_clean = stamp.is_clean(project)
        with _alone(project) if write and not is_clean else nullcontext():
            plan = Plan() if is_clean else _new_plan(project)
            if plan.problems or (plan.edited and not force):
                _refuse(plan, as_json=as_json)
            if diff and not as_json:
                _print(report.diff_lines(project, plan))
            if write:
                _publish(project, plan)
        _print([report.document(plan, written=write)] if as_json else report.change_lines(plan, written=write))


def _known_target(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in _TARGETS:
        raise click.BadParameter(f"there is no target {value!r}; {suggestion(value, _TARGETS)}")
    return value


@click.command()
@_folder
@click.option(
    "--target",
    metavar="NAME",
    callback=_known_target,
    help=f"Look at your code as well, for what cannot work there: {', '.join(_TARGETS)}.",
)
@_as_json
def check(folder: Path, *, target: str | None, as_json: bool) -> None:
    """Say whether the generated files are what the specs ask for; write nothing.

    One line for each file that is not: MISSING, STALE (the spec or the generator changed since), EDITED (by hand) or
    EXTRA (unknown, in a folder that belongs to the generator).

    With a target, the handlers and what they import of the project are read, never run; one line for each place that
    cannot work there (fail) or may not be meant (warn). A comment excuses its line: # cloudflare: ok -- and the reason.

    Exit status: 0 all is well, 1 something differs, fails or a spec has a problem, 3 the project cannot be used.
    """
    with _explained():
        project = find_project(folder)
        plan = _plan(project)
        code = () if target is None else _look_at_code(project)
        if as_json:
            _print([report.document(plan, written=False, target=target, code=code)])
        else:
            _print([*report.problem_lines(plan), *report.finding_lines(plan)])
            _print([] if target is None else report.code_lines(target, code))
        if plan.problems or plan.findings or any(finding.verdict is Verdict.FAIL for finding in code):
            raise SystemExit(NO)


@click.command()
@click.argument("folder", metavar="[FOLDER]", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Start a project in FOLDER (this folder by default): one spec, its handler, a test, and what is generated.

    Nothing that exists is overwritten: if a file is in the way, it is named and nothing is written.

    Exit status: 0 done, 1 a file is in the way, 3 the folder cannot be written.
    """
    with _explained():
        from .new_project import conflicts, project_files, write_project

        files = project_files(folder)
        in_the_way = conflicts(folder, files)
        if in_the_way:
            raise click.ClickException(_IN_THE_WAY.format(folder=folder, files="\n".join(f"  {f}" for f in in_the_way)))
        project = write_project(folder, files)
        plan = _plan(project)
        if plan.problems or plan.edited:
            _refuse(plan, as_json=False)
        _publish(project, plan)
        change = "" if folder.samefile(".") else f"  cd {shlex.quote(str(folder))}\n"
        _print([_NEXT.format(folder=folder.resolve(), change=change)])


_IN_THE_WAY = """\
these files in {folder} exist already, so nothing was written:
{files}
Choose an empty folder; or, in a project of your own, add [tool.server-jobs] to its pyproject.toml, write a spec
and run `server-jobs generate`."""

_NEXT = """\
{folder} has a project with one job. Next:
{change}  server-jobs migrate
  server-jobs enqueue Hello --params '{{"name": "Ada"}}'
  server-jobs worker --until-empty"""


def _plan(project: Project) -> Plan:
    return Plan() if stamp.is_clean(project) else _new_plan(project)


def _new_plan(project: Project) -> Plan:
    # Imported here because it brings the libraries that parse, render and migrate: most runs do without.
    from .pipeline import make_plan

    plan = make_plan(project)
    if not (plan.problems or plan.findings or plan.has_notes):
        stamp.remember(project)
    return plan


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """No other run writes meanwhile; and if one was killed, what it left is in order again."""
    from .publication import clear_up
    from .run_lock import one_at_a_time

    with one_at_a_time(project, note):
        clear_up(project)
        yield


def _look_at_code(project: Project) -> Sequence[CodeFinding]:
    from .worker_lint.project_lint import check_worker

    return check_worker(project)


def _publish(project: Project, plan: Plan) -> None:
    if plan.findings:
        from .pipeline import publish

        publish(project, plan)
        if not plan.has_notes:
            stamp.remember(project)


def _refuse(plan: Plan, *, as_json: bool) -> NoReturn:
    if as_json:
        _print([report.document(plan, written=False)])
    elif plan.problems:
        _print(report.problem_lines(plan))
    else:
        note(f"Error: {report.refusal(plan)}")
    raise SystemExit(NO)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong with files is a matter of the project, which `server-jobs` tells in one line."""
    try:
        yield
    except OSError as error:
        raise ProjectError(str(error)) from error
