"""Retry, cancel or delete all jobs that match a filter, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..contract.json_schema import Schema, definitions_of
from ..contract.upcasts import Versions
from ..contract.values import path_of
from ..domain.audit import APPLICATION
from ..domain.clock import exact_length
from ..domain.interfaces import Store
from ..domain.record import JobFilter, JobStatus
from ..domain.search import Condition, FindStep, Part, condition_in
from ..errors import InvalidOptionError
from ..registry import JobRegistry

UNREADABLE_DOCUMENT = "unreadable"
"""The result for a job that was not searched, because its params or result are not JSON."""

_KEPT = 20
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("if", "then", "else")
_WORDS = {
    "job_name": "job",
    "error_class": "error",
    "worker_id": "worker",
    "correlation_id": "correlation",
    "batch_id": "batch",
}


class BulkAction(StrEnum):
    """A change of many jobs."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"

    def among(self, wanted: JobFilter) -> JobFilter:
        """Return the filter with the statuses of this change, if it states none.

        A retry is for failed jobs, and a cancellation for pending and running jobs.
        """
        if wanted.status is not None or wanted.parked or self is BulkAction.DELETE:
            return wanted
        is_retry = self is BulkAction.RETRY
        return replace(wanted, status=JobStatus.FAILED if is_retry else (JobStatus.PENDING, JobStatus.RUNNING))


@dataclass(slots=True)
class BulkResult:
    """Counts of the found jobs by name and status, and of the changes by result.

    `some` has the first few ids of each result. `after` is the place of the next page; None at the end.
    """

    found: Counter[tuple[str, JobStatus]] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    some: dict[str, list[str]] = field(default_factory=dict)
    after: str | None = ""

    def note(self, result: str, job_id: str) -> None:
        """Count one result."""
        self.results[result] += 1
        kept = self.some.setdefault(result, [])
        if len(kept) < _KEPT:
            kept.append(job_id)


async def change_page(
    store: Store,
    action: BulkAction,
    step: FindStep,
    into: BulkResult,
    *,
    by: str = APPLICATION,
    dry_run: bool = False,
) -> None:
    """Change the jobs of one step, in one transaction, and count them in `into`.

    With `dry_run`, only count them.

        failed, result = JobFilter(status=JobStatus.FAILED), BulkResult()
        while result.after is not None:
            await change_page(backend.store, BulkAction.RETRY, FindStep(filter=failed, after=result.after), result)
    """
    found = await store.find(step)
    for job in found.jobs:
        if job.is_readable:
            into.found[job.job_name, job.status] += 1
        else:
            into.note(UNREADABLE_DOCUMENT, job.id)
    ids = [job.id for job in found.jobs if job.is_readable]
    if ids and not dry_run:
        for job_id, answer in zip(ids, await _change(store, action, ids, step.filter, by), strict=True):
            into.note(answer, job_id)
    into.after = found.after


async def _change(
    store: Store, action: BulkAction, job_ids: Sequence[str], among: JobFilter, by: str
) -> Sequence[StrEnum]:
    detail = described(among)
    match action:
        case BulkAction.RETRY:
            return await store.retry_many(job_ids, among=among, by=by, detail=detail)
        case BulkAction.CANCEL:
            return await store.cancel_many(job_ids, among=among, by=by, detail=detail)
        case BulkAction.DELETE:
            return await store.delete(job_ids, among=among, by=by, detail=detail)


def described(wanted: JobFilter) -> str:
    """Return a filter for the audit log: `found by job SendEmail, /params/to`. Never contains values of params."""
    parts: list[str] = []
    if wanted.statuses is not None:
        parts.append(f"status {' or '.join(wanted.statuses)}")
    parts += ["parked"] if wanted.parked else []
    parts += [f"queue {' or '.join(wanted.queues)}"] if wanted.queues is not None else []
    parts += [f"{word} {getattr(wanted, name)}" for name, word in _WORDS.items() if getattr(wanted, name) is not None]
    parts += [f"older than {exact_length(wanted.older_than)}"] if wanted.older_than is not None else []
    parts += [f"newer than {exact_length(wanted.newer_than)}"] if wanted.newer_than is not None else []
    parts += [one.place for one in wanted.where]
    return f"found by {', '.join(parts)}" if parts else "all jobs"


