"""The slots of one process, which the workers of its shards share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ..attempts.attempt import Attempt


class Member(Protocol):
    """The part of the slots of one worker that the others depend on."""

    @property
    def running(self) -> Collection[Attempt]:
        """The attempts that occupy a slot."""
        ...

    @property
    def is_hungry(self) -> bool:
        """Whether more jobs probably wait: the last claim brought as many as wanted, or claims wait for a slot."""
        ...

    def fill_soon(self) -> None:
        """Look for jobs to start, in the next turn of the event loop."""
        ...


class Capacity:
    """Divides `size` slots among the workers of one process. A single worker has all of them.

    Hungry workers have equal parts of the slots that the others leave. A worker that is not hungry keeps the slots that
    it uses, and at least one, so that its next job starts at once. `most_here` is the number of jobs after which the
    process starts no more jobs whose handlers run in it; None: no limit.
    """

    def __init__(self, size: int, most_here: int | None = None) -> None:
        self.size = size
        self.ran_here = 0
        """How many jobs were started whose handlers run in this process."""
        self._most_here = most_here
        self._members: list[Member] = []

    def join(self, member: Member) -> None:
        """Add the slots of a worker."""
        self._members.append(member)

    @property
    def is_used_up(self) -> bool:
        """Whether the process has started as many jobs as it may."""
        return self._most_here is not None and self.ran_here >= self._most_here

    @property
    def is_stuck(self) -> bool:
        """Whether threads that do not return occupy all slots."""
        running = [attempt for member in self._members for attempt in member.running]
        return len(running) >= self.size and all(attempt.is_over for attempt in running)

    def room_of(self, member: Member) -> int:
        """Return how many jobs this worker may start now; negative if it has more than its part."""
        used = len(member.running)
        if len(self._members) == 1:
            return self.size - used
        free = self.size - sum(len(each.running) for each in self._members)
        return min(free, self._part_of(member) - used)

    def freed(self, by: Member) -> None:
        """Let the other workers use a slot that this worker left."""
        for member in self._members:
            if member is not by and member.is_hungry and self.room_of(member) > 0:
                member.fill_soon()

    def _part_of(self, member: Member) -> int:
        hungry = [each for each in self._members if each.is_hungry or each is member]
        kept = sum(max(1, len(each.running)) for each in self._members if each not in hungry)
        part, rest = divmod(max(0, self.size - kept), len(hungry))
        return part + (hungry.index(member) < rest)
