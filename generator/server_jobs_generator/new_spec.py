"""The text of a new spec, from properties as people write them on a command line: `to:email`, `hours:int=24`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Checker

from .problems.problem import listed, nearest, shown
from .python.names import class_name_problem, pascal_case, property_name, snake_case, spec_name_problem
from .read.document import read_document

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
# Texts that YAML reads as texts without quotes, except some words.
_PLAIN = re.compile("[A-Za-z][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
_OTHER_MEANING = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 100


class NewSpecError(ValueError):
    """A name or a property that cannot be part of a spec."""


@dataclass(frozen=True, slots=True)
class Property:
    """A property of params or a result; `example` is a value that fits."""

    name: str
    schema: Mapping[str, JsonValue]
    example: JsonValue
    is_required: bool


@dataclass(frozen=True, slots=True)
class JobNames:
    """The two names of a job: of its files, and of its class."""

    spec_name: str
    class_name: str


def job_names(given: str) -> JobNames:
    """Return the names of a job that is given as `SendEmail`, `send_email` or `send-email`. Raises `NewSpecError`."""
    class_name = pascal_case(given)
    spec_name = snake_case(class_name)
    problem = class_name_problem(class_name) or spec_name_problem(spec_name)
    if problem or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", given):
        problem = problem or "it has letters, digits, '_' and '-', such as send_email"
        raise NewSpecError(f"{shown(given)} cannot be the name of a job: {problem}")
    return JobNames(spec_name, class_name)


def read_property(text: str) -> Property:
    """Read `name[?][:type][=default]`. The type is `str` if it is left out, `int[]` is a list, `a|b` a choice.

    Raises `NewSpecError`.

        read_property("hours:int=24").schema  # {"type": "integer", "default": 24}
    """
    match = _PROPERTY.fullmatch(text)
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
    spec: dict[str, JsonValue] = {
        **({"title": names.class_name} if pascal_case(names.spec_name) != names.class_name else {}),
        **({"description": description} if description is not None else {}),
        "x-job": options,
        **({"params": _object(params)} if params else {}),
        **({"result": _object(result)} if result else {}),
    }
    if is_yaml:
        return f"# yaml-language-server: $schema={schema}\n{_yaml(spec)}"
    return f"{_json({'$schema': schema, **spec})}\n"


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


def _object(properties: Sequence[Property]) -> JsonValue:
    required: list[JsonValue] = [one.name for one in properties if one.is_required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {one.name: dict(one.schema) for one in properties},
    }


def _json(value: JsonValue, indent: str = "") -> str:
    """Return JSON with each object and list on one line if it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (indent and _is_short(value, f"{indent}{line}")):
        return line
    inner = f"{indent}  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"{inner}{_json(one, inner)}" for one in value) + f"\n{indent}]"
    lines = (f"{inner}{json.dumps(key, ensure_ascii=False)}: {_json(one, inner)}" for key, one in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _yaml(value: Mapping[str, JsonValue], indent: str = "") -> str:
    """Return the members of an object in YAML, each object on one line if it fits."""
    lines: list[str] = []
    for key, inner in value.items():
        line = f"{indent}{_flow(key)}: {_flow(inner)}"
        if not isinstance(inner, dict) or _is_short(inner, line):
            lines.append(f"{line}\n")
        else:
            lines.append(f"{indent}{_flow(key)}:\n{_yaml(inner, f'{indent}  ')}")
    return "".join(lines)


def _flow(value: JsonValue) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
        case list():
            return f"[{', '.join(map(_flow, value))}]"
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _OTHER_MEANING:
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _is_short(value: JsonValue, line: str) -> bool:
    return len(line) <= _WIDTH and not (isinstance(value, dict) and "properties" in value)
