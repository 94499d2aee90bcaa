"""Finished jobs do not change, and a request to cancel is delivered once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

from server_jobs.domain.lifecycle import retry, settle
from server_jobs.domain.record import JobRecord, JobStatus, Settlement
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.suite import test_cancel_and_retry, test_leases, test_settle

from .case import Case, instead_of, without


def settle_deaf_to_cancel(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return settle(replace(record, cancel_requested=False), settlement, now)


def retry_still_cancelled(record: JobRecord, now: datetime) -> JobRecord:
    return replace(retry(record, now), cancel_requested=True)


CASES = [
    Case(
        "a finished job is left alone by cancel",
        noticed_by=partial(test_settle.test_a_finished_job_never_changes_by_itself, status=JobStatus.FAILED),
        sql=without(
            f" AND (status IN ('pending', 'running') OR {statements_of('sqlite').fragments['parked']})", "CANCEL"
        ),
    ),
    Case(
        "only failed and cancelled jobs are put back",
        noticed_by=test_cancel_and_retry.test_only_failed_and_cancelled_jobs_can_be_retried,
        sql=without(" AND status IN ('failed', 'cancelled')", "RETRY"),
    ),
    Case(
        "cancel flag in settle",
        noticed_by=test_settle.test_a_failed_attempt_of_a_job_that_was_asked_to_cancel_cancels_it,
        sql=without("WHEN cancel_requested THEN 'cancelled' ", "SETTLE"),
        memory=instead_of("settle", settle_deaf_to_cancel),
    ),
    Case(
        "cancel flag in expire",
        noticed_by=test_leases.test_an_expired_job_that_was_asked_to_cancel_is_cancelled,
        sql=without("WHEN cancel_requested THEN 'cancelled' ", "EXPIRE"),
    ),
    Case(
        "cancel flag in renew",
        noticed_by=test_cancel_and_retry.test_a_running_job_is_asked_to_stop_and_learns_it_with_its_heartbeat,
        sqlite=without("RETURNING id, cancel_requested", "RENEW", instead="RETURNING id, false AS cancel_requested"),
        postgresql=without(
            "RETURNING jobs.id, cancel_requested", "RENEW", instead="RETURNING jobs.id, false AS cancel_requested"
        ),
    ),
    Case(
        "cancel flag cleared by retry",
        noticed_by=test_cancel_and_retry.test_a_retried_job_is_not_cancelled_by_the_request_of_its_last_life,
        sql=without("cancel_requested = false, ", "RETRY"),
        memory=instead_of("retry", retry_still_cancelled),
    ),
]
