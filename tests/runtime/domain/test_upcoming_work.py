"""The earliest of the times to wake."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.record import UpcomingWork

SECOND = timedelta(seconds=1)


def test_the_earliest_upcoming_work_is_the_first_of_all_kinds() -> None:
    assert UpcomingWork().earliest() is None
    assert UpcomingWork(until_due=2 * SECOND, until_lease_end=SECOND).earliest() == SECOND
    assert UpcomingWork(until_lease_end=timedelta(0), until_slot=SECOND).earliest() == timedelta(0)


def test_work_that_is_due_waits_for_the_pause_and_later_work_does_not() -> None:
    due = UpcomingWork(until_due=timedelta(0))

    assert due.earliest(5 * SECOND) == 5 * SECOND
    assert UpcomingWork(until_due=timedelta(0), until_later=SECOND).earliest(5 * SECOND) == SECOND
    assert UpcomingWork(until_due=SECOND, until_later=SECOND).earliest(5 * SECOND) == SECOND
