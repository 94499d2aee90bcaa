"""Read all specs into `JobSpec`, the form that every later stage works from.

A `JobSpec` is checked: names are safe identifiers, references are resolved, options are valid. Renderers never need the
spec files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

from pydantic import JsonValue
from server_jobs.contract.json_schema import NO_RESULT
from server_jobs.domain.options import JobOptions, Schedule
from server_jobs.errors import ProjectError

from ..lint.circles import endless_defaults, endless_properties, in_place_problems
from ..lint.job_lint import (
    PARAMS,
    RESULT,
    class_name_of,
    description_of,
    lint_definitions,
    lint_job,
    lint_jobs,
    lint_shared,
)
from ..lint.meaning_lint import Fitting, MeaningLint, referenced
from ..lint.option_reader import OptionReader
from ..lint.schema_lint import SchemaLint
from ..lint.view_columns import index_problems, view_problems
from ..options.table import Compat, SpecOptions
from ..problems.problem import SpecProblem, shown
from ..problems.rules import DEFAULT_DOES_NOT_FIT, NAME_TAKEN, PART_NOT_AN_OBJECT, TOO_LARGE, TOO_MANY_PROBLEMS
from ..python.names import folded, snake_case
from ..read.dialects import into_newest_draft
from ..read.document import MAX_PROBLEMS, Document, Pointer, read_document
from ..read.file_report import FileReport, TooManyProblemsError, shortened
from ..read.keywords import ANNOTATIONS, types_of
from ..read.library import Library, Location, SpecFile, file_of, reached, read_spec_files
from ..read.normalize import name_references, targets_by_path
from ..read.spec_forms import as_schema, definitions_beside_jobs, has_jobs, job_documents
from .bundle import NO_PARAMS, BundleError, bundle

_DEEPEST = 20
MAX_TOTAL_VALUES = 2_000_000

_ACCEPT_NOTHING = ANNOTATIONS | {"type", "properties", "required", "additionalProperties", "maxProperties"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job, as its spec describes it.

    `path` is the spec file relative to the project's root, with `/`, and `document` the job's document in the library.
    `params` and `result` are self-contained object
    schemas: their references lead only to `#/$defs/...` inside themselves, and equal keys in the two `$defs` are the
    same definition; `result` may be `NO_RESULT`. `schedules` have their params as canonical JSON text. `digest` is a
    SHA-256 (hex) over the spec and every shared file it uses, in a fixed order. `compat` is the severity of a breaking
    change, by its direction. `reserved` has the names that no property may use again. `indexes` are pointers such as
    `/params/to`, each to a property with its own column in the job's view. `is_earlier` is true for a version from the
    lock. Only a model of its params is generated, with the version at the end of its name.
    """

    path: str
    document: str
    spec_name: str
    class_name: str
    description: str | None
    params: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    options: JobOptions
    schedules: tuple[Schedule, ...]
    digest: str
    compat: Compat = field(default_factory=Compat)
    reserved: tuple[str, ...] = ()
    has_view: bool = True
    indexes: tuple[str, ...] = ()
    is_earlier: bool = False

    @property
    def has_result(self) -> bool:
        """Return whether the handler returns something."""
        return self.result != NO_RESULT

    @property
    def needs_params(self) -> bool:
        """Return whether a call must have params. Only plain keywords certainly accept an empty object."""
        return bool(self.params.get("required")) or not self.params.keys() <= _ACCEPT_NOTHING


@dataclass(frozen=True, slots=True)
class Specs:
    """All specs of a project: `jobs` by class name, and the problems and warnings of all files in reading order.

    Nothing may be generated while there are problems; `jobs` then has only the specs without problems. `needs` are the
    files that each file refers to, and `sizes` the number of values in each, by their names in `specs/`.
    """

    jobs: tuple[JobSpec, ...]
    problems: tuple[SpecProblem, ...]
    needs: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    warnings: tuple[SpecProblem, ...] = ()


