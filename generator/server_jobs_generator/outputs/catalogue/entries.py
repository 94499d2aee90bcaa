"""What the catalogue says of each job, as plain values; both pages are laid out from these."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.json_schema import Schema, definitions_of
from server_jobs.options import JobOptions, Schedule

from ...layout import Group, lay_out
from ...spec import JobSpec
from ..job_facts import duration
from ..python_value import python_value
from .cron_words import cron_words
from .schema_words import constraint_words, has_rows, type_words
from .shown_text import json_shown, one_line, visible

_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A property: `name` leads from the outside in, `.` between names and `[]` behind a list."""

    name: str
    type: str
    is_required: bool
    constraints: str
    default: str
    description: str
    is_deprecated: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The properties of params, of a result, or of a definition that they refer to."""

    title: str
    description: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """Params that fit, and two ways to enqueue them."""

    as_json: str
    as_python: str
    as_curl: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One job. `facts` are labels with what they stand for."""

    name: str
    path: str
    description: str
    is_deprecated: bool
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    examples: tuple[Example, ...]


def entries_of(jobs: Sequence[JobSpec]) -> list[Entry]:
    """The entries in the order of the jobs."""
    return [_entry(job) for job in jobs]


def _entry(job: JobSpec) -> Entry:
    examples = job.params.get("examples")
    return Entry(
        name=job.class_name,
        path=job.path,
        description=visible(job.description or ""),
        is_deprecated=job.params.get("deprecated") is True,
        facts=tuple(_facts(job)),
        tables=tuple(_tables(job)),
        examples=tuple(_example(job, one) for one in (examples if isinstance(examples, list) else [])),
    )


def _facts(job: JobSpec) -> Iterator[tuple[str, str]]:
    options = job.options
    yield "Spec", f"{job.path}, version {options.version}"
    yield "Queue", options.queue
    yield "Priority", str(options.priority)
    yield "Attempts", _attempts(options)
    yield "Timeout", duration(options.timeout) if options.timeout is not None else "none"
    if options.run_in != JobOptions().run_in:
        yield "Runs in", f"a {options.run_in} of its own"
    if options.unique_by is not None:
        yield "Unique", f"one unfinished job for each {_by(options.unique_by)}"
    if options.concurrency is not None:
        yield "Concurrency", f"at most {options.concurrency.limit} at a time{_for_each(options.concurrency.by)}"
    if options.rate is not None:
        rate = options.rate
        yield "Rate", f"at most {rate.limit} starts in {duration(rate.per)}{_for_each(rate.by)}"
    kept = options.retention
    for status, length in (("completed", kept.completed), ("failed", kept.failed), ("cancelled", kept.cancelled)):
        if length is not None:
            yield f"Kept when {status}", duration(length)
    if options.redact:
        yield "Hidden by tools", ", ".join(map(one_line, options.redact))
    for schedule in job.schedules:
        yield f"Schedule {one_line(schedule.name)}", _schedule(schedule)


def _attempts(options: JobOptions) -> str:
    retry = options.retry
    if options.max_attempts == 1:
        return "1"
    growth = f"{retry.backoff} from {duration(retry.initial)} to {duration(retry.maximum)}"
    pause = f"every {duration(retry.initial)}" if str(retry.backoff) == "fixed" else growth
    return f"{options.max_attempts}, {pause}, jitter {retry.jitter:g}"


def _schedule(schedule: Schedule) -> str:
    words = cron_words(schedule.cron)
    params = json_shown(json.loads(schedule.params))
    when = f"{words} ({schedule.cron})" if words else schedule.cron
    return f"{when}, {schedule.timezone}, missed slots: {schedule.misfire}, params {params}"


def _for_each(pointers: Sequence[str]) -> str:
    return f" for each {_by(pointers)}" if pointers else ""


def _by(pointers: Sequence[str]) -> str:
    return ", ".join(map(one_line, pointers))


def _tables(job: JobSpec) -> Iterator[Table]:
    definitions = dict(sorted({**definitions_of(job.params), **definitions_of(job.result)}.items()))
    for title, schema in (("Params", job.params), ("Result", job.result)):
        yield Table(title, _description(schema), tuple(_rows(schema, definitions)))
    for name, found in definitions.items():
        if has_rows(found):
            yield Table(one_line(name), _description(found), tuple(_rows(found, definitions)))


def _rows(schema: JsonValue | Schema, definitions: Schema, prefix: str = "", level: int = 0) -> Iterator[Row]:
    if not isinstance(schema, Mapping):
        return
    properties, required = schema.get("properties"), schema.get("required")
    needed = required if isinstance(required, list) else []
    for name, part in properties.items() if isinstance(properties, dict) else ():
        stated = part if isinstance(part, dict) else {}
        path = f"{prefix}{one_line(name)}"
        yield Row(
            name=path,
            type=one_line(type_words(part, definitions)),
            is_required=name in needed,
            constraints=one_line("; ".join(constraint_words(part, definitions))),
            default=json_shown(stated["default"]) if "default" in stated else "",
            description=one_line(_description(part)),
            is_deprecated=stated.get("deprecated") is True,
        )
        inner, sign = (stated.get("items"), "[].") if stated.get("type") == "array" else (stated, ".")
        if level < _DEEPEST:
            yield from _rows(inner, definitions, f"{path}{sign}", level + 1)


def _description(schema: JsonValue | Schema) -> str:
    found = schema.get("description") if isinstance(schema, Mapping) else None
    return visible(found) if isinstance(found, str) else ""


def _example(job: JobSpec, params: JsonValue) -> Example:
    python = Group(f"await {job.class_name}.later(", (("", python_value(params)),), ")", last_comma=False)
    body = shlex.quote(json_shown({"params": params}))
    curl = (
        'curl --header "Authorization: Bearer $JOBS_TOKEN" \\\n'
        f"  --json {body} \\\n"
        f"  http://127.0.0.1:8000/_jobs/jobs/{job.class_name}"
    )
    return Example(json_shown(params, indent=2), lay_out(python, 0, 0), curl)
