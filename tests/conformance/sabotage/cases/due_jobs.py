"""A claim takes only due jobs, of known versions, from queues that are not paused."""

from __future__ import annotations

from datetime import datetime

from server_jobs.domain.record import ClaimRequest, JobRecord, JobStatus

from tests.conformance.suite import test_claim, test_pause, test_reading

from .case import Case, instead_of, without

KNOWN = "json_array_elements(CAST(:known AS json)) AS known (value)"


def claimable_in_any_version(record: JobRecord, request: ClaimRequest, now: datetime) -> bool:
    return record.status is JobStatus.PENDING and record.job_name in {job.name for job in request.known}


def due_at_any_time(record: JobRecord, now: datetime) -> bool:
    return True


CASES = [
    Case(
        "version filter",
        noticed_by=test_claim.test_only_jobs_of_known_names_and_versions_are_claimed,
        sqlite=without(
            "value->>1 AS spec_version FROM json_each(:known)",
            "CLAIM",
            instead="jobs.spec_version FROM json_each(:known) JOIN jobs ON jobs.job_name = value->>0",
        ),
        postgresql=without(
            f"CAST(value->>1 AS integer) AS spec_version FROM {KNOWN}",
            "CLAIM",
            instead=f"jobs.spec_version FROM {KNOWN} JOIN jobs ON jobs.job_name = value->>0",
        ),
        memory=instead_of("is_claimable", claimable_in_any_version),
    ),
    Case(
        "due time",
        noticed_by=test_claim.test_a_job_is_claimed_from_its_due_time_on_and_not_before,
        sql=without("jobs.scheduled_for <= {now}", "CLAIM", instead="true"),
        memory=instead_of("is_due", due_at_any_time),
    ),
    Case(
        "the next job beside those that are due",
        noticed_by=test_reading.test_the_wait_for_the_next_due_job_is_known,
        sql=without("jobs.scheduled_for > {now}", "UPCOMING_WORK", instead="true"),
    ),
    Case(
        "paused queues",
        noticed_by=test_pause.test_nothing_is_claimed_from_a_paused_queue,
        sql=without("NOT IN (SELECT name FROM paused_queues)", "CLAIM", instead="IS NOT NULL"),
    ),
]
