"""The JSON Schema of specs, `spec.schema.json`: its part about `x-job` follows from the options.

`python -m server_jobs_generator.options.schema` writes that part into the file in this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from server_jobs.domain.option_kinds import (
    Choice,
    Cron,
    Flag,
    Kind,
    Length,
    ListOf,
    Name,
    ParamsText,
    PlaceName,
    Pointers,
    ShardPointer,
    Share,
    Switch,
    Text,
    Timezone,
    Whole,
)
from server_jobs.domain.options import BUILT_IN_PLACES

from ..spec_text import json_text
from .documents import default_json
from .places import all_options, kinds, owners, places
from .table import OPTIONS, ColumnPointers, Option, PropertyNames, Table, members_of

_FILE = "spec.schema.json"
_LONGEST_LIST = 1_000


def file_text() -> str:
    """Return the text of the file: the JSON Schema of specs, with the options of today and without plug-ins."""
    schema = _read()
    schema["$defs"]["job"] = {"description": "How the job is queued, retried and scheduled.", **_object(OPTIONS)}
    return json_text(schema)


def spec_schema() -> dict[str, Any]:
    """Return the JSON Schema of specs, with the places that are installed and their options.

    Raises `ProjectError` if a plug-in with a place cannot be imported.
    """
    schema = _read()
    job = schema["$defs"]["job"]
    options: dict[str, Any] = {}
    for name, stated in job["properties"].items():
        options[name] = stated
        if name == "runIn":
            stated["enum"] = [*BUILT_IN_PLACES, *kinds()]
            elsewhere = "".join(f" `{place}`: in {kind.summary}." for place, kind in kinds().items())
            stated["description"] += elsewhere
            options |= {option: _option(option) for option in sorted(all_options())}
    job["properties"] = options
    return schema


def spec_schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n"


def _option(name: str) -> Mapping[str, Any]:
    """Return the schema of an option, which several places may have."""
    found = [_with_its_place(place, kinds()[place].options[name]) for place in places() if place in owners(name)]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _with_its_place(place: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    description = str(schema.get("description", ""))
    return {**schema, "description": f"With runIn {place}: {description[:1].lower()}{description[1:]}"}


def _read() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((files("server_jobs_generator") / _FILE).read_text(encoding="utf-8"))
    return schema


def _object(table: Table) -> dict[str, JsonValue]:
    required: list[JsonValue] = [key for key, one in table.items() if one.is_required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **_conditions(table),
        "properties": {key: _property(one) for key, one in table.items()},
    }


def _conditions(table: Table) -> dict[str, JsonValue]:
    """Return the schema for options that have an effect only with another one."""
    by_name = {one.name: one for one in table.values()}
    conditions: list[JsonValue] = []
    for key, one in table.items():
        if one.only_with is not None:
            name, value = one.only_with
            other = by_name[name].key
            then: JsonValue = {"required": [other], "properties": {other: {"const": str(value)}}}
            conditions.append({"if": {"required": [key]}, "then": then})
    return {"allOf": conditions} if conditions else {}


def _property(option: Option) -> dict[str, JsonValue]:
    described: dict[str, JsonValue] = {"description": option.words} if option.words else {}
    default = default_json(option)
    return {**described, **_value(option.kind), **({} if default is None else {"default": default})}


def _value(kind: Kind) -> dict[str, JsonValue]:
    match kind:
        case Whole(lowest=lowest, highest=highest):
            return {"type": "integer", "minimum": lowest, "maximum": highest}
        case Share():
            return {"type": "number", "minimum": 0, "maximum": 1}
        case Flag():
            return {"type": "boolean"}
        case Switch(off=off, on=on):
            return {"enum": [off, on]}
        case Choice(members=members):
            return {"enum": [str(one) for one in members]}
        case Name():
            return {"$ref": "#/$defs/name"}
        case PlaceName():
            return {"enum": [*BUILT_IN_PLACES]}
        case Text(longest=longest):
            return {"type": "string", "maxLength": longest}
        case Length():
            return {"$ref": "#/$defs/duration"}
        case Pointers(fewest=fewest):
            return {"$ref": "#/$defs/pointers", **({"minItems": fewest} if fewest else {})}
        case ShardPointer():
            return {"type": "string", "pattern": "^/.*$", "examples": ["/tenant"]}
        case Cron():
            return {"type": "string", "examples": ["0 9 * * MON", "*/15 * * * *"]}
        case Timezone():
            return {"type": "string", "examples": ["Europe/Berlin"]}
        case ParamsText():
            return {"type": "object"}
        case PropertyNames():
            return {"type": "array", "items": {"type": "string"}, "maxItems": _LONGEST_LIST, "uniqueItems": True}
        case ColumnPointers(most=most):
            examples: list[JsonValue] = ["/params/customerId", "/result/messageId"]
            items: JsonValue = {"type": "string", "pattern": "^/(params|result)/[^/]+$", "examples": examples}
            return {"type": "array", "items": items, "maxItems": most, "uniqueItems": True}
        case ListOf():
            return {"type": "array", "items": _object(members_of(kind))}
        case _:
            return _object(members_of(kind))


if __name__ == "__main__":
    Path(str(files("server_jobs_generator") / _FILE)).write_text(file_text(), encoding="utf-8")
