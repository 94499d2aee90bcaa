"""Each claim counts one attempt, attempts are limited, and a claim that comes to nothing counts none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from server_jobs.domain.lifecycle import claim, expire, settle
from server_jobs.domain.record import JobRecord, Settlement
from server_jobs.stores.sql.claims import execution
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.claims import test_unanswered_claims
from tests.conformance.examples import SEND
from tests.conformance.suite import test_claim, test_leases, test_settle

from .case import CLAIMS, Case, instead_of, with_other, without


def claim_uncounted(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return replace(
        claim(record, token=token, lease=lease, now=now, worker_id=worker_id), attempt_count=record.attempt_count
    )


def claim_keeping_progress(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return replace(claim(record, token=token, lease=lease, now=now, worker_id=worker_id), progress=record.progress)


def settle_with_endless_attempts(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return replace(settle(replace(record, max_attempts=99), settlement, now), max_attempts=record.max_attempts)


def settle_burning_released_attempts(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return replace(settle(record, settlement, now), attempt_count=record.attempt_count)


def expire_with_endless_attempts(record: JobRecord, *, due: datetime, now: datetime) -> JobRecord:
    return replace(expire(replace(record, max_attempts=99), due=due, now=now), max_attempts=record.max_attempts)


CASES = [
    Case(
        "attempt count",
        noticed_by=test_claim.test_each_claim_counts_one_attempt,
        sql=without("attempt_count = attempt_count + 1, ", *CLAIMS),
        memory=instead_of("claim", claim_uncounted),
    ),
    Case(
        "attempt count of a crash",
        noticed_by=test_leases.test_crashes_use_up_the_attempts_of_a_job,
        sql=without("attempt_count = attempt_count + 1, ", *CLAIMS),
        memory=instead_of("claim", claim_uncounted),
    ),
    Case(
        "attempt limit of a failure",
        noticed_by=test_settle.test_the_last_attempt_to_fail_fails_the_job,
        sql=without("attempt_count >= max_attempts OR ", "SETTLE"),
        memory=instead_of("settle", settle_with_endless_attempts),
    ),
    Case(
        "attempt limit of an expiry",
        noticed_by=test_leases.test_a_job_whose_last_attempt_expired_fails_and_says_why,
        sql=without("attempt_count >= max_attempts", "EXPIRE", instead="false"),
        memory=instead_of("expire", expire_with_endless_attempts),
    ),
    Case(
        "no attempt counted at release",
        noticed_by=test_settle.test_a_released_job_is_due_as_before_and_has_lost_no_attempt,
        sqlite=without("attempt_count - (outcome.kind = 'released')", "SETTLE", instead="attempt_count"),
        postgresql=without(
            "attempt_count - CAST(((SELECT by_id FROM items) -> jobs.id ->> 'kind') = 'released' AS integer)",
            "SETTLE",
            instead="attempt_count",
        ),
        memory=instead_of("settle", settle_burning_released_attempts),
    ),
    Case(
        "limit of jobs that were attempted before",
        noticed_by=test_claim.test_no_more_jobs_that_were_attempted_before_than_the_request_allows,
        sqlite=without("LIMIT COALESCE(:slots, -1)", "CLAIM"),
        postgresql=without(
            "LIMIT CAST(:slots AS integer)", "CLAIM", instead="LIMIT GREATEST(CAST(:slots AS integer), 99)"
        ),
    ),
    Case(
        "progress of a new attempt",
        noticed_by=test_claim.test_progress_is_reset_at_each_attempt,
        sql=without(" progress = 0,", "CLAIM"),
        memory=instead_of("claim", claim_keeping_progress),
    ),
    Case(
        "what a claim took whose answer was lost",
        noticed_by=partial(test_unanswered_claims.test_the_next_claim_gets_the_jobs_with_no_attempt_lost, known=SEND),
        sql=without("status = 'running'", "RELEASE_UNANSWERED", instead="status = 'running' AND false"),
    ),
    Case(
        "what a late claim took whose answer was lost",
        noticed_by=test_unanswered_claims.test_a_claim_that_the_database_makes_late_is_undone_as_well,
        sql=with_other(execution, "LONGEST_CLAIM", timedelta(days=1)),
    ),
    Case(
        "attempts of unanswered claims",
        noticed_by=partial(test_unanswered_claims.test_the_next_claim_gets_the_jobs_with_no_attempt_lost, known=SEND),
        sql=without("attempt_count = attempt_count - 1, ", "RELEASE_UNANSWERED"),
    ),
    *(
        Case(
            f"{protection} of an unanswered claim of a replaced job",
            noticed_by=test_unanswered_claims.test_a_job_that_another_one_replaced_is_cancelled_and_says_so,
            sql=without(fragment, "RELEASE_UNANSWERED", instead=instead),
        )
        for protection, fragment, instead in (
            ("end", "cancel_requested OR replaced_by IS NOT NULL THEN {now}", "cancel_requested THEN {now}"),
            ("error", statements_of("sqlite").fragments["released_error"], "jobs.error"),
            ("class of error", statements_of("sqlite").fragments["released_error_class"], "jobs.error_class"),
        )
    ),
]
