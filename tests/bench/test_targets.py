"""Targets are judged by the medians of one run."""

from __future__ import annotations

from bench.figures.results import Results, SubjectResults
from bench.figures.target import Target, Verdict, best_peer, median_of, ratio
from bench.figures.targets import TARGETS


def target(bound: float, *, is_at_most: bool = False) -> Target:
    """Return a target of this project against huey."""
    measured = ratio(median_of("server-jobs", "drain 1"), median_of("huey", "drain 1"))
    return Target(store="", says="", measured=measured, bound=bound, is_at_most=is_at_most)


def results(ours: list[float], huey: list[float]) -> Results:
    """Return the results of a run with both."""
    return Results(
        {},
        {},
        {
            "server-jobs": SubjectResults({"store": "sqlite"}, {"drain 1": ours}),
            "huey": SubjectResults({"store": "sqlite"}, {"drain 1": huey}),
        },
    )


def test_a_ratio_is_that_of_the_medians() -> None:
    run = results([10, 90, 1000], [10, 9, 1])

    assert target(10).measured(run) == 10
    assert target(10).verdict(run) is Verdict.MET
    assert target(10.1).verdict(run) is Verdict.NOT_MET


def test_a_target_may_be_an_upper_bound() -> None:
    run = results([2], [1])

    assert target(2, is_at_most=True).verdict(run) is Verdict.MET
    assert target(1.9, is_at_most=True).verdict(run) is Verdict.NOT_MET


def test_an_unmeasured_target_is_neither_met_nor_missed() -> None:
    assert target(1).verdict(Results({}, {})) is Verdict.UNKNOWN


def test_the_best_peer_is_none_of_ours_and_no_bare_driver() -> None:
    run = Results(
        {},
        {},
        {
            name: SubjectResults({"store": "sqlite"}, {"pick-up p50": [value]})
            for name, value in {"server-jobs:sqlite": 1.0, "bare:sqlite-100": 2.0, "honker": 3.0, "huey": 4.0}.items()
        },
    )

    assert best_peer("sqlite", "pick-up p50", min)(run) == 3.0


def test_every_target_can_be_judged_before_anything_was_measured() -> None:
    assert {target.verdict(Results({}, {})) for target in TARGETS} == {Verdict.UNKNOWN}
