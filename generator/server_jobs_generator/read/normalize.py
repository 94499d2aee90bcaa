"""Rewrite references by name or URI, so that every later stage sees one kind: a path and a pointer."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import quote, unquote, urljoin

from pydantic import JsonValue
from server_jobs.contract.values import at_pointer, path_of, pointer_to

from ..problems.problem import SpecProblem, shown
from ..problems.rules import NAME_TAKEN
from .document import MAX_PROBLEMS, Document, Pointer
from .keywords import inner_schemas
from .library import file_of

_ROOT = "specs:/"
"""The URI of `specs/`, for files without their own."""

_PARTS: tuple[Pointer, ...] = (("properties", "params"), ("properties", "result"))

_Places = Mapping[str, Sequence[Pointer]]
"""The files that have schemas of one name, with the pointers in each. Mostly there is one."""


@dataclass(frozen=True, slots=True)
class Names:
    """The ambiguous names and URIs of schemas, and the problems of names.

    `ambiguous` maps references, each with its file, to the files whose schemas share the name.
    """

    ambiguous: Mapping[tuple[str, str], Collection[str]]
    problems: tuple[SpecProblem, ...]


def name_references(documents: Mapping[str, Document]) -> Names:
    """Rewrite every reference by name or URI in the values of these documents.

    A URI is a name that a schema under `specs/` gives itself. Nothing is fetched. A reference to another URI stays as
    it is, and is rejected later. Later stages know only files and pointers.
    """
    resources = _Resources()
    schemas = [found for name, document in documents.items() for found in _schemas(name, document)]
    for one in schemas:
        resources.add(one)
    ambiguous: dict[tuple[str, str], Collection[str]] = {}
    for one in schemas:
        if not isinstance(reference := one.schema.get("$ref"), str):
            continue
        if (part := _part_meant(one, reference, documents[one.file])) is not None:
            one.schema["$ref"] = part
            continue
        meant = resources.meant(one, reference)
        if len(meant.places) > 1:
            ambiguous[one.file, reference] = meant.places.keys()
        elif meant.places:
            one.schema["$ref"] = meant.written(one.file, documents)
    return Names(ambiguous, tuple(resources.problems(documents)))


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema, its place, and the base URI of its references; `root` is the whole file's."""

    file: str
    pointer: Pointer
    base: str
    root: str
    schema: dict[str, JsonValue]


def targets_by_path(documents: Mapping[str, Document]) -> Mapping[str, set[Pointer]]:
    """Return the pointers in each file that references by path lead to, of files that are not translated yet."""
    found: dict[str, set[Pointer]] = {file: set() for file in documents}
    for file, document in documents.items():
        for reference in _references(document.value):
            path, _, fragment = reference.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(path))) if path else file
            if target in documents and fragment.startswith("/"):
                found[target].update(_targets(documents[target], fragment, is_own=target == file))
    return found


def _targets(document: Document, fragment: str, *, is_own: bool) -> Iterator[Pointer]:
    """Yield the pointers that a fragment may name, also in the params and the result of the same document."""
    tokens = _tokens(fragment)
    bases: list[tuple[Pointer, list[str]]] = [((), tokens), *((part, tokens) for part in _PARTS if is_own)]
    # The place of params and result in the file may be another one.
    bases += [
        (now, tokens[len(before) :])
        for now, before in document.written.items()
        if before and [*map(str, before)] == tokens[: len(before)]
    ]
    yield from filter(None, (_walked(document.value, *base) for base in bases))


def _references(value: JsonValue) -> Iterator[str]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            pending += one.values()
            if isinstance(reference := one.get("$ref"), str):
                yield reference


def _walked(value: JsonValue, base: Pointer, tokens: Sequence[str]) -> Pointer | None:
    """Return the pointer that tokens name below a base; None if they lead nowhere."""
    pointer: list[str | int] = []
    for token in (*base, *tokens):
        if isinstance(value, dict) and token in value:
            pointer.append(token)
            value = value[str(token)]
        elif isinstance(value, list) and str(token).isdecimal() and len(str(token)) < 9 and int(token) < len(value):
            pointer.append(int(token))
            value = value[int(token)]
        else:
            return None
    return tuple(pointer)


def _tokens(fragment: str) -> list[str]:
    return path_of(unquote(fragment))


def _part_meant(one: _Schema, reference: str, document: Document) -> str | None:
    """Return the pointer of a reference inside of params or a result that were pasted with it.

    `#/definitions/Address` then leads to the `definitions` of the params, unless the spec has that definition itself.
    """
    part = one.pointer[:2]
    if part not in _PARTS or "/" in one.file or one.base != one.root or not reference.startswith("#"):
        return None
    fragment = reference[1:]
    if fragment:
        start = _start(fragment)
        if not start or _walked(document.value, (), start) or not _walked(document.value, part, start):
            return None
    return f"#{pointer_to(document.as_written(part))}{fragment}"


