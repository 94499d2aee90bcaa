"""Builds `jobs.ts`: names for every type, the facts for a row, and the client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from pydantic import JsonValue
from server_jobs.contract.json_schema import Schema, definitions_of
from server_jobs.contract.values import MAX_DEPTH, MAX_DOCUMENT_BYTES
from server_jobs.domain.enqueue_options import ENQUEUE_OPTIONS, TEXT_OPTIONS
from server_jobs.domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS, MOST_JOBS_PER_REQUEST
from server_jobs.domain.outcomes import LONGEST_DELAY
from server_jobs.inspection.job_document import DETAIL_FIELDS, SUMMARY_FIELDS, DocumentField
from server_jobs.security.key_secret import FEWEST_CHARACTERS
from server_jobs.stores.sql.parameters import milliseconds
from server_jobs.transactions.insertion import Target
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.python.code import Code, header
from server_jobs_generator.python.names import Names, pascal_case

from ..templating import render
from .keys import JobKeys, UnequalKeyError, keys_of
from .text import expression, literal, template_literal
from .type_writer import TypeWriter

TAKEN = (
    *(
        "BatchCounts",
        "ClientOptions",
        "CompletionJob",
        "Dialect",
        "Enqueued",
        "EnqueueableJob",
        "EnqueuedBatch",
        "EnqueueOptions",
        "InsertableJob",
        "Insertion",
        "InsertOptions",
        "Job",
    ),
    *("JobEvent", "JobName", "JobParams", "JobResults", "JobsClient", "JobStatus", "JobSummary", "JsonValue"),
    *(
        "JOBS",
        "KeyPart",
        "JobFacts",
        "Problem",
        "RefusedError",
        "STATEMENTS",
        "UnreachableError",
        "Array",
        "AsyncGenerator",
        "Date",
        "Error",
    ),
    *(
        "JSON",
        "Map",
        "Math",
        "Number",
        "Object",
        "Omit",
        "Promise",
        "RangeError",
        "Record",
        "RequestInit",
        "Response",
        "Set",
        "String",
    ),
    *("TextDecoder", "TextDecoderStream", "TextEncoder", "TypeError", "Uint8Array", "AbortSignal", "Partial", "Pick"),
)
"""Names that the rest of the module or the language uses. No type of a job may have them."""

_RETIRED = "/** @deprecated The job is retired. */\n  "


def typescript_text(jobs: Sequence[JobSpec], schema: str | None = None) -> str:
    """Return the module, which imports no other. `schema` is the PostgreSQL schema of the tables."""
    active = [job for job in jobs if not job.options.retired]
    types = _types_of(jobs)
    keys = {job.class_name: _keys(job) for job in active}
    return render(
        "jobs.ts.jinja",
        header=Code(header().replace("#", "//")),
        declarations=[Code("\n".join(types[job.class_name].declarations())) for job in jobs],
        params=[Code(f"{job.class_name}: {types[job.class_name].params};") for job in active],
        results=[
            Code(f"{_RETIRED * job.options.retired}{job.class_name}: {types[job.class_name].result};") for job in jobs
        ],
        insertable=Code(" | ".join(literal(name) for name, found in keys.items() if found) or "never"),
        facts=[Code(f"{job.class_name}: {expression(_facts(job, keys[job.class_name]))},") for job in active],
        statements=_statements(schema),
        summary_fields=[line for one in SUMMARY_FIELDS for line in _field_lines(one)],
        detail_fields=[line for one in DETAIL_FIELDS for line in _field_lines(one)],
        about={name: Code(one.about) for name, one in ENQUEUE_OPTIONS.items()},
        texts=[_text_option(name, longest) for name, longest in TEXT_OPTIONS.items()],
        of_completion=Code(
            " | ".join(literal(_camel_case(name)) for name, one in ENQUEUE_OPTIONS.items() if one.is_for_completion)
        ),
        lowest_priority=Code(str(LOWEST_PRIORITY)),
        highest_priority=Code(str(HIGHEST_PRIORITY)),
        most_attempts=Code(str(MOST_ATTEMPTS)),
        longest_delay=Code(str(int(LONGEST_DELAY.total_seconds()))),
        most_jobs=Code(f"{MOST_JOBS_PER_REQUEST:,}"),
        most_bytes=Code(str(MAX_DOCUMENT_BYTES)),
        most_levels=Code(str(MAX_DEPTH)),
        shortest_secret=Code(str(FEWEST_CHARACTERS)),
    )


_FIELD_TYPES = {
    "str": "string",
    "int": "number",
    "bool": "boolean",
    "datetime": "string",
    "JobStatus": "JobStatus",
    "json": "unknown",
}


def _field_lines(field: DocumentField) -> list[Code]:
    """Return the comment and the declaration of a field of a job."""
    kind = "JobResults[N]" if field.name == "result" else _FIELD_TYPES[field.type]
    null = " | null" if field.is_nullable else ""
    return [Code(f"/** {field.about} */"), Code(f"{field.name}: {kind}{null};")]


def _text_option(name: str, longest: int) -> dict[str, Code]:
    """Return an option that is a text, as the template has it."""
    about = ENQUEUE_OPTIONS[name].about
    return {
        "name": Code(name),
        "member": Code(_camel_case(name)),
        "about": Code(about),
        "longest": Code(str(longest)),
    }


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _types_of(jobs: Sequence[JobSpec]) -> dict[str, _JobTypes]:
    """Return the types by class name. A definition of one job never has the name of another job's params or result."""
    names = Names(TAKEN)
    types = {job.class_name: _JobTypes(job, names) for job in jobs}
    for one in types.values():
        one.name_definitions(names)
    return types


