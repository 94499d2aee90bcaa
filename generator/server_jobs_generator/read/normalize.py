"""Rewrite schemas, so that every later stage sees one dialect, and one kind of reference."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from urllib.parse import quote, urljoin

from pydantic import JsonValue
from server_jobs.contract.values import at_pointer, pointer_to

from ..problems.problem import SpecProblem, shown
from ..problems.rules import KEYWORD_MISPLACED, NAME_TAKEN, UNKNOWN_KEYWORD
from .document import MAX_PROBLEMS, Document, Pointer
from .keywords import inner_schemas

DRAFT7 = "http://json-schema.org/draft-07/schema"

_UNKNOWN: Mapping[str, str] = {
    "$anchor": 'write "$id": "#name"',
    "$defs": "write definitions",
    "dependentRequired": "write dependencies",
    "dependentSchemas": "write dependencies",
    "prefixItems": "write items, with a list",
    "unevaluatedItems": "write additionalItems",
    "unevaluatedProperties": "write additionalProperties",
    **dict.fromkeys(("$dynamicAnchor", "$dynamicRef", "contentSchema", "maxContains", "minContains"), "remove it"),
}
"""The keywords of later drafts, with their equivalents in draft 7."""

_ALLOWED_WITH_REFERENCE = frozenset({"$ref", "$schema", "$comment", "title", "description", "definitions"})
"""Keywords allowed beside a `$ref` there, because they restrict no value."""

_NO_EFFECT = (
    'has no effect beside $ref in draft 7; write "allOf": [{"$ref": …}] instead of $ref, '
    "or use draft 2020-12, where both hold"
)

Parts = dict[str, JsonValue]

_ROOT = "specs:/"
"""The URI of `specs/`, for files without their own."""

_Places = Mapping[str, Sequence[Pointer]]
"""The files that have schemas of one name, with the pointers in each. Mostly there is one."""


def is_draft7(value: JsonValue) -> bool:
    """Return whether a file is in draft 7."""
    stated = value.get("$schema") if isinstance(value, dict) else None
    return isinstance(stated, str) and stated.removesuffix("#") == DRAFT7


def from_draft7(document: Document) -> tuple[Document, tuple[SpecProblem, ...]]:
    """Return the same file in draft 2020-12, and a problem at each keyword without an effect in draft 7.

    Keywords that draft 7 does not know, and keywords beside a `$ref`, have no effect there. Their author expects an
    effect.
    """
    translation = _Translation(document)
    value = translation.translated(document.value, (), ())
    moved = {new: document.as_written(old) for old, new in translation.moved.items() if old != new}
    return replace(document, value=value, written={**document.written, **moved}), tuple(translation.problems)


@dataclass(slots=True)
class _Translation:
    """Translates a file. `moved` maps the old pointer of each schema, and of each renamed value, to its new pointer."""

    document: Document
    moved: dict[Pointer, Pointer] = field(default_factory=dict[Pointer, Pointer])
    problems: list[SpecProblem] = field(default_factory=list[SpecProblem])

    def translated(self, schema: JsonValue, old: Pointer, new: Pointer) -> JsonValue:
        """Return the translation of the schema at pointer `old`, for pointer `new`."""
        self.moved[old] = new
        if not isinstance(schema, dict):
            return schema
        self.problems += self._without_effect(schema, old)
        if isinstance(schema.get("$ref"), str):
            schema = {key: value for key, value in schema.items() if key in _ALLOWED_WITH_REFERENCE}
        return dict(self._members(schema, old, new))

    def _without_effect(self, schema: Parts, old: Pointer) -> Iterator[SpecProblem]:
        has_reference = isinstance(schema.get("$ref"), str)
        for key in schema:
            if key in _UNKNOWN:
                message = f"{key} is no keyword of draft 7; {_UNKNOWN[key]}, or use draft 2020-12"
                yield self.document.problem((*old, key), UNKNOWN_KEYWORD, message, at_key=True)
            elif has_reference and key not in _ALLOWED_WITH_REFERENCE:
                message = f"{key} {_NO_EFFECT}"
                yield self.document.problem((*old, key), KEYWORD_MISPLACED, message, at_key=True)

    def _members(self, schema: Parts, old: Pointer, new: Pointer) -> Iterator[tuple[str, JsonValue]]:
        for key, value in schema.items():
            match key, value:
                case "definitions", _:
                    yield "$defs", self._inner("$defs", value, (*old, key), (*new, "$defs"))
                case "items", list():
                    yield "prefixItems", self._inner("prefixItems", value, (*old, key), (*new, "prefixItems"))
                case "additionalItems", _:
                    if isinstance(schema.get("items"), list):
                        yield "items", self._inner("items", value, (*old, key), (*new, "items"))
                case "dependencies", dict():
                    yield from self._dependencies(value, (*old, key), new)
                case "$id", str() if value.startswith("#"):
                    self.moved[*old, key] = (*new, "$anchor")
                    yield "$anchor", value[1:]
                case _ if key not in _UNKNOWN:
                    yield key, self._inner(key, value, (*old, key), (*new, key))
                case _:
                    pass

    def _dependencies(self, stated: Parts, old: Pointer, new: Pointer) -> Iterator[tuple[str, JsonValue]]:
        required = {name: value for name, value in stated.items() if isinstance(value, list)}
        schemas: Parts = {}
        for name, value in stated.items():
            key = "dependentRequired" if name in required else "dependentSchemas"
            self.moved[*old, name] = (*new, key, name)
            if name not in required:
                schemas[name] = self.translated(value, (*old, name), (*new, key, name))
        if required:
            yield "dependentRequired", dict(required)
        if schemas:
            yield "dependentSchemas", schemas

    def _inner(self, key: str, value: JsonValue, old: Pointer, new: Pointer) -> JsonValue:
        """Return the value of a keyword, with the schemas in it translated."""
        self.moved[old] = new
        places = {place[1:]: inner for place, inner in inner_schemas({key: value})}
        if () in places:
            return self.translated(value, old, new)
        found = {place: self.translated(inner, (*old, *place), (*new, *place)) for place, inner in places.items()}
        if isinstance(value, list) and found:
            return [found.get((index,), item) for index, item in enumerate(value)]
        if isinstance(value, dict) and found:
            return {name: found.get((name,), item) for name, item in value.items()}
        return value


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
    return Names(ambiguous, tuple(resources.problems(documents)))


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema, its place, and the base URI of its references; `root` is the whole file's."""

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
    """`ids` has the schemas by their URIs, `anchors` by URIs with a name after the `#`."""

    ids: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])
    anchors: dict[str, dict[str, list[Pointer]]] = field(default_factory=dict[str, dict[str, list[Pointer]]])

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
        found = self.ids.get(target, {}) if is_pointer else self.anchors.get(f"{target}#{fragment}", {})
        # Prefer the schema in the same file. Two schemas with one name in one file are reported separately.
        own = {one.file: found[one.file]} if one.file in found else found
        return _Meant(own, fragment if is_pointer else "")

    def problems(self, documents: Mapping[str, Document]) -> Iterator[SpecProblem]:
        """Yield duplicate names in one file, each at the later schema, up to a limit for each file."""
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
