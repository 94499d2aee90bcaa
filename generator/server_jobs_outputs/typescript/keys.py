"""Decide which keys of a job TypeScript can compute, because Python stores the values unchanged.

A key is a hash of values in the stored params. Python fills in defaults, and may write times or numbers differently. If
this could change a key, TypeScript does not compute it, and enqueues the job over HTTP only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.job_keys import is_redacted
from server_jobs.contract.json_schema import DEFINITIONS, Schema, definitions_of
from server_jobs.contract.values import path_of
from server_jobs.domain.options import OnConflict
from server_jobs_generator.ir.spec import JobSpec

_SCALARS = frozenset({"boolean", "integer", "null", "string"})
# Formats of texts that Python stores unchanged.
_TEXTS = frozenset({"date", "duration", "email", "hostname", "time", "uri"})
_HARMLESS = frozenset(
    {
        *("$ref", "const", "default", "deprecated", "description", "enum", "examples", "exclusiveMaximum"),
        *(
            "exclusiveMinimum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maximum",
            "minItems",
            "minLength",
            "minimum",
        ),
        *("multipleOf", "pattern", "title", "type", "uniqueItems"),
    }
)


class UnequalKeyError(ValueError):
    """TypeScript might compute a different key than Python."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """The place of one value of a key in the params, its default, and whether its hash needs a secret."""

    path: tuple[str, ...]
    otherwise: JsonValue
    is_redacted: bool


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The parts of a job's keys; None for a key that the job does not have."""

    unique: tuple[KeyPart, ...] | None
    concurrency: tuple[KeyPart, ...] | None
    rate: tuple[KeyPart, ...] | None


def is_insertable(job: JobSpec) -> bool:
    """Return whether TypeScript can compute all keys of a job, so that `insertJob` accepts it."""
    try:
        keys_of(job)
    except UnequalKeyError:
        return False
    return True


def keys_of(job: JobSpec) -> JobKeys:
    """Return the keys of a job. Raises `UnequalKeyError` if TypeScript cannot compute one, or use it as Python does."""
    options = job.options
    if options.on_conflict is not OnConflict.KEEP:
        raise UnequalKeyError("the statement of an insert replaces no job")
    is_limited = options.concurrency is not None or options.rate is not None
    concurrency = () if options.concurrency is None else options.concurrency.by
    rate = () if options.rate is None else options.rate.by
    return JobKeys(
        None if options.unique_by is None else _parts(job, options.unique_by),
        _parts(job, concurrency) if is_limited else None,
        _parts(job, rate) if is_limited else None,
    )


def _parts(job: JobSpec, pointers: Sequence[str]) -> tuple[KeyPart, ...]:
    return tuple(_part(job, pointer) for pointer in pointers)


def _part(job: JobSpec, pointer: str) -> KeyPart:
    params = job.params
    path = tuple(path_of(pointer))
    schema: JsonValue | Schema = params
    for token in path:
        holder = _resolved(params, schema)
        properties = holder.get("properties")
        if holder.get("type") != "object" or not isinstance(properties, dict) or token not in properties:
            raise UnequalKeyError(f"{pointer} leads to no property of an object")
        if schema is not params and "default" in holder:
            raise UnequalKeyError(f"{pointer} leads through a default")
        schema = properties[token]
    if not path or not _is_kept(params, schema):
        raise UnequalKeyError(f"Python may store another value at {pointer} than it was given")
    otherwise = schema.get("default") if isinstance(schema, Mapping) else None
    return KeyPart(path, otherwise, is_redacted(pointer, job.options.redact))


def _is_kept(params: Schema, schema: JsonValue | Schema) -> bool:
    """Return whether every valid value is stored unchanged, with the same text in both languages."""
    if not isinstance(schema, Mapping) or ("$ref" in schema and not _refers_plainly(params, schema)):
        return False
    stated = _resolved(params, schema)
    if not stated.keys() <= _HARMLESS or stated.get("format", "email") not in _TEXTS:
        return False
    if "const" in stated or "enum" in stated:
        options = stated.get("enum", [stated.get("const")])
        return isinstance(options, list) and all(map(_is_plain, options))
    kinds = stated.get("type")
    found = {kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)}
    if "array" in found and not _is_kept(params, stated.get("items", True)):
        return False
    return bool(found) and found <= _SCALARS | {"array"}


def _refers_plainly(params: Schema, schema: Mapping[str, JsonValue]) -> bool:
    """Return whether a reference has no other keywords and no default at its target."""
    return schema.keys() <= {"$ref", "default", "description"} and "default" not in _resolved(params, schema)


def _resolved(params: Schema, schema: JsonValue | Schema) -> Schema:
    """Return the schema, or the target of its reference."""
    definitions = definitions_of(params)
    for _ in range(len(definitions) + 1):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str):
            return schema if isinstance(schema, Mapping) else {}
        schema = definitions.get(reference.removeprefix(DEFINITIONS), True)
    return {}


def _is_plain(value: JsonValue) -> bool:
    return value is None or isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 2**53)
