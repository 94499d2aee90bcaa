"""Ids that sort by time, reproducible ids, and tokens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.domain.ids import (
    labelled_schedule_id,
    new_batch,
    new_job_id,
    oldest_id,
    schedule_id,
    slot_job_id,
    slot_of,
    token_of,
)

SLOT = datetime(2026, 3, 1, 9, tzinfo=UTC)


def milliseconds_of(job_id: str) -> int:
    return UUID(job_id).int >> 80


def test_a_job_id_is_a_uuid_of_version_7_with_the_time_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    job_id = new_job_id()
    after = time.time_ns() // 1_000_000

    assert (UUID(job_id).version, UUID(job_id).variant) == (7, RFC_4122)
    assert job_id == str(UUID(job_id))
    assert before <= milliseconds_of(job_id) <= after


def test_job_ids_are_all_different_and_ascend_in_the_order_in_which_they_were_made() -> None:
    made = [new_job_id() for _ in range(10_000)]

    assert len(set(made)) == 10_000
    assert sorted(made) == made


def test_a_clock_that_is_set_back_does_not_set_job_ids_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_job_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)

    assert before < new_job_id() < new_job_id()


def test_batches_are_as_long_as_they_are_looked_up_by_and_all_different() -> None:
    batches = {new_batch() for _ in range(10_000)}

    assert len(batches) == 10_000
    assert all(re.fullmatch("[0-9a-f]{32}", batch) for batch in batches)


@given(st.text(), st.text())
def test_the_tokens_of_a_batch_begin_with_it_and_differ_as_its_jobs_do(job_id: str, other: str) -> None:
    batch = new_batch()

    assert token_of(batch, job_id) == batch + job_id
    assert (token_of(batch, job_id) == token_of(batch, other)) == (job_id == other)
    assert token_of(new_batch(), job_id) != token_of(batch, job_id)


@given(st.text(), st.datetimes(datetime.fromisoformat("1970-01-01"), timezones=st.just(UTC)))
def test_the_job_of_a_slot_has_one_id_that_carries_the_time_of_the_slot(schedule: str, slot: datetime) -> None:
    job_id = slot_job_id(schedule, slot)

    assert job_id == slot_job_id(schedule, slot)
    assert (UUID(job_id).version, UUID(job_id).variant) == (7, RFC_4122)
    assert milliseconds_of(job_id) == (slot - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_ids_are_older_or_newer_than_a_time() -> None:
    made = [slot_job_id("s", SLOT + timedelta(milliseconds=n)) for n in (-1, 0, 1)]

    assert [one >= oldest_id(SLOT) for one in made] == [False, True, True]
    assert new_job_id() >= oldest_id(datetime.now(UTC) - timedelta(minutes=1))


def test_a_slot_is_the_same_in_any_time_zone() -> None:
    assert slot_job_id("s", SLOT) == slot_job_id("s", SLOT.astimezone(ZoneInfo("Asia/Kathmandu")))


def test_other_schedules_and_other_slots_have_other_ids() -> None:
    made = {slot_job_id(name, SLOT + timedelta(minutes=n)) for name in ("s", "t", "s\n") for n in range(60)}

    assert len(made) == 180


def test_a_slot_before_1970_has_an_id_too() -> None:
    assert UUID(slot_job_id("s", datetime(1960, 1, 1, tzinfo=UTC))).version == 7


@given(st.text(), st.datetimes(datetime.fromisoformat("1970-01-01"), timezones=st.just(UTC)), st.integers(0, 4095))
def test_the_id_of_a_run_says_its_slot_to_whoever_knows_the_schedule(label: str, slot: datetime, run: int) -> None:
    slot = slot.replace(microsecond=0)
    job_id = slot_job_id(labelled_schedule_id(label), slot, run)

    assert slot_of(job_id, label) == slot
    assert slot_of(job_id, f"{label}2") is None
    assert (job_id == slot_job_id(labelled_schedule_id(label), slot)) == (run == 0)


@given(st.one_of(st.uuids().map(str), st.text(), st.builds(new_job_id), st.just("f" * 32)))
def test_other_ids_have_no_slot(job_id: str) -> None:
    assert slot_of(job_id, "Report/hourly") is None


def test_an_id_in_another_spelling_has_no_slot() -> None:
    job_id = slot_job_id(schedule_id("Report", "hourly"), SLOT)

    assert slot_of(job_id, "Report/hourly") == SLOT
    assert slot_of(job_id.upper(), "Report/hourly") is None


def test_the_id_of_a_slot_never_changes_between_releases() -> None:
    assert slot_job_id("5f4c", SLOT) == "019ca8a0-3e80-7ebc-8021-18c7e866c3ba"


def test_the_id_of_a_schedule_follows_from_its_names_and_never_changes_between_releases() -> None:
    assert schedule_id("DailyDigest", "every-morning") == "7f75cead-1b2f-5044-831d-45b8fd043722"
    assert schedule_id("DailyDigest", "every-morning") != schedule_id("DailyDigest", "every-evening")
    assert schedule_id("DailyDigest", "every-morning") != schedule_id("WeeklyDigest", "every-morning")


def test_ids_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "from datetime import datetime, UTC; from server_jobs.domain.ids import schedule_id, slot_job_id;"
        "print(slot_job_id('s', datetime(2026, 3, 1, 9, tzinfo=UTC)), schedule_id('A', 'b'))"
    )

    printed = {run_with_hash_seed(program, seed) for seed in ("1", "2")}

    assert printed == {f"{slot_job_id('s', SLOT)} {schedule_id('A', 'b')}\n"}


def run_with_hash_seed(program: str, seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
