"""The specs of found jobs: checked by the generator's reader, compared with their source, as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pydantic import JsonValue
from server_jobs.domain.options import JobOptions
from server_jobs.project import Project
from server_jobs_generator.ir.job_facts import options_document
from server_jobs_generator.ir.spec import JobSpec, check_specs, find_specs
from server_jobs_generator.problems.problem import SpecProblem, printable
from server_jobs_generator.read.keywords import Schema
from server_jobs_generator.read.library import SpecFile
from server_jobs_generator.spec_text import JobNames, NewSpecError, SpecParts, job_names, json_text, spec_document

from .comparison import Comparison, compare_params, compare_result
from .found_job import ANY_ERROR, Found, FoundJob, ImportSourceError, LeftOut, reason
from .reading import read_carefully
from .secrets import secrets_of_schema

_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class ImportedSpec:
    """The spec of one job. `compared` is the number of values by which it was compared with its source.

    `is_plain` is true if the source is a function without `async`.
    """

    names: JobNames
    place: str
    text: str
    left_out: tuple[LeftOut, ...]
    compared: int
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """The specs to write, the jobs without a spec, and the other parts of the source that no spec has."""

    specs: tuple[ImportedSpec, ...]
    failed: tuple[LeftOut, ...]
    left_out: tuple[LeftOut, ...]


def imported(found: Found, schema: str, only: Iterable[str] = ()) -> Imported:
    """Return the specs of these jobs. `schema` is the path of `spec.schema.json` from the specs.

    `only` has names of jobs, in any case; without any, all jobs are imported. Raises `ImportSourceError` for an unknown
    name.
    """
    named: dict[str, tuple[JobNames, FoundJob]] = {}
    failed = list(found.failed)
    for job in found.jobs:
        try:
            names = job_names(job.name)
        except NewSpecError as error:
            failed.append(LeftOut(job.place, f"job {job.name}", str(error), "rename it in the source"))
            continue
        _, other = named.setdefault(names.spec_name, (names, job))
        if other is not job:
            why = f"{other.place} becomes the job {names.class_name} too"
            failed.append(LeftOut(job.place, f"job {job.name}", why, "rename one of them, or import them one by one"))
    specs: list[ImportedSpec] = []
    for names, job in _chosen(named, only):
        try:
            specs.append(_spec(names, job, schema))
        except ANY_ERROR as error:
            advice = "change the source, then import it"
            failed.append(LeftOut(job.place, f"job {names.class_name}", reason(error), advice))
    return Imported(tuple(specs), tuple(failed), found.left_out)


def _chosen(named: Mapping[str, tuple[JobNames, FoundJob]], only: Iterable[str]) -> list[tuple[JobNames, FoundJob]]:
    wanted = {name: _spec_name(name) for name in only}
    if missing := [name for name, spec_name in wanted.items() if spec_name not in named]:
        known = ", ".join(names.class_name for names, _ in named.values()) or "none"
        raise ImportSourceError(f"there is no job {missing[0]!r} in the source; it has {known}")
    return [one for spec_name, one in named.items() if not wanted or spec_name in wanted.values()]


def _spec_name(name: str) -> str:
    try:
        return job_names(name).spec_name
    except NewSpecError as error:
        raise ImportSourceError(str(error)) from error


def _spec(names: JobNames, job: FoundJob, schema: str) -> ImportedSpec:
    """Return the spec of a job. Raises `ImportSourceError` with the reasons if the generator refuses it."""
    document = {"$schema": schema, **spec_document(_parts(names, job))}
    read = read_carefully([SpecFile(f"{names.spec_name}.json", job.place, json.dumps(document).encode())])
    if read.problems:
        reasons = "; ".join(one.pointer_and_message for one in read.problems[:_MOST_REASONS])
        raise ImportSourceError(f"the generator refuses its schema: {printable(reasons)}")
    (file,), (spec,) = read.files, read.jobs
    compared = list(_comparisons(job, spec))
    differences = [difference for one in compared for difference in one.differences]
    left_out = (*job.left_out, *read.left_out, *differences)
    text = json_text(json.loads(file.data))
    return ImportedSpec(names, job.place, text, left_out, sum(one.values for one in compared), job.is_plain)


def _parts(names: JobNames, job: FoundJob) -> SpecParts:
    """Return the parts of a spec. Params and result share their definitions, unless two differ under one name."""
    params, result = (None if part is None else dict(part.schema) for part in (job.params, job.result))
    definitions: dict[str, JsonValue] = {}
    own = [_definitions(part) for part in (params, result)]
    if all(own[0][name] == own[1][name] for name in own[0].keys() & own[1].keys()):
        definitions = {**own[0], **own[1]}
        for part in (params, result):
            if part is not None:
                part.pop("$defs", None)
    return SpecParts(
        names=names,
        description=job.description,
        options=_options(job),
        params=params,
        result=result,
        definitions=definitions,
    )


def _definitions(schema: Schema | None) -> Mapping[str, JsonValue]:
    definitions = schema.get("$defs") if schema is not None else None
    return definitions if isinstance(definitions, dict) else {}


def _options(job: FoundJob) -> Mapping[str, JsonValue]:
    defaults = options_document(JobOptions())
    secrets = () if job.params is None else (*job.params.secrets, *secrets_of_schema(job.params.schema))
    options = replace(job.options, redact=tuple(dict.fromkeys((*job.options.redact, *secrets))))
    stated = options_document(options, job.schedules)
    return {name: value for name, value in stated.items() if name not in defaults or value != defaults[name]}


def _comparisons(job: FoundJob, spec: JobSpec) -> Iterator[Comparison]:
    if job.params is not None and job.params.type is not None:
        yield compare_params(spec.params, job.params.type, job.place)
    if job.result is not None and job.result.type is not None:
        yield compare_result(spec.result, job.result.type, f"{job.place}(return)")


def problems_beside(project: Project, texts: Mapping[str, str]) -> tuple[SpecProblem, ...]:
    """Return the problems of these texts of specs, by path relative to the project, beside the specs that exist."""
    folder = project.root / project.specs
    stated = find_specs(project.root, folder) if folder.is_dir() else []
    others = [file for file in stated if not (isinstance(file, SpecFile) and file.path in texts)]
    new = [SpecFile(PurePosixPath(path).name, path, text.encode()) for path, text in texts.items()]
    return check_specs([*others, *new]).problems
