"""A worker is killed between the last job of a batch and its completion job, which runs once all the same."""

from __future__ import annotations

import asyncio
import signal

from server_jobs import connect

from tests.faults.jobs import Nap, TakeNap, storm_registry
from tests.faults.oracle import illegal
from tests.faults.site import Site

JOBS = 30


def enqueue(site: Site) -> str:
    async def store() -> str:
        async with connect(storm_registry(), site.url):
            return (await TakeNap.later_many([Nap(seconds=0)] * JOBS, then=TakeNap.new_job(Nap(seconds=0)))).id

    return asyncio.run(store())


def test_a_completion_job_runs_once_although_the_worker_dies_before_it_becomes_due(site: Site) -> None:
    batch_id = enqueue(site)
    dying = site.start(site.worker_plan(dies_before_end_of_batch=True))
    assert dying.wait() == -signal.SIGKILL
    assert site.statuses() == {"completed": JOBS, "pending": 1}

    workers = [site.start(site.worker_plan()) for _ in range(2)]
    site.wait(lambda: site.finished() == JOBS + 1)
    site.stop(*workers)

    # The renewal of a lease changes the row of a running job, and moves nothing.
    moves = [
        change.new_status
        for change in site.history()
        if change.job_id == batch_id and (change.old_status, change.new_status) != ("running", "running")
    ]
    assert moves == ["pending", "pending", "running", "completed"]
    assert illegal(site.history()) == []
