"""A storm: workers are killed and stopped while jobs run. A seed decides when."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Timer

from tests.faults.jobs import Nap
from tests.faults.plans import WorkerPlan
from tests.faults.processes import Process
from tests.faults.site import Site

BACKLOG = 50
NARROW = 5
"""How many jobs of a portion have a concurrency limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The strength of the storm."""

    jobs: int
    workers: int
    kills: int
    stops: int

    def naps(self, seed: int) -> list[Nap]:
        """Return the work of the jobs: most are short, some outlast a stop, some fail at first."""
        chance = random.Random(seed)
        return [
            Nap(
                seconds=chance.uniform(0.5, 3.0) if chance.random() < 0.06 else chance.uniform(0.0, 0.12),
                failures=chance.choice([0] * 9 + [2]),
            )
            for _ in range(self.jobs)
        ]


@dataclass(slots=True)
class Storm:
    """Kills and stops workers of a site, depending on how many jobs have ended, and replaces killed ones."""

    site: Site
    weather: Weather
    plan: WorkerPlan
    seed: int
    kills: int = 0
    stops: int = 0
    enqueued: list[str] = field(default_factory=list)
    _naps: list[Nap] = field(default_factory=list)
    _workers: list[Process] = field(default_factory=list)
    _stopped: dict[Process, float] = field(default_factory=dict)
    """The stopped workers, and when each continues."""

    def rage(self) -> None:
        """Run until every job has ended, then stop the workers normally."""
        chance = random.Random(self.seed)
        self._naps = self.weather.naps(self.seed)
        blows = ["kill"] * self.weather.kills + ["stop"] * self.weather.stops
        chance.shuffle(blows)
        self._workers = [self.site.start(self.plan) for _ in range(self.weather.workers)]
        deadline = time.monotonic() + 180 + self.weather.jobs / 5
        last = 0.9 * self.weather.jobs  # leave the last tenth for recovery
        for number, blow in enumerate(blows, start=1):
            while self._finished() < last * number / len(blows):
                self._pass(deadline)
            time.sleep(chance.uniform(0, 0.05))
            if blow == "kill":
                self._kill(chance)
            else:
                while len(self._awake()) <= self.weather.workers // 2:
                    self._pass(deadline)
                self._stop(chance)
        while self._stopped or self._finished() < self.weather.jobs:
            self._pass(deadline)
        self.site.stop(*self._workers)

    def _finished(self) -> int:
        """Return how many jobs have ended. Enqueue more if few are left.

        Jobs that are taken over wait behind all jobs that are due already. With a long queue, none would be taken over
        while the workers are stopped.
        """
        finished = self.site.finished()
        if len(self.enqueued) - finished < BACKLOG and self._naps:
            portion, self._naps = self._naps[:BACKLOG], self._naps[BACKLOG:]
            self.enqueued += self.site.enqueue(portion[NARROW:], portion[:NARROW])
        return finished

    def _kill(self, chance: random.Random) -> None:
        # Mostly running workers, because the stopped ones should continue.
        worker = chance.choice(self._workers if chance.random() < 0.1 else self._awake())
        worker.kill()
        self._stopped.pop(worker, None)
        self._workers[self._workers.index(worker)] = self.site.start(self.plan)
        self.kills += 1

    def _stop(self, chance: random.Random) -> None:
        worker = chance.choice(self._awake())
        worker.send(signal.SIGSTOP)
        # Long enough for others to take over its jobs: lease, maintenance, jitter. A timer continues it, because a
        # worker that stops within a transaction on a SQLite file blocks all writers, including this process.
        pause = self.plan.lease + chance.uniform(0.8, 3.0)
        Timer(pause, worker.send, [signal.SIGCONT]).start()
        self._stopped[worker] = time.monotonic() + pause
        self.stops += 1

    def _awake(self) -> list[Process]:
        return [worker for worker in self._workers if worker not in self._stopped]

    def _pass(self, deadline: float) -> None:
        assert time.monotonic() < deadline, f"the storm does not end: {self.site.statuses()}, {self.site.log()[-20:]}"
        self._stopped = {worker: ends for worker, ends in self._stopped.items() if ends > time.monotonic()}
        time.sleep(0.01)


def storm(site: Site, weather: Weather, *, seed: int, sabotage: Sequence[Sequence[str]] = ()) -> Storm:
    """Run a storm, and return it."""
    raged = Storm(site, weather, site.worker_plan(sabotage=sabotage), seed)
    raged.rage()
    return raged
