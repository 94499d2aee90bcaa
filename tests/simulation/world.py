"""One simulation: machines, a store and a script, all determined by a seed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from server_jobs.domain.ids import schedule_id
from server_jobs.domain.record import JobStatus, ScheduleRecord

from .chance import determined
from .client import Client
from .crew import Station
from .database import SharedStore, in_one_step
from .jobs import LIMITS, LONGEST_ATTEMPT, PACE, Report, Stage, current_stage, registry
from .machine import Machine, StoreClock
from .plan import Mode, Plan
from .stores import STORES
from .trace import Trace
from .virtual_loop import StuckError, VirtualLoop
from .weather import SLOWEST, Weather
from .witness import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a simulation; `problem` is None if all was well."""

    seed: int
    mode: Mode
    plan: Plan
    problem: str | None
    digest: str
    lines: tuple[str, ...]
    counts: Counter[str]
    seconds: float

    def __str__(self) -> str:
        """Return the problem, the events before it, and the command that repeats it."""
        head = f"seed {self.seed}, {self.mode}, {self.plan.store}: {self.problem or 'all is well'}"
        again = (
            f"again, with every line: python -m tests.simulation {self.seed} "
            f"--mode {self.mode} --store {self.plan.store} --trace"
        )
        return "\n".join([head, *self.lines[-40:], again]) if self.problem else head


def simulate(seed: int, mode: Mode, *, store: str | None = None) -> Outcome:
    """Run the simulation of that seed. It takes only the time of the computation."""
    loop = VirtualLoop()
    world = World(seed, mode, loop, store)
    stage = current_stage.set(world.stage)
    try:
        with determined(seed, world.store_clock_ns), _heard(world.trace):
            try:
                loop.run_until_complete(world.run())
            except StuckError as error:
                world.report(str(error))
            with suppress(StuckError):  # it spins, which has been reported
                loop.run_until_complete(world.sweep())
    finally:
        current_stage.reset(stage)
        loop.close()
        world.shared.end()
    return Outcome(
        seed=seed,
        mode=mode,
        plan=world.plan,
        problem=world.problem,
        digest=world.trace.digest,
        lines=tuple(world.trace.lines),
        counts=world.witness.counts + Counter({"handlers run": len(world.witness.runs)}),
        seconds=loop.time(),
    )


