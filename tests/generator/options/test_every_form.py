"""Every option keeps its value in each form: in a spec, as JSON, in `spec.schema.json` and in a job class."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints

import jsonschema
import pytest
import server_jobs
from pydantic import BaseModel, JsonValue
from server_jobs import ConcurrencyLimit, RateLimit, Retention, RetryPolicy, Schedule, define_job
from server_jobs.domain.option_kinds import Length, Whole, check_fields, option
from server_jobs.domain.options import (
    Backoff,
    JobOptions,
    Misfire,
    OnConflict,
    StatedOptions,
)
from server_jobs.errors import InvalidOptionError
from server_jobs_generator.ir.job_facts import options_document
from server_jobs_generator.ir.spec import JobSpec, read_specs
from server_jobs_generator.options.documents import default_json, record_document
from server_jobs_generator.options.expressions import arguments, record_call
from server_jobs_generator.options.schema import spec_schema_text
from server_jobs_generator.options.table import OPTIONS, Compat, flat_options
from server_jobs_generator.python.code import lay_out

from tests.generator.projects import make_project
from tests.generator.spec_projects import a_spec, an_object

HOUR = timedelta(hours=1)
EVERY_OPTION = JobOptions(
    version=2,
    queue="mail",
    priority=-5,
    max_attempts=7,
    timeout=timedelta(seconds=1.5),
    expires_after=HOUR,
    run_in="kubernetes",
    place_options={"image": "shop:2", "resources": {"limits": {"memory": "2Gi"}}},
    retry=RetryPolicy(backoff=Backoff.FIXED, initial=HOUR, maximum=2 * HOUR, jitter=0.5),
    unique_by=("/tenant",),
    on_conflict=OnConflict.REPLACE,
    concurrency=ConcurrencyLimit(limit=2, by=("/tenant",)),
    rate=RateLimit(limit=3, per=HOUR, by=("/tenant", "/to")),
    shard_by="/tenant",
    retention=Retention(completed=HOUR, failed=2 * HOUR, cancelled=3 * HOUR),
    redact=("/to",),
    retired=True,
)
SCHEDULE = Schedule(
    name="daily",
    cron="0 3 * * *",
    timezone="Europe/Berlin",
    misfire=Misfire.FIRE_ALL,
    misfire_limit=3,
    params='{"tenant":"a","to":"b"}',
)
TEXT = {"type": "string"}
PARAMS = {**an_object(tenant=TEXT, to=TEXT), "required": ["tenant"]}


def job_with(root: Path, x_job: JsonValue) -> JobSpec:
    """Return the job of a spec with these options."""
    project = make_project(root, {"case": a_spec(PARAMS, **{"x-job": x_job})})
    found = read_specs(project.root, project.path("specs"))
    assert found.problems == ()
    return found.jobs[0]


def in_python(record: object) -> Any:
    """Return the value of the Python text of a record."""
    return eval(lay_out(record_call(record), 0, 0), {**_public_names(), "timedelta": timedelta})


def _public_names() -> dict[str, object]:
    return {name: getattr(server_jobs, name) for name in server_jobs.__all__}


def test_the_example_has_every_option_with_another_value_than_its_default() -> None:
    for record in (EVERY_OPTION, SCHEDULE):
        assert arguments(record).keys() == set(type(record).__slots__)


def test_every_field_of_job_options_is_described() -> None:
    assert {one.name for one in flat_options(JobOptions)} == {*JobOptions.__slots__} - {"place_options"}
    assert all(one.words for one in OPTIONS.values())


def test_a_spec_gives_the_same_options(tmp_path: Path) -> None:
    assert job_with(tmp_path / "options", options_document(EVERY_OPTION)).options == EVERY_OPTION
    scheduled = job_with(tmp_path / "schedules", {"schedules": [record_document(SCHEDULE)]})
    assert scheduled.schedules == (SCHEDULE,)


def test_a_job_class_gives_the_same_options() -> None:
    assert in_python(EVERY_OPTION) == EVERY_OPTION
    assert in_python(SCHEDULE) == SCHEDULE
    assert in_python(JobOptions()) == JobOptions()


def test_the_schema_for_editors_accepts_the_same_options() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(spec_schema_text()))
    validator.validate({"x-job": {**options_document(EVERY_OPTION), "schedules": [record_document(SCHEDULE)]}})
    wrong: list[JsonValue] = [{"priority": 101}, {"maxAttemps": 1}, {"unique": {}}, {"image": "a b"}, {"timeout": "1s"}]
    assert [one for one in wrong if validator.is_valid({"x-job": one})] == []


def test_a_stated_default_is_the_default_without_it(tmp_path: Path) -> None:
    stated = {key: default for key, one in OPTIONS.items() if (default := default_json(one)) is not None}
    assert stated == {
        "version": 1,
        "queue": "default",
        "priority": 0,
        "maxAttempts": 3,
        "runIn": "worker",
        "status": "active",
        "view": True,
    }
    job = job_with(tmp_path, {**stated, "retry": record_document(RetryPolicy()), "compat": record_document(Compat())})
    assert (job.options, job.compat, job.has_view) == (JobOptions(), Compat(), True)


def test_define_job_takes_each_option_with_its_type() -> None:
    assert get_type_hints(StatedOptions) == get_type_hints(JobOptions)

    class Text_(BaseModel):
        text: str

    shared = JobOptions(queue="mail", priority=3)
    job = define_job(
        name="Send", params=Text_, result=NoneType, handler=lambda params, context: None, options=shared, priority=5
    )
    assert job.options == JobOptions(queue="mail", priority=5)
    with pytest.raises(InvalidOptionError, match=r"there is no option 'max_attemps'; did you mean 'max_attempts'\?"):
        define_job(name="Send", params=Text_, result=NoneType, handler=print, max_attemps=5)  # type: ignore[call-arg]
    with pytest.raises(InvalidOptionError, match="priority must be between -100 and 100, not 101"):
        define_job(name="Send", params=Text_, result=NoneType, handler=print, priority=101)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Options of an option."""

    length: timedelta = field(metadata=option(Length(timedelta(seconds=1), HOUR), "How long it is."))
    most: int = field(default=5, metadata=option(Whole(1, 9)))

    def __post_init__(self) -> None:
        check_fields(self, "window.")


def test_a_record_checks_what_callers_in_python_pass() -> None:
    with pytest.raises(InvalidOptionError, match=r"window\.most must be between 1 and 9, not 10"):
        Window(length=HOUR, most=10)
    with pytest.raises(InvalidOptionError, match=r"window\.length must be a timedelta, not 3"):
        Window(length=3)  # type: ignore[arg-type]
    assert JobOptions(on_conflict="keep").on_conflict is OnConflict.KEEP  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"queue must have at most 100 characters, and 'a{40}'… has 101"):
        JobOptions(queue="a" * 101)
