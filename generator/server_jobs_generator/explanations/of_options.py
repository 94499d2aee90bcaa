"""Why something in `x-job` is refused."""

from __future__ import annotations

from ..problems.spec_rules import (
    CRON_INVALID,
    DURATION_INVALID,
    OPTION_MISSING,
    OPTION_UNKNOWN,
    OPTION_VALUE,
    OPTION_WITHOUT_EFFECT,
    POINTER_UNRESOLVED,
    SCHEDULE_PARAMS_DO_NOT_FIT,
    TIMEZONE_UNKNOWN,
)
from .explanation import Example, Explanation

JOB = "/x-job"

EXPLANATIONS = (
    Explanation(
        OPTION_UNKNOWN,
        "A misspelt option would have no effect, and the job would run with the default.",
        Example(JOB, '{"maxRetries": 3}', '{"maxAttempts": 3}'),
    ),
    Explanation(
        OPTION_VALUE,
        "Options are checked where they are written, so that no worker meets one that it cannot follow. The message "
        "says what the value may be.",
        Example(JOB, '{"priority": "high"}', '{"priority": 10}'),
    ),
    Explanation(
        OPTION_MISSING,
        "Half of an option has no meaning: a rate needs a number of starts and a time, a limit its number, a schedule "
        "its name and its cron expression.",
        Example(JOB, '{"rate": {"limit": 100}}', '{"rate": {"limit": 100, "per": "PT1M"}}'),
    ),
    Explanation(
        OPTION_WITHOUT_EFFECT,
        "The option is only read together with another one. misfireLimit bounds how many missed runs are made up for, "
        "and only fire_all makes up for them all.",
        Example(
            JOB,
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "misfireLimit": 5}]}',
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "misfire": "fire_all", "misfireLimit": 5}]}',
        ),
    ),
    Explanation(
        DURATION_INVALID,
        "Durations are those of ISO 8601 with weeks, days, hours, minutes and seconds. Months and years have no fixed "
        "length, and a bare number would not say its unit.",
        Example(JOB, '{"timeout": "30s"}', '{"timeout": "PT30S"}'),
    ),
    Explanation(
        CRON_INVALID,
        "A schedule is a cron expression of five fields: minute, hour, day of the month, month, day of the week. One "
        "that never fires, such as 31 February, is refused too.",
        Example(
            JOB,
            '{"schedules": [{"name": "nightly", "cron": "@daily"}]}',
            '{"schedules": [{"name": "nightly", "cron": "0 0 * * *"}]}',
        ),
    ),
    Explanation(
        TIMEZONE_UNKNOWN,
        "Time zones are named as in the IANA database, which knows when clocks change: mostly by a continent and a "
        "city. An offset such as +02:00 does not say that, and an abbreviation such as IST stands for several zones; a "
        "few old ones, such as CET, are in the database and are accepted.",
        Example(
            JOB,
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berln"}]}',
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}]}',
        ),
    ),
    Explanation(
        POINTER_UNRESOLVED,
        "unique, concurrency, rate and redact name values by JSON pointers into params. One that leads to nothing "
        "would make all jobs look alike, or leave a secret in the logs.",
        Example(JOB, '{"unique": {"by": ["/too"]}}', '{"unique": {"by": ["/to"]}}'),
    ),
    Explanation(
        SCHEDULE_PARAMS_DO_NOT_FIT,
        "A schedule enqueues its job with these params, or with {} where it states none. They are checked now and not "
        "at three in the morning.",
        Example(
            JOB,
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "params": {"to": 3}}]}',
            '{"schedules": [{"name": "nightly", "cron": "0 3 * * *", "params": {"to": "ann"}}]}',
        ),
    ),
)
