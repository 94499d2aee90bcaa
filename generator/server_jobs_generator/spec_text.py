"""The text of a spec: the frame of one job, with each object and list on one line if it fits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from .problems.problem import shown
from .python.names import class_name_problem, pascal_case, snake_case, spec_name_problem
from .read.keywords import Schema

# Texts that YAML reads as texts without quotes, except some words.
_PLAIN = re.compile("[A-Za-z][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
_OTHER_MEANING = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 100


class NewSpecError(ValueError):
    """A name or a property that cannot be part of a spec."""


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
        problem = problem or "it must start with a letter and have only A-Z, a-z, 0-9, '_' and '-', such as send_email"
        raise NewSpecError(f"{shown(given)} cannot be the name of a job: {problem}")
    return JobNames(spec_name, class_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecParts:
    """The parts of a spec. `options` is the value of `x-job`; None for params or a result leaves that part out."""

    names: JobNames
    description: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    params: Schema | None = None
    result: Schema | None = None
    definitions: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


def spec_text(parts: SpecParts, schema: str, *, is_yaml: bool = False) -> str:
    """Return the text of a spec in JSON or YAML. `schema` is the path of `spec.schema.json` from the spec."""
    document = spec_document(parts)
    if is_yaml:
        return f"# yaml-language-server: $schema={schema}\n{_yaml(document)}"
    return json_text({"$schema": schema, **document})


def spec_document(parts: SpecParts) -> dict[str, JsonValue]:
    """Return a spec as JSON, without `$schema`."""
    names = parts.names
    return {
        **({"title": names.class_name} if pascal_case(names.spec_name) != names.class_name else {}),
        **({"description": parts.description} if parts.description is not None else {}),
        "x-job": dict(parts.options),
        **({"params": dict(parts.params)} if parts.params is not None else {}),
        **({"result": dict(parts.result)} if parts.result is not None else {}),
        **({"$defs": dict(parts.definitions)} if parts.definitions else {}),
    }


def json_text(document: Mapping[str, JsonValue]) -> str:
    """Return the text of a JSON file, with each object and list on one line if it fits."""
    return f"{_json(dict(document))}\n"


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
