"""One of several processes that cancel the same jobs while they are claimed and settled, and note the answers."""

from __future__ import annotations

import asyncio
import os
import random

from server_jobs import connect

from tests.faults.jobs import storm_registry
from tests.faults.plans import CancellerPlan, from_text


def main(text: str) -> None:
    """Cancel every job of the plan once."""
    asyncio.run(cancel_all(from_text(CancellerPlan, text)))


async def cancel_all(plan: CancellerPlan) -> None:
    """Cancel the jobs in random order, and note the id and the answer of each."""
    notes = os.open(plan.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    chance = random.Random(plan.seed)
    async with connect(storm_registry(), plan.url) as backend:
        for job_id in plan.job_ids:
            await asyncio.sleep(chance.uniform(0, plan.pause))
            answer = await backend.store.cancel(job_id)
            os.write(notes, f"{job_id} {answer}\n".encode())
