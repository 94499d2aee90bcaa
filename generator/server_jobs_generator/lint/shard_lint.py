"""Checks of `shardBy` in `x-job`: its pointer into the params, and the keys that must contain it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue
from server_jobs.contract.job_keys import is_redacted
from server_jobs.contract.values import path_of
from server_jobs.domain.options import JobOptions, keys_across_databases

from ..problems.problem import did_you_mean, shown
from ..problems.rules import OPTION_VALUE, POINTER_UNRESOLVED, Mistake
from ..read.document import Pointer
from .meaning_lint import follow
from .params_pointers import ParamsPointers, schemas_below

_EXAMPLE = 'such as "/tenant"'
_TYPES = ("string", "integer")


def shard_pointer_mistake(pointers: ParamsPointers, value: JsonValue) -> Mistake | None:
    """Return why this is no pointer to a text or a whole number that all params have; None if it is one.

    Each step must be a required property of an object with `properties`. A property in one branch of a union is not in
    all params.
    """
    if not isinstance(value, str) or not value.startswith("/"):
        meant = did_you_mean(pointers.meant(value) if isinstance(value, str) else None)
        message = f"must be a JSON pointer to a required property of params {_EXAMPLE}, not {shown(value)}"
        return OPTION_VALUE, f"{message}{meant}"
    if (missing := pointers.missing(value)) is not None:
        meant = did_you_mean(pointers.meant(value))
        return POINTER_UNRESOLVED, f"{shown(value)} leads to nothing in params: {missing}{meant}"
    schema, file = follow(pointers.fitting.library, pointers.params, pointers.file)
    for key in path_of(value):
        if not _requires(schema, key):
            needs = f"state {shown(key)} in properties and in required"
            return OPTION_VALUE, f"{shown(value)} must be in all params, so that each job has a database; {needs}"
        schema, file = follow(pointers.fitting.library, schemas_below(schema, key)[0], file)
    if not isinstance(schema, dict) or schema.get("type") not in _TYPES:
        return OPTION_VALUE, f'{shown(value)} must have the type "string" or "integer", as it chooses a database'
    return None


def unsharded_keys(options: JobOptions, shard_by: str) -> Iterator[tuple[Pointer, str]]:
    """Yield each key that jobs of several databases could share, with a message."""
    for name in keys_across_databases(shard_by, options):
        message = f"must contain {shown(shard_by)}, the value of shardBy: a database knows only its own jobs"
        yield (name, "by"), f"{message}; add it, or leave out {name}"


def redaction_mistake(options: JobOptions, shard_by: str) -> str | None:
    """Return why a redacted value cannot choose a database; None if it is not redacted."""
    if not is_redacted(shard_by, options.redact):
        return None
    return f"{shown(shard_by)} is redacted, and errors and addresses show the value of shardBy; choose another one"


def _requires(schema: JsonValue, key: str) -> bool:
    if not isinstance(schema, dict):
        return False
    properties, required = schema.get("properties"), schema.get("required")
    is_known = isinstance(properties, dict) and key in properties
    return is_known and isinstance(required, list) and key in required
