"""The options of a job as JSON, in the terms of `x-job`, with defaults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from pydantic import JsonValue
from server_jobs.domain.options import JobOptions, Misfire, Retention, Schedule

from ..lint.option_values import Status
from .spec import JobSpec


def job_facts(job: JobSpec) -> dict[str, JsonValue]:
    """Return the value of `x-job` with all options, except those whose default is their absence."""
    return {"specName": job.spec_name, **options_document(job.options, job.schedules)}


def options_document(options: JobOptions, schedules: Sequence[Schedule] = ()) -> dict[str, JsonValue]:
    """Return these options as the value of `x-job`, except those whose default is their absence."""
    facts: dict[str, JsonValue] = {
        "version": options.version,
        "queue": options.queue,
        "priority": options.priority,
        "maxAttempts": options.max_attempts,
        "runIn": options.run_in,
        "retry": {
            "backoff": str(options.retry.backoff),
            "initial": duration(options.retry.initial),
            "max": duration(options.retry.maximum),
            "jitter": options.retry.jitter,
        },
    }
    facts |= options.place_options
    if options.timeout is not None:
        facts["timeout"] = duration(options.timeout)
    if options.expires_after is not None:
        facts["expiresAfter"] = duration(options.expires_after)
    if options.unique_by is not None:
        facts["unique"] = {"by": list(options.unique_by), "onConflict": str(options.on_conflict)}
    if options.shard_by is not None:
        facts["shardBy"] = options.shard_by
    if options.retired:
        facts["status"] = str(Status.RETIRED)
    facts |= _limits(options)
    if options.retention != Retention():
        facts["retention"] = _retention(options.retention)
    if options.redact:
        facts["redact"] = list(options.redact)
    if schedules:
        facts["schedules"] = [_schedule(schedule) for schedule in schedules]
    return facts


def duration(value: timedelta) -> str:
    """Return a duration in ISO 8601, in days and smaller units: `P1DT12H`, `PT0.25S`."""
    seconds, fraction = value.seconds, value.microseconds
    hours, minutes = seconds // 3600, seconds // 60 % 60
    rest = f"{seconds % 60}.{fraction:06d}".rstrip("0").rstrip(".")
    time = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{rest}S" * (rest != "0")
    return f"P{value.days}D{'T' * bool(time)}{time}" if value.days else f"PT{time or '0S'}"


def _limits(options: JobOptions) -> dict[str, JsonValue]:
    limits: dict[str, JsonValue] = {}
    if options.concurrency is not None:
        limits["concurrency"] = {"limit": options.concurrency.limit, "by": list(options.concurrency.by)}
    if options.rate is not None:
        rate = options.rate
        limits["rate"] = {"limit": rate.limit, "per": duration(rate.per), "by": list(rate.by)}
    return limits


def _retention(retention: Retention) -> dict[str, JsonValue]:
    lengths = {"completed": retention.completed, "failed": retention.failed, "cancelled": retention.cancelled}
    return {name: duration(length) for name, length in lengths.items() if length is not None}


def _schedule(schedule: Schedule) -> JsonValue:
    facts: dict[str, JsonValue] = {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "misfire": str(schedule.misfire),
        "params": json.loads(schedule.params),
    }
    if schedule.misfire == Misfire.FIRE_ALL and schedule.misfire_limit is not None:
        facts["misfireLimit"] = schedule.misfire_limit
    return facts
