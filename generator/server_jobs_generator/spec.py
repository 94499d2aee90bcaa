"""The plain form of a spec that everything behind the front works from, and the way to read all of them.

What is in here has been checked: names are safe identifiers, references are resolved, options are valid. Whoever
renders code needs no further look at a spec file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

from pydantic import JsonValue
from server_jobs.errors import ProjectError
from server_jobs.options import JobOptions, Schedule

from .bundle import BundleError, bundle
from .document import Pointer, read_document
from .finite_values import endless_properties
from .instance import Fitting, follow
from .job_lint import PARAMS, RESULT, class_name_of, description_of, lint_job, lint_shared
from .library import Library, Location
from .meaning_lint import MeaningLint
from .options_lint import OptionsLint
from .problems import SpecProblem, shown
from .schema_lint import MAX_PROBLEMS, SchemaLint, TooManyProblemsError
from .spec_files import SpecFile, read_spec_files
from .spec_rules import NAME_TAKEN, PART_NOT_AN_OBJECT, TOO_MANY_PROBLEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job, as its spec describes it.

    `path` is the spec file relative to the project's root, with `/`. `params` and `result` are self-contained object
    schemas: their references lead only to `#/$defs/...` inside themselves, and equal keys in the two `$defs` are the
    same definition. `schedules` carry their params as canonical JSON text. `digest` is a SHA-256 (hex) over the spec
    and every shared file it uses, in a fixed order.
    """

    path: str
    spec_name: str
    class_name: str
    description: str | None
    params: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    options: JobOptions
    schedules: tuple[Schedule, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Specs:
    """All specs of a project: `jobs` by class name, and every problem of every file in reading order.

    Nothing may be generated while there are problems; `jobs` then holds only the specs that have none. `needs` are
    the files that each file refers to, by their names in `specs/`.
    """

    jobs: tuple[JobSpec, ...]
    problems: tuple[SpecProblem, ...]
    needs: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])


def read_specs(project_root: Path, specs_dir: Path) -> Specs:
    """Read and check every spec under `specs_dir`, and nothing outside it.

    Never raises for what the files contain. Raises `ProjectError` when `specs_dir` is not a readable directory inside
    `project_root`.
    """
    return check_specs(find_specs(project_root, specs_dir))


def find_specs(project_root: Path, specs_dir: Path) -> list[SpecFile | SpecProblem]:
    """The files under `specs_dir` in the order of their names. Raises `ProjectError` as `read_specs` does."""
    try:
        return list(read_spec_files(project_root, specs_dir))
    except (OSError, ValueError) as error:
        raise ProjectError(f"specs cannot be read from {specs_dir}: {error}") from error


def check_specs(found: Iterable[SpecFile | SpecProblem]) -> Specs:
    """Read and check these files, which may refer to no others."""
    reader = _SpecReader()
    for file in found:
        reader.read(file)
    jobs = reader.check()
    ordered = tuple(sorted(jobs, key=lambda job: job.class_name))
    return Specs(ordered, tuple(sorted(reader.all_problems())), reader.library.needs)


