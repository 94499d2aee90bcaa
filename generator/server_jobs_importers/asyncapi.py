"""Jobs from the messages of an AsyncAPI 2 or 3 document: all of them, or `asyncapi.yaml#/components/messages/Paid`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from pydantic import JsonValue
from server_jobs_generator.problems.problem import shown
from server_jobs_generator.read.document import Pointer

from .documents import DocumentJob, Target, document_at, found_in, part_at, target
from .found_job import Found, ImportSourceError, LeftOut, joined

_JSON_FORMATS = ("application/vnd.aai.asyncapi", "application/schema", "application/vnd.oai.openapi")
_NOT_IN_PARAMS = ("headers", "correlationId", "bindings", "traits")
_OPERATIONS = ("publish", "subscribe")


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return a job for each message, with its payload as params. See `Source`."""
    del folders
    return joined(_found(target(text)) for text in targets)


def _found(where: Target) -> Found:
    document = document_at(where.path)
    if not isinstance(document, dict) or str(document.get("asyncapi", ""))[:2] not in ("2.", "3."):
        raise ImportSourceError(f"{where.path} is no AsyncAPI document of version 2 or 3")
    places = [where.pointer] if where.pointer else list(dict.fromkeys(_messages(document)))
    if not places:
        raise ImportSourceError(f"{where.path} has no messages")
    jobs: list[DocumentJob] = []
    failed: list[LeftOut] = []
    for place in places:
        job = _job(Target(where.path, place), document)
        if isinstance(job, LeftOut):
            failed.append(job)
        else:
            jobs.append(job)
    return joined((found_in(jobs), Found((), tuple(failed))))


def _messages(document: JsonValue) -> Iterator[Pointer]:
    """Yield the place of each message: of the components, then of the channels."""
    yield from _each(document, ("components", "messages"))
    for channel in _each(document, ("channels",)):
        yield from (_followed(document, place) for place in _each(document, (*channel, "messages")))
        for operation in _OPERATIONS:
            message = (*channel, operation, "message")
            choices = [*_each(document, (*message, "oneOf"))]
            yield from (_followed(document, place) for place in choices or [message] if _has(document, place))


def _each(document: JsonValue, place: Pointer) -> Iterator[Pointer]:
    part = part_at(document, place) if _has(document, place) else None
    names = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    yield from ((*place, name) for name in names)


def _has(document: JsonValue, place: Pointer) -> bool:
    try:
        part_at(document, place)
    except KeyError:
        return False
    return True


def _followed(document: JsonValue, place: Pointer) -> Pointer:
    """Return the place to which references lead from a place."""
    seen: set[Pointer] = set()
    while place not in seen and _has(document, place):
        seen.add(place)
        part = part_at(document, place)
        reference = part.get("$ref") if isinstance(part, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        place = target(reference).pointer
    return place


def _message(where: Target, document: JsonValue) -> tuple[Target, JsonValue]:
    """Return a message and its place, after references within the document and to other files."""
    seen: set[Target] = set()
    while where not in seen:
        seen.add(where)
        where = Target(where.path, _followed(document, where.pointer))
        part = part_at(document, where.pointer)
        reference = part.get("$ref") if isinstance(part, dict) else None
        if not isinstance(reference, str):
            return where, part
        path = os.path.normpath(Path(where.path).parent / unquote(reference.partition("#")[0]))
        where, document = Target(path, target(reference).pointer), document_at(path)
    raise ImportSourceError(f"{where.place} refers to itself")


def _job(where: Target, document: JsonValue) -> DocumentJob | LeftOut:
    """Return the job of a message, or the reason why it has none. Raises `ImportSourceError` for a missing place."""
    try:
        part_at(document, where.pointer)
    except KeyError as error:
        raise ImportSourceError(f"{where.place} does not exist: there is no {error.args[0]!r}") from None
    try:
        stated_at, message = _message(where, document)
    except (ImportSourceError, KeyError) as error:
        why = f"its $ref leads to nothing: {error}"
        return LeftOut(where.place, "message", why, "correct the reference, or write the spec by hand")
    if not isinstance(message, dict) or "payload" not in message:
        return LeftOut(where.place, "message", "it has no payload", "write a spec without params")
    name = str(message.get("name") or where.pointer[-1])
    place: Pointer = (*stated_at.pointer, "payload")
    payload, schema_format = message["payload"], message.get("schemaFormat")
    if isinstance(payload, dict) and "schemaFormat" in payload:
        place, schema_format = (*place, "schema"), payload["schemaFormat"]
    if schema_format is not None and not str(schema_format).startswith(_JSON_FORMATS):
        why, advice = "its schema is no JSON Schema", "write the spec by hand"
        return LeftOut(where.place, f"message of the format {shown(schema_format)}", why, advice)
    stated = message.get("description") or message.get("summary")
    why, advice = "a job has params only", "add it to the params, or leave it out"
    lost = tuple(LeftOut(where.place, key, why, advice) for key in _NOT_IN_PARAMS if key in message)
    return DocumentJob(name, Target(stated_at.path, place), stated if isinstance(stated, str) else None, lost)
