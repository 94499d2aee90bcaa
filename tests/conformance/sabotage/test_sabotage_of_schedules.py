"""Without the conditions that protect schedules from other releases and other callers, their tests fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from server_jobs import DatabaseError
from server_jobs.domain.interfaces import Store
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.testing import FakeClock

from tests.conformance import test_declared_schedules as schedules
from tests.conformance.stores import STORES
from tests.conformance.suite import test_schedules as at_run_time
from tests.sabotage import sabotage


async def _switched_by_hand(opened: Store, _clock: FakeClock) -> None:
    await schedules.test_a_user_may_enable_a_schedule_that_no_release_declares(opened)


_ADDED_ONE_STAYS = at_run_time.test_a_set_of_declared_schedules_leaves_added_ones_alone
_DECLARED_ONE_STAYS = at_run_time.test_a_declared_schedule_is_neither_changed_nor_removed
_CHANGED_AT_ONCE = at_run_time.test_changes_of_different_values_at_once_all_take_effect
_AUDITED = at_run_time.test_changes_of_schedules_are_in_the_audit_log


@pytest.mark.parametrize(
    ("names", "fragment", "instead", "test"),
    [
        (
            "TAKE_OVER_SCHEDULES",
            "NOT EXISTS",
            "EXISTS",
            schedules.test_an_old_worker_that_restarts_in_a_rollout_changes_nothing,
        ),
        (
            "TAKE_OVER_SCHEDULES",
            "- :grace",
            "- 0",
            schedules.test_an_old_release_takes_over_once_the_new_one_has_been_silent_for_a_while,
        ),
        ("FORGET_WITHDRAWAL", "'withdrawn'", "'never'", _switched_by_hand),
        (
            "MARK_WITHDRAWN WITHDRAW",
            " AND source = 'declared'",
            "",
            at_run_time.test_a_set_of_declared_schedules_leaves_added_ones_alone,
        ),
        (
            "CHANGE_SCHEDULE",
            " AND source = 'added'",
            "",
            at_run_time.test_a_declared_schedule_is_neither_changed_nor_removed,
        ),
        (
            "REMOVE_SCHEDULE",
            " AND source = 'added'",
            "",
            at_run_time.test_a_declared_schedule_is_neither_changed_nor_removed,
        ),
        ("AUDIT_ADD_SCHEDULE", "NOT EXISTS", "EXISTS", _AUDITED),
        ("AUDIT_ENABLE_SCHEDULE", "enabled <>", "1 <>", _AUDITED),
        (
            "CHANGE_SCHEDULE",
            "COALESCE(CAST(:timezone AS text), timezone)",
            "CAST(:timezone AS text)",
            _CHANGED_AT_ONCE,
        ),
    ],
    ids=[
        "known sets",
        "grace",
        "switched by hand",
        "added ones are not withdrawn",
        "declared ones are not changed",
        "declared ones are not removed",
        "only a new schedule is noted",
        "only a change is noted",
        "other values are kept",
    ],
)
async def test_without_its_protection_a_test_fails(
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    names: str,
    fragment: str,
    instead: str,
    test: Callable[[Store, FakeClock], Awaitable[None]],
) -> None:
    for name in names.split():
        sabotage(monkeypatch, statements_of("sqlite"), name, fragment, instead)
    async with STORES["sqlite"](clock) as opened:
        with pytest.raises((AssertionError, DatabaseError)):
            await test(opened, clock)
