"""Jobs from the components of an OpenAPI 3 document: all of them, or `openapi.yaml#/components/schemas/Order`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from .documents import DocumentJob, Target, document_at, found_in, references, target
from .found_job import Found, ImportSourceError

_SCHEMAS = ("components", "schemas")


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return a job for each schema. Without a pointer, schemas that another one uses are no jobs. See `Source`."""
    del folders
    parts = (one for text in targets for one in _parts(target(text)))
    return found_in(DocumentJob(str(one.pointer[-1]), one) for one in parts)


def _parts(where: Target) -> Iterator[Target]:
    if where.pointer:
        yield where
        return
    document = document_at(where.path)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise ImportSourceError(f"{where.path} is no OpenAPI 3 document: it has no openapi: 3.…")
    schemas = _schemas(document)
    used = {target(one).pointer for name, schema in schemas.items() for one in references(schema) if not _is(one, name)}
    places = [(*_SCHEMAS, name) for name in schemas]
    if not places:
        raise ImportSourceError(f"{where.path} has no schemas in components")
    yield from (Target(where.path, place) for place in places if place not in used)


def _schemas(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    components = document.get("components")
    schemas = components.get("schemas") if isinstance(components, dict) else None
    return schemas if isinstance(schemas, dict) else {}


def _is(reference: str, name: str) -> bool:
    return target(reference).pointer == (*_SCHEMAS, name)
