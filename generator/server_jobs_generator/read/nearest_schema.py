"""The schema that a reference may have meant which leads nowhere."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from pydantic import JsonValue
from server_jobs.contract.values import pointer_to

from ..problems.problem import Suggestions
from .document import Document, Pointer
from .keywords import inner_schemas
from .library import Library, UnresolvedReferenceError

_MOST_ELSEWHERE = 10


@dataclass(slots=True)
class NearestSchema:
    """Looks for the schemas of a library by what they are called: in `$defs`, or by an anchor.

    What it has found out of the library is kept: the schemas of each file by name (`found`), the files by the paths
    that lead to them from a folder (`paths`), and the file and the rest of a reference for each name (`named`).
    """

    library: Library
    found: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    paths: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    named: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    suggestions: defaultdict[str, Suggestions] = field(default_factory=lambda: defaultdict(Suggestions))

    def to(self, reference: str, file: str) -> str | None:
        """A reference, to be written in that file, that leads to a schema; None if none is near."""
        path, _, fragment = reference.partition("#")
        candidates = self._candidates(path, fragment, file)
        return next((each for each in candidates if self._leads_somewhere(each, file)), None)

    def _candidates(self, path: str, fragment: str, file: str) -> Iterator[str]:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) if path else file
        name = (fragment or path.removesuffix(".json")).rpartition("/")[2]
        if target in self.library.documents:
            yield from self._named(name, target, file)
        elif other := self.suggestions[file].nearest_of(path, files := self._files(file)):
            yield f"{other}#{fragment}" if fragment else other
            yield from self._named(name, files[other], file)
        yield from self._named(name, file, file)
        yield from self._elsewhere(name, file)

    def _files(self, file: str) -> Mapping[str, str]:
        """The names of the files by the paths that lead to them from that one, or from any in its folder."""
        folder = posixpath.dirname(file)
        if folder not in self.paths:
            self.paths[folder] = {
                _path(name, file) or posixpath.basename(name): name for name in self.library.documents
            }
        return self.paths[folder]

    def _named(self, name: str, target: str, file: str) -> Iterator[str]:
        known = self._schemas(target)
        if (nearest := self.suggestions[file].nearest_of(name, known)) is not None:
            yield _path(target, file) + known[nearest]

    def _elsewhere(self, name: str, file: str) -> Iterator[str]:
        """What has just this name among the other files and the schemas in them."""
        if not self.named:
            for target in self.library.documents:
                for known, fragment in (*self._schemas(target).items(), (PurePosixPath(target).stem, "")):
                    self.named.setdefault(known, []).append((target, fragment))
        others = ((target, fragment) for target, fragment in self.named.get(name, ()) if target != file)
        yield from (_path(target, file) + fragment for target, fragment in islice(others, _MOST_ELSEWHERE))

    def _schemas(self, file: str) -> Mapping[str, str]:
        """What leads to each schema of a file that has a name."""
        if file not in self.found:
            self.found[file] = dict(_fragments(self.library.documents[file]))
        return self.found[file]

    def _leads_somewhere(self, reference: str, file: str) -> bool:
        with suppress(UnresolvedReferenceError):
            self.library.resolve(reference, file)
            return True
        return False


def _path(target: str, file: str) -> str:
    """What leads from one file to another one, or to itself; up and down again where need not be, as that is quick."""
    if target == file:
        return ""
    folder = posixpath.dirname(file)
    return target.removeprefix(f"{folder}/") if target.startswith(f"{folder}/") else "../" * file.count("/") + target


def _fragments(document: Document) -> Iterator[tuple[str, str]]:
    """Each schema that has a name, and what leads to it in its file."""
    pending: list[tuple[Pointer, JsonValue]] = [((), document.value)]
    while pending:
        pointer, schema = pending.pop()
        anchor = schema.get("$anchor") if isinstance(schema, dict) else None
        names = [anchor, pointer[-1] if pointer[-2:-1] == ("$defs",) else None]
        yield from ((name, f"#{pointer_to(document.as_written(pointer))}") for name in names if isinstance(name, str))
        pending += (((*pointer, *place), inner) for place, inner in inner_schemas(schema))
