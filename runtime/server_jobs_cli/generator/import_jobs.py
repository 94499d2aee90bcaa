"""`server-jobs import`: write the specs of jobs that exist as code or schemas, and generate."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from server_jobs.errors import ServerJobsError
from server_jobs.project import Project, find_project
from server_jobs.project_registry import import_folders
from server_jobs_generator.plan import Plan
from server_jobs_importers.importer import IMPORTERS, Importer, Reads

from ..console.failures import NO
from ..console.json_option import json_option
from ..console.output import LONGEST_ERROR, one_line, print_result, suggestion
from . import report
from .generate import folder_option, project_errors
from .output_forms import Form
from .write_specs import schema_path, write_and_generate

if TYPE_CHECKING:
    from server_jobs_importers.imported import Imported, ImportedSpec


class ImportCommand(click.Command):
    """The command, whose help lists the importers of the environment."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Importers"):
            formatter.write_dl([*map(_example, IMPORTERS.names())])
        super().format_options(ctx, formatter)


def _example(name: str) -> tuple[str, str]:
    """Return the arguments of a call, and the jobs that it imports; or why there is no such call."""
    try:
        importer = _importer(name)
    except ServerJobsError as error:  # the help lists the others
        return name, one_line(str(error), LONGEST_ERROR)
    return f"{name} {importer.example}", importer.summary


def _importer(name: str) -> Importer:
    importer = IMPORTERS.find(name)
    if importer is None:
        raise click.UsageError(f"there is no importer {name!r}; {suggestion(name, IMPORTERS.names())}")
    return importer


def _completions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    del ctx, param
    return [name for name in IMPORTERS.names() if name.startswith(incomplete)]


