"""Calls of statements: a text with the time of the database, and records as its parameters.

Times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from pydantic_core import PydanticSerializationError, to_json

from ...domain.clock import Clock
from ...domain.ids import BATCH_LENGTH
from ...domain.interfaces import Database, Statement, Value
from ...domain.record import (
    EVERY_JOB,
    GIVEN_COLUMNS,
    SHARED_COLUMNS,
    TEXT_FILTERS,
    Cancelled,
    ClaimRequest,
    Completed,
    Declaration,
    Failed,
    Heartbeat,
    JobFilter,
    KnownJob,
    NewJob,
    PruneRule,
    Released,
    ScheduleRecord,
    Settlement,
)
from ...domain.record.reports import TICK_REPORT_INTERVAL, WorkerReport
from .dialect import dialect_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_BYTES = 1_000_000  # per parameter; some databases accept no more than 2,000,000
_CHEAP_STATEMENTS = ("sqlite", "postgresql")  # the others send or count each statement
LONG_TEXT = 16_000  # characters; escaping and parsing more costs more than a statement
_NO_KEYS = (None, None, None)
_given: Callable[[NewJob], tuple[Value, ...]] = attrgetter(*GIVEN_COLUMNS)
_shared: Callable[[NewJob], tuple[Value, ...]] = attrgetter(*SHARED_COLUMNS)
_MILLISECOND = timedelta(milliseconds=1)

BoundCall = tuple[Statement, Mapping[str, Value]]
MakeCall = Callable[..., BoundCall]


def filled(statement: Statement, **parts: str) -> Statement:
    """Return the statement with these parts."""
    sql = statement.sql
    for name, part in parts.items():
        sql = sql.replace(f"{{{name}}}", part)
    return replace(statement, sql=sql)


class CallMaker:
    """The calls of one database, with its time. In tests, `clock` replaces the time."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database_now = database.now
        self._given_now = dialect_of(database).statements.fragments["given_now"]
        self._clock = clock
        self._made: dict[tuple[str, bool, bool], Statement] = {}

    def call(self, statement: Statement, **parameters: Value) -> BoundCall:
        """Return the call of a statement."""
        return self._bound(statement, parameters)

    def waiting_call(self, statement: Statement, **parameters: Value) -> BoundCall:
        """Like `call`, and mark the statement as one that may wait for locks of other transactions."""
        return self._bound(statement, parameters, may_wait=True)

    def call_at(self, now: Value) -> MakeCall:
        """Return a function like `call`, for statements that all take this time of the database for the present.

        For statements of one transaction that must agree, for example on the leases that are over.
        """

        def call(statement: Statement, **parameters: Value) -> BoundCall:
            return self._bound(statement, {**parameters, "now": now}, has_time=True)

        return call

    def _bound(
        self, statement: Statement, parameters: dict[str, Value], *, may_wait: bool = False, has_time: bool = False
    ) -> BoundCall:
        if self._clock is not None and not has_time:
            parameters["now"] = timestamp(self._clock.now())
        key = statement.sql, may_wait, has_time
        made = self._made.get(key)
        if made is None:
            now = self._given_now if has_time or self._clock is not None else self._database_now
            made = self._made[key] = replace(
                statement, sql=statement.sql.replace("{now}", now), may_wait=may_wait or statement.may_wait
            )
        return made, parameters


def json_of(value: object) -> str:
    """Return a list as one JSON parameter."""
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # for a lone surrogate, which the database rejects
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_lists(rows: Sequence[object]) -> Iterator[str]:
    """Like `json_of`, in several texts if one would be too long. A row is never divided; see `is_large`."""
    text = json_of(rows)
    if len(rows) < 2 or not _is_too_long(text):
        yield text
    else:
        half = len(rows) // 2
        yield from json_lists(rows[:half])
        yield from json_lists(rows[half:])


def json_objects(rows: Mapping[str, object]) -> Iterator[str]:
    """Like `json_lists`, for rows by job id."""
    text = json_of(rows)
    if len(rows) < 2 or not _is_too_long(text):
        yield text
    else:
        items = list(rows.items())
        half = len(items) // 2
        yield from json_objects(dict(items[:half]))
        yield from json_objects(dict(items[half:]))