def read_specs(project_root: Path, specs_dir: Path) -> Specs:
    """Read and check every spec under `specs_dir`, and nothing outside it.

    Reports problems of the files instead of raising. Raises `ProjectError` if `specs_dir` is
    not a readable directory inside `project_root`.
    """
    return check_specs(find_specs(project_root, specs_dir))


def find_specs(project_root: Path, specs_dir: Path) -> list[SpecFile | SpecProblem]:
    """Return the files under `specs_dir`, sorted by name. Raises `ProjectError` as `read_specs` does."""
    try:
        return list(read_spec_files(project_root, specs_dir))
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError) and not specs_dir.exists():
            raise ProjectError(
                f"there is no folder {specs_dir} for specs; create it, or state another one as `specs` in "
                "pyproject.toml, under [tool.server-jobs]"
            ) from error
        raise ProjectError(f"specs cannot be read from {specs_dir}: {error}") from error


def check_specs(found: Iterable[SpecFile | SpecProblem], formats: Collection[str] = ()) -> Specs:
    """Read and check these files, which may refer to no other files. `formats` are the formats with a custom type."""
    reader = _SpecReader(formats)
    for file in found:
        reader.read(file)
        if reader.is_full:
            return Specs((), tuple(sorted(reader.all_problems())))
    reader.translate()
    jobs = sorted(reader.check(), key=lambda job: job.class_name)
    warnings = tuple(sorted(shortened(reader.warnings)))
    return Specs(tuple(jobs), tuple(sorted(reader.all_problems())), reader.needs(), reader.sizes, warnings)


def library_of(found: Iterable[SpecFile | SpecProblem]) -> Library:
    """Return the library in which references are resolved, even if files have problems."""
    reader = _SpecReader()
    for file in found:
        reader.read(file)
    reader.translate()
    reader.library.ambiguous = name_references(reader.library.documents).ambiguous
    return reader.library


