"""What stands in the body of a generated job class: only what the spec says otherwise than the defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from datetime import timedelta

from server_jobs.domain.options import ConcurrencyLimit, JobOptions, Misfire, RateLimit, Retention, RunIn, Schedule
from server_jobs.domain.retry import Backoff, RetryPolicy

from ..ir.spec import JobSpec
from ..python.code import Code, Expression, Text, assignment, call, import_names, literal, one_a_line, tuple_of

_RUNTIME = (
    "Backoff",
    "ConcurrencyLimit",
    "JobOptions",
    "Misfire",
    "RateLimit",
    "Retention",
    "RetryPolicy",
    "RunIn",
    "Schedule",
)
_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds")


def attributes(job: JobSpec) -> list[Code]:
    """The assignments in the class body, in the order in which `Job` declares them."""
    lines = [
        assignment("job_name", literal(job.class_name), 4),
        assignment("spec_name", literal(job.spec_name), 4),
        Code(f"params_model = {job.class_name}Params"),
        Code(f"result_model = {job.class_name}Result"),
    ]
    options = dict(_options(job.options))
    if options:
        value = call("JobOptions", **options)
        lines.append(assignment("options", one_a_line(value) if len(options) > 2 else value, 4))
    if job.schedules:
        lines.append(assignment("schedules", tuple_of([_schedule(schedule) for schedule in job.schedules]), 4))
    return lines


def job_imports(job: JobSpec, models: str, types: Sequence[str], more: Sequence[str] = ()) -> Code:
    """The imports of a job's module: exactly the names its class uses, `more` of the runtime among them."""
    used = _names_in("\n".join(attributes(job)))
    runtime = [name for name in _RUNTIME if name in used]
    blocks = [import_names("datetime", ["timedelta"])] if "timedelta" in used else []
    blocks += [import_names("server_jobs", [base_of(job), *more, *runtime]), import_names(models, types)]
    return Code("\n\n".join(blocks))


def base_of(job: JobSpec) -> str:
    """The class of the runtime that a job derives from."""
    return "RetiredJob" if job.options.retired else "Job"


def _options(options: JobOptions) -> Iterator[tuple[str, Expression]]:
    default = JobOptions()
    if options.version != default.version:
        yield "version", Code(options.version)
    if options.queue != default.queue:
        yield "queue", literal(options.queue)
    if options.priority != default.priority:
        yield "priority", Code(options.priority)
    if options.max_attempts != default.max_attempts:
        yield "max_attempts", Code(options.max_attempts)
    if options.timeout is not None:
        yield "timeout", _duration(options.timeout)
    if options.run_in != default.run_in:
        yield "run_in", _member(options.run_in)
    if options.retry != default.retry:
        yield "retry", call("RetryPolicy", **dict(_retry(options.retry)))
    if options.unique_by is not None:
        yield "unique_by", _strings(options.unique_by)
    if options.concurrency is not None:
        yield "concurrency", call("ConcurrencyLimit", **dict(_concurrency(options.concurrency)))
    if options.rate is not None:
        yield "rate", call("RateLimit", **dict(_rate(options.rate)))
    if options.retention != Retention():
        yield "retention", call("Retention", **dict(_retention(options.retention)))
    if options.redact:
        yield "redact", _strings(options.redact)
    if options.retired:
        yield "retired", Code("True")


def _retry(retry: RetryPolicy) -> Iterator[tuple[str, Expression]]:
    default = RetryPolicy()
    if retry.backoff != default.backoff:
        yield "backoff", _member(retry.backoff)
    if retry.initial != default.initial:
        yield "initial", _duration(retry.initial)
    if retry.maximum != default.maximum:
        yield "maximum", _duration(retry.maximum)
    if retry.jitter != default.jitter:
        yield "jitter", Code(repr(float(retry.jitter)))


def _concurrency(limit: ConcurrencyLimit) -> Iterator[tuple[str, Expression]]:
    yield "limit", Code(limit.limit)
    if limit.by:
        yield "by", _strings(limit.by)


def _rate(limit: RateLimit) -> Iterator[tuple[str, Expression]]:
    yield "limit", Code(limit.limit)
    yield "per", _duration(limit.per)
    if limit.by:
        yield "by", _strings(limit.by)


def _retention(retention: Retention) -> Iterator[tuple[str, Expression]]:
    for name, length in (
        ("completed", retention.completed),
        ("failed", retention.failed),
        ("cancelled", retention.cancelled),
    ):
        if length is not None:
            yield name, _duration(length)


def _schedule(schedule: Schedule) -> Expression:
    default = Schedule(name="", cron="")
    arguments: dict[str, Expression] = {"name": literal(schedule.name), "cron": literal(schedule.cron)}
    if schedule.timezone != default.timezone:
        arguments["timezone"] = literal(schedule.timezone)
    if schedule.misfire != default.misfire:
        arguments["misfire"] = _member(schedule.misfire)
    if schedule.misfire_limit is not None:
        arguments["misfire_limit"] = Code(schedule.misfire_limit)
    if schedule.params != default.params:
        arguments["params"] = Text(schedule.params)
    return one_a_line(call("Schedule", **arguments))


def _member(value: Backoff | Misfire | RunIn) -> Code:
    return Code(f"{type(value).__name__}.{value.name}")


def _strings(values: Sequence[str]) -> Expression:
    return tuple_of([Text(value) for value in values])


def _duration(value: timedelta) -> Expression:
    """In the largest unit that gives a whole number, as a person would write it."""
    for unit in _UNITS:
        if value % timedelta(**{unit: 1}) == timedelta(0):
            return call("timedelta", **{unit: Code(value // timedelta(**{unit: 1}))})
    return call("timedelta", seconds=Code(value // timedelta(seconds=1)), microseconds=Code(value.microseconds))


def _names_in(body: str) -> set[str]:
    """The names that code uses; what stands in its strings is none."""
    return {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