def is_large(text: str, database: str) -> bool:
    """Whether a text needs its own parameter, instead of a place inside JSON.

    Necessary for a text that is too long for JSON, and cheaper for a long text if another statement costs little.
    """
    if database in _CHEAP_STATEMENTS:
        return len(text) >= LONG_TEXT
    return len(text) > _MOST_BYTES // 4 and _is_too_long(json_of(text))


def _is_too_long(text: str) -> bool:
    return len(text) > _MOST_BYTES // 4 and len(text.encode(errors="surrogatepass")) > _MOST_BYTES


def new_job_row(job: NewJob) -> dict[str, Value]:
    """Return a new job as parameters, or as an element of the parameter `jobs`."""
    return {**dict(zip(GIVEN_COLUMNS, _given(job), strict=True)), **_times(job)}


def shared_parameters(job: NewJob) -> dict[str, Value]:
    """Return the shared fields of the jobs of one call, as parameters. Jobs with equal ones share a statement."""
    return {**dict(zip(SHARED_COLUMNS, _shared(job), strict=True)), **_times(job)}


def _times(job: NewJob) -> dict[str, Value]:
    return {
        "scheduled_for": None if job.scheduled_for is None else timestamp(job.scheduled_for),
        "delay": milliseconds(job.delay),
        "expires_after": None if job.expires_after is None else milliseconds(job.expires_after),
    }


def own_values(jobs: Sequence[NewJob]) -> dict[str, str | tuple[str | None, ...]]:
    """Return the other fields of jobs by id, as the parameter `jobs`. The first job with an id wins."""
    values = _values_by_id(jobs)
    return values if len(values) == len(jobs) else values | _values_by_id(jobs[::-1])


def _values_by_id(jobs: Sequence[NewJob]) -> dict[str, str | tuple[str | None, ...]]:
    return {job.id: job.params if job[2:5] == _NO_KEYS else (job.params, *job[2:5]) for job in jobs}


def new_job_lists(jobs: Sequence[NewJob]) -> dict[str, Value]:
    """Return the other fields of jobs as a list for each, or None if no job has the field."""
    return {
        "ids": [job.id for job in jobs],
        "params": [job.params for job in jobs],
        "unique_keys": _list_of([job.unique_key for job in jobs]),
        "concurrency_keys": _list_of([job.concurrency_key for job in jobs]),
        "rate_keys": _list_of([job.rate_key for job in jobs]),
    }


def _list_of(texts: list[str | None]) -> list[str | None] | None:
    return None if texts.count(None) == len(texts) else texts