def _start(fragment: str) -> list[str]:
    """Return the first two tokens of a pointer such as `/definitions/Address`, or none for a name."""
    return _tokens(fragment)[:2] if fragment.startswith("/") else []


def _schemas(file: str, document: Document) -> Iterator[_Schema]:
    root = _ROOT + quote(file)
    pending = [(place, root, document.value_at(place)) for place in ((), *document.elsewhere)]
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
    """The possible target of a reference that is not a file and a pointer yet, and the rest of its pointer."""

    places: _Places = field(default_factory=dict[str, Sequence[Pointer]])
    rest: str = ""

    def written(self, file: str, documents: Mapping[str, Document]) -> str:
        """Return the reference in a file as a path and a pointer, as an author would write them."""
        ((other, (pointer, *_)),) = self.places.items()
        path = "" if other == file else quote(posixpath.relpath(other, posixpath.dirname(file) or "."))
        fragment = quote(pointer_to(documents[other].as_written(pointer))) + self.rest
        return f"{path}#{fragment}" if fragment or not path else path


@dataclass(slots=True)
class _Resources:
    """`ids` has the schemas by their URIs, `anchors` by URIs with a name after the `#`.

    `used` are the URIs that references led to.
    """

    ids: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])
    anchors: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])
    used: set[str] = field(default_factory=set[str])

    def add(self, one: _Schema) -> None:
        """Record the names of a schema."""
        if not one.pointer or isinstance(one.schema.get("$id"), str):
            self.ids.setdefault(one.base, {}).setdefault(one.file, []).append(one.pointer)
        if isinstance(anchor := one.schema.get("$anchor"), str):
            # Also by path, because other files may refer to this one without its URI.
            for base in {one.base, _ROOT + quote(one.file)} if one.base == one.root else (one.base,):
                self.anchors.setdefault(f"{base}#{anchor}", {}).setdefault(one.file, []).append(one.pointer)

    def meant(self, one: _Schema, reference: str) -> _Meant:
        """Return the possible targets of a reference in a schema, one for each file."""
        target, _, fragment = _joined(one.base, reference).partition("#")
        is_pointer = not fragment or fragment.startswith("/")
        if target == _ROOT + quote(one.file) and is_pointer:
            return _Meant()
        name = target if is_pointer else f"{target}#{fragment}"
        found = (self.ids if is_pointer else self.anchors).get(name, {})
        self.used.add(name)
        # Each job of a file with several has a copy of its definitions.
        whole = {file: places for file, places in found.items() if file == file_of(file) or file_of(file) not in found}
        # Prefer the schema in the same file. Two schemas with one name in one file are reported separately.
        own = {one.file: found[one.file]} if one.file in found else whole
        return _Meant(own, fragment if is_pointer else "")

    def problems(self, documents: Mapping[str, Document]) -> Iterator[SpecProblem]:
        """Yield duplicate names in one file, each at the later schema, up to a limit for each file.

        Public schemas repeat names that no reference uses, which harms nobody.
        """
        twice: dict[str, dict[tuple[str, tuple[Pointer, ...]], None]] = {}
        for keyword, known in (("$id", self.ids), ("$anchor", self.anchors)):
            used = (found for name, found in known.items() if name in self.used)
            for file, pointers in (each for found in used for each in found.items()):
                if len(pointers) > 1:
                    twice.setdefault(file, {})[keyword, tuple(pointers)] = None
        for file, names in twice.items():
            found = (problem for name in names for problem in _given_again(documents[file], *name))
            yield from islice(found, MAX_PROBLEMS)


def _given_again(document: Document, keyword: str, places: Sequence[Pointer]) -> Iterator[SpecProblem]:
    first, *others = sorted(places, key=document.place)
    line, _ = document.place((*first, keyword))
    for pointer in others:
        other = "another URI, or a name by $anchor" if keyword == "$id" else "another name"
        at = (*pointer, keyword)
        name = shown(at_pointer(document.value, pointer_to(at)))
        message = f"{name} is the name of the schema in line {line} too; give it {other}"
        yield document.problem(at, NAME_TAKEN, message)


def _joined(base: str, reference: str) -> str:
    """Return the URI of a reference; one without a valid URI, such as `http://[`, stays as it is."""
    with suppress(ValueError):
        return _joined_uri(base, reference)
    return reference


def _joined_uri(base: str, reference: str) -> str:
    # `urljoin` resolves nothing against our scheme or `urn:`.
    if reference.startswith("#") or not reference:
        return _without_fragment(base) + reference
    if base.startswith(_ROOT):
        joined = urljoin(f"http://specs/{base.removeprefix(_ROOT)}", reference)
        return joined.replace("http://specs/", _ROOT, 1)
    return urljoin(base, reference)


def _without_fragment(uri: str) -> str:
    return uri.partition("#")[0]
