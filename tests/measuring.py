"""Measurements on a busy machine. Other work only adds to them, so the least of several counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Costs(NamedTuple):
    """The least cost of each of two measurements, in their unit."""

    part: float
    whole: float

    @property
    def share(self) -> float:
        return self.part / self.whole


def least_costs(part: Callable[[], float], whole: Callable[[], float], *, enough: float, rounds: range) -> Costs:
    """Measure both in turns, so that a slow minute affects both.

    Run at least the first number of `rounds`, and at most the last, until the share is small enough.
    """
    least = Costs(part(), whole())
    for number in range(1, rounds.stop):
        if number >= rounds.start and least.share <= enough:
            break
        least = Costs(min(least.part, part()), min(least.whole, whole()))
    return least


_USUAL = 0.007
"""Seconds of `_known_work` on the machine for which limits are written, while it is quiet."""


def assert_cpu_seconds(used: float, most: float, about: str = "") -> None:
    """Fail if CPU seconds exceed a limit that is written for a quiet machine.

    The same work takes several times as much CPU time beside other processes, which use the same caches, and on slower
    processors. So a cost above the limit is compared with known work, measured now.
    """
    _compare(used, most, f"s of CPU{about}", time.process_time)


def assert_seconds(used: float, most: float, about: str = "") -> None:
    """Fail if seconds of waiting exceed a limit that is written for a quiet machine."""
    _compare(used, most, f"s{about}", time.perf_counter)


def _compare(used: float, most: float, unit: str, clock: Callable[[], float]) -> None:
    if used >= most:
        slowness = max(1.0, max(_known_work(clock) for _ in range(5)) / _USUAL)
        assert used < most * slowness, (
            f"{used:.3g} {unit} on a machine {slowness:.1f} times as slow as usual, which allows {most} s"
        )


def _known_work(clock: Callable[[], float]) -> float:
    began = clock()
    texts = [str(number) for number in range(60_000)]
    texts.sort()
    ",".join(texts).split(",")
    return clock() - began
