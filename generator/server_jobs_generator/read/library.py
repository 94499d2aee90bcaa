"""The files under `specs/`, and the targets of their `$ref`s. Nothing outside that directory is ever opened."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from pydantic import JsonValue
from server_jobs.contract.values import path_of, pointer_to

from ..files.generated_file import content_of
from ..problems.problem import SpecProblem, Suggestions, listed, shown
from ..problems.rules import (
    FILE_MISPLACED,
    FILE_UNREADABLE,
    LINK_OUTSIDE,
    NAME_NOT_USABLE,
    REFERENCE_OUTSIDE,
    REFERENCE_UNRESOLVED,
    TOO_LARGE,
    Rule,
)
from .document import ENDINGS, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, Document, Pointer
from .keywords import inner_schemas

SHARED = "shared"
ACCEPTED = "contracts.accepted.json"

MAX_FILES = 4_000
MAX_TOTAL_BYTES = 32 * 1024 * 1024
_MAX_LEVELS = 16
_NO_SPECS = ("README.md", ACCEPTED)
# Leftovers of editors, merge tools and desktops.
_LEFTOVERS = re.compile(r"\..*|.*~|#.*#|.*\.(?:orig|rej|bak|swp|tmp)|(?:eh)?thumbs\.db|desktop\.ini", re.IGNORECASE)

# At most as long as the number of values in a file, because Python refuses to parse very long numbers.
_INDEX = re.compile(f"[0-9]{{1,{len(str(MAX_NODES))}}}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_MOST_ELSEWHERE = 10


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A file that was read. `name` is relative to `specs/`, `path` to the project's root, both with `/`."""

    name: str
    path: str
    data: bytes

    @property
    def spec_name(self) -> str:
        """Return the id of the job in the file, if it has one job."""
        return PurePosixPath(self.name).stem

    @property
    def is_shared(self) -> bool:
        """Return whether it contains shared definitions instead of a job."""
        return self.name.startswith(f"{SHARED}/")


def file_of(document: str) -> str:
    """Return the file of a document: `jobs.yaml` for `jobs.yaml#SendEmail`, a job in a file with several."""
    return document if document.startswith(f"{SHARED}/") else document.partition("#")[0]


def is_leftover(name: str) -> bool:
    """Return whether a file of this name is hidden or left behind by a tool, so that it is no spec."""
    return _LEFTOVERS.fullmatch(name) is not None


def read_spec_files(project_root: Path, specs_dir: Path) -> Iterator[SpecFile | SpecProblem]:
    """Yield each file under `specs_dir` in the order of their names, or its problem.

    Skips hidden files, leftovers of editors and desktops, folders without files, `README.md` and the accepted findings.
    If there are too many files or bytes, the last item is a problem. Raises `OSError` if the directory cannot be
    listed.
    """
    prefix = PurePosixPath(specs_dir.relative_to(project_root).as_posix())
    root = specs_dir.resolve(strict=True)
    names, total = sorted(islice(_names_under(str(root), ""), MAX_FILES + 1)), 0
    if len(names) > MAX_FILES:
        yield _unreadable(str(prefix), TOO_LARGE, f"has more than {MAX_FILES:,} files; make two projects of it")
        return
    for name in names:
        path = str(prefix / name)
        try:
            file = _read_file(root, name, path)
            total += len(file.data) if isinstance(file, SpecFile) else 0
            if total > MAX_TOTAL_BYTES:
                message = (
                    f"the files up to this one have more than {MAX_TOTAL_BYTES:,} bytes; make two projects of them"
                )
                yield _unreadable(path, TOO_LARGE, message)
                return
            yield file
        except OSError as error:
            yield _unreadable(path, FILE_UNREADABLE, f"cannot be read: {error.strerror}")
        # `resolve` raises this for circular links up to Python 3.12.
        except RuntimeError:
            yield _unreadable(path, FILE_UNREADABLE, "cannot be read: its links lead round in a circle")


def _names_under(directory: str, prefix: str, level: int = 0) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if is_leftover(entry.name) or entry.name in _NO_SPECS:
                continue
            name = prefix + entry.name
            # A folder that is nested too deep counts as a file, and is rejected as one.
            is_folder = level < _MAX_LEVELS and entry.is_dir(follow_symlinks=False)
            if not is_folder:
                yield name
            elif prefix or entry.name == SHARED:
                yield from _names_under(entry.path, f"{name}/", level + 1)
            elif any(_names_under(entry.path, f"{name}/", level + 1)):
                yield name


def _read_file(root: Path, name: str, path: str) -> SpecFile | SpecProblem:
    file = f"{root}/{name}"
    mode = os.lstat(file).st_mode
    if stat.S_ISREG(mode) and name.endswith(ENDINGS):
        return named_file(name, path, content_of(file, MAX_FILE_BYTES + 1))
    return _read_with_care(root, name, path)


