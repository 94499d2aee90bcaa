"""`server-jobs generate` and `check`: make the files that the specs ask for, and write them or compare them."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from errno import EACCES, EPERM, EROFS
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from server_jobs.errors import ProjectError
from server_jobs.project import Project, find_project
from server_jobs_generator.files.cache_folder import is_clean, remember_clean
from server_jobs_generator.plan import Plan
from server_jobs_generator.problems.code_finding import CodeFinding
from server_jobs_generator.problems.verdict import Verdict

from ..console.failures import NO
from ..console.options import names
from ..console.output import note, say, suggestion
from . import report
from .output_forms import Form, formatted

if TYPE_CHECKING:
    from .queue_check import QueueFindings

_NOT_ALLOWED = frozenset({EACCES, EPERM, EROFS})

folder_option = click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project, or a folder inside it; this folder by default.",
)
_formatted = formatted(*Form)


def _job(text: str) -> tuple[str, int | None]:
    name, colon, version = text.rpartition(":")
    if not colon:
        return text, None
    if not (name and version.isascii() and version.isdecimal()):
        raise click.BadParameter(f"{text!r} is not a job and a version, such as SendEmail:1")
    return name, int(version)


def _each_job(
    _ctx: click.Context, _option: click.Parameter, given: Sequence[str]
) -> tuple[tuple[str, int | None], ...]:
    """Return the jobs of `--relock A --relock B` and of `--relock A,B`."""
    return tuple(_job(name) for text in given for name in names(text))


def _job_and_version(text: str) -> tuple[str, int]:
    name, version = _job(text)
    if version is None:
        raise click.BadParameter(f"{text!r} is not a job and a version, such as SendEmail:1")
    return name, version


@click.command()
@folder_option
@click.option("--force", is_flag=True, help="Overwrite generated files that were changed by hand; revisions stay.")
@click.option("--dry-run", is_flag=True, help="Only print which files would be written and removed.")
@click.option("--diff", is_flag=True, help="Like --dry-run, and print each change as a diff.")
@click.option(
    "--relock",
    "relocked",
    metavar="JOB[:VERSION]",
    multiple=True,
    callback=_each_job,
    help="Drop what was released of a job, or of its newest version, of which no row exists, so that its spec may "
    "change freely. Several jobs are separated by commas.",
)
@click.option(
    "--forget",
    "forgotten",
    metavar="JOB:VERSION",
    multiple=True,
    type=_job_and_version,
    help="Remove what was kept for an earlier version, of which no row is left. May be given several times.",
)
@click.option("--watch", is_flag=True, help="Generate again whenever a spec changes, until Ctrl-C.")
@_formatted
@click.pass_context
def generate(
    ctx: click.Context,
    folder: Path,
    *,
    force: bool,
    dry_run: bool,
    diff: bool,
    relocked: tuple[tuple[str, int | None], ...],
    forgotten: tuple[tuple[str, int], ...],
    watch: bool,
    form: Form,
) -> None:
    """Generate code, migrations and the outputs of the project from the specs.

    The generator never changes your own files, such as handlers. If you changed a generated file by
    hand, the run stops and names the file. The run writes nothing while a spec has a problem or breaks a released
    contract. The word in brackets after a problem is its rule; `server-jobs explain RULE` explains it.

    Exit status: 0 done (or with --dry-run and --diff: it could be), 1 a spec or a changed file is in the way, 3 the
    project cannot be used.
    """
    run = _Run(force, dry_run, diff, relocked, forgotten, form)
    if not watch:
        run.once(folder)
    elif form is not Form.TEXT:
        raise click.UsageError(f"--watch tells a person what changed; leave --format {form} out")
    else:
        # Needed for --watch only.
        from .watch import generate_on_change

        generate_on_change(ctx, find_project(folder), partial(run.once, folder))


@dataclass(frozen=True, slots=True)
class _Run:
    """The options of one `generate`."""

    force: bool
    dry_run: bool
    diff: bool
    relocked: tuple[tuple[str, int | None], ...]
    forgotten: tuple[tuple[str, int], ...]
    form: Form

    def once(self, folder: Path) -> None:
        with project_errors():
            project = find_project(folder)
            write = not (self.dry_run or self.diff)
            nothing_to_do = not (self.relocked or self.forgotten) and is_clean(project)
            with exclusive(project) if write and not nothing_to_do else nullcontext():
                plan = Plan() if nothing_to_do else new_plan(project, relocked=self.relocked, forgotten=self.forgotten)
                if plan.is_refused or (plan.edited and not self.force):
                    refuse(project, plan, self.form)
                if self.diff and self.form in (Form.TEXT, Form.GITHUB):
                    _print(report.diff_lines(project, plan))
                if write:
                    publish(project, plan)
            result = report.Result(project=project, plan=plan, written=write, with_diffs=self.diff)
            text = [*report.for_programs(result, self.form)]
            _print(report.problem_lines(plan) if self.form is Form.TEXT else [])
            if self.form in (Form.TEXT, Form.GITHUB):
                _print(report.change_lines(project, plan, written=write))
            _print(text)


@click.command()
@folder_option
@click.option("--target", metavar="NAME", help="Also find code that cannot work with this output of the project.")
@click.option(
    "--against",
    metavar="REVISION",
    help="Also compare with the specs of a git revision, such as main, a tag, or HEAD~3.",
)
@click.option(
    "--database",
    metavar="[NAME|URL]",
    is_flag=False,
    flag_value="",
    help="Look at the rows there as well: which of them the specs could not read. Changes none. Without a value: "
    "in all databases of the project.",
)
@_formatted
def check(folder: Path, *, target: str | None, against: str | None, database: str | None, form: Form) -> None:
    """Compare the generated files with the specs; write nothing.

    Prints one line for each file that differs: MISSING, STALE (the spec or the generator changed), EDITED (by hand) or
    EXTRA (unknown, in a folder that the generator owns).

    With --target, it also reads the handlers and the project modules that they import, without running them. It prints
    one line for each place that cannot work there (fail) or may be unintended (warn). A comment accepts its line: #
    cloudflare: ok -- and the reason.

    A change of a spec that breaks a released contract is an error. The lock, contracts.lock.json, has every contract
    that queued jobs may use. With --against, the specs are compared with a git revision too.

    With --database, it reads every unfinished job as a worker of these specs would, also before they are generated.
    Jobs of earlier versions go through their upcasters. No handler runs.

    Exit status: 0 all is well, 1 something differs, fails, could not be read or a spec has a problem, 3 the project or
    the database cannot be used.
    """
    with project_errors():
        project = find_project(folder)
        plan = Plan() if against is None and is_clean(project) else new_plan(project, against=against)
        queue = (
            _look_at_queue(project, folder, database or None, plan)
            if database is not None and not plan.problems
            else None
        )
        code = () if target is None else _look_at_code(project, target)
        result = report.Result(project=project, plan=plan, files=plan.findings, target=target, code=code, queue=queue)
        text = [*report.for_programs(result, form)]
        if form is Form.TEXT:
            _print([*report.problem_lines(plan), *report.finding_lines(project, plan)])
            _print([] if target is None else report.code_lines(target, code))
        else:
            for remark in plan.remarks:
                note(f"note: {remark}")
        _print(text)
        if queue is not None:
            _print_row_findings(queue, form)
        is_unreadable = queue is not None and queue.is_refused
        is_unfit = any(finding.verdict is Verdict.FAIL for finding in code)
        if plan.is_refused or plan.findings or is_unreadable or is_unfit:
            raise SystemExit(NO)


def new_plan(
    project: Project,
    *,
    relocked: Sequence[tuple[str, int | None]] = (),
    forgotten: Sequence[tuple[str, int]] = (),
    against: str | None = None,
) -> Plan:
    """Make the plan from the specs, even if nothing changed since the last run."""
    # A run keeps nearly everything that it makes. Searching it for garbage as often as usual takes a sixth of the time.
    gc.set_threshold(50_000, 50, 50)
    # Imported late, because it imports the libraries that parse, render and migrate. Most runs do not need them.
    from server_jobs_generator.pipeline import make_plan

    plan = make_plan(project, relocked=relocked, forgotten=forgotten, against=against)
    if not (plan.problems or plan.findings or plan.has_notes):
        remember_clean(project, plan.specs, plan.parts)
    return plan


@contextmanager
def exclusive(project: Project) -> Iterator[None]:
    """Lock the project against other runs, and remove what a killed run staged."""
    from server_jobs_generator.files.run_lock import one_at_a_time
    from server_jobs_generator.publication import remove_staging

    with one_at_a_time(project, note):
        remove_staging(project)
        yield


def _look_at_code(project: Project, target: str) -> Sequence[CodeFinding]:
    from server_jobs_generator.outputs import OUTPUTS, selected_outputs

    selected = selected_outputs(project).get(target)
    if selected is None or selected.check_code is None:
        known = [name for name in OUTPUTS.names() if (one := OUTPUTS.find(name)) is not None and one.check_code]
        if target not in known:
            raise click.UsageError(f"there is no target {target!r}; {suggestion(target, known)}")
        raise ProjectError(
            f"this project has no output {target!r} to check; add it to `outputs` under [tool.server-jobs] in "
            "pyproject.toml, and run `server-jobs generate`"
        )
    return tuple(selected.check_code(project))


def _look_at_queue(project: Project, folder: Path, database: str | None, plan: Plan) -> QueueFindings:
    from .queue_check import check_database

    return check_database(project, folder, database, plan)


def _print_row_findings(queue: QueueFindings, form: Form) -> None:
    """Print findings about rows on stderr if the format lists findings by file."""
    if form is not Form.JSON:
        for line in queue.lines():
            (say if form is Form.TEXT else note)(line)


def publish(project: Project, plan: Plan) -> None:
    """Write the files of a plan that differ."""
    if plan.findings:
        from server_jobs_generator import publication

        publication.publish(project, plan)
        if not plan.has_notes:
            remember_clean(project, plan.specs, plan.parts)


def refuse(project: Project, plan: Plan, form: Form) -> NoReturn:
    """Print why the files of a plan cannot be written, and exit with status 1."""
    if form is Form.TEXT and not plan.is_refused:
        note(f"Error: {report.refusal(plan)}")
    elif form is Form.TEXT:
        _print(report.problem_lines(plan))
    else:
        _print(report.for_programs(report.Result(project=project, plan=plan, files=plan.edited), form))
    raise SystemExit(NO)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


@contextmanager
def project_errors() -> Iterator[None]:
    """Convert an error of the file system to a `ProjectError` with one line."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of the output, such as `head`, has enough
    except OSError as error:
        raise ProjectError(_failure_text(error)) from error


def _failure_text(error: OSError) -> str:
    """Return the path of an error. For a moved file, this is the destination, which the user knows."""
    path = error.filename if error.filename2 is None else error.filename2
    if path is None:
        return str(error)
    advice = "; the user who runs the generator needs write access" if error.errno in _NOT_ALLOWED else ""
    return f"{os.fsdecode(path)} cannot be read or written: {error.strerror}{advice}"
