"""Values for a comparison of two validators: one that should fit a schema, and others that differ in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Checker, Compiler
from server_jobs.contract.schemas.run import CheckTooLongError
from server_jobs.contract.values import at_pointer
from server_jobs_generator.read.document import Pointer
from server_jobs_generator.read.keywords import Schema, types_of

MOST_PROBES = 2_000
_MOST_OF_ONE = 100
_LONGEST_TEXT = 2_000
_MOST_ITEMS = 50

_OF_FORMAT: Mapping[str, tuple[str, ...]] = {
    "date": ("2030-01-31", "2030-13-31", "2030-01-31T09:00:00Z"),
    "date-time": ("2030-01-31T09:00:00Z", "2030-01-31T09:00:00+01:00", "2030-01-31T09:00:00", "2030-01-31"),
    "time": ("09:00:00Z", "09:00:00", "25:00:00Z"),
    "duration": ("PT1H", "P1DT2H", "1:00:00", "3600"),
    "email": ("ada@example.com", "Ada <ada@example.com>", "ada"),
    "uuid": ("0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de", "0199d2a477a07cc1a1f352a9b6a1c0de", "0199d2a4"),
    "uri": ("https://example.com/", "/relative"),
    "ipv4": ("192.0.2.1", "192.0.2.256"),
    "ipv6": ("2001:db8::1", "192.0.2.1"),
    "hostname": ("example.com", "-"),
}
_TEXTS = (
    "text",
    "a",
    "A",
    "1",
    "ab",
    "AB",
    "12",
    "A-1",
    "abc-123",
    "+49301234",
    "ada@example.com",
    "2030-01-31",
    " a ",
    "",
)
_OF_OTHER_TYPES: tuple[JsonValue, ...] = (None, True, 1, 1.5, "1", "text", [], {})


@dataclass(frozen=True, slots=True)
class Probe:
    """A value, and the pointer of the place where it differs from the first probe."""

    pointer: Pointer
    value: JsonValue

    @property
    def shown(self) -> JsonValue:
        """Return the value at the pointer, or the whole value if the pointer leads to a removed property."""
        found = _walked(self.value, self.pointer)
        return found[0] if found else self.value

    def read_from(self, value: JsonValue) -> JsonValue:
        """Return the part of another value at the pointer; None if there is none."""
        found = _walked(value, self.pointer)
        return found[0] if found else None

    def with_part_of(self, other: Probe) -> Probe:
        """Return this probe with the value at the pointer of another one, unless this one differs there or above."""
        if self.pointer and self.pointer == other.pointer[: len(self.pointer)]:
            return self
        value = deepcopy(self.value)
        owner, part = _walked(value, other.pointer[:-1]), _walked(other.value, other.pointer)
        if not owner or not isinstance(owner[0], dict):
            return self
        if part:
            owner[0][str(other.pointer[-1])] = part[0]
        else:
            owner[0].pop(str(other.pointer[-1]), None)
        return Probe(self.pointer, value)


def _walked(value: JsonValue, pointer: Pointer) -> tuple[JsonValue] | None:
    """Return the value at a pointer; None if there is none."""
    for token in pointer:
        if isinstance(value, dict) and token in value:
            value = value[str(token)]
        elif isinstance(value, list) and isinstance(token, int) and token < len(value):
            value = value[token]
        else:
            return None
    return (value,)


def probes(schema: Schema) -> Iterator[Probe]:
    """Yield up to `MOST_PROBES` values, the same ones in each run. The first should fit; nothing is certain."""
    maker = _Maker(schema)
    yield from islice(maker.of(schema), MOST_PROBES)


class _Maker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._compiler = Compiler(lambda reference, base: (self._target(reference), base))
        self._known: dict[str, list[Probe]] = {}

    def of(self, schema: JsonValue | Schema) -> Iterator[Probe]:
        """Yield probes of a schema, first one that should fit."""
        found = list(self._candidates(schema))
        first = next((probe for probe in found if self._fits(schema, probe.value)), None)
        if first is not None:
            yield Probe((), first.value)
        yield from (probe for probe in found if probe is not first)

    def _fits(self, schema: JsonValue | Schema, value: JsonValue) -> bool:
        try:
            return Checker(schema, self._compiler).fits(value)
        except CheckTooLongError:
            return False

    def _target(self, reference: str) -> JsonValue:
        return cast("JsonValue", at_pointer(self._root, reference.removeprefix("#")))

    def _candidates(self, schema: JsonValue | Schema) -> Iterator[Probe]:
        if not isinstance(schema, Mapping):
            yield from _plain(_OF_OTHER_TYPES)
            return
        if isinstance(reference := schema.get("$ref"), str):
            yield from self._of_reference(reference)
        yield from _plain(_stated(schema))
        for branches in (schema.get("oneOf"), schema.get("anyOf"), schema.get("allOf")):
            for branch in branches if isinstance(branches, list) else ():
                yield from self._candidates(branch)
        types = types_of(schema)
        for name in types or (("object",) if "properties" in schema else ()):
            yield from self._of_type(name, schema)
        yield from _plain(_OF_OTHER_TYPES)

    def _of_reference(self, reference: str) -> list[Probe]:
        """Return the probes of a definition. Inside of itself, it has values of every type only."""
        if reference not in self._known:
            self._known[reference] = list(_plain(_OF_OTHER_TYPES))
            self._known[reference] = list(islice(self._candidates(self._target(reference)), _MOST_OF_ONE))
        return self._known[reference]

    def _of_type(self, name: str, schema: Schema) -> Iterator[Probe]:
        match name:
            case "object":
                yield from self._objects(schema)
            case "array":
                yield from self._arrays(schema)
            case "string":
                yield from _plain(_texts(schema))
            case "integer" | "number":
                yield from _plain(_numbers(schema))
            case "boolean":
                yield from _plain((True, False))
            case _:
                yield Probe((), None)

    def _objects(self, schema: Schema) -> Iterator[Probe]:
        stated = schema.get("properties")
        properties = stated if isinstance(stated, dict) else {}
        inner = {name: list(islice(self.of(one), _MOST_OF_ONE)) for name, one in properties.items()}
        base = {name: found[0].value for name, found in inner.items() if found}
        extra = schema.get("additionalProperties")
        if not properties and isinstance(extra, dict):
            base = {"key": next(self.of(extra)).value}
        yield Probe((), base)
        for name in base:
            yield Probe((name,), {key: value for key, value in base.items() if key != name})
        for name, found in inner.items():
            yield from (Probe((name, *one.pointer), {**base, name: one.value}) for one in found[1:])
        yield Probe(("otherProperty",), {**base, "otherProperty": 1})

    def _arrays(self, schema: Schema) -> Iterator[Probe]:
        first = schema.get("prefixItems")
        fixed = [next(self.of(one)).value for one in first] if isinstance(first, list) else []
        items = schema.get("items", True)
        found = [] if items is False else list(islice(self.of(items), _MOST_OF_ONE))
        values = [probe.value for probe in found]
        for length in _lengths(schema, "Items", _MOST_ITEMS):
            yield Probe((), [*fixed[:length], *(values * length)[: max(0, length - len(fixed))]])
        if values:
            yield from (Probe((len(fixed), *one.pointer), [*fixed, one.value]) for one in found)
            yield Probe((), [*fixed, values[0], values[0]])


def _plain(values: tuple[JsonValue, ...] | list[JsonValue]) -> Iterator[Probe]:
    yield from (Probe((), value) for value in values)


def _stated(schema: Schema) -> list[JsonValue]:
    """Return the values that a schema names itself."""
    examples, choices = schema.get("examples"), schema.get("enum")
    found = [*(examples if isinstance(examples, list) else ()), *(choices[:5] if isinstance(choices, list) else ())]
    return [*found, *(schema[key] for key in ("const", "default") if key in schema)]


def _texts(schema: Schema) -> list[JsonValue]:
    of_format = _OF_FORMAT.get(str(schema.get("format")), ())
    return [*of_format, *_TEXTS, *("x" * length for length in _lengths(schema, "Length", _LONGEST_TEXT))]


def _numbers(schema: Schema) -> list[JsonValue]:
    limits = [schema.get(key) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")]
    known = [limit for limit in limits if isinstance(limit, int | float) and not isinstance(limit, bool)]
    return [*(value for limit in known for value in (limit, limit + 1, limit - 1)), 1, 0, -1, 1.5, 1.0]


def _lengths(schema: Schema, unit: str, most: int) -> list[int]:
    """Return lengths at the limits of a schema, and one beyond each."""
    limits = [schema.get(f"{limit}{unit}") for limit in ("min", "max")]
    known = [limit for limit in limits if isinstance(limit, int)]
    return [
        length
        for length in dict.fromkeys((*known, 1, 0, *(n + d for n in known for d in (1, -1))))
        if 0 <= length <= most
    ]
