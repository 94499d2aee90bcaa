"""The schema for editors and the lint agree on keys, choices and bounds."""

from __future__ import annotations

import json
from typing import Any

from server_jobs.contract.formats import FORMATS
from server_jobs.domain.options import HIGHEST_LIMIT, HIGHEST_MISFIRE_LIMIT, JobOptions, Misfire, Schedule
from server_jobs.domain.retry import Backoff, RetryPolicy
from server_jobs.isolation.place_kinds import place_names
from server_jobs_generator.contracts.judge import DEFAULT_COMPAT
from server_jobs_generator.lint.job_lint import FRAME, PARTS
from server_jobs_generator.lint.option_values import BreakSeverity, Status, read_duration
from server_jobs_generator.lint.options_lint import (
    COMPAT,
    CONCURRENCY,
    OPTIONS,
    RATE,
    RETENTION,
    RETRY,
    SCHEDULE,
)
from server_jobs_generator.lint.spec_schema import spec_schema
from server_jobs_generator.read.keywords import KNOWN, TYPES
from server_jobs_generator.read.spec_forms import JOBS
from server_jobs_kubernetes.pod_options import SCHEMAS

SCHEMA: dict[str, Any] = spec_schema()
DEFINITIONS = SCHEMA["$defs"]
JOB = DEFINITIONS["job"]["properties"]


def test_the_top_of_a_spec_has_the_same_keys() -> None:
    assert SCHEMA["properties"].keys() == {*FRAME, *PARTS, JOBS}


def test_a_schema_has_the_same_keywords_types_and_formats() -> None:
    keywords = DEFINITIONS["schema"]["anyOf"][1]["properties"]
    assert keywords.keys() == KNOWN
    assert tuple(DEFINITIONS["type"]["enum"]) == TYPES
    assert set(keywords["format"]["anyOf"][0]["enum"]) == FORMATS.keys()


def test_the_options_have_the_same_keys_and_choices() -> None:
    assert JOB.keys() == {*OPTIONS, *SCHEMAS}
    assert JOB["retry"]["properties"].keys() == RETRY.keys()
    assert JOB["concurrency"]["properties"].keys() == CONCURRENCY.keys()
    assert JOB["rate"]["properties"].keys() == RATE.keys()
    assert JOB["retention"]["properties"].keys() == RETENTION.keys()
    assert JOB["concurrency"]["properties"]["limit"]["maximum"] == JOB["rate"]["properties"]["limit"]["maximum"]
    assert JOB["rate"]["properties"]["limit"]["maximum"] == HIGHEST_LIMIT
    assert DEFINITIONS["schedule"]["properties"].keys() == SCHEDULE.keys()
    assert JOB["retry"]["properties"]["backoff"]["enum"] == list(Backoff)
    assert JOB["runIn"]["enum"] == [*place_names()]
    assert JOB["status"]["enum"] == list(Status)
    assert JOB["compat"]["properties"].keys() == COMPAT.keys()
    assert DEFINITIONS["gravity"]["enum"] == list(BreakSeverity)
    assert DEFINITIONS["schedule"]["properties"]["misfire"]["enum"] == list(Misfire)
    assert DEFINITIONS["schedule"]["properties"]["misfireLimit"]["maximum"] == HIGHEST_MISFIRE_LIMIT


def test_the_defaults_are_those_of_the_runtime() -> None:
    options, retry, schedule = JobOptions(), RetryPolicy(), Schedule(name="", cron="")
    assert (JOB["version"]["default"], JOB["queue"]["default"]) == (options.version, options.queue)
    assert (JOB["priority"]["default"], JOB["maxAttempts"]["default"]) == (options.priority, options.max_attempts)
    assert JOB["runIn"]["default"] == options.run_in
    assert (JOB["status"]["default"] == "retired") == options.retired
    stated = {key: value["default"] for key, value in JOB["compat"]["properties"].items()}
    assert stated == {direction.value: grave for direction, grave in DEFAULT_COMPAT.items()}
    stated = {key: value["default"] for key, value in JOB["retry"]["properties"].items()}
    assert stated["backoff"] == retry.backoff
    assert stated["jitter"] == retry.jitter
    assert read_duration(stated["initial"]) == retry.initial
    assert read_duration(stated["max"]) == retry.maximum
    stated = {key: value.get("default") for key, value in DEFINITIONS["schedule"]["properties"].items()}
    assert (stated["timezone"], stated["misfire"]) == (schedule.timezone, schedule.misfire)
    assert json.dumps(stated["params"]) == schedule.params


def test_every_reference_leads_somewhere() -> None:
    def references(value: object) -> list[str]:
        match value:
            case dict():
                own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
                return own + [found for item in value.values() for found in references(item)]
            case list():
                return [found for item in value for found in references(item)]
            case _:
                return []

    found = references(SCHEMA)
    assert found
    assert {reference.removeprefix("#/$defs/") for reference in found} <= DEFINITIONS.keys()
