"""The commands of the generator that look at a project: `generate`, `check` and `init`."""

from __future__ import annotations

import os
import shlex
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from errno import EACCES, EPERM, EROFS
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from server_jobs.errors import ProjectError, ServerJobsError
from server_jobs.project import Project, find_project
from server_jobs_generator.files import stamp
from server_jobs_generator.files.changes import Finding
from server_jobs_generator.parallel.garbage import no_collections
from server_jobs_generator.plan import Plan
from server_jobs_generator.problems.verdict import Verdict
from server_jobs_generator.worker_lint.rules import CodeFinding

from server_jobs_cli.console.failures import NO
from server_jobs_cli.console.failures import report as report_error
from server_jobs_cli.console.output import note, say
from server_jobs_cli.console.suggestion import suggestion

from . import report
from .annotations import annotate, below_repository
from .output_format import Form, formatted
from .row_options import database_option, forget_option, relock_option

if TYPE_CHECKING:
    from .queue_check import QueueFindings

_TARGETS = ("cloudflare",)
_NOT_ALLOWED = frozenset({EACCES, EPERM, EROFS})

_folder = click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project, or a folder inside it; this folder by default.",
)


_formatted = formatted(*Form)


@click.command()
@_folder
@click.option("--force", is_flag=True, help="Overwrite generated files that were changed by hand; revisions stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written and removed.")
@click.option("--diff", is_flag=True, help="Like --dry-run, and show every change line by line.")
@relock_option
@forget_option
@click.option("--watch", is_flag=True, help="Go on, and generate again whenever a spec changes, until Ctrl-C.")
@_formatted
@click.pass_context
def generate(
    ctx: click.Context,
    folder: Path,
    *,
    force: bool,
    dry_run: bool,
    diff: bool,
    relocked: Sequence[tuple[str, int | None]],
    forgotten: Sequence[tuple[str, int]],
    watch: bool,
    form: Form,
) -> None:
    """Write the code, the migrations and the Worker that follow from the specs.

    Your own files are never touched: handlers, wrangler.jsonc, and whatever else the generator did not write. A
    generated file that you changed by hand is not overwritten: the run stops and names it. Nothing is written while
    any spec has a problem, or breaks what was released of its job; the word in brackets behind one is its rule, which
    `server-jobs explain` tells more about.

    Exit status: 0 done (or with --dry-run and --diff: it could be), 1 a spec or a changed file is in the way, 3 the
    project cannot be used.
    """
    run = _Run(force, dry_run, diff, tuple(relocked), tuple(forgotten), form)
    if not watch:
        run.once(folder)
    elif form is not Form.TEXT:
        raise click.UsageError(f"--watch tells a person what changed; leave --format {form} out")
    else:
        _watch(ctx, find_project(folder), partial(run.once, folder))


@dataclass(frozen=True, slots=True)
class _Run:
    """What `generate` was asked for."""

    force: bool
    dry_run: bool
    diff: bool
    relocked: tuple[tuple[str, int | None], ...]
    forgotten: tuple[tuple[str, int], ...]
    form: Form

    def once(self, folder: Path) -> None:
        with _explained():
            project = find_project(folder)
            write = not (self.dry_run or self.diff)
            is_clean = not (self.relocked or self.forgotten) and stamp.is_clean(project)
            with _alone(project) if write and not is_clean else nullcontext():
                plan = Plan() if is_clean else _new_plan(project, relocked=self.relocked, forgotten=self.forgotten)
                if plan.is_refused or (plan.edited and not self.force):
                    _refuse(project, plan, self.form)
                if self.diff and self.form in (Form.TEXT, Form.GITHUB):
                    _print(report.diff_lines(project, plan))
                if write:
                    _publish(project, plan)
            told = _told(project, plan, self.form, written=write, with_diffs=self.diff)
            _print(report.problem_lines(plan) if self.form is Form.TEXT else [])
            if self.form in (Form.TEXT, Form.GITHUB):
                _print(report.change_lines(project, plan, written=write))
            _print(told)


def _watch(ctx: click.Context, project: Project, once: Callable[[], None]) -> NoReturn:
    """Generate now and after each change. Report whatever goes wrong and wait for the next change."""
    from .watch import changes, look, named

    # From before the first run: what is saved meanwhile is a change.
    changed = changes(project.root, project.specs, look(project.root, project.specs))
    reasons = chain([f"watching {project.specs}/, Ctrl-C ends it"], (f"{named(paths)} changed" for paths in changed))
    for reason in reasons:
        say(f"[{time.strftime('%H:%M:%S')}] {reason}")
        with suppress(SystemExit):
            try:
                once()
            except ServerJobsError as error:
                report_error(ctx, error)
            except BrokenPipeError:
                raise
            except Exception:  # noqa: BLE001  # a bug must not end the watch: the next change may avoid it
                _report_bug()
    raise AssertionError("there is always a next change")


