"""The pause before a process that died is restarted."""

from __future__ import annotations

from datetime import timedelta

from server_jobs_cli.worker.supervisor import YOUNG, Restarts


def _pauses(*lives: float) -> list[float]:
    restarts, pauses = Restarts(), []
    for seconds in lives:
        restarts = restarts.after(timedelta(seconds=seconds))
        pauses.append(restarts.pause.total_seconds())
    return pauses


def test_a_process_that_ran_well_is_replaced_at_once_however_often_it_dies() -> None:
    assert _pauses(3_600, YOUNG.total_seconds(), 3_600) == [0, 0, 0]


def test_the_first_that_dies_young_is_replaced_at_once_and_further_ones_later_and_later() -> None:
    assert _pauses(*[0.1] * 9) == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_to_have_run_well_makes_up_for_all_deaths_before() -> None:
    assert _pauses(1, 1, 1, 10, 1, 1) == [0, 1, 2, 0, 0, 1]


def test_the_pause_stays_constant_in_the_end() -> None:
    assert Restarts(young_deaths=100_000).pause == timedelta(seconds=30)
