"""Where in the files under `specs/` a place of a bundled schema stands. Only asked when there is something to tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from server_jobs.values import pointer_to

from ..bundle import BundleError, bundle
from ..document import Pointer
from ..job_lint import PARAMS, RESULT
from ..library import Library, Location, UnresolvedReferenceError
from ..problems import SpecProblem
from ..spec import JobSpec, library_of
from ..spec_files import SpecFile
from .node import ANNOTATIONS
from .place import Place


class Part(StrEnum):
    """The schema in which something changed."""

    PARAMS = "params"
    RESULT = "result"


@dataclass(slots=True)
class SpecPlaces:
    """Reads the files of specs once more, for the places in them. The specs have no problems."""

    files: Iterable[SpecFile | SpecProblem]
    prefix: str = ""
    _library: Library | None = None
    _definitions: dict[str, dict[str, Location]] = field(default_factory=dict[str, dict[str, Location]])

    def of_part(self, job: JobSpec, part: Part, pointer: Pointer) -> Place:
        """The place of something in the bundled params or result of a job."""
        name = f"{job.spec_name}.json"
        if pointer[:1] == ("$defs",) and len(pointer) > 1:
            location = self._of_definitions(name).get(str(pointer[1]))
            return self._at(job, location, pointer[2:])
        return self._at(job, self._followed(Location(name, PARAMS if part is Part.PARAMS else RESULT)), pointer)

    def of_file(self, job: JobSpec, pointer: Pointer) -> Place:
        """The place of something else in the spec of a job, or what is around it."""
        return self._at(job, Location(f"{job.spec_name}.json", ()), pointer)

    def _at(self, job: JobSpec, location: Location | None, below: Pointer) -> Place:
        document = self.library.documents.get(location.file) if location is not None else None
        if location is None or document is None:
            return Place(f"{self.prefix}{job.path}", 1, 1, "")
        pointer = (*location.pointer, *below)
        return Place(f"{self.prefix}{document.path}", *document.place(pointer), pointer_to(pointer))

    @property
    def library(self) -> Library:
        if self._library is None:
            self._library = library_of(self.files)
        return self._library

    def _of_definitions(self, name: str) -> dict[str, Location]:
        if name not in self._definitions:
            try:
                self._definitions[name] = dict(bundle(self.library, name).places)
            except (BundleError, KeyError):
                self._definitions[name] = {}
        return self._definitions[name]

    def _followed(self, location: Location) -> Location | None:
        """Where the params or the result stand, if they are only a reference."""
        for _ in range(64):
            try:
                stated = self.library.value_at(location)
                if not isinstance(stated, dict):
                    return location
                reference = stated.get("$ref")
                if not isinstance(reference, str) or stated.keys() - ANNOTATIONS - {"$ref"}:
                    return location
                location = self.library.resolve(reference, location.file)
            except (KeyError, UnresolvedReferenceError):
                return None
        return location
