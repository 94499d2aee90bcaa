"""A slot makes exactly one job."""

from __future__ import annotations

from datetime import datetime

from server_jobs.domain.record import ScheduleRecord

from tests.conformance.suite import test_schedules

from .case import Case, instead_of, without


def every_slot_is_new(schedule: ScheduleRecord, slot: datetime) -> bool:
    return True


CASES = [
    Case(
        "unique slot",
        noticed_by=test_schedules.test_a_slot_fires_once_even_if_the_second_scheduler_makes_another_job_of_it,
        sqlite=without("AND (last_run_at IS NULL OR last_run_at < value->>'scheduled_for')", "FIRE"),
        postgresql=without(
            "schedule.last_run_at <", "FIRE", instead="schedule.last_run_at IS NOT NULL OR schedule.last_run_at <"
        ),
        memory=instead_of("_is_new_slot", every_slot_is_new),
    ),
    Case(
        "last slot that fired",
        noticed_by=test_schedules.test_a_slot_older_than_the_last_one_never_fires,
        sqlite=without(
            "last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot",
            "FIRED",
            instead="last_run_at = CASE WHEN true",
        ),
        postgresql=without(
            "last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >=",
            "FIRED",
            instead="last_run_at = CASE WHEN false AND last_run_at >=",
        ),
    ),
    Case(
        "last job of a schedule",
        noticed_by=test_schedules.test_the_last_job_of_a_schedule_is_of_the_newest_slot_that_made_one,
        sqlite=without(
            "OR last_run_at < value->>'scheduled_for')), last_job_id)", "FIRED", instead="OR true)), last_job_id)"
        ),
        postgresql=without(
            "OR last_run_at < timestamptz", "FIRED", instead="OR last_run_at IS NOT NULL OR last_run_at < timestamptz"
        ),
    ),
    Case(
        "plan by the rule that is stored",
        noticed_by=test_schedules.test_a_scheduler_that_read_the_old_rule_does_not_plan_by_it,
        sql=without("WHEN cron_expression = :cron_expression AND timezone = :timezone", "FIRED", instead="WHEN true"),
    ),
    Case(
        "unique key for the slot that can start",
        noticed_by=test_schedules.test_a_missed_slot_that_is_too_late_gives_its_unique_key_to_the_next_slot,
        sql=without("THEN 'cancelled' ELSE 'pending' END", "FIRE", instead="THEN 'pending' ELSE 'pending' END"),
    ),
    Case(
        "unique key of another job while slots are missed",
        noticed_by=test_schedules.test_missed_slots_leave_a_unique_key_in_use_alone,
        sql=without("owner.replaced_by IS NULL))", "FIRE", instead="owner.replaced_by IS NULL AND false))"),
    ),
]
