"""Every file of `specs/`, and where a `$ref` in one of them leads. References can only reach what is in here."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from pydantic import JsonValue

from .document import Document, Pointer
from .problems import nearest, shown
from .rules import Rule
from .spec_rules import REFERENCE_OUTSIDE, REFERENCE_UNRESOLVED

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

    `needs` are the other files that references in a file led to, as far as they were resolved.
    """

    documents: dict[str, Document]
    schemas: set[Location] = field(default_factory=set[Location])
    needs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def value_at(self, location: Location) -> JsonValue:
        """What stands at a location."""
        value = self.documents[location.file].value
        for token in location.pointer:
            value = value[token]  # type: ignore[index]  # a location is a place that was read
        return value

    def resolve(self, reference: str, file: str) -> Location:
        """The location a `$ref` in `file` leads to. Raises `UnresolvedReferenceError`."""
        target_file, _, fragment = reference.partition("#")
        target = self._file(target_file, file) if target_file else file
        if target != file:
            self.needs.setdefault(file, set()).add(target)
        location = Location(target, self._pointer(fragment, self.documents[target]))
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
            raise UnresolvedReferenceError(
                f"leads to {shown(target)}, which is not a file in specs/{nearest(target, self.documents)}"
            )
        return target

    @staticmethod
    def _pointer(fragment: str, document: Document) -> Pointer:
        text = unquote(fragment)
        if text and not text.startswith("/"):
            raise UnresolvedReferenceError(
                "has a fragment that is neither a JSON pointer nor an $anchor; write for example #/$defs/Address"
            )
        keys = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]
        for now, before in document.written.items():
            if [str(token) for token in before] == keys:
                return now
        pointer: Pointer = ()
        value = document.value
        for key in keys:
            if isinstance(value, dict) and key in value:
                pointer, value = (*pointer, key), value[key]
            elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
                pointer, value = (*pointer, int(key)), value[int(key)]
            else:
                known = nearest(key, value) if isinstance(value, dict) else ""
                raise UnresolvedReferenceError(f"leads to a place that does not exist: there is no {shown(key)}{known}")
        return pointer


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
