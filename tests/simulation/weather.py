"""The fate of calls on their way to the store and back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SLOWEST = 8.0
"""Seconds. No call takes longer one way."""


class Fate(StrEnum):
    """Answered; failed before the call ran; or executed with a lost reply."""

    ANSWERED = "answered"
    REFUSED = "refused"
    REPLY_LOST = "reply lost"


@dataclass(frozen=True, slots=True)
class Journey:
    """How long a call travels there and back, and how it ends."""

    there: float
    back: float
    fate: Fate


class Weather:
    """Stormy until `calm_down`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._refused = rng.choice((0.0, 0.01, 0.05, 0.2))
        self._lost = rng.choice((0.0, 0.01, 0.05, 0.2))
        self._latency = rng.choice((0.0, 0.002, 0.02))
        self._slow = rng.choice((0.0, 0.02))
        self._slowest = rng.choice((0.3, 3.0, SLOWEST))
        self._is_calm = False
        self._blips: Mapping[str, int] = {}
        self._in_a_row: Counter[tuple[str, str]] = Counter()

    def calm_down(self, *, blips: Mapping[str, int]) -> None:
        """End all failures, except that each method of `blips` may fail that many times in a row."""
        self._is_calm, self._blips = True, blips

    def journey(self, machine: str, method: str) -> Journey:
        """Return the fate of this call."""
        if self._is_calm:
            return Journey(self._delay(), self._delay(), self._blip(machine, method))
        draw = self._rng.random()
        fate = Fate.ANSWERED
        if draw < self._refused:
            fate = Fate.REFUSED
        elif draw < self._refused + self._lost:
            fate = Fate.REPLY_LOST
        return Journey(self._stormy_delay(), self._stormy_delay(), fate)

    def _delay(self) -> float:
        return self._latency and self._rng.expovariate(1 / self._latency)

    def _stormy_delay(self) -> float:
        if self._slow and self._rng.random() < self._slow:
            return self._rng.uniform(0, self._slowest)
        return self._delay()

    def _blip(self, machine: str, method: str) -> Fate:
        key = (machine, method)
        if self._in_a_row[key] >= self._blips.get(method, 0) or self._rng.random() < 0.6:
            self._in_a_row[key] = 0
            return Fate.ANSWERED
        self._in_a_row[key] += 1
        return self._rng.choice((Fate.REFUSED, Fate.REPLY_LOST))
