"""What the last run found right, so that the next one looks only at what changed since.

A spec that had no problems has none while it, the files it refers to and the names of all specs are the same; and what
was rendered from it alone is rendered alike again, so it can stay if it is what lies there. All of this is data and
never becomes code: names are checked as those of a new spec are, and what is not as expected costs only time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from pydantic import TypeAdapter
from server_jobs.errors import ProjectError, ServerJobsError
from server_jobs.project import Project

from ..files.cache_folder import cache_folder, circumstances, make_cache_folder, read_cached, write_cached
from ..files.generated_file import File, KeptFile, Ownership, read_file
from ..files.manifest import hash_content
from ..ir.spec import MAX_TOTAL_VALUES, JobSpec, Specs, check_specs
from ..lint.spec_style import STRICT, Style
from ..models.type_memory import TypeMemory
from ..parallel.garbage import no_collections
from ..problems.problem import SpecProblem
from ..python.names import class_name_problem
from ..read.library import reached
from ..read.spec_files import SpecFile

_FILE = "specs.json"
_TYPES = "types.json"
_MOST_TYPES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file under `specs/` that was right, its hash, the names of the files that it refers to, and its values' number.

    `is_named` is true for one with a URI, which other files may refer to. If it is the spec of a job, `rendered` are
    the files that followed from that job alone and from what the lock adds to it, of which `earlier` is a hash, `views`
    is a hash of its views, and `settled` one of its entry in the lock if that says nothing else than the spec.
    """

    name: str
    digest: str
    needs: tuple[str, ...] = ()
    size: int = 0
    is_named: bool = False
    job: JobSpec | None = None
    earlier: str = ""
    views: str = ""
    settled: str = ""
    rendered: tuple[KeptFile, ...] = ()

    def is_of(self, file: SpecFile) -> bool:
        """Whether this can be what was found out about that file, whatever it contains now."""
        job = self.job
        if job is None or file.is_shared:
            return job is None and file.is_shared
        return (job.path, job.spec_name) == (file.path, file.spec_name) and class_name_problem(job.class_name) is None


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The files under `specs/` by name: none, if there was no run before or in other circumstances.

    `lines` are what was read of each, to be written again if it is the same.
    """

    files: Mapping[str, KnownFile] = field(default_factory=dict[str, KnownFile])
    lines: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    def read(self, found: Sequence[SpecFile | SpecProblem], style: Style = STRICT) -> Specs | None:
        """All specs, for which only those that changed were looked at; None where that would not be enough."""
        files = {file.name: file for file in found if isinstance(file, SpecFile)}
        if len(files) < len(found) or files.keys() != self.files.keys():
            return None
        if not all(self.files[name].is_of(file) for name, file in files.items()):
            return None
        changed = [name for name, file in files.items() if hash_content(file.data) != self.files[name].digest]
        stale = self._with_those_that_need(changed)
        wanted = self._with_what_they_need(stale)
        fresh = check_specs([files[name] for name in files if name in wanted], style)
        sizes = {name: known.size for name, known in self.files.items()} | dict(fresh.sizes)
        if sum(sizes.values()) > MAX_TOTAL_VALUES or self._may_mean_another(stale, fresh):
            return None
        jobs = [
            *self._jobs(but=stale),
            *(job for job in fresh.jobs if job.path in {files[name].path for name in stale}),
        ]
        if fresh.problems or {job.class_name for job in jobs} != {job.class_name for job in self._jobs()}:
            return None
        needs = {name: known.needs for name, known in self.files.items()}
        named = frozenset(name for name, known in self.files.items() if known.is_named)
        ordered = tuple(sorted(jobs, key=lambda job: job.class_name))
        return Specs(ordered, (), needs | dict(fresh.needs), sizes, named)

    def kept(
        self, project: Project, jobs: Iterable[JobSpec], earlier: Mapping[str, str]
    ) -> dict[str, tuple[KeptFile, ...]]:
        """The files of those jobs, by class name, for which nothing changed and all that was rendered is there.

        `earlier` has a hash of what the lock adds to each job, if anything.
        """
        root = str(project.root)
        return {
            name: known.rendered
            for name, known in self._unchanged(jobs, earlier).items()
            if known.rendered and all(_is_there(root, file) for file in known.rendered)
        }

    def views(self, jobs: Iterable[JobSpec], earlier: Mapping[str, str]) -> dict[str, str]:
        """A hash of the views of each of those jobs for which nothing changed, by its class name."""
        return {name: known.views for name, known in self._unchanged(jobs, earlier).items()}

    def settled(self, jobs: Sequence[JobSpec]) -> dict[str, str]:
        """A hash of the entry in the lock of each of those jobs that did not change and that said all of it."""
        known = self._unchanged(jobs)
        return {name: file.settled for name, file in known.items() if file.settled}

    def _unchanged(self, jobs: Iterable[JobSpec], earlier: Mapping[str, str] | None = None) -> dict[str, KnownFile]:
        """What is known of those jobs that are the very ones of that run, by their class names.

        With `earlier`, only of those to which the lock adds the same.
        """
        known = {id(file.job): file for file in self.files.values() if file.job is not None}
        same = {job.class_name: known[id(job)] for job in jobs if id(job) in known}
        if earlier is None:
            return same
        return {name: file for name, file in same.items() if file.earlier == earlier.get(name, "")}

    def line_of(self, file: KnownFile) -> bytes:
        """What is to be written of a file; the same as before if all is the same."""
        is_same = file.name in self.lines and self.files[file.name] == file
        return self.lines[file.name] if is_same else _form().dump_json(file)

    def _may_mean_another(self, stale: Container[str], fresh: Specs) -> bool:
        """Whether a URI that came, went or moved can be what a file refers to that did not change."""
        return bool(stale) and (bool(fresh.named) or any(known.is_named for known in self.files.values()))

    def _jobs(self, but: Container[str] = ()) -> list[JobSpec]:
        return [known.job for name, known in self.files.items() if known.job is not None and name not in but]

    def _with_those_that_need(self, names: Iterable[str]) -> set[str]:
        users: dict[str, list[str]] = {}
        for name, known in self.files.items():
            for needed in known.needs:
                users.setdefault(needed, []).append(name)
        return reached(names, users)

    def _with_what_they_need(self, names: Iterable[str]) -> set[str]:
        return reached(names, {name: known.needs for name, known in self.files.items()})


def read_type_memory(project: Project) -> TypeMemory:
    """The answers of the code generator to earlier runs, if they hold here and now."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        head, _, rest = (read_cached(cache_folder(project) / _TYPES) or b"").partition(b"\n")
        if head == circumstances(project).encode():
            kept = dict(json.loads(rest))
            for text in kept.values():
                if not isinstance(text, str):
                    raise TypeError(text)
            return TypeMemory(kept)
    return TypeMemory()


