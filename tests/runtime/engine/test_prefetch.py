"""The size of the prefetch: hundreds of short jobs, no slow ones."""

from __future__ import annotations

import pytest
from server_jobs.engine.prefetch import PrefetchSize


def after(*steps: tuple[int, float], waited: float = 0.0, characters: int = 0) -> PrefetchSize:
    """Return a prefetch after these steps: jobs started, and the busy seconds they took. It waits before each claim."""
    prefetch, now = PrefetchSize(), 100.0
    prefetch.note_claimed(now)
    for begun, seconds in steps:
        prefetch.note_busy(now)
        for _ in range(begun):
            prefetch.started += 1
        now += seconds
        prefetch.note_idle(now)
        now += waited
        prefetch.note_claimed(now, characters)
    return prefetch


def test_the_first_claim_prefetches_nothing() -> None:
    assert PrefetchSize().any == 0
    assert after().any == 0


@pytest.mark.parametrize(("begun", "seconds", "ahead"), [(5, 10.0, 0), (5, 0.5, 0), (10, 0.1, 5), (1000, 1.0, 50)])
def test_the_prefetch_is_what_starts_in_a_twentieth_of_a_second(begun: int, seconds: float, ahead: int) -> None:
    assert after((begun, seconds)).any == ahead


def test_the_prefetch_grows_step_by_step_up_to_a_bound() -> None:
    assert after((5, 0.001)).any == 20
    assert after((5, 0.001), (25, 0.001)).any == 100
    assert after((5, 0.001), (25, 0.001), (105, 0.001)).any == 420
    assert after((5, 0.001), (25, 0.001), (105, 0.001), (425, 0.001)).any == 1000


def test_a_few_jobs_shrink_it_only_if_they_are_slower() -> None:
    many = [(1000, 0.001)] * 2
    assert after(*many, (20, 0.0005)).any == 1000
    assert after(*many, (20, 0.01)).any == pytest.approx(100, abs=1)
    assert after(*many, (20, 1.0)).any == 1


def test_jobs_with_long_params_wait_in_smaller_numbers() -> None:
    steps = [(1000, 0.001)] * 2
    assert after(*steps, characters=1024 * 1024).any == 32
    assert after(*steps, characters=100 * 1024 * 1024).any == 0
    assert after(*steps, characters=100).any == 1000


def test_a_claim_without_jobs_says_nothing_about_the_length_of_their_params() -> None:
    prefetch = after((1000, 0.001), characters=1024 * 1024)
    prefetch.started = 1000
    prefetch.note_claimed(200.0)
    assert prefetch.any == 32


@pytest.mark.parametrize("waited", [0.03, 0.5])
def test_it_grows_as_fast_where_claims_are_slow(waited: float) -> None:
    prefetch = after((5, 0.001), (25, 0.001), waited=waited)
    assert (prefetch.any, prefetch.limited) == (100, 100)


def test_jobs_that_run_on_are_no_wait_for_a_claim() -> None:
    prefetch = PrefetchSize()
    prefetch.note_busy(100.0)
    for _ in range(5):
        prefetch.started += 1
    prefetch.note_claimed(101.0)
    assert prefetch.any == 0


def test_a_claim_after_which_no_job_began_ends_it() -> None:
    assert after((5, 0.001), (25, 0.001), (0, 0.0)).any == 0


def test_claims_that_waited_too_long_end_it() -> None:
    prefetch = after((5, 0.001))
    prefetch.reset()
    assert prefetch.any == 0