@dataclass(slots=True)
class _SpecReader:
    """All files of one run on their way to jobs."""

    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    library: Library = field(default_factory=lambda: Library({}))
    files: dict[str, SpecFile] = field(default_factory=dict[str, SpecFile])
    locations: dict[str, list[Location]] = field(default_factory=dict[str, list[Location]])
    unreadable: set[SpecProblem] = field(default_factory=set[SpecProblem])

    def all_problems(self) -> set[SpecProblem]:
        """Every problem once; of a value that could not be read only that, as another one stands in for it."""
        places = set(map(_place, self.unreadable))
        return self.unreadable | {problem for problem in self.problems if _place(problem) not in places}

    def read(self, file: SpecFile | SpecProblem) -> None:
        """Read one file and check it by itself."""
        if isinstance(file, SpecProblem):
            self.problems.append(file)
            return
        reading = read_document(file.path, file.data)
        self.problems.extend(reading.problems)
        self.unreadable.update(reading.problems)
        document = reading.document
        if document is None:
            return
        self.library.documents[file.name] = document
        self.files[file.name] = file
        lint = SchemaLint(document)
        try:
            if file.is_shared:
                lint_shared(lint)
            else:
                lint_job(lint, file.spec_name)
        except TooManyProblemsError:
            message = f"has {len(lint.problems)} problems or more; the rest is not shown"
            lint.problems.append(document.problem((), TOO_MANY_PROBLEMS, message))
        self.problems.extend(lint.problems)
        self.locations[file.name] = [Location(file.name, pointer) for pointer in lint.schemas]
        self.library.schemas.update(self.locations[file.name])

    def check(self) -> list[JobSpec]:
        """Check the files against each other; the jobs of those that are right, together with all they use."""
        fitting = Fitting(self.library)
        meaning = MeaningLint(self.library, fitting)
        for locations in self.locations.values():
            fitting.start_file()
            found = (problem for location in locations for problem in meaning.check(location))
            self.problems.extend(islice(found, MAX_PROBLEMS))
        self._check_finite()
        names = [file.name for file in self.files.values() if not file.is_shared]
        self._check_class_names(names)
        return [job for name in names if (job := self._job(name, fitting)) is not None]

    def _check_finite(self) -> None:
        locations = (location for locations in self.locations.values() for location in locations)
        self.problems.extend(islice(endless_properties(self.library, locations), MAX_PROBLEMS))

    def _check_class_names(self, names: list[str]) -> None:
        first_with: dict[str, str] = {}
        for name in names:
            class_name = class_name_of(self.library.documents[name], self.files[name].spec_name)
            other = first_with.setdefault(class_name.casefold(), name)
            if other != name:
                message = f"the job's name {shown(class_name)} is taken by {other} (capitals aside); set another title"
                self.problems.append(self.library.documents[name].problem(("title",), NAME_TAKEN, message))

    def _job(self, name: str, fitting: Fitting) -> JobSpec | None:
        fitting.start_file()
        file, document = self.files[name], self.library.documents[name]
        parts = [self._part(name, pointer) for pointer in (PARAMS, RESULT)]
        lint = OptionsLint(document, name, parts[0], fitting)
        root = document.value
        options = lint.read(root["x-job"]) if isinstance(root, dict) and "x-job" in root else JobOptions()
        self.problems.extend(lint.problems)
        if any(problem.path == file.path for problem in self.problems):
            return None
        try:
            bundled = bundle(self.library, name)
        except BundleError as error:
            self.problems.append(error.problem)
            return None
        if any(problem.path in {self.files[used].path for used in bundled.files} for problem in self.problems):
            return None
        return JobSpec(
            path=file.path,
            spec_name=file.spec_name,
            class_name=class_name_of(document, file.spec_name),
            description=description_of(document),
            params=bundled.params,
            result=bundled.result,
            options=options,
            schedules=tuple(lint.schedules),
            digest=self._digest(bundled.files),
        )

    def _part(self, name: str, pointer: Pointer) -> JsonValue:
        """The schema of params or result; `true` where there is none, noting a problem unless it is an object."""
        place = Location(name, pointer)
        if place not in self.library.schemas:
            return True
        stated = self.library.value_at(place)
        schema, _ = follow(self.library, stated, name)
        # An empty schema stands for a reference that leads nowhere, which is a problem of its own.
        if schema and not (isinstance(schema, dict) and schema.get("type") == "object"):
            message = f'{pointer[-1]} must be an object: state "type": "object"'
            self.problems.append(self.library.documents[name].problem(pointer, PART_NOT_AN_OBJECT, message))
        return stated

    def _digest(self, names: tuple[str, ...]) -> str:
        digest = sha256()
        for name in names:
            data = self.files[name].data
            digest.update(f"{name}\n{len(data)}\n".encode())
            digest.update(data)
        return digest.hexdigest()


def _place(problem: SpecProblem) -> tuple[str, int, int, str]:
    return problem.path, problem.line, problem.column, problem.pointer
