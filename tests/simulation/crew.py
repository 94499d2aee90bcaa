"""Machines that run workers: they start, are paused, cut off, killed or stopped, and start again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from server_jobs import Backend, DatabaseError, Worker
from server_jobs.engine.tick import tick

from .jobs import Vanish, registry
from .view import StoreView
from .witness import Capacity

if TYPE_CHECKING:
    from .world import World

_PATIENCE = 400.0
"""Seconds within which a worker must have stopped in any weather."""
_GRACE = 1.5
"""Seconds that a stop may take beyond the drain timeout if nothing fails: one second, and the calls of the store."""


class Crew:
    """One worker process."""

    def __init__(self, world: World, name: str, *, queues: tuple[str, ...] | None, is_ticker: bool) -> None:
        plan = world.plan
        skew = timedelta(seconds=world.rng.uniform(-500, 500))
        self.world = world
        self.machine = world.machine(name, skew=skew)
        self.view = StoreView(world.shared, self.machine, world.weather)
        self.backend = Backend(
            database=self.view,
            job_registry=registry(without=[Vanish] if is_ticker else []),  # it would end the whole tick
            max_concurrency=plan.concurrency,
            lease=plan.lease,
            poll_interval=plan.poll_interval,
            clock=self.machine,
        )
        self.worker = Worker(self.backend, queues=queues, drain_timeout=plan.drain_timeout)
        self._is_ticker = is_ticker
        self._is_asked_to_stop = False
        self._stopping = asyncio.Event()
        world.witness.capacities[self.machine] = self.capacity = Capacity(plan.concurrency)
        self.program = self.machine.start(self._main())

    async def _main(self) -> None:
        try:
            await (self._tick() if self._is_ticker else self.worker.run())
        except DatabaseError as error:
            if self.view.has_answered:
                self.world.report(f"{self.machine.name} ended, and its store had answered before: {error}")
        await self.backend.shutdown()
        self.capacity.is_closed = True

    async def _tick(self) -> None:
        """Tick repeatedly, as a cron trigger does."""
        while not self._stopping.is_set():
            try:
                await tick(self.backend, limit=self.world.rng.choice((None, 2)), budget=timedelta(seconds=5))
            except DatabaseError as error:
                self.world.trace.note(self.machine.name, f"tick failed: {error}")
            await asyncio.sleep(3)

    async def has_ended(self, *, within: float) -> bool:
        """Return whether the process ends in that time."""
        await asyncio.wait([self.program], timeout=within)
        if self.program.done() and not self.program.cancelled() and (error := self.program.exception()) is not None:
            self.world.report(f"{self.machine.name} ended with {error!r}")
        if self.program.done() and self.view.has_answered and not self._is_asked_to_stop:
            self.world.report(f"{self.machine.name} ended, and nobody had asked it to")
        return self.program.done()

    async def freeze(self) -> None:
        """Pause it, sometimes for longer than its leases."""
        duration = self.world.rng.choice((0.5, 1.0, 2.5)) * self.world.plan.lease.total_seconds()
        self.world.trace.note(self.machine.name, f"is frozen for {duration:g} s")
        await self.machine.freeze(duration, is_suspended=self.world.rng.random() < 0.3)

    async def cut_off(self) -> None:
        """Cut it off from the store for a while."""
        duration = self.world.rng.choice((0.3, 1.0, 2.5)) * self.world.plan.lease.total_seconds()
        self.world.trace.note(self.machine.name, f"is cut off for {duration:g} s")
        self.view.is_cut_off = True
        await asyncio.sleep(duration)
        self.view.is_cut_off = False
        self.machine.was_frozen_at = self.world.loop.time()

    async def crash(self) -> None:
        """Kill it."""
        self.world.trace.note(self.machine.name, "is killed")
        self.machine.lose()

    async def stop(self, *, times: int = 1) -> None:
        """Ask it to stop, and check that it does."""
        self.world.trace.note(self.machine.name, f"is asked to stop {times} times")
        self._is_asked_to_stop = True
        bound = self._bound(times)
        for _ in range(times):
            self.machine.deliver(self.worker.stop)
            self.machine.deliver(self._stopping.set)
            await asyncio.sleep(self.world.rng.choice((0, 0.2)))
        if not await self.has_ended(within=bound):
            self.world.report(f"{self.machine.name} was asked to stop {times} times, and has not after {bound:g} s")

    def _bound(self, times: int) -> float:
        if not self.world.witness.is_calm or self._is_ticker:
            return _PATIENCE
        drain = self.world.plan.drain_timeout.total_seconds() if times == 1 else 0.0
        return drain + _GRACE


class Station:
    """Runs one crew after the other until the simulation ends."""

    def __init__(
        self, world: World, name: str, *, queues: tuple[str, ...] | None = None, is_ticker: bool = False
    ) -> None:
        self._world = world
        self._name = name
        self._queues = queues
        self._is_ticker = is_ticker

    async def run(self) -> None:
        """Run until the end, or until a problem is reported."""
        generation = 0
        while not self._world.is_ending:
            if not self._world.is_dark:
                crew = Crew(self._world, f"{self._name}.{generation}", queues=self._queues, is_ticker=self._is_ticker)
                generation += 1
                await self._live(crew)
            await asyncio.sleep(0.1 if self._world.witness.is_calm else self._world.rng.uniform(0.1, 4))

    async def _live(self, crew: Crew) -> None:
        while not await crew.has_ended(within=self._world.rng.uniform(0.5, 8)):
            if self._world.is_ending:
                await crew.stop()
            elif self._world.is_dark:
                await self._world.rng.choice((crew.crash, crew.stop))()
            elif self._world.witness.is_calm:
                if self._world.plan.restarts_when_calm and not self._world.is_closing:
                    await crew.stop(times=self._world.rng.choice((1, 1, 2)))
            else:
                await self._strike(crew)
            if crew.machine.is_lost:
                return

    async def _strike(self, crew: Crew) -> None:
        match self._world.rng.choice(("nothing", "freeze", "cut off", "crash", "stop", "stop twice")):
            case "freeze":
                await crew.freeze()
            case "cut off":
                await crew.cut_off()
            case "crash":
                await crew.crash()
            case "stop":
                await crew.stop()
            case "stop twice":
                await crew.stop(times=2)
            case _:
                pass
