"""Each protection is removed on purpose, and its conformance test must fail.

A suite that passes without the token guard proves nothing about the guard. In SQL a fragment of a statement is
replaced. The fragment must exist, so that no sabotage becomes ineffective. In memory a function of `lifecycle` is
replaced.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import ModuleType

import pytest
from server_jobs import DatabaseError
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain import lifecycle
from server_jobs.domain.history import ATTEMPTS_KEPT
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import OnConflict
from server_jobs.domain.record import (
    ClaimRequest,
    Heartbeat,
    JobRecord,
    JobStatus,
    NewJob,
    ScheduleRecord,
    Settlement,
)
from server_jobs.stores import claims, memory, postgres_statements, rows, sql, statements
from server_jobs.stores.dialect import dialect_of
from server_jobs.stores.memory.room import Room
from server_jobs.stores.postgres_statements.groups import KNOWN_VALUES
from server_jobs.testing import FakeClock

from tests.conformance.claims import test_unanswered_claims
from tests.conformance.examples import SEND, request
from tests.conformance.postgres_databases import spoil
from tests.conformance.stores import STORES
from tests.conformance.suite import (
    test_big_batches,
    test_cancel_and_retry,
    test_claim,
    test_conflicts,
    test_history,
    test_insert,
    test_late_jobs,
    test_leases,
    test_limits,
    test_pause,
    test_prune,
    test_reading,
    test_schedules,
    test_settle,
)
from tests.sabotage import altered
from tests.slow import slow

LIMITED = request(test_conflicts.CRAWL)
_WAITS = "NOT EXISTS (\n              SELECT 1 FROM jobs AS replaced"
_WAITS_IN_POSTGRESQL = "jobs.unique_key <> ALL("
_IS_OVER = "worker_expires_at < {now}"
REPLACE = OnConflict.REPLACE

ConformanceTest = Callable[[Store, FakeClock], Coroutine[None, None, None]]
Sabotage = Callable[[pytest.MonkeyPatch, Store], None]


@dataclass(frozen=True)
class Case:
    """A protection, how to remove it from one kind of store, and the test that must fail."""

    protection: str
    store: str
    sabotage: Sabotage
    noticed_by: ConformanceTest

    def __str__(self) -> str:
        return f"{self.protection}, {self.store}"


def without(fragment: str, *names: str, instead: str = "", dialect: ModuleType | None = None) -> Sabotage:
    """Replace a fragment in these statements; each of them must contain it."""

    def sabotage(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        module = dialect or (dialect_of(store.database).statements if isinstance(store, sql.SqlStore) else statements)
        for name in names:
            for place, text in altered(module, name, fragment, instead):
                monkeypatch.setattr(module, place, text)

    return sabotage


def together(*sabotages: Sabotage) -> Sabotage:
    """Apply all of these."""

    def sabotage(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        for one in sabotages:
            one(monkeypatch, store)

    return sabotage


def without_index(name: str) -> Sabotage:
    """Drop an index of the database."""

    def sabotage(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        database = store.database if isinstance(store, sql.SqlStore) else None
        if isinstance(database, PostgresDatabase):
            spoil(database.shown_url, f"DROP INDEX {name}")
            return
        if not isinstance(database, SqliteDatabase):
            raise TypeError(f"{store} has no indexes")
        with closing(sqlite3.connect(database.path)) as connection:
            connection.execute(f"DROP INDEX {name}")

    return sabotage


def with_other(module: object, name: str, value: object) -> Sabotage:
    """Replace the function or number of that name, which must exist."""

    def sabotage(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        monkeypatch.setattr(module, name, value)

    return sabotage


real_claim = lifecycle.claim
real_renew = lifecycle.renew
real_settle = lifecycle.settle
real_expire = lifecycle.expire
real_retry = lifecycle.retry


def asked_for_anything(record: JobRecord, request: ClaimRequest) -> bool:
    return True


def held_by_anybody(record: JobRecord, token: str) -> bool:
    return record.status is JobStatus.RUNNING


def claim_uncounted(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return replace(
        real_claim(record, token=token, lease=lease, now=now, worker_id=worker_id), attempt_count=record.attempt_count
    )


def claim_keeping_progress(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return replace(real_claim(record, token=token, lease=lease, now=now, worker_id=worker_id), progress=record.progress)


def claim_with_one_token(
    record: JobRecord, *, token: str, lease: timedelta, now: datetime, worker_id: str | None
) -> JobRecord:
    return real_claim(record, token="t" * 32, lease=lease, now=now, worker_id=worker_id)


def one_batch() -> str:
    return "t" * 32


def batch_alone(batch: str, job_id: str) -> str:
    return batch


def renew_without_lease(record: JobRecord, heartbeat: Heartbeat, *, lease: timedelta, now: datetime) -> JobRecord:
    return replace(real_renew(record, heartbeat, lease=lease, now=now), worker_expires_at=record.worker_expires_at)


def settle_deaf_to_cancel(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return real_settle(replace(record, cancel_requested=False), settlement, now)


def settle_with_endless_attempts(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return replace(real_settle(replace(record, max_attempts=99), settlement, now), max_attempts=record.max_attempts)


def settle_burning_released_attempts(record: JobRecord, settlement: Settlement, now: datetime) -> JobRecord:
    return replace(real_settle(record, settlement, now), attempt_count=record.attempt_count)


def expire_with_endless_attempts(record: JobRecord, *, due: datetime, now: datetime) -> JobRecord:
    return replace(real_expire(replace(record, max_attempts=99), due=due, now=now), max_attempts=record.max_attempts)


def expired_at_the_last_instant(record: JobRecord, now: datetime) -> bool:
    return record.worker_expires_at is not None and record.worker_expires_at <= now


def claimable_in_any_version(record: JobRecord, request: ClaimRequest, now: datetime) -> bool:
    return record.status is JobStatus.PENDING and record.job_name in {job.name for job in request.known}


def superseding_nothing(record: JobRecord, job: NewJob, now: datetime) -> JobRecord:
    return record


def never_late(record: JobRecord, now: datetime) -> bool:
    return False


def retry_still_limited(record: JobRecord, now: datetime) -> JobRecord:
    return replace(real_retry(record, now), start_before=record.start_before)


def due_at_any_time(record: JobRecord, now: datetime) -> bool:
    return True


def retry_still_cancelled(record: JobRecord, now: datetime) -> JobRecord:
    return replace(real_retry(record, now), cancel_requested=True)


def every_slot_is_new(schedule: ScheduleRecord, slot: datetime) -> bool:
    return True


def prunable_when_finished(record: JobRecord, rules: object, now: datetime) -> bool:
    return record.status.is_finished


class EndlessRoom(Room):
    """A room in which no limit blocks a job."""

    def is_left_for(self, record: JobRecord) -> bool:
        return True


def without_lanes(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let claims read only the first few jobs with limits."""
    monkeypatch.setattr(claims, "WINDOW", 8)
    nowhere = "FROM (SELECT * FROM lanes LIMIT 0) AS lanes JOIN limits"
    without("FROM lanes JOIN limits", "CLAIM_LANES", instead=nowhere)(monkeypatch, store)


