"""The secrets in params, as JSON pointers for `redact`: of a type by Pydantic's classes, of a document by its formats.

A pointer leads to one value. So a secret in a list, a dict, a tuple or a recursive type redacts the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from itertools import islice
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue, Secret, SecretBytes, SecretStr, TypeAdapter
from server_jobs.contract.values import at_pointer, pointer_to
from server_jobs_generator.lint.params_pointers import schemas_below
from server_jobs_generator.read.keywords import DEFINITIONS, IN_PLACE, Schema, applied_schemas, inner_schemas

from .found_job import ImportSourceError

Core = Mapping[str, object]
"""A core schema of Pydantic, or a part of one."""
Place = tuple[str, ...]
"""The keys of a pointer."""
Node = TypeVar("Node")

_MOST = 500
_CLASSES = (Secret, SecretStr, SecretBytes)
_NO_SCHEMAS = frozenset({"config", "default", "expected", "function", "metadata"})
_WITH_CONFIG = frozenset({"model", "dataclass", "typed-dict"})
_WITH_FIELDS = frozenset({"model-fields", "typed-dict", "dataclass-args"})
# The parts of these describe the same value.
_SAME_VALUE = frozenset(
    {
        *("definitions", "model", "dataclass", "model-field", "typed-dict-field", "dataclass-field", "default"),
        *("nullable", "union", "tagged-union", "lax-or-strict", "json-or-python", "chain"),
        *("function-before", "function-after", "function-wrap", "function-plain"),
    }
)


def secrets_of_schema(schema: Schema) -> tuple[str, ...]:
    """Return the pointers of all values with `"format": "password"` or `"writeOnly": true`.

    Raises `ImportSourceError` for too many.
    """
    return _pointers(_JsonSchema(schema).places(cast("JsonValue", schema), ()))


def with_marked_passwords(document: JsonValue) -> JsonValue:
    """Return a document whose texts with `"format": "password"` are `writeOnly`, because specs have no such format."""
    if isinstance(document, list):
        return [with_marked_passwords(one) for one in document]
    if not isinstance(document, dict):
        return document
    marked = {key: with_marked_passwords(value) for key, value in document.items()}
    return marked | {"writeOnly": True} if document.get("format") == "password" and "type" in document else marked


def _pointers(found: Iterator[Place]) -> tuple[str, ...]:
    places = list(dict.fromkeys(islice(found, _MOST + 1)))
    if len(places) > _MOST:
        raise ImportSourceError(f"it has more than {_MOST} secrets; put them into one object")
    whole = set(places)
    return tuple(pointer_to(one) for one in places if not any(one[:length] in whole for length in range(len(one))))


class _JsonSchema:
    """A JSON Schema with its own `$defs`."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def below(self, schemas: Iterable[JsonValue], key: str) -> list[JsonValue]:
        """Return the schemas of a property; none if no value can have it."""
        return [inner for schema in self._same(schemas) for inner in schemas_below(schema, key)]

    def _same(self, schemas: Iterable[JsonValue]) -> Iterator[JsonValue]:
        """Yield these schemas, and all that apply to the same values."""
        yield from _reached(schemas, lambda one: (*self._target(one), *applied_schemas(one)))

    def _target(self, schema: JsonValue) -> list[JsonValue]:
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            return []
        return [cast("JsonValue", at_pointer(self._root, reference.removeprefix("#")))]

    def _has_secret(self, schema: JsonValue) -> bool:
        def inner(one: JsonValue) -> Iterator[JsonValue]:
            yield from self._target(one)
            yield from (part for place, part in inner_schemas(one) if place[0] not in DEFINITIONS)

        return any(map(_is_password, _reached([schema], inner)))

    def places(self, schema: JsonValue, place: Place, within: frozenset[str] = frozenset()) -> Iterator[Place]:
        """Yield the place of each secret. `within` are the references that led here."""
        if not isinstance(schema, dict) or not self._has_secret(schema):
            return
        if _is_password(schema) or schema.get("$ref") in within:
            yield place
            return
        within |= {str(schema["$ref"])} if "$ref" in schema else set()
        for same in (*self._target(schema), *applied_schemas(schema)):
            yield from self.places(same, place, within)
        for (keyword, *names), inner in inner_schemas(schema):
            if keyword == "properties":
                yield from self.places(inner, (*place, str(names[0])), within)
            elif keyword not in IN_PLACE | DEFINITIONS and self._has_secret(inner):
                yield place


