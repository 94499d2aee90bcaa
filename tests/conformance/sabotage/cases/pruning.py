"""Only jobs past their retention are deleted."""

from __future__ import annotations

from datetime import datetime

from server_jobs.domain.record import JobRecord

from tests.conformance.suite import test_prune

from .case import Case, instead_of, without


def prunable_when_finished(record: JobRecord, rules: object, now: datetime) -> bool:
    return record.status.is_finished


CASES = [
    Case(
        "age of pruned jobs",
        noticed_by=test_prune.test_a_job_is_deleted_when_it_ended_longer_ago_than_its_rule_says,
        sqlite=without(" - (:rules->>(jobs.status || ' *'))", "PRUNE"),
        postgresql=without(
            " - CAST(CAST(:rules AS jsonb)->>(jobs.status || ' *') AS bigint) * interval '1 millisecond'", "PRUNE"
        ),
    ),
    Case(
        "name of pruned jobs",
        noticed_by=test_prune.test_each_job_has_its_own_rules,
        sql=without("jobs.status || ' ' || jobs.job_name", "PRUNE", instead="jobs.status || ' ImportCsv'"),
    ),
    Case(
        "rules of pruned jobs",
        noticed_by=test_prune.test_without_rules_everything_is_kept,
        memory=instead_of("is_prunable", prunable_when_finished),
    ),
    Case(
        "where the next tick goes on pruning",
        noticed_by=test_prune.test_ticks_of_processes_that_come_and_go_delete_what_lies_behind_many_jobs_that_are_kept,
        sql=without("rate_key = excluded.rate_key", "PRUNE_MOVE", instead="rate_key = job_starts.rate_key"),
    ),
    Case(
        "the first jobs once the last were looked at",
        noticed_by=test_prune.test_consecutive_calls_scan_every_job_and_then_start_over,
        sql=without("THEN '' ELSE last END", "PRUNE_MOVE", instead="THEN COALESCE(last, after) ELSE last END"),
    ),
]
