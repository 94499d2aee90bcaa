"""Limits of concurrency and rate hold, and full keys do not block others."""

from __future__ import annotations

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobRecord
from server_jobs.stores.memory.room import Room
from server_jobs.stores.sql.claims import limited

from tests.conformance.suite import test_claim, test_limits

from .case import LIMITED_CLAIMS, Case, instead_of, without


class EndlessRoom(Room):
    """A room in which no limit blocks a job."""

    def is_left_for(self, record: JobRecord) -> bool:
        return True


def without_lanes(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let claims read only the first few jobs with limits."""
    monkeypatch.setattr(limited, "WINDOW", 8)
    nowhere = "FROM (SELECT * FROM lanes LIMIT 0) AS lanes JOIN limits"
    without("FROM lanes JOIN limits", "CLAIM_LIMITED", instead=nowhere)(monkeypatch, store)


CASES = [
    Case(
        "concurrency limit",
        noticed_by=test_claim.test_a_concurrency_limit_holds_within_one_batch,
        sql=without("position <= room", *LIMITED_CLAIMS, instead="room > 0"),
    ),
    Case(
        "a limit for each key",
        noticed_by=test_limits.test_a_concurrency_limit_is_counted_for_each_key,
        sql=without("PARTITION BY job_name, concurrency_key", *LIMITED_CLAIMS, instead="PARTITION BY job_name"),
        memory=instead_of("Room", EndlessRoom),
    ),
    Case(
        "what runs already under a limit",
        noticed_by=test_claim.test_a_concurrency_limit_holds_over_all_workers,
        sql=without("concurrency - COALESCE(count, 0) AS room", *LIMITED_CLAIMS, instead="concurrency AS room"),
    ),
    Case(
        "rate limit",
        noticed_by=test_limits.test_no_more_jobs_start_within_a_period_than_a_rate_allows,
        sql=without("rate_position <= rate_room", *LIMITED_CLAIMS, instead="true"),
    ),
    Case(
        "what started already under a rate",
        noticed_by=test_limits.test_jobs_that_ended_and_attempts_that_are_retried_count_as_starts,
        sqlite=without("AND rate IS NOT NULL", "RECORD_STARTS", instead="AND false"),
        postgresql=without("AND rate IS NOT NULL)", *LIMITED_CLAIMS, instead="AND false)"),
    ),
    Case(
        "both ends of a period",
        noticed_by=test_limits.test_a_period_includes_both_of_its_ends,
        sql=without(">= {now} - period", *LIMITED_CLAIMS, instead="> {now} - period"),
    ),
    Case(
        "keys that are behind the backlog of a full one",
        noticed_by=test_limits.test_a_key_that_is_full_does_not_hide_the_others_behind_its_backlog,
        sql=without_lanes,
    ),
    Case(
        "keys for jobs without them",
        noticed_by=test_limits.test_jobs_that_were_stored_without_keys_count_as_one,
        sql=without("value->>0 IN (", "ADOPT", instead="false AND value->>0 IN ("),
    ),
    Case(
        "keys of jobs that have lost their limit",
        noticed_by=test_limits.test_a_job_whose_limit_was_taken_away_is_claimed_like_any_other,
        sql=without(
            "concurrency_key = NULL, rate_key = NULL", "DISMISS", instead="concurrency_key = '', rate_key = ''"
        ),
    ),
    Case(
        "paused queues of jobs with limits",
        noticed_by=test_limits.test_paused_and_other_queues_and_later_jobs_are_left_alone,
        sql=without("NOT IN (SELECT name FROM paused_queues)", *LIMITED_CLAIMS, instead="IS NOT NULL"),
    ),
]
