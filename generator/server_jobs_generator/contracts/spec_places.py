"""Map places in a bundled schema to places in files under `specs/`. Needed only if there is a finding."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from server_jobs.contract.values import pointer_to

from ..ir.bundle import BundleError, bundle
from ..ir.spec import JobSpec, library_of
from ..lint.job_lint import PARAMS, RESULT
from ..problems.problem import SpecProblem
from ..read.document import Pointer
from ..read.library import Library, Location, SpecFile, UnresolvedReferenceError, file_of, reached
from .compare.node import ANNOTATIONS
from .finding import Place


class Part(StrEnum):
    """The schema in which something changed."""

    PARAMS = "params"
    RESULT = "result"


@dataclass(slots=True)
class SpecPlaces:
    """Reads the spec files again for places in them. The specs have no problems.

    With `needs`, the files that each file refers to, only files related to a job are read.
    """

    files: Iterable[SpecFile | SpecProblem]
    prefix: str = ""
    needs: Mapping[str, Collection[str]] | None = None
    _read: dict[str, SpecFile] = field(default_factory=dict[str, SpecFile])
    _libraries: dict[str, Library] = field(default_factory=dict[str, Library])
    _definitions: dict[str, dict[str, Location]] = field(default_factory=dict[str, dict[str, Location]])

    def of_part(self, job: JobSpec, part: Part, pointer: Pointer) -> Place:
        """Return the place of a value in the bundled params or result of a job."""
        name = job.document
        if pointer[:1] == ("$defs",) and len(pointer) > 1:
            location = self._of_definitions(name).get(str(pointer[1]))
            return self._at(job, location, pointer[2:])
        followed = self._followed(name, Location(name, PARAMS if part is Part.PARAMS else RESULT))
        return self._at(job, followed, pointer)

    def of_file(self, job: JobSpec, pointer: Pointer) -> Place:
        """Return the place of another value in the spec of a job, or of its nearest parent."""
        return self._at(job, Location(job.document, ()), pointer)

    def _at(self, job: JobSpec, location: Location | None, below: Pointer) -> Place:
        library = self._library(job.document)
        document = library.documents.get(location.file) if location is not None else None
        if location is None or document is None:
            return Place(f"{self.prefix}{job.path}", 1, 1, "")
        pointer = (*location.pointer, *below)
        return Place(
            f"{self.prefix}{document.path}", *document.place(pointer), pointer_to(document.as_written(pointer))
        )

    def _library(self, name: str) -> Library:
        """Return a library with at least the files that the spec in that file uses."""
        key = "" if self.needs is None else file_of(name)
        if key not in self._libraries:
            self._read = self._read or {file.name: file for file in self.files if isinstance(file, SpecFile)}
            wanted = self._read if self.needs is None else reached([key], self.needs)
            self._libraries[key] = library_of(file for each, file in self._read.items() if each in wanted)
        return self._libraries[key]

    def _of_definitions(self, name: str) -> dict[str, Location]:
        if name not in self._definitions:
            try:
                self._definitions[name] = dict(bundle(self._library(name), name).places)
            except (BundleError, UnresolvedReferenceError, KeyError):
                self._definitions[name] = {}
        return self._definitions[name]

    def _followed(self, name: str, location: Location) -> Location | None:
        """Return the location of the params or the result if they are a plain reference."""
        library = self._library(name)
        for _ in range(64):
            try:
                stated = library.value_at(location)
                if not isinstance(stated, dict):
                    return location
                reference = stated.get("$ref")
                if not isinstance(reference, str) or stated.keys() - ANNOTATIONS - {"$ref"}:
                    return location
                location = library.resolve(reference, location.file)
            except KeyError:  # the part is left out
                return location
            except UnresolvedReferenceError:
                return None
        return location
