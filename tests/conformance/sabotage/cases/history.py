"""The history has what happened, at most the last attempts, and nothing of deleted jobs."""

from __future__ import annotations

from server_jobs.domain.history import ATTEMPTS_KEPT

from tests.conformance.suite import test_history

from .case import Case, without

_FORGOTTEN = "job_id = ANY(ARRAY(SELECT id FROM deleted))"

CASES = [
    Case(
        "token guard of the history",
        noticed_by=test_history.test_the_outcome_of_a_stale_claim_is_not_kept,
        sqlite=without("jobs.fencing_token = outcome.token", "RECORD_ATTEMPTS", instead="true"),
        postgresql=without(
            "FROM settled, items WHERE",
            "SETTLE",
            instead="FROM jobs AS settled, items WHERE",
        ),
    ),
    Case(
        "last attempts",
        noticed_by=test_history.test_only_the_last_attempts_of_a_job_are_kept,
        sqlite=without(f"number % {ATTEMPTS_KEPT}", "RECORD_ATTEMPTS", instead="number"),
        postgresql=without(f"number % {ATTEMPTS_KEPT}", "SETTLE", instead="number"),
    ),
    Case(
        "attempts of deleted jobs",
        noticed_by=test_history.test_deleted_and_pruned_jobs_take_their_attempts_with_them,
        sqlite=without("WHERE id IN", "DELETE_ATTEMPTS", instead="WHERE false AND id IN"),
        postgresql=without(_FORGOTTEN, "DELETE", instead="false"),
    ),
    Case(
        "attempts of pruned jobs",
        noticed_by=test_history.test_deleted_and_pruned_jobs_take_their_attempts_with_them,
        sqlite=without("WHERE job_id IN", "PRUNE_ATTEMPTS", instead="WHERE false AND job_id IN"),
        postgresql=without(_FORGOTTEN, "PRUNE", instead="false"),
    ),
    Case(
        "end of a worker's life",
        noticed_by=test_history.test_a_worker_is_alive_for_a_lease_after_each_report,
        sql=without("expires_at >= {now} AS is_alive", "WORKERS", instead="true AS is_alive"),
    ),
    Case(
        "life of ticks with long pauses",
        noticed_by=test_history.test_a_tick_is_alive_for_twice_the_time_between_its_last_reports,
        sql=without(" + 2 * (excluded", "REPORT_TICK", instead=" + 0 * (excluded"),
    ),
    Case(
        "report of a tick with other jobs",
        noticed_by=test_history.test_the_report_of_a_tick_is_due_after_a_while_and_when_its_jobs_change,
        sql=without(" AND known = :tick_known", "PENDING_WORK"),
    ),
]
