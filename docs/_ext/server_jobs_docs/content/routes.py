"""The HTTP routes, from the OpenAPI document that the package serves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.json_schema import JobSchemas
from server_jobs.schema import jobs
from server_jobs_http.app import PREFIX
from server_jobs_http.openapi import document_of

from ..markdown import code, codes, sentence, table

Schema = Mapping[str, JsonValue]

JOB = "SendEmail"
"""The example job. The document has one route per job."""
_JOBS = ("JobSummary", "Job", "Enqueued")
"""The objects whose fields are columns of the table `jobs`."""
_OBJECT: dict[str, JsonValue] = {"type": "object"}
_EXAMPLE = JobSchemas(_OBJECT, _OBJECT, "")


def document() -> Schema:
    """Return the document for the example job."""
    return cast("Schema", document_of({JOB: _EXAMPLE}, server=PREFIX))


def details() -> str:
    """Return a section per route."""
    paths = cast("Mapping[str, Mapping[str, Schema]]", document()["paths"])
    routes = [(path, method, found) for path, methods in paths.items() for method, found in methods.items()]
    return "\n".join(_section(path, method, found) for path, method, found in routes)


def schemas() -> str:
    """Return a table per object in the responses."""
    components = cast("Mapping[str, Mapping[str, Schema]]", document()["components"])
    shown = {name: found for name, found in components["schemas"].items() if not name.startswith(JOB)}
    return "\n".join(f"### {name}\n\n{_fields(_example(found), name)}" for name, found in shown.items())


def _example(schema: Schema) -> Schema:
    """Return the object of the example job, if the schema has one object per job."""
    match schema:
        case {"oneOf": [one]}:
            return cast("Schema", one)
    return schema


def _section(path: str, method: str, operation: Schema) -> str:
    title = f"## {method.upper()} {PREFIX}{path.replace(f'/{JOB}', '/{name}')}\n"
    summary = sentence(str(operation["summary"])).replace(f"Enqueue {JOB}", "Enqueue the job of this name")
    parts = (title, summary, "", _needed(operation), "", *_inputs(operation))
    return "\n".join((*parts, _responses(operation)))


def _needed(operation: Schema) -> str:
    security = cast("Sequence[Mapping[str, Sequence[str]]]", operation["security"])
    scopes = [scope for one in security for scope in one.get("token", ())]
    return f"Scope of the token: {codes(scopes)}." if scopes else "Any valid token."


def _inputs(operation: Schema) -> Iterator[str]:
    parameters = cast("Sequence[Schema]", operation.get("parameters", []))
    if parameters:
        yield table(("Parameter", "In", "Type", "Meaning"), map(_parameter, parameters))
    body = cast("Mapping[str, Mapping[str, Mapping[str, Schema]]]", operation.get("requestBody"))
    if body:
        ((media, content),) = body["content"].items()
        yield f"Body, {code(media)}:\n\n{_fields(content['schema'])}"


def _parameter(found: Schema) -> tuple[str, str, str, str]:
    return code(found["name"]), str(found["in"]), kind(cast("Schema", found["schema"])), str(found["description"])


def _responses(operation: Schema) -> str:
    responses = cast("Mapping[str, Schema]", operation["responses"])
    return table(("Status", "Body", "Meaning"), (_response(status, responses[status]) for status in sorted(responses)))


def _response(status: str, found: Schema) -> tuple[str, str, str]:
    content = cast("Mapping[str, Mapping[str, Schema]]", found["content"])
    ((media, answer),) = content.items()
    shown = kind(answer["schema"]) if media.endswith("json") else code(media)
    return status, shown, sentence(str(found["description"]))


def _fields(schema: Schema, name: str = "") -> str:
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    required = cast("Sequence[str]", schema.get("required", []))
    rows = (
        (code(field), kind(found), "yes" if field in required else "no", _meaning(name, field, found))
        for field, found in properties.items()
    )
    return table(("Field", "Type", "Required", "Meaning"), rows)


def _meaning(name: str, field: str, schema: Schema) -> str:
    """Return the description of a field. For fields of a job, the default is the comment of their column."""
    column = jobs.columns.get(field) if name in _JOBS else None
    return str(schema.get("description") or (column is not None and column.doc) or "")


def kind(schema: Schema) -> str:
    """Return the type of a schema in words."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rsplit("/", 1)[-1]
            return "params of the job" if name.startswith(JOB) else f"[{name}](#{name.lower()})"
        case {"const": value}:
            return code(json.dumps(value))
        case {"enum": list(values)}:
            return codes(values)
        case {"anyOf": list(parts)}:
            return " or ".join(kind(cast("Schema", part)) for part in parts)
        case {"type": "array", "items": dict(items)}:
            return f"list of {kind(items)}"
        case {"type": "object", "properties": dict(properties)}:
            return f"object with {codes(properties)}"
        case {"type": list(kinds)}:
            return " or ".join(map(str, kinds)) + _format(schema)
        case {"type": str(name)}:
            return name + _format(schema)
        case _:
            return "any value"


def _format(schema: Schema) -> str:
    return f", {schema['format']}" if "format" in schema else ""