@dataclass(slots=True)
class _SpecReader:
    """Reads the files of one run into jobs."""

    formats: Collection[str] = ()
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])
    warnings: list[SpecProblem] = field(default_factory=list[SpecProblem])
    library: Library = field(default_factory=lambda: Library({}))
    files: dict[str, SpecFile] = field(default_factory=dict[str, SpecFile])
    spec_names: dict[str, str] = field(default_factory=dict[str, str])
    locations: dict[str, list[Location]] = field(default_factory=dict[str, list[Location]])
    unreadable: set[SpecProblem] = field(default_factory=set[SpecProblem])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    values: int = 0

    @property
    def is_full(self) -> bool:
        """Return whether the files exceed the limit of a project. The remaining files are then skipped."""
        return self.values > MAX_TOTAL_VALUES

    def all_problems(self) -> set[SpecProblem]:
        """Return every problem once. For a value that could not be read, return only that problem."""
        places = set(map(_place, self.unreadable))
        return self.unreadable | {problem for problem in self.problems if _place(problem) not in places}

    def needs(self) -> dict[str, set[str]]:
        """Return the files that each file refers to."""
        found: dict[str, set[str]] = {}
        for name, needed in self.library.needs.items():
            found.setdefault(file_of(name), set()).update(map(file_of, needed))
        return found

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
            self.library.unreadable.add(file.name)
            return
        self.sizes[file.name] = document.count
        self.values += document.count
        if self.is_full:
            message = f"the files up to this one have more than {MAX_TOTAL_VALUES:,} values; make two projects of them"
            self.problems.append(document.problem((), TOO_LARGE, message))
            return
        if file.is_shared:
            self._add(file, file.name, document)
        elif has_jobs(document):
            self._add_jobs(file, document)
        else:
            self._add_job(file, file.name, as_schema(document), file.spec_name)

    def _add_jobs(self, file: SpecFile, document: Document) -> None:
        """Add each job of a file with several, and the definitions of the file for other files."""
        frame = SchemaLint(document)
        with self._reporting(frame.report):
            lint_jobs(frame)
        self._add(file, file.name, definitions_beside_jobs(document))
        for name, job in job_documents(document):
            self._add_job(file, f"{file.name}#{name}", job, snake_case(name))

    def _add_job(self, file: SpecFile, name: str, document: Document, spec_name: str) -> None:
        self.spec_names[name] = spec_name
        self._add(file, name, document)

    def _add(self, file: SpecFile, name: str, document: Document) -> None:
        self.library.documents[name] = document
        self.files[name] = file

    def translate(self) -> None:
        """Translate every file into the newest draft, and check each by itself."""
        documents = self.library.documents
        for name, targets in targets_by_path(documents).items():
            report = FileReport(documents[name])
            with self._reporting(report):
                documents[name] = into_newest_draft(documents[name], targets, report)
            self._lint(name, documents[name])

    def _lint(self, name: str, document: Document) -> None:
        lint = SchemaLint(document, self.formats)
        with self._reporting(lint.report):
            if name in self.spec_names:
                lint_job(lint, self.spec_names[name])
            elif self.files[name].is_shared:
                lint_shared(lint)
            else:
                lint_definitions(lint)
        self.locations[name] = [Location(name, pointer) for pointer in lint.schemas]
        self.library.schemas.update(self.locations[name])

    @contextmanager
    def _reporting(self, report: FileReport) -> Iterator[None]:
        """Add the errors and warnings of a report, which may end early."""
        try:
            yield
        except TooManyProblemsError:
            message = f"has {len(report.errors)} problems or more; the rest is not shown"
            self.problems.append(report.document.problem((), TOO_MANY_PROBLEMS, message))
        self.problems.extend(report.errors)
        self.warnings.extend(report.warnings)

    def check(self) -> list[JobSpec]:
        """Check the files against each other. Return the jobs of files without problems, references included."""
        given = name_references(self.library.documents)
        self.library.ambiguous = given.ambiguous
        self.problems.extend(given.problems)
        fitting = Fitting(self.library)
        meaning = MeaningLint(self.library, fitting)
        for name, locations in self.locations.items():
            fitting.start_file()
            report = FileReport(self.library.documents[name])
            with self._reporting(report):
                for location in locations:
                    for finding in meaning.check(location):
                        report.add(*finding)
        self._drop_endless_defaults()
        if not self._check_circles():
            return []
        self._check_file_names()
        self._check_class_names()
        return [job for name in self.spec_names if (job := self._job(name, fitting)) is not None]

    def _drop_endless_defaults(self) -> None:
        """Remove and report defaults that would fill in others without an end, so that no later stage fills them in."""
        locations = [location for locations in self.locations.values() for location in locations]
        for location in endless_defaults(self.library, locations):
            message = "would fill in itself again, endlessly, so it is not filled in"
            document, pointer = self.library.documents[location.file], (*location.pointer, "default")
            self.warnings.append(document.problem(pointer, DEFAULT_DOES_NOT_FIT, message))
            schema = self.library.value_at(location)
            if isinstance(schema, dict):
                del schema["default"]

    def _check_circles(self) -> bool:
        """Report circles of schemas. Return False if the rest is unknown, because there are too many to report."""
        locations = [location for locations in self.locations.values() for location in locations]
        in_place = list(islice(in_place_problems(self.library, locations), MAX_PROBLEMS))
        endless = list(islice(endless_properties(self.library, locations), MAX_PROBLEMS))
        self.problems += in_place + endless
        return max(len(in_place), len(endless)) < MAX_PROBLEMS

    def _check_file_names(self) -> None:
        """Report names that are the same on macOS and Windows, and jobs whose generated files would have one name."""
        first_with: dict[str, str] = {}
        for name, document in self.library.documents.items():
            other = first_with.setdefault(folded(self.spec_names.get(name, name)), name)
            if other == name:
                continue
            message = f"the file's name differs from {shown(other)} only in its spelling; rename one of them"
            if folded(other) != folded(name):
                message = f"{shown(other)} has the same id, {shown(self.spec_names[name])}; rename one of them"
            self.problems.append(document.problem((), NAME_TAKEN, message))

    def _check_class_names(self) -> None:
        first_with: dict[str, str] = {}
        for name, spec_name in self.spec_names.items():
            class_name = class_name_of(self.library.documents[name], spec_name)
            other = first_with.setdefault(folded(class_name), name)
            if other != name:
                message = f"the job's name {shown(class_name)} is taken by {other} (capitals aside); set another title"
                self.problems.append(self.library.documents[name].problem(("title",), NAME_TAKEN, message))

    def _job(self, name: str, fitting: Fitting) -> JobSpec | None:
        fitting.start_file()
        file, document = self.files[name], self.library.documents[name]
        params = self._part(name, PARAMS)
        self._part(name, RESULT)
        lint = OptionReader(document, name, params, fitting)
        root = document.value
        stated = lint.read(root["x-job"]) if isinstance(root, dict) and "x-job" in root else SpecOptions()
        self.problems.extend(lint.problems)
        # Bundling needs valid schemas, in this file and in every file it refers to.
        if not self._broken().isdisjoint(reached([name], self.library.needs)):
            return None
        try:
            bundled = bundle(self.library, name, self.formats)
        except BundleError as error:
            self.problems.append(error.problem)
            return None
        both = {"params": bundled.params, "result": bundled.result}
        redact, has_view = stated.options.redact, stated.has_view
        self.problems.extend(view_problems(document, both, redact, has_view=has_view))
        self.problems.extend(index_problems(document, stated.indexes, both, redact, has_view=has_view))
        if name in self._broken():
            return None
        spec_name = self.spec_names[name]
        return JobSpec(
            path=file.path,
            document=name,
            spec_name=spec_name,
            class_name=class_name_of(document, spec_name),
            description=description_of(document),
            params=bundled.params,
            result=bundled.result,
            options=stated.options,
            schedules=stated.schedules,
            digest=self._digest(bundled.files),
            compat=stated.compat,
            reserved=stated.reserved,
            has_view=has_view,
            indexes=stated.indexes,
        )

    def _broken(self) -> set[str]:
        """Return the names of files with a problem."""
        paths = {problem.path for problem in self.problems}
        return {name for name, file in self.files.items() if file.path in paths}

    def _part(self, name: str, pointer: Pointer) -> JsonValue:
        """Return the schema of params or result; `true` if it is broken. Report a schema that allows no object."""
        place = Location(name, pointer)
        if place not in self.library.schemas:
            return True if self._states(name, pointer) else dict(NO_PARAMS)
        stated = self.library.value_at(place)
        if not self._may_be_object(stated, name):
            message = f'{pointer[-1]} must be an object: state "type": "object"'
            self.problems.append(self.library.documents[name].problem(pointer, PART_NOT_AN_OBJECT, message))
        return stated

    def _states(self, name: str, pointer: Pointer) -> bool:
        """Return whether a spec has params or a result, correct or not."""
        value = self.library.documents[name].value
        properties = value.get("properties", {}) if isinstance(value, dict) else True
        return not isinstance(properties, dict) or pointer[-1] in properties

    def _may_be_object(self, schema: JsonValue, file: str, level: int = 0) -> bool:
        """Return whether a schema may allow an object, as far as types, constants and unions tell."""
        if not isinstance(schema, dict) or level > _DEEPEST:
            return schema is not False
        options = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(options, list) and not any(isinstance(option, dict) for option in options):
            return False
        if "type" in schema and "object" not in types_of(schema):
            return False
        parts = schema.get("allOf")
        if isinstance(parts, list) and not all(self._may_be_object(part, file, level + 1) for part in parts):
            return False
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, list) and not any(self._may_be_object(one, file, level + 1) for one in branches):
                return False
        target = referenced(self.library, str(schema["$ref"]), file) if "$ref" in schema else (True, file)
        return self._may_be_object(*target, level + 1)

    def _digest(self, names: tuple[str, ...]) -> str:
        digest = sha256()
        for name in names:
            data = self.files[name].data
            digest.update(f"{name}\n{len(data)}\n".encode())
            digest.update(data)
        return digest.hexdigest()


def _place(problem: SpecProblem) -> tuple[str, int, int, str]:
    return problem.path, problem.line, problem.column, problem.pointer
