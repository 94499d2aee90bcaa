"""Measurements on a busy machine. Other work only adds to them, so the least of several counts."""

from __future__ import annotations

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
