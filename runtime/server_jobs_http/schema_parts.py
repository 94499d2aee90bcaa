"""The parts of which schemas of OpenAPI are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server_jobs.domain.record import JobStatus

Schema = dict[str, Any]
"""A part of a JSON document of OpenAPI or JSON Schema."""

MOMENT: Schema = {"type": "string", "format": "date-time"}
MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
STATUS: Schema = {"enum": [str(one) for one in JobStatus]}
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
INTEGER: Schema = {"type": "integer"}


def object_of(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these properties and no others. All but the optional ones are required."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def array_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    """Return a reference to a component of the document."""
    return {"$ref": f"#/components/schemas/{name}"}