def with_conditions(
    wanted: JobFilter, texts: Sequence[str], registry: JobRegistry | None, *, may_reveal: bool
) -> JobFilter:
    """Return the filter with these conditions (`params.customerId=42`), the ones with an index first.

    Raises `InvalidOptionError` for a text that is no condition, and for a property that the job of the filter does not
    have. Without `may_reveal`, a search for params hides redacted values: it needs a registered job, it refuses params
    that the spec redacts, and it leaves out rows of other versions if the spec redacts something.
    """
    versions = None
    if registry is not None and wanted.job_name is not None and registry.has(wanted.job_name):
        versions = registry.find(wanted.job_name).versions
    conditions = [_checked(condition_in(text), versions, may_reveal=may_reveal) for text in texts]
    conditions.sort(key=lambda condition: condition.column is None)
    is_of_params = any(condition.part is Part.PARAMS for condition in conditions)
    if is_of_params and versions is not None and versions.job.options.redact and not may_reveal:
        wanted = replace(wanted, spec_version=versions.current)
    return replace(wanted, where=tuple(conditions))


def _checked(condition: Condition, versions: Versions | None, *, may_reveal: bool) -> Condition:
    job = None if versions is None else versions.job
    if condition.part is Part.PARAMS and not may_reveal:
        if job is None:
            raise InvalidOptionError(
                f"a search for {condition.place} needs the name of a registered job, whose spec says what is secret"
            )
        if any(_touches(condition.path, tuple(path_of(pointer))) for pointer in job.options.redact):
            raise InvalidOptionError(
                f"{condition.place} is redacted by the spec of {job.job_name}; nobody may search it here"
            )
    if versions is None or job is None:
        return condition
    known = sorted(_properties(versions, condition.part))
    if known and condition.path[0] not in known:
        shown = ", ".join(f"{condition.part}.{name}" for name in known)
        raise InvalidOptionError(f"{job.job_name} has no {condition.part}.{condition.path[0]}; it has {shown}")
    column = next((one for one in job.indexed_columns if one.pointer == condition.place), None)
    return replace(condition, column=column)


def _touches(path: tuple[str, ...], hidden: tuple[str, ...]) -> bool:
    """Whether a condition compares a redacted value, or a part around it. A condition passes over lists."""
    if not path or not hidden:
        return True
    return (path[0] == hidden[0] and _touches(path[1:], hidden[1:])) or (
        hidden[0].isdecimal() and _touches(path, hidden[1:])
    )


def _properties(versions: Versions, part: Part) -> set[str]:
    """Return the properties of params or result in any version; empty if there may be any others."""
    schemas = versions.job.schemas()
    roots: list[Schema] = [schemas.params if part is Part.PARAMS else schemas.result]
    if part is Part.PARAMS:
        roots += [earlier.params_model.model_json_schema(by_alias=True) for earlier in versions.earlier]
    found = [list(_objects(root, root, set())) for root in roots]
    if any(one.get("additionalProperties") or "patternProperties" in one for objects in found for one in objects):
        return set()
    return {
        name
        for objects in found
        for one in objects
        for properties in [one.get("properties")]
        if isinstance(properties, dict)
        for name in properties
    }


def _objects(schema: object, root: Schema, seen: set[str]) -> Iterator[Schema]:
    """Yield the schemas that apply to the whole document."""
    if not isinstance(schema, dict):
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        yield from _objects(definitions_of(root).get(reference.rpartition("/")[2]), root, seen)
    for key in _ALTERNATIVES:
        for part in schema.get(key, ()):
            yield from _objects(part, root, seen)
    for key in _BRANCHES:
        yield from _objects(schema.get(key), root, seen)
    for part in schema.get("dependentSchemas", {}).values():
        yield from _objects(part, root, seen)
