"""The schema of a schedule."""

from __future__ import annotations

from server_jobs.domain.options import Misfire, ScheduleSource

from ..schema_parts import MOMENT_OR_NULL, TEXT, TEXT_OR_NULL, Schema

SCHEDULE: dict[str, Schema] = {
    "job_name": {**TEXT, "description": "The job that the schedule enqueues."},
    "name": {**TEXT, "description": "The name of the schedule, unique within its job."},
    "source": {"enum": [str(one) for one in ScheduleSource], "description": "Declared in code, or added at run time."},
    "enabled": {"type": "boolean", "description": "False: the schedule is paused."},
    "cron": {**TEXT, "description": "Five fields: minute, hour, day of month, month, day of week."},
    "timezone": {**TEXT, "description": "The IANA time zone in which the expression is read."},
    "misfire": {
        "enum": [str(one) for one in Misfire],
        "description": "What happens to slots that passed while no worker ran.",
    },
    "misfire_limit": {
        "type": ["integer", "null"],
        "description": "With fire_all, how many passed slots fire. Null: all of them.",
    },
    "last_run_at": {**MOMENT_OR_NULL, "description": "The last slot that fired."},
    "next_run_at": {**MOMENT_OR_NULL, "description": "The next slot. Null until a worker has computed it."},
    "last_job_id": {**TEXT_OR_NULL, "description": "The id of the job of the last slot."},
}
