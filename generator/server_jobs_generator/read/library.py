"""Every file of `specs/`, and where a `$ref` in one of them leads. References can only reach what is in here."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple
from urllib.parse import unquote

from pydantic import JsonValue
from server_jobs.contract.values import pointer_to

from ..problems.problem import shown
from ..problems.rule import Rule
from ..problems.spec_rules import REFERENCE_OUTSIDE, REFERENCE_UNRESOLVED
from .document import MAX_DEPTH, MAX_NODES, Document, Pointer

# No longer than the number of values that a file may have: Python refuses to read very long numbers.
_INDEX = re.compile(f"[0-9]{{1,{len(str(MAX_NODES))}}}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class UnresolvedReferenceError(ValueError):
    """A `$ref` that leads nowhere, or out of `specs/`; the message says which, and what to write."""

    def __init__(self, message: str, rule: Rule = REFERENCE_UNRESOLVED) -> None:
        self.rule = rule
        super().__init__(message)


class Location(NamedTuple):  # hashed and compared a million times
    """A schema: the name of its file (relative to `specs/`, with `/`) and its pointer in there."""

    file: str
    pointer: Pointer


@dataclass(slots=True)
class Library:
    """The documents by file name, and the locations in them that are schemas (a `$ref` may lead only to those).

    `needs` are the other files that references in a file led to, as far as they were resolved. `unreadable` are the
    names of files that are no documents, which is a problem of their own; `ambiguous` are references, each with its
    file, by a URI that schemas of several files have, which are named. `moved` has, for each file that is
    needed, where what a translation moved stands now, by the pointers in the file.
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
        """What stands at a location."""
        value = self.documents[location.file].value
        for token in location.pointer:
            value = value[token]  # type: ignore[index]  # a location is a place that was read
        return value

    def resolve(self, reference: str, file: str) -> Location:
        """The location a `$ref` in `file` leads to. Raises `UnresolvedReferenceError`."""
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
            why = "cannot be read: see what is wrong with it" if is_there else "is not a file in specs/"
            raise UnresolvedReferenceError(f"leads to {shown(target)}, which {why}")
        return target

    def _pointer(self, fragment: str, file: str) -> Pointer:
        if fragment and not fragment.startswith("/"):
            raise UnresolvedReferenceError(f"leads to no schema: none in {file} has the $anchor {shown(fragment)}")
        document = self.documents[file]
        keys = [token.replace("~1", "/").replace("~0", "~") for token in fragment.split("/")[1:]]
        pointer = self._moved(file, keys)
        keys = keys[len(document.as_written(pointer)) :]
        value = self.value_at(Location(file, pointer))
        for key in keys:
            # What a translation put there has another place in the file.
            if isinstance(value, dict) and key in value and (*pointer, key) not in document.written:
                pointer, value = (*pointer, key), value[key]
            elif isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
                pointer, value = (*pointer, int(key)), value[int(key)]
            else:
                place = f" in {known}" if (known := pointer_to(document.as_written(pointer))) else ""
                message = f"leads to a place that does not exist: {file} has no {shown(key)}{place}"
                raise UnresolvedReferenceError(message)
        return pointer

    def _moved(self, file: str, keys: Sequence[str]) -> Pointer:
        """Where as much of a pointer as a translation moved stands now; `()` if it moved nothing of it."""
        if file not in self.moved:
            written = self.documents[file].written
            self.moved[file] = {tuple(map(str, before)): now for now, before in written.items()}
        moved, deepest = self.moved[file], min(len(keys), MAX_DEPTH)
        return next(
            (moved[before] for length in range(deepest, 0, -1) if (before := tuple(keys[:length])) in moved), ()
        )


def reached(names: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    """These names, and all that one comes to from them."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(following.get(name, ()))
    return found
