"""The catalogue's entries for each job as plain values. Both pages render these."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue
from server_jobs.domain.options import BUILT_IN_PLACES, JobOptions, OnConflict, Schedule
from server_jobs.isolation.place_kinds import PLACES
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.migrations.declared_state import view_columns
from server_jobs_generator.models.type_text import python_value
from server_jobs_generator.options.durations import duration
from server_jobs_generator.options.table import flat_options, members_of
from server_jobs_generator.python.code import Group, lay_out
from server_jobs_generator.sql import view_name

from .schema_words import json_shown, listed, one_line, visible
from .tables import Table, tables_of

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True)
class Example:
    """An example of params or a result; `calls` are ways to enqueue these params, each with its language."""

    title: str
    as_json: str
    calls: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One job. `facts` are labels with values."""

    name: str
    path: str
    description: str
    is_deprecated: bool
    is_retired: bool
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    examples: tuple[Example, ...]


def entries_of(jobs: Sequence[JobSpec]) -> list[Entry]:
    """Return the entries in the order of the jobs."""
    return [_entry(job) for job in jobs]


def _entry(job: JobSpec) -> Entry:
    return Entry(
        name=job.class_name,
        path=job.path,
        description=visible(job.description or ""),
        is_deprecated=job.params.get("deprecated") is True,
        is_retired=job.options.retired,
        facts=tuple(_facts(job)),
        tables=tuple(tables_of(job)),
        examples=tuple(_examples(job)),
    )


def _facts(job: JobSpec) -> Iterator[tuple[str, str]]:
    options = job.options
    yield "Spec", f"{job.path}, version {options.version}"
    if options.retired:
        yield "Status", "retired: no new job is enqueued, queued jobs still run"
    yield from _option_facts(options)
    if job.has_view:
        yield "SQL view", ", ".join([view_name(job.spec_name), *_indexes(job)])
    for schedule in job.schedules:
        yield f"Schedule {one_line(schedule.name)}", _schedule(schedule)


def _option_facts(record: object) -> Iterator[tuple[str, str]]:
    """Yield the options of a record: some in words of their own, the others under their label if they have one."""
    for option in flat_options(type(record)):
        value = getattr(record, option.name)
        if isinstance(record, JobOptions) and option.name in _WORDS:
            yield from _WORDS[option.name](record)
        elif value in (None, (), {}):
            continue
        elif option.label is not None:
            yield option.label, option.fact.format(_value(value))
        elif members_of(option.kind):
            yield from _option_facts(value)


def _value(value: object) -> str:
    match value:
        case timedelta():
            return duration(value)
        case tuple():
            return ", ".join(map(one_line, value))
        case _:
            return one_line(str(value))


def _attempts_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    yield "Attempts", _attempts(options)


def _timeout_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    yield "Timeout", duration(options.timeout) if options.timeout is not None else "none"


def _place_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    if options.run_in != JobOptions().run_in:
        place = PLACES.find(options.run_in) if options.run_in not in BUILT_IN_PLACES else None
        yield "Runs in", f"a separate {options.run_in}" if place is None else place.summary
    for name, value in options.place_options.items():
        parts = [f"{key} {_in_words(one)}" for key, one in value.items()] if isinstance(value, dict) else None
        yield name[:1].upper() + name[1:], one_line(_in_words(value) if parts is None else "; ".join(parts))


def _in_words(value: JsonValue) -> str:
    match value:
        case str():
            return value
        case dict():
            return ", ".join(f"{key} {_in_words(one)}" for key, one in value.items())
        case _:
            return json.dumps(value)


def _unique_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    if options.unique_by is not None:
        conflict = "" if options.on_conflict is OnConflict.KEEP else f"; another one: {options.on_conflict}"
        yield "Unique", f"one unfinished job for each {_by(options.unique_by)}{conflict}"


