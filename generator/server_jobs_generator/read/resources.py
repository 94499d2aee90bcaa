"""References by name (`$anchor`) and by URI (`$id`), written as what they mean: a file under `specs/` and a pointer.

A URI is a name that a schema under `specs/` gives itself. Nothing is fetched; a reference to another URI stays as it
is, for others to refuse. Whoever comes behind knows only files and pointers.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import quote, urljoin

from pydantic import JsonValue
from server_jobs.contract.values import at_pointer, pointer_to

from ..problems.problem import SpecProblem, shown
from ..problems.spec_rules import NAME_TAKEN
from .document import MAX_PROBLEMS, Document, Pointer
from .keywords import inner_schemas

_ROOT = "specs:/"
"""The URI of `specs/` itself, for files that give themselves none."""

_Places = Mapping[str, Sequence[Pointer]]
"""The files that have schemas of one name, and where in each; mostly there is one."""


@dataclass(frozen=True, slots=True)
class Names:
    """What was found of names: the files with a schema that has a URI of its own, and what is wrong.

    `ambiguous` are references, each with its file, that schemas of several files may be meant by, which are named.
    """

    named: frozenset[str]
    ambiguous: Mapping[tuple[str, str], Collection[str]]
    problems: tuple[SpecProblem, ...]


def name_references(documents: Mapping[str, Document]) -> Names:
    """Rewrite, in the values of these documents, every reference that needs a name or a URI to be understood."""
    resources = _Resources()
    schemas = [found for name, document in documents.items() for found in _schemas(name, document.value)]
    for one in schemas:
        resources.add(one)
    ambiguous: dict[tuple[str, str], Collection[str]] = {}
    for one in schemas:
        if not isinstance(reference := one.schema.get("$ref"), str):
            continue
        meant = resources.meant(one, reference)
        if len(meant.places) > 1:
            ambiguous[one.file, reference] = meant.places.keys()
        elif meant.places:
            one.schema["$ref"] = meant.written(one.file, documents)
    named = frozenset(one.file for one in schemas if "$id" in one.schema)
    return Names(named, ambiguous, tuple(resources.problems(documents)))


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
            base = _joined(base, _without_fragment(own))
        if not pointer:
            root = base
        yield _Schema(file, pointer, base, root, schema)
        pending += (((*pointer, *place), base, inner) for place, inner in inner_schemas(schema))


@dataclass(frozen=True, slots=True)
class _Meant:
    """What a reference may mean, if it is not a file and a pointer already, and the rest of it behind that place."""

    places: _Places = field(default_factory=dict[str, Sequence[Pointer]])
    rest: str = ""

    def written(self, file: str, documents: Mapping[str, Document]) -> str:
        """The reference in a file as a path and a pointer, both as whoever wrote the files would write them."""
        ((other, (pointer, *_)),) = self.places.items()
        path = "" if other == file else quote(posixpath.relpath(other, posixpath.dirname(file) or "."))
        fragment = quote(pointer_to(documents[other].as_written(pointer))) + self.rest
        return f"{path}#{fragment}" if fragment or not path else path


@dataclass(slots=True)
class _Resources:
    """`ids` has the schemas by the URIs that they give themselves, `anchors` by URIs with a name behind the `#`."""

    ids: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])
    anchors: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])

    def add(self, one: _Schema) -> None:
        """Remember the names that a schema gives itself."""
        if not one.pointer or isinstance(one.schema.get("$id"), str):
            self.ids.setdefault(one.base, {}).setdefault(one.file, []).append(one.pointer)
        if isinstance(anchor := one.schema.get("$anchor"), str):
            # By a path too: whoever refers to the file need not know its URI.
            for base in {one.base, _ROOT + quote(one.file)} if one.base == one.root else (one.base,):
                self.anchors.setdefault(f"{base}#{anchor}", {}).setdefault(one.file, []).append(one.pointer)

    def meant(self, one: _Schema, reference: str) -> _Meant:
        """What a reference in a schema may mean, one place for each file."""
        target, _, fragment = _joined(one.base, reference).partition("#")
        is_pointer = not fragment or fragment.startswith("/")
        if target == _ROOT + quote(one.file) and is_pointer:
            return _Meant()
        found = self.ids.get(target, {}) if is_pointer else self.anchors.get(f"{target}#{fragment}", {})
        # Of several with one name the one in the same file is meant, and two in one file are a problem of their own.
        own = {one.file: found[one.file]} if one.file in found else found
        return _Meant(own, fragment if is_pointer else "")

    def problems(self, documents: Mapping[str, Document]) -> Iterator[SpecProblem]:
        """Names that two schemas of one file give themselves, each at the later one; of a file not all of many."""
        twice: dict[str, dict[tuple[str, tuple[Pointer, ...]], None]] = {}
        for keyword, known in (("$id", self.ids), ("$anchor", self.anchors)):
            for file, pointers in (each for found in known.values() for each in found.items()):
                if len(pointers) > 1:
                    twice.setdefault(file, {})[keyword, tuple(pointers)] = None
        for file, names in twice.items():
            found = (problem for name in names for problem in _given_again(documents[file], *name))
            yield from islice(found, MAX_PROBLEMS)


def _given_again(document: Document, keyword: str, places: Sequence[Pointer]) -> Iterator[SpecProblem]:
    first, *others = sorted(places, key=document.place)
    line, _ = document.place((*first, keyword))
    for pointer in others:
        other = "a URI of its own, or a name by $anchor" if keyword == "$id" else "a name of its own"
        at = (*pointer, keyword)
        name = shown(at_pointer(document.value, pointer_to(at)))
        message = f"{name} is the name of the schema in line {line} too; give it {other}"
        yield document.problem(at, NAME_TAKEN, message)


def _joined(base: str, reference: str) -> str:
    """Return the URI of a reference; one that no URI can be made of, such as `http://[`, stays as it is."""
    with suppress(ValueError):
        return _joined_uri(base, reference)
    return reference


def _joined_uri(base: str, reference: str) -> str:
    # `urljoin` knows neither our scheme nor `urn:` to be one that anything is relative to.
    if reference.startswith("#") or not reference:
        return _without_fragment(base) + reference
    if base.startswith(_ROOT):
        joined = urljoin(f"http://specs/{base.removeprefix(_ROOT)}", reference)
        return joined.replace("http://specs/", _ROOT, 1)
    return urljoin(base, reference)


def _without_fragment(uri: str) -> str:
    return uri.partition("#")[0]
