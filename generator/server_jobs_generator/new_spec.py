"""The text of a new spec, from properties as people write them on a command line: `to:email`, `hours:int=24`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Checker

from .problems.problem import listed, nearest, shown
from .python.names import property_name
from .read.document import read_document
from .spec_text import JobNames, NewSpecError, SpecParts, spec_text

TYPES: Mapping[str, Mapping[str, JsonValue]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    **{
        name: {"type": "string", "format": name_in_schema}
        for name, name_in_schema in {
            "date": "date",
            "datetime": "date-time",
            "time": "time",
            "duration": "duration",
            "email": "email",
            "uuid": "uuid",
            "url": "uri",
        }.items()
    },
}
"""The types of properties, with their schemas."""

_EXAMPLES: Mapping[str, JsonValue] = {
    "str": "text",
    "int": 1,
    "float": 1.5,
    "bool": True,
    "date": "2030-01-31",
    "datetime": "2030-01-31T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "uuid": "0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de",
    "url": "https://example.com/",
}
_PROPERTY = re.compile(
    r"(?P<name>[^:=?]+)(?P<optional>\?)?(?::(?P<type>[^=\[\]]+)(?P<list>\[\])?)?(?:=(?P<default>.*))?", re.DOTALL
)
_MISPLACED = re.compile(r"(?P<name>[^:=?]+):(?P<type>[^=?]+)\?(?P<default>(?:=.*)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Property:
    """A property of params or a result; `example` is a value that fits."""

    name: str
    schema: Mapping[str, JsonValue]
    example: JsonValue
    is_required: bool


def read_property(text: str) -> Property:
    """Read `name[?][:type][=default]`. The type is `str` if it is left out, `int[]` is a list, `a|b` a choice.

    Raises `NewSpecError`.

        read_property("hours:int=24").schema  # {"type": "integer", "default": 24}
    """
    match = _PROPERTY.fullmatch(text)
    if misplaced := _MISPLACED.fullmatch(text):
        right = f"{misplaced['name']}?:{misplaced['type']}{misplaced['default']}"
        raise NewSpecError(f"{shown(text)} has its ? after the type; write it after the name: {right}")
    if match is None or property_name(match["name"]) is None:
        raise NewSpecError(
            f"{shown(text)} is no property; write name:type, such as to:email, cc?:email[] or hours:int=24"
        )
    schema, example = _type(match["type"] or "str")
    if match["list"]:
        schema, example = {"type": "array", "items": dict(schema)}, [example]
    if match["default"] is None:
        return Property(match["name"], schema, example, is_required=match["optional"] is None)
    default = _default(match["name"], schema, match["default"])
    return Property(match["name"], {**schema, "default": default}, default, is_required=False)


def new_spec(
    names: JobNames,
    params: Sequence[Property],
    result: Sequence[Property],
    *,
    schema: str,
    description: str | None = None,
    queue: str | None = None,
    schedule: str | None = None,
    is_yaml: bool = False,
) -> str:
    """Return the text of a spec in JSON or YAML. `schema` is the path of `spec.schema.json` from the spec.

    The params of a schedule are examples for the required ones.
    """
    needed: JsonValue = {one.name: one.example for one in params if one.is_required}
    slots: dict[str, JsonValue] = {"name": "main", "cron": schedule, **({"params": needed} if needed else {})}
    options: dict[str, JsonValue] = {
        **({"queue": queue} if queue is not None else {}),
        **({"schedules": [slots]} if schedule is not None else {}),
    }
    parts = SpecParts(
        names=names,
        description=description,
        options=options,
        params=_object(params) if params else None,
        result=_object(result) if result else None,
    )
    return spec_text(parts, schema, is_yaml=is_yaml)


def _type(name: str) -> tuple[Mapping[str, JsonValue], JsonValue]:
    if "|" in name:
        choices: list[JsonValue] = list(dict.fromkeys(filter(None, name.split("|"))))
        return {"enum": choices}, choices[0] if choices else ""
    if name not in TYPES:
        raise NewSpecError(f"there is no type {shown(name)}{nearest(name, TYPES) or f'; use {listed(TYPES)}'}")
    return TYPES[name], _EXAMPLES[name]


def _default(name: str, schema: Mapping[str, JsonValue], text: str) -> JsonValue:
    value: JsonValue = text
    if schema.get("type") != "string" and "enum" not in schema:
        reading = read_document(".json", text.encode())
        if reading.document is None or reading.problems:
            raise NewSpecError(f'the default of {name} must be JSON, such as 24, true or ["a"], not {shown(text)}')
        value = reading.document.value
    if not Checker(schema).fits(value):
        raise NewSpecError(f"the default of {name} must fit its type, not {shown(value)}")
    return value


def _object(properties: Sequence[Property]) -> Mapping[str, JsonValue]:
    required: list[JsonValue] = [one.name for one in properties if one.is_required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {one.name: dict(one.schema) for one in properties},
    }