def keep_type_memory(project: Project, memory: TypeMemory) -> None:
    """Leave them for the next run, if there are new ones."""
    answers = memory.written_down()
    if memory.new and len(answers) <= _MOST_TYPES:
        with suppress(OSError):
            content = circumstances(project).encode() + b"\n" + json.dumps(answers).encode()
            write_cached(make_cache_folder(project) / _TYPES, content)


def read_earlier_run(project: Project) -> EarlierRun:
    """What the last run left, if it holds here and now."""
    with suppress(OSError, ValueError, ServerJobsError):
        content = read_cached(cache_folder(project) / _FILE)
        head, *lines = (content or b"").split(b"\n")
        if content and head == circumstances(project).encode():
            with no_collections():
                known = [*map(_form().validate_json, lines)]
                names = [file.name for file in known]
                return EarlierRun(dict(zip(names, known, strict=True)), dict(zip(names, lines, strict=True)))
    return EarlierRun()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThisRun:
    """What a run found, to be left for the next one; all but the first three by the class names of jobs.

    `kept` are the files that were right already, `earlier` the hashes of what the lock adds to those that it does,
    `views` those of their views, and `settled` those of the entries in the lock that say nothing else than the spec.
    """

    found: Sequence[SpecFile | SpecProblem]
    specs: Specs
    files: Sequence[File]
    kept: Mapping[str, tuple[KeptFile, ...]]
    earlier: Mapping[str, str]
    views: Mapping[str, str]
    settled: Mapping[str, str]

    def remember(self, project: Project, before: EarlierRun) -> None:
        """Leave it; `before` is what the run had to start from. A folder that cannot be written only costs time."""
        with suppress(OSError):
            folder = make_cache_folder(project)
            lines = [circumstances(project).encode(), *map(before.line_of, self._known())]
            write_cached(folder / _FILE, b"\n".join(lines))

    def _known(self) -> Iterator[KnownFile]:
        jobs = {job.path: job for job in self.specs.jobs}
        rendered = self._rendered()
        for file in self.found:
            if isinstance(file, SpecFile):
                job = jobs.get(file.path)
                name = job.class_name if job else ""
                yield KnownFile(
                    name=file.name,
                    digest=hash_content(file.data),
                    needs=tuple(sorted(self.specs.needs.get(file.name, ()))),
                    size=self.specs.sizes.get(file.name, 0),
                    is_named=file.name in self.specs.named,
                    job=job,
                    earlier=self.earlier.get(name, ""),
                    views=self.views.get(name, ""),
                    settled=self.settled.get(name, ""),
                    rendered=tuple(rendered.get(name, ())),
                )

    def _rendered(self) -> dict[str, list[KeptFile]]:
        rendered: dict[str, list[KeptFile]] = {name: list(files) for name, files in self.kept.items()}
        for file in self.files:
            if file.job:
                kept = KeptFile(file.path, hash_content(file.text.encode()), file.ownership)
                rendered.setdefault(file.job, []).append(kept)
        return rendered


def _is_there(root: str, file: KeptFile) -> bool:
    path = f"{root}/{file.path}"
    if file.ownership is Ownership.ONCE:
        return os.path.lexists(path)
    try:
        content = read_file(path)
    except (OSError, ProjectError):
        return False
    return content is not None and hash_content(content) == file.hash


@cache
def _form() -> TypeAdapter[KnownFile]:
    return TypeAdapter(KnownFile)
