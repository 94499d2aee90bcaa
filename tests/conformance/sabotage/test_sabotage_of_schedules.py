"""Without the conditions that keep two releases from fighting over schedules, their tests fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.stores import statements
from server_jobs.testing import FakeClock

from tests.conformance import test_declared_schedules as schedules
from tests.conformance.stores import STORES


async def _switched_by_hand(opened: Store, _clock: FakeClock) -> None:
    await schedules.test_a_user_may_enable_a_schedule_that_no_release_declares(opened)


@pytest.mark.parametrize(
    ("name", "fragment", "instead", "test"),
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
    ],
    ids=["known sets", "grace", "switched by hand"],
)
async def test_without_its_protection_releases_fight(
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    name: str,
    fragment: str,
    instead: str,
    test: Callable[[Store, FakeClock], Awaitable[None]],
) -> None:
    sql = getattr(statements, name)
    assert fragment in sql
    monkeypatch.setattr(statements, name, sql.replace(fragment, instead))
    async with STORES["sqlite"](clock) as opened:
        with pytest.raises(AssertionError):
            await test(opened, clock)