def _report_bug() -> None:
    for line in traceback.format_exc().splitlines():
        note(line)
    note("Error: this is a bug in server-jobs; please report the lines above. Waiting for the next change.")


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
@click.option(
    "--against",
    metavar="REVISION",
    help="Compare the specs with those of a revision of git as well, such as main, a tag, or HEAD~3.",
)
@database_option
@_formatted
def check(folder: Path, *, target: str | None, against: str | None, database: str | None, form: Form) -> None:
    """Say whether the generated files are what the specs ask for; write nothing.

    One line for each file that is not: MISSING, STALE (the spec or the generator changed since), EDITED (by hand) or
    EXTRA (unknown, in a folder that belongs to the generator).

    With a target, the handlers and what they import of the project are read, never run; one line for each place that
    cannot work there (fail) or may not be meant (warn). A comment excuses its line: # cloudflare: ok -- and the reason.

    A change of a spec that breaks what was released is an error too: the lock, contracts.lock.json, has every contract
    that jobs in a queue may have. With --against, what changed since a revision is judged in the same way.

    With a database, every job there that is to be run is read as a worker of this code would read it: those of earlier
    versions through their upcasters, which are called, as no handler is.

    Exit status: 0 all is well, 1 something differs, fails, could not be read or a spec has a problem, 3 the project or
    the database cannot be used.
    """
    with _explained():
        project = find_project(folder)
        plan = _plan(project, against=against)
        queue = _look_at_queue(project, folder, database) if database and not plan.problems else None
        code = () if target is None else _look_at_code(project)
        told = _told(project, plan, form, files=plan.findings, target=target, code=code, queue=queue)
        if form is Form.TEXT:
            _print([*report.problem_lines(plan), *report.finding_lines(project, plan)])
            _print([] if target is None else report.code_lines(target, code))
        else:
            _note(plan.remarks)
        _print(told)
        if queue is not None:
            _tell_of_rows(queue, form)
        is_unreadable = queue is not None and queue.is_refused
        is_unfit = any(finding.verdict is Verdict.FAIL for finding in code)
        if plan.is_refused or plan.findings or is_unreadable or is_unfit:
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
        if plan.is_refused or plan.edited:
            _refuse(project, plan, Form.TEXT)
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


def _plan(project: Project, *, against: str | None = None) -> Plan:
    return Plan() if against is None and stamp.is_clean(project) else _new_plan(project, against=against)


def _new_plan(
    project: Project,
    *,
    relocked: Sequence[tuple[str, int | None]] = (),
    forgotten: Sequence[tuple[str, int]] = (),
    against: str | None = None,
) -> Plan:
    with no_collections():
        # Imported here because it brings the libraries that parse, render and migrate: most runs do without.
        from server_jobs_generator.pipeline import make_plan

    plan = make_plan(project, relocked=relocked, forgotten=forgotten, against=against)
    if not (plan.problems or plan.findings or plan.has_notes):
        stamp.remember(project)
    return plan


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """No other run writes meanwhile; and if one was killed, what it left is in order again."""
    from server_jobs_generator.files.publication import clear_up
    from server_jobs_generator.files.run_lock import one_at_a_time

    with one_at_a_time(project, note):
        clear_up(project)
        yield


def _look_at_code(project: Project) -> Sequence[CodeFinding]:
    from server_jobs_generator.worker_lint.project_lint import check_worker

    return check_worker(project)


def _look_at_queue(project: Project, folder: Path, url: str) -> QueueFindings:
    from .queue_check import check_database

    return check_database(project, folder, url)


def _tell_of_rows(queue: QueueFindings, form: Form) -> None:
    """Rows are in no file: where findings are told by their places, a person reads of them on stderr."""
    if form is not Form.JSON:
        for line in queue.lines():
            (say if form is Form.TEXT else note)(line)


def _publish(project: Project, plan: Plan) -> None:
    if plan.findings:
        from server_jobs_generator.pipeline import publish

        publish(project, plan)
        if not plan.has_notes:
            stamp.remember(project)


def _refuse(project: Project, plan: Plan, form: Form) -> NoReturn:
    if form is Form.TEXT and not plan.is_refused:
        note(f"Error: {report.refusal(plan)}")
    elif form is Form.TEXT:
        _print(report.problem_lines(plan))
    else:
        _print(_told(project, plan, form, files=plan.edited))
    raise SystemExit(NO)


def _told(
    project: Project,
    plan: Plan,
    form: Form,
    *,
    written: bool = False,
    with_diffs: bool = False,
    files: Iterable[Finding] = (),
    target: str | None = None,
    code: Sequence[CodeFinding] = (),
    queue: QueueFindings | None = None,
) -> list[str]:
    """What a run found, as a program reads it; nothing for a person, to whom each command tells it in its own way."""
    match form:
        case Form.TEXT:
            return []
        case Form.JSON:
            return [
                report.document(
                    project, plan, written=written, with_diffs=with_diffs, target=target, code=code, queue=queue
                )
            ]
        case Form.GITHUB:
            from .github import github_lines

            return list(github_lines(below_repository(project.root, annotate(plan, files, code))))
        case Form.SARIF:
            from .sarif import sarif

            return [sarif(below_repository(project.root, annotate(plan, files, code)))]


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def _note(remarks: Iterable[str]) -> None:
    for remark in remarks:
        note(f"note: {remark}")


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong with files is a matter of the project, which `server-jobs` tells in one line."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read what is printed has enough, as `head` has
    except OSError as error:
        raise ProjectError(_what_failed(error)) from error


def _what_failed(error: OSError) -> str:
    """Where a file is moved, it is the place it goes to that the user knows."""
    path = error.filename if error.filename2 is None else error.filename2
    if path is None:
        return str(error)
    advice = "; whoever generates must be allowed to write there" if error.errno in _NOT_ALLOWED else ""
    return f"{os.fsdecode(path)} cannot be read or written: {error.strerror}{advice}"
