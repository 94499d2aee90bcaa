"""The build cache: the specs of the last run, the files rendered from each, and the answers of the code generator.

A cached spec is valid while its file and the files it refers to are unchanged. The whole cache is valid while
`conditions` returns the same hash.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from pydantic import TypeAdapter
from server_jobs.project import Project

from .files.cache_folder import cache_folder, conditions, make_cache_folder, read_cached, write_cached
from .files.generated_file import File, KeptFile
from .ir.spec import MAX_TOTAL_VALUES, JobSpec, Specs, check_specs
from .problems.problem import SpecProblem
from .python.names import folded
from .read.library import SpecFile, reached

_FILE = "build.json"
# Any file may refer to a file that has a URI. An escape sequence may hide the keyword.
_URI = re.compile(rb"\$id\b|\\u00[2-7]|\\x[2-7]|\\U0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSpec:
    """A specs file without problems. `key` is a hash of the file and of all files that it refers to."""

    key: str
    needs: tuple[str, ...]
    size: int
    jobs: tuple[JobSpec, ...]
    warnings: tuple[SpecProblem, ...]


@dataclass(slots=True, kw_only=True)
class BuildCache:
    """Specs by file name, answers by question, and rendered files by class name with a hash of their sources."""

    specs: dict[str, CachedSpec] = field(default_factory=dict[str, CachedSpec])
    answers: dict[str, str] = field(default_factory=dict[str, str])
    rendered: dict[str, tuple[str, list[KeptFile]]] = field(default_factory=dict[str, tuple[str, list[KeptFile]]])

    def read(self, project: Project, found: Sequence[SpecFile | SpecProblem]) -> Specs:
        """Return the result of `check_specs`, and cache it. Check only the changed files if the result is the same.

        Leave out the warnings that the project allows.
        """
        files = {file.name: file for file in found if isinstance(file, SpecFile)}
        is_plain = len(files) == len(found) and not any(_URI.search(file.data) for file in files.values())
        cached = self._read_changed(files, project) if self.specs and is_plain else None
        if cached is None:
            specs = check_specs(found, project.formats)
            if specs.problems:
                return replace(specs, warnings=_not_allowed(specs.warnings, project))
            cached = _cached(files, files, specs)
        self.specs = cached
        jobs = sorted((job for spec in cached.values() for job in spec.jobs), key=lambda job: job.class_name)
        warnings = _not_allowed(sorted(each for spec in cached.values() for each in spec.warnings), project)
        return Specs(tuple(jobs), (), {name: spec.needs for name, spec in cached.items()}, warnings=warnings)

    def _read_changed(self, files: Mapping[str, SpecFile], project: Project) -> dict[str, CachedSpec] | None:
        """Return all specs. Return None if there is a problem: the caller then checks all files together."""
        needs = {name: spec.needs for name, spec in self.specs.items()}
        keys = _keys(files, needs)
        known = {name: spec for name, spec in self.specs.items() if spec.key == keys.get(name)}
        stale = files.keys() - known.keys()
        # A changed file may have a new reference to any shared file.
        wanted = reached([*stale, *(name for name in files if stale and files[name].is_shared)], needs)
        changed = [file for name, file in files.items() if name in wanted]
        fresh = check_specs(changed, project.formats) if stale else Specs((), ())
        if fresh.problems:
            return None
        cached = known | _cached(stale, files, fresh)
        jobs = [job for spec in cached.values() for job in spec.jobs]
        names = [*(folded(job.class_name) for job in jobs), *(folded(f"#{job.spec_name}") for job in jobs)]
        is_too_large = sum(spec.size for spec in cached.values()) > MAX_TOTAL_VALUES
        return None if is_too_large or len({*names}) < len(names) else cached

    def kept(self, project: Project, added: Mapping[str, str]) -> dict[str, list[KeptFile]]:
        """Return the files of unchanged jobs by class name. `added` has a hash of each job's parts in the lock."""
        sources = self._sources(added)
        same = {name: files for name, (source, files) in self.rendered.items() if source == sources.get(name)}
        return {name: files for name, files in same.items() if all(file.is_there(project.root) for file in files)}

    def store(self, project: Project, added: Mapping[str, str], files: Iterable[File | KeptFile]) -> None:
        """Write the cache with the files of this run. In a read-only project, do nothing."""
        self.rendered = {name: (source, []) for name, source in self._sources(added).items()}
        for file in files:
            if file.job:
                self.rendered[file.job][1].append(KeptFile(file.path, file.hash, file.ownership, file.job))
        with suppress(OSError):
            write_cached(make_cache_folder(project) / _FILE, _sealed(project, _form().dump_json(self)))

    def _sources(self, added: Mapping[str, str]) -> dict[str, str]:
        jobs = {job.class_name: spec.key for spec in self.specs.values() for job in spec.jobs}
        return {name: f"{key} {added.get(name, '')}" for name, key in jobs.items()}


def read_build_cache(project: Project) -> BuildCache:
    """Return the cache of the last run. Return an empty one if somebody edited it, or if `conditions` changed."""
    with suppress(OSError, ValueError):
        content = read_cached(cache_folder(project) / _FILE) or b""
        if content == _sealed(project, body := content.partition(b"\n")[2]):
            return _form().validate_json(body)
    return BuildCache()


def _sealed(project: Project, body: bytes) -> bytes:
    return sha256(conditions(project).encode() + body).hexdigest().encode() + b"\n" + body


def _cached(names: Iterable[str], files: Mapping[str, SpecFile], specs: Specs) -> dict[str, CachedSpec]:
    keys, jobs = _keys(files, specs.needs), defaultdict[str, list[JobSpec]](list)
    for job in specs.jobs:
        jobs[job.path].append(job)
    needs = {name: tuple(sorted(specs.needs.get(name, ()))) for name in names}
    warnings = defaultdict[str, list[SpecProblem]](list)
    for warning in specs.warnings:
        warnings[warning.path].append(warning)
    return {
        name: CachedSpec(
            key=keys[name],
            needs=needs[name],
            size=specs.sizes[name],
            jobs=tuple(jobs[files[name].path]),
            warnings=tuple(warnings[files[name].path]),
        )
        for name in needs
    }


def _not_allowed(warnings: Iterable[SpecProblem], project: Project) -> tuple[SpecProblem, ...]:
    return tuple(warning for warning in warnings if warning.rule not in project.allow)


def _keys(files: Mapping[str, SpecFile], needs: Mapping[str, Iterable[str]]) -> dict[str, str]:
    digests = {name: sha256(file.data).hexdigest() for name, file in files.items()}
    content = {name: [(each, digests.get(each)) for each in sorted(reached([name], needs))] for name in files}
    return {name: sha256(repr(content[name]).encode()).hexdigest() for name in files}


_form = cache(lambda: TypeAdapter(BuildCache))