class World:
    """The state that the machines share, and the script."""

    def __init__(self, seed: int, mode: Mode, loop: VirtualLoop, store: str | None) -> None:
        self.rng = random.Random(seed)
        plan = Plan.draw(mode, self.rng)
        self.plan = plan if store is None else replace(plan, store=store)
        self.loop = loop
        self.trace = Trace(loop.time)
        self.witness = Witness(self.report, loop.time, LIMITS, PACE)
        self.weather = Weather(self.rng)
        self.stage = Stage(self.rng, self.witness, self.trace)
        self.clock = StoreClock(loop)
        opened = STORES[self.plan.store](self.clock, self.rng)
        self.shared = SharedStore(opened, self.clock, self.witness, self.trace)
        self.machines: list[Machine] = []
        self.problem: str | None = None
        self.may_misuse = mode is Mode.SAFETY
        """Whether clocks are set back and schedules disabled."""
        self.is_dark = False
        self.is_closing = False
        """Whether clients make no more calls."""
        self.is_ending = False
        """Whether workers should stop."""
        self._mode = mode
        self._is_over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def report(self, problem: str) -> None:
        """End the simulation with this problem; only the first one counts."""
        if self.problem is None and not self.shared.is_closed:
            self.problem = problem
            self.trace.note("PROBLEM", problem)
            self._is_over.set()

    def store_clock_ns(self) -> int:
        """Return the time for ids."""
        return int(self.clock.now().timestamp() * 1000) * 1_000_000

    async def run(self) -> None:
        """Play the script until it ends, or until there is a problem."""
        self.loop.set_exception_handler(self._hear)
        self.trace.note("plan", str(self.plan))
        script = self._start(self._script())
        over = self._start(self._wait_for_problem())
        await asyncio.wait([script, over], return_when=asyncio.FIRST_COMPLETED)

    async def sweep(self) -> None:
        """End every running task. No call reaches the store any more."""
        self.shared.is_closed = self.trace.is_over = True
        for machine in self.machines:
            if machine.is_frozen:
                machine.is_lost = False
                self.loop.thaw(machine)
        for _ in range(100):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1)

    def machine(self, name: str, *, skew: timedelta = timedelta(0)) -> Machine:
        """A new machine."""
        machine = Machine(name, self.loop, skew=skew)
        self.machines.append(machine)
        return machine

    async def _script(self) -> None:
        in_one_step(self.shared.store.open())
        in_one_step(self.shared.store.save_schedules(_schedules()))
        stations = self._stations()
        work = [self._start(station.run()) for station in stations]
        for number in range(self.plan.clients):
            Client(self, f"client{number}")
        await self._storm()
        if self._mode is Mode.LIVENESS:
            await self._calm()
            self.is_ending = True
            await self._join(work)
            await self._check_leaks()

    def _stations(self) -> list[Station]:
        stations = [Station(self, f"worker{number}") for number in range(self.plan.workers)]
        if self.plan.workers > 2:
            stations[1] = Station(self, "worker1", queues=("default",))
        return stations + [Station(self, "ticker", is_ticker=True)] * self.plan.has_ticker

    async def _storm(self) -> None:
        end = self.loop.time() + self.plan.storm
        while self.loop.time() < end:
            await asyncio.sleep(self.rng.uniform(1, 10))
            if self.rng.random() < 0.1:
                step = self.rng.uniform(-100 if self.may_misuse else 0, 100)
                self.trace.note("clock", f"is set by {step:.1f} s")
                self.clock.skew += timedelta(seconds=step)
        if self.plan.darkness:
            self.is_dark = True
            await asyncio.sleep(self.plan.darkness)
            self.is_dark = False
            await asyncio.sleep(20)

    async def _calm(self) -> None:
        """End the failures: all unfinished work must be done soon."""
        self.trace.note("weather", "is calm from now on")
        self.weather.calm_down(blips={} if self.plan.restarts_when_calm else self._blips())
        await asyncio.sleep(2 * SLOWEST)  # calls sent in the storm arrive
        self.witness.become_calm()
        caller = self.machine("operator")  # the client that paused it may have failed to resume it
        self.shared.apply(caller, "resume_queue", "other", lambda store: store.resume_queue("other"))
        await asyncio.sleep(self.plan.calm)
        self.is_closing = True
        await self._until_finished(self._bound())
        # Past the next slot of the schedules: the newest one must have fired, and its job have run.
        await asyncio.sleep(65 - self.clock.now().second)
        await self._until_finished(60)
        self.witness.check_end(in_one_step(self.shared.store.list_schedules()), self.clock.now(), _known())

    def _blips(self) -> dict[str, int]:
        """Return the methods that may fail. With leases of two seconds, a failed renewal would lose the lease."""
        return {"settle": 2, "renew": 1 if self.plan.lease > timedelta(seconds=2) else 0}

    def _bound(self) -> float:
        """Return the seconds within which everything must be finished: the remaining work, one after the other."""
        unfinished = [record for record in self.witness.records.values() if not record.status.is_finished]
        attempts = sum(record.max_attempts - record.attempt_count + 1 for record in unfinished)
        now = self.clock.now()
        waits = [(record.worker_expires_at or record.scheduled_for or now) - now for record in unfinished]
        wait = max(waits, default=timedelta(0)).total_seconds()
        return 60 + max(0.0, wait) + attempts * (LONGEST_ATTEMPT + 2 * self.plan.lease.total_seconds())

    async def _until_finished(self, bound: float) -> None:
        end = self.loop.time() + bound
        while self.loop.time() < end:
            if not any(self._is_open(record.status, record.job_name) for record in self.witness.records.values()):
                return
            await asyncio.sleep(0.5)
        left = [
            f"{record.job_name} {record.id} {record.status}"
            for record in self.witness.records.values()
            if self._is_open(record.status, record.job_name)
        ]
        self.report(f"{bound:.0f} s after the last failure there is unfinished work: {left[:5]}")

    def _is_open(self, status: JobStatus, job_name: str) -> bool:
        return not status.is_finished and (status is JobStatus.RUNNING or job_name in _known())

    async def _join(self, work: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(work, timeout=600)
        for task in work:
            if not task.done():
                self.report("a worker has not stopped after 600 s")

    async def _check_leaks(self) -> None:
        await asyncio.sleep(2 * LONGEST_ATTEMPT + 20)
        for machine in self.machines:
            running = [task for task in machine.tasks if not task.done()]
            if running and not machine.is_lost:
                self.report(f"{machine.name} has ended, and on it still runs {running[0].get_coro()}")

    async def _wait_for_problem(self) -> None:
        await self._is_over.wait()

    def _start(self, program: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run a part of the script; an error in it ends the simulation."""
        task = self.loop.create_task(program)
        task.add_done_callback(self._see_end)
        self._tasks.append(task)
        return task

    def _see_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report(f"the simulation itself failed: {error!r}")

    def _hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.report(f"{context.get('message')}: {context.get('exception')!r}")


@cache
def _known() -> list[str]:
    return registry().get_names()


def _schedules() -> list[ScheduleRecord]:
    return [
        ScheduleRecord(
            id=schedule_id(Report.job_name, schedule.name),
            job_name=Report.job_name,
            name=schedule.name,
            cron_expression=schedule.cron,
            timezone=schedule.timezone,
            misfire=schedule.misfire,
            params=schedule.params,
        )
        for schedule in Report.schedules
    ]


@contextmanager
def _heard(trace: Trace) -> Iterator[None]:
    """Send the log of the runtime only to the trace inside this block."""
    logger = logging.getLogger("server_jobs")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(trace)
    try:
        yield
    finally:
        logger.removeHandler(trace)
        logger.propagate = propagate
