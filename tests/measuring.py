"""Measurements on a machine that does other things as well: those only ever add, so that the least of a few counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Costs(NamedTuple):
    """The least that each of two cost, in the unit they were measured in."""

    part: float
    whole: float

    @property
    def share(self) -> float:
        return self.part / self.whole


def least_costs(part: Callable[[], float], whole: Callable[[], float], *, enough: float, rounds: range) -> Costs:
    """Measure one beside the other, in turns, so that a slow minute strikes both.

    As many rounds as `rounds` begins with, and then, up to its end, until the share is small enough.
    """
    least = Costs(part(), whole())
    for number in range(1, rounds.stop):
        if number >= rounds.start and least.share <= enough:
            break
        least = Costs(min(least.part, part()), min(least.whole, whole()))
    return least
