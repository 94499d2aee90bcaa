"""How far ahead a worker claims: by the hundred for short jobs, not at all for slow ones."""

from __future__ import annotations

import pytest
from server_jobs.engine.prefetch import Prefetch


def after(*steps: tuple[int, float], waited: float = 0.0) -> Prefetch:
    """Return a prefetch after these steps: jobs started, and the busy seconds they took. It waits before each claim."""
    prefetch, now = Prefetch(), 100.0
    prefetch.note_claimed(now)
    for begun, seconds in steps:
        prefetch.note_busy(now)
        for _ in range(begun):
            prefetch.note_begun()
        now += seconds
        prefetch.note_idle(now)
        now += waited
        prefetch.note_claimed(now)
    return prefetch


def test_the_first_claim_takes_nothing_ahead() -> None:
    assert Prefetch().size == 0
    assert after().size == 0


@pytest.mark.parametrize(("begun", "seconds", "ahead"), [(5, 10.0, 0), (5, 0.5, 0), (10, 0.1, 5), (1000, 1.0, 50)])
def test_as_many_are_claimed_ahead_as_are_begun_in_a_twentieth_of_a_second(
    begun: int, seconds: float, ahead: int
) -> None:
    assert after((begun, seconds)).size == ahead


def test_the_prefetch_grows_step_by_step_up_to_a_bound() -> None:
    assert after((5, 0.001)).size == 20
    assert after((5, 0.001), (25, 0.001)).size == 100
    assert after((5, 0.001), (25, 0.001), (105, 0.001)).size == 420
    assert after((5, 0.001), (25, 0.001), (105, 0.001), (425, 0.001)).size == 1000


@pytest.mark.parametrize("waited", [0.03, 0.5])
def test_it_grows_as_fast_where_claims_are_slow(waited: float) -> None:
    prefetch = after((5, 0.001), (25, 0.001), waited=waited)
    assert (prefetch.size, prefetch.limited_size) == (100, 100)


def test_jobs_that_run_on_are_no_wait_for_a_claim() -> None:
    prefetch = Prefetch()
    prefetch.note_busy(100.0)
    for _ in range(5):
        prefetch.note_begun()
    prefetch.note_claimed(101.0)
    assert prefetch.size == 0


def test_a_claim_after_which_no_job_began_ends_it() -> None:
    assert after((5, 0.001), (25, 0.001), (0, 0.0)).size == 0


def test_claims_that_waited_too_long_end_it() -> None:
    prefetch = after((5, 0.001))
    prefetch.slow_down()
    assert prefetch.size == 0
