"""The contract of a job: the shapes of params and result, and the options that stored rows depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.values import canonical, fingerprint

from ..ir.spec import JobSpec
from ..options.table import OPTIONS
from ..options.values import read_value

DOCUMENTATION = frozenset({"$comment", "title", "description", "examples", "deprecated", "readOnly", "writeOnly"})
"""Keywords that restrict no value and have no effect on generated code."""

ONE_SCHEMA = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords whose value is a schema. Older drafts also allowed a list of schemas for `items`."""

SCHEMA_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""

SCHEMA_MAP = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose value is an object of schemas. `dependencies` may also have lists of names."""

_EXAMPLE = "Hello"
# The hash of its contract in the lock of a new project.
_EXAMPLE_HASH = "b4305bf9ac202a06277a67bc49af48dd"


class Status(StrEnum):
    """Whether the job can be enqueued, or only queued jobs still run."""

    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedOptions:
    """The options whose change matters for existing rows; `timeout` is None without a limit."""

    queue: str = "default"
    max_attempts: int = 3
    timeout: timedelta | None = None
    unique_by: tuple[str, ...] | None = None
    shard_by: str | None = None

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form, with the names of `x-job`. Absent limits are left out."""
        seconds = None if self.timeout is None else f"PT{self.timeout / timedelta(seconds=1):f}".rstrip("0").rstrip(".")
        return {
            "queue": self.queue,
            "maxAttempts": self.max_attempts,
            **({} if seconds is None else {"timeout": f"{seconds}S"}),
            **({} if self.unique_by is None else {"unique": {"by": list(self.unique_by)}}),
            **({} if self.shard_by is None else {"shardBy": self.shard_by}),
        }

    @classmethod
    def read(cls, document: Mapping[str, JsonValue]) -> LockedOptions:
        """Read the JSON form. Raises `ValueError` or `TypeError` if it is invalid."""
        timeout, unique = document.get("timeout"), document.get("unique")
        by = unique.get("by") if isinstance(unique, dict) else None
        options = cls(
            queue=str(document["queue"]),
            max_attempts=int(str(document["maxAttempts"])),
            timeout=None if timeout is None else cast("timedelta", read_value(OPTIONS["timeout"], timeout)),
            unique_by=tuple(map(str, by)) if isinstance(by, list) else None,
            shard_by=str(document["shardBy"]) if "shardBy" in document else None,
        )
        if options.document() != document:
            raise ValueError("has keys or values that no options have")
        return options


@dataclass(frozen=True, kw_only=True)  # no slots, because its texts are cached
class Contract:
    """One revision of one version of a job.

    `params` and `result` are self-contained schemas without documentation: references lead to `#/$defs/...` inside
    each, and equal keys in the two `$defs` are the same definition.
    """

    params: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    options: LockedOptions

    @cached_property
    def hash(self) -> str:
        """Return a hash, equal for equal contracts. The lock stores it, so that manual edits are noticed."""
        return fingerprint({"params": self.params, "result": self.result, "options": self.options.document()})

    def has_schemas_of(self, other: Contract) -> bool:
        """Return whether both have exactly the same params and result."""
        return self.schemas == other.schemas

    @cached_property
    def schemas(self) -> str:
        """Return params and result as one text, equal for equal schemas."""
        # As text, because `1`, `1.0` and `true` are equal in Python.
        return canonical([self.params, self.result])


def contract_of(job: JobSpec) -> Contract:
    """Return the contract of a job's current spec."""
    options = job.options
    return Contract(
        params=canonical_schema(job.params),
        result=canonical_schema(job.result),
        options=LockedOptions(
            queue=options.queue,
            max_attempts=options.max_attempts,
            timeout=options.timeout,
            unique_by=options.unique_by,
            shard_by=options.shard_by,
        ),
    )


def contracts_of(jobs: Iterable[JobSpec]) -> dict[str, Contract]:
    """Return the contracts of all specs by job name."""
    return {job.class_name: contract_of(job) for job in jobs}


def canonical_schema(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema without documentation at every depth. Values (`const`, `enum`, `default`) stay as they are."""
    return {key: _member(key, value) for key, value in schema.items() if key not in DOCUMENTATION}


def _member(key: str, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        if key in SCHEMA_MAP:
            return {name: _canonical(inner) for name, inner in value.items()}
        return canonical_schema(value) if key in ONE_SCHEMA else value
    if isinstance(value, list) and key in SCHEMA_LIST:
        return [_canonical(branch) for branch in value]
    return value


def _canonical(schema: JsonValue) -> JsonValue:
    return canonical_schema(schema) if isinstance(schema, dict) else schema


def is_example(name: str, versions: Mapping[int, Sequence[Contract]]) -> bool:
    """Return whether these are all contracts of the example, unchanged since `init`.

    No application depends on its rows. Once its spec changes, it is a job like any other.
    """
    revisions = [revision.hash for version in versions.values() for revision in version]
    return name == _EXAMPLE and revisions == [_EXAMPLE_HASH]
