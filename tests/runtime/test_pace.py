"""How far ahead a worker claims: by the hundred for short jobs, not at all for slow ones."""

from __future__ import annotations

import pytest
from server_jobs.pace import Pace


def after(*steps: tuple[int, float]) -> Pace:
    """A pace that has seen so many jobs begun in so many seconds, step by step."""
    pace, now = Pace(), 100.0
    pace.note_claimed(now)
    for begun, seconds in steps:
        for _ in range(begun):
            pace.note_begun()
        now += seconds
        pace.note_claimed(now)
    return pace


def test_the_first_claim_takes_nothing_ahead() -> None:
    assert Pace().ahead == 0
    assert after().ahead == 0


@pytest.mark.parametrize(("begun", "seconds", "ahead"), [(5, 10.0, 0), (5, 0.5, 0), (10, 0.1, 5), (1000, 1.0, 50)])
def test_as_many_are_claimed_ahead_as_are_begun_in_a_twentieth_of_a_second(
    begun: int, seconds: float, ahead: int
) -> None:
    assert after((begun, seconds)).ahead == ahead


def test_the_pace_grows_step_by_step_up_to_a_bound() -> None:
    assert after((5, 0.001)).ahead == 10
    assert after((5, 0.001), (15, 0.001), (45, 0.001)).ahead == 90
    assert after((5, 0.001), (15, 0.001), (45, 0.001), (135, 0.001)).ahead == 270
    assert after((5, 0.001), (15, 0.001), (45, 0.001), (135, 0.001), (405, 0.001)).ahead == 500


def test_an_idle_time_ends_it() -> None:
    assert after((5, 0.001), (15, 0.001), (0, 5.0)).ahead == 0


def test_two_claims_at_one_moment_change_nothing() -> None:
    assert after((5, 0.001), (7, 0.0)).ahead == 10


def test_claims_that_waited_too_long_end_it() -> None:
    pace = after((5, 0.001))
    pace.slow_down()
    assert pace.ahead == 0