class Secrets:
    """The values of a type that are, or contain, a `Secret`, `SecretStr` or `SecretBytes`, by its core schema.

    A value whose default has a secret is one too, whatever its type. The type may change its JSON Schema and
    its serializers as it likes.
    """

    def __init__(self, root: Core) -> None:
        self._root = root
        self._by_name = {str(one["ref"]): one for one in _reached([root], _parts) if "ref" in one}

    @property
    def are_written(self) -> bool:
        """Whether the type writes a secret, also as asterisks."""
        return self.has(self._root, frozenset())

    def has(self, core: Core, skipped: frozenset[str] = frozenset({"computed_fields"})) -> bool:
        """Return whether a part of the type may be, or contain, a secret. Parts with the skipped keys do not count."""

        def inner(one: Core) -> Iterator[Core]:
            yield from _parts(one, skipped)
            if one.get("type") == "definition-ref":
                yield self._by_name[str(one["schema_ref"])]

        return any(_makes_secret(one) or _holds_secret(one.get("default")) for one in _reached([core], inner))

    def pointers(self, schema: Schema) -> tuple[str, ...]:
        """Return the pointers of all secrets that the type reads. `schema` is its JSON Schema.

        If that hides a secret, the pointer leads to the nearest value around it. Raises `ImportSourceError` for too
        many secrets.
        """
        return _pointers(_Places(self, _JsonSchema(schema), self._by_name).of(self._root, (), [dict(schema)]))


@dataclass(frozen=True, slots=True)
class _Places:
    secrets: Secrets
    json: _JsonSchema
    by_name: Mapping[str, Core]

    def of(
        self,
        core: Core,
        place: Place,
        schemas: list[JsonValue],
        within: frozenset[str] = frozenset(),
        *,
        has_names: bool = False,
    ) -> Iterator[Place]:
        """Yield the place of each secret. `schemas` are those of JSON Schema for the value, `within` the types around.

        With `has_names`, a value may use the names of fields beside their aliases.
        """
        if not self.secrets.has(core):
            return
        kind, name = core.get("type"), str(core.get("schema_ref") or core.get("ref"))
        if name in within:
            yield place
            return
        has_names = _has_names(core) if kind in _WITH_CONFIG else has_names
        inner: Iterable[Core] = []
        if kind == "definition-ref":
            inner = [self.by_name[name]]
        else:
            within |= {name} - {"None"}
        if kind in _WITH_FIELDS:
            yield from self._of_fields(core, place, schemas, within, has_names=has_names)
            return
        elif kind in _SAME_VALUE and not _makes_secret(core):
            inner = _parts(core, frozenset({"definitions", "serialization"}))
        found = False
        for one in inner:
            for secret in self.of(one, place, schemas, within, has_names=has_names):
                found = True
                yield secret
        if not found:
            yield place

    def _of_fields(
        self, core: Core, place: Place, schemas: list[JsonValue], within: frozenset[str], *, has_names: bool
    ) -> Iterator[Place]:
        for name, field in _fields(core):
            if not self.secrets.has(field):
                continue
            names = _names(name, field, has_names=has_names)
            below = {one: self.json.below(schemas, one) for one in names}
            for one, is_part in names.items():
                if below[one] and is_part:
                    yield (*place, one)
                elif below[one]:
                    yield from self.of(field, (*place, one), below[one], within)
            if not any(below.values()):
                yield place
        extras = core.get("extras_schema")
        if isinstance(extras, Mapping) and self.secrets.has(cast("Core", extras)):
            yield place