def _concurrency_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    if options.concurrency is not None:
        yield "Concurrency", f"at most {options.concurrency.limit} at a time{_for_each(options.concurrency.by)}"


def _rate_words(options: JobOptions) -> Iterator[tuple[str, str]]:
    if options.rate is not None:
        rate = options.rate
        yield "Rate", f"at most {rate.limit} starts in {duration(rate.per)}{_for_each(rate.by)}"


_WORDS: Mapping[str, Callable[[JobOptions], Iterator[tuple[str, str]]]] = {
    "max_attempts": _attempts_words,
    "timeout": _timeout_words,
    "run_in": _place_words,
    "unique_by": _unique_words,
    "concurrency": _concurrency_words,
    "rate": _rate_words,
}
"""Options whose words need more than their value."""


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
    most = "" if schedule.misfire_limit is None else f" (at most {schedule.misfire_limit})"
    return f"{when}, {schedule.timezone}, missed slots: {schedule.misfire}{most}, params {params}"


def _for_each(pointers: Sequence[str]) -> str:
    return f" for each {_by(pointers)}" if pointers else ""


def _by(pointers: Sequence[str]) -> str:
    return ", ".join(map(one_line, pointers))


def _indexes(job: JobSpec) -> Iterator[str]:
    return (f"index on {one_line(column.name)}" for column in view_columns(job) if column.is_indexed)


def _examples(job: JobSpec) -> Iterator[Example]:
    found = listed(job.params, "examples")
    for number, params in enumerate(found, 1):
        title = f"Example{f' {number}' if len(found) > 1 else ''} of {job.class_name}"
        yield Example(title, json_shown(params, indent=2), () if job.options.retired else _calls(job, params))
    for result in listed(job.result, "examples"):
        yield Example(f"Example of the result of {job.class_name}", json_shown(result, indent=2), ())


def _calls(job: JobSpec, params: JsonValue) -> tuple[tuple[str, str], ...]:
    python = Group(f"await {job.class_name}.later(", (("", python_value(params)),), ")", last_comma=False)
    body = shlex.quote(json_shown({"params": params}))
    curl = (
        'curl --header "Authorization: Bearer $JOBS_TOKEN" \\\n'
        f"  --json {body} \\\n"
        f"  http://127.0.0.1:8000/_jobs/jobs/{job.class_name}"
    )
    return ("python", lay_out(python, 0, 0)), ("sh", curl)


def cron_words(expression: str) -> str | None:
    """Return when the expression fires, in words; None for an uncommon expression."""
    minute, hour, day, month, weekday = expression.upper().split()
    if (day, month) != ("*", "*"):
        if re.fullmatch(r"\d+", day) and (month, weekday) == ("*", "*") and (at := _time(minute, hour)):
            return f"on day {int(day)} of every month at {at}"
        return None
    if weekday == "*" and hour == "*":
        step = re.fullmatch(r"\*/(\d+)", minute)
        if minute == "*" or (step and step[1] == "1"):
            return "every minute"
        # A step that does not divide the hour starts again every hour.
        if step and 60 % int(step[1]) == 0:
            return f"every {int(step[1])} minutes"
        return f"every hour, {int(minute)} minutes past" if re.fullmatch(r"\d+", minute) else None
    at = _time(minute, hour)
    if at is None:
        return None
    if weekday == "*":
        return f"every day at {at}"
    if weekday in ("1-5", "MON-FRI"):
        return f"Monday to Friday at {at}"
    name = _day(weekday)
    return f"every {name} at {at}" if name else None


def _time(minute: str, hour: str) -> str | None:
    is_plain = re.fullmatch(r"\d+", minute) and re.fullmatch(r"\d+", hour)
    return f"{int(hour):02}:{int(minute):02}" if is_plain else None


def _day(weekday: str) -> str | None:
    if weekday in _SHORT:
        return _DAYS[_SHORT.index(weekday)]
    return _DAYS[int(weekday)] if re.fullmatch("[0-7]", weekday) else None