@click.command(cls=ImportCommand)
@click.argument("name", shell_complete=_completions)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--only", metavar="JOB", multiple=True, help="Import this job only. May be given several times.")
@click.option("--force", is_flag=True, help="Replace specs that exist.")
@click.option(
    "--relock",
    is_flag=True,
    help="With --force, drop what was released of the replaced specs, of whose jobs no row exists.",
)
@click.option("--dry-run", is_flag=True, help="Only print which specs would be written.")
@click.option("--diff", is_flag=True, help="Like --dry-run, and print each change as a diff.")
@folder_option
@json_option
def import_jobs(
    *,
    name: str,
    targets: Sequence[str],
    only: Sequence[str],
    force: bool,
    relock: bool,
    dry_run: bool,
    diff: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Write the specs of the jobs in TARGET, and generate their code and stubs.

    NAME is the kind of the source. Plug-ins bring more of them.

    A Python target is a module, or MODULE:NAME. The command imports it from the project's folder or from src. A
    document is a file, or PATH#/pointer.

    The command compares each spec with its source by the same values, and lists the parts that the spec does not have,
    with the reason and with advice. A job without a spec does not stop the others.

    Exit status: 0 done, 1 a job has no spec, or a file or a problem is in the way, 3 the project or a module cannot be
    used.
    """
    if relock and not force:
        raise click.UsageError("--relock is for specs that --force replaces; add --force")
    if _importer(name).reads is Reads.MODULES:
        _check_modules(targets)
    # Late, because `import --help` needs no extra.
    from server_jobs_importers.apart import ImportRequest, imported_apart

    form = Form.JSON if as_json else Form.TEXT
    with project_errors():
        project = find_project(folder)
        folders = tuple(import_folders(project.root))
        specs = imported_apart(ImportRequest(name, tuple(targets), folders, schema_path(project), tuple(only)))
        result = _Result(project, specs, _texts(project, specs), with_diffs=diff)
        result.check(force=force, as_json=as_json)
        is_written = bool(result.changed) and not (dry_run or diff)
        relocked = result.replaced if relock else ()
        plan = (
            write_and_generate(project, result.changed, form, relocked=relocked, plain=result.plain)
            if is_written
            else None
        )
    print_result(result.document(is_written=is_written), "\n".join(result.lines(plan)), as_json=as_json)
    if result.imported.failed:
        raise SystemExit(NO)


def _check_modules(targets: Sequence[str]) -> None:
    """Refuse the path of a Python file where a module is expected, and name the module."""
    for target in targets:
        path, colon, attribute = target.partition(":")
        if path.endswith(".py"):
            parts = Path(path).with_suffix("").parts
            module = ".".join(part for part in parts if part.isidentifier()).removeprefix("src.")
            right = f"{module.removesuffix('.__init__')}{colon}{attribute}"
            raise click.UsageError(f"{target!r} is the path of a file; write the module instead: {right}")


def _path(project: Project, spec: ImportedSpec) -> str:
    return f"{project.specs}/{spec.names.spec_name}.json"


def _texts(project: Project, specs: Imported) -> dict[str, str | None]:
    """Return the text of each spec before the import, by path relative to the project; None if there is none."""
    files = {path: project.root / path for path in (_path(project, spec) for spec in specs.specs)}
    return {
        path: file.read_text(encoding="utf-8", errors="replace") if os.path.lexists(file) else None
        for path, file in files.items()
    }


@dataclass(frozen=True, slots=True)
class _Result:
    """The specs of an import. `before` has the text of each before the import."""

    project: Project
    imported: Imported
    before: Mapping[str, str | None]
    with_diffs: bool

    @property
    def changed(self) -> Mapping[str, str]:
        """The texts to write, by path."""
        texts = {_path(self.project, spec): spec.text for spec in self.imported.specs}
        return {path: text for path, text in texts.items() if self.before[path] != text}

    @property
    def replaced(self) -> Sequence[str]:
        """The names of the jobs whose specs exist and change."""
        specs = self.imported.specs
        return [spec.names.class_name for spec in specs if self.action(_path(self.project, spec)) == "update"]

    @property
    def plain(self) -> frozenset[str]:
        """The names of the jobs whose sources are functions without `async`."""
        return frozenset(spec.names.class_name for spec in self.imported.specs if spec.is_plain)

    def check(self, *, force: bool, as_json: bool) -> None:
        """Refuse to replace specs, unless `force`, and to write specs that do not fit the others."""
        from server_jobs_importers.found_job import ImportSourceError
        from server_jobs_importers.imported import problems_beside

        if existing := [
            path for path in self.changed if self.before[path] is not None and not (force or self.with_diffs)
        ]:
            raise ImportSourceError(
                f"{existing[0]} exists already, so nothing was written; --diff shows the change, --force makes it, "
                "and --only imports other jobs"
            )
        if problems := problems_beside(self.project, self.changed):
            lines = "\n".join(map(str, problems))
            print_result({"problems": [asdict(problem) for problem in problems]}, lines, as_json=as_json)
            raise SystemExit(NO)

    def lines(self, plan: Plan | None) -> Iterator[str]:
        """Yield the files, then the parts that the specs do not have."""
        for path, text in self.changed.items() if plan is None else ():
            yield f"would {self.action(path)} {path}"
            if self.with_diffs:
                yield from report.text_diff(path, self.before[path] or "", text)
        if plan is not None:
            yield from (f"  wrote {path}" for path in self.changed)
            yield from report.change_lines(self.project, plan, written=True)
            jobs = ",".join(spec.names.class_name for spec in self.imported.specs)
            yield f"while none of these jobs was queued, change their specs, then: server-jobs generate --relock {jobs}"
        elif not self.changed:
            yield report.NOTHING_CHANGED
        yield from self.left_out_lines()

    def left_out_lines(self) -> Iterator[str]:
        """Yield the parts that the specs lack, then the jobs without a spec."""
        parts = [part for spec in self.imported.specs for part in spec.left_out]
        if found := [*parts, *self.imported.left_out]:
            yield "not in the specs:"
            yield from (f"  {part}" for part in found)
        if self.imported.failed:
            yield "without a spec:"
            yield from (f"  {part}" for part in self.imported.failed)

    def document(self, *, is_written: bool) -> Mapping[str, object]:
        """Return the result for programs."""
        return {
            "specs": [self._spec_document(spec) for spec in self.imported.specs],
            "failed": [asdict(part) for part in self.imported.failed],
            "left_out": [asdict(part) for part in self.imported.left_out],
            "written": is_written,
        }

    def _spec_document(self, spec: ImportedSpec) -> Mapping[str, object]:
        path = _path(self.project, spec)
        diff = "\n".join(report.text_diff(path, self.before[path] or "", spec.text))
        return {
            "path": path,
            "action": self.action(path),
            "job": spec.names.class_name,
            "source": spec.place,
            "compared": spec.compared,
            "left_out": [asdict(part) for part in spec.left_out],
            **({"diff": diff} if self.with_diffs else {}),
        }

    def action(self, path: str) -> str:
        """Return the change of a spec, as `generate` names it."""
        if path not in self.changed:
            return "keep"
        return "create" if self.before[path] is None else "update"