def _read_with_care(root: Path, name: str, path: str) -> SpecFile | SpecProblem:
    """Read a path that is not a plain file with a valid name: a link inside `specs/`, or a mistake."""
    file = (root / name).resolve(strict=True)
    if not file.is_relative_to(root):
        return _unreadable(path, LINK_OUTSIDE, "is a link that leads out of specs/; put a copy there instead")
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        message = f"is a folder; specs lie directly in specs/, shared definitions under specs/{SHARED}/: move its files"
        return _unreadable(path, FILE_MISPLACED, message)
    if not name.endswith(ENDINGS):
        known = f"only {listed(ENDINGS)} files belong in specs/"
        message = f"{known}; move or rename {shown(PurePosixPath(_shown(name)).name)}"
        return _unreadable(path, FILE_MISPLACED, message)
    if not stat.S_ISREG(mode):
        return _unreadable(path, FILE_UNREADABLE, "is not a regular file; put a plain file there")
    return named_file(name, path, content_of(file, MAX_FILE_BYTES + 1))


def named_file(name: str, path: str, data: bytes) -> SpecFile | SpecProblem:
    """Return the file, or a problem if messages, references and generated code cannot contain its name."""
    if _shown(name) != name:
        return _unreadable(path, NAME_NOT_USABLE, "the file's name is not UTF-8; rename it")
    return SpecFile(name, path, data)


def _unreadable(path: str, rule: Rule, message: str) -> SpecProblem:
    return SpecProblem(_shown(path), 1, 1, "", message, rule.id)


def _shown(name: str) -> str:
    """Return the name, with a mark for each byte that is no text."""
    return os.fsencode(name).decode("utf-8", "replace")


class UnresolvedReferenceError(ValueError):
    """A `$ref` that leads nowhere, or out of `specs/`; the message names it and its fix."""

    def __init__(self, message: str, rule: Rule = REFERENCE_UNRESOLVED) -> None:
        self.rule = rule
        super().__init__(message)


class Location(NamedTuple):  # a tuple, because it is hashed and compared a million times
    """A schema: the name of its file (relative to `specs/`, with `/`) and its pointer in the file."""

    file: str
    pointer: Pointer


@dataclass(slots=True)
class Library:
    """The documents by file name, and the locations in them that are schemas, the only valid targets of a `$ref`.

    `needs` are the files that the resolved references of a file led to. `unreadable` are the names of files that could
    not be parsed, which are reported separately. `ambiguous` maps references, each with its file, to the files whose
    schemas share their URI. `moved` maps the pointers of each needed file to the pointers after a translation.
    """

    documents: dict[str, Document]
    schemas: set[Location] = field(default_factory=set[Location])
    needs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    unreadable: set[str] = field(default_factory=set[str])
    ambiguous: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict[tuple[str, str], Collection[str]])
    moved: dict[str, Mapping[tuple[str, ...], Pointer]] = field(
        default_factory=dict[str, Mapping[tuple[str, ...], Pointer]]
    )

    def value_at(self, location: Location) -> JsonValue:
        """Return the value at a location."""
        return self.documents[location.file].value_at(location.pointer)

    def resolve(self, reference: str, file: str) -> Location:
        """Return the location of a `$ref` in `file`. Raises `UnresolvedReferenceError`."""
        if several := self.ambiguous.get((file, reference)):
            first, second = nsmallest(2, several)
            others = f" and {len(several) - 2} more files" if len(several) > 2 else ""
            message = (
                f"is the URI of schemas in {first} and {second}{others}; refer to the one that is meant by its path"
            )
            raise UnresolvedReferenceError(message)
        target_file, _, fragment = reference.partition("#")
        target = self._file(target_file, file) if target_file else file
        if target != file:
            self.needs.setdefault(file, set()).add(target)
        location = Location(target, self._pointer(unquote(fragment), target))
        if location not in self.schemas:
            raise UnresolvedReferenceError(f"leads to a place in {target} that is not a schema; reference one in $defs")
        return location

    def _file(self, path: str, file: str) -> str:
        if _SCHEME.match(path) or path.startswith("//"):
            message = "is a URL; nothing is ever fetched: put the schema under specs/shared/"
            raise UnresolvedReferenceError(message, REFERENCE_OUTSIDE)
        if path.startswith("/") or "\\" in path or "?" in path:
            message = "is not a relative path; write for example shared/address.json"
            raise UnresolvedReferenceError(message, REFERENCE_OUTSIDE)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(path)))
        if target.startswith("..") or "\0" in target:
            message = "leads out of specs/; put the schema under specs/shared/"
            raise UnresolvedReferenceError(message, REFERENCE_OUTSIDE)
        if target not in self.documents:
            is_there = target in self.unreadable
            why = "cannot be read: see its problems" if is_there else "is not a file in specs/"
            raise UnresolvedReferenceError(f"leads to {shown(target)}, which {why}")
        return target

    def _pointer(self, fragment: str, file: str) -> Pointer:
        if fragment and not fragment.startswith("/"):
            raise UnresolvedReferenceError(f"leads to no schema: none in {file} has the $anchor {shown(fragment)}")
        document = self.documents[file]
        keys = path_of(fragment)
        pointer, length = self._moved(file, keys)
        keys = keys[length:]
        value = self.value_at(Location(file, pointer))
        for key in keys:
            # A pointer of the translation has another place in the file.
            if isinstance(value, dict) and key in value and (*pointer, key) not in document.written:
                pointer, value = (*pointer, key), value[key]
            elif isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
                pointer, value = (*pointer, int(key)), value[int(key)]
            else:
                place = f" in {known}" if (known := pointer_to(document.as_written(pointer))) else ""
                message = f"leads to a place that does not exist: {file_of(file)} has no {shown(key)}{place}"
                raise UnresolvedReferenceError(message)
        return pointer

    def _moved(self, file: str, keys: Sequence[str]) -> tuple[Pointer, int]:
        """Return the new pointer of the longest part of `keys` that a translation moved, and the length of the part."""
        if file not in self.moved:
            written = self.documents[file].written
            self.moved[file] = {tuple(map(str, before)): now for now, before in written.items()}
        moved, deepest = self.moved[file], min(len(keys), MAX_DEPTH)
        lengths = (length for length in range(deepest, 0, -1) if tuple(keys[:length]) in moved)
        length = next(lengths, 0)
        return (moved[tuple(keys[:length])] if length else ()), length


