"""The transitions of the state machine as pure functions, one by one, and its invariants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.domain import lifecycle
from server_jobs.domain.record import (
    Cancelled,
    ClaimRequest,
    Completed,
    Failed,
    Heartbeat,
    JobRecord,
    JobStatus,
    KnownJob,
    NewJob,
    Released,
    Report,
    Settlement,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)

PENDING = lifecycle.enqueue(NewJob(id="a", job_name="SendEmail", params="{}"), NOW)
RUNNING = lifecycle.claim(PENDING, token="t", lease=LEASE, now=NOW)
ASKED_TO_CANCEL = replace(RUNNING, cancel_requested=True)
LAST_ATTEMPT = replace(RUNNING, attempt_count=3)

DONE = Completed(id="a", token="t", result='"done"')
FAILED = Failed(id="a", token="t", error="boom", retry_after=SECOND)
GAVE_UP = Failed(id="a", token="t", error="hopeless", retry_after=None)
RELEASED = Released(id="a", token="t")

FINISHED = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED]


def request(*known: KnownJob, queues: tuple[str, ...] | None = None) -> ClaimRequest:
    return ClaimRequest(known=known or (KnownJob("SendEmail", 1),), limit=1, lease=LEASE, queues=queues)


@pytest.mark.parametrize(
    ("record", "settlement", "status"),
    [
        (RUNNING, DONE, JobStatus.COMPLETED),
        (LAST_ATTEMPT, DONE, JobStatus.COMPLETED),
        (ASKED_TO_CANCEL, DONE, JobStatus.COMPLETED),
        (RUNNING, FAILED, JobStatus.PENDING),
        (LAST_ATTEMPT, FAILED, JobStatus.FAILED),
        (ASKED_TO_CANCEL, FAILED, JobStatus.CANCELLED),
        (RUNNING, GAVE_UP, JobStatus.FAILED),
        (ASKED_TO_CANCEL, GAVE_UP, JobStatus.CANCELLED),
        (RUNNING, RELEASED, JobStatus.PENDING),
        (LAST_ATTEMPT, RELEASED, JobStatus.PENDING),
        (ASKED_TO_CANCEL, RELEASED, JobStatus.CANCELLED),
    ],
)
def test_an_outcome_leads_to_the_status_in_the_table(
    record: JobRecord, settlement: Settlement, status: JobStatus
) -> None:
    settled = lifecycle.settle(record, settlement, NOW + SECOND)

    assert settled.status is status
    assert (settled.fencing_token, settled.worker_expires_at) == (None, None)
    assert settled.completed_at == (NOW + SECOND if status.is_finished else None)
    assert settled.updated_at == NOW + SECOND


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (RUNNING, JobStatus.PENDING),
        (LAST_ATTEMPT, JobStatus.FAILED),
        (ASKED_TO_CANCEL, JobStatus.CANCELLED),
        (replace(LAST_ATTEMPT, cancel_requested=True), JobStatus.CANCELLED),
    ],
)
def test_an_expiry_leads_to_the_status_in_the_table(record: JobRecord, status: JobStatus) -> None:
    due = NOW + timedelta(minutes=1)

    expired = lifecycle.expire(record, due=due, now=NOW + SECOND)

    assert expired.status is status
    assert expired.attempt_count == record.attempt_count
    assert expired.scheduled_for == (due if status is JobStatus.PENDING else record.scheduled_for)
    assert f"attempt {record.attempt_count} of 3" in (expired.error or "")


def test_a_result_is_kept_and_the_error_of_an_earlier_attempt_is_not() -> None:
    settled = lifecycle.settle(replace(RUNNING, error="first try"), DONE, NOW)

    assert (settled.result, settled.error, settled.progress) == ('"done"', None, 100)


def test_a_failure_is_due_again_after_its_delay() -> None:
    settled = lifecycle.settle(RUNNING, FAILED, NOW + LEASE)

    assert (settled.scheduled_for, settled.error, settled.attempt_count) == (NOW + LEASE + SECOND, "boom", 1)


def test_a_release_gives_the_attempt_back() -> None:
    settled = lifecycle.settle(RUNNING, RELEASED, NOW + SECOND)

    assert (settled.attempt_count, settled.scheduled_for) == (0, RUNNING.scheduled_for)


def test_a_release_with_a_delay_is_due_after_it() -> None:
    settled = lifecycle.settle(RUNNING, RELEASED._replace(delay=SECOND), NOW)

    assert (settled.attempt_count, settled.scheduled_for) == (0, NOW + SECOND)


def test_a_handler_that_cancels_ends_the_job_with_its_reason() -> None:
    settled = lifecycle.settle(RUNNING, Cancelled(id=RUNNING.id, token="t", reason="no such customer"), NOW)

    assert (settled.status, settled.error, settled.completed_at) == (JobStatus.CANCELLED, "no such customer", NOW)


def test_a_settlement_brings_the_last_report_along() -> None:
    settled = lifecycle.settle(RUNNING, FAILED._replace(report=Report(40, "row 4")), NOW)

    assert (settled.progress, settled.progress_message) == (40, "row 4")


def test_a_lease_is_over_after_its_last_instant_only() -> None:
    assert not lifecycle.is_expired(RUNNING, NOW + LEASE)
    assert lifecycle.is_expired(RUNNING, NOW + LEASE + timedelta(microseconds=1))
    assert not lifecycle.is_expired(PENDING, NOW + timedelta(days=1))


def test_only_the_newest_claims_token_may_write() -> None:
    assert lifecycle.is_leased(RUNNING, "t")
    assert not lifecycle.is_leased(RUNNING, "another")
    assert not lifecycle.is_leased(PENDING, "t")
    assert not lifecycle.is_leased(replace(RUNNING, status=JobStatus.COMPLETED), "t")


def test_a_job_is_claimable_by_its_name_its_version_and_its_queue() -> None:
    assert lifecycle.is_claimable(PENDING, request(), NOW)
    assert lifecycle.is_claimable(PENDING, request(queues=("default", "slow")), NOW)
    assert not lifecycle.is_claimable(PENDING, request(KnownJob("ImportCsv", 1)), NOW)
    assert not lifecycle.is_claimable(PENDING, request(KnownJob("SendEmail", 2)), NOW)
    assert not lifecycle.is_claimable(PENDING, request(queues=("slow",)), NOW)
    assert not lifecycle.is_claimable(RUNNING, request(), NOW)


def test_a_job_is_due_from_its_due_time_on() -> None:
    assert lifecycle.is_due(PENDING, NOW)
    assert not lifecycle.is_due(replace(PENDING, scheduled_for=NOW + SECOND), NOW)


def test_a_due_time_is_stored_as_given_and_a_delay_from_now() -> None:
    job = NewJob(id="a", job_name="SendEmail", params="{}", delay=SECOND)

    assert lifecycle.enqueue(job, NOW).scheduled_for == NOW + SECOND
    assert lifecycle.enqueue(job._replace(scheduled_for=NOW - LEASE), NOW).scheduled_for == NOW - LEASE


def test_a_heartbeat_changes_only_the_lease_and_the_progress() -> None:
    beat = Heartbeat(id="a", token="t", progress=7, message="row 7")

    renewed = lifecycle.renew(RUNNING, beat, lease=2 * LEASE, now=NOW + SECOND)

    assert renewed == replace(
        RUNNING,
        progress=7,
        progress_message="row 7",
        worker_expires_at=NOW + SECOND + 2 * LEASE,
        updated_at=NOW + SECOND,
    )


def test_a_request_to_cancel_ends_pending_jobs_and_asks_running_ones() -> None:
    assert lifecycle.cancel(PENDING, NOW).status is JobStatus.CANCELLED
    assert lifecycle.cancel(RUNNING, NOW) == ASKED_TO_CANCEL


@pytest.mark.parametrize("status", FINISHED)
def test_a_request_to_cancel_leaves_a_finished_job_as_it_is(status: JobStatus) -> None:
    finished = replace(PENDING, status=status, completed_at=NOW)

    assert lifecycle.cancel(finished, NOW + SECOND) == finished


def test_only_failed_and_cancelled_jobs_are_retryable() -> None:
    retryable = {status for status in JobStatus if lifecycle.is_retryable(replace(PENDING, status=status))}

    assert retryable == {JobStatus.FAILED, JobStatus.CANCELLED}


def test_a_retry_makes_a_job_as_it_was_when_it_was_enqueued() -> None:
    failed = lifecycle.settle(replace(LAST_ATTEMPT, progress=30, progress_message="row 3"), FAILED, NOW + SECOND)

    retried = lifecycle.retry(failed, NOW + LEASE)

    assert retried == replace(PENDING, scheduled_for=NOW + LEASE, updated_at=NOW + LEASE)


moves = st.sampled_from(["claim", "renew", "expire", "cancel", "retry", "wait"]) | st.sampled_from(
    [DONE, FAILED, GAVE_UP, RELEASED]
)


@given(st.lists(moves, max_size=40), st.integers(1, 4))
def test_no_sequence_of_moves_breaks_an_invariant(steps: list[str | Settlement], max_attempts: int) -> None:
    record, now = replace(PENDING, max_attempts=max_attempts), NOW
    for step in steps:
        before, now = record, now + SECOND
        record = move(record, step, now)
        is_running = record.status is JobStatus.RUNNING
        assert (record.fencing_token is not None) == (record.worker_expires_at is not None) == is_running
        assert (record.completed_at is not None) == record.status.is_finished
        assert 0 <= record.attempt_count <= record.max_attempts
        assert 0 <= record.progress <= 100
        if before.status.is_finished:
            assert record == before or step == "retry"
        if is_running:
            assert record.attempt_count >= 1


def move(record: JobRecord, step: str | Settlement, now: datetime) -> JobRecord:
    """Apply a transition where it is allowed, as a store would."""
    held = lifecycle.is_leased(record, "t")
    match step:
        case "claim" if lifecycle.is_claimable(record, request(), now):
            return lifecycle.claim(record, token="t", lease=LEASE, now=now)
        case "renew" if held:
            beat = Heartbeat(id="a", token="t", progress=50, message=None)
            return lifecycle.renew(record, beat, lease=LEASE, now=now)
        case "expire" if held:
            return lifecycle.expire(record, due=now, now=now)
        case "cancel":
            return lifecycle.cancel(record, now)
        case "retry" if lifecycle.is_retryable(record):
            return lifecycle.retry(record, now)
        case Completed() | Failed() | Released() | Cancelled() if held:
            return lifecycle.settle(record, step, now)
        case _:
            return record
