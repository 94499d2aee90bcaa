"""No attempt starts late, and late jobs block nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

from server_jobs.domain.lifecycle import retry
from server_jobs.domain.record import JobRecord
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.examples import request
from tests.conformance.suite import test_late_jobs

from .case import LIMITED_CLAIMS, Case, instead_of, without


def never_late(record: JobRecord, now: datetime) -> bool:
    return False


def retry_still_limited(record: JobRecord, now: datetime) -> JobRecord:
    return replace(retry(record, now), start_before=record.start_before)


CASES = [
    *(
        Case(
            "time to start",
            noticed_by=partial(
                test_late_jobs.test_an_attempt_may_start_up_to_and_including_the_last_instant, asked=request(*known)
            ),
            sql=without("(start_before IS NULL OR start_before >= {now})", *claims, instead="true"),
        )
        for known, claims in (
            ((), ("CLAIM",)),
            ((), ("CLAIM_ONE",)),
            ((test_late_jobs.CRAWL,), LIMITED_CLAIMS),
        )
    ),
    Case(
        "time to start",
        noticed_by=test_late_jobs.test_late_jobs_do_not_block_the_jobs_behind_them,
        memory=instead_of("is_late", never_late),
    ),
    Case(
        "time to start in steps",
        noticed_by=test_late_jobs.test_a_late_job_is_cancelled_and_says_why,
        sql=without(" AND start_before < {now}", "CANCEL_LATE"),
    ),
    Case(
        "time to start of a retry",
        noticed_by=test_late_jobs.test_a_retry_by_hand_lifts_the_limit,
        sql=without("start_before = NULL,", "RETRY"),
        memory=instead_of("retry", retry_still_limited),
    ),
    Case(
        "last instant to start",
        noticed_by=test_late_jobs.test_a_job_is_not_late_at_the_last_instant,
        sql=without("start_before < {now}", "CANCEL_LATE", instead="start_before <= {now}"),
    ),
    Case(
        "last instant to keep a unique key",
        noticed_by=test_late_jobs.test_a_job_is_not_late_at_the_last_instant,
        sql=without("start_before < {now}", "CANCEL_LATE_OWNERS", instead="start_before <= {now}"),
    ),
    Case(
        "unique key of late jobs",
        noticed_by=test_late_jobs.test_a_late_job_gives_up_its_unique_key_to_a_new_job,
        sql=without(f" AND {statements_of('sqlite').fragments['is_late']} IS NOT TRUE", "KEY_OWNERS"),
    ),
]
