"""The descriptions of columns, filters and options agree with the records that they describe."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import get_args, get_type_hints

from server_jobs.domain import lifecycle
from server_jobs.domain.enqueue_options import ENQUEUE_OPTIONS, TEXT_OPTIONS, EnqueueOptions
from server_jobs.domain.record import (
    EQUAL_FILTERS,
    GIVEN_COLUMNS,
    JOB_COLUMNS,
    TEXT_FILTERS,
    Claim,
    Giver,
    JobFilter,
    JobSummary,
    NewJob,
    Shown,
    record_of,
)
from server_jobs.domain.search import matches
from server_jobs.inspection.job_document import job_document

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPUTED = {"scheduled_for", "start_before"}
NEW = NewJob(id="a", job_name="SendEmail", params="{}")


def test_the_columns_of_the_caller_are_those_of_a_new_job() -> None:
    given = {name for name, one in JOB_COLUMNS.items() if one.given_by is Giver.CALLER}
    assert given == {*GIVEN_COLUMNS, *COMPUTED}
    assert {*NewJob._fields} - {*GIVEN_COLUMNS} == {
        "shard_key",
        "scheduled_for",
        "delay",
        "expires_after",
        "on_conflict",
    }


def test_a_column_of_the_claim_has_a_value_after_the_claim_only() -> None:
    pending = lifecycle.enqueue(NEW, NOW)
    running = lifecycle.claim(
        replace(pending, progress=50), token="t", lease=timedelta(seconds=1), now=NOW, worker_id="w"
    )
    changed = {name for name in JOB_COLUMNS if getattr(pending, name) != getattr(running, name)} | {"progress"}
    assert changed - {"status"} == {name for name, one in JOB_COLUMNS.items() if one.given_by is Giver.CLAIM}


def test_every_part_of_a_claim_is_a_column_or_named_after_one() -> None:
    assert {*Claim._fields} - JOB_COLUMNS.keys() == {"attempt", "token", "due_at"}


def test_a_list_of_jobs_has_every_column_that_is_shown_everywhere() -> None:
    shown = {name for name, one in JOB_COLUMNS.items() if one.shown is Shown.EVERYWHERE}
    assert shown <= {one.name for one in fields(JobSummary)}


def test_a_document_has_every_column_that_is_shown() -> None:
    record = replace(lifecycle.enqueue(NEW, NOW), error_class="ValueError")
    shown = {name for name, one in JOB_COLUMNS.items() if one.shown is not Shown.NOWHERE}
    document = job_document(record)
    assert document.keys() == (shown | {"parked"}) - {"params"}
    assert (document["error_class"], document["created_at"]) == ("ValueError", NOW.isoformat())


def test_every_text_of_a_filter_is_described() -> None:
    texts = {one.name for one in fields(JobFilter) if one.type == "str | None"}
    assert texts == TEXT_FILTERS.keys()
    assert JOB_COLUMNS.keys() >= {*EQUAL_FILTERS}
    assert len({one.option for one in TEXT_FILTERS.values()}) == len(TEXT_FILTERS)


def test_a_filter_by_a_text_finds_jobs_with_that_text_only() -> None:
    record = record_of(vars(lifecycle.enqueue(NEW, NOW)), **dict.fromkeys(EQUAL_FILTERS, "x"))
    for name in EQUAL_FILTERS:
        assert matches(record, JobFilter().with_texts({name: "x"}), NOW), name
        assert not matches(record, JobFilter().with_texts({name: "y"}), NOW), name


def test_every_option_of_an_enqueue_is_described() -> None:
    hints = get_type_hints(EnqueueOptions)
    assert hints.keys() == ENQUEUE_OPTIONS.keys()
    assert {name for name, hint in hints.items() if str in get_args(hint)} == TEXT_OPTIONS.keys()
