"""A unique key has one unfinished job. A job that replaces a running job follows it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import JobRecord, NewJob
from server_jobs.stores.sql.dialect import statements_of

from tests.conformance.examples import request
from tests.conformance.suite import test_conflicts, test_insert

from .case import LIMITED_CLAIMS, Case, instead_of, without, without_index

REPLACE = OnConflict.REPLACE
_WAITS = "NOT EXISTS (\n              SELECT 1 FROM jobs AS replaced"
_WAITS_IN_POSTGRESQL = "jobs.unique_key <> ALL("


def superseding_nothing(record: JobRecord, job: NewJob, now: datetime) -> JobRecord:
    return record


CASES = [
    Case(
        "an id is stored once",
        noticed_by=test_insert.test_an_id_that_is_stored_already_is_not_stored_again,
        sql=without(
            "ON CONFLICT DO NOTHING",
            "INSERT",
            "INSERT_ONE",
            instead="ON CONFLICT (id) DO UPDATE SET params = excluded.params",
        ),
    ),
    Case(
        "unique key index",
        noticed_by=test_insert.test_a_unique_key_has_at_most_one_unfinished_job,
        sql=without_index("jobs_unique_key"),
    ),
    Case(
        "unique key index within a batch",
        noticed_by=test_insert.test_a_unique_key_given_twice_in_one_batch_makes_one_job,
        sql=without_index("jobs_unique_key"),
    ),
    Case(
        "order of replaced jobs",
        noticed_by=partial(test_conflicts.test_a_running_job_is_followed_by_the_new_one, on_conflict=REPLACE),
        sqlite=without(_WAITS, "CLAIM", "CLAIM_ONE", instead=f"true OR {_WAITS}"),
        postgresql=without(_WAITS_IN_POSTGRESQL, "CLAIM", "CLAIM_ONE", instead=f"true OR {_WAITS_IN_POSTGRESQL}"),
        memory=instead_of("supersede", superseding_nothing),
    ),
    Case(
        "order of replaced jobs with limits",
        noticed_by=partial(
            test_conflicts.test_a_waiting_job_does_not_block_the_jobs_behind_it, asked=request(test_conflicts.CRAWL)
        ),
        sqlite=without(_WAITS, *LIMITED_CLAIMS, instead=f"true OR {_WAITS}"),
        postgresql=without(_WAITS_IN_POSTGRESQL, *LIMITED_CLAIMS, instead=f"true OR {_WAITS_IN_POSTGRESQL}"),
    ),
    Case(
        "start after a replaced job",
        noticed_by=test_conflicts.test_jobs_of_one_key_never_run_together_although_the_new_one_was_cancelled,
        sql=without(f"AND {statements_of('sqlite').fragments['is_replaced']}", "START", instead="AND false"),
    ),
    Case(
        "end of late jobs",
        noticed_by=partial(test_conflicts.test_a_late_job_is_cancelled_instead_of_replaced, on_conflict=REPLACE),
        sql=without(" AND (jobs.start_before < {now}) IS NOT TRUE", "REPLACE_ONE"),
    ),
    Case(
        "repeated insert",
        noticed_by=partial(
            test_conflicts.test_an_insert_that_is_repeated_after_a_lost_answer_changes_nothing, is_running=False
        ),
        sql=without("FROM jobs AS stored WHERE", "SUPERSEDE", instead="FROM jobs AS stored WHERE false AND"),
    ),
]