def parts_of(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Yield jobs for one statement each, so that its params are not too long."""
    if len(jobs) < 2 or sum([len(job.params) for job in jobs]) <= _MOST_BYTES:
        yield jobs
    else:
        half = len(jobs) // 2
        yield from parts_of(jobs[:half])
        yield from parts_of(jobs[half:])


def request_parameters(request: ClaimRequest) -> dict[str, Value]:
    """Return the jobs and queues of a request, as the parameters `known` and `queues`."""
    return {
        "known": json_of([_known_row(job) for job in request.known]),
        "queues": None if request.queues is None else json_of(list(request.queues)),
    }


def _known_row(job: KnownJob) -> tuple[Value, ...]:
    """Return an element of the parameter `known`.

    Name, version, concurrency limit, rate limit, the rate's period, and whether each of the limits has a single key.
    """
    concurrency, rate = job.concurrency, job.rate
    return (
        job.name,
        job.version,
        None if concurrency is None else concurrency.limit,
        None if rate is None else rate.limit,
        None if rate is None else milliseconds(rate.per),
        int(concurrency is not None and not concurrency.by),
        int(rate is not None and not rate.by),
    )


def schedule_row(schedule: ScheduleRecord) -> dict[str, Value]:
    """Return a declared schedule as an element of the parameter `schedules`."""
    return {
        "id": schedule.id,
        "job_name": schedule.job_name,
        "name": schedule.name,
        "cron_expression": schedule.cron_expression,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire,
        "misfire_limit": schedule.misfire_limit,
        "params": schedule.params,
        "enabled": schedule.enabled,
        "source": schedule.source,
        "spec_version": schedule.spec_version,
    }


def declaration_row(declaration: Declaration) -> dict[str, Value]:
    """Return an element of the parameter `sets`."""
    return {
        "job_name": declaration.job_name,
        "fingerprint": declaration.fingerprint,
        "has_schedules": int(bool(declaration.schedules)),
    }


def prune_rules(rules: Sequence[PruneRule]) -> str:
    """Return the parameter `rules`: ages by status and job name; `*` stands for all names."""
    ages: dict[str, int] = {}
    for rule in rules:
        key, age = f"{rule.status} {rule.job_name or '*'}", milliseconds(rule.age)
        ages[key] = min(age, ages.get(key, age))
    return json_of(ages)


def heartbeat_row(beat: Heartbeat) -> dict[str, Value]:
    """Return a heartbeat as its value in the parameter `items`."""
    return {"token": beat.token, "progress": beat.progress, "message": beat.message}


def plain_results(batch: Sequence[Settlement]) -> dict[str, str]:
    """Return the completed attempts without a report, by job id, as their values in the parameter `items`.

    Leave out a token that no claim of the job can have.
    """
    return {
        one.id: one.token[:BATCH_LENGTH] + one.result
        for one in batch
        if isinstance(one, Completed) and one.report is None and one.token[BATCH_LENGTH:] == one.id
    }


def outcome_row(settlement: Settlement) -> dict[str, Value]:
    """Return a settlement as its value in the parameter `items`."""
    common: dict[str, Value] = {"token": settlement.token}
    if settlement.report is not None:
        common |= {"progress": settlement.report.progress, "message": settlement.report.message}
    match settlement:
        case Completed(result=result):
            return {**common, "kind": "completed", "result": result}
        case Failed(error=error, retry_after=delay):
            common |= {"kind": "failed", "error": error, "delay": _milliseconds_or_none(delay)}
        case Released(delay=delay):
            common |= {"kind": "released", "delay": _milliseconds_or_none(delay)}
        case Cancelled(reason=reason):
            common |= {"kind": "cancelled", "error": reason}
    if settlement.ended is not None:
        outcome, error_class, traceback = settlement.ended
        common |= {"ended": outcome, "error_class": error_class, "traceback": traceback}
    return common


def outcome_parameters(settlement: Settlement) -> dict[str, Value]:
    """Return a settlement as parameters of its own statement."""
    nothing: dict[str, Value] = dict.fromkeys(("result", "error", "error_class", "delay", "progress", "message"))
    return {**nothing, **outcome_row(settlement), "id": settlement.id}


def worker_parameters(report: WorkerReport) -> dict[str, Value]:
    """Return the report of a worker as parameters."""
    return {
        "id": report.id,
        "host": report.host,
        "pid": report.pid,
        "queues": None if report.queues is None else json_of(report.queues),
        "concurrency": report.concurrency,
        "version": report.version,
        "known": json_of(report.known),
    }


def tick_parameters(report: WorkerReport | None) -> dict[str, Value]:
    """Return the parameters that say whether the report of a tick is due."""
    return {
        "tick_id": "" if report is None else report.id,
        "tick_known": "" if report is None else json_of(report.known),
        "tick_interval": milliseconds(TICK_REPORT_INTERVAL),
    }


def milliseconds(duration: timedelta) -> int:
    """Return a duration as SQL uses it."""
    return duration // _MILLISECOND


def _milliseconds_or_none(duration: timedelta | None) -> int | None:
    return None if duration is None else milliseconds(duration)


def timestamp(moment: datetime) -> int:
    """Return a time as it is stored."""
    return (moment - EPOCH) // _MILLISECOND


def filter_parameters(wanted: JobFilter) -> dict[str, Value]:
    """Return the parameters of `matches` in the `.sql` files, the condition of a filter."""
    older_than, newer_than = wanted.older_than, wanted.newer_than
    return {
        "statuses": None if wanted.statuses is None else json_of(wanted.statuses),
        "queues": None if wanted.queues is None else json_of(wanted.queues),
        **{name: getattr(wanted, name) for name in TEXT_FILTERS},
        "spec_version": wanted.spec_version,
        "older_than": None if older_than is None else milliseconds(older_than),
        "newer_than": None if newer_than is None else milliseconds(newer_than),
        "parked": int(wanted.parked),
    }


NO_FILTER: Mapping[str, Value] = filter_parameters(EVERY_JOB)
