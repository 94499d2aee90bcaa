"""The options of a job as JSON, in the terms of `x-job`, with defaults."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from server_jobs.domain.options import JobOptions, Schedule

from ..options.documents import record_document
from ..options.table import SpecOptions
from .spec import JobSpec


def job_facts(job: JobSpec) -> dict[str, JsonValue]:
    """Return the value of `x-job` with the options of the runtime, except those whose default is their absence."""
    return {"specName": job.spec_name, **options_document(job.options, job.schedules)}


def options_document(options: JobOptions, schedules: Sequence[Schedule] = ()) -> dict[str, JsonValue]:
    """Return these options as the value of `x-job`, except those whose default is their absence."""
    others = record_document(SpecOptions(schedules=tuple(schedules)))
    places = dict(options.place_options)
    return {**record_document(options), **places, **{key: value for key, value in others.items() if key == "schedules"}}
