"""Optional outputs of a project, by the entry points of the group `server_jobs.outputs`.

The name of an entry point is the word in the setting `outputs`. The generator knows no output by name. The word
`testing` is its own, because it renders those modules with those of the jobs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from server_jobs.errors import ProjectError
from server_jobs.plug_ins import Seam
from server_jobs.project import Project

from .files.cache_folder import PlugInParts
from .files.generated_file import File
from .ir.spec import JobSpec
from .problems.code_finding import CodeFinding
from .problems.problem import nearest

if TYPE_CHECKING:
    from .contracts.job_history import VersionStep

TESTING = "testing"
"""The word for fakes and strategies of every job, which `server_jobs.testing` uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSource:
    """The input of an output. `jobs` are sorted by class name.

    `steps` are the steps between the versions of each job with several, by class name.
    """

    project: Project
    jobs: Sequence[JobSpec]
    steps: Mapping[str, Sequence[VersionStep]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlForm:
    """Another form of each revision as plain SQL, for a database that the output needs."""

    folder: str
    """Folder in the output folder. The files are in its folder `migrations`."""
    statement: Callable[[str], str]
    """Return a statement for SQLite in this form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Files that a project may ask for: an entry point of the group `server_jobs.outputs`.

    Its module should import little. All paths and folders are relative to the output folder of the project, with `/`.
    """

    files: Callable[[OutputSource], Iterable[File]]
    """Return the files. Their paths begin with the output folder. A run writes, compares and removes them.

    Raises `ProjectError` if the settings fit no file.
    """
    folders: Collection[str] = ()
    """Folders that belong to the output. Unknown files in them are reported."""
    user_files: Collection[str] = ()
    """Files that are written once, and then are the user's. A run stops at a conflict of a merge in one."""
    ignored: Collection[str] = ()
    """Paths that other programs write there."""
    needs_schemas: bool = False
    """Whether job classes must have their schemas at run time."""
    stores: Callable[[JobSpec], bool] | None = None
    """Whether programs with this output store rows of a job without Python. They write no defaults into a row, so that
    a new default of the job is a change."""
    sql: SqlForm | None = None
    """A form of the migrations."""
    check_files: Callable[[Project], Iterable[CodeFinding]] | None = None
    """Check `user_files` in each run."""
    check_code: Callable[[Project], Iterable[CodeFinding]] | None = None
    """Check the handlers, and the modules that they import, for `server-jobs check --target NAME`. Import nothing."""
    uses: Collection[str] = ()
    """Packages at the top level whose code decides about the files, besides the package of `files`."""


OUTPUTS: Seam[Output] = Seam("server_jobs.outputs", "an `Output`", lambda value: isinstance(value, Output))
"""The outputs. Those of `server-jobs` itself cannot be replaced."""


def selected_outputs(project: Project) -> Mapping[str, Output]:
    """Return the outputs that a project asks for, by name.

    Raises `ProjectError` for an unknown name, and as `Seam.find` does.
    """
    return _outputs(tuple(name for name in project.outputs if name != TESTING), tuple(sys.path))


@lru_cache
def _outputs(names: tuple[str, ...], path: tuple[str, ...]) -> Mapping[str, Output]:
    """Return these outputs. `path` is `sys.path`: another path has other plug-ins."""
    del path
    return {name: _output(name) for name in names}


def _output(name: str) -> Output:
    found = OUTPUTS.find_own(name) or OUTPUTS.find(name)
    if found is None:
        raise ProjectError(f"[tool.server-jobs] outputs has no word {name!r}{_known(name)}")
    return found


def _known(name: str) -> str:
    known = output_names()
    return nearest(name, known) or f"; it may have {', '.join(known)}"


def output_names() -> Sequence[str]:
    """Return the words that the setting `outputs` may have in this environment, sorted."""
    return sorted({*OUTPUTS.names(), TESTING})


def output_files(source: OutputSource) -> Iterator[File]:
    """Yield the files of all selected outputs. Raises `ProjectError` for a file outside of the output folder."""
    folder, owners = f"{source.project.output}/", dict[str, str]()
    for name, output in selected_outputs(source.project).items():
        for file in output.files(source):
            if not file.path.startswith(folder):
                raise ProjectError(f"the output {name!r} writes {file.path}, which is not below {folder}")
            top = file.path.removeprefix(folder).partition("/")[0]
            if f"{source.project.handlers}/".startswith(f"{folder}{top}/"):
                handlers = f"[tool.server-jobs] handlers = {source.project.handlers!r}"
                raise ProjectError(f"{handlers} is in a folder that the output {name!r} writes")
            if owners.setdefault(file.path, name) != name:
                raise ProjectError(f"the outputs {owners[file.path]!r} and {name!r} both write {file.path}")
            yield file


def has_schemas(project: Project) -> bool:
    """Return whether job classes include their schemas, which strategies and the served OpenAPI document need."""
    return TESTING in project.outputs or any(output.needs_schemas for output in selected_outputs(project).values())


def is_stored_elsewhere(project: Project, job: JobSpec | None) -> bool:
    """Return whether programs in another language store rows of a job, or of any job for None."""
    stores = [output.stores for output in selected_outputs(project).values() if output.stores is not None]
    return any(job is None or one(job) for one in stores)


def sql_forms(project: Project) -> Mapping[str, SqlForm]:
    """Return the forms of plain SQL besides those for SQLite and PostgreSQL, by the name of their output."""
    return {name: output.sql for name, output in selected_outputs(project).items() if output.sql is not None}


def user_files(project: Project) -> list[str]:
    """Return the paths of the files that an output writes once, relative to the project's root."""
    return [f"{project.output}/{path}" for one in selected_outputs(project).values() for path in one.user_files]


def owned_folders(project: Project) -> list[str]:
    """Return the folders of the outputs, relative to the project's root."""
    return [f"{project.output}/{folder}" for one in selected_outputs(project).values() for folder in one.folders]


def plug_in_parts(project: Project) -> PlugInParts:
    """Return the packages of the outputs, and the paths that other programs write in the output folder."""
    outputs = selected_outputs(project).values()
    packages = {package for one in outputs for package in (one.files.__module__.partition(".")[0], *one.uses)}
    return PlugInParts(tuple(sorted(packages)), tuple(path for one in outputs for path in one.ignored))


def file_findings(project: Project) -> list[CodeFinding]:
    """Return the findings about the user's files of all outputs, in reading order."""
    checks = [one.check_files for one in selected_outputs(project).values() if one.check_files is not None]
    return sorted(finding for check in checks for finding in check(project))