def _reached(start: Iterable[Node], inner: Callable[[Node], Iterable[Node]]) -> Iterator[Node]:
    """Yield these nodes and everything that `inner` leads to, each once."""
    pending, seen = list(start), set[int]()
    while pending:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += inner(one)


def _is_password(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and (schema.get("format") == "password" or schema.get("writeOnly") is True)


def _parts(core: Core, skipped: frozenset[str] = frozenset()) -> Iterator[Core]:
    """Yield the core schemas directly inside another one, and its serializer."""
    for key, value in core.items():
        if key not in _NO_SCHEMAS | skipped:
            yield from _schemas_in(value)


def _schemas_in(value: object) -> Iterator[Core]:
    if isinstance(value, Mapping):
        part = cast("Core", value)
        yield from [part] if isinstance(part.get("type"), str) else _schemas_in(list(part.values()))
    elif isinstance(value, list | tuple):
        for one in cast("Iterable[object]", value):
            yield from _schemas_in(one)


def _fields(core: Core) -> Iterator[tuple[str, Core]]:
    fields = core["fields"]
    if isinstance(fields, Mapping):
        yield from cast("Mapping[str, Core]", fields).items()
    else:
        yield from ((str(one["name"]), one) for one in cast("list[Core]", fields))


def _names(name: str, field: Core, *, has_names: bool) -> dict[str, bool]:
    """Return the properties that a field reads, each with whether it reads a part of its value only."""
    alias = field.get("validation_alias")
    if alias is None:
        return {name: False}
    stated = cast("list[object]", alias if isinstance(alias, list) else [[alias]])
    paths = cast("list[list[object]]", stated if isinstance(stated[0], list) else [stated])
    own = {name: False} if has_names else {}
    return {str(path[0]): len(path) > 1 for path in paths} | own


def _has_names(core: Core) -> bool:
    config = core.get("config")
    stated = cast("Core", config) if isinstance(config, Mapping) else {}
    return bool(stated.get("validate_by_name") or stated.get("populate_by_name"))


def _makes_secret(core: Core) -> bool:
    """Return whether a core schema is the one of a secret, or of a function that makes or writes one."""
    holder = core.get("function")
    function = cast("Core", holder).get("function") if isinstance(holder, Mapping) else holder
    cells = getattr(function, "__closure__", None) or ()
    made = (core.get("cls"), function, getattr(function, "__self__", None), *(_content(cell) for cell in cells))
    return any(map(_is_secret_class, made)) or any(function is writer for writer in _WRITERS)


def _holds_secret(value: object) -> bool:
    """Return whether a default is, or contains, a secret."""

    def inner(one: object) -> Iterable[object]:
        if isinstance(one, Mapping):
            return cast("Mapping[object, object]", one).values()
        if isinstance(one, list | tuple | set | frozenset):
            return cast("Iterable[object]", one)
        if isinstance(one, Enum):
            return [cast("object", one.value)]
        if is_dataclass(one):
            return [getattr(one, field.name, None) for field in fields(one)]
        return vars(one).values() if isinstance(one, BaseModel) else []

    return any(isinstance(one, _CLASSES) for one in _reached([value], inner))


def _content(cell: object) -> object:
    try:
        return getattr(cell, "cell_contents", None)
    except ValueError:  # a name that has no value yet
        return None


def _is_secret_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, _CLASSES)


_WRITERS: frozenset[object] = frozenset(
    one["function"]
    for type_ in (SecretStr, SecretBytes, Secret[str])
    for one in _reached([cast("Core", TypeAdapter[object](type_).core_schema)], _parts)
    if callable(one.get("function"))
)
"""The functions by which Pydantic writes asterisks. A type may keep them and replace the rest."""
