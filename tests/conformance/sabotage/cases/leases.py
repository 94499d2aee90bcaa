"""A lease is valid to its last instant. Only jobs whose lease is over expire."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from server_jobs.domain.lifecycle import renew
from server_jobs.domain.record import ClaimRequest, Heartbeat, JobRecord

from tests.conformance.suite import test_leases, test_reading

from .case import Case, instead_of, without

_IS_OVER = "worker_expires_at < {now}"


def asked_for_anything(record: JobRecord, request: ClaimRequest) -> bool:
    return True


def renew_without_lease(record: JobRecord, heartbeat: Heartbeat, *, lease: timedelta, now: datetime) -> JobRecord:
    return replace(renew(record, heartbeat, lease=lease, now=now), worker_expires_at=record.worker_expires_at)


def expired_at_the_last_instant(record: JobRecord, now: datetime) -> bool:
    return record.worker_expires_at is not None and record.worker_expires_at <= now


CASES = [
    Case(
        "lease strictness",
        noticed_by=test_leases.test_a_lease_lasts_up_to_and_including_its_last_instant,
        sqlite=without(_IS_OVER, "ANY_OVERDUE", "EXPIRE", instead="worker_expires_at <= {now}"),
        postgresql=without(_IS_OVER, "EXPIRE", instead="worker_expires_at <= {now}"),
        memory=instead_of("is_expired", expired_at_the_last_instant),
    ),
    Case(
        "lease renewal",
        noticed_by=test_leases.test_a_renewed_job_does_not_expire,
        sqlite=without("worker_expires_at = {now} + :lease, ", "RENEW"),
        postgresql=without(
            "worker_expires_at = {now} + CAST(:lease AS bigint) * interval '1 millisecond', ",
            "RENEW",
            instead="worker_expires_at = worker_expires_at + 0 * CAST(:lease AS bigint) * interval '1 millisecond', ",
        ),
        memory=instead_of("renew", renew_without_lease),
    ),
    Case(
        "claims that the caller still runs",
        noticed_by=test_leases.test_claims_that_the_caller_still_runs_are_left_alone_and_others_expire,
        sqlite=without("AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))", "EXPIRE"),
        postgresql=without(
            "AND fencing_token <> ALL(ARRAY(SELECT json_array_elements_text(CAST(:except_for AS json))))",
            "EXPIRE",
            instead="AND CAST(:except_for AS json) IS NOT NULL",
        ),
    ),
    Case(
        "expiry of those alone whose lease is over",
        noticed_by=test_leases.test_only_the_jobs_whose_lease_ran_out_expire,
        sql=without(_IS_OVER, "EXPIRE", instead="true"),
    ),
    Case(
        "the first of all leases that end",
        noticed_by=test_reading.test_the_wait_for_the_end_of_the_next_lease_is_known,
        sql=without("worker_expires_at LIMIT 1", "UPCOMING_WORK", instead="worker_expires_at DESC LIMIT 1"),
    ),
    Case(
        "leases of the requested jobs alone",
        noticed_by=test_reading.test_the_wait_for_the_end_of_the_next_lease_is_known,
        memory=instead_of("is_asked", asked_for_anything),
    ),
]
