"""Which jobs of an invocation may ask its database, where there are only so many queries for all of them.

What a handler asks is known when it is over, so a job is reckoned to ask as much as those of its name did before, and
is not begun without that; half of all where none of its name has asked, and then it waits where it first asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from ..domain.interfaces import CountedDatabase, Row, Statement, Value
from ..errors import DatabaseError


@dataclass(eq=False, slots=True)
class Ration:
    """What one job has asked so far. `put_off` ends its run and gives it back as if it had not been claimed."""

    rations: Rations
    job_name: str
    put_off: Callable[[], None]
    is_among_first: bool
    """Whether no job of the invocation had ended before it, so that none has more left for it."""
    asked: int = 0
    is_over: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)


_own: ContextVar[Ration | None] = ContextVar("ration", default=None)


class Rations:
    """Those of the jobs that run in one invocation.

    `most` is how many queries it has, `left` how many are left besides those that end the invocation in good order.
    `costs` are what the jobs asked that ended well, by their names; they may be kept for later invocations.
    """

    has_put_off = False
    """Whether a job was put off, so that nothing more should be claimed."""

    def __init__(self, most: int, left: Callable[[], int], costs: MutableMapping[str, int]) -> None:
        self._most = most
        self._left = left
        self._costs = costs
        self._asked = 0
        self._has_ended_one = False
        self._asking: list[Ration] = []
        self._waiting: list[Ration] = []

    @contextmanager
    def of(self, job_name: str, put_off: Callable[[], None]) -> Iterator[Ration]:
        """What is asked in here, and in the tasks begun in here, is asked by that job.

        Tasks that outlive it ask without waiting as long as any queries are left, and nobody waits for them.
        """
        ration = Ration(self, job_name, put_off, is_among_first=not self._has_ended_one)
        outside = _own.set(ration)
        try:
            yield ration
        finally:
            _own.reset(outside)
            self._end(ration)

    def note(self, ration: Ration) -> None:
        """The job has ended well, so others of its name may ask as much. A single costly one is forgotten by and by."""
        if ration.asked:
            known = self._costs.get(ration.job_name, 0)
            self._costs[ration.job_name] = max(ration.asked, (known + ration.asked) // 2)

    async def begin(self, ration: Ration) -> None:
        """Wait until there is enough for a job whose name is known; it is put off if there never will be."""
        if ration.job_name in self._costs and not await self._is_admitted(ration):
            self._note_put_off(ration)

    async def take(self, ration: Ration, queries: int) -> None:
        """Wait until the job may make so many queries.

        Where they are not enough the job is put off, and `CancelledError` raised; but `DatabaseError` if no others
        have run before or asked meanwhile: then they are never enough.
        """
        try:
            is_admitted = await self._is_admitted(ration)
        except asyncio.CancelledError:  # perhaps its time is up: it was waiting for others
            is_admitted = False
        if not is_admitted:
            await self._put_off(ration)
        if self._left() < queries:
            if ration.is_among_first and self._asked == ration.asked:
                raise DatabaseError(
                    f"this run has asked the database {ration.asked} times, and an invocation of the Worker has "
                    f"{self._most} queries: enqueue many jobs with later_many, or split the work into several jobs"
                )
            # More than was known: else those that were let ask now are let ask together again, and put off again.
            self._costs[ration.job_name] = max(self._costs.get(ration.job_name, 0), ration.asked) + queries
            await self._put_off(ration)
        ration.asked += queries
        self._asked += queries

    async def _is_admitted(self, ration: Ration) -> bool:
        """Whether it may ask, or may not in this invocation; as soon as that is known."""
        if ration not in self._asking and not ration.is_over:
            if ration not in self._waiting:
                self._waiting.append(ration)
            self._give_turns()
            await ration.turn.wait()
        return ration.is_over or ration in self._asking

    def _give_turns(self) -> None:
        for ration in list(self._waiting):
            if self._is_enough_for(ration):
                self._asking.append(ration)
            elif self._asking:
                continue
            self._waiting.remove(ration)
            ration.turn.set()

    def _is_enough_for(self, ration: Ration) -> bool:
        if not self._asked and not self._asking and (ration.is_among_first or ration.job_name not in self._costs):
            return True
        expected = sum(max(0, self._expected(one) - one.asked) for one in self._asking)
        return self._left() - expected >= self._expected(ration)

    def _expected(self, ration: Ration) -> int:
        return self._costs.get(ration.job_name, self._most // 2)

    async def _put_off(self, ration: Ration) -> None:
        self._note_put_off(ration)
        await asyncio.sleep(0)  # where it is cancelled, if it runs in the task of the job
        raise asyncio.CancelledError

    def _note_put_off(self, ration: Ration) -> None:
        self.has_put_off = True
        ration.put_off()

    def _end(self, ration: Ration) -> None:
        ration.is_over = self._has_ended_one = True
        ration.turn.set()
        for some in (self._asking, self._waiting):
            if ration in some:
                some.remove(ration)
        self._give_turns()


class RationedDatabase:
    """A database of which each job takes its ration, by the rations of its own invocation; the engine asks freely."""

    def __init__(self, database: CountedDatabase) -> None:
        self._database = database
        self.name = database.name
        self.now = database.now
        self.packs_rows = database.packs_rows
        self.opens_once = database.opens_once
        self.watches_for_jobs = database.watches_for_jobs
        self.open = database.open
        self.close = database.close
        self.watch = database.watch
        self.announce = database.announce
        self.queries_of = database.queries_of

    @property
    def queries(self) -> int:
        """As in `CountedDatabase`."""
        return self._database.queries

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        """As in `Database`, when it is the turn of the job that asks."""
        if (ration := _own.get()) is not None:
            await ration.rations.take(ration, self.queries_of(len(calls)) + (look is not None))
        return await self._database.run(*calls, look=look)
