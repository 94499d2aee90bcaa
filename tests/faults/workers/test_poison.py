"""Poison jobs that kill their worker use up their own attempts, and every other job completes."""

from __future__ import annotations

import asyncio
import time

import pytest
from server_jobs import JobStatus, connect

from tests.faults.conftest import IS_LONG, Figure
from tests.faults.jobs import Hang, Nap, Poison, Swallow, TakeNap, storm_registry
from tests.faults.oracle import illegal
from tests.faults.site import Site
from tests.slow import slow

INNOCENTS, EVIL = (600, 6) if IS_LONG else (60, 2)
HANGING = min(EVIL, 3)
"""A thread that never ends keeps its slot, and there are eight of them: four in each of two workers."""

DIED = "the worker died or stalled: its lease expired in attempt 2 of 2"
ERRORS = {
    "exit": (DIED,),
    "segfault": (DIED,),
    "spin": (DIED,),
    "memory": ("MemoryError", DIED),  # using up all memory may take longer than the lease
    "hang": ("TimeoutError: the handler did not return within its timeout of 300ms",),
}


def enqueue(site: Site, kind: str) -> tuple[list[str], list[str]]:
    """Enqueue poison jobs among harmless ones, and return the ids of both."""

    async def store() -> tuple[list[str], list[str]]:
        job, count = (Hang, HANGING) if kind == "hang" else (Swallow, EVIL)
        evil: list[str] = []
        innocent: list[str] = []
        async with connect(storm_registry(), site.url):
            for _ in range(count):
                naps = [Nap(seconds=0.02)] * (INNOCENTS // count)
                innocent += [str(handle) for handle in await TakeNap.later_many(naps)]
                evil.append(str(await job.later(Poison(kind=kind))))
        return evil, innocent

    return asyncio.run(store())


class Supervisor:
    """Keeps two workers running: replaces dead ones, and kills hung ones first."""

    def __init__(self, site: Site, evil: list[str], *, memory: int | None) -> None:
        self.replaced = 0
        self._site = site
        self._evil = evil
        self._plan = site.worker_plan(concurrency=4, memory=memory)
        self._workers = [site.start(self._plan) for _ in range(2)]
        self._seen: dict[str, float] = {}

    def keep_going(self, jobs: int, *, kill_hung: bool) -> None:
        """Run until that many jobs have ended."""
        deadline = time.monotonic() + 120
        while self._site.finished() < jobs:
            assert time.monotonic() < deadline, f"{self._site.statuses()}; {self._site.log()[-20:]}"
            hung = self._hung() if kill_hung else set()
            for place, worker in enumerate(self._workers):
                if worker.pid in hung or not worker.is_alive():
                    worker.kill()
                    self._workers[place] = self._site.start(self._plan)
                    self.replaced += 1
            time.sleep(0.02)
        for worker in self._workers:
            worker.kill()

    def _hung(self) -> set[int]:
        """Return the processes that started a poison job longer ago than its lease lasts."""
        now = time.monotonic()
        begun = [note for note in self._site.notes() if note.event == "begin" and note.job_id in self._evil]
        return {note.process for note in begun if now - self._seen.setdefault(note.token, now) > self._plan.lease + 0.5}


@pytest.mark.parametrize("kind", [kind if kind == "exit" else slow(kind) for kind in ERRORS])
def test_a_poisonous_job_uses_up_its_own_attempts_alone(site: Site, kind: str, figure: Figure) -> None:
    evil, innocent = enqueue(site, kind)
    supervisor = Supervisor(site, evil, memory=512 * 1024 * 1024 if kind == "memory" else None)
    supervisor.keep_going(len(evil) + len(innocent), kill_hung=kind == "spin")

    statuses, errors, attempts = site.column("status"), site.column("error"), site.column("attempt_count")
    unlucky = max(int(str(attempts[job_id])) for job_id in innocent)
    figure(
        f"{kind}: {len(evil)} poisonous jobs failed after 2 attempts each, {supervisor.replaced} workers replaced, "
        f"{len(innocent)} innocent ones completed, the unluckiest in attempt {unlucky}"
    )
    assert {statuses[job_id] for job_id in innocent} == {JobStatus.COMPLETED}
    assert {statuses[job_id] for job_id in evil} == {JobStatus.FAILED}
    assert {attempts[job_id] for job_id in evil} == {2}
    assert all(str(errors[job_id]).startswith(ERRORS[kind]) for job_id in evil), [errors[job_id] for job_id in evil]
    assert not illegal(site.history())
