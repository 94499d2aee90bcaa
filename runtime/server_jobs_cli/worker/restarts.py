"""How long to wait before a process that died is started again. Pure: no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

YOUNG = timedelta(seconds=10)
"""A process that ran less long than that died young."""

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often in a row one process died young."""

    young_deaths: int = 0

    def after(self, ran: timedelta) -> Restarts:
        """As it is once a process has died that ran that long: to have run well makes up for everything before."""
        return Restarts(self.young_deaths + 1 if ran < YOUNG else 0)

    @property
    def pause(self) -> timedelta:
        """At once the first time, then longer and longer: none, 1 s, 2 s, 4 s, 8 s, 16 s, 30 s, 30 s."""
        if self.young_deaths < 2:
            return timedelta(0)
        doublings = min(self.young_deaths - 2, 16)  # more would be beyond the longest pause all the same
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))