class _JobTypes:
    """The names of one job's types, and their declarations."""

    def __init__(self, job: JobSpec, names: Names) -> None:
        self._job = job
        self.params = names.take(f"{job.class_name}Params")
        self.result = names.take(f"{job.class_name}Result")
        definitions = {**definitions_of(job.params), **definitions_of(job.result)}
        self._definitions = dict(sorted(definitions.items()))
        self._names: dict[str, str] = {}

    def name_definitions(self, names: Names) -> None:
        self._names = {name: names.take(f"{self._job.class_name}{pascal_case(name)}") for name in self._definitions}

    def declarations(self) -> Iterator[str]:
        writer = TypeWriter(self._definitions, self._names)
        about = [self._job.description] if self._job.description else []
        params, result = f"Params of {self._job.class_name}.", f"Result of {self._job.class_name}."
        yield writer.declare(self.params, self._marked(self._job.params), [params, *about])
        yield writer.declare(self.result, self._marked(self._job.result), [result])
        yield from writer.declare_definitions()

    def _marked(self, schema: Schema) -> Schema:
        return {**schema, "deprecated": True} if self._job.options.retired else schema


def _keys(job: JobSpec) -> JobKeys | None:
    try:
        return keys_of(job)
    except UnequalKeyError:
        return None


def _facts(job: JobSpec, keys: JobKeys | None) -> JsonValue:
    options = job.options
    facts: dict[str, JsonValue] = {
        "queue": options.queue,
        "priority": options.priority,
        "maxAttempts": options.max_attempts,
        "expiresAfter": None if options.expires_after is None else milliseconds(options.expires_after),
        "specVersion": options.version,
        "isInsertable": keys is not None,
    }
    for name, parts in (asdict(keys) if keys else dict.fromkeys(JobKeys.__slots__)).items():
        facts[f"{name}By"] = None if parts is None else [_key_part(part) for part in parts]
    return facts


def _key_part(part: dict[str, JsonValue]) -> JsonValue:
    names = {"path": "path", "otherwise": "otherwise", "is_redacted": "isRedacted"}
    return {names[name]: list(value) if isinstance(value, tuple) else value for name, value in part.items()}


def _statements(schema: str | None) -> list[Code]:
    """Return the statements that store one job, with the parameter marks of JavaScript drivers."""
    return [
        _statement(Target("sqlite", "qmark", None)),
        _statement(Target("postgresql", "numeric_dollar", schema)),
    ]


def _statement(target: Target) -> Code:
    sql, names = target.statement("INSERT_ONE")
    order: list[JsonValue] = [*names]
    return Code(f"{target.dialect}: {{\n    sql: {template_literal(sql)},\n    order: {expression(order)},\n  }},")