def reached(names: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    """Return these names and everything reachable from them."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(following.get(name, ()))
    return found


@dataclass(slots=True)
class NearestSchema:
    """Searches the schemas of a library by name: in `$defs`, or by anchor.

    It caches the schemas of each file by name (`found`), the files by their paths from a folder (`paths`), and for each
    name the file and the rest of the reference (`named`).
    """

    library: Library
    found: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    paths: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    named: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    suggestions: defaultdict[str, Suggestions] = field(default_factory=lambda: defaultdict(Suggestions))

    def to(self, reference: str, file: str) -> str | None:
        """Return a similar reference that leads to a schema from that file; None if none is similar."""
        path, _, fragment = reference.partition("#")
        candidates = self._candidates(path, fragment, file)
        return next((each for each in candidates if self._leads_somewhere(each, file)), None)

    def _candidates(self, path: str, fragment: str, file: str) -> Iterator[str]:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) if path else file
        name = (fragment or _without_ending(path)).rpartition("/")[2]
        if target in self.library.documents:
            yield from self._named(name, target, file)
        elif other := self.suggestions[file].nearest_of(path, files := self._files(file)):
            yield f"{other}#{fragment}" if fragment else other
            yield from self._named(name, files[other], file)
        yield from self._named(name, file, file)
        yield from self._elsewhere(name, file)

    def _files(self, file: str) -> Mapping[str, str]:
        """Return the names of the files by their paths from that file or its folder."""
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
        """Yield references to files and schemas with exactly this name."""
        if not self.named:
            for target in self.library.documents:
                for known, fragment in (*self._schemas(target).items(), (PurePosixPath(target).stem, "")):
                    self.named.setdefault(known, []).append((target, fragment))
        others = ((target, fragment) for target, fragment in self.named.get(name, ()) if target != file)
        yield from (_path(target, file) + fragment for target, fragment in islice(others, _MOST_ELSEWHERE))

    def _schemas(self, file: str) -> Mapping[str, str]:
        """Return the references to each named schema of a file."""
        if file not in self.found:
            self.found[file] = dict(_fragments(self.library.documents[file]))
        return self.found[file]

    def _leads_somewhere(self, reference: str, file: str) -> bool:
        with suppress(UnresolvedReferenceError):
            self.library.resolve(reference, file)
            return True
        return False


def _without_ending(path: str) -> str:
    return path.removesuffix(next((ending for ending in ENDINGS if path.endswith(ending)), ""))


def _path(target: str, file: str) -> str:
    """Return the path from one file to another one or to itself. It may go up and down again."""
    if target == file:
        return ""
    folder = posixpath.dirname(file)
    return target.removeprefix(f"{folder}/") if target.startswith(f"{folder}/") else "../" * file.count("/") + target


def _fragments(document: Document) -> Iterator[tuple[str, str]]:
    """Yield each named schema, with its fragment in the file."""
    pending: list[tuple[Pointer, JsonValue]] = [((), document.value)]
    while pending:
        pointer, schema = pending.pop()
        anchor = schema.get("$anchor") if isinstance(schema, dict) else None
        names = [anchor, pointer[-1] if pointer[-2:-1] in (("$defs",), ("definitions",)) else None]
        yield from ((name, f"#{pointer_to(document.as_written(pointer))}") for name in names if isinstance(name, str))
        pending += (((*pointer, *place), inner) for place, inner in inner_schemas(schema))