def completing_unguarded(place: int) -> Sabotage:
    """Remove the token guard from one of the two statements of a completion with packed rows."""

    def sabotage(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        for name, texts in altered(statements, "COMPLETE", " AND jobs.fencing_token = outcome.token"):
            if isinstance(texts, tuple) and statements.PACKED_COMPLETE is not None:
                both = [*statements.PACKED_COMPLETE]
                both[place] = texts[place]
                monkeypatch.setattr(statements, name, tuple(both))

    return sabotage


def in_sql(protection: str, sabotage: Sabotage, noticed_by: ConformanceTest) -> Case:
    return Case(protection, "sqlite", sabotage, noticed_by)


def in_memory(protection: str, name: str, function: Callable[..., object], noticed_by: ConformanceTest) -> Case:
    modules = [module for module in (lifecycle, memory.attempts, memory.schedules) if hasattr(module, name)]
    assert modules, f"no module of the memory store has {name}"
    replaced = together(*(with_other(module, name, function) for module in modules))
    return Case(protection, "memory", replaced, noticed_by)


CASES = [
    # Only the newest claim may write.
    in_sql(
        "token guard of settle",
        without(" AND jobs.fencing_token = outcome.token", "SETTLE", "COMPLETE"),
        test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
    ),
    in_memory(
        "token guard of settle",
        "is_leased",
        held_by_anybody,
        test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
    ),
    in_sql(
        "token guard of renew",
        without(" AND jobs.fencing_token = beat.token", "RENEW"),
        test_leases.test_a_token_is_worth_nothing_for_another_job,
    ),
    in_memory(
        "token guard of renew",
        "is_leased",
        held_by_anybody,
        test_leases.test_a_token_is_worth_nothing_for_another_job,
    ),
    # A token is unique to its batch and its job. The store returns the stored token.
    in_sql(
        "a batch for each claim",
        together(with_other(claims, "new_batch", one_batch), with_other(sql.attempts, "new_batch", one_batch)),
        test_claim.test_every_claim_has_its_own_token,
    ),
    in_memory("a batch for each claim", "new_batch", one_batch, test_claim.test_every_claim_has_its_own_token),
    in_sql(
        "a token for each job of a claim",
        together(
            without("fencing_token = :batch || id", "CLAIM", "CLAIM_ONE", instead="fencing_token = :batch"),
            with_other(rows, "token_of", batch_alone),
        ),
        test_claim.test_every_claim_has_its_own_token,
    ),
    in_memory(
        "a token for each job of a claim", "token_of", batch_alone, test_claim.test_every_claim_has_its_own_token
    ),
    in_sql(
        "the token of a claim in its row",
        without(":batch || id", "CLAIM", "CLAIM_ONE", instead=":batch || 'tttt'"),
        test_claim.test_every_claim_has_its_own_token,
    ),
    in_memory(
        "the token of a claim in its row",
        "claim",
        claim_with_one_token,
        test_claim.test_every_claim_has_its_own_token,
    ),
    in_sql(
        "a finished job is left alone by cancel",
        without(f" AND (status IN ('pending', 'running') OR {statements.PARKED})", "CANCEL"),
        partial(test_settle.test_a_finished_job_never_changes_by_itself, status=JobStatus.FAILED),
    ),
    in_sql(
        "only failed and cancelled jobs are put back",
        without(" AND status IN ('failed', 'cancelled')", "RETRY"),
        test_cancel_and_retry.test_only_failed_and_cancelled_jobs_can_be_retried,
    ),
    in_sql(
        "expiry of those alone whose lease is over",
        without("worker_expires_at < {now}", "EXPIRE", instead="true"),
        test_leases.test_only_the_jobs_whose_lease_ran_out_expire,
    ),
    in_sql(
        "the first of all leases that end",
        without("worker_expires_at LIMIT 1", "UPCOMING_WORK", instead="worker_expires_at DESC LIMIT 1"),
        test_reading.test_the_wait_for_the_end_of_the_next_lease_is_known,
    ),
    in_sql(
        "the next job beside those that are due",
        without("jobs.scheduled_for > {now}", "UPCOMING_WORK", instead="jobs.scheduled_for IS NOT NULL"),
        test_reading.test_the_wait_for_the_next_due_job_is_known,
    ),
    in_memory(
        "leases of the requested jobs alone",
        "is_asked",
        asked_for_anything,
        test_reading.test_the_wait_for_the_end_of_the_next_lease_is_known,
    ),
    in_sql(
        "an id is stored once",
        without(
            "ON CONFLICT DO NOTHING",
            "INSERT",
            "INSERT_ONE",
            instead="ON CONFLICT (id) DO UPDATE SET params = excluded.params",
        ),
        test_insert.test_an_id_that_is_stored_already_is_not_stored_again,
    ),
    # A claim takes at most the requested number.
    in_sql(
        "limit of jobs that were attempted before",
        without("LIMIT COALESCE(:slots, -1)", "CLAIM"),
        test_claim.test_no_more_jobs_that_were_attempted_before_than_the_request_allows,
    ),
    in_sql(
        "paused queues",
        without("NOT IN (SELECT name FROM paused_queues)", "CLAIM", instead="IS NOT NULL"),
        test_pause.test_nothing_is_claimed_from_a_paused_queue,
    ),
    in_sql(
        "rate limit",
        without("rate_position <= rate_room", "CLAIM_LIMITED", "CLAIM_LANES", instead="true"),
        test_limits.test_no_more_jobs_start_within_a_period_than_a_rate_allows,
    ),
    # The history has what happened, no more than the last attempts, and nothing of deleted jobs.
    in_sql(
        "token guard of the history",
        without("jobs.fencing_token = outcome.token", "RECORD_ATTEMPTS", instead="true"),
        test_history.test_the_outcome_of_a_stale_claim_is_not_kept,
    ),
    in_sql(
        "last attempts",
        without(f"number % {ATTEMPTS_KEPT}", "RECORD_ATTEMPTS", instead="number"),
        test_history.test_only_the_last_attempts_of_a_job_are_kept,
    ),
    in_sql(
        "attempts of deleted jobs",
        without("WHERE id IN", "DELETE_ATTEMPTS", instead="WHERE false AND id IN"),
        test_history.test_deleted_and_pruned_jobs_take_their_attempts_with_them,
    ),
    in_sql(
        "attempts of pruned jobs",
        without("WHERE job_id IN", "PRUNE_ATTEMPTS", instead="WHERE false AND job_id IN"),
        test_history.test_deleted_and_pruned_jobs_take_their_attempts_with_them,
    ),
    in_sql(
        "end of a worker's life",
        without("expires_at >= {now} AS is_alive", "WORKERS", instead="true AS is_alive"),
        test_history.test_a_worker_is_alive_for_a_lease_after_each_report,
    ),
    in_sql(
        "life of ticks with long pauses",
        without(" + 2 * (excluded", "REPORT_TICK", instead=" + 0 * (excluded"),
        test_history.test_a_tick_is_alive_for_twice_the_time_between_its_last_reports,
    ),
    in_sql(
        "report of a tick with other jobs",
        without(" AND known = :tick_known", "PENDING_WORK"),
        test_history.test_the_report_of_a_tick_is_due_after_a_while_and_when_its_jobs_change,
    ),
    # Attempts are counted at claim, and bounded.
    in_sql(
        "attempt count",
        without("attempt_count = attempt_count + 1, ", "CLAIM", "CLAIM_ONE", "CLAIM_LIMITED", "CLAIM_LANES"),
        test_claim.test_each_claim_counts_one_attempt,
    ),
    in_memory("attempt count", "claim", claim_uncounted, test_claim.test_each_claim_counts_one_attempt),
    in_sql(
        "what a claim took whose answer was lost",
        without("status = 'running'", "RELEASE_UNANSWERED", instead="status = 'running' AND false"),
        partial(test_unanswered_claims.test_the_next_claim_gets_the_jobs_with_no_attempt_lost, known=SEND),
    ),
    in_sql(
        "what a late claim took whose answer was lost",
        with_other(claims, "LONGEST_CLAIM", timedelta(days=1)),
        test_unanswered_claims.test_a_claim_that_the_database_makes_late_is_undone_as_well,
    ),
    in_sql(
        "attempts of unanswered claims",
        without("attempt_count = attempt_count - 1, ", "RELEASE_UNANSWERED"),
        partial(test_unanswered_claims.test_the_next_claim_gets_the_jobs_with_no_attempt_lost, known=SEND),
    ),
    *(
        in_sql(
            f"{protection} of an unanswered claim of a replaced job",
            without(fragment, "RELEASE_UNANSWERED", instead=instead),
            test_unanswered_claims.test_a_job_that_another_one_replaced_is_cancelled_and_says_so,
        )
        for protection, fragment, instead in (
            ("end", "cancel_requested OR replaced_by IS NOT NULL THEN {now}", "cancel_requested THEN {now}"),
            ("error", statements.RELEASED_ERROR, "jobs.error"),
            ("class of error", statements.RELEASED_ERROR_CLASS, "jobs.error_class"),
        )
    ),
    in_sql(
        "last instant to start",
        without("start_before < {now}", "CANCEL_LATE", instead="start_before <= {now}"),
        test_late_jobs.test_a_job_is_not_late_at_the_last_instant,
    ),
    in_sql(
        "last instant to keep a unique key",
        without("start_before < {now}", "CANCEL_LATE_OWNERS", instead="start_before <= {now}"),
        test_late_jobs.test_a_job_is_not_late_at_the_last_instant,
    ),
    in_sql(
        "unique key for the slot that can start",
        without("THEN 'cancelled' ELSE 'pending' END", "FIRE", instead="THEN 'pending' ELSE 'pending' END"),
        test_schedules.test_a_missed_slot_that_is_too_late_gives_its_unique_key_to_the_next_slot,
    ),
    in_sql(
        "unique key of another job while slots are missed",
        without("owner.replaced_by IS NULL))", "FIRE", instead="owner.replaced_by IS NULL AND false))"),
        test_schedules.test_missed_slots_leave_a_unique_key_in_use_alone,
    ),
    in_sql(
        "attempt count of a crash",
        without("attempt_count = attempt_count + 1, ", "CLAIM", "CLAIM_ONE", "CLAIM_LIMITED", "CLAIM_LANES"),
        test_leases.test_crashes_use_up_the_attempts_of_a_job,
    ),
    in_memory(
        "attempt count of a crash", "claim", claim_uncounted, test_leases.test_crashes_use_up_the_attempts_of_a_job
    ),
    in_sql(
        "attempt limit of a failure",
        without("attempt_count >= max_attempts OR ", "SETTLE"),
        test_settle.test_the_last_attempt_to_fail_fails_the_job,
    ),
    in_memory(
        "attempt limit of a failure",
        "settle",
        settle_with_endless_attempts,
        test_settle.test_the_last_attempt_to_fail_fails_the_job,
    ),
    in_sql(
        "attempt limit of an expiry",
        without("attempt_count >= max_attempts", "EXPIRE", instead="false"),
        test_leases.test_a_job_whose_last_attempt_expired_fails_and_says_why,
    ),
    in_memory(
        "attempt limit of an expiry",
        "expire",
        expire_with_endless_attempts,
        test_leases.test_a_job_whose_last_attempt_expired_fails_and_says_why,
    ),
    in_sql(
        "no attempt counted at release",
        without("attempt_count - (outcome.kind = 'released')", "SETTLE", instead="attempt_count"),
        test_settle.test_a_released_job_is_due_as_before_and_has_lost_no_attempt,
    ),
    in_memory(
        "no attempt counted at release",
        "settle",
        settle_burning_released_attempts,
        test_settle.test_a_released_job_is_due_as_before_and_has_lost_no_attempt,
    ),
    # A slot makes exactly one job.
    in_sql(
        "unique slot",
        without("AND (last_run_at IS NULL OR last_run_at < value->>'scheduled_for')", "FIRE"),
        test_schedules.test_a_slot_fires_once_even_if_the_second_scheduler_makes_another_job_of_it,
    ),
    in_memory(
        "unique slot",
        "_is_new_slot",
        every_slot_is_new,
        test_schedules.test_a_slot_fires_once_even_if_the_second_scheduler_makes_another_job_of_it,
    ),
    in_sql(
        "last slot that fired",
        without(
            "last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot",
            "FIRED",
            instead="last_run_at = CASE WHEN true",
        ),
        test_schedules.test_a_slot_older_than_the_last_one_never_fires,
    ),
    in_sql(
        "last job of a schedule",
        without("OR last_run_at < value->>'scheduled_for')), last_job_id)", "FIRED", instead="OR true)), last_job_id)"),
        test_schedules.test_the_last_job_of_a_schedule_is_of_the_newest_slot_that_made_one,
    ),
    in_sql(
        "plan by the rule that is stored",
        without("WHEN cron_expression = :cron_expression AND timezone = :timezone", "FIRED", instead="WHEN true"),
        test_schedules.test_a_scheduler_that_read_the_old_rule_does_not_plan_by_it,
    ),
    # A unique key has one unfinished job.
    in_sql(
        "unique key index",
        without_index("jobs_unique_key"),
        test_insert.test_a_unique_key_has_at_most_one_unfinished_job,
    ),
    in_sql(
        "unique key index within a batch",
        without_index("jobs_unique_key"),
        test_insert.test_a_unique_key_given_twice_in_one_batch_makes_one_job,
    ),
    # A lease is valid to its last instant, and is renewed.
    in_sql(
        "lease strictness",
        without(_IS_OVER, "ANY_OVERDUE", "EXPIRE", instead="worker_expires_at <= {now}"),
        test_leases.test_a_lease_lasts_up_to_and_including_its_last_instant,
    ),
    in_memory(
        "lease strictness",
        "is_expired",
        expired_at_the_last_instant,
        test_leases.test_a_lease_lasts_up_to_and_including_its_last_instant,
    ),
    in_sql(
        "claims that the caller still runs",
        without("AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))", "EXPIRE"),
        test_leases.test_claims_that_the_caller_still_runs_are_left_alone_and_others_expire,
    ),
    in_sql(
        "lease renewal",
        without("worker_expires_at = {now} + :lease, ", "RENEW"),
        test_leases.test_a_renewed_job_does_not_expire,
    ),
    in_memory("lease renewal", "renew", renew_without_lease, test_leases.test_a_renewed_job_does_not_expire),
    # A worker ignores unknown jobs, and jobs that are not due.
    in_sql(
        "version filter",
        without(
            "value->>1 AS spec_version FROM json_each(:known)",
            "CLAIM",
            instead="jobs.spec_version FROM json_each(:known) JOIN jobs ON jobs.job_name = value->>0",
        ),
        test_claim.test_only_jobs_of_known_names_and_versions_are_claimed,
    ),
    in_memory(
        "version filter",
        "is_claimable",
        claimable_in_any_version,
        test_claim.test_only_jobs_of_known_names_and_versions_are_claimed,
    ),
    in_sql(
        "due time",
        without("jobs.scheduled_for <= {now}", "CLAIM", instead="true"),
        test_claim.test_a_job_is_claimed_from_its_due_time_on_and_not_before,
    ),
    in_memory(
        "due time",
        "is_due",
        due_at_any_time,
        test_claim.test_a_job_is_claimed_from_its_due_time_on_and_not_before,
    ),
    # A new job follows the running job that it replaces, and a late or newer one is never replaced.
    *(
        in_sql(protection, without(fragment, *names, instead=instead), noticed_by)
        for protection, names, fragment, instead, noticed_by in (
            (
                "order of replaced jobs",
                ("CLAIM", "CLAIM_ONE"),
                _WAITS,
                f"true OR {_WAITS}",
                partial(test_conflicts.test_a_running_job_is_followed_by_the_new_one, on_conflict=REPLACE),
            ),
            (
                "order of replaced jobs with limits",
                ("CLAIM_LIMITED", "CLAIM_LANES"),
                _WAITS,
                f"true OR {_WAITS}",
                partial(
                    test_conflicts.test_a_waiting_job_does_not_block_the_jobs_behind_it,
                    asked=request(test_conflicts.CRAWL),
                ),
            ),
            (
                "start after a replaced job",
                ("START",),
                f"AND {statements.IS_REPLACED}",
                "AND false",
                test_conflicts.test_jobs_of_one_key_never_run_together_although_the_new_one_was_cancelled,
            ),
            (
                "end of late jobs",
                ("REPLACE_ONE",),
                " AND (jobs.start_before < {now}) IS NOT TRUE",
                "",
                partial(test_conflicts.test_a_late_job_is_cancelled_instead_of_replaced, on_conflict=REPLACE),
            ),
            (
                "repeated insert",
                ("SUPERSEDE",),
                "FROM jobs AS stored WHERE",
                "FROM jobs AS stored WHERE false AND",
                partial(
                    test_conflicts.test_an_insert_that_is_repeated_after_a_lost_answer_changes_nothing, is_running=False
                ),
            ),
        )
    ),
    in_memory(
        "order of replaced jobs",
        "supersede",
        superseding_nothing,
        partial(test_conflicts.test_a_running_job_is_followed_by_the_new_one, on_conflict=REPLACE),
    ),
    # No attempt starts late, and late jobs are in nobody's way.
    *(
        in_sql(
            "time to start",
            without("(start_before IS NULL OR start_before >= {now})", *statements_of_claim, instead="true"),
            partial(test_late_jobs.test_an_attempt_may_start_up_to_and_including_the_last_instant, asked=asked),
        )
        for asked, statements_of_claim in (
            (request(), ("CLAIM",)),
            (request(), ("CLAIM_ONE",)),
            (request(test_late_jobs.CRAWL), ("CLAIM_LIMITED", "CLAIM_LANES")),
        )
    ),
    in_memory("time to start", "is_late", never_late, test_late_jobs.test_late_jobs_do_not_block_the_jobs_behind_them),
    in_sql(
        "time to start in steps",
        without(" AND start_before < {now}", "CANCEL_LATE"),
        test_late_jobs.test_a_late_job_is_cancelled_and_says_why,
    ),
    in_sql(
        "unique key of late jobs",
        without(f" AND {statements.IS_LATE} IS NOT TRUE", "KEY_OWNERS"),
        test_late_jobs.test_a_late_job_gives_up_its_unique_key_to_a_new_job,
    ),
    in_sql(
        "time to start of a retry",
        without("start_before = NULL,", "RETRY"),
        test_late_jobs.test_a_retry_by_hand_lifts_the_limit,
    ),
    in_memory(
        "time to start of a retry", "retry", retry_still_limited, test_late_jobs.test_a_retry_by_hand_lifts_the_limit
    ),
    in_sql(
        "concurrency limit",
        without("position <= room", "CLAIM_LIMITED", "CLAIM_LANES", instead="room > 0"),
        test_claim.test_a_concurrency_limit_holds_within_one_batch,
    ),
    in_sql(
        "progress of a new attempt",
        without(" progress = 0,", "CLAIM"),
        test_claim.test_progress_is_reset_at_each_attempt,
    ),
    in_memory(
        "progress of a new attempt",
        "claim",
        claim_keeping_progress,
        test_claim.test_progress_is_reset_at_each_attempt,
    ),
    # A request to cancel is delivered once.
    in_sql(
        "cancel flag in settle",
        without("WHEN cancel_requested THEN 'cancelled' ", "SETTLE"),
        test_settle.test_a_failed_attempt_of_a_job_that_was_asked_to_cancel_cancels_it,
    ),
    in_memory(
        "cancel flag in settle",
        "settle",
        settle_deaf_to_cancel,
        test_settle.test_a_failed_attempt_of_a_job_that_was_asked_to_cancel_cancels_it,
    ),
    in_sql(
        "cancel flag in expire",
        without("WHEN cancel_requested THEN 'cancelled' ", "EXPIRE"),
        test_leases.test_an_expired_job_that_was_asked_to_cancel_is_cancelled,
    ),
    in_sql(
        "cancel flag in renew",
        without("RETURNING id, cancel_requested", "RENEW", instead="RETURNING id, false AS cancel_requested"),
        test_cancel_and_retry.test_a_running_job_is_asked_to_stop_and_learns_it_with_its_heartbeat,
    ),
    in_sql(
        "cancel flag cleared by retry",
        without("cancel_requested = false, ", "RETRY"),
        test_cancel_and_retry.test_a_retried_job_is_not_cancelled_by_the_request_of_its_last_life,
    ),
    in_memory(
        "cancel flag cleared by retry",
        "retry",
        retry_still_cancelled,
        test_cancel_and_retry.test_a_retried_job_is_not_cancelled_by_the_request_of_its_last_life,
    ),
    in_sql(
        "a limit for each key",
        without(
            "PARTITION BY job_name, concurrency_key", "CLAIM_LIMITED", "CLAIM_LANES", instead="PARTITION BY job_name"
        ),
        test_limits.test_a_concurrency_limit_is_counted_for_each_key,
    ),
    in_memory(
        "a limit for each key", "Room", EndlessRoom, test_limits.test_a_concurrency_limit_is_counted_for_each_key
    ),
    in_sql(
        "what runs already under a limit",
        without(
            "concurrency - COALESCE(count, 0) AS room", "CLAIM_LIMITED", "CLAIM_LANES", instead="concurrency AS room"
        ),
        test_claim.test_a_concurrency_limit_holds_over_all_workers,
    ),
    in_sql(
        "what started already under a rate",
        without("AND rate IS NOT NULL", "RECORD_STARTS", instead="AND false"),
        test_limits.test_jobs_that_ended_and_attempts_that_are_retried_count_as_starts,
    ),
    in_sql(
        "both ends of a period",
        without(">= {now} - period", "CLAIM_LIMITED", "CLAIM_LANES", instead="> {now} - period"),
        test_limits.test_a_period_includes_both_of_its_ends,
    ),
    in_sql(
        "keys that are behind the backlog of a full one",
        without_lanes,
        test_limits.test_a_key_that_is_full_does_not_hide_the_others_behind_its_backlog,
    ),
    in_sql(
        "keys for jobs without them",
        without("value->>0 IN (", "ADOPT", instead="false AND value->>0 IN ("),
        test_limits.test_jobs_that_were_stored_without_keys_count_as_one,
    ),
    in_sql(
        "keys of jobs that have lost their limit",
        without("concurrency_key = NULL, rate_key = NULL", "DISMISS", instead="concurrency_key = '', rate_key = ''"),
        test_limits.test_a_job_whose_limit_was_taken_away_is_claimed_like_any_other,
    ),
    in_sql(
        "paused queues of jobs with limits",
        without("NOT IN (SELECT name FROM paused_queues)", "CLAIM_LIMITED", "CLAIM_LANES", instead="IS NOT NULL"),
        test_limits.test_paused_and_other_queues_and_later_jobs_are_left_alone,
    ),
    # Retained jobs are not deleted.
    in_sql(
        "age of pruned jobs",
        without(" - (:rules->>(jobs.status || ' *'))", "PRUNE"),
        test_prune.test_a_job_is_deleted_when_it_ended_longer_ago_than_its_rule_says,
    ),
    in_sql(
        "name of pruned jobs",
        without("jobs.status || ' ' || jobs.job_name", "PRUNE", instead="jobs.status || ' ImportCsv'"),
        test_prune.test_each_job_has_its_own_rules,
    ),
    in_sql(
        "where the next tick goes on pruning",
        without("rate_key = excluded.rate_key", "PRUNE_MOVE", instead="rate_key = job_starts.rate_key"),
        test_prune.test_ticks_of_processes_that_come_and_go_delete_what_lies_behind_many_jobs_that_are_kept,
    ),
    in_sql(
        "the first jobs once the last were looked at",
        without("THEN '' ELSE last END", "PRUNE_MOVE", instead="THEN COALESCE(last, after) ELSE last END"),
        test_prune.test_consecutive_calls_scan_every_job_and_then_start_over,
    ),
    in_memory(
        "rules of pruned jobs",
        "is_prunable",
        prunable_when_finished,
        test_prune.test_without_rules_everything_is_kept,
    ),
]

POSTGRESQL_FENCE = "\n   AND jobs.fencing_token = items.by_id -> jobs.id ->> 'token'"
POSTGRESQL_FENCE_OF_COMPLETE = "\n   AND jobs.fencing_token = left(items.by_id ->> jobs.id, 32) || jobs.id"
# Protections that PostgreSQL expresses differently.
_FORGOTTEN = "job_id = ANY(ARRAY(SELECT id FROM deleted))"

IN_POSTGRESQL: dict[str, Sabotage] = {
    "order of replaced jobs": without(
        _WAITS_IN_POSTGRESQL, "CLAIM", "CLAIM_ONE", instead=f"true OR {_WAITS_IN_POSTGRESQL}"
    ),
    "order of replaced jobs with limits": without(
        _WAITS_IN_POSTGRESQL, "CLAIM_LIMITED", "CLAIM_LANES", instead=f"true OR {_WAITS_IN_POSTGRESQL}"
    ),
    "token guard of the history": without(
        "FROM settled, items WHERE", "SETTLE", instead="FROM jobs AS settled, items WHERE", dialect=postgres_statements
    ),
    "last attempts": without(f"number % {ATTEMPTS_KEPT}", "SETTLE", instead="number", dialect=postgres_statements),
    "attempts of deleted jobs": without(_FORGOTTEN, "DELETE", instead="false", dialect=postgres_statements),
    "lease strictness": without(_IS_OVER, "EXPIRE", instead="worker_expires_at <= {now}"),
    "attempts of pruned jobs": without(_FORGOTTEN, "PRUNE", instead="false", dialect=postgres_statements),
    "token guard of settle": together(
        without(POSTGRESQL_FENCE, "SETTLE"), without(POSTGRESQL_FENCE_OF_COMPLETE, "COMPLETE")
    ),
    "token guard of renew": without(POSTGRESQL_FENCE, "RENEW"),
    "age of pruned jobs": without(
        " - CAST(CAST(:rules AS jsonb)->>(jobs.status || ' *') AS bigint) * interval '1 millisecond'", "PRUNE"
    ),
    "a token for each job of a claim": together(
        without("CAST(:batch AS text) || id", "CLAIM", "CLAIM_ONE", instead="CAST(:batch AS text)"),
        with_other(rows, "token_of", batch_alone),
    ),
    "the token of a claim in its row": without(
        "CAST(:batch AS text) || id", "CLAIM", "CLAIM_ONE", instead="CAST(:batch AS text) || 'tttt'"
    ),
    "no attempt counted at release": without(
        "attempt_count - CAST((items.by_id -> jobs.id ->> 'kind') = 'released' AS integer)",
        "SETTLE",
        instead="attempt_count",
    ),
    "cancel flag in renew": without(
        "RETURNING jobs.id, cancel_requested", "RENEW", instead="RETURNING jobs.id, false AS cancel_requested"
    ),
    "claims that the caller still runs": without(
        "AND fencing_token <> ALL(ARRAY(SELECT json_array_elements_text(CAST(:except_for AS json))))",
        "EXPIRE",
        instead="AND CAST(:except_for AS json) IS NOT NULL",
    ),
    "last job of a schedule": without(
        "OR last_run_at < timestamptz", "FIRED", instead="OR last_run_at IS NOT NULL OR last_run_at < timestamptz"
    ),
    "last slot that fired": without(
        "last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >=",
        "FIRED",
        instead="last_run_at = CASE WHEN false AND last_run_at >=",
    ),
    "lease renewal": without(
        "worker_expires_at = {now} + CAST(:lease AS bigint) * interval '1 millisecond', ",
        "RENEW",
        instead="worker_expires_at = worker_expires_at + 0 * CAST(:lease AS bigint) * interval '1 millisecond', ",
    ),
    "limit of jobs that were attempted before": without(
        "LIMIT CAST(:slots AS integer)", "CLAIM", instead="LIMIT GREATEST(CAST(:slots AS integer), 99)"
    ),
    "unique slot": without(
        "schedule.last_run_at <", "FIRE", instead="schedule.last_run_at IS NOT NULL OR schedule.last_run_at <"
    ),
    "what started already under a rate": without(
        "AND rate IS NOT NULL)", "CLAIM_LIMITED", "CLAIM_LANES", instead="AND false)"
    ),
    "version filter": without(
        f"CAST(value->>1 AS integer) AS spec_version FROM {KNOWN_VALUES}",
        "CLAIM",
        instead=f"jobs.spec_version FROM {KNOWN_VALUES} JOIN jobs ON jobs.job_name = value->>0",
    ),
}
CASES += [
    replace(case, store="postgresql", sabotage=IN_POSTGRESQL.get(case.protection, case.sabotage))
    for case in CASES
    if case.store == "sqlite"
]
# Statements that change rows, together with the statement that reports which.
CASES += [
    in_sql(
        "claims of others in the answer to a claim",
        without(" AND substr(fencing_token, 1, 32) = :batch", "CLAIMED"),
        test_claim.test_a_claimed_job_is_not_claimed_again,
    ),
    in_sql(
        "token guard of a result that is long",
        without(" AND jobs.fencing_token = outcome.token", "SETTLE_ONE"),
        test_big_batches.test_a_long_result_of_a_claim_that_was_lost_is_not_stored,
    ),
    in_sql(
        "token guard of the answer to a completion",
        completing_unguarded(0),
        test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
    ),
    in_sql(
        "token guard of the completion itself",
        completing_unguarded(1),
        test_leases.test_a_stale_worker_cannot_complete_a_reclaimed_job,
    ),
]

LIMITS = [
    ("sqlite", statements, "LIMIT :limit", "LIMIT 1000"),
    ("postgresql", postgres_statements, "CAST(:limit AS integer)", "1000"),
]


async def run_on_a_new_store(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    async with STORES[case.store](clock) as store:
        case.sabotage(monkeypatch, store)
        await case.noticed_by(store, clock)


def is_repeated(case: Case) -> bool:
    """Return whether the same fragment is removed from the same statement on SQLite too."""
    return case.store == "postgresql" and case.protection not in IN_POSTGRESQL


# Without a sabotage each of these tests passes: it is a test of the suite, which runs on the same stores.
@pytest.mark.parametrize("case", [slow(case) if is_repeated(case) else case for case in CASES], ids=str)
def test_a_lost_protection_is_noticed_by_the_test_that_is_there_for_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        asyncio.run(run_on_a_new_store(case, monkeypatch))


@pytest.mark.parametrize(("store", "dialect", "limit", "instead"), LIMITS)
def test_a_database_that_takes_the_limit_of_a_claim_for_a_suggestion_is_noticed_when_it_claims(
    store: str, dialect: ModuleType, limit: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = without(limit, "CLAIM", instead=instead, dialect=dialect)
    noticed_by = test_claim.test_exactly_as_many_jobs_are_claimed_as_asked_for_or_as_are_due
    case = Case("limit of a claim", store, unlimited, noticed_by)
    with pytest.raises(DatabaseError, match="claimed 10 jobs where 4 were asked for"):
        asyncio.run(run_on_a_new_store(case, monkeypatch))


def test_a_sabotage_that_finds_nothing_to_remove_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LookupError, match="has no 'no such guard' any more"):
        without("no such guard", "SETTLE")(monkeypatch, memory.MemoryStore())
