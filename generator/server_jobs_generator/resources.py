"""References by name (`$anchor`) and by URI (`$id`), written as what they mean: a file under `specs/` and a pointer.

A URI is a name that a schema under `specs/` gives itself. Nothing is fetched; a reference to another URI stays as it
is, for others to refuse. Whoever comes behind knows only files and pointers.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urldefrag, urljoin

from pydantic import JsonValue
from server_jobs.values import pointer_to

from .document import Document, Pointer
from .keywords import inner_schemas

_ROOT = "specs:/"
"""The URI of `specs/` itself, for files that give themselves none."""

_Place = tuple[str, Pointer]


def name_references(documents: Mapping[str, Document]) -> frozenset[str]:
    """Rewrite, in the values of these documents, every reference that needs a name or a URI to be understood.

    Returns which of them have a schema with a URI of its own.
    """
    resources = _Resources()
    schemas = [found for name, document in documents.items() for found in _schemas(name, document.value)]
    for one in schemas:
        resources.add(one)
    for one in schemas:
        reference = one.schema.get("$ref")
        if isinstance(reference, str) and (written := resources.written(one, reference)) is not None:
            one.schema["$ref"] = written
    return frozenset(one.file for one in schemas if "$id" in one.schema)


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema, where it stands, and the URI that its references are relative to; `root` is that of the whole file."""

    file: str
    pointer: Pointer
    base: str
    root: str
    schema: dict[str, JsonValue]


def _schemas(file: str, value: JsonValue) -> Iterator[_Schema]:
    root = _ROOT + quote(file)
    pending: list[tuple[Pointer, str, JsonValue]] = [((), root, value)]
    while pending:
        pointer, base, schema = pending.pop()
        if not isinstance(schema, dict):
            continue
        if isinstance(own := schema.get("$id"), str):
            base = _joined(base, urldefrag(own).url)
        if not pointer:
            root = base
        yield _Schema(file, pointer, base, root, schema)
        pending += (((*pointer, *place), base, inner) for place, inner in inner_schemas(schema))


@dataclass(slots=True)
class _Resources:
    ids: dict[str, list[_Place]] = field(default_factory=dict[str, list[_Place]])

    def add(self, one: _Schema) -> None:
        """Remember the names that a schema gives itself."""
        if not one.pointer or isinstance(one.schema.get("$id"), str):
            self.ids.setdefault(one.base, []).append((one.file, one.pointer))
        if isinstance(anchor := one.schema.get("$anchor"), str):
            # By a path too: whoever refers to the file need not know its URI.
            for base in {one.base, _ROOT + quote(one.file)} if one.base == one.root else (one.base,):
                self.ids.setdefault(f"{base}#{anchor}", []).append((one.file, one.pointer))

    def written(self, one: _Schema, reference: str) -> str | None:
        """The reference as a file and a pointer; None where it is that already, or leads nowhere."""
        target, fragment = urldefrag(_joined(one.base, reference))
        is_pointer = not fragment or fragment.startswith("/")
        if target == _ROOT + quote(one.file) and is_pointer:
            return None
        named = self.ids.get(target if is_pointer else f"{target}#{fragment}", [])
        # Of several with one name, the one in the same file is meant; if there are two of these, neither.
        places = [place for place in named if place[0] == one.file] or named
        if len(places) != 1:
            return None
        file, pointer = places[0]
        path = "" if file == one.file else quote(posixpath.relpath(file, posixpath.dirname(one.file) or "."))
        return f"{path}#{quote(pointer_to(pointer))}{fragment if is_pointer else ''}"


def _joined(base: str, reference: str) -> str:
    # `urljoin` knows neither our scheme nor `urn:` to be one that anything is relative to.
    if reference.startswith("#") or not reference:
        return urldefrag(base).url + reference
    if base.startswith(_ROOT):
        joined = urljoin(f"http://specs/{base.removeprefix(_ROOT)}", reference)
        return joined.replace("http://specs/", _ROOT, 1)
    return urljoin(base, reference)
